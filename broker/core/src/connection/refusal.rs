//! Refusal of a CONNECT: CONNACK with the reason, and the end of the connection.

use std::fmt::Display;

use lotmq_auth::ConnackTexts;
use lotmq_codec::{
    Connack, EncodeError, PropertyBuf, PropertyId, PropertyValue, ReasonCode, encode_connack, encode_within,
};

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
    answer_refusal(connection, recipient, reason, words)
}

/// Answers with a refusal and the texts of a member of the login chain. Its Reason String takes the
/// place of `words`. A Client that does not take so large a packet gets the code alone.
pub(crate) fn answer_refusal_with(
    connection: &Connection,
    recipient: Recipient,
    reason: ReasonCode,
    texts: &ConnackTexts,
    words: &dyn Display,
) -> CloseReason {
    let mut list = PropertyBuf::new();
    if recipient.version.has_properties() {
        let own = texts.reason.is_none().then(|| words.to_string().into_boxed_str());
        let texts = ConnackTexts { reason: own.or_else(|| texts.reason.clone()), ..texts.clone() };
        // Texts that a property cannot hold were refused with the answer of the member.
        let _ = announce_texts(&mut list, &texts);
    }
    let mut answer = Vec::new();
    let max = recipient.packet_bytes_max;
    let encoded = encode_within(&mut answer, max, list.properties(), |out, properties| {
        encode_connack(out, recipient.version, &Connack { properties, ..Connack::refusal(reason) })
    });
    if encoded.is_ok() {
        connection.transport.write_directly(&answer);
    }
    CloseReason::Refused
}

/// Adds the texts of a member of the login chain.
pub(crate) fn announce_texts(announced: &mut PropertyBuf, texts: &ConnackTexts) -> Result<(), EncodeError> {
    if let Some(reason) = &texts.reason {
        announced.push(PropertyId::ReasonString, PropertyValue::Utf8(reason))?;
    }
    for (name, value) in &texts.user_properties {
        announced.push(PropertyId::UserProperty, PropertyValue::Utf8Pair(name, value))?;
    }
    Ok(())
}

/// Answers with a refusal; 5.0 Clients get a sentence with it, unless it is too long for them
/// \[MQTT-3.2.2-19\].
pub(crate) fn answer_refusal(
    connection: &Connection,
    recipient: Recipient,
    reason: ReasonCode,
    words: &dyn Display,
) -> CloseReason {
    let mut answer = Vec::new();
    let encoded = recipient.explain(&mut answer, words, |out, properties| {
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
