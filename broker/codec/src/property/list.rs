//! Property list of a packet: validated once, read on demand.
//!
//! The decoders call [`Properties::parse_for`]; after it every getter is infallible. A getter costs
//! one bit test for an absent property, and a scan of the preceding ones for a present one.

use std::fmt;
use std::num::{NonZeroU16, NonZeroU32};
use std::ops::Range;

use super::PropertyValue;
use crate::ProtocolVersion;
use crate::error::DecodeError;
use crate::property_id::{Kind, PropertyId, PropertyPlace};
use crate::read::Reader;

/// Bit of [`Properties::present`] for a string with discouraged code points. No property has an
/// identifier this high.
const DISCOURAGED: u64 = 1 << 63;

/// A validated list of properties, borrowed from the packet. Empty in 3.1 and 3.1.1.
#[derive(Clone, Copy, Default)]
pub struct Properties<'a> {
    raw: &'a [u8],
    /// One bit for each [`PropertyId`] that occurs, and [`DISCOURAGED`].
    present: u64,
}

/// All else follows from the bytes.
impl PartialEq for Properties<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.raw == other.raw
    }
}

impl Eq for Properties<'_> {}

impl<'a> Properties<'a> {
    /// No properties.
    pub const EMPTY: Properties<'static> = Properties { raw: &[], present: 0 };

    /// Reads the properties of a packet of `version` in this place. Before 5.0 there are no
    /// properties and no length of them.
    pub(crate) fn parse_for(
        version: ProtocolVersion,
        reader: &mut Reader<'a>,
        place: PropertyPlace,
    ) -> Result<Self, DecodeError> {
        if version.has_properties() { Self::parse(reader, place) } else { Ok(Self::EMPTY) }
    }

    /// Reads a Property Length and the list after it, as `place` allows it (§2.2.2).
    #[inline]
    pub(crate) fn parse(reader: &mut Reader<'a>, place: PropertyPlace) -> Result<Self, DecodeError> {
        let len = reader.var_int()?;
        let raw = reader.take(usize::try_from(len).map_err(|_| DecodeError::Truncated)?)?;
        if raw.is_empty() { Ok(Self::EMPTY) } else { Self::validate(raw, place) }
    }

    /// Validates a list without its Property Length, for example one from the store.
    ///
    /// # Errors
    /// [`DecodeError`] as for a list in a packet. A list from [`Properties::raw`] passes in the
    /// same place.
    pub fn from_raw(raw: &'a [u8], place: PropertyPlace) -> Result<Self, DecodeError> {
        Self::validate(raw, place)
    }

    /// Whether it has no properties but those in the set.
    pub(crate) const fn only(self, set: u64) -> bool {
        self.present & !(set | DISCOURAGED) == 0
    }

    /// Returns the range of this list in `body`. `rest` is the unread part of `body` after the
    /// list.
    pub(crate) const fn range(self, body: &[u8], rest: &[u8]) -> Range<usize> {
        let end = body.len() - rest.len();
        end - self.raw.len()..end
    }

    pub(super) const fn from_parts(raw: &'a [u8], present: u64) -> Self {
        Self { raw, present }
    }

    pub(super) const fn present(self) -> u64 {
        self.present
    }

    fn validate(raw: &'a [u8], place: PropertyPlace) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(raw);
        let mut present = 0;
        while !reader.is_empty() {
            let id = reader.var_int()?;
            let id = PropertyId::from_value(id).ok_or(DecodeError::PropertyUnknown { id })?;
            if !id.allowed_in(place) {
                return Err(DecodeError::PropertyNotAllowed { id, place });
            }
            if present & id.bit() != 0 && !id.may_repeat_in(place) {
                return Err(DecodeError::PropertyRepeated { id });
            }
            present |= id.bit();
            PropertyValue::read(id, &mut reader)?;
        }
        if reader.has_discouraged() {
            present |= DISCOURAGED;
        }
        Ok(Self { raw, present })
    }

    /// The bytes of the list as received, without the Property Length.
    #[must_use]
    #[inline]
    pub const fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Whether there is none.
    #[must_use]
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// Whether this property occurs.
    #[must_use]
    #[inline]
    pub const fn contains(&self, id: PropertyId) -> bool {
        self.present & id.bit() != 0
    }

    /// Returns whether a string has code points that the standards discourage; see
    /// [`has_discouraged`](crate::has_discouraged).
    #[must_use]
    #[inline]
    pub const fn has_discouraged(&self) -> bool {
        self.present & DISCOURAGED != 0
    }

    /// All properties in the order of the packet.
    #[must_use]
    pub const fn iter(&self) -> PropertyIter<'a> {
        PropertyIter { rest: self.raw }
    }

    /// The first value of this property.
    #[must_use]
    pub fn get(&self, id: PropertyId) -> Option<PropertyValue<'a>> {
        if self.contains(id) {
            self.iter().find(|(found, _)| *found == id).map(|(_, value)| value)
        } else {
            None
        }
    }

    /// Returns whether the payload is marked as UTF-8 text. Not checked against the payload. 0x01.
    #[must_use]
    pub fn payload_is_utf8(&self) -> bool {
        self.byte(PropertyId::PayloadFormatIndicator) == Some(1)
    }

    /// Seconds until the message expires; `None`: never. 0x02.
    #[must_use]
    pub fn message_expiry_interval(&self) -> Option<u32> {
        self.four_byte(PropertyId::MessageExpiryInterval)
    }

    /// Returns the content type of the payload. 0x03.
    #[must_use]
    pub fn content_type(&self) -> Option<&'a str> {
        self.utf8(PropertyId::ContentType)
    }

    /// The topic for a response, a valid Topic Name. 0x08.
    #[must_use]
    pub fn response_topic(&self) -> Option<&'a str> {
        self.utf8(PropertyId::ResponseTopic)
    }

    /// Returns the data by which the requester matches a response to its request. 0x09.
    #[must_use]
    pub fn correlation_data(&self) -> Option<&'a [u8]> {
        self.binary(PropertyId::CorrelationData)
    }

    /// The first Subscription Identifier, 1 to 268 435 455; the only one in SUBSCRIBE. 0x0B.
    #[must_use]
    pub fn subscription_identifier(&self) -> Option<NonZeroU32> {
        self.subscription_identifiers().next()
    }

    /// All Subscription Identifiers of a PUBLISH from the server, in order. 0x0B.
    pub fn subscription_identifiers(&self) -> impl Iterator<Item = NonZeroU32> + use<'a> {
        self.iter().filter_map(|(id, value)| match (id, value) {
            (PropertyId::SubscriptionIdentifier, PropertyValue::VarInt(value)) => NonZeroU32::new(value),
            _ => None,
        })
    }

    /// Seconds that the session outlives its connection; 0xFFFFFFFF: for ever. 0x11.
    #[must_use]
    pub fn session_expiry_interval(&self) -> Option<u32> {
        self.four_byte(PropertyId::SessionExpiryInterval)
    }

    /// The Client Identifier that the server chose. 0x12.
    #[must_use]
    pub fn assigned_client_identifier(&self) -> Option<&'a str> {
        self.utf8(PropertyId::AssignedClientIdentifier)
    }

    /// Keep Alive in seconds that the Client must use; 0: none. 0x13.
    #[must_use]
    pub fn server_keep_alive(&self) -> Option<u16> {
        self.two_byte(PropertyId::ServerKeepAlive)
    }

    /// Name of the extended authentication. 0x15.
    #[must_use]
    pub fn authentication_method(&self) -> Option<&'a str> {
        self.utf8(PropertyId::AuthenticationMethod)
    }

    /// Data of the extended authentication. 0x16.
    #[must_use]
    pub fn authentication_data(&self) -> Option<&'a [u8]> {
        self.binary(PropertyId::AuthenticationData)
    }

    /// Returns whether any packet may carry Reason String and User Properties; true when absent
    /// \[MQTT-3.1.2-29\]. 0x17.
    #[must_use]
    pub fn request_problem_information(&self) -> bool {
        self.byte(PropertyId::RequestProblemInformation) != Some(0)
    }

    /// Seconds between the end of the connection and the Will; 0 when absent. 0x18.
    #[must_use]
    pub fn will_delay_interval(&self) -> u32 {
        self.four_byte(PropertyId::WillDelayInterval).unwrap_or(0)
    }

    /// Whether CONNACK may carry Response Information; false when absent \[MQTT-3.1.2-28\]. 0x19.
    #[must_use]
    pub fn request_response_information(&self) -> bool {
        self.byte(PropertyId::RequestResponseInformation) == Some(1)
    }

    /// Basis for making response topics. 0x1A.
    #[must_use]
    pub fn response_information(&self) -> Option<&'a str> {
        self.utf8(PropertyId::ResponseInformation)
    }

    /// Text for people about the reason code. 0x1F.
    #[must_use]
    pub fn reason_string(&self) -> Option<&'a str> {
        self.utf8(PropertyId::ReasonString)
    }

    /// Returns the unacknowledged QoS 1 and 2 messages that the sender of this accepts; 65,535 when
    /// absent. 0x21.
    #[must_use]
    pub fn receive_maximum(&self) -> NonZeroU16 {
        self.two_byte(PropertyId::ReceiveMaximum).and_then(NonZeroU16::new).unwrap_or(NonZeroU16::MAX)
    }

    /// Highest Topic Alias that the sender of this accepts; 0 when absent: none. 0x22.
    #[must_use]
    pub fn topic_alias_maximum(&self) -> u16 {
        self.two_byte(PropertyId::TopicAliasMaximum).unwrap_or(0)
    }

    /// The number that stands for the Topic Name. 0x23.
    #[must_use]
    pub fn topic_alias(&self) -> Option<NonZeroU16> {
        self.two_byte(PropertyId::TopicAlias).and_then(NonZeroU16::new)
    }

    /// Highest QoS that the server accepts. 0x24.
    #[must_use]
    pub fn maximum_qos(&self) -> crate::QoS {
        self.byte(PropertyId::MaximumQos).and_then(crate::QoS::from_bits).unwrap_or(crate::QoS::ExactlyOnce)
    }

    /// Whether the server has retained messages; true when absent. 0x25.
    #[must_use]
    pub fn retain_available(&self) -> bool {
        self.byte(PropertyId::RetainAvailable) != Some(0)
    }

    /// Names and values of the application's own, in order, repeats too. 0x26.
    #[must_use]
    pub const fn user_properties(&self) -> UserProperties<'a> {
        UserProperties {
            properties: if self.contains(PropertyId::UserProperty) {
                self.iter()
            } else {
                Self::EMPTY.iter()
            },
        }
    }

    /// Returns the largest packet in bytes that the sender of this accepts, with its fixed header;
    /// `None`: no limit. 0x27.
    #[must_use]
    pub fn maximum_packet_size(&self) -> Option<NonZeroU32> {
        self.four_byte(PropertyId::MaximumPacketSize).and_then(NonZeroU32::new)
    }

    /// Whether the server has wildcard subscriptions; true when absent. 0x28.
    #[must_use]
    pub fn wildcard_subscription_available(&self) -> bool {
        self.byte(PropertyId::WildcardSubscriptionAvailable) != Some(0)
    }

    /// Whether the server has Subscription Identifiers; true when absent. 0x29.
    #[must_use]
    pub fn subscription_identifier_available(&self) -> bool {
        self.byte(PropertyId::SubscriptionIdentifierAvailable) != Some(0)
    }

    /// Whether the server has shared subscriptions; true when absent. 0x2A.
    #[must_use]
    pub fn shared_subscription_available(&self) -> bool {
        self.byte(PropertyId::SharedSubscriptionAvailable) != Some(0)
    }

    fn byte(&self, id: PropertyId) -> Option<u8> {
        if let Some(PropertyValue::Byte(value)) = self.get(id) { Some(value) } else { None }
    }

    fn two_byte(&self, id: PropertyId) -> Option<u16> {
        if let Some(PropertyValue::TwoByte(value)) = self.get(id) { Some(value) } else { None }
    }

    fn four_byte(&self, id: PropertyId) -> Option<u32> {
        if let Some(PropertyValue::FourByte(value)) = self.get(id) { Some(value) } else { None }
    }

    fn utf8(&self, id: PropertyId) -> Option<&'a str> {
        if let Some(PropertyValue::Utf8(text)) = self.get(id) { Some(text) } else { None }
    }

    fn binary(&self, id: PropertyId) -> Option<&'a [u8]> {
        if let Some(PropertyValue::Binary(bytes)) = self.get(id) { Some(bytes) } else { None }
    }
}

impl fmt::Debug for Properties<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_map().entries(self.iter()).finish()
    }
}

impl<'a> IntoIterator for Properties<'a> {
    type Item = (PropertyId, PropertyValue<'a>);
    type IntoIter = PropertyIter<'a>;

    fn into_iter(self) -> PropertyIter<'a> {
        self.iter()
    }
}

/// Iterates over a validated list of properties in the order of the packet.
#[derive(Clone, Debug)]
pub struct PropertyIter<'a> {
    rest: &'a [u8],
}

impl<'a> PropertyIter<'a> {
    /// The next property and its bytes, identifier included, without looking at the value.
    pub(crate) fn next_raw(&mut self) -> Option<(PropertyId, &'a [u8])> {
        let mut reader = Reader::new(self.rest);
        let id = PropertyId::from_value(reader.var_int().ok()?)?;
        match id.kind() {
            Kind::Byte => reader.take(1).map(drop),
            Kind::TwoByte => reader.take(2).map(drop),
            Kind::FourByte => reader.take(4).map(drop),
            Kind::VarInt => reader.var_int().map(drop),
            Kind::Binary | Kind::Utf8 => reader.binary().map(drop),
            Kind::Utf8Pair => reader.binary().and_then(|_| reader.binary()).map(drop),
        }
        .ok()?;
        let (property, rest) = self.rest.split_at_checked(self.rest.len() - reader.rest().len())?;
        self.rest = rest;
        Some((id, property))
    }
}

impl<'a> Iterator for PropertyIter<'a> {
    type Item = (PropertyId, PropertyValue<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let (id, property) = self.next_raw()?;
        let value = PropertyValue::read(id, &mut Reader::new(property.get(1..)?)).ok()?;
        Some((id, value))
    }
}

/// Iterator over the User Properties of a list: name and value, in the order of the packet
/// \[MQTT-3.3.2-18\].
#[derive(Clone, Debug)]
pub struct UserProperties<'a> {
    properties: PropertyIter<'a>,
}

impl<'a> Iterator for UserProperties<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        self.properties.find_map(|(_, value)| match value {
            PropertyValue::Utf8Pair(name, value) => Some((name, value)),
            PropertyValue::Byte(_)
            | PropertyValue::TwoByte(_)
            | PropertyValue::FourByte(_)
            | PropertyValue::VarInt(_)
            | PropertyValue::Binary(_)
            | PropertyValue::Utf8(_) => None,
        })
    }
}
