//! The opening handshake as a client does it, RFC 6455 §4.1.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::deflate::DeflateParams;
use crate::handshake::{Fields, accept_key};
use crate::limits::{HEAD_BYTES_MAX, HEADERS_MAX};

/// An answer with which the connection is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Bytes of the answer; frames begin behind them.
    pub consumed: usize,
    /// Negotiated parameters of compression; `None` without compression.
    pub deflate: Option<DeflateParams>,
}

/// Why an answer does not open the connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// It is not HTTP, or too long.
    #[error("the answer to the WebSocket handshake is not HTTP")]
    Malformed,
    /// The server does not want to.
    #[error("the server refused the WebSocket with status {status}")]
    Refused {
        /// Status code of HTTP.
        status: u16,
    },
    /// The server agreed to something else.
    #[error("the server answered the WebSocket handshake with a wrong {field}")]
    Wrong {
        /// The header field.
        field: &'static str,
    },
}

/// The request. `key` are 16 random bytes.
#[must_use]
pub fn request(host: &str, path: &str, subprotocol: &str, key: [u8; 16], compresses: bool) -> Vec<u8> {
    let extensions = if compresses { "Sec-WebSocket-Extensions: permessage-deflate\r\n" } else { "" };
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {subprotocol}\r\n{extensions}\r\n",
        BASE64.encode(key)
    )
    .into_bytes()
}

/// Judges the answer in `head` to a request with this key; `None` while it has not come as a whole.
///
/// # Errors
/// [`HandshakeError`].
pub fn check_answer(
    head: &[u8],
    subprotocol: &str,
    key: [u8; 16],
) -> Result<Option<Answered>, HandshakeError> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let consumed = match response.parse(head) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) if head.len() < HEAD_BYTES_MAX => return Ok(None),
        Ok(httparse::Status::Partial) | Err(_) => return Err(HandshakeError::Malformed),
    };
    if response.code != Some(101) {
        return Err(HandshakeError::Refused { status: response.code.unwrap_or_default() });
    }
    let fields = Fields(response.headers);
    let expected = accept_key(&BASE64.encode(key));
    if fields.first("sec-websocket-accept") != Some(&expected) {
        return Err(HandshakeError::Wrong { field: "Sec-WebSocket-Accept" });
    }
    if fields.first("sec-websocket-protocol") != Some(subprotocol) {
        return Err(HandshakeError::Wrong { field: "Sec-WebSocket-Protocol" });
    }
    let deflate = match fields.first("sec-websocket-extensions") {
        None => None,
        Some(text) => {
            let agreed = DeflateParams::parse(text, false);
            Some(agreed.ok_or(HandshakeError::Wrong { field: "Sec-WebSocket-Extensions" })?)
        }
    };
    Ok(Some(Answered { consumed, deflate }))
}
