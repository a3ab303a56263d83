//! The 16 Control Packet types and the fixed-header flags that each must have (§2.1.2, §2.1.3).

use std::fmt;

use crate::ProtocolVersion;

/// The type of a Control Packet; the discriminants are the upper four bits of its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum PacketType {
    /// Client to server: asks for a connection.
    Connect = 1,
    /// Server to client: answers CONNECT.
    Connack = 2,
    /// Both directions: a message.
    Publish = 3,
    /// Both directions: acknowledges a QoS 1 message.
    Puback = 4,
    /// Both directions: QoS 2, part 1.
    Pubrec = 5,
    /// Both directions: QoS 2, part 2.
    Pubrel = 6,
    /// Both directions: QoS 2, part 3.
    Pubcomp = 7,
    /// Client to server: asks for subscriptions.
    Subscribe = 8,
    /// Server to client: answers SUBSCRIBE.
    Suback = 9,
    /// Client to server: ends subscriptions.
    Unsubscribe = 10,
    /// Server to client: answers UNSUBSCRIBE.
    Unsuback = 11,
    /// Client to server: a sign of life.
    Pingreq = 12,
    /// Server to client: answers PINGREQ.
    Pingresp = 13,
    /// Ends a connection; in 5.0 both directions, before that client to server only.
    Disconnect = 14,
    /// Both directions, 5.0 only: a step of extended authentication.
    Auth = 15,
}

impl PacketType {
    /// Returns the type with these four bits. Returns `None` for 0, which every version reserves,
    /// and for values above 15.
    #[must_use]
    #[inline]
    pub const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            1 => Self::Connect,
            2 => Self::Connack,
            3 => Self::Publish,
            4 => Self::Puback,
            5 => Self::Pubrec,
            6 => Self::Pubrel,
            7 => Self::Pubcomp,
            8 => Self::Subscribe,
            9 => Self::Suback,
            10 => Self::Unsubscribe,
            11 => Self::Unsuback,
            12 => Self::Pingreq,
            13 => Self::Pingresp,
            14 => Self::Disconnect,
            15 => Self::Auth,
            _ => return None,
        })
    }

    /// The wire value, 1 to 15.
    #[must_use]
    #[inline]
    pub const fn bits(self) -> u8 {
        self as u8
    }

    /// The first byte of a packet of this type; for PUBLISH with DUP 0, QoS 0, RETAIN 0.
    #[must_use]
    #[inline]
    pub const fn first_byte(self) -> u8 {
        self.bits() << 4 | self.reserved_flags()
    }

    /// Whether the lower four bits of a first byte are legal for this type \[MQTT-2.1.3-1\].
    ///
    /// For PUBLISH: QoS is not 3 \[MQTT-3.3.1-4\] and DUP is 0 at QoS 0 \[MQTT-3.3.1-2\].
    #[must_use]
    #[inline]
    pub(crate) const fn flags_valid(self, flags: u8) -> bool {
        match self {
            Self::Publish => flags & 0b0110 != 0b0110 && flags & 0b1110 != 0b1000,
            Self::Connect
            | Self::Connack
            | Self::Puback
            | Self::Pubrec
            | Self::Pubrel
            | Self::Pubcomp
            | Self::Subscribe
            | Self::Suback
            | Self::Unsubscribe
            | Self::Unsuback
            | Self::Pingreq
            | Self::Pingresp
            | Self::Disconnect
            | Self::Auth => flags == self.reserved_flags(),
        }
    }

    /// Returns whether `flags` mark a repeated packet in 3.1, which allows DUP here and later
    /// versions do not (3.1, §3.6, §3.8 and §3.10).
    #[must_use]
    #[inline]
    pub(crate) const fn repeats_in_3_1(self, flags: u8) -> bool {
        matches!(self, Self::Pubrel | Self::Subscribe | Self::Unsubscribe) && flags == 0b1010
    }

    /// Whether a Client of this version may send packets of this type.
    #[must_use]
    pub const fn from_client(self, version: ProtocolVersion) -> bool {
        match self {
            Self::Connect
            | Self::Publish
            | Self::Puback
            | Self::Pubrec
            | Self::Pubrel
            | Self::Pubcomp
            | Self::Subscribe
            | Self::Unsubscribe
            | Self::Pingreq
            | Self::Disconnect => true,
            Self::Connack | Self::Suback | Self::Unsuback | Self::Pingresp => false,
            Self::Auth => version.has_properties(),
        }
    }

    /// Whether a server of this version may send packets of this type.
    #[must_use]
    pub const fn from_server(self, version: ProtocolVersion) -> bool {
        match self {
            Self::Connack
            | Self::Publish
            | Self::Puback
            | Self::Pubrec
            | Self::Pubrel
            | Self::Pubcomp
            | Self::Suback
            | Self::Unsuback
            | Self::Pingresp => true,
            Self::Connect | Self::Subscribe | Self::Unsubscribe | Self::Pingreq => false,
            Self::Disconnect | Self::Auth => version.has_properties(),
        }
    }

    /// The name as the standards spell it, for example `PUBLISH`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "CONNECT",
            Self::Connack => "CONNACK",
            Self::Publish => "PUBLISH",
            Self::Puback => "PUBACK",
            Self::Pubrec => "PUBREC",
            Self::Pubrel => "PUBREL",
            Self::Pubcomp => "PUBCOMP",
            Self::Subscribe => "SUBSCRIBE",
            Self::Suback => "SUBACK",
            Self::Unsubscribe => "UNSUBSCRIBE",
            Self::Unsuback => "UNSUBACK",
            Self::Pingreq => "PINGREQ",
            Self::Pingresp => "PINGRESP",
            Self::Disconnect => "DISCONNECT",
            Self::Auth => "AUTH",
        }
    }

    const fn reserved_flags(self) -> u8 {
        if matches!(self, Self::Pubrel | Self::Subscribe | Self::Unsubscribe) { 0b0010 } else { 0 }
    }
}

impl fmt::Display for PacketType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}
