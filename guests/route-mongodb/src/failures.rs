//! Mapping from server errors to failures of a message or the route. Codes and names: MongoDB's
//! `error_codes.yml`.

use bson::RawDocument;
use lotmq_guest::route::Failure;

use crate::bson_value::whole;
use crate::limits::REASON_CHARS_MAX;

/// A key is there already.
pub(crate) const DUPLICATE_KEY: i64 = 11_000;

/// The server does not know a command: an old one.
pub(crate) const COMMAND_NOT_FOUND: i64 = 59;

/// An error of a server.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ServerError {
    pub(crate) code: i64,
    /// Its name and its text, for people.
    pub(crate) reason: String,
    /// Whether the server marks it as retryable.
    is_retryable: bool,
}

/// Reaction to an error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Class {
    /// The same later.
    Retry,
    /// A new connection, which may lead to another member.
    Reconnect,
    /// Never.
    Reject,
    /// Other settings, or other rights.
    Fatal,
}

impl ServerError {
    /// Reads the error in a document: a reply, one of its `writeErrors`, or its
    /// `writeConcernError`.
    pub(crate) fn of(document: &RawDocument) -> ServerError {
        let code = whole(document, "code").unwrap_or_default();
        let text = |key: &str| document.get_str(key).ok().filter(|text| !text.is_empty());
        let name = text("codeName").map(str::to_owned).unwrap_or_else(|| format!("error {code}"));
        let said: String =
            text("errmsg").unwrap_or("without a reason").chars().take(REASON_CHARS_MAX).collect();
        let labels = document.get_array("errorLabels").ok();
        let is_retryable = labels.is_some_and(|labels| {
            labels.into_iter().flatten().any(|label| label.as_str() == Some("RetryableWriteError"))
        });
        ServerError { code, reason: format!("{name}: {said}"), is_retryable }
    }

    pub(crate) fn class(&self) -> Class {
        match class_of(self.code) {
            Class::Reject if self.is_retryable => Class::Retry,
            class => class,
        }
    }

    /// The failure that it is.
    pub(crate) fn into_failure(self) -> Failure {
        match self.class() {
            Class::Retry => Failure::Retry(self.reason),
            Class::Reconnect => Failure::Reconnect(self.reason),
            Class::Reject => Failure::Reject(self.reason),
            Class::Fatal => Failure::Fatal(self.reason),
        }
    }

    /// Converts an unmet write concern to a failure: the data is written, but not yet as safe as
    /// requested.
    pub(crate) fn into_failure_of_concern(self) -> Failure {
        match self.into_failure() {
            Failure::Reject(reason) => Failure::Retry(format!("write concern: {reason}")),
            failure => failure,
        }
    }

    /// The failure that it is when a connection is opened: without a login there is nothing to try.
    pub(crate) fn into_failure_of_login(self) -> Failure {
        match self.into_failure() {
            Failure::Retry(reason) | Failure::Reconnect(reason) => Failure::Reconnect(reason),
            Failure::Reject(reason) | Failure::Fatal(reason) => Failure::Fatal(reason),
        }
    }
}

fn class_of(code: i64) -> Class {
    match code {
        // Codes: HostUnreachable, HostNotFound, NetworkTimeout, ShutdownInProgress,
        // PrimarySteppedDown,
        // ReauthenticationRequired, SocketException, LegacyNotPrimary, NotWritablePrimary,
        // InterruptedAtShutdown,
        // InterruptedDueToReplStateChange, NotPrimaryNoSecondaryOk, NotPrimaryOrSecondary.
        6 | 7 | 89 | 91 | 189 | 391 | 9001 | 10_058 | 10_107 | 11_600 | 11_602 | 13_435 | 13_436 => {
            Class::Reconnect
        }
        // Codes: LockTimeout, CursorNotFound, LockBusy, MaxTimeMSExpired, StaleShardVersion,
        // WriteConcernFailed, WriteConflict, ConflictingOperationInProgress,
        // FailedToSatisfyReadPreference, ReadConcernMajorityNotAvailableYet, StaleEpoch,
        // QueryPlanKilled, CursorKilled, ExceededTimeLimit, TemporarilyUnavailable,
        // IngressRequestRateLimitExceeded, Interrupted, StaleConfig, OutOfDiskSpace.
        24 | 43 | 46 | 50 | 63 | 64 | 112 | 117 | 133 | 134 | 150 | 175 | 237 | 262 | 365 | 462 | 11_601
        | 13_388 | 14_031 => Class::Retry,
        // Codes: UserNotFound, Unauthorized, AuthenticationFailed, CommandNotFound,
        // UnknownReplWriteConcern, UnsatisfiableWriteConcern, APIVersionError, APIStrictError,
        // UnsupportedOpQueryCommand, AtlasError.
        11 | 13 | 18 | COMMAND_NOT_FOUND | 79 | 100 | 322 | 323 | 352 | 8000 => Class::Fatal,
        _ => Class::Reject,
    }
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;

    #[test]
    fn the_code_of_an_error_decides() {
        for (code, expected) in [
            (10_107, Class::Reconnect),
            (91, Class::Reconnect),
            (112, Class::Retry),
            (64, Class::Retry),
            (13, Class::Fatal),
            (18, Class::Fatal),
            (11_000, Class::Reject),
            (121, Class::Reject),
            (2, Class::Reject),
        ] {
            let error = ServerError::of(&rawdoc! { "code": code, "codeName": "Name", "errmsg": "why" });
            assert_eq!((error.class(), &*error.reason), (expected, "Name: why"), "{code}");
        }
        let labelled = rawdoc! { "code": 4711, "errorLabels": ["RetryableWriteError"] };
        let error = ServerError::of(&labelled);
        assert_eq!((error.class(), &*error.reason), (Class::Retry, "error 4711: without a reason"));
        let long = ServerError::of(&rawdoc! { "code": 2, "errmsg": "x".repeat(10_000) });
        assert!(long.reason.len() < 500);
    }
}
