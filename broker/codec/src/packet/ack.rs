//! PUBACK, PUBREC, PUBREL and PUBCOMP: one shape, four types (§3.4 to §3.7).

use crate::encode::put_properties;
use crate::error::{DecodeError, EncodeError};
use crate::read::Reader;
use crate::write::frame;
use crate::{PacketId, PacketType, Properties, PropertyPlace, ProtocolVersion, ReasonCode};

/// Type of an acknowledgement of PUBLISH.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AckType {
    /// Answers a QoS 1 PUBLISH and ends the exchange.
    Puback,
    /// Answers a QoS 2 PUBLISH.
    Pubrec,
    /// Answers PUBREC.
    Pubrel,
    /// Answers PUBREL and ends the exchange.
    Pubcomp,
}

impl AckType {
    /// The Control Packet type.
    #[must_use]
    #[inline]
    pub const fn packet_type(self) -> PacketType {
        match self {
            Self::Puback => PacketType::Puback,
            Self::Pubrec => PacketType::Pubrec,
            Self::Pubrel => PacketType::Pubrel,
            Self::Pubcomp => PacketType::Pubcomp,
        }
    }

    const fn place(self) -> PropertyPlace {
        match self {
            Self::Puback => PropertyPlace::Puback,
            Self::Pubrec => PropertyPlace::Pubrec,
            Self::Pubrel => PropertyPlace::Pubrel,
            Self::Pubcomp => PropertyPlace::Pubcomp,
        }
    }
}

/// Acknowledgement of PUBLISH. Before 5.0 the reason is always success and there are no properties.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack<'a> {
    /// Type of the acknowledgement.
    pub ack_type: AckType,
    /// The identifier of the PUBLISH \[MQTT-2.2.1-5\].
    pub packet_id: PacketId,
    /// Result for the message; only codes that this type can carry.
    pub reason: ReasonCode,
    /// Reason String and User Properties.
    pub properties: Properties<'a>,
}

impl<'a> Ack<'a> {
    /// Reads the body of an acknowledgement.
    ///
    /// In 5.0 the sender may omit the properties, or both reason and properties; no reason means
    /// success. Before 5.0 the body is 2 bytes.
    ///
    /// # Errors
    /// [`DecodeError`] as its variants say; all close the connection.
    #[inline]
    pub fn decode(ack_type: AckType, body: &'a [u8], version: ProtocolVersion) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let mut ack = Self {
            ack_type,
            packet_id: reader.packet_id()?,
            reason: ReasonCode::Success,
            properties: Properties::EMPTY,
        };
        if version.has_properties() {
            if !reader.is_empty() {
                ack.reason = reader.reason_code(ack_type.packet_type())?;
            }
            if !reader.is_empty() {
                ack.properties = Properties::parse(&mut reader, ack_type.place())?;
            }
        }
        reader.finish()?;
        Ok(ack)
    }
}

/// Appends an acknowledgement in its shortest form. Before 5.0 it omits reason and properties.
///
/// # Errors
/// [`EncodeError::NotInVersion`] if the type cannot carry the reason,
/// [`EncodeError::PropertyNotAllowed`], [`EncodeError::PacketTooLarge`].
#[inline]
pub fn encode_ack(out: &mut Vec<u8>, version: ProtocolVersion, ack: &Ack<'_>) -> Result<(), EncodeError> {
    let packet_type = ack.ack_type.packet_type();
    let [high, low] = ack.packet_id.to_bytes();
    let is_plain = ack.reason == ReasonCode::Success && ack.properties.is_empty();
    if is_plain || !version.has_properties() {
        out.extend_from_slice(&[packet_type.first_byte(), 2, high, low]);
        return Ok(());
    }
    if !ack.reason.allowed_in(packet_type) {
        return Err(EncodeError::NotInVersion { packet_type });
    }
    if ack.properties.is_empty() {
        out.extend_from_slice(&[packet_type.first_byte(), 3, high, low, ack.reason.byte()]);
        return Ok(());
    }
    frame(out, packet_type.first_byte(), |out| {
        out.extend_from_slice(&[high, low, ack.reason.byte()]);
        put_properties(out, version, ack.properties, ack.ack_type.place())
    })
}
