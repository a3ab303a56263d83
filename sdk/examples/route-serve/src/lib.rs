//! A small route that serves HTTP: it returns last values, publishes received bodies, and asks by a
//! message.
//!
//! It proves the interface `http-server`. Its endpoint is `web`, with settings in `WEB_CONFIG`:
//!
//! | request | answer |
//! |---|---|
//! | `GET /last/TOPIC` | 200 with the last value of the topic, or 404 |
//! | `POST /publish/TOPIC` | 200 when the message is published, else 403 |
//! | `POST /ask/TOPIC` | publishes, and answers with the next message to the route |
//! | `POST /echo` | method, path, query, peer, fields and body |
//! | `GET /drop`, `/keep` | no answer; no answer until it is over |
//! | `GET /trap`, `/bad` | the end of the instance; an invalid answer |

use std::cell::RefCell;
use std::collections::VecDeque;

use lotmq_guest::route::{
    Abilities, Arrival, Delivery, Description, Failure, QoS, Receipt, Route, failure,
    http_server::{IncomingRequest, HttpReply, HttpServer, HttpServerOptions, Responder},
    ingest, topic_store,
};
use serde_json::Value;

thread_local! {
    static SERVER: RefCell<Option<HttpServer>> = const { RefCell::new(None) };
    /// Requests that wait for a message, the oldest first.
    static ASKING: RefCell<VecDeque<Responder>> = const { RefCell::new(VecDeque::new()) };
}

struct Serve;

impl Route for Serve {
    fn describe() -> Description {
        Description {
            configuration: r#"{"type":"object"}"#.to_owned(),
            abilities: Abilities::DELIVER | Abilities::RUN | Abilities::REQUEST,
        }
    }

    fn open(configuration: String) -> Result<(), Failure> {
        let said: Value = serde_json::from_str(&configuration).unwrap_or_default();
        let web = &said["sections"]["WEB_CONFIG"];
        let number = |name: &str| web[name].as_u64().and_then(|number| u32::try_from(number).ok());
        let mut options = HttpServerOptions::default();
        if let Some(bytes) = number("BODY_BYTES") {
            options = options.body_bytes_max(bytes);
        }
        if let Some(time) = number("TIMEOUT") {
            options = options.timeout_ms(time);
        }
        let server = HttpServer::serve("web", options).map_err(|error| failure(&error))?;
        SERVER.set(Some(server));
        Ok(())
    }

    fn deliver(batch: Vec<Delivery>) -> Result<Receipt, Failure> {
        for delivery in &batch {
            if let Some(responder) = ASKING.with_borrow_mut(VecDeque::pop_front) {
                HttpReply::new(200, delivery.message.payload.clone()).send(&responder);
            }
        }
        Ok(Receipt { accepted: u32::try_from(batch.len()).unwrap_or(u32::MAX), rejected: Vec::new() })
    }

    fn run(until_ms: u32) -> Result<u32, Failure> {
        SERVER.with_borrow(|server| match server {
            Some(server) => server.run(until_ms, |asked| {
                answer(asked);
                Ok(())
            }),
            None => Ok(until_ms),
        })
    }

    /// `port`: returns the port. `begin`: serves at the endpoint of this name. `end`: stops
    /// serving.
    fn request(operation: String, body: Vec<u8>) -> Result<Vec<u8>, Failure> {
        match operation.as_str() {
            "port" => SERVER.with_borrow(|server| {
                let port = server.as_ref().map(HttpServer::local_port).transpose();
                let port = port.map_err(|error| failure(&error))?.unwrap_or(0);
                Ok(port.to_string().into_bytes())
            }),
            "begin" => {
                let endpoint = String::from_utf8_lossy(&body);
                let begun = HttpServer::serve(&endpoint, HttpServerOptions::default());
                Ok(begun.map_or_else(|error| format!("{error:?}"), |_| "it serves".to_owned()).into_bytes())
            }
            "end" => {
                SERVER.take();
                Ok(Vec::new())
            }
            _ => Ok(b"{}".to_vec()),
        }
    }
}

fn answer(asked: IncomingRequest) {
    let path = asked.path().to_owned();
    let (place, topic) = path[1..].split_once('/').unwrap_or((&path[1..], ""));
    match (asked.method(), place) {
        ("GET", "last") => {
            let reply = match topic_store::get(topic) {
                Some(value) => HttpReply::new(200, value),
                None => HttpReply::text(404, "no value"),
            };
            asked.reply(reply);
        }
        ("POST", "publish") => {
            let reply = match publish(topic, asked.body()) {
                Ok(()) => HttpReply::json(200, r#"{"success":true}"#),
                Err(error) => HttpReply::text(403, error.name()),
            };
            asked.reply(reply);
        }
        ("POST", "ask") => match publish(topic, asked.body()) {
            Ok(()) => ASKING.with_borrow_mut(|asking| asking.push_back(asked.into_parts().1)),
            Err(error) => asked.reply(HttpReply::text(403, error.name())),
        },
        (_, "echo") => {
            let mut told = format!("{} {} {:?}\n", asked.method(), asked.path(), asked.query());
            for field in asked.headers().iter().filter(|field| field.name.starts_with("x-")) {
                told += &format!("{}: {}\n", field.name, String::from_utf8_lossy(&field.value));
            }
            let mut body = told.into_bytes();
            body.extend_from_slice(asked.body());
            let peer = asked.peer().to_owned();
            asked.reply(HttpReply::new(200, body).header("x-peer", peer));
        }
        (_, "drop") => {}
        (_, "keep") => ASKING.with_borrow_mut(|asking| asking.push_back(asked.into_parts().1)),
        (_, "bad") => asked.reply(HttpReply::new(200, "").header("x", "a\r\ny: z")),
        (_, "trap") => panic!("on purpose"),
        _ => asked.reply(HttpReply::text(404, "no such path")),
    }
}

fn publish(topic: &str, body: &[u8]) -> Result<(), ingest::IngestError> {
    ingest::publish(&[Arrival {
        topic: topic.to_owned(),
        payload: body.to_vec(),
        qos: QoS::AtLeastOnce,
        retain: false,
        properties: None,
    }])
}

lotmq_guest::export_route!(Serve);
