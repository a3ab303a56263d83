//! PINGREQ and PINGRESP: two bytes each and nothing to say (§3.12, §3.13).

use crate::PacketType;
use crate::error::DecodeError;
use crate::read::Reader;

/// Checks the body of a PINGREQ or PINGRESP, which is empty.
///
/// # Errors
/// [`DecodeError::TrailingBytes`] when it is not.
#[inline]
pub const fn decode_ping(body: &[u8]) -> Result<(), DecodeError> {
    Reader::new(body).finish()
}

/// Appends a PINGREQ.
#[inline]
pub fn encode_pingreq(out: &mut Vec<u8>) {
    out.extend_from_slice(&[PacketType::Pingreq.first_byte(), 0]);
}

/// Appends a PINGRESP \[MQTT-3.12.4-1\].
#[inline]
pub fn encode_pingresp(out: &mut Vec<u8>) {
    out.extend_from_slice(&[PacketType::Pingresp.first_byte(), 0]);
}
