//! CONNACK: what a Client is told with its session, or why it gets none.

use std::fmt::Display;

use lotmq_codec::{Connack, EncodeError, PropertyBuf, PropertyId, PropertyValue, ReasonCode, encode_connack};

use crate::client::request::Request;
use crate::connection::Connection;
use crate::durable::store_failure::StoreFailure;
use crate::reason::close::CloseReason;
use crate::reason::recipient::Recipient;

/// Encodes CONNACK, with properties that differ from the standard's defaults and from the Client's wishes; optional ones are left out where the Client takes no packet of that size.
pub(crate) fn connack(connection: &Connection, request: &Request, session_present: bool) -> Vec<u8> {
    let whole = encoded_connack(connection, request, session_present, true);
    if whole.len() <= request.recipient.packet_bytes_max as usize {
        return whole;
    }
    encoded_connack(connection, request, session_present, false)
}

fn encoded_connack(
    connection: &Connection,
    request: &Request,
    session_present: bool,
    with_information: bool,
) -> Vec<u8> {
    let mut announced = PropertyBuf::new();
    if request.version.has_properties() {
        announce(&mut announced, connection, request, with_information).expect(
            "the broker's own properties have legal values: the identifier came in a packet or was made here",
        );
    }
    let connack =
        Connack { session_present, reason: ReasonCode::Success, properties: announced.properties() };
    let mut packet = Vec::new();
    encode_connack(&mut packet, request.version, &connack).expect("an acceptance is legal in every version");
    packet
}

/// Whether the Client takes a CONNACK at all.
pub(crate) fn connack_fits(connection: &Connection, request: &Request) -> bool {
    let limit = request.recipient.packet_bytes_max;
    limit == u32::MAX || connack(connection, request, true).len() <= limit as usize
}

fn announce(
    announced: &mut PropertyBuf,
    connection: &Connection,
    request: &Request,
    with_information: bool,
) -> Result<(), EncodeError> {
    use PropertyId as Id;
    use PropertyValue as Value;
    if request.is_expiry_ours {
        announced.push(Id::SessionExpiryInterval, Value::FourByte(request.expiry.seconds()))?;
    }
    announced.push(Id::ReceiveMaximum, Value::TwoByte(connection.listener.limits.receive_maximum))?;
    announced.push(Id::MaximumPacketSize, Value::FourByte(connection.listener.limits.max_packet_size))?;
    announced.push(Id::TopicAliasMaximum, Value::TwoByte(connection.listener.limits.topic_alias_maximum))?;
    if request.is_keep_alive_ours {
        announced.push(Id::ServerKeepAlive, Value::TwoByte(request.keep_alive))?;
    }
    if let Some(information) = request.response_information.as_ref().filter(|_| with_information) {
        announced.push(Id::ResponseInformation, Value::Utf8(information))?;
    }
    if let Some((method, data)) = &request.authenticated {
        announced.push(Id::AuthenticationMethod, Value::Utf8(method.name()))?;
        announced.push(Id::AuthenticationData, Value::Binary(data))?;
    }
    if request.is_assigned {
        announced.push(Id::AssignedClientIdentifier, Value::Utf8(&request.client_id))?;
    }
    if let Some(offer) = connection.transport.zstd().filter(|_| request.zstd.is_some()) {
        for (name, value) in offer.properties() {
            announced.push(Id::UserProperty, Value::Utf8Pair(name, &value))?;
        }
    }
    Ok(())
}

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

/// Answers with a refusal; 5.0 Clients get a sentence with it, unless it is too long for them \[MQTT-3.2.2-19\].
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
    // Where the version has no code for the reason [3.1.1: MQTT-3.2.2-6], or the Client takes no packet of this size, closing is the answer.
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

/// Reason Code for a CONNECT that cannot be stored: before 5.0 there is one code for everything temporary.
pub(crate) fn unstored_reason(recipient: Recipient, failure: StoreFailure) -> ReasonCode {
    if recipient.version.has_properties() { failure.reason_code() } else { ReasonCode::ServerUnavailable }
}

/// What a Client is told of a session that cannot be stored.
pub(crate) fn unstored_words(failure: StoreFailure) -> String {
    format!("the session could not be stored: {failure}")
}
