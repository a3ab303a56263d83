//! HTTP client. The host keeps connections open between requests.
//!
//! ```ignore
//! use lotmq_guest::route::{Failure, http::HttpClient};
//!
//! fn store(reading: &str) -> Result<(), Failure> {
//!     let api = HttpClient::new("api"); // HOST, PORT and USE_TLS of API_CONFIG
//!     let request = api.post("/v1/readings", reading).header("content-type", "application/json");
//!     request.send()?.accepted()?;
//!     Ok(())
//! }
//! ```
//!
//! A server is an endpoint of the route's definition, so its module needs the grant
//! `endpoint:HOST:PORT`. Waiting calls suspend the guest. To run several requests at once,
//! [start](HttpRequest::start) all before you read the first response.

use super::host::http as host;
pub use super::host::http::{Header, HttpError, ResponseHead};
use std::io;

/// Most bytes that the host returns per read.
const PIECE_BYTES: u32 = 64 * 1024;

/// Milliseconds for an exchange of a client that does not say otherwise.
const TIMEOUT_MS: u32 = 20_000;

/// Bytes of a response's body of a client that does not say otherwise.
const RESPONSE_BYTES_MAX: u64 = 1024 * 1024;

/// HTTP client of one server, with the settings that all its requests share.
#[derive(Clone, Debug)]
pub struct HttpClient {
    endpoint: String,
    headers: Vec<Header>,
    timeout_ms: u32,
    response_bytes_max: u64,
}

impl HttpClient {
    /// Returns a client for the endpoint of this name in the definition. The first request reports
    /// a missing endpoint.
    pub fn new(endpoint: &str) -> HttpClient {
        HttpClient {
            endpoint: endpoint.to_owned(),
            headers: Vec::new(),
            timeout_ms: TIMEOUT_MS,
            response_bytes_max: RESPONSE_BYTES_MAX,
        }
    }

    /// Sets the time from the start of a request to the end of its response: 20 s by default, at
    /// most 300 s.
    pub fn timeout_ms(mut self, timeout_ms: u32) -> HttpClient {
        self.timeout_ms = timeout_ms;
        self
    }

    /// Sets the largest response body in bytes: 1 MiB by default, at most 1 GiB.
    pub fn response_bytes_max(mut self, bytes: u64) -> HttpClient {
        self.response_bytes_max = bytes;
        self
    }

    /// A header field that each request has, such as `authorization` with a secret of the broker.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> HttpClient {
        self.headers.push(field(name, value.as_ref()));
        self
    }

    /// A request without a body. The target is a path, and a query if there is one.
    pub fn request(&self, method: &str, target: &str) -> HttpRequest {
        let request = host::Request {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: self.headers.clone(),
            body: Vec::new(),
            timeout_ms: self.timeout_ms,
            response_bytes_max: self.response_bytes_max,
        };
        HttpRequest { endpoint: self.endpoint.clone(), request }
    }

    /// A request to read something.
    pub fn get(&self, target: &str) -> HttpRequest {
        self.request("GET", target)
    }

    /// A request to process the body.
    pub fn post(&self, target: &str, body: impl Into<Vec<u8>>) -> HttpRequest {
        self.request("POST", target).body(body)
    }

    /// A request to put the body there.
    pub fn put(&self, target: &str, body: impl Into<Vec<u8>>) -> HttpRequest {
        self.request("PUT", target).body(body)
    }

    /// A request to remove something.
    pub fn delete(&self, target: &str) -> HttpRequest {
        self.request("DELETE", target)
    }
}

/// A request that was not sent yet.
#[derive(Clone, Debug)]
pub struct HttpRequest {
    endpoint: String,
    request: host::Request,
}

impl HttpRequest {
    /// A further header field.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> HttpRequest {
        self.request.headers.push(field(name, value.as_ref()));
        self
    }

    /// The body, at most 16 MiB.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> HttpRequest {
        self.request.body = body.into();
        self
    }

    /// Time for this request, see [`HttpClient::timeout_ms`].
    pub fn timeout_ms(mut self, timeout_ms: u32) -> HttpRequest {
        self.request.timeout_ms = timeout_ms;
        self
    }

    /// Bytes of this response, see [`HttpClient::response_bytes_max`].
    pub fn response_bytes_max(mut self, bytes: u64) -> HttpRequest {
        self.request.response_bytes_max = bytes;
        self
    }

    /// Sends the request and waits for the whole response.
    pub fn send(self) -> Result<HttpResponse, HttpError> {
        self.start()?.response()
    }

    /// Begins to send the request and does not wait.
    pub fn start(self) -> Result<HttpExchange, HttpError> {
        host::Exchange::start(&self.endpoint, &self.request).map(HttpExchange)
    }
}

/// Request in progress. Dropping it cancels it.
///
/// It is a reader of the standard library for the body of the response.
#[derive(Debug)]
pub struct HttpExchange(host::Exchange);

impl HttpExchange {
    /// Waits for the head of the response.
    pub fn head(&self) -> Result<ResponseHead, HttpError> {
        self.0.head()
    }

    /// Waits for the next bytes of the body, at most `max` and at most 64 KiB; empty at the end.
    pub fn read_piece(&self, max: u32) -> Result<Vec<u8>, HttpError> {
        self.0.read(max)
    }

    /// Waits for the whole response.
    pub fn response(self) -> Result<HttpResponse, HttpError> {
        let ResponseHead { status, headers } = self.head()?;
        let mut body = Vec::new();
        loop {
            let piece = self.read_piece(PIECE_BYTES)?;
            if piece.is_empty() {
                return Ok(HttpResponse { status, headers, body });
            }
            body.extend_from_slice(&piece);
        }
    }
}

impl io::Read for HttpExchange {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let max = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let piece = self.0.read(max).map_err(io::Error::other)?;
        bytes[..piece.len()].copy_from_slice(&piece);
        Ok(piece.len())
    }
}

/// Waits until an exchange has something to read, the time is over, or the host has other work for
/// the guest. Returns the positions of the ready exchanges, or none. Read the head of an exchange
/// first.
pub fn wait(exchanges: &[&HttpExchange], timeout_ms: u32) -> Vec<u32> {
    let exchanges: Vec<&host::Exchange> = exchanges.iter().map(|exchange| &exchange.0).collect();
    host::wait(&exchanges, timeout_ms)
}

/// A whole response.
#[derive(Clone, Debug)]
pub struct HttpResponse {
    /// Status.
    pub status: u16,
    /// Header fields, their names in lower case.
    pub headers: Vec<Header>,
    /// Body.
    pub body: Vec<u8>,
}

impl HttpResponse {
    /// First header field of a name in lower case, where it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let field = self.headers.iter().find(|field| field.name == name)?;
        str::from_utf8(&field.value).ok()
    }

    /// Whether the status is one of success, 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// An error of an exchange in words, for people.
pub fn described(error: &HttpError) -> String {
    match error {
        HttpError::Denied(reason)
        | HttpError::Invalid(reason)
        | HttpError::TooLarge(reason)
        | HttpError::Other(reason) => reason.clone(),
        HttpError::Refused => "nothing listens there".to_owned(),
        HttpError::Unreachable(reason) => format!("it cannot be reached: {reason}"),
        HttpError::Tls(reason) => format!("TLS: {reason}"),
        HttpError::TimedOut => "it took too long".to_owned(),
        HttpError::Closed => "the connection has ended before the whole response had come".to_owned(),
        HttpError::Protocol(reason) => format!("what came is no response of HTTP: {reason}"),
        HttpError::LimitReached => "there are as many exchanges as there may be".to_owned(),
    }
}

fn field(name: &str, value: &[u8]) -> Header {
    Header { name: name.to_owned(), value: value.to_vec() }
}
