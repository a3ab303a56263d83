//! Fixed header: finds the end of a packet before its body has arrived (§2.1).
//!
//! This is the first step for every byte that a peer sends. It rejects headers that cannot start a
//! legal packet, so the broker buffers nothing for them. These are an illegal type or illegal
//! flags, a fifth length byte, and a packet above the announced maximum.
//! Not here: whether this peer may send the type now. [`FixedHeader::check_from_client`] checks
//! what depends on the version alone; the session checks the rest.

use crate::error::FrameError;
use crate::limits::VAR_INT_BYTES_MAX;
use crate::{PacketType, ProtocolVersion};

/// Decoded fixed header of a packet. Only [`fixed_header`] builds it, so its type and flags are
/// legal in at least one version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FixedHeader {
    /// The first byte: type in the upper half, flags in the lower.
    pub first_byte: u8,
    /// Bytes of the fixed header itself, 2 to 5.
    pub header_len: u8,
    /// Bytes that follow the fixed header, 0 to 268 435 455.
    pub remaining_len: u32,
    packet_type: PacketType,
}

impl FixedHeader {
    /// The Control Packet type.
    #[must_use]
    #[inline]
    pub const fn packet_type(&self) -> PacketType {
        self.packet_type
    }

    /// Returns the size of the whole packet in bytes, with its fixed header. Maximum Packet Size
    /// limits this value \[MQTT-3.1.2-24\].
    #[must_use]
    #[inline]
    pub const fn packet_len(&self) -> usize {
        self.header_len as usize + self.remaining_len as usize
    }

    /// Whether the Remaining Length took the fewest bytes possible \[MQTT-1.5.5-1\].
    ///
    /// If not, the received header must not be sent on in place: the server has to encode its own.
    #[must_use]
    #[inline]
    pub const fn length_is_shortest(&self) -> bool {
        self.header_len as usize == 1 + var_int_len(self.remaining_len)
    }

    /// Rejects packets that no Client of this version may send, whatever their body is.
    ///
    /// # Errors
    /// - [`FrameError::NotFromClient`]: a type that only servers send, or AUTH before 5.0.
    /// - [`FrameError::FlagsInvalid`]: DUP in a packet other than PUBLISH since 3.1.1
    ///   \[MQTT-2.1.3-1\].
    /// - [`FrameError::LengthNotShortest`]: 5.0 only \[MQTT-1.5.5-1\]. Earlier versions allow
    ///   longer forms.
    #[inline]
    pub const fn check_from_client(&self, version: ProtocolVersion) -> Result<PacketType, FrameError> {
        if !self.packet_type.from_client(version) {
            return Err(FrameError::NotFromClient { packet_type: self.packet_type });
        }
        self.check_form(version)
    }

    /// Rejects packets that no server of this version may send, whatever their body is.
    ///
    /// # Errors
    /// [`FrameError::NotFromServer`] for a type that only Clients send, and for DISCONNECT and AUTH
    /// before 5.0. [`FrameError::FlagsInvalid`] and [`FrameError::LengthNotShortest`] as for
    /// Clients.
    pub const fn check_from_server(&self, version: ProtocolVersion) -> Result<PacketType, FrameError> {
        if !self.packet_type.from_server(version) {
            return Err(FrameError::NotFromServer { packet_type: self.packet_type });
        }
        self.check_form(version)
    }

    /// Refuses a header that this version does not allow, whoever sends it.
    #[inline]
    const fn check_form(&self, version: ProtocolVersion) -> Result<PacketType, FrameError> {
        let flags = self.first_byte & 0x0F;
        if self.packet_type.repeats_in_3_1(flags) && !matches!(version, ProtocolVersion::V3_1) {
            return Err(FrameError::FlagsInvalid { packet_type: self.packet_type, flags });
        }
        if version.has_properties() && !self.length_is_shortest() {
            return Err(FrameError::LengthNotShortest);
        }
        Ok(self.packet_type)
    }
}

/// Reads the fixed header at the start of `bytes`. Returns `Ok(None)` if it needs more bytes.
///
/// Reads at most 5 bytes. `max_packet_size` limits the whole packet in bytes, with its fixed
/// header.
///
/// # Errors
/// - [`FrameError::TypeIllegal`] and [`FrameError::FlagsInvalid`] as soon as the first byte is
///   there.
/// - [`FrameError::LengthMalformed`] as soon as the fourth length byte announces a fifth.
/// - [`FrameError::TooLarge`] before any byte of the body has arrived.
#[inline]
pub fn fixed_header(bytes: &[u8], max_packet_size: u32) -> Result<Option<FixedHeader>, FrameError> {
    let Some((&first_byte, rest)) = bytes.split_first() else { return Ok(None) };
    let Some(packet_type) = PacketType::from_bits(first_byte >> 4) else {
        return Err(FrameError::TypeIllegal { first_byte });
    };
    if !packet_type.flags_valid(first_byte & 0x0F) && !packet_type.repeats_in_3_1(first_byte & 0x0F) {
        return Err(FrameError::FlagsInvalid { packet_type, flags: first_byte & 0x0F });
    }
    let Some((remaining_len, length_bytes)) = remaining_length(rest)? else { return Ok(None) };
    let header_len = 1 + length_bytes;
    let len = u32::from(header_len) + remaining_len;
    if len > max_packet_size {
        return Err(FrameError::TooLarge { len, limit: max_packet_size });
    }
    Ok(Some(FixedHeader { first_byte, header_len, remaining_len, packet_type }))
}

/// Returns the bytes of the shortest variable byte integer for `value`, 1 to 4 (§1.5.5, Table 1-1).
#[must_use]
#[inline]
pub(crate) const fn var_int_len(value: u32) -> usize {
    match value {
        0..=127 => 1,
        128..=16_383 => 2,
        16_384..=2_097_151 => 3,
        _ => 4,
    }
}

#[inline]
fn remaining_length(bytes: &[u8]) -> Result<Option<(u32, u8)>, FrameError> {
    let mut value = 0u32;
    let mut length_bytes = 0u8;
    for &byte in bytes.iter().take(VAR_INT_BYTES_MAX) {
        value |= u32::from(byte & 0x7F) << (7 * length_bytes);
        length_bytes += 1;
        if byte & 0x80 == 0 {
            return Ok(Some((value, length_bytes)));
        }
    }
    if usize::from(length_bytes) == VAR_INT_BYTES_MAX { Err(FrameError::LengthMalformed) } else { Ok(None) }
}
