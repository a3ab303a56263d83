//! Quality of Service, the promise that a message is delivered with (§4.3).

/// A Quality of Service level; the discriminants are the values on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum QoS {
    /// QoS 0: sent once, never acknowledged (§4.3.1).
    #[default]
    AtMostOnce = 0,
    /// QoS 1: acknowledged by PUBACK, may arrive twice (§4.3.2).
    AtLeastOnce = 1,
    /// QoS 2: PUBREC, PUBREL, PUBCOMP; arrives once (§4.3.3).
    ExactlyOnce = 2,
}

impl QoS {
    /// Returns the QoS with the wire value `bits`. Returns `None` for 3, which is malformed
    /// \[MQTT-3.3.1-4\], and above.
    #[must_use]
    #[inline]
    pub const fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }

    /// The wire value, 0 to 2.
    #[must_use]
    #[inline]
    pub const fn bits(self) -> u8 {
        self as u8
    }
}
