//! The header of a frame, RFC 6455 §5.2.

use crate::limits::{CONTROL_BYTES_MAX, HEADER_BYTES_MAX};
use crate::violation::Violation;

/// Own side of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Frames that come are masked, frames that go are not.
    Server,
    /// The other way round.
    Client,
}

/// Type of a frame. MQTT uses no text frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// Goes on with a message.
    Continuation,
    /// Begins a message.
    Binary,
    /// Ends the connection.
    Close,
    /// Asks for a sign of life.
    Ping,
    /// Gives one.
    Pong,
}

impl Opcode {
    pub(crate) const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }

    pub(crate) const fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0,
            Self::Binary => 2,
            Self::Close => 8,
            Self::Ping => 9,
            Self::Pong => 10,
        }
    }

    const fn from_bits(bits: u8) -> Result<Self, Violation> {
        match bits {
            0 => Ok(Self::Continuation),
            1 => Err(Violation::Text),
            2 => Ok(Self::Binary),
            8 => Ok(Self::Close),
            9 => Ok(Self::Ping),
            10 => Ok(Self::Pong),
            _ => Err(Violation::Protocol),
        }
    }
}

/// A whole header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) is_final: bool,
    pub(crate) is_compressed: bool,
    pub(crate) opcode: Opcode,
    pub(crate) len: u64,
    pub(crate) mask: [u8; 4],
}

/// A header as far as it has come.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PartialHeader {
    bytes: [u8; HEADER_BYTES_MAX],
    have: usize,
}

impl PartialHeader {
    /// Takes bytes of `input` until the header is whole. How many it took, and the header.
    pub(crate) fn take(&mut self, role: Role, input: &[u8]) -> Result<(usize, Option<Header>), Violation> {
        let mut taken = 0;
        loop {
            let wanted = self.wanted();
            if self.have == wanted {
                let header = self.parse()?;
                self.have = 0;
                return Ok((taken, Some(header)));
            }
            let Some(byte) = input.get(taken) else { return Ok((taken, None)) };
            if let Some(place) = self.bytes.get_mut(self.have) {
                *place = *byte;
            }
            self.have += 1;
            taken += 1;
            if self.have == 2 {
                // Report an error before more bytes are needed.
                self.check_start(role)?;
            }
        }
    }

    const fn is_masked(&self) -> bool {
        self.bytes[1] & 0x80 != 0
    }

    /// Bytes that the header has, as far as that is known.
    fn wanted(&self) -> usize {
        if self.have < 2 {
            return 2;
        }
        let length = match self.bytes[1] & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        2 + length + if self.is_masked() { 4 } else { 0 }
    }

    fn check_start(&self, role: Role) -> Result<(), Violation> {
        let [first, second, ..] = self.bytes;
        let opcode = Opcode::from_bits(first & 0x0f)?;
        let is_long_control =
            opcode.is_control() && (first & 0x80 == 0 || usize::from(second & 0x7f) > CONTROL_BYTES_MAX);
        let is_reserved = first & 0x30 != 0 || (first & 0x40 != 0 && opcode != Opcode::Binary);
        if is_long_control || is_reserved || self.is_masked() != (role == Role::Server) {
            return Err(Violation::Protocol);
        }
        Ok(())
    }

    fn parse(&self) -> Result<Header, Violation> {
        let [first, second, b2, b3, b4, b5, b6, b7, b8, b9, ..] = self.bytes;
        let (len, mask_at) = match second & 0x7f {
            126 => {
                let len = u64::from(u16::from_be_bytes([b2, b3]));
                // The shortest form must be used.
                (if len < 126 { None } else { Some(len) }, 4)
            }
            127 => {
                let len = u64::from_be_bytes([b2, b3, b4, b5, b6, b7, b8, b9]);
                (if len <= 0xffff || len >> 63 != 0 { None } else { Some(len) }, 10)
            }
            len => (Some(u64::from(len)), 2),
        };
        let mut mask = [0; 4];
        if self.is_masked() {
            for (at, place) in mask.iter_mut().enumerate() {
                *place = self.bytes.get(mask_at + at).copied().unwrap_or_default();
            }
        }
        Ok(Header {
            is_final: first & 0x80 != 0,
            is_compressed: first & 0x40 != 0,
            opcode: Opcode::from_bits(first & 0x0f)?,
            len: len.ok_or(Violation::Protocol)?,
            mask,
        })
    }
}
