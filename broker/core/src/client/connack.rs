//! CONNACK: what a Client is told with its session.

use lotmq_codec::{Connack, EncodeError, PropertyBuf, PropertyId, PropertyValue, ReasonCode, encode_connack};

use crate::client::request::Request;
use crate::connection::Connection;

/// Encodes CONNACK, with properties that differ from the standard's defaults and from the Client's
/// wishes; optional ones are left out where the Client takes no packet of that size.
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
    if let Some((method, data)) = &request.login.authenticated {
        announced.push(Id::AuthenticationMethod, Value::Utf8(method.name()))?;
        if !data.is_empty() {
            announced.push(Id::AuthenticationData, Value::Binary(data))?;
        }
    }
    if request.is_assigned {
        announced.push(Id::AssignedClientIdentifier, Value::Utf8(&request.client_id))?;
    }
    if let Some(offer) = connection.transport.zstd().filter(|_| request.zstd.is_some()) {
        for (name, value) in offer.properties() {
            announced.push(Id::UserProperty, Value::Utf8Pair(name, &value))?;
        }
    }
    if let Some(texts) = request.login.texts.as_ref().filter(|_| with_information) {
        if let Some(reason) = &texts.reason {
            announced.push(Id::ReasonString, Value::Utf8(reason))?;
        }
        for (name, value) in &texts.user_properties {
            announced.push(Id::UserProperty, Value::Utf8Pair(name, value))?;
        }
    }
    Ok(())
}
