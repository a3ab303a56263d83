//! Errors of sockets, as guests see them.

use super::bindings::lotmq::guest::net::IoError;
use lotmq_chain::report::{Side, describe};
use std::io;

/// Returns the reason why a connection has no TLS, for the operator of the connecting side.
pub(super) fn tls_reason(error: &io::Error) -> String {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    cause.map_or_else(|| error.to_string(), |cause| describe(cause, Side::Client))
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the standard library's list grows")]
pub(super) fn io_error(error: &io::Error) -> IoError {
    use io::ErrorKind;
    match error.kind() {
        ErrorKind::WouldBlock => IoError::WouldBlock,
        ErrorKind::ConnectionRefused => IoError::Refused,
        ErrorKind::TimedOut => IoError::TimedOut,
        ErrorKind::InvalidData => IoError::Tls(tls_reason(error)),
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::NotConnected
        | ErrorKind::UnexpectedEof => IoError::Closed,
        _ => IoError::Other(error.to_string()),
    }
}
