//! Errors of packets, and the one table that maps them to the reason codes for the peer.
//!
//! [`FrameError`] and [`DecodeError`] are always the peer's fault and always end the connection
//! \[MQTT-4.13.1-1\]. [`EncodeError`] is ours: the caller asked for a packet that cannot exist.

use crate::property_id::{PropertyId, PropertyPlace};
use crate::{PacketType, ReasonCode};

/// Reason to reject a fixed header before its body arrives.
/// The peer is at fault; [`ReasonCode::from`] returns the reason code for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// Type 0, which is reserved (§2.1.2).
    #[error("first byte 0x{first_byte:02X} has the reserved packet type 0")]
    TypeIllegal {
        /// The first byte as received.
        first_byte: u8,
    },
    /// Flags that the packet type does not allow \[MQTT-2.1.3-1\]. For PUBLISH also QoS 3, and DUP
    /// at QoS 0.
    #[error("{packet_type} with invalid flags 0b{flags:04b}")]
    FlagsInvalid {
        /// The type of the packet.
        packet_type: PacketType,
        /// The lower four bits of the first byte.
        flags: u8,
    },
    /// The Remaining Length has a fifth byte (§1.5.5).
    #[error("remaining length has more than 4 bytes")]
    LengthMalformed,
    /// The Remaining Length took more bytes than it needs \[MQTT-1.5.5-1\].
    #[error("remaining length is not in its shortest form")]
    LengthNotShortest,
    /// The packet is larger than we accept.
    #[error("packet of {len} bytes is above the maximum packet size of {limit}")]
    TooLarge {
        /// Bytes of the whole packet, fixed header included.
        len: u32,
        /// The maximum in the same unit.
        limit: u32,
    },
    /// A type that only a server sends, or AUTH before 5.0.
    #[error("{packet_type} is not a packet that a client of this version may send")]
    NotFromClient {
        /// The type of the packet.
        packet_type: PacketType,
    },
    /// A type that only a Client sends, or DISCONNECT or AUTH before 5.0.
    #[error("{packet_type} is not a packet that a server of this version may send")]
    NotFromServer {
        /// The type of the packet.
        packet_type: PacketType,
    },
}

/// Reason to reject the body of a packet.
/// The peer is at fault; [`ReasonCode::from`] returns the reason code for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The fixed header was already wrong for this version or direction.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A field runs past the end of the packet or of the properties.
    #[error("a field runs past the end of the packet")]
    Truncated,
    /// The fields end before the Remaining Length does.
    #[error("{count} bytes left over behind the last field")]
    TrailingBytes {
        /// Bytes left over, at least 1.
        count: usize,
    },
    /// A variable byte integer with a fifth byte or longer than it needs \[MQTT-1.5.5-1\].
    #[error("malformed variable byte integer")]
    VarIntMalformed,
    /// A string that is not well-formed UTF-8 \[MQTT-1.5.4-1\].
    #[error("string is not well-formed UTF-8")]
    StringNotUtf8,
    /// A string with U+0000 \[MQTT-1.5.4-2\].
    #[error("string contains U+0000")]
    StringContainsNul,
    /// Packet Identifier 0 \[MQTT-2.2.1-3\].
    #[error("packet identifier is 0")]
    PacketIdZero,
    /// The Protocol Name is neither `MQTT` nor `MQIsdp` \[MQTT-3.1.2-1\]: not MQTT at all.
    #[error("protocol name is not MQTT")]
    ProtocolNameInvalid,
    /// The Protocol Level is none that we speak \[MQTT-3.1.2-2\].
    #[error("protocol level {level} is not supported")]
    ProtocolLevelUnsupported {
        /// The level as received.
        level: u8,
    },
    /// The reserved Connect Flag is 1 \[MQTT-3.1.2-3\].
    #[error("reserved connect flag is 1")]
    ConnectFlagReserved,
    /// Will QoS 3 \[MQTT-3.1.2-12\].
    #[error("will QoS is 3")]
    WillQosInvalid,
    /// Will QoS or Will Retain without Will Flag \[MQTT-3.1.2-11\], \[MQTT-3.1.2-13\].
    #[error("will QoS or will retain without will flag")]
    WillFlagsWithoutWill,
    /// Password Flag without User Name Flag before 5.0 \[3.1.1: MQTT-3.1.2-22\].
    #[error("password flag without user name flag")]
    PasswordWithoutUserName,
    /// An empty Client Identifier where the server may not assign one \[3.1.1: MQTT-3.1.3-8\].
    #[error("client identifier is empty")]
    ClientIdEmpty,
    /// The Will Topic is empty or has a wildcard.
    #[error("will topic is empty or has a wildcard")]
    WillTopicInvalid,
    /// Authentication Data without Authentication Method (§3.1.2.11.10).
    #[error("authentication data without authentication method")]
    AuthenticationMethodMissing,
    /// Topic Name with a wildcard \[MQTT-3.3.2-2\], or an empty one before 5.0
    /// \[3.1.1: MQTT-4.7.3-1\].
    #[error("topic name is empty or has a wildcard")]
    TopicNameInvalid,
    /// The Topic Name is empty and there is no Topic Alias (§3.3.2.1).
    #[error("topic name is empty and there is no topic alias")]
    TopicNameMissing,
    /// SUBSCRIBE or UNSUBSCRIBE without a filter \[MQTT-3.8.3-2\], \[MQTT-3.10.3-2\], or SUBACK or
    /// UNSUBACK without a code.
    #[error("no topic filter")]
    NoTopicFilter,
    /// Reserved bits of the Subscription Options are not 0 \[MQTT-3.8.3-5\].
    #[error("reserved bits in subscription options 0b{options:08b}")]
    SubscriptionOptionsReserved {
        /// The options byte.
        options: u8,
    },
    /// Maximum QoS 3 or Retain Handling 3 (§3.8.3.1).
    #[error("QoS or retain handling 3 in subscription options 0b{options:08b}")]
    SubscriptionOptionsInvalid {
        /// The options byte.
        options: u8,
    },
    /// No Local on a Shared Subscription \[MQTT-3.8.3-4\].
    #[error("no local on a shared subscription")]
    NoLocalOnSharedSubscription,
    /// A reason code or return code that does not exist or that this packet cannot carry (§2.4).
    #[error("reason code 0x{code:02X} is not valid in {packet_type}")]
    ReasonCodeInvalid {
        /// The code as received.
        code: u8,
        /// The type of the packet.
        packet_type: PacketType,
    },
    /// Bits 7 to 1 of the Connect Acknowledge Flags are not 0, or Session Present is 1 in a
    /// failure.
    #[error("invalid connect acknowledge flags 0b{flags:08b}")]
    ConnackFlagsInvalid {
        /// The flags byte.
        flags: u8,
    },
    /// A property identifier that the standard does not assign (§2.2.2.2).
    #[error("unknown property 0x{id:02X}")]
    PropertyUnknown {
        /// The identifier as received.
        id: u32,
    },
    /// A property that this packet cannot carry (§2.2.2.2).
    #[error("property {id} is not allowed in {place}")]
    PropertyNotAllowed {
        /// The property.
        id: PropertyId,
        /// List that held the property.
        place: PropertyPlace,
    },
    /// A property twice that may occur only once (§2.2.2.2).
    #[error("property {id} occurs more than once")]
    PropertyRepeated {
        /// The property.
        id: PropertyId,
    },
    /// A property value outside its range.
    #[error("property {id} has a value outside its range")]
    PropertyValueInvalid {
        /// The property.
        id: PropertyId,
    },
    /// Topic Alias 0 \[MQTT-3.3.2-8\].
    #[error("topic alias is 0")]
    TopicAliasZero,
}

/// Why a packet could not be encoded. Nothing was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// A string or binary field above 65 535 bytes.
    #[error("field of {len} bytes is above the limit of {limit}")]
    FieldTooLong {
        /// Bytes of the field.
        len: usize,
        /// The limit in the same unit.
        limit: usize,
    },
    /// A string with U+0000; the receiver would close the connection \[MQTT-1.5.4-2\].
    #[error("string contains U+0000")]
    StringContainsNul,
    /// Body above 268,435,455 bytes, or packet above the receiver's Maximum Packet Size
    /// \[MQTT-3.1.2-24\].
    #[error("packet of {len} bytes is too large")]
    PacketTooLarge {
        /// Bytes of the part that is too large.
        len: usize,
    },
    /// The protocol version has no such packet, or no way to say this.
    #[error("{packet_type} cannot say this in this protocol version")]
    NotInVersion {
        /// The packet that was asked for.
        packet_type: PacketType,
    },
    /// A property value of another type than the property has, or outside its range.
    #[error("property {id} does not take this value")]
    PropertyValueInvalid {
        /// The property.
        id: PropertyId,
    },
    /// A property that this packet cannot carry, or not twice.
    #[error("property {id} is not allowed, or not twice, in {place}")]
    PropertyNotAllowed {
        /// The property.
        id: PropertyId,
        /// List that would have held the property.
        place: PropertyPlace,
    },
    /// A Topic Name that is empty without Topic Alias or has a wildcard.
    #[error("topic name is empty or has a wildcard")]
    TopicNameInvalid,
    /// SUBSCRIBE or UNSUBSCRIBE without any filter, or SUBACK without any code.
    #[error("no topic filter")]
    NoTopicFilter,
    /// A PUBLISH at QoS 1 or 2 without Packet Identifier, or at QoS 0 with one \[MQTT-2.2.1-2\].
    #[error("packet identifier does not go with the QoS")]
    PacketIdMismatch,
}

impl From<FrameError> for ReasonCode {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::TypeIllegal { .. }
            | FrameError::FlagsInvalid { .. }
            | FrameError::LengthMalformed
            | FrameError::LengthNotShortest => Self::MalformedPacket,
            FrameError::TooLarge { .. } => Self::PacketTooLarge,
            FrameError::NotFromClient { .. } | FrameError::NotFromServer { .. } => Self::ProtocolError,
        }
    }
}

/// Table from decode errors to 5.0 reason codes. For 3.1.1, [`ReasonCode::connect_return_code`]
/// converts the result; outside CONNACK the server only closes the connection.
impl From<DecodeError> for ReasonCode {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Frame(error) => error.into(),
            DecodeError::Truncated
            | DecodeError::TrailingBytes { .. }
            | DecodeError::VarIntMalformed
            | DecodeError::StringNotUtf8
            | DecodeError::StringContainsNul
            | DecodeError::ConnectFlagReserved
            | DecodeError::WillQosInvalid
            | DecodeError::WillFlagsWithoutWill
            | DecodeError::PasswordWithoutUserName
            | DecodeError::SubscriptionOptionsReserved { .. }
            | DecodeError::ConnackFlagsInvalid { .. }
            | DecodeError::PropertyUnknown { .. } => Self::MalformedPacket,
            DecodeError::PropertyNotAllowed { id, place } => match (id, place) {
                // [MQTT-3.3.4-6] calls this a Protocol Error; elsewhere §2.2.2.2 calls the packet
                // malformed.
                (PropertyId::SubscriptionIdentifier, PropertyPlace::PublishFromClient) => Self::ProtocolError,
                _ => Self::MalformedPacket,
            },
            DecodeError::PacketIdZero
            | DecodeError::AuthenticationMethodMissing
            | DecodeError::TopicNameMissing
            | DecodeError::NoTopicFilter
            | DecodeError::SubscriptionOptionsInvalid { .. }
            | DecodeError::NoLocalOnSharedSubscription
            | DecodeError::ReasonCodeInvalid { .. }
            | DecodeError::PropertyRepeated { .. }
            | DecodeError::PropertyValueInvalid { .. } => Self::ProtocolError,
            DecodeError::ProtocolNameInvalid | DecodeError::ProtocolLevelUnsupported { .. } => {
                Self::UnsupportedProtocolVersion
            }
            DecodeError::ClientIdEmpty => Self::ClientIdentifierNotValid,
            DecodeError::WillTopicInvalid | DecodeError::TopicNameInvalid => Self::TopicNameInvalid,
            DecodeError::TopicAliasZero => Self::TopicAliasInvalid,
        }
    }
}
