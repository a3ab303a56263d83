//! The cursor that every decoder reads its body with. It never reads past the end and never copies.

use crate::error::DecodeError;
use crate::frame::var_int_len;
use crate::limits::VAR_INT_BYTES_MAX;
use crate::scan::{has_any, has_discouraged, is_printable_without};
use crate::{PacketId, PacketType, ReasonCode};

/// Read position in the body of a packet. Each read advances it. After a failed read it stays, or
/// the decode ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    /// Whether a string that was read has code points that the standards advise against.
    has_discouraged: bool,
}

impl<'a> Reader<'a> {
    #[inline]
    pub(crate) const fn new(body: &'a [u8]) -> Self {
        Self { rest: body, has_discouraged: false }
    }

    /// Returns the unread bytes.
    #[inline]
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Returns whether a string so far has code points that the standards discourage; see
    /// [`has_discouraged`].
    #[inline]
    pub(crate) const fn has_discouraged(&self) -> bool {
        self.has_discouraged
    }

    #[inline]
    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Takes the whole rest.
    #[inline]
    pub(crate) const fn take_rest(&mut self) -> &'a [u8] {
        let rest = self.rest;
        self.rest = &[];
        rest
    }

    /// Takes exactly `count` bytes.
    #[inline]
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (chunk, rest) = self.rest.split_first_chunk::<N>().ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(*chunk)
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        self.chunk().map(u8::from_be_bytes)
    }

    #[inline]
    pub(crate) fn u16(&mut self) -> Result<u16, DecodeError> {
        self.chunk().map(u16::from_be_bytes)
    }

    #[inline]
    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.chunk().map(u32::from_be_bytes)
    }

    /// A Packet Identifier; 0 is refused \[MQTT-2.2.1-3\].
    #[inline]
    pub(crate) fn packet_id(&mut self) -> Result<PacketId, DecodeError> {
        PacketId::new(self.u16()?).ok_or(DecodeError::PacketIdZero)
    }

    /// Reads a variable byte integer. Rejects a fifth byte, and a form longer than needed
    /// \[MQTT-1.5.5-1\].
    pub(crate) fn var_int(&mut self) -> Result<u32, DecodeError> {
        let mut value = 0u32;
        for count in 0..VAR_INT_BYTES_MAX {
            let byte = self.u8()?;
            value |= u32::from(byte & 0x7F) << (7 * count);
            if byte & 0x80 == 0 {
                return if var_int_len(value) == count + 1 {
                    Ok(value)
                } else {
                    Err(DecodeError::VarIntMalformed)
                };
            }
        }
        Err(DecodeError::VarIntMalformed)
    }

    /// Binary data: two length bytes, then as many bytes (§1.5.6).
    #[inline]
    pub(crate) fn binary(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = self.u16()?;
        self.take(usize::from(len))
    }

    /// Reads a UTF-8 string: well-formed \[MQTT-1.5.4-1\] and without U+0000 \[MQTT-1.5.4-2\].
    /// Keeps a byte order mark \[MQTT-1.5.4-3\].
    #[inline]
    pub(crate) fn string(&mut self) -> Result<&'a str, DecodeError> {
        let text = self.utf8()?;
        if is_printable_without(text.as_bytes(), []) { Ok(text) } else { self.unusual(text, []) }
    }

    /// Reads a string without wildcards, which may be empty. One pass over the bytes finds all
    /// forbidden ones.
    #[inline]
    pub(crate) fn string_without_wildcards(&mut self) -> Result<&'a str, DecodeError> {
        let text = self.utf8()?;
        let wildcards = [b'+', b'#'];
        if is_printable_without(text.as_bytes(), wildcards) {
            Ok(text)
        } else {
            self.unusual(text, wildcards)
        }
    }

    /// A string that is not plain ASCII, or has one of `forbidden`.
    fn unusual<const N: usize>(&mut self, text: &'a str, forbidden: [u8; N]) -> Result<&'a str, DecodeError> {
        if has_any(text.as_bytes(), [0]) {
            return Err(DecodeError::StringContainsNul);
        }
        if has_any(text.as_bytes(), forbidden) {
            return Err(DecodeError::TopicNameInvalid);
        }
        self.has_discouraged |= has_discouraged(text);
        Ok(text)
    }

    #[inline]
    fn utf8(&mut self) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.binary()?).map_err(|_| DecodeError::StringNotUtf8)
    }

    /// A reason code that packets of this type can carry (§2.4).
    #[inline]
    pub(crate) fn reason_code(&mut self, packet_type: PacketType) -> Result<ReasonCode, DecodeError> {
        let code = self.u8()?;
        match ReasonCode::from_byte(code) {
            Some(reason) if reason.allowed_in(packet_type) => Ok(reason),
            Some(_) | None => Err(DecodeError::ReasonCodeInvalid { code, packet_type }),
        }
    }

    /// Ends the decode: the fields must fill the Remaining Length exactly.
    #[inline]
    pub(crate) const fn finish(self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(DecodeError::TrailingBytes { count: self.rest.len() }) }
    }
}
