//! A small route that works with HTTP servers: it sends the HTTP request that a host request
//! describes, and returns the result.
//!
//! It proves the interface `http`. The body is JSON:
//! ```json
//! {"method":"POST","target":"/a","headers":[["x","1"]],
//!  "body":"hello","bytes":5,"timeout":1000,"max":100}
//! ```
//! `bytes` is a body of that size in place of `body`; the endpoint is `server`. The result is the
//! status with the body, or the error.

use lotmq_guest::route::{
    Abilities, Description, Failure, Route,
    http::{self, HttpClient, HttpError, HttpExchange, HttpRequest, HttpResponse},
};
use serde_json::Value;
use std::cell::RefCell;
use std::io::Read as _;

thread_local!(static KEPT: RefCell<Vec<HttpExchange>> = const { RefCell::new(Vec::new()) });

struct Http;

impl Route for Http {
    fn describe() -> Description {
        Description { configuration: r#"{"type":"object"}"#.to_owned(), abilities: Abilities::REQUEST }
    }

    fn open(_configuration: String) -> Result<(), Failure> {
        Ok(())
    }

    fn request(operation: String, body: Vec<u8>) -> Result<Vec<u8>, Failure> {
        let said: Value =
            serde_json::from_slice(&body).map_err(|error| Failure::Reject(error.to_string()))?;
        done(&operation, &said).map(String::into_bytes).or_else(|error| Ok(format!("{error:?}").into_bytes()))
    }
}

fn done(operation: &str, said: &Value) -> Result<String, HttpError> {
    match operation {
        "do" => Ok(told(&request(said).send()?)),
        // Starts all of a list at once, and returns the results in their order.
        "all" => {
            let begun: Vec<_> = each(said).map(|said| request(said).start()).collect();
            let told = begun.into_iter().map(|exchange| match exchange.and_then(HttpExchange::response) {
                Ok(response) => told(&response),
                Err(error) => format!("{error:?}"),
            });
            Ok(told.collect::<Vec<_>>().join("\n"))
        }
        "fields" => {
            let head = request(said).start()?.head()?;
            let field =
                |field: &http::Header| format!("{}={}", field.name, String::from_utf8_lossy(&field.value));
            Ok(head.headers.iter().map(field).collect::<Vec<_>>().join("\n"))
        }
        // Reads the head alone, twice, and gives the rest up.
        "head" => {
            let exchange = request(said).start()?;
            exchange.head()?;
            Ok(exchange.head()?.status.to_string())
        }
        "count" => counted(request(said).start()?),
        "begin" => {
            let exchange = request(said).start()?;
            KEPT.with_borrow_mut(|kept| kept.push(exchange));
            Ok(String::new())
        }
        // Returns the started exchanges with something to read, and the head of the first one.
        "wait" => KEPT.with_borrow(|kept| {
            let ready = http::wait(&kept.iter().collect::<Vec<_>>(), milliseconds(said));
            let first = ready.first().and_then(|position| kept.get(*position as usize));
            let status = first.map(|exchange| exchange.head().map(|head| head.status)).transpose()?;
            Ok(format!("{ready:?} {status:?}"))
        }),
        "end" => {
            let kept = KEPT.take();
            let told = kept.into_iter().map(|exchange| exchange.response().map(|response| told(&response)));
            Ok(told.collect::<Result<Vec<_>, _>>()?.join("\n"))
        }
        "drop" => {
            KEPT.take();
            Ok(String::new())
        }
        "fill" | "fill and trap" => {
            let mut begun = Vec::new();
            let error = loop {
                match request(said).start() {
                    Ok(exchange) => begun.push(exchange),
                    Err(error) => break error,
                }
            };
            assert!(operation == "fill", "on purpose");
            Ok(format!("{} {error:?}", begun.len()))
        }
        _ => Ok(format!("unknown operation '{operation}'")),
    }
}

/// Reads by small pieces, and counts the bytes.
fn counted(mut exchange: HttpExchange) -> Result<String, HttpError> {
    exchange.head()?;
    let (mut piece, mut count) = ([0; 1000], 0_u64);
    loop {
        match exchange.read(&mut piece) {
            Ok(0) => return Ok(count.to_string()),
            Ok(read) => count += read as u64,
            Err(error) => return Ok(format!("{count} {error}")),
        }
    }
}

fn each(said: &Value) -> impl Iterator<Item = &Value> {
    said.as_array().into_iter().flatten()
}

fn milliseconds(said: &Value) -> u32 {
    said["timeout"].as_u64().and_then(|time| u32::try_from(time).ok()).unwrap_or(60_000)
}

fn request(said: &Value) -> HttpRequest {
    let method = said["method"].as_str().unwrap_or("GET");
    let client = HttpClient::new(said["endpoint"].as_str().unwrap_or("server"));
    let mut request =
        client.request(method, said["target"].as_str().unwrap_or("/")).timeout_ms(milliseconds(said));
    for field in each(&said["headers"]) {
        request = request.header(field[0].as_str().unwrap_or(""), field[1].as_str().unwrap_or(""));
    }
    if let Some(max) = said["max"].as_u64() {
        request = request.response_bytes_max(max);
    }
    match said["bytes"].as_u64() {
        Some(bytes) => request.body(vec![b'x'; usize::try_from(bytes).unwrap_or(0)]),
        None => request.body(said["body"].as_str().unwrap_or("")),
    }
}

fn told(response: &HttpResponse) -> String {
    format!("{} {}", response.status, String::from_utf8_lossy(&response.body))
}

lotmq_guest::export_route!(Http);
