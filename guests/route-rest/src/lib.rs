//! Routes of type `REST_API`: each message is a request to an HTTP server, and the route publishes
//! the answer. In the other direction, requests of HTTP clients get last values, or become
//! messages.

mod address;
mod config;
mod server;
mod serving;
mod text;

use config::{Asking, Call, Config, Field};
use lotmq_guest::route::http::HttpResponse;
use lotmq_guest::route::{
    Abilities, Addressee, Arrival, Delivery, Description, Failure, Receipt, Route, deliver_each, ingest, net,
    unpublished,
};
use server::Server;
use std::cell::RefCell;

/// Redirects that are followed. From the routes reference §7.
const REDIRECTS_MAX: usize = 5;

/// Most attempts to publish an answer that could not be stored, half a second apart. The request is
/// not sent again before that.
const PUBLISH_AGAIN_MAX: usize = 20;

thread_local! {
    static CONFIG: RefCell<Option<Config>> = const { RefCell::new(None) };
    static SERVER: RefCell<Option<Server>> = const { RefCell::new(None) };
}

struct RestApi;

impl Route for RestApi {
    fn describe() -> Description {
        // The host runs it where it serves.
        let abilities = Abilities::DELIVER | Abilities::RUN | Abilities::REQUEST;
        Description { configuration: config::SCHEMA.to_owned(), abilities }
    }

    fn open(configuration: String) -> Result<(), Failure> {
        let config = Config::parse(&configuration)?;
        // The instance that works has the port.
        let serving = config.serving.as_ref().filter(|_| !config.is_probe);
        SERVER.set(serving.map(Server::open).transpose()?);
        CONFIG.set(Some(config));
        Ok(())
    }

    fn deliver(batch: Vec<Delivery>) -> Result<Receipt, Failure> {
        with_config(|config| deliver_each(&batch, |delivery| deliver(config, delivery)))
    }

    fn request(operation: String, _body: Vec<u8>) -> Result<Vec<u8>, Failure> {
        if operation != "probe" {
            return Err(Failure::Reject(format!("a REST API does not answer '{operation}'")));
        }
        with_config(|config| {
            if let Some(asking) = &config.asking {
                // Any response shows that the server is there.
                asking.probe().send()?;
            }
            Ok(b"{}".to_vec())
        })
    }

    fn run(until_ms: u32) -> Result<u32, Failure> {
        with_config(|config| {
            SERVER.with_borrow_mut(|server| match (server, &config.serving) {
                (Some(server), Some(serving)) => server.run(serving, until_ms),
                (_, _) => Ok(until_ms),
            })
        })
    }

    fn close() {
        SERVER.take();
    }
}

fn with_config<T>(work: impl FnOnce(&Config) -> Result<T, Failure>) -> Result<T, Failure> {
    CONFIG.with_borrow(|config| match config {
        Some(config) => work(config),
        None => Err(Failure::Reconnect("not open".to_owned())),
    })
}

/// Does what the event of a message is for.
fn deliver(config: &Config, delivery: &Delivery) -> Result<(), Failure> {
    let Addressee::Event(name) = &delivery.to else {
        return Err(Failure::Reject("a REST API has events only".to_owned()));
    };
    if let Some(event) = config.serving.as_ref().and_then(|serving| serving.paths.event(name)) {
        SERVER.with_borrow_mut(|server| {
            if let Some(server) = server {
                server.answer(event, delivery);
            }
        });
        return Ok(());
    }
    let called = config.asking.as_ref().and_then(|asking| Some((asking, asking.call(name)?)));
    let (asking, call) = called.ok_or_else(|| Failure::Reject("the route has no such event".to_owned()))?;
    ask(asking, call, delivery)
}

/// Asks the server, and publishes what it answers.
fn ask(config: &Asking, call: &Call, delivery: &Delivery) -> Result<(), Failure> {
    let response = asked(config, call, delivery)?;
    let said = text::said(&response.body);
    // It is so for every message, until the login is another one.
    if let status @ (401 | 407) = response.status {
        let reason = format!("the server answered {status}: it does not take the login{said}");
        return Err(Failure::Reconnect(reason));
    }
    let response = response.accepted().map_err(|failure| match failure {
        Failure::Retry(reason) => Failure::Retry(reason + &said),
        Failure::Reconnect(reason) => Failure::Reconnect(reason + &said),
        Failure::Reject(reason) => Failure::Reject(reason + &said),
        Failure::Fatal(reason) => Failure::Fatal(reason + &said),
    })?;
    let Some(topic) = call.answer.as_ref().map(|topic| topic.filled(delivery)) else { return Ok(()) };
    let (qos, retain) = call.publishing;
    publish(Arrival { topic, payload: response.body, qos, retain, properties: None })
}

/// The response to a request, behind the redirects that stay with the server.
fn asked(config: &Asking, call: &Call, delivery: &Delivery) -> Result<HttpResponse, Failure> {
    let mut method = call.method.clone();
    let mut body = call.body(delivery);
    let fields = config.fields(call, delivery, &body);
    let mut target = config.base.target(&call.endpoint(delivery)?);
    for _ in 0..=REDIRECTS_MAX {
        // A request without a body does not say what its body is.
        let is_wanted = |(name, _): &&Field| !body.is_empty() || !name.eq_ignore_ascii_case("content-type");
        let wanted = fields.iter().filter(is_wanted);
        let response = config.request(&method, &target, wanted).body(body.clone()).send()?;
        let Some(location) = redirect(&response) else { return Ok(response) };
        let leads_away =
            || Failure::Reject(format!("the server answered {} to another place", response.status));
        target = config.base.redirected(&target, location).ok_or_else(leads_away)?;
        // RFC 9110 §15.4: a POST is repeated only if the status demands it.
        if response.status == 303 || (matches!(response.status, 301 | 302) && method == "POST") {
            method = "GET".to_owned();
            body = Vec::new();
        }
    }
    Err(Failure::Reject(format!("the server has redirected more than {REDIRECTS_MAX} times")))
}

/// Returns the target of a redirect response.
fn redirect(response: &HttpResponse) -> Option<&str> {
    matches!(response.status, 301 | 302 | 303 | 307 | 308).then(|| response.header("location")).flatten()
}

/// Publishes an answer. Retries for a while before the request is repeated, because the request was
/// done.
fn publish(arrival: Arrival) -> Result<(), Failure> {
    let arrivals = [arrival];
    for _ in 0..PUBLISH_AGAIN_MAX {
        match ingest::publish(&arrivals) {
            Err(ingest::IngestError::NotStored) => drop(net::wait(&[], 500)),
            published => return published.map_err(unpublished),
        }
    }
    Err(unpublished(ingest::IngestError::NotStored))
}

lotmq_guest::export_route!(RestApi);
