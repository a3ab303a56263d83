//! Server: accepts requests, returns last values, publishes bodies, and lets a request wait for a
//! message.

use std::collections::VecDeque;

use lotmq_guest::route::http_server::{HttpReply, HttpServer, HttpServerOptions, IncomingRequest, Responder};
use lotmq_guest::route::{Arrival, Delivery, Failure, Properties, ambient, failure, ingest, topic_store};

use crate::config::Serving;
use crate::serving::{Found, Parameters, ServedEvent};
use crate::text::content_type;

/// The server of a route.
pub(crate) struct Server {
    http: HttpServer,
    /// Requests that wait for a message, the oldest first. The host bounds them.
    waiting: VecDeque<Waiting>,
    marks: Marks,
}

/// Source of correlation data: unique for each request of each opening, and unpredictable for
/// clients.
struct Marks {
    opening: u64,
    next: u64,
}

impl Marks {
    fn new() -> Marks {
        Marks { opening: ambient::random(), next: 0 }
    }

    fn next(&mut self) -> Vec<u8> {
        self.next += 1;
        [self.opening.to_be_bytes(), self.next.to_be_bytes()].concat()
    }
}

/// Request that waits for a message.
struct Waiting {
    event: String,
    /// Filter of the topics that answer it.
    source: String,
    /// Correlation data that identifies this request.
    correlation: Vec<u8>,
    responder: Responder,
    /// When the host has answered it, in milliseconds of the monotonic clock.
    until: u64,
}

impl Server {
    pub(crate) fn open(serving: &Serving) -> Result<Server, Failure> {
        let options = HttpServerOptions::default().timeout_ms(serving.timeout_ms);
        let http = HttpServer::serve(serving.endpoint, options).map_err(|error| failure(&error))?;
        Ok(Server { http, waiting: VecDeque::new(), marks: Marks::new() })
    }

    /// Serves until the host has other work or the time is over.
    pub(crate) fn run(&mut self, serving: &Serving, until_ms: u32) -> Result<u32, Failure> {
        let Server { http, waiting, marks } = self;
        let mut requests = Requests { serving, waiting, marks };
        http.run(until_ms, |asked| {
            requests.serve(asked);
            Ok(())
        })
    }

    /// Answers a waiting request: the one with the message's correlation data, which may be over.
    /// Without correlation data, the oldest one for its topic.
    pub(crate) fn answer(&mut self, event: &ServedEvent, delivery: &Delivery) {
        forget_those_over(&mut self.waiting);
        let meant = delivery.properties.as_ref().and_then(|it| it.correlation_data.as_deref());
        let (topic, payload) = (&delivery.message.topic, &delivery.message.payload);
        let is_for = |waiting: &Waiting| waiting.event == event.name && matches(&waiting.source, topic);
        let is_meant = |waiting: &Waiting| meant.is_none_or(|mark| *waiting.correlation == *mark);
        let place = self.waiting.iter().position(|waiting| is_for(waiting) && is_meant(waiting));
        if let Some(waiting) = place.and_then(|place| self.waiting.remove(place)) {
            reply_with(payload).send(&waiting.responder);
        }
    }
}

/// Requests as they come.
struct Requests<'a> {
    serving: &'a Serving,
    waiting: &'a mut VecDeque<Waiting>,
    marks: &'a mut Marks,
}

impl Requests<'_> {
    fn serve(&mut self, asked: IncomingRequest) {
        if !self.may_ask(&asked) {
            return asked.reply(refusal(401, "a token is needed").header("www-authenticate", "Bearer"));
        }
        match self.serving.paths.find(asked.method(), asked.path()) {
            Found::NoPath => asked.reply(refusal(404, "there is no such path")),
            Found::NoMethod(allowed) => {
                asked.reply(refusal(405, "the path has other methods").header("allow", allowed));
            }
            Found::Unreadable(reason) => asked.reply(refusal(400, reason)),
            Found::Event(event, parameters) if event.method == "GET" => {
                let topic = event.source.as_ref().map(|source| source.filled(&parameters));
                let reply = match topic.and_then(|topic| topic_store::get(&topic)) {
                    Some(value) => reply_with(&value),
                    None => refusal(404, "there is no value"),
                };
                asked.reply(reply);
            }
            Found::Event(event, parameters) => self.hand_on(asked, event, &parameters),
        }
    }

    fn may_ask(&self, asked: &IncomingRequest) -> bool {
        let Some(token) = &self.serving.token else { return true };
        let shown = asked.header("authorization").and_then(|value| value.split_once(' '));
        shown.is_some_and(|(scheme, shown)| {
            scheme.eq_ignore_ascii_case("bearer") && is_same(shown.trim().as_bytes(), token.as_bytes())
        })
    }

    /// Publishes the body; where a message is to answer, the request waits for it.
    fn hand_on(&mut self, asked: IncomingRequest, event: &ServedEvent, parameters: &Parameters) {
        forget_those_over(self.waiting);
        let topic = event.destination.as_ref().map(|topic| topic.filled(parameters)).unwrap_or_default();
        let source = event.source.as_ref().map(|source| source.filled(parameters));
        let correlation = self.marks.next();
        let until = ambient::monotonic_ms() + u64::from(asked.time_left_ms());
        let (request, responder) = asked.into_parts();
        let is_topic = |source: &&String| !source.contains(['+', '#']);
        let properties = source.as_ref().map(|source| Properties {
            response_topic: Some(source).filter(is_topic).cloned(),
            correlation_data: Some(correlation.clone()),
            ..Properties::default()
        });
        let (qos, retain) = event.publishing;
        let published = ingest::publish(&[Arrival { topic, payload: request.body, qos, retain, properties }]);
        match (published, source) {
            (Err(error), _) => unpublished(error).send(&responder),
            (Ok(()), None) => HttpReply::json(200, r#"{"success":true}"#).send(&responder),
            (Ok(()), Some(source)) => {
                let event = event.name.clone();
                self.waiting.push_back(Waiting { event, source, correlation, responder, until });
            }
        }
    }
}

/// Forgets the requests that the host has answered because the time was over.
fn forget_those_over(waiting: &mut VecDeque<Waiting>) {
    let now = ambient::monotonic_ms();
    waiting.retain(|waiting| waiting.until > now);
}

fn unpublished(error: ingest::IngestError) -> HttpReply {
    match error {
        ingest::IngestError::NotAllowed => refusal(403, "the route may not publish to that topic"),
        ingest::IngestError::NotStored => refusal(503, "it cannot be stored now").header("retry-after", "1"),
        ingest::IngestError::Closed => refusal(503, "the route ends"),
    }
}

fn refusal(status: u16, reason: &str) -> HttpReply {
    let body = serde_json::json!({ "success": false, "error": reason });
    HttpReply::json(status, body.to_string())
}

/// A payload as answer.
fn reply_with(payload: &[u8]) -> HttpReply {
    let kind = match std::str::from_utf8(payload) {
        Ok(_) => content_type(payload),
        Err(_) => "application/octet-stream",
    };
    HttpReply::new(200, payload).header("content-type", kind)
}

/// Compares two texts in constant time.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let differing = one.iter().zip(other).fold(0, |differing, (one, other)| differing | (one ^ other));
    one.len() == other.len() && std::hint::black_box(differing) == 0
}

/// Whether a filter matches a topic.
fn matches(filter: &str, topic: &str) -> bool {
    let (mut levels, mut rest) = (filter.split('/'), topic.split('/'));
    loop {
        match (levels.next(), rest.next()) {
            (Some("#"), _) => return true,
            (Some("+"), Some(_)) => {}
            (Some(level), Some(other)) if level == other => {}
            (None, None) => return true,
            (Some(_) | None, _) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_from_topics_of_a_filter() {
        for (filter, topic, expected) in [
            ("a/b", "a/b", true),
            ("a/+", "a/b", true),
            ("a/#", "a", true),
            ("a/#", "a/b/c", true),
            ("a/+", "a/b/c", false),
            ("a/b", "a/c", false),
            ("a/b", "a", false),
        ] {
            assert_eq!(matches(filter, topic), expected, "{filter} {topic}");
        }
        assert!(is_same(b"abc", b"abc") && !is_same(b"abc", b"abd") && !is_same(b"abc", b"ab"));
    }
}
