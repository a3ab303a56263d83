//! Refusal of a CONNECT: CONNACK with the reason, and the end of the connection.

use std::fmt::Display;

use lotmq_codec::{Connack, ReasonCode, encode_connack};

use crate::connection::Connection;
use crate::durable::store_failure::StoreFailure;
use crate::reason::close::CloseReason;
use crate::reason::recipient::Recipient;

/// Refuses a Client that has not been identified, and logs it.
pub(crate) fn refuse(
    connection: &Connection,
    recipient: Recipient,
    reason: ReasonCode,
    words: &dyn Display,
) -> CloseReason {
    connection.listener.refused(&connection.peer(), (CloseReason::Refused.word(), words));
    answer_refusal(connection, recipient, reason, words, &[])
}

/// Answers with a refusal; 5.0 Clients get a sentence and these User Properties with it, unless
/// they are too long for them \[MQTT-3.2.2-19\].
pub(crate) fn answer_refusal(
    connection: &Connection,
    recipient: Recipient,
    reason: ReasonCode,
    words: &dyn Display,
    user_properties: &[(Box<str>, Box<str>)],
) -> CloseReason {
    let mut answer = Vec::new();
    let encoded = recipient.explain_with(&mut answer, words, user_properties, |out, properties| {
        encode_connack(out, recipient.version, &Connack { properties, ..Connack::refusal(reason) })
    });
    // The broker only closes the connection if the version has no code [3.1.1: MQTT-3.2.2-6], or
    // the Client takes no packet of this size.
    if encoded.is_ok() {
        connection.transport.write_directly(&answer);
    }
    CloseReason::Refused
}

/// Answers a CONNECT whose session cannot be stored.
pub(crate) fn refuse_unstored(
    connection: &Connection,
    recipient: Recipient,
    failure: StoreFailure,
) -> CloseReason {
    refuse(connection, recipient, unstored_reason(recipient, failure), &unstored_words(failure))
}

/// Reason Code for a CONNECT that cannot be stored: before 5.0 there is one code for everything
/// temporary.
pub(crate) fn unstored_reason(recipient: Recipient, failure: StoreFailure) -> ReasonCode {
    if recipient.version.has_properties() { failure.reason_code() } else { ReasonCode::ServerUnavailable }
}

/// Explains to a Client that its session cannot be stored.
pub(crate) fn unstored_words(failure: StoreFailure) -> String {
    format!("the session could not be stored: {failure}")
}
