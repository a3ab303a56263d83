//! AUTH: a step of extended authentication, 5.0 only (§3.15).
//!
//! Not here: whether the method is that of CONNECT \[MQTT-4.12.0-5\]; `auth` knows.

use crate::encode::put_properties;
use crate::error::{DecodeError, EncodeError};
use crate::property_id::PropertyId;
use crate::read::Reader;
use crate::write::frame;
use crate::{PacketType, Properties, PropertyPlace, ProtocolVersion, ReasonCode};

/// An AUTH packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Auth<'a> {
    /// Success, continue or re-authenticate.
    pub reason: ReasonCode,
    /// Authentication Method and Data, Reason String, User Properties. Empty in the short form.
    pub properties: Properties<'a>,
}

impl<'a> Auth<'a> {
    /// Reads the body of an AUTH. An empty body means success without properties (§3.15.2.1).
    ///
    /// # Errors
    /// [`DecodeError`] as its variants say. [`DecodeError::AuthenticationMethodMissing`] if a body
    /// that is not empty has no method (§3.15.2.2.2).
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        if reader.is_empty() {
            return Ok(Self { reason: ReasonCode::Success, properties: Properties::EMPTY });
        }
        let reason = reader.reason_code(PacketType::Auth)?;
        let properties = Properties::parse(&mut reader, PropertyPlace::Auth)?;
        reader.finish()?;
        if !properties.contains(PropertyId::AuthenticationMethod) {
            return Err(DecodeError::AuthenticationMethodMissing);
        }
        Ok(Self { reason, properties })
    }
}

/// Appends an AUTH; 5.0 only.
///
/// # Errors
/// [`EncodeError::NotInVersion`] before 5.0 and for a reason that AUTH cannot carry,
/// [`EncodeError::PropertyNotAllowed`].
pub fn encode_auth(out: &mut Vec<u8>, version: ProtocolVersion, auth: &Auth<'_>) -> Result<(), EncodeError> {
    let packet_type = PacketType::Auth;
    if !version.has_properties() || !auth.reason.allowed_in(packet_type) {
        return Err(EncodeError::NotInVersion { packet_type });
    }
    frame(out, packet_type.first_byte(), |out| {
        if auth.reason == ReasonCode::Success && auth.properties.is_empty() {
            return Ok(());
        }
        out.push(auth.reason.byte());
        put_properties(out, version, auth.properties, PropertyPlace::Auth)
    })
}
