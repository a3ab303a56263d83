//! A route that posts each message to a server, at `PATH` and with the secret `TOKEN` of its section `API_CONFIG`. What the server refuses with 4xx is rejected, what
//! it answers with 5xx is tried again, and a server that is away is waited for.

use lotmq_guest::route::{
    Abilities, Delivery, Description, Failure, Receipt, Route, deliver_each, environment, http::HttpClient,
};
use std::cell::RefCell;

lotmq_guest::manifest!("read:#", "secret-read:API_TOKEN");

/// Settings that it knows, as JSON Schema.
const SETTINGS: &str = r#"{"properties":{"sections":{"required":["API_CONFIG"],"properties":{"API_CONFIG":{"additionalProperties":false,
    "properties":{"PATH":{"type":"string","minLength":1},"TOKEN":{"type":"string"}}}}}}}"#;

thread_local!(static API: RefCell<Option<(HttpClient, String)>> = const { RefCell::new(None) });

struct Post;

impl Route for Post {
    fn describe() -> Description {
        Description { configuration: SETTINGS.to_owned(), abilities: Abilities::DELIVER }
    }

    fn open(configuration: String) -> Result<(), Failure> {
        let configuration: serde_json::Value =
            serde_json::from_str(&configuration).map_err(|error| Failure::Fatal(error.to_string()))?;
        let section = &configuration["sections"]["API_CONFIG"];
        let token = section["TOKEN"]["secret"].as_str().and_then(environment::get_secret);
        let headers = token.iter().map(|token| ("authorization", format!("Bearer {token}")));
        let api = headers.fold(HttpClient::new("api"), |api, (name, value)| api.header(name, value));
        API.set(Some((api, section["PATH"].as_str().unwrap_or("/").to_owned())));
        Ok(())
    }

    fn deliver(batch: Vec<Delivery>) -> Result<Receipt, Failure> {
        let (api, path) = API.with_borrow(Clone::clone).expect("it was opened");
        let post = |delivery: &Delivery| api.post(&path, &*delivery.message.payload).send()?.accepted();
        deliver_each(&batch, |delivery| post(delivery).map(|_| ()))
    }
}

lotmq_guest::export_route!(Post);
