//! Encoders for property lists and for packets that shrink to fit the receiver's Maximum Packet
//! Size.

use crate::ProtocolVersion;
use crate::error::EncodeError;
use crate::property::{Properties, PropertyBuf};
use crate::property_id::{PropertyId, PropertyPlace};
use crate::write::put_var_int;

/// Appends Property Length and properties in 5.0, nothing before it.
pub(crate) fn put_properties(
    out: &mut Vec<u8>,
    version: ProtocolVersion,
    properties: Properties<'_>,
    place: PropertyPlace,
) -> Result<(), EncodeError> {
    if version.has_properties() {
        properties.check(place)?;
        put_var_int(out, properties.raw().len())?;
        out.extend_from_slice(properties.raw());
    }
    Ok(())
}

/// Appends a packet of at most `limit` bytes, the receiver's Maximum Packet Size.
///
/// Calls `encode` with `properties`. If the packet is too large, calls it again without Reason
/// String and User Properties, which an acknowledgement drops first: \[MQTT-3.2.2-19\],
/// \[MQTT-3.2.2-20\], \[MQTT-3.4.2-2\], \[MQTT-3.4.2-3\].
///
/// # Errors
/// Returns the errors of `encode`, and [`EncodeError::PacketTooLarge`] if the smaller packet is too
/// large as well. Nothing is appended then.
pub fn encode_within(
    out: &mut Vec<u8>,
    limit: u32,
    properties: Properties<'_>,
    mut encode: impl FnMut(&mut Vec<u8>, Properties<'_>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let start = out.len();
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    encode(out, properties)?;
    if out.len() - start <= limit {
        return Ok(());
    }
    out.truncate(start);
    let mut smaller = PropertyBuf::new();
    smaller.extend(properties, |id| id != PropertyId::ReasonString && id != PropertyId::UserProperty);
    encode(out, smaller.properties())?;
    let len = out.len() - start;
    if len <= limit {
        return Ok(());
    }
    out.truncate(start);
    Err(EncodeError::PacketTooLarge { len })
}
