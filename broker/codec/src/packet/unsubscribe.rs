//! UNSUBSCRIBE: filters to forget, compared byte for byte (§3.10).

use crate::encode::put_properties;
use crate::error::{DecodeError, EncodeError};
use crate::read::Reader;
use crate::write::{frame, put_string};
use crate::{PacketId, PacketType, Properties, PropertyPlace, ProtocolVersion};

/// An UNSUBSCRIBE packet; at least one filter \[MQTT-3.10.3-2\].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsubscribe<'a> {
    /// The identifier that UNSUBACK must carry \[MQTT-3.10.4-5\].
    pub packet_id: PacketId,
    /// User Properties.
    pub properties: Properties<'a>,
    raw: &'a [u8],
}

impl<'a> Unsubscribe<'a> {
    /// Reads the body of an UNSUBSCRIBE. Checks every filter, so that iterating cannot fail.
    ///
    /// # Errors
    /// [`DecodeError`] as its variants say.
    pub fn decode(body: &'a [u8], version: ProtocolVersion) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let packet_id = reader.packet_id()?;
        let properties = Properties::parse_for(version, &mut reader, PropertyPlace::Unsubscribe)?;
        let raw = reader.rest();
        if raw.is_empty() {
            return Err(DecodeError::NoTopicFilter);
        }
        while !reader.is_empty() {
            reader.string()?;
        }
        Ok(Self { packet_id, properties, raw })
    }

    /// The filters in the order of the packet; at least one.
    #[must_use]
    pub const fn filters(&self) -> UnsubscribeFilters<'a> {
        UnsubscribeFilters { reader: Reader::new(self.raw) }
    }
}

/// Iterates over the filters of an UNSUBSCRIBE.
#[derive(Clone, Debug)]
pub struct UnsubscribeFilters<'a> {
    reader: Reader<'a>,
}

impl<'a> Iterator for UnsubscribeFilters<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<Self::Item> {
        self.reader.string().ok()
    }
}

/// Appends an UNSUBSCRIBE.
///
/// # Errors
/// [`EncodeError::NoTopicFilter`], [`EncodeError::FieldTooLong`],
/// [`EncodeError::StringContainsNul`], [`EncodeError::PropertyNotAllowed`],
/// [`EncodeError::PacketTooLarge`].
pub fn encode_unsubscribe(
    out: &mut Vec<u8>,
    version: ProtocolVersion,
    packet_id: PacketId,
    properties: Properties<'_>,
    filters: &[&str],
) -> Result<(), EncodeError> {
    if filters.is_empty() {
        return Err(EncodeError::NoTopicFilter);
    }
    frame(out, PacketType::Unsubscribe.first_byte(), |out| {
        out.extend_from_slice(&packet_id.to_bytes());
        put_properties(out, version, properties, PropertyPlace::Unsubscribe)?;
        filters.iter().try_for_each(|filter| put_string(out, filter))
    })
}
