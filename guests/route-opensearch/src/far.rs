//! The server: requests to it, and what its statuses mean.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lotmq_guest::route::Failure;
use lotmq_guest::route::http::{HttpClient, HttpResponse};
use serde_json::Value as Json;

/// Most bytes of a response. A search of 10,000 documents of 1.6 KiB fits, and a `_bulk` of the
/// largest batch.
const RESPONSE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Characters of a reason that the server gives.
const REASON_CHARS_MAX: usize = 400;

/// Reaction to a status.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Class {
    Done,
    Retry,
    /// The same for every message: they wait as for a server that is away.
    Wait,
    Reject,
    Fatal,
}

/// The server of a route.
pub(crate) struct Far {
    client: HttpClient,
    path: String,
}

impl Far {
    pub(crate) fn new(path: String, login: Option<(String, String)>) -> Far {
        let client = HttpClient::new("opensearch").response_bytes_max(RESPONSE_BYTES_MAX);
        let client = match login {
            Some((user, password)) => {
                let login = STANDARD.encode(format!("{user}:{password}"));
                client.header("authorization", format!("Basic {login}"))
            }
            None => client,
        };
        Far { client: client.header("accept", "application/json"), path }
    }

    /// Asks for something; the JSON of the answer.
    pub(crate) fn get(&self, target: &str) -> Result<Json, Failure> {
        answered(self.client.get(&format!("{}{target}", self.path)).send()?)
    }

    /// Posts a body; the JSON of the answer.
    pub(crate) fn post(&self, target: &str, content_type: &str, body: String) -> Result<Json, Failure> {
        let request = self.client.post(&format!("{}{target}", self.path), body);
        answered(request.header("content-type", content_type).send()?)
    }
}

fn answered(response: HttpResponse) -> Result<Json, Failure> {
    let HttpResponse { status, body, .. } = response;
    heeded(status, &body)?;
    serde_json::from_slice(&body)
        .map_err(|error| Failure::Reconnect(format!("the answer of the server is not JSON: {error}")))
}

/// Checks the status of a whole response.
fn heeded(status: u16, body: &[u8]) -> Result<(), Failure> {
    let error: Json = serde_json::from_slice(body).unwrap_or_default();
    let error = &error["error"];
    let reason = format!("the server answered {status}{}", reason_of(error));
    match class_of_whole(status, error) {
        Class::Done => Ok(()),
        Class::Retry => Err(Failure::Retry(reason)),
        Class::Wait => Err(Failure::Reconnect(waiting(&reason))),
        Class::Reject => Err(Failure::Reject(reason)),
        Class::Fatal => Err(Failure::Fatal(reason)),
    }
}

/// A reason of [`Class::Wait`], for people.
pub(crate) fn waiting(reason: &str) -> String {
    format!("{reason}: so it is for every message; they wait")
}

/// Returns the class of a response status. A wrong login, or an address without such a server,
/// never works later.
fn class_of_whole(status: u16, error: &Json) -> Class {
    match status {
        200..300 => Class::Done,
        403 | 404 | 429 if is_of_server(error) => class_of_document(status, error),
        300..=399 | 401 | 403 | 404 | 405 => Class::Fatal,
        408 | 425 | 429 | 500.. => Class::Retry,
        _ => Class::Reject,
    }
}

/// Whether it is an error in the words of the server, and not of something in between.
fn is_of_server(error: &Json) -> bool {
    error["type"].is_string()
}

/// Returns the class of one document's status in a `_bulk`. Messages wait if the cause holds for
/// every message of an index, until an operator or the server changes it. Such causes are a missing
/// permission (403), a missing index that is not created (404), and a blocked index (403; 429 for a
/// full disk).
pub(crate) fn class_of_document(status: u16, error: &Json) -> Class {
    match status {
        200..300 => Class::Done,
        403 | 404 => Class::Wait,
        429 if error["type"] == "cluster_block_exception" => Class::Wait,
        408 | 425 | 429 | 500.. => Class::Retry,
        _ => Class::Reject,
    }
}

/// Returns the server's error text for people, after a colon.
pub(crate) fn reason_of(error: &Json) -> String {
    let kind = error["type"].as_str().or(error.as_str()).unwrap_or_default();
    let mut said = kind.to_owned();
    for reason in [&error["reason"], &error["caused_by"]["reason"]] {
        if let Some(reason) = reason.as_str() {
            said.push_str(if said.is_empty() { "" } else { ": " });
            said.push_str(reason);
        }
    }
    if said.is_empty() {
        said
    } else {
        format!(": {}", said.chars().take(REASON_CHARS_MAX).collect::<String>())
    }
}

/// A part of a path, in which nothing is syntax.
pub(crate) fn encoded(part: &str) -> String {
    let mut encoded = String::new();
    for byte in part.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(char::from(byte))
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn statuses_have_the_class_of_what_helps() {
        for (status, kind, class) in [
            (200, "", Class::Done),
            (301, "", Class::Fatal),
            (400, "parse_exception", Class::Reject),
            (401, "security_exception", Class::Fatal),
            (403, "", Class::Fatal),
            (403, "cluster_block_exception", Class::Wait),
            (403, "security_exception", Class::Wait),
            (404, "", Class::Fatal),
            (404, "index_not_found_exception", Class::Wait),
            (405, "", Class::Fatal),
            (413, "", Class::Reject),
            (429, "", Class::Retry),
            (429, "cluster_block_exception", Class::Wait),
            (503, "cluster_block_exception", Class::Retry),
        ] {
            let error = if kind.is_empty() { Json::Null } else { json!({ "type": kind }) };
            assert_eq!(class_of_whole(status, &error), class, "{status} {kind}");
        }
        for (status, kind, class) in [
            (201, "", Class::Done),
            (400, "mapper_parsing_exception", Class::Reject),
            (403, "cluster_block_exception", Class::Wait),
            (403, "security_exception", Class::Wait),
            (404, "index_not_found_exception", Class::Wait),
            (409, "version_conflict_engine_exception", Class::Reject),
            (429, "cluster_block_exception", Class::Wait),
            (429, "es_rejected_execution_exception", Class::Retry),
            (503, "unavailable_shards_exception", Class::Retry),
        ] {
            assert_eq!(class_of_document(status, &json!({ "type": kind })), class, "{status} {kind}");
        }
    }

    #[test]
    fn what_the_server_says_is_told() {
        let body = br#"{"error":{"type":"security_exception","reason":"missing token"},"status":401}"#;
        let Err(Failure::Fatal(reason)) = heeded(401, body) else { panic!("it is fatal") };
        assert_eq!(reason, "the server answered 401: security_exception: missing token");
        let Err(Failure::Retry(reason)) = heeded(503, b"<html>") else { panic!("it is busy") };
        assert_eq!(reason, "the server answered 503");
        assert_eq!(encoded("a/b*ü"), "a%2Fb%2A%C3%BC");
    }
}
