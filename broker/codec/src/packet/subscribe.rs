//! SUBSCRIBE: filters and their options (§3.8).
//!
//! Not here: whether a filter is valid as a filter (`router`); a bad one fails alone, in SUBACK.

use crate::encode::put_properties;
use crate::error::{DecodeError, EncodeError};
use crate::read::Reader;
use crate::write::{frame, put_string};
use crate::{PacketId, PacketType, Properties, PropertyPlace, ProtocolVersion, QoS};

const NO_LOCAL: u8 = 0b0000_0100;
const RETAIN_AS_PUBLISHED: u8 = 0b0000_1000;
const RETAIN_HANDLING_SHIFT: u8 = 4;
const RESERVED_V5: u8 = 0b1100_0000;
const RESERVED_V3: u8 = 0b1111_1100;
const SHARE_PREFIX: &str = "$share/";

/// A SUBSCRIBE packet; at least one filter \[MQTT-3.8.3-2\].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// The identifier that SUBACK must carry \[MQTT-3.8.4-2\].
    pub packet_id: PacketId,
    /// Subscription Identifier, valid for all filters, and User Properties.
    pub properties: Properties<'a>,
    raw: &'a [u8],
    version: ProtocolVersion,
}

/// One filter of a SUBSCRIBE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscribeFilter<'a> {
    /// The Topic Filter as sent: a well-formed string, not yet judged as a filter.
    pub filter: &'a str,
    /// How its messages are delivered.
    pub options: SubscriptionOptions,
}

/// The options of a subscription (§3.8.3.1). Before 5.0 only the QoS; the rest is as the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SubscriptionOptions {
    /// Highest QoS to deliver with.
    pub qos: QoS,
    /// Whether the server must not deliver the Client's own messages to it \[MQTT-3.8.3-3\].
    pub no_local: bool,
    /// Whether RETAIN goes out as it came in \[MQTT-3.3.1-13\].
    pub retain_as_published: bool,
    /// Whether to send retained messages on subscribing.
    pub retain_handling: RetainHandling,
}

/// When a new subscription gets the retained messages that match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RetainHandling {
    /// At every SUBSCRIBE \[MQTT-3.3.1-9\].
    #[default]
    Send = 0,
    /// Only if the session had no such subscription \[MQTT-3.3.1-10\].
    SendIfNew = 1,
    /// Never \[MQTT-3.3.1-11\].
    DoNotSend = 2,
}

impl SubscriptionOptions {
    /// The options byte of 5.0; its lower two bits alone are that of 3.1.1.
    #[must_use]
    pub const fn byte(self) -> u8 {
        let no_local = if self.no_local { NO_LOCAL } else { 0 };
        let retain_as_published = if self.retain_as_published { RETAIN_AS_PUBLISHED } else { 0 };
        self.qos.bits()
            | no_local
            | retain_as_published
            | (self.retain_handling as u8) << RETAIN_HANDLING_SHIFT
    }

    /// Reads the options of a subscription from their byte.
    ///
    /// # Errors
    /// [`DecodeError::SubscriptionOptionsReserved`] for reserved bits \[MQTT-3.8.3-5\],
    /// \[3.1.1: MQTT-3-8.3-4\]. [`DecodeError::SubscriptionOptionsInvalid`] for QoS 3 or Retain
    /// Handling 3.
    pub const fn from_byte(options: u8, version: ProtocolVersion) -> Result<Self, DecodeError> {
        let reserved = if version.has_properties() { RESERVED_V5 } else { RESERVED_V3 };
        if options & reserved != 0 {
            return Err(DecodeError::SubscriptionOptionsReserved { options });
        }
        let retain_handling = match options >> RETAIN_HANDLING_SHIFT {
            0 => RetainHandling::Send,
            1 => RetainHandling::SendIfNew,
            2 => RetainHandling::DoNotSend,
            _ => return Err(DecodeError::SubscriptionOptionsInvalid { options }),
        };
        let Some(qos) = QoS::from_bits(options & 0b11) else {
            return Err(DecodeError::SubscriptionOptionsInvalid { options });
        };
        Ok(Self {
            qos,
            no_local: options & NO_LOCAL != 0,
            retain_as_published: options & RETAIN_AS_PUBLISHED != 0,
            retain_handling,
        })
    }
}

impl<'a> Subscribe<'a> {
    /// Reads the body of a SUBSCRIBE. Checks every filter and option, so that iterating cannot
    /// fail.
    ///
    /// # Errors
    /// [`DecodeError`] as its variants say.
    pub fn decode(body: &'a [u8], version: ProtocolVersion) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let packet_id = reader.packet_id()?;
        let properties = Properties::parse_for(version, &mut reader, PropertyPlace::Subscribe)?;
        let raw = reader.take_rest();
        let mut filters = Reader::new(raw);
        if filters.is_empty() {
            return Err(DecodeError::NoTopicFilter);
        }
        while !filters.is_empty() {
            let found = SubscribeFilter::read(&mut filters, version)?;
            if found.options.no_local && found.filter.starts_with(SHARE_PREFIX) {
                return Err(DecodeError::NoLocalOnSharedSubscription);
            }
        }
        Ok(Self { packet_id, properties, raw, version })
    }

    /// The filters in the order of the packet; at least one.
    #[must_use]
    pub const fn filters(&self) -> SubscribeFilters<'a> {
        SubscribeFilters { reader: Reader::new(self.raw), version: self.version }
    }
}

impl<'a> SubscribeFilter<'a> {
    fn read(reader: &mut Reader<'a>, version: ProtocolVersion) -> Result<Self, DecodeError> {
        Ok(Self { filter: reader.string()?, options: SubscriptionOptions::from_byte(reader.u8()?, version)? })
    }
}

/// Iterates over the filters of a SUBSCRIBE.
#[derive(Clone, Debug)]
pub struct SubscribeFilters<'a> {
    reader: Reader<'a>,
    version: ProtocolVersion,
}

impl<'a> Iterator for SubscribeFilters<'a> {
    type Item = SubscribeFilter<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        SubscribeFilter::read(&mut self.reader, self.version).ok()
    }
}

/// Appends a SUBSCRIBE. Before 5.0 it sends only the QoS of the options.
///
/// # Errors
/// [`EncodeError::NoTopicFilter`], [`EncodeError::FieldTooLong`],
/// [`EncodeError::StringContainsNul`], [`EncodeError::PropertyNotAllowed`],
/// [`EncodeError::PacketTooLarge`].
pub fn encode_subscribe(
    out: &mut Vec<u8>,
    version: ProtocolVersion,
    packet_id: PacketId,
    properties: Properties<'_>,
    filters: &[SubscribeFilter<'_>],
) -> Result<(), EncodeError> {
    if filters.is_empty() {
        return Err(EncodeError::NoTopicFilter);
    }
    frame(out, PacketType::Subscribe.first_byte(), |out| {
        out.extend_from_slice(&packet_id.to_bytes());
        put_properties(out, version, properties, PropertyPlace::Subscribe)?;
        for SubscribeFilter { filter, options } in filters {
            put_string(out, filter)?;
            out.push(if version.has_properties() { options.byte() } else { options.qos.bits() });
        }
        Ok(())
    })
}
