//! SUBACK: one code for each filter of a SUBSCRIBE, in its order (§3.9).

use crate::encode::put_properties;
use crate::error::{DecodeError, EncodeError};
use crate::read::Reader;
use crate::write::frame;
use crate::{PacketId, PacketType, Properties, PropertyPlace, ProtocolVersion, ReasonCode};

/// A SUBACK packet; at least one code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suback<'a> {
    /// The identifier of the SUBSCRIBE \[MQTT-3.8.4-2\].
    pub packet_id: PacketId,
    /// Reason String and User Properties.
    pub properties: Properties<'a>,
    raw: &'a [u8],
}

impl<'a> Suback<'a> {
    /// Reads the body of a SUBACK.
    ///
    /// # Errors
    /// [`DecodeError`] as its variants say.
    pub fn decode(body: &'a [u8], version: ProtocolVersion) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let packet_id = reader.packet_id()?;
        let properties = Properties::parse_for(version, &mut reader, PropertyPlace::Suback)?;
        let raw = reader.rest();
        if raw.is_empty() {
            return Err(DecodeError::NoTopicFilter);
        }
        while !reader.is_empty() {
            let reason = reader.reason_code(PacketType::Suback)?;
            // Before 5.0 there are 0, 1, 2 and 0x80 [3.1.1: MQTT-3.9.3-2].
            if reason.suback_byte(version) != reason.byte() {
                return Err(DecodeError::ReasonCodeInvalid {
                    code: reason.byte(),
                    packet_type: PacketType::Suback,
                });
            }
        }
        Ok(Self { packet_id, properties, raw })
    }

    /// The codes in the order of the filters: granted QoS or failure.
    pub fn codes(&self) -> impl ExactSizeIterator<Item = ReasonCode> + use<'a> {
        self.raw.iter().map(|&code| ReasonCode::from_byte(code).unwrap_or(ReasonCode::UnspecifiedError))
    }
}

/// Appends a SUBACK. Before 5.0 every failure becomes 0x80.
///
/// # Errors
/// [`EncodeError::NoTopicFilter`] without codes, [`EncodeError::NotInVersion`] for a code that
/// SUBACK cannot carry, [`EncodeError::PropertyNotAllowed`], [`EncodeError::PacketTooLarge`].
pub fn encode_suback(
    out: &mut Vec<u8>,
    version: ProtocolVersion,
    packet_id: PacketId,
    properties: Properties<'_>,
    codes: &[ReasonCode],
) -> Result<(), EncodeError> {
    let packet_type = PacketType::Suback;
    if codes.is_empty() {
        return Err(EncodeError::NoTopicFilter);
    }
    if !codes.iter().all(|code| code.allowed_in(packet_type)) {
        return Err(EncodeError::NotInVersion { packet_type });
    }
    frame(out, packet_type.first_byte(), |out| {
        out.extend_from_slice(&packet_id.to_bytes());
        put_properties(out, version, properties, PropertyPlace::Suback)?;
        out.extend(codes.iter().map(|code| code.suback_byte(version)));
        Ok(())
    })
}
