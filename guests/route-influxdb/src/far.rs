//! The server: requests to it, and what its statuses mean.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lotmq_guest::route::Failure;
use lotmq_guest::route::http::{HttpClient, HttpResponse};
use serde_json::Value as Json;

use crate::config::{Config, Place};
use crate::limits::{REASON_CHARS_MAX, RESPONSE_BYTES_MAX};
use crate::question::Question;

/// The server of a route, and where in it.
pub(crate) struct Far {
    client: HttpClient,
    path: String,
    /// Target of writes.
    write: String,
    /// The database of questions.
    database: String,
}

impl Far {
    pub(crate) fn new(config: &Config) -> Far {
        let client = HttpClient::new("influxdb").response_bytes_max(RESPONSE_BYTES_MAX);
        let (precision, path) = (config.precision, config.path.clone());
        let (write, authorization, database) = match &config.place {
            Place::Database { database, policy, login } => {
                let policy =
                    policy.as_ref().map(|policy| format!("&rp={}", encoded(policy))).unwrap_or_default();
                let write =
                    format!("/write?db={}{policy}&precision={}", encoded(database), precision.word(true));
                let login = login.as_ref().map(|(user, password)| {
                    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
                });
                (write, login, database)
            }
            Place::Bucket { bucket, organization, token } => {
                let organization =
                    organization.as_ref().map(|org| format!("&org={}", encoded(org))).unwrap_or_default();
                let write = format!(
                    "/api/v2/write?bucket={}{organization}&precision={}",
                    encoded(bucket),
                    precision.word(false)
                );
                (write, Some(format!("Token {token}")), bucket)
            }
        };
        let client = match authorization {
            Some(authorization) => client.header("authorization", authorization),
            None => client,
        };
        Far { client, path, write, database: database.clone() }
    }

    /// Whether the server is there and lets us in.
    pub(crate) fn probe(&self) -> Result<(), Failure> {
        self.ask(&Question { statement: "SHOW MEASUREMENTS LIMIT 1".to_owned(), parameters: Json::Null })
            .map(drop)
    }

    /// Writes points.
    pub(crate) fn write(&self, points: String) -> Result<(), Failure> {
        let request = self.client.post(&format!("{}{}", self.path, self.write), points);
        heeded(&request.header("content-type", "text/plain; charset=utf-8").send()?)
    }

    /// Asks; the JSON of the answer.
    pub(crate) fn ask(&self, question: &Question) -> Result<Json, Failure> {
        let mut form = format!("db={}&epoch=ms&q={}", encoded(&self.database), encoded(&question.statement));
        if question.parameters.as_object().is_some_and(|parameters| !parameters.is_empty()) {
            form.push_str(&format!("&params={}", encoded(&question.parameters.to_string())));
        }
        let request = self.client.post(&format!("{}/query", self.path), form);
        let response = request.header("content-type", "application/x-www-form-urlencoded").send()?;
        heeded(&response)?;
        serde_json::from_slice(&response.body)
            .map_err(|error| Failure::Reconnect(format!("the answer of the server is not JSON: {error}")))
    }
}

fn heeded(HttpResponse { status, body, .. }: &HttpResponse) -> Result<(), Failure> {
    if (200..300).contains(status) {
        return Ok(());
    }
    let error: Json = serde_json::from_slice(body).unwrap_or_default();
    let said = error["error"].as_str().or(error["message"].as_str()).unwrap_or_default();
    let said: String = said.chars().take(REASON_CHARS_MAX).collect();
    let reason = format!("the server answered {status}{}{said}", if said.is_empty() { "" } else { ": " });
    Err(match status {
        // Somebody may still create a missing database or bucket: messages wait as for a server
        // that is away.
        404 => Failure::Reconnect(reason),
        // Nothing is written by who may not; people correct that.
        300..=399 | 401 | 403 | 405 => Failure::Fatal(reason),
        408 | 425 | 429 | 500.. => Failure::Retry(reason),
        _ => Failure::Reject(reason),
    })
}

/// A part of a target or a form, in which nothing is syntax.
fn encoded(part: &str) -> String {
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
