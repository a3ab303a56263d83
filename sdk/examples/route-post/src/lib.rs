//! A route that posts each message to a server, at `PATH` and with the secret `TOKEN` of its
//! section `API_CONFIG`. It rejects messages that the server answers with 4xx, retries after 5xx,
//! and waits for a server that is away.

use lotmq_guest::route::{
    Abilities, Delivery, Description, Failure, Receipt, Route, deliver_each, environment, http::HttpClient,
};
use std::cell::RefCell;

lotmq_guest::manifest!("endpoint:127.0.0.1:*", "read:#", "secret-read:API_TOKEN");

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

#[cfg(test)]
mod tests {
    use super::*;
    use lotmq_guest::route::http::HttpError;
    use lotmq_guest::route::testing::{delivery, response, serve_http};
    use lotmq_guest::testing::set_secret;

    fn open() {
        let configuration =
            r#"{"sections":{"API_CONFIG":{"PATH":"/v1/readings","TOKEN":{"secret":"API_TOKEN"}}}}"#;
        Post::open(configuration.to_owned()).unwrap();
    }

    #[test]
    fn each_message_is_posted_with_the_token() {
        set_secret("API_TOKEN", "t0p");
        open();
        serve_http("api", |request| {
            assert_eq!((&*request.method, &*request.target), ("POST", "/v1/readings"));
            let field = &request.headers[0];
            assert_eq!((&*field.name, &*field.value), ("authorization", &b"Bearer t0p"[..]));
            Ok(response(if request.body == b"bad" { 400 } else { 201 }, ""))
        });
        let batch = ["1", "bad", "2"].map(|payload| delivery("readings/a", payload)).to_vec();
        let receipt = Post::deliver(batch).unwrap();
        assert_eq!((receipt.accepted, receipt.rejected.len()), (3, 1));
        assert_eq!((receipt.rejected[0].index, &*receipt.rejected[0].reason), (1, "the server answered 400"));
    }

    #[test]
    fn a_server_that_fails_is_tried_again_and_one_that_is_away_is_waited_for() {
        open();
        let one = || vec![delivery("a", "1")];
        serve_http("api", |_| Ok(response(503, "")));
        assert!(matches!(Post::deliver(one()), Err(Failure::Retry(_))));
        serve_http("api", |_| Err(HttpError::Refused));
        assert!(matches!(Post::deliver(one()), Err(Failure::Reconnect(_))));
    }
}
