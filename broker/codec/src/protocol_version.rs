//! MQTT version of a connection. CONNECT decides it once; every other function takes it as an
//! argument.

/// The protocol version of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProtocolVersion {
    /// MQTT 3.1: Protocol Name `MQIsdp`, level 3. Packets as in 3.1.1.
    V3_1,
    /// MQTT 3.1.1: Protocol Name `MQTT`, level 4.
    V3_1_1,
    /// MQTT 5.0: Protocol Name `MQTT`, level 5.
    V5,
}

impl ProtocolVersion {
    /// The Protocol Name that CONNECT starts with \[MQTT-3.1.2-1\].
    #[must_use]
    pub const fn protocol_name(self) -> &'static str {
        match self {
            Self::V3_1 => "MQIsdp",
            Self::V3_1_1 | Self::V5 => "MQTT",
        }
    }

    /// Returns the Protocol Level byte after the name (called Protocol Version in 5.0).
    #[must_use]
    pub const fn level(self) -> u8 {
        match self {
            Self::V3_1 => 3,
            Self::V3_1_1 => 4,
            Self::V5 => 5,
        }
    }

    /// Whether packets carry properties and reason codes, which came with 5.0.
    #[must_use]
    #[inline]
    pub const fn has_properties(self) -> bool {
        matches!(self, Self::V5)
    }
}
