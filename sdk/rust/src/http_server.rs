//! HTTP server of a route: an endpoint whose section has `LISTEN` and `SERVE "HTTP"`.
//!
//! ```ignore
//! use lotmq_guest::route::{Failure, http_server::{HttpReply, HttpServer}};
//!
//! thread_local!(static SERVER: OnceCell<HttpServer> = const { OnceCell::new() });
//!
//! fn run(until_ms: u32) -> Result<u32, Failure> {
//!     SERVER.with(|server| server.get().expect("open has made it").run(until_ms, |asked| {
//!         let reply = HttpReply::text(200, &format!("you asked for {}", asked.path()));
//!         asked.reply(reply);
//!         Ok(())
//!     }))
//! }
//! ```
//!
//! A guest can answer a request in a later call of the host. It keeps the [`IncomingRequest`] or
//! its [`Responder`], and answers in [`Route::deliver`](super::Route::deliver) when the message
//! arrives. The client gets 500 if the guest drops the request, and 504 if the guest keeps it too
//! long.

pub use super::bindings::lotmq::guest::{
    http::Header,
    http_server::{RespondError, Responder},
};
use super::{
    Failure, IoError, ambient,
    bindings::lotmq::guest::http_server::{self as host, Request, Response, ServerOptions},
    net::{self, Interest, Signal},
};
use std::sync::Arc;

/// Bytes of a request's body of a server that does not say otherwise.
const BODY_BYTES_MAX: u32 = 1024 * 1024;

/// Milliseconds for an answer of a server that does not say otherwise.
const TIMEOUT_MS: u32 = 30_000;

/// Limits of a server.
#[derive(Clone, Copy, Debug)]
pub struct HttpServerOptions {
    body_bytes_max: u32,
    timeout_ms: u32,
}

impl Default for HttpServerOptions {
    fn default() -> Self {
        Self { body_bytes_max: BODY_BYTES_MAX, timeout_ms: TIMEOUT_MS }
    }
}

impl HttpServerOptions {
    /// Sets the largest request body in bytes: 1 MiB by default, at most 16 MiB. The server answers
    /// longer ones with 413.
    pub fn body_bytes_max(self, body_bytes_max: u32) -> Self {
        Self { body_bytes_max, ..self }
    }

    /// Sets the time for an answer: 30 s by default, at most 300 s. After it the host answers 504.
    pub fn timeout_ms(self, timeout_ms: u32) -> Self {
        Self { timeout_ms, ..self }
    }
}

/// A server. Dropping it ends it.
#[derive(Debug)]
pub struct HttpServer {
    server: host::Server,
    acceptable: Arc<Signal>,
}

impl HttpServer {
    /// Begins to serve at the endpoint of this name in the definition.
    pub fn serve(endpoint: &str, options: HttpServerOptions) -> Result<Self, IoError> {
        let HttpServerOptions { body_bytes_max, timeout_ms } = options;
        let server = host::Server::serve(endpoint, ServerOptions { body_bytes_max, timeout_ms })?;
        let acceptable = Arc::new(server.acceptable()?);
        Ok(Self { server, acceptable })
    }

    /// The next request; `None` when there is none now. Never waits.
    pub fn next(&self) -> Result<Option<IncomingRequest>, IoError> {
        match self.server.accept() {
            Ok((request, responder)) => Ok(Some(IncomingRequest { request, responder })),
            Err(IoError::WouldBlock) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns the interest for [`net::wait`] in a new request.
    pub fn acceptable(&self) -> Interest<'_> {
        Interest::Signalled(&self.acceptable)
    }

    /// Calls `each` for every request until the host has other work or the time is over. Implements
    /// [`Route::run`](super::Route::run) for a route that only serves. Returns that it runs again
    /// at once.
    pub fn run(
        &self,
        until_ms: u32,
        mut each: impl FnMut(IncomingRequest) -> Result<(), Failure>,
    ) -> Result<u32, Failure> {
        let until = ambient::monotonic_ms() + u64::from(until_ms);
        loop {
            let left = until.saturating_sub(ambient::monotonic_ms());
            let left = u32::try_from(left).unwrap_or(u32::MAX);
            let ready = net::wait(&[Interest::HostWork, self.acceptable()], left);
            if ready.is_empty() || ready.contains(&0) {
                return Ok(0);
            }
            match self.next() {
                Ok(Some(asked)) => each(asked)?,
                // The guest must answer the requests that it keeps before it takes others.
                Ok(None) => {}
                Err(IoError::LimitReached) => return Ok(100),
                Err(error) => return Err(super::failure(&error)),
            }
        }
    }

    /// The next request, for asynchronous code.
    pub async fn accept(&self) -> Result<IncomingRequest, IoError> {
        loop {
            match self.next()? {
                Some(asked) => return Ok(asked),
                None => super::executor::signalled(&self.acceptable).await,
            }
        }
    }

    /// Port of this machine that it has.
    pub fn local_port(&self) -> Result<u16, IoError> {
        self.server.local_port()
    }
}

/// A request that has no answer yet. Dropped without one, the host answers 500.
#[derive(Debug)]
pub struct IncomingRequest {
    request: Request,
    responder: Responder,
}

impl IncomingRequest {
    /// Method, such as `GET`.
    pub fn method(&self) -> &str {
        &self.request.method
    }

    /// Returns the path as received, with its escapes.
    pub fn path(&self) -> &str {
        &self.request.path
    }

    /// Returns the query after the `?`, as received.
    pub fn query(&self) -> Option<&str> {
        self.request.query.as_deref()
    }

    /// Returns the first field of this name, in lower case. Returns `None` if it is missing or its
    /// value is not UTF-8.
    pub fn header(&self, name: &str) -> Option<&str> {
        let field = self.request.headers.iter().find(|field| field.name == name)?;
        std::str::from_utf8(&field.value).ok()
    }

    /// All fields, with names in lower case.
    pub fn headers(&self) -> &[Header] {
        &self.request.headers
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.request.body
    }

    /// Address of the client, `ip:port`.
    pub fn peer(&self) -> &str {
        &self.request.peer
    }

    /// Time that was left for the answer when the request was taken, in milliseconds.
    pub fn time_left_ms(&self) -> u32 {
        self.request.time_left_ms
    }

    /// Sends the reply. If it cannot be sent, the client gets 500. A client that has gone causes no
    /// error.
    pub fn reply(self, reply: HttpReply) {
        reply.send(&self.responder);
    }

    /// Splits into the request and the right to answer it, to answer it later.
    pub fn into_parts(self) -> (Request, Responder) {
        (self.request, self.responder)
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub struct HttpReply(Response);

impl HttpReply {
    /// An answer without fields.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self(Response { status, headers: Vec::new(), body: body.into() })
    }

    /// Plain text.
    pub fn text(status: u16, text: &str) -> Self {
        Self::new(status, text).header("content-type", "text/plain; charset=utf-8")
    }

    /// JSON text.
    pub fn json(status: u16, json: impl Into<Vec<u8>>) -> Self {
        Self::new(status, json).header("content-type", "application/json")
    }

    /// A further field.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.0.headers.push(Header { name: name.to_owned(), value: value.as_ref().to_vec() });
        self
    }

    /// Answers a request that was kept; see [`IncomingRequest::reply`].
    pub fn send(self, responder: &Responder) {
        if let Err(RespondError::Invalid(_) | RespondError::TooLarge(_) | RespondError::LimitReached) =
            responder.respond(&self.0)
        {
            // Small, and well formed: it is refused only where the client has gone.
            let _ = responder.respond(&HttpReply::text(500, "the answer cannot be sent").0);
        }
    }
}
