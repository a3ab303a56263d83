//! PUBLISH: a message (§3.3). Hot path: a decode takes about 20 ns, half of it for UTF-8 in `std`,
//! and allocates nothing.
//!
//! The decoder returns the offsets of packet id, properties and payload, so the server can send
//! received bytes in place. Otherwise [`encode_publish_head`] writes a new head for the same
//! payload.
//! Not here: Topic Aliases (`session`), and validity of topics beyond wildcards (`router`).

use std::num::{NonZeroU16, NonZeroU32};
use std::ops::Range;

use crate::error::{DecodeError, EncodeError, FrameError};
use crate::frame::var_int_len;
use crate::property::PropertyIter;
use crate::property_id::PropertyId;
use crate::read::Reader;
use crate::scan::has_any;
use crate::write::{checked_len, put_binary, put_var_int};
use crate::{PacketId, PacketType, Properties, PropertyPlace, ProtocolVersion, QoS};

const RETAIN: u8 = 0b0001;
const QOS_SHIFT: u8 = 1;
const DUP: u8 = 0b1000;

/// Properties that every receiver gets unaltered: all of a Client's PUBLISH except the alias, which
/// is about one hop.
const FORWARDED: u64 = PropertyId::PayloadFormatIndicator.bit()
    | PropertyId::MessageExpiryInterval.bit()
    | PropertyId::ContentType.bit()
    | PropertyId::ResponseTopic.bit()
    | PropertyId::CorrelationData.bit()
    | PropertyId::UserProperty.bit();

/// A PUBLISH packet, with the places of its parts in the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    /// Whether this may be a repeat. It is about this hop only, so receivers never get a copy of it
    /// \[MQTT-3.3.1-3\].
    pub dup: bool,
    /// The QoS that the sender published with.
    pub qos: QoS,
    /// Whether to retain the message, or that it was retained.
    pub retain: bool,
    /// The Topic Name, without wildcards. Empty only in 5.0 and only with a Topic Alias.
    pub topic: &'a str,
    /// Whether the Topic Name has code points that the standards discourage; see
    /// [`has_discouraged`](crate::has_discouraged).
    pub topic_has_discouraged: bool,
    /// The Packet Identifier; `Some` exactly at QoS 1 and 2.
    pub packet_id: Option<PacketId>,
    /// The properties; empty before 5.0.
    pub properties: Properties<'a>,
    /// The payload, to the end of the body; may be empty.
    pub payload: &'a [u8],
    /// Offset of the two bytes of the Packet Identifier in the body.
    pub packet_id_offset: Option<usize>,
    /// Range of the properties in the body, without the Property Length. Before 5.0 it is empty and
    /// lies at the payload.
    pub properties_range: Range<usize>,
    /// Offset of the payload in the body.
    pub payload_offset: usize,
}

impl<'a> Publish<'a> {
    /// Reads the body of a PUBLISH from a Client.
    ///
    /// # Errors
    /// [`DecodeError`] as its variants say, for example for a Subscription Identifier
    /// \[MQTT-3.3.4-6\].
    #[inline]
    pub fn decode(first_byte: u8, body: &'a [u8], version: ProtocolVersion) -> Result<Self, DecodeError> {
        Self::decode_in(first_byte, body, version, PropertyPlace::PublishFromClient)
    }

    /// Reads the body of a PUBLISH that a server sent; it may carry Subscription Identifiers.
    ///
    /// # Errors
    /// [`DecodeError`] as its variants say.
    pub fn decode_from_server(
        first_byte: u8,
        body: &'a [u8],
        version: ProtocolVersion,
    ) -> Result<Self, DecodeError> {
        Self::decode_in(first_byte, body, version, PropertyPlace::PublishFromServer)
    }

    #[inline]
    fn decode_in(
        first_byte: u8,
        body: &'a [u8],
        version: ProtocolVersion,
        place: PropertyPlace,
    ) -> Result<Self, DecodeError> {
        let qos = qos(first_byte)?;
        let mut reader = Reader::new(body);
        let topic = reader.string_without_wildcards()?;
        let topic_has_discouraged = reader.has_discouraged();
        let packet_id_offset = (qos != QoS::AtMostOnce).then(|| body.len() - reader.rest().len());
        let packet_id = packet_id_offset.map(|_| reader.packet_id()).transpose()?;
        let properties = Properties::parse_for(version, &mut reader, place)?;
        let properties_range = properties.range(body, reader.rest());
        check_topic(topic, properties, version)?;
        Ok(Self {
            dup: first_byte & DUP != 0,
            qos,
            retain: first_byte & RETAIN != 0,
            topic,
            topic_has_discouraged,
            packet_id,
            properties,
            payload: reader.rest(),
            packet_id_offset,
            payload_offset: properties_range.end,
            properties_range,
        })
    }
}

#[inline]
fn qos(first_byte: u8) -> Result<QoS, DecodeError> {
    let flags = first_byte & 0x0F;
    match QoS::from_bits(flags >> QOS_SHIFT & 0b11) {
        Some(qos) if PacketType::Publish.flags_valid(flags) => Ok(qos),
        Some(_) | None => Err(FrameError::FlagsInvalid { packet_type: PacketType::Publish, flags }.into()),
    }
}

#[inline]
fn check_topic(topic: &str, properties: Properties<'_>, version: ProtocolVersion) -> Result<(), DecodeError> {
    if !topic.is_empty() || properties.contains(PropertyId::TopicAlias) {
        return Ok(());
    }
    Err(if version.has_properties() { DecodeError::TopicNameMissing } else { DecodeError::TopicNameInvalid })
}

/// Input of [`encode_publish_head`]: all parts of a PUBLISH except its payload.
#[derive(Clone, Copy, Debug)]
pub struct PublishHead<'a> {
    /// Whether this is a repeat to this receiver \[MQTT-3.3.1-1\].
    pub dup: bool,
    /// The QoS for this receiver.
    pub qos: QoS,
    /// The RETAIN flag for this receiver.
    pub retain: bool,
    /// The Topic Name; empty only together with a Topic Alias.
    pub topic: &'a str,
    /// Packet Identifier; `None` at QoS 0. At QoS 1 and 2 a caller that patches it later may pass
    /// any placeholder.
    pub packet_id: Option<PacketId>,
    /// The properties; ignored before 5.0.
    pub properties: ForwardProperties<'a>,
    /// Bytes of the payload that the caller appends to the head.
    pub payload_len: usize,
}

/// Properties of a forwarded message: the received ones, unaltered and in order \[MQTT-3.3.2-17\],
/// and new ones for the next hop.
///
/// They come from a received PUBLISH or from a Will. The encoder omits Topic Alias, Subscription
/// Identifiers and Will Delay Interval, which are not part of the message.
#[derive(Clone, Copy, Debug, Default)]
pub struct ForwardProperties<'a> {
    /// The properties as received, or as made for a message of our own.
    pub received: Properties<'a>,
    /// Seconds until the message expires, in place of the received value \[MQTT-3.3.2-6\]. `None`
    /// forwards the received value.
    pub message_expiry: Option<u32>,
    /// Identifiers of the receiver's matching subscriptions, each 1 to 268,435,455
    /// \[MQTT-3.3.4-3\].
    pub subscription_ids: &'a [NonZeroU32],
    /// The alias for this receiver, at most its Topic Alias Maximum \[MQTT-3.1.2-26\].
    pub topic_alias: Option<NonZeroU16>,
}

/// Layout of the head that [`encode_publish_head`] wrote. Offsets are relative to its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLayout {
    /// Offset of the two bytes of the Packet Identifier; `None` at QoS 0.
    pub packet_id_offset: Option<usize>,
    /// Bytes of the head. The whole packet is this and the payload.
    pub len: usize,
}

/// Appends fixed header, Topic Name, Packet Identifier and properties of a PUBLISH. The caller
/// appends the payload.
///
/// # Errors
/// [`EncodeError::PacketIdMismatch`], [`EncodeError::TopicNameInvalid`] for a wildcard or an empty
/// topic without alias, [`EncodeError::FieldTooLong`], [`EncodeError::StringContainsNul`],
/// [`EncodeError::PacketTooLarge`]. Nothing is appended then.
pub fn encode_publish_head(
    out: &mut Vec<u8>,
    version: ProtocolVersion,
    head: &PublishHead<'_>,
) -> Result<HeadLayout, EncodeError> {
    check_head(version, head)?;
    let properties_len = if version.has_properties() { head.properties.encoded_len() } else { 0 };
    let properties_field =
        if version.has_properties() { var_int_len(checked_len(properties_len)?) + properties_len } else { 0 };
    let packet_id_len = if head.packet_id.is_some() { 2 } else { 0 };
    let remaining = 2 + head.topic.len() + packet_id_len + properties_field;
    let remaining = remaining.saturating_add(head.payload_len);
    checked_len(remaining)?;

    let start = out.len();
    out.reserve(5 + remaining - head.payload_len);
    let mut write = || {
        out.push(head.first_byte());
        put_var_int(out, remaining)?;
        put_binary(out, head.topic.as_bytes())?;
        let packet_id_offset = head.packet_id.map(|packet_id| {
            let offset = out.len() - start;
            out.extend_from_slice(&packet_id.to_bytes());
            offset
        });
        if version.has_properties() {
            put_var_int(out, properties_len)?;
            head.properties.write(out)?;
        }
        Ok(HeadLayout { packet_id_offset, len: out.len() - start })
    };
    write().inspect_err(|_| out.truncate(start))
}

/// Appends a whole PUBLISH, payload included; `head.payload_len` is ignored.
///
/// # Errors
/// Those of [`encode_publish_head`].
pub fn encode_publish(
    out: &mut Vec<u8>,
    version: ProtocolVersion,
    head: &PublishHead<'_>,
    payload: &[u8],
) -> Result<HeadLayout, EncodeError> {
    let layout = encode_publish_head(out, version, &PublishHead { payload_len: payload.len(), ..*head })?;
    out.extend_from_slice(payload);
    Ok(layout)
}

fn check_head(version: ProtocolVersion, head: &PublishHead<'_>) -> Result<(), EncodeError> {
    if head.packet_id.is_some() != (head.qos != QoS::AtMostOnce) {
        return Err(EncodeError::PacketIdMismatch);
    }
    let has_alias = version.has_properties() && head.properties.topic_alias.is_some();
    if head.topic.is_empty() && !has_alias {
        return Err(EncodeError::TopicNameInvalid);
    }
    if !has_any(head.topic.as_bytes(), [0, b'+', b'#']) {
        return Ok(());
    }
    Err(if head.topic.contains('\0') {
        EncodeError::StringContainsNul
    } else {
        EncodeError::TopicNameInvalid
    })
}

impl PublishHead<'_> {
    /// The first byte. DUP is left out at QoS 0, where it is malformed \[MQTT-3.3.1-2\].
    fn first_byte(&self) -> u8 {
        let dup = if self.dup && self.qos != QoS::AtMostOnce { DUP } else { 0 };
        PacketType::Publish.first_byte() | dup | self.qos.bits() << QOS_SHIFT | u8::from(self.retain)
    }
}

impl<'a> ForwardProperties<'a> {
    /// Forwards `received` with nothing replaced.
    #[must_use]
    pub const fn unaltered(received: Properties<'a>) -> Self {
        Self { received, message_expiry: None, subscription_ids: &[], topic_alias: None }
    }

    /// Whether the received bytes hold something that must not be copied.
    const fn strips(&self) -> bool {
        !self.received.only(FORWARDED)
            || (self.message_expiry.is_some() && self.received.contains(PropertyId::MessageExpiryInterval))
    }

    const fn keeps(&self, id: PropertyId) -> bool {
        let is_replaced = self.message_expiry.is_some() && matches!(id, PropertyId::MessageExpiryInterval);
        id.bit() & FORWARDED != 0 && !is_replaced
    }

    fn kept(&self) -> impl Iterator<Item = &'a [u8]> {
        let mut iter: PropertyIter<'a> = self.received.iter();
        std::iter::from_fn(move || iter.next_raw()).filter(|(id, _)| self.keeps(*id)).map(|(_, bytes)| bytes)
    }

    fn encoded_len(&self) -> usize {
        let received =
            if self.strips() { self.kept().map(<[u8]>::len).sum() } else { self.received.raw().len() };
        let expiry = if self.message_expiry.is_some() { 5 } else { 0 };
        let alias = if self.topic_alias.is_some() { 3 } else { 0 };
        let ids: usize = self.subscription_ids.iter().map(|id| 1 + var_int_len(id.get())).sum();
        received + expiry + alias + ids
    }

    fn write(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if let Some(seconds) = self.message_expiry {
            out.push(PropertyId::MessageExpiryInterval.value());
            out.extend_from_slice(&seconds.to_be_bytes());
        }
        if let Some(alias) = self.topic_alias {
            out.push(PropertyId::TopicAlias.value());
            out.extend_from_slice(&alias.get().to_be_bytes());
        }
        for id in self.subscription_ids {
            out.push(PropertyId::SubscriptionIdentifier.value());
            put_var_int(out, usize::try_from(id.get()).unwrap_or(usize::MAX))?;
        }
        if self.strips() {
            self.kept().for_each(|bytes| out.extend_from_slice(bytes));
        } else {
            out.extend_from_slice(self.received.raw());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forwarded_is_what_clients_send_but_the_alias() {
        let expected = PropertyId::ALL
            .iter()
            .filter(|id| id.allowed_in(PropertyPlace::PublishFromClient) && **id != PropertyId::TopicAlias)
            .fold(0, |set, id| set | id.bit());
        assert_eq!(FORWARDED, expected);
    }
}
