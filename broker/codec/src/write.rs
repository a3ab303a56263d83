//! Small writers that all encoders use. Each appends to the caller's `Vec`; after an error nothing
//! stays appended.

use crate::error::EncodeError;
use crate::frame::var_int_len;
use crate::limits::{FIELD_BYTES_MAX, VAR_INT_MAX};
use crate::scan::has_any;

/// Appends one packet: `first_byte`, then the length of the body, then the bytes that `body`
/// appends.
///
/// Writes a placeholder of one length byte first. Moves a body above 127 bytes once to make room
/// for more.
pub(crate) fn frame(
    out: &mut Vec<u8>,
    first_byte: u8,
    body: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let start = out.len();
    out.extend_from_slice(&[first_byte, 0]);
    let body_start = out.len();
    let written = body(out).and_then(|()| var_int_bytes(out.len() - body_start));
    match written {
        Ok((bytes, count)) => {
            out.splice(start + 1..body_start, bytes.into_iter().take(count));
            Ok(())
        }
        Err(error) => {
            out.truncate(start);
            Err(error)
        }
    }
}

/// The shortest form of `value` and its length in bytes \[MQTT-1.5.5-1\].
fn var_int_bytes(value: usize) -> Result<([u8; 4], usize), EncodeError> {
    let len = checked_len(value)?;
    let mut rest = len;
    let bytes = [(); 4].map(|()| {
        let [low, ..] = rest.to_le_bytes();
        rest >>= 7;
        if rest > 0 { low | 0x80 } else { low & 0x7F }
    });
    Ok((bytes, var_int_len(len)))
}

/// Appends a variable byte integer in its shortest form \[MQTT-1.5.5-1\].
#[inline]
pub(crate) fn put_var_int(out: &mut Vec<u8>, value: usize) -> Result<(), EncodeError> {
    let mut rest = checked_len(value)?;
    while rest > 0x7F {
        let [low, ..] = rest.to_le_bytes();
        out.push(low | 0x80);
        rest >>= 7;
    }
    let [low, ..] = rest.to_le_bytes();
    out.push(low);
    Ok(())
}

/// `value` as a length of the wire, at most 268 435 455.
#[inline]
pub(crate) fn checked_len(value: usize) -> Result<u32, EncodeError> {
    match u32::try_from(value) {
        Ok(len) if len <= VAR_INT_MAX => Ok(len),
        Ok(_) | Err(_) => Err(EncodeError::PacketTooLarge { len: value }),
    }
}

/// Appends binary data: two length bytes, then the bytes (§1.5.6).
#[inline]
pub(crate) fn put_binary(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), EncodeError> {
    let Ok(len) = u16::try_from(bytes.len()) else {
        return Err(EncodeError::FieldTooLong { len: bytes.len(), limit: FIELD_BYTES_MAX });
    };
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(bytes);
    Ok(())
}

/// Appends a UTF-8 string. Rejects U+0000, because the receiver would close the connection
/// \[MQTT-1.5.4-2\].
#[inline]
pub(crate) fn put_string(out: &mut Vec<u8>, text: &str) -> Result<(), EncodeError> {
    if has_any(text.as_bytes(), [0]) {
        return Err(EncodeError::StringContainsNul);
    }
    put_binary(out, text.as_bytes())
}
