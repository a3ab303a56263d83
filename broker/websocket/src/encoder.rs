//! Frames on their way out.

use crate::frame::{Opcode, Role};
use crate::limits::CONTROL_BYTES_MAX;

/// Appends the header of an unfragmented frame with a payload of `len` bytes. With a `key` the
/// payload must be masked with it.
pub fn put_header(out: &mut Vec<u8>, opcode: Opcode, is_compressed: bool, len: usize, key: Option<[u8; 4]>) {
    out.push(0x80 | if is_compressed { 0x40 } else { 0 } | opcode.bits());
    let masked = if key.is_some() { 0x80 } else { 0 };
    match (u8::try_from(len), u16::try_from(len)) {
        (Ok(len), _) if len < 126 => out.push(masked | len),
        (_, Ok(len)) => {
            out.push(masked | 126);
            out.extend_from_slice(&len.to_be_bytes());
        }
        _ => {
            out.push(masked | 127);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    if let Some(key) = key {
        out.extend_from_slice(&key);
    }
}

/// Appends the answer to a ping.
pub fn put_pong(out: &mut Vec<u8>, key: Option<[u8; 4]>, payload: &[u8]) {
    put_control(out, Opcode::Pong, key, payload);
}

/// Appends a close frame with a code of RFC 6455 §7.4; without one if there is none to give.
pub fn put_close(out: &mut Vec<u8>, key: Option<[u8; 4]>, code: Option<u16>) {
    match code {
        Some(code) => put_control(out, Opcode::Close, key, &code.to_be_bytes()),
        None => put_control(out, Opcode::Close, key, &[]),
    }
}

fn put_control(out: &mut Vec<u8>, opcode: Opcode, key: Option<[u8; 4]>, payload: &[u8]) {
    debug_assert!(payload.len() <= CONTROL_BYTES_MAX, "control frames are short");
    put_header(out, opcode, false, payload.len(), key);
    let start = out.len();
    out.extend_from_slice(payload);
    if let (Some(key), Some(own)) = (key, out.get_mut(start..)) {
        mask(own, key, 0);
    }
}

/// Masks or unmasks a part of a payload that begins `offset` bytes behind its start.
pub fn mask(bytes: &mut [u8], key: [u8; 4], offset: usize) {
    let mut rotated = key;
    rotated.rotate_left(offset % 4);
    let word = u32::from_ne_bytes(rotated);
    let (words, rest) = bytes.as_chunks_mut::<4>();
    for chunk in words {
        *chunk = (u32::from_ne_bytes(*chunk) ^ word).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(rotated) {
        *byte ^= key;
    }
}

impl Role {
    /// Whether frames of this side are masked.
    #[must_use]
    pub const fn masks(self) -> bool {
        matches!(self, Self::Client)
    }
}
