//! Packet Identifier, which links acknowledgements to their packets (§2.2.1).

use std::fmt;
use std::num::NonZeroU16;

/// Packet Identifier, 1 to 65,535. Each direction of a connection has its own identifiers
/// \[MQTT-2.2.1-4\].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PacketId(pub NonZeroU16);

impl PacketId {
    /// The smallest identifier, 1.
    pub const MIN: Self = Self(NonZeroU16::MIN);

    /// The identifier with this value; `None` for 0, which no packet may carry \[MQTT-2.2.1-3\].
    #[must_use]
    #[inline]
    pub const fn new(value: u16) -> Option<Self> {
        match NonZeroU16::new(value) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }

    /// The value, 1 to 65535.
    #[must_use]
    #[inline]
    pub const fn get(self) -> u16 {
        self.0.get()
    }

    /// The two bytes on the wire, most significant first.
    #[must_use]
    #[inline]
    pub const fn to_bytes(self) -> [u8; 2] {
        self.0.get().to_be_bytes()
    }

    /// The identifier that follows, with 1 after 65535. The caller skips those still in use.
    #[must_use]
    #[inline]
    pub const fn next(self) -> Self {
        match self.0.checked_add(1) {
            Some(value) => Self(value),
            None => Self::MIN,
        }
    }
}

impl fmt::Display for PacketId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_wraps_to_one() {
        for (value, expected) in [(1, 2), (65_534, 65_535), (65_535, 1)] {
            assert_eq!(PacketId::new(value).unwrap().next().get(), expected);
        }
        assert_eq!(PacketId::new(0), None); // [MQTT-2.2.1-3]
    }
}
