//! Mapping from refusals of a broker to failures for the host.

use lotmq_codec::ReasonCode;
use lotmq_guest::route::Failure;

/// Returns the failure for a refused connection. A cause that only an operator can correct stops
/// the route; all else is retried.
pub(crate) fn of_connect(reason: ReasonCode) -> Failure {
    let text = format!("the broker refuses the connection: {reason}");
    match reason {
        ReasonCode::BadUserNameOrPassword
        | ReasonCode::ClientIdentifierNotValid
        | ReasonCode::BadAuthenticationMethod
        | ReasonCode::UnsupportedProtocolVersion => Failure::Fatal(text),
        // Brokers report "not authorized" for wrong passwords, but also while their authentication
        // service is away.
        _ => Failure::Reconnect(text),
    }
}

/// The failure of a message that the broker does not take.
pub(crate) fn of_publish(reason: ReasonCode) -> Failure {
    let text = format!("the broker refuses the message: {reason}");
    match reason {
        ReasonCode::NotAuthorized | ReasonCode::TopicNameInvalid | ReasonCode::PayloadFormatInvalid => {
            Failure::Reject(text)
        }
        _ => Failure::Retry(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_have_the_class_that_helps() {
        for (failure, expected) in [
            (of_connect(ReasonCode::BadUserNameOrPassword), "Fatal"),
            (of_connect(ReasonCode::NotAuthorized), "Reconnect"),
            (of_connect(ReasonCode::ServerBusy), "Reconnect"),
            (of_publish(ReasonCode::NotAuthorized), "Reject"),
            (of_publish(ReasonCode::QuotaExceeded), "Retry"),
            (of_publish(ReasonCode::UnspecifiedError), "Retry"),
        ] {
            assert!(format!("{failure:?}").contains(expected), "{failure:?}");
        }
    }
}
