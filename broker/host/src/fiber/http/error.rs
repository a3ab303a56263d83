//! Errors of exchanges: converts those of sockets, TLS and `hyper` into those for guests and
//! figures.

use super::super::bindings::lotmq::guest::{http::HttpError, http_server::RespondError, net::IoError};
use super::super::{http_event::HttpFailure, io_error::tls_reason};
use std::{error::Error as _, io};

/// Returns the kind of a failure.
pub(super) fn kind(error: &HttpError) -> HttpFailure {
    match error {
        HttpError::Denied(_) => HttpFailure::Denied,
        HttpError::Invalid(_) => HttpFailure::Invalid,
        HttpError::Refused => HttpFailure::Refused,
        HttpError::Unreachable(_) => HttpFailure::Unreachable,
        HttpError::Tls(_) => HttpFailure::Tls,
        HttpError::TimedOut => HttpFailure::TimedOut,
        HttpError::Closed => HttpFailure::Closed,
        HttpError::TooLarge(_) => HttpFailure::TooLarge,
        HttpError::Protocol(_) => HttpFailure::Protocol,
        HttpError::LimitReached => HttpFailure::LimitReached,
        HttpError::Other(_) => HttpFailure::Other,
    }
}

impl From<IoError> for HttpError {
    fn from(error: IoError) -> HttpError {
        match error {
            IoError::Denied(text) => HttpError::Denied(text),
            IoError::Refused => HttpError::Refused,
            IoError::Unreachable(text) => HttpError::Unreachable(text),
            IoError::TimedOut => HttpError::TimedOut,
            IoError::Closed => HttpError::Closed,
            IoError::WouldBlock => HttpError::Other("it would wait".to_owned()),
            IoError::Tls(text) => HttpError::Tls(text),
            IoError::LimitReached => HttpError::LimitReached,
            IoError::Other(text) => HttpError::Other(text),
        }
    }
}

/// Reports an invalid answer with the same text as an invalid request.
impl From<HttpError> for RespondError {
    fn from(error: HttpError) -> RespondError {
        match error {
            HttpError::TooLarge(text) => RespondError::TooLarge(text),
            HttpError::LimitReached => RespondError::LimitReached,
            HttpError::Denied(text)
            | HttpError::Invalid(text)
            | HttpError::Unreachable(text)
            | HttpError::Tls(text)
            | HttpError::Protocol(text)
            | HttpError::Other(text) => RespondError::Invalid(text),
            HttpError::Refused | HttpError::TimedOut | HttpError::Closed => RespondError::Gone,
        }
    }
}

/// Converts an error of `hyper` in an exchange over an open connection.
pub(super) fn of_hyper(error: &hyper::Error) -> HttpError {
    if let Some(cause) = error.source().and_then(|cause| cause.downcast_ref::<io::Error>()) {
        return of_io(cause);
    }
    if error.is_parse_too_large() {
        HttpError::TooLarge("head of the response".to_owned())
    } else if error.is_parse() {
        HttpError::Protocol(error.to_string())
    } else if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        HttpError::Closed
    } else {
        HttpError::Other(error.to_string())
    }
}

/// Converts an error of the connection or of the decoder of chunks.
#[expect(clippy::wildcard_enum_match_arm, reason = "the standard library's list grows")]
fn of_io(error: &io::Error) -> HttpError {
    use io::ErrorKind;
    match error.kind() {
        _ if error.get_ref().is_some_and(|cause| cause.is::<rustls::Error>()) => {
            HttpError::Tls(tls_reason(error))
        }
        ErrorKind::InvalidData | ErrorKind::InvalidInput => HttpError::Protocol(error.to_string()),
        ErrorKind::TimedOut => HttpError::TimedOut,
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::NotConnected
        | ErrorKind::UnexpectedEof => HttpError::Closed,
        _ => HttpError::Other(error.to_string()),
    }
}
