//! Status codes of a server: their names, and the class of failure that each is.

use lotmq_guest::route::Failure;
use opcua_types::{StatusCode, status_code::SubStatusCode};
use route_tags::{Fault, StreamFault};

/// Reason why a service has brought nothing.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The server refuses it, and goes on with others.
    Refused(StatusCode),
    /// Nobody can be asked any more.
    Lost(Failure),
}

impl Trouble {
    /// Returns the trouble for nonsense from the other side, after which the connection is useless.
    pub(crate) fn broken(reason: impl std::fmt::Display) -> Trouble {
        Trouble::Lost(Failure::Reconnect(reason.to_string()))
    }

    /// Returns the failure of opening the connection.
    pub(crate) fn of_opening(self, service: &str) -> Failure {
        match self {
            Trouble::Refused(status) => opening(status, service),
            Trouble::Lost(failure) => failure,
        }
    }

    /// Returns the failure of writing a message.
    pub(crate) fn of_write(self) -> Failure {
        match self {
            Trouble::Refused(status) => of_write(status),
            Trouble::Lost(failure) => failure,
        }
    }
}

impl From<Trouble> for Fault {
    fn from(trouble: Trouble) -> Fault {
        match trouble {
            // Less of it may pass: it is asked for by halves.
            Trouble::Refused(
                status @ (StatusCode::BadTooManyOperations
                | StatusCode::BadResponseTooLarge
                | StatusCode::BadRequestTooLarge
                | StatusCode::BadEncodingLimitsExceeded),
            ) => Fault::Refused(named(status)),
            Trouble::Refused(status) => Fault::Unavailable(named(status)),
            Trouble::Lost(failure) => Fault::Lost(failure),
        }
    }
}

/// Name of a status code.
pub(crate) fn named(status: StatusCode) -> String {
    match status.sub_code() {
        SubStatusCode::Invalid => format!("status {:#010x}", status.bits()),
        known => known.name().to_owned(),
    }
}

/// Converts the status of a service to a result; the kind of the code decides the [`Trouble`].
pub(crate) fn heeded(status: StatusCode) -> Result<(), Trouble> {
    if !status.is_bad() {
        return Ok(());
    }
    if ends_session(status) {
        return Err(Trouble::broken(format!("the server says {}", named(status))));
    }
    Err(Trouble::Refused(status))
}

/// Whether session or channel are at their end with it.
pub(crate) fn ends_session(status: StatusCode) -> bool {
    use SubStatusCode as Code;
    matches!(
        status.sub_code(),
        Code::BadSessionIdInvalid
            | Code::BadSessionClosed
            | Code::BadSessionNotActivated
            | Code::BadSecureChannelClosed
            | Code::BadSecureChannelIdInvalid
            | Code::BadSecureChannelTokenUnknown
            | Code::BadSequenceNumberInvalid
            | Code::BadSecurityChecksFailed
            | Code::BadConnectionClosed
            | Code::BadCommunicationError
            | Code::BadServerHalted
            | Code::BadShutdown
            | Code::BadServerNotConnected
            | Code::BadTcpInternalError
            | Code::BadTcpSecureChannelUnknown
            | Code::BadTimeout
    )
}

/// Classifies a refusal while the connection opens. A cause that only an operator can correct stops
/// the route; all else is retried.
fn opening(status: StatusCode, service: &str) -> Failure {
    use SubStatusCode as Code;
    let reason = format!("{service}: {}", named(status));
    match status.sub_code() {
        Code::BadIdentityTokenInvalid
        | Code::BadIdentityTokenRejected
        | Code::BadUserAccessDenied
        | Code::BadUserSignatureInvalid
        | Code::BadSecurityPolicyRejected
        | Code::BadSecurityModeRejected
        | Code::BadServiceUnsupported
        | Code::BadProtocolVersionUnsupported => Failure::Fatal(reason),
        _ => Failure::Reconnect(reason),
    }
}

/// The class of failure of a message whose value the server does not take.
pub(crate) fn of_write(status: StatusCode) -> Failure {
    use SubStatusCode as Code;
    let reason = named(status);
    match status.sub_code() {
        // The server is there, and the device behind it or a resource is not.
        Code::BadNotConnected
        | Code::BadNoCommunication
        | Code::BadDeviceFailure
        | Code::BadSensorFailure
        | Code::BadOutOfService
        | Code::BadWaitingForInitialData
        | Code::BadWaitingForResponse
        | Code::BadOutOfMemory
        | Code::BadResourceUnavailable
        | Code::BadTooManyOperations
        | Code::BadTcpNotEnoughResources
        | Code::BadServerTooBusy
        | Code::BadRequestTimeout
        | Code::BadInvalidState
        | Code::BadInternalError
        | Code::BadUnexpectedError => Failure::Retry(reason),
        _ if ends_session(status) => Failure::Reconnect(reason),
        _ => Failure::Reject(reason),
    }
}

/// The connection is lost: why, for people.
pub(crate) fn lost(fault: StreamFault, timeout_ms: u32) -> Trouble {
    Trouble::broken(match fault {
        StreamFault::TimedOut => format!("the server does not answer within {timeout_ms} ms"),
        StreamFault::Broken(reason) | StreamFault::Ended(reason) => reason,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(failure: Failure) -> (&'static str, String) {
        match failure {
            Failure::Retry(reason) => ("retry", reason),
            Failure::Reconnect(reason) => ("reconnect", reason),
            Failure::Reject(reason) => ("reject", reason),
            Failure::Fatal(reason) => ("fatal", reason),
        }
    }

    #[test]
    fn codes_are_told_by_name_and_have_their_class() {
        for (status, expected) in [
            (StatusCode::BadNodeIdUnknown, "reject"),
            (StatusCode::BadNotWritable, "reject"),
            (StatusCode::BadTypeMismatch, "reject"),
            (StatusCode::BadUserAccessDenied, "reject"),
            (StatusCode::BadNotConnected, "retry"),
            (StatusCode::BadOutOfMemory, "retry"),
            (StatusCode::BadSessionClosed, "reconnect"),
            (StatusCode::BadTimeout, "reconnect"),
        ] {
            assert_eq!(class(of_write(status)), (expected, named(status)));
        }
        assert_eq!(named(StatusCode::BadNodeIdUnknown), "BadNodeIdUnknown");
        assert_eq!(named(StatusCode::from(0x8FFF_0000)), "status 0x8fff0000");
        assert_eq!(class(opening(StatusCode::BadIdentityTokenRejected, "ActivateSession")).0, "fatal");
        assert_eq!(class(opening(StatusCode::BadTooManySessions, "CreateSession")).0, "reconnect");
    }

    #[test]
    fn only_what_ends_the_session_costs_the_connection() {
        assert!(heeded(StatusCode::Good).is_ok());
        assert!(heeded(StatusCode::UncertainLastUsableValue).is_ok());
        assert!(matches!(heeded(StatusCode::BadNothingToDo), Err(Trouble::Refused(_))));
        assert!(matches!(heeded(StatusCode::BadSessionIdInvalid), Err(Trouble::Lost(Failure::Reconnect(_)))));
    }
}
