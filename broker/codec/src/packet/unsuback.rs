//! UNSUBACK: one code for each filter of an UNSUBSCRIBE in 5.0, before that only the identifier
//! (§3.11).

use crate::encode::put_properties;
use crate::error::{DecodeError, EncodeError};
use crate::read::Reader;
use crate::write::frame;
use crate::{PacketId, PacketType, Properties, PropertyPlace, ProtocolVersion, ReasonCode};

/// An UNSUBACK packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsuback<'a> {
    /// The identifier of the UNSUBSCRIBE \[MQTT-3.10.4-5\].
    pub packet_id: PacketId,
    /// Reason String and User Properties.
    pub properties: Properties<'a>,
    raw: &'a [u8],
}

impl<'a> Unsuback<'a> {
    /// Reads the body of an UNSUBACK.
    ///
    /// # Errors
    /// [`DecodeError`] as its variants say.
    pub fn decode(body: &'a [u8], version: ProtocolVersion) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let packet_id = reader.packet_id()?;
        if !version.has_properties() {
            reader.finish()?;
            return Ok(Self { packet_id, properties: Properties::EMPTY, raw: &[] });
        }
        let properties = Properties::parse(&mut reader, PropertyPlace::Unsuback)?;
        let raw = reader.rest();
        if raw.is_empty() {
            return Err(DecodeError::NoTopicFilter);
        }
        while !reader.is_empty() {
            reader.reason_code(PacketType::Unsuback)?;
        }
        Ok(Self { packet_id, properties, raw })
    }

    /// The codes in the order of the filters; none before 5.0.
    pub fn codes(&self) -> impl ExactSizeIterator<Item = ReasonCode> + use<'a> {
        self.raw.iter().map(|&code| ReasonCode::from_byte(code).unwrap_or(ReasonCode::UnspecifiedError))
    }
}

/// Appends an UNSUBACK. Before 5.0 it omits codes and properties.
///
/// # Errors
/// [`EncodeError::NoTopicFilter`] without codes, [`EncodeError::NotInVersion`] for a code that
/// UNSUBACK cannot carry, [`EncodeError::PropertyNotAllowed`], [`EncodeError::PacketTooLarge`].
pub fn encode_unsuback(
    out: &mut Vec<u8>,
    version: ProtocolVersion,
    packet_id: PacketId,
    properties: Properties<'_>,
    codes: &[ReasonCode],
) -> Result<(), EncodeError> {
    let packet_type = PacketType::Unsuback;
    if codes.is_empty() && version.has_properties() {
        return Err(EncodeError::NoTopicFilter);
    }
    if !codes.iter().all(|code| code.allowed_in(packet_type)) {
        return Err(EncodeError::NotInVersion { packet_type });
    }
    frame(out, packet_type.first_byte(), |out| {
        out.extend_from_slice(&packet_id.to_bytes());
        put_properties(out, version, properties, PropertyPlace::Unsuback)?;
        if version.has_properties() {
            out.extend(codes.iter().map(|code| code.byte()));
        }
        Ok(())
    })
}
