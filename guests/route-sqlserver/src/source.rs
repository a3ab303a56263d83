//! Bytes of a message of the server, which may come in several packets, as what they are.

use crate::fault::{Fault, broken};

/// Source of a message's bytes.
pub(crate) trait Source {
    /// The next bytes, so many of them.
    fn take(&mut self, count: usize) -> Result<&[u8], Fault>;

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        self.take(N)?.try_into().map_err(broken)
    }

    fn byte(&mut self) -> Result<u8, Fault> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    fn short(&mut self) -> Result<u16, Fault> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    fn long(&mut self) -> Result<u32, Fault> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn long_long(&mut self) -> Result<u64, Fault> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A text behind the number of its characters, which is a byte.
    fn short_text(&mut self) -> Result<String, Fault> {
        let characters = usize::from(self.byte()?);
        Ok(utf16(self.take(2 * characters)?))
    }

    /// A text behind the number of its characters, which has two bytes.
    fn text(&mut self) -> Result<String, Fault> {
        let characters = usize::from(self.short()?);
        Ok(utf16(self.take(2 * characters)?))
    }
}

/// A text in UTF-16, little endian.
pub(crate) fn utf16(bytes: &[u8]) -> String {
    let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    String::from_utf16_lossy(&units)
}

/// A text as UTF-16, little endian.
pub(crate) fn as_utf16(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(2 * text.len());
    bytes.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
    bytes
}

#[cfg(test)]
impl Source for &[u8] {
    fn take(&mut self, count: usize) -> Result<&[u8], Fault> {
        let (taken, rest) = self.split_at_checked(count).ok_or_else(|| broken("it ends too early"))?;
        *self = rest;
        Ok(taken)
    }
}
