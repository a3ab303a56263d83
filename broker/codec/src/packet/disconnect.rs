//! DISCONNECT: why a connection ends; before 5.0 only from the Client and without a why (§3.14).

use crate::encode::put_properties;
use crate::error::{DecodeError, EncodeError};
use crate::read::Reader;
use crate::write::frame;
use crate::{PacketType, Properties, PropertyPlace, ProtocolVersion, ReasonCode};

/// A DISCONNECT packet. Before 5.0 always success and without properties.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disconnect<'a> {
    /// Why. [`ReasonCode::Success`] alone discards the Will \[MQTT-3.14.4-3\], \[MQTT-3.1.2-8\].
    pub reason: ReasonCode,
    /// Session Expiry Interval (Client), Server Reference (server), Reason String, User Properties.
    pub properties: Properties<'a>,
}

impl<'a> Disconnect<'a> {
    /// A DISCONNECT without properties.
    #[must_use]
    pub const fn with_reason(reason: ReasonCode) -> Self {
        Self { reason, properties: Properties::EMPTY }
    }

    /// Reads the body of a DISCONNECT from a Client. Without a reason it means success (§3.14.2.1).
    ///
    /// # Errors
    /// [`DecodeError`] as its variants say.
    pub fn decode(body: &'a [u8], version: ProtocolVersion) -> Result<Self, DecodeError> {
        Self::decode_in(body, version, PropertyPlace::DisconnectFromClient)
    }

    /// Reads the body of a DISCONNECT that a server sent.
    ///
    /// # Errors
    /// [`DecodeError`] as its variants say; before 5.0 a server sends none.
    pub fn decode_from_server(body: &'a [u8], version: ProtocolVersion) -> Result<Self, DecodeError> {
        Self::decode_in(body, version, PropertyPlace::DisconnectFromServer)
    }

    fn decode_in(
        body: &'a [u8],
        version: ProtocolVersion,
        place: PropertyPlace,
    ) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let mut disconnect = Self::with_reason(ReasonCode::Success);
        if version.has_properties() && !reader.is_empty() {
            disconnect.reason = reader.reason_code(PacketType::Disconnect)?;
            if !reader.is_empty() {
                disconnect.properties = Properties::parse(&mut reader, place)?;
            }
        }
        reader.finish()?;
        Ok(disconnect)
    }
}

/// Appends a DISCONNECT from the server; 5.0 only, since older servers have none.
///
/// # Errors
/// [`EncodeError::NotInVersion`] before 5.0 and for a reason that DISCONNECT cannot carry: the
/// server then only closes. [`EncodeError::PropertyNotAllowed`], for example for Session Expiry
/// Interval \[MQTT-3.14.2-2\].
pub fn encode_disconnect(
    out: &mut Vec<u8>,
    version: ProtocolVersion,
    disconnect: &Disconnect<'_>,
) -> Result<(), EncodeError> {
    if !version.has_properties() {
        return Err(EncodeError::NotInVersion { packet_type: PacketType::Disconnect });
    }
    put_disconnect(out, version, disconnect, PropertyPlace::DisconnectFromServer)
}

/// Appends a DISCONNECT from a Client. Before 5.0 it has no reason and no properties.
///
/// # Errors
/// [`EncodeError::NotInVersion`] for a reason that DISCONNECT cannot carry,
/// [`EncodeError::PropertyNotAllowed`].
pub fn encode_disconnect_from_client(
    out: &mut Vec<u8>,
    version: ProtocolVersion,
    disconnect: &Disconnect<'_>,
) -> Result<(), EncodeError> {
    put_disconnect(out, version, disconnect, PropertyPlace::DisconnectFromClient)
}

fn put_disconnect(
    out: &mut Vec<u8>,
    version: ProtocolVersion,
    disconnect: &Disconnect<'_>,
    place: PropertyPlace,
) -> Result<(), EncodeError> {
    let packet_type = PacketType::Disconnect;
    if !disconnect.reason.allowed_in(packet_type) {
        return Err(EncodeError::NotInVersion { packet_type });
    }
    frame(out, packet_type.first_byte(), |out| {
        if version.has_properties() && *disconnect != Disconnect::with_reason(ReasonCode::Success) {
            out.push(disconnect.reason.byte());
            if !disconnect.properties.is_empty() {
                put_properties(out, version, disconnect.properties, place)?;
            }
        }
        Ok(())
    })
}
