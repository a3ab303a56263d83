//! CONNACK: the server's answer to CONNECT, and to one that could not even be read (§3.2).

use crate::encode::put_properties;
use crate::error::{DecodeError, EncodeError};
use crate::packet::Connect;
use crate::read::Reader;
use crate::write::frame;
use crate::{PacketType, Properties, PropertyPlace, ProtocolVersion, ReasonCode};

/// A CONNACK packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connack<'a> {
    /// Whether the server resumed stored session state. False with every refusal \[MQTT-3.2.2-6\];
    /// 3.1 cannot express it.
    pub session_present: bool,
    /// The outcome.
    pub reason: ReasonCode,
    /// Limits and features of the server; empty before 5.0.
    pub properties: Properties<'a>,
}

impl<'a> Connack<'a> {
    /// A refusal without properties.
    #[must_use]
    pub const fn refusal(reason: ReasonCode) -> Self {
        Self { session_present: false, reason, properties: Properties::EMPTY }
    }

    /// Reads the body of a CONNACK. Converts return codes of older versions to reason codes.
    ///
    /// # Errors
    /// [`DecodeError`] as its variants say.
    pub fn decode(body: &'a [u8], version: ProtocolVersion) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let flags = reader.u8()?;
        let reason = reason(&mut reader, version)?;
        // In 3.1 the byte is reserved and has no meaning.
        let session_present = flags == 1 && version != ProtocolVersion::V3_1;
        if flags > 1 || (session_present && reason != ReasonCode::Success) {
            return Err(DecodeError::ConnackFlagsInvalid { flags });
        }
        let properties = Properties::parse_for(version, &mut reader, PropertyPlace::Connack)?;
        reader.finish()?;
        Ok(Self { session_present, reason, properties })
    }
}

/// Appends a CONNACK. Before 5.0 the reason becomes a return code, and the properties are omitted.
///
/// # Errors
/// [`EncodeError::NotInVersion`] if the version has no code for the reason: the server then only
/// closes \[3.1.1: MQTT-3.2.2-6\]. [`EncodeError::PropertyNotAllowed`].
pub fn encode_connack(
    out: &mut Vec<u8>,
    version: ProtocolVersion,
    connack: &Connack<'_>,
) -> Result<(), EncodeError> {
    let packet_type = PacketType::Connack;
    let session_present = connack.session_present && connack.reason == ReasonCode::Success;
    let code = match version {
        ProtocolVersion::V5 => connack.reason.allowed_in(packet_type).then_some(connack.reason.byte()),
        ProtocolVersion::V3_1 | ProtocolVersion::V3_1_1 => connack.reason.connect_return_code(),
    }
    .ok_or(EncodeError::NotInVersion { packet_type })?;
    frame(out, packet_type.first_byte(), |out| {
        out.push(u8::from(session_present && version != ProtocolVersion::V3_1));
        out.push(code);
        put_properties(out, version, connack.properties, PropertyPlace::Connack)
    })
}

/// Appends the CONNACK for a CONNECT that failed to decode. Returns `false` and appends nothing if
/// the server must not answer.
///
/// `body` is the body of the CONNECT and decides the version of the answer. An unsupported level
/// gets the 3.1.1 form with return code 0x01: 3.1.1 demands it \[3.1.1: MQTT-3.1.2-2\], 5.0 leaves
/// it open. A peer that does not speak MQTT gets no answer.
pub fn encode_connect_refusal(out: &mut Vec<u8>, body: &[u8], error: DecodeError) -> bool {
    if error == DecodeError::ProtocolNameInvalid {
        return false;
    }
    let version = if matches!(error, DecodeError::ProtocolLevelUnsupported { .. }) {
        Some(ProtocolVersion::V3_1_1)
    } else {
        Connect::peek_version(body)
    };
    version.is_some_and(|version| encode_connack(out, version, &Connack::refusal(error.into())).is_ok())
}

fn reason(reader: &mut Reader<'_>, version: ProtocolVersion) -> Result<ReasonCode, DecodeError> {
    if version.has_properties() {
        return reader.reason_code(PacketType::Connack);
    }
    let code = reader.u8()?;
    ReasonCode::from_connect_return_code(code)
        .ok_or(DecodeError::ReasonCodeInvalid { code, packet_type: PacketType::Connack })
}
