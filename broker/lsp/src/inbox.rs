//! Reader of messages from the editor, in the framing of the protocol: headers and a body.
//!
//! Invariant: a message takes at most [`MESSAGE_BYTES_MAX`] of memory, and its headers at most
//! [`HEADER_BYTES_MAX`], whatever the headers claim.

use std::io::{self, BufRead, Read as _};

use lsp_server::Message;

/// Longest body that is read, in bytes: several times the longest file, in which every character is
/// escaped.
const MESSAGE_BYTES_MAX: u64 = 64 << 20;

/// Most bytes of headers before a body.
const HEADER_BYTES_MAX: u64 = 4096;

/// Why there is no message.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InboxError {
    /// It has been read to its end, and the next one may be better.
    #[error("not a message of the protocol: {0}")]
    NoMessage(String),
    /// Nobody knows where the next one begins.
    #[error("headers of more than {HEADER_BYTES_MAX} bytes")]
    LongHeaders,
    /// Reading on to its end would take for ever.
    #[error("a message of {0} bytes, the limit is {MESSAGE_BYTES_MAX}")]
    LongMessage(u64),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The next message; `None` at the end.
pub(crate) fn read(reader: &mut impl BufRead) -> Result<Option<Message>, InboxError> {
    let Some(headers) = headers(reader)? else { return Ok(None) };
    let length = content_length(&headers).map_err(InboxError::NoMessage)?;
    if length > MESSAGE_BYTES_MAX {
        return Err(InboxError::LongMessage(length));
    }
    let mut body = Vec::new();
    reader.by_ref().take(length).read_to_end(&mut body)?;
    if (body.len() as u64) < length {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    serde_json::from_slice(&body).map(Some).map_err(|error| InboxError::NoMessage(error.to_string()))
}

/// The headers, which are read with the empty line behind them; `None` at the end of the input.
fn headers(reader: &mut impl BufRead) -> Result<Option<String>, InboxError> {
    let mut headers = Vec::new();
    loop {
        let before = headers.len();
        let left = HEADER_BYTES_MAX.saturating_sub(before as u64);
        reader.by_ref().take(left).read_until(b'\n', &mut headers)?;
        let line = headers.get(before..).unwrap_or_default();
        if line.trim_ascii().is_empty() && line.ends_with(b"\n") {
            return Ok(Some(String::from_utf8_lossy(&headers).into_owned()));
        }
        if headers.len() as u64 >= HEADER_BYTES_MAX {
            return Err(InboxError::LongHeaders);
        }
        if !line.ends_with(b"\n") {
            return Ok(None);
        }
    }
}

/// Returns the length of the body in bytes, or the error in the headers.
fn content_length(headers: &str) -> Result<u64, String> {
    let mut length = Err("no Content-Length before it".to_owned());
    for line in headers.lines().filter(|line| !line.trim().is_empty()) {
        let Some((name, value)) = line.split_once(':') else {
            return Err(format!("`{}` is no header", line.trim().escape_debug()));
        };
        if name.eq_ignore_ascii_case("content-length") {
            let value = value.trim();
            length = value.parse().map_err(|_| format!("`{}` is no length", value.escape_debug()));
        }
    }
    length
}
