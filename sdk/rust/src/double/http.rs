//! Double of the interface `http`: a function of the test is the server.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

pub use self::ExchangeDouble as Exchange;
pub use super::bindings::lotmq::guest::http::{Header, HttpError, Request, ResponseHead};
use super::http::HttpResponse;

type Server = Rc<dyn Fn(&Request) -> Result<HttpResponse, HttpError>>;

thread_local! {
    static SERVERS: RefCell<BTreeMap<String, Server>> = RefCell::default();
}

/// Lets a function answer the requests to an endpoint.
pub fn serve(endpoint: &str, server: impl Fn(&Request) -> Result<HttpResponse, HttpError> + 'static) {
    SERVERS.with_borrow_mut(|servers| drop(servers.insert(endpoint.to_owned(), Rc::new(server))));
}

/// A response without header fields.
pub fn response(status: u16, body: impl Into<Vec<u8>>) -> HttpResponse {
    HttpResponse { status, headers: Vec::new(), body: body.into() }
}

/// A request that was answered when it began.
pub struct ExchangeDouble {
    response: Result<HttpResponse, HttpError>,
    taken: Cell<usize>,
    bytes_max: u64,
}

impl fmt::Debug for ExchangeDouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").finish_non_exhaustive()
    }
}

impl ExchangeDouble {
    pub fn start(endpoint: &str, request: &Request) -> Result<ExchangeDouble, HttpError> {
        if !request.target.starts_with('/') {
            return Err(HttpError::Invalid("the target is no path".to_owned()));
        }
        let server = SERVERS.with_borrow(|servers| servers.get(endpoint).map(Rc::clone));
        let server =
            server.ok_or_else(|| HttpError::Denied(format!("the test serves no endpoint '{endpoint}'")))?;
        Ok(ExchangeDouble {
            response: server(request),
            taken: Cell::new(0),
            bytes_max: request.response_bytes_max,
        })
    }

    pub fn head(&self) -> Result<ResponseHead, HttpError> {
        let response = self.response.as_ref().map_err(Clone::clone)?;
        Ok(ResponseHead { status: response.status, headers: response.headers.clone() })
    }

    pub fn read(&self, max: u32) -> Result<Vec<u8>, HttpError> {
        let body = &self.response.as_ref().map_err(Clone::clone)?.body;
        if body.len() as u64 > self.bytes_max {
            return Err(HttpError::TooLarge(format!("the body has more than {} bytes", self.bytes_max)));
        }
        let rest = &body[self.taken.get()..];
        let piece = &rest[..rest.len().min(max as usize).min(64 * 1024)];
        self.taken.set(self.taken.get() + piece.len());
        Ok(piece.to_vec())
    }
}

/// All of them, because each was answered when it began.
pub fn wait(exchanges: &[&ExchangeDouble], _timeout_ms: u32) -> Vec<u32> {
    (0..).zip(exchanges).map(|(at, _)| at).collect()
}
