//! A guest's request, checked and as `hyper` sends it.
//!
//! Invariant: a request of a guest stays one request. No part of it can end a line, and the host
//! sets its length and the use of the connection.

use super::super::{
    bindings::lotmq::guest::http::{self, Header, HttpError},
    endpoint::{Endpoint, EndpointTls},
};
use crate::limits::{
    HTTP_HEAD_BYTES_MAX, HTTP_HEADERS_MAX, HTTP_REQUEST_BYTES_MAX, HTTP_RESPONSE_BYTES_MAX,
    HTTP_TARGET_BYTES_MAX,
};
use http_body_util::Full;
use hyper::{
    HeaderMap, Method, Request, Uri,
    body::Bytes,
    header::{CONTENT_LENGTH, HOST, HeaderName, HeaderValue, USER_AGENT},
};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Fields that the host says itself, because they are about the connection or where the body ends.
const OF_HOST: [&str; 9] = [
    "connection",
    "content-length",
    "expect",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Bytes of a header field besides name and value: the separator and the end of the line.
const FIELD_BYTES: usize = 4;

/// Body of a request.
pub(in crate::fiber) type RequestBody = Full<Bytes>;

/// A request that can be sent.
#[derive(Debug)]
pub(in crate::fiber) struct Prepared {
    pub(in crate::fiber) request: Request<RequestBody>,
    pub(in crate::fiber) response_bytes_max: u64,
}

/// Bytes of a body, which count until they are dropped.
struct Counted {
    bytes: Vec<u8>,
    _room: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Checks a request for an endpoint; its body takes room of those that an instance may have.
pub(in crate::fiber) fn prepared(
    asked: http::Request,
    endpoint: &Endpoint,
    room: &Arc<Semaphore>,
) -> Result<Prepared, HttpError> {
    let http::Request { method, target, headers, body, response_bytes_max, timeout_ms: _ } = asked;
    if matches!(endpoint.tls, EndpointTls::OnDemand(_)) {
        let reason = "TLS begins later on the endpoint (USE_STARTTLS); HTTP has it from the first byte";
        return Err(HttpError::Denied(reason.to_owned()));
    }
    let (method, uri) = (checked_method(&method)?, checked_target(&target)?);
    let mut fields = checked_headers(headers)?;
    if !fields.contains_key(HOST) {
        let host = host(endpoint);
        let value = HeaderValue::from_str(&host).map_err(|_| invalid(format!("'{host}' is no host")))?;
        fields.insert(HOST, value);
    }
    fields.entry(USER_AGENT).or_insert(HeaderValue::from_static("lotmq"));
    let needs_length = [Method::POST, Method::PUT, Method::PATCH].contains(&method);
    if !body.is_empty() || needs_length {
        fields.insert(CONTENT_LENGTH, body.len().into());
    }
    let mut request = Request::new(Full::new(counted(body, room)?));
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.headers_mut() = fields;
    Ok(Prepared { request, response_bytes_max: response_bytes_max.min(HTTP_RESPONSE_BYTES_MAX) })
}

fn checked_method(method: &str) -> Result<Method, HttpError> {
    let known = Method::from_bytes(method.as_bytes());
    let method = known.map_err(|_| invalid("the method is no token".to_owned()))?;
    if method.as_str().eq_ignore_ascii_case("CONNECT") {
        return Err(invalid("CONNECT is for proxies".to_owned()));
    }
    Ok(method)
}

fn checked_target(target: &str) -> Result<Uri, HttpError> {
    if target.len() > HTTP_TARGET_BYTES_MAX {
        return Err(too_large(format!("target of {} bytes, limit {HTTP_TARGET_BYTES_MAX}", target.len())));
    }
    let is_plain =
        target.starts_with('/') && target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    let uri = is_plain.then(|| Uri::builder().path_and_query(target).build().ok()).flatten();
    uri.ok_or_else(|| {
        invalid("the target is no path with a query, which begins with '/' and is printable ASCII".to_owned())
    })
}

/// Checks the fields of a head that a guest has written.
pub(in super::super) fn checked_headers(headers: Vec<Header>) -> Result<HeaderMap, HttpError> {
    if headers.len() > HTTP_HEADERS_MAX {
        return Err(too_large(format!("{} header fields, limit {HTTP_HEADERS_MAX}", headers.len())));
    }
    let bytes: usize = headers.iter().map(|field| field.name.len() + field.value.len() + FIELD_BYTES).sum();
    if bytes > HTTP_HEAD_BYTES_MAX {
        return Err(too_large(format!("header fields of {bytes} bytes, limit {HTTP_HEAD_BYTES_MAX}")));
    }
    let mut fields = HeaderMap::new();
    for Header { name, value } in headers {
        let known = HeaderName::from_bytes(name.as_bytes());
        let name = known.map_err(|_| invalid("a name of a header field is no token".to_owned()))?;
        if OF_HOST.contains(&name.as_str()) {
            return Err(invalid(format!("header field '{name}' is the host's")));
        }
        let value = HeaderValue::from_maybe_shared(Bytes::from(value))
            .map_err(|_| invalid(format!("the value of header field '{name}' has control characters")))?;
        if name == HOST && fields.contains_key(HOST) {
            return Err(invalid("header field 'host' is there twice".to_owned()));
        }
        fields.append(name, value);
    }
    Ok(fields)
}

/// Returns the bytes of a body, which take room until they are dropped.
fn counted(bytes: Vec<u8>, room: &Arc<Semaphore>) -> Result<Bytes, HttpError> {
    if bytes.is_empty() {
        return Ok(Bytes::new());
    }
    let length = bytes.len();
    let permits = u32::try_from(length).ok().filter(|_| length <= HTTP_REQUEST_BYTES_MAX);
    let Some(permits) = permits else {
        return Err(too_large(format!("body of {length} bytes, limit {HTTP_REQUEST_BYTES_MAX}")));
    };
    let taken = Arc::clone(room).try_acquire_many_owned(permits);
    let _room = taken.map_err(|_| HttpError::LimitReached)?;
    Ok(Bytes::from_owner(Counted { bytes, _room }))
}

/// Returns the value of the `Host` header: the name in the certificate, with the port if it is not
/// the default.
fn host(endpoint: &Endpoint) -> String {
    let name = endpoint.server_name.as_ref().unwrap_or(&endpoint.host);
    let name = if name.contains(':') { format!("[{name}]") } else { name.clone() };
    let usual = if matches!(endpoint.tls, EndpointTls::Never) { 80 } else { 443 };
    if endpoint.port == usual { name } else { format!("{name}:{}", endpoint.port) }
}

fn invalid(reason: String) -> HttpError {
    HttpError::Invalid(reason)
}

fn too_large(what: String) -> HttpError {
    HttpError::TooLarge(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room() -> Arc<Semaphore> {
        Arc::new(Semaphore::new(HTTP_REQUEST_BYTES_MAX))
    }

    fn asked(method: &str, target: &str, headers: &[(&str, &[u8])], body: Vec<u8>) -> http::Request {
        let header =
            |(name, value): &(&str, &[u8])| Header { name: (*name).to_owned(), value: value.to_vec() };
        http::Request {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: headers.iter().map(header).collect(),
            body,
            timeout_ms: 1,
            response_bytes_max: u64::MAX,
        }
    }

    fn made(request: http::Request) -> Result<Prepared, HttpError> {
        let endpoint = Endpoint { host: "plc".to_owned(), port: 8080, ..Endpoint::default() };
        prepared(request, &endpoint, &room())
    }

    #[test]
    fn request_smuggling_through_target_method_or_header_is_rejected() {
        for target in ["", "a", "*", "http://a/", "/a b", "/a\r\nX: y", "/a#b", "/\u{e4}", "/\0", "/\u{7f}"] {
            let refused = made(asked("GET", target, &[], Vec::new())).unwrap_err();
            assert!(matches!(refused, HttpError::Invalid(_)), "{target:?}: {refused:?}");
        }
        for method in ["", "GE T", "GET\r\n", "CONNECT", "connect", "G\u{e4}"] {
            let refused = made(asked(method, "/", &[], Vec::new())).unwrap_err();
            assert!(matches!(refused, HttpError::Invalid(_)), "{method:?}: {refused:?}");
        }
        let fields: [(&str, &[u8]); 12] = [
            ("x", b"a\r\ny: z"),
            ("x", b"a\n"),
            ("x", b"a\0"),
            ("x\r\ny", b"a"),
            ("x:", b"a"),
            ("", b"a"),
            (" x", b"a"),
            ("Content-Length", b"7"),
            ("TRANSFER-ENCODING", b"chunked"),
            ("connection", b"close"),
            ("Upgrade", b"websocket"),
            ("expect", b"100-continue"),
        ];
        for field in fields {
            let refused = made(asked("GET", "/", &[field], Vec::new())).unwrap_err();
            assert!(matches!(refused, HttpError::Invalid(_)), "{field:?}: {refused:?}");
        }
        let twice: [(&str, &[u8]); 2] = [("host", b"a"), ("Host", b"b")];
        assert!(matches!(made(asked("GET", "/", &twice, Vec::new())), Err(HttpError::Invalid(_))));
    }

    #[test]
    fn requests_are_bounded() {
        let long = format!("/{}", "x".repeat(HTTP_TARGET_BYTES_MAX));
        let value = vec![b'x'; HTTP_HEAD_BYTES_MAX];
        let many: Vec<(&str, &[u8])> = vec![("a", b"b"); HTTP_HEADERS_MAX + 1];
        for (target, fields, body) in [
            (long.as_str(), &[][..], Vec::new()),
            ("/", &[("x", &*value)], Vec::new()),
            ("/", &many, Vec::new()),
            ("/", &[], vec![0; HTTP_REQUEST_BYTES_MAX + 1]),
        ] {
            let refused = made(asked("POST", target, fields, body)).unwrap_err();
            assert!(matches!(refused, HttpError::TooLarge(_)), "{refused:?}");
        }
        let most =
            made(asked("POST", &long[..HTTP_TARGET_BYTES_MAX], &many[1..], vec![0; HTTP_REQUEST_BYTES_MAX]));
        assert_eq!(most.unwrap().response_bytes_max, HTTP_RESPONSE_BYTES_MAX);
        // All that are there together.
        let (room, endpoint) = (room(), Endpoint { host: "plc".to_owned(), port: 80, ..Endpoint::default() });
        let half = || asked("POST", "/", &[], vec![0; HTTP_REQUEST_BYTES_MAX / 2 + 1]);
        let first = prepared(half(), &endpoint, &room).unwrap();
        assert!(matches!(prepared(half(), &endpoint, &room), Err(HttpError::LimitReached)));
        drop(first);
        assert!(prepared(half(), &endpoint, &room).is_ok());
    }

    #[test]
    fn the_host_says_whom_and_how_much() {
        let made = made(asked("post", "/a?b=c%20d", &[("X-A", b"1"), ("x-a", b"2")], b"hello".to_vec()));
        let request = made.unwrap().request;
        assert_eq!((request.method().as_str(), request.uri().to_string().as_str()), ("post", "/a?b=c%20d"));
        let field = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
        assert_eq!(
            (field("host"), field("content-length"), field("user-agent")),
            (Some("plc:8080"), Some("5"), Some("lotmq"))
        );
        assert_eq!(request.headers().get_all("x-a").iter().count(), 2);
        for (host_name, port, server_name, expected) in [
            ("plc", 80, None, "plc"),
            ("10.0.0.7", 81, None, "10.0.0.7:81"),
            ("::1", 80, None, "[::1]"),
            ("::1", 8080, None, "[::1]:8080"),
            ("10.0.0.7", 80, Some("api.example"), "api.example"),
        ] {
            let server_name = server_name.map(str::to_owned);
            let endpoint = Endpoint { host: host_name.to_owned(), port, server_name, ..Endpoint::default() };
            assert_eq!(host(&endpoint), expected);
        }
        let own: [(&str, &[u8]); 2] = [("host", b"other"), ("user-agent", b"mine")];
        let own = self::made(asked("GET", "/", &own, Vec::new())).unwrap().request;
        assert_eq!(
            (&own.headers()["host"], &own.headers()["user-agent"]),
            (&"other".parse().unwrap(), &"mine".parse().unwrap())
        );
        assert!(!own.headers().contains_key("content-length"));
        let empty = self::made(asked("POST", "/", &[], Vec::new())).unwrap().request;
        assert_eq!(empty.headers()["content-length"], "0");
    }
}
