//! The one table of reason codes: 5.0 value, name, packets that carry it, and its equivalent in
//! 3.1.1.
//!
//! No other file writes a reason code as a number. 5.0 §2.4, Table 2-6; 3.1.1 §3.2.2.3, Table 3.1.

use std::fmt;

use crate::{PacketType, ProtocolVersion, QoS};

macro_rules! reason_codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal, $return_code:expr, [$($packet:ident)+];)+) => {
        /// Reason code of 5.0: the cause of a success or failure (§2.4). Values from 0x80 are
        /// failures.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum ReasonCode {
            $($(#[$doc])* $name = $code,)+
        }

        impl ReasonCode {
            /// Every reason code, ascending.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The reason code with this value; `None` when the standard assigns none.
            #[must_use]
            pub const fn from_byte(byte: u8) -> Option<Self> {
                match byte {
                    $($code => Some(Self::$name),)+
                    _ => None,
                }
            }

            /// The name of the standard in lower case, for logs and error texts.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }

            /// Returns the equivalent CONNACK return code of 3.1 and 3.1.1, 0 to 5.
            ///
            /// Returns `None` if none fits; the server then closes without CONNACK
            /// \[3.1.1: MQTT-3.2.2-6\].
            #[must_use]
            pub const fn connect_return_code(self) -> Option<u8> {
                match self {
                    $(Self::$name => $return_code,)+
                }
            }

            const fn packets(self) -> u16 {
                match self {
                    $(Self::$name => 0 $(| 1 << PacketType::$packet.bits())+,)+
                }
            }
        }
    };
}

reason_codes! {
    /// Done. In DISCONNECT: normal disconnection, the Will is discarded. In SUBACK: granted QoS 0.
    Success = 0x00, "success", Some(0), [Connack Puback Pubrec Pubrel Pubcomp Suback Unsuback Disconnect Auth];
    /// The subscription was accepted with at most QoS 1.
    GrantedQos1 = 0x01, "granted QoS 1", None, [Suback];
    /// The subscription was accepted with at most QoS 2.
    GrantedQos2 = 0x02, "granted QoS 2", None, [Suback];
    /// The Client leaves and wants its Will sent \[MQTT-3.1.2-8\].
    DisconnectWithWillMessage = 0x04, "disconnect with will message", None, [Disconnect];
    /// The broker accepted the message, but its topic has no subscribers.
    NoMatchingSubscribers = 0x10, "no matching subscribers", None, [Puback Pubrec];
    /// UNSUBSCRIBE named a filter that was not subscribed.
    NoSubscriptionExisted = 0x11, "no subscription existed", None, [Unsuback];
    /// The next step of extended authentication follows.
    ContinueAuthentication = 0x18, "continue authentication", None, [Auth];
    /// The Client starts a re-authentication.
    ReAuthenticate = 0x19, "re-authenticate", None, [Auth];
    /// A failure that the sender does not explain.
    UnspecifiedError = 0x80, "unspecified error", None, [Connack Puback Pubrec Suback Unsuback Disconnect];
    /// The packet cannot be parsed (§4.13.1).
    MalformedPacket = 0x81, "malformed packet", None, [Connack Disconnect];
    /// The packet was unexpected or broke a rule (§4.13.1).
    ProtocolError = 0x82, "protocol error", None, [Connack Disconnect];
    /// The packet is valid but this server does not accept it.
    ImplementationSpecificError = 0x83, "implementation specific error", None, [Connack Puback Pubrec Suback Unsuback Disconnect];
    /// The server does not speak this protocol version.
    UnsupportedProtocolVersion = 0x84, "unsupported protocol version", Some(1), [Connack];
    /// The Client Identifier is well-formed but not allowed.
    ClientIdentifierNotValid = 0x85, "client identifier not valid", Some(2), [Connack];
    /// The user name or password is wrong.
    BadUserNameOrPassword = 0x86, "bad user name or password", Some(4), [Connack];
    /// The Client may not do this.
    NotAuthorized = 0x87, "not authorized", Some(5), [Connack Puback Pubrec Suback Unsuback Disconnect];
    /// The server is not available.
    ServerUnavailable = 0x88, "server unavailable", Some(3), [Connack];
    /// The server is busy; try again later.
    ServerBusy = 0x89, "server busy", Some(3), [Connack Disconnect];
    /// The Client was banned by an administrator.
    Banned = 0x8A, "banned", Some(5), [Connack];
    /// The server shuts down.
    ServerShuttingDown = 0x8B, "server shutting down", None, [Disconnect];
    /// The authentication method is not supported. Table 2-6 also lists DISCONNECT, but the binding
    /// table in §3.14.2.1 does not.
    BadAuthenticationMethod = 0x8C, "bad authentication method", None, [Connack];
    /// Nothing came for 1.5 times the Keep Alive \[MQTT-3.1.2-22\].
    KeepAliveTimeout = 0x8D, "keep alive timeout", None, [Disconnect];
    /// Another connection with the same Client Identifier took over \[MQTT-3.1.4-3\].
    SessionTakenOver = 0x8E, "session taken over", None, [Disconnect];
    /// The Topic Filter is well-formed but not accepted.
    TopicFilterInvalid = 0x8F, "topic filter invalid", None, [Suback Unsuback Disconnect];
    /// The Topic Name is well-formed but not accepted.
    TopicNameInvalid = 0x90, "topic name invalid", None, [Connack Puback Pubrec Disconnect];
    /// The Packet Identifier is already in use.
    PacketIdentifierInUse = 0x91, "packet identifier in use", None, [Puback Pubrec Suback Unsuback];
    /// The Packet Identifier is not known; not an error during recovery.
    PacketIdentifierNotFound = 0x92, "packet identifier not found", None, [Pubrel Pubcomp];
    /// More unacknowledged messages than the Receive Maximum \[MQTT-3.3.4-7\].
    ReceiveMaximumExceeded = 0x93, "receive maximum exceeded", None, [Disconnect];
    /// A Topic Alias of 0 or above the announced maximum \[MQTT-3.3.2-8\].
    TopicAliasInvalid = 0x94, "topic alias invalid", None, [Disconnect];
    /// The packet is larger than the announced maximum.
    PacketTooLarge = 0x95, "packet too large", None, [Connack Disconnect];
    /// The messages come too fast.
    MessageRateTooHigh = 0x96, "message rate too high", None, [Disconnect];
    /// A limit of the server or an administrator is reached.
    QuotaExceeded = 0x97, "quota exceeded", Some(3), [Connack Puback Pubrec Suback Disconnect];
    /// An administrator closed the connection.
    AdministrativeAction = 0x98, "administrative action", None, [Disconnect];
    /// The payload does not match the Payload Format Indicator.
    PayloadFormatInvalid = 0x99, "payload format invalid", None, [Connack Puback Pubrec Disconnect];
    /// The server has no retained messages.
    RetainNotSupported = 0x9A, "retain not supported", None, [Connack Disconnect];
    /// The QoS is above Maximum QoS.
    QosNotSupported = 0x9B, "QoS not supported", None, [Connack Disconnect];
    /// Use another server for now.
    UseAnotherServer = 0x9C, "use another server", Some(3), [Connack Disconnect];
    /// Use another server from now on.
    ServerMoved = 0x9D, "server moved", Some(3), [Connack Disconnect];
    /// The server has no shared subscriptions.
    SharedSubscriptionsNotSupported = 0x9E, "shared subscriptions not supported", None, [Suback Disconnect];
    /// Connections come too fast.
    ConnectionRateExceeded = 0x9F, "connection rate exceeded", Some(3), [Connack Disconnect];
    /// The connection was open for as long as it may be.
    MaximumConnectTime = 0xA0, "maximum connect time", None, [Disconnect];
    /// The server has no Subscription Identifiers.
    SubscriptionIdentifiersNotSupported = 0xA1, "subscription identifiers not supported", None, [Suback Disconnect];
    /// The server has no wildcard subscriptions.
    WildcardSubscriptionsNotSupported = 0xA2, "wildcard subscriptions not supported", None, [Suback Disconnect];
}

impl ReasonCode {
    /// The value on the wire of 5.0.
    #[must_use]
    #[inline]
    pub const fn byte(self) -> u8 {
        self as u8
    }

    /// Returns whether the code is a failure: 0x80 and above (§2.4).
    #[must_use]
    #[inline]
    pub const fn is_failure(self) -> bool {
        self.byte() >= 0x80
    }

    /// Whether the standard lets packets of this type carry the code (§2.4, Table 2-6).
    #[must_use]
    #[inline]
    pub const fn allowed_in(self, packet_type: PacketType) -> bool {
        self.packets() & 1 << packet_type.bits() != 0
    }

    /// The code that grants a subscription with at most this QoS.
    #[must_use]
    pub const fn granted(qos: QoS) -> Self {
        match qos {
            QoS::AtMostOnce => Self::Success,
            QoS::AtLeastOnce => Self::GrantedQos1,
            QoS::ExactlyOnce => Self::GrantedQos2,
        }
    }

    /// Returns the byte for SUBACK: the code itself in 5.0. Before 5.0 every failure is 0x80
    /// \[3.1.1: MQTT-3.9.3-2\].
    #[must_use]
    pub const fn suback_byte(self, version: ProtocolVersion) -> u8 {
        if self.is_failure() && !version.has_properties() {
            Self::UnspecifiedError.byte()
        } else {
            self.byte()
        }
    }

    /// Returns the reason code for a CONNACK return code of 3.1 or 3.1.1. Returns `None` above 5,
    /// which is reserved.
    #[must_use]
    pub const fn from_connect_return_code(return_code: u8) -> Option<Self> {
        Some(match return_code {
            0 => Self::Success,
            1 => Self::UnsupportedProtocolVersion,
            2 => Self::ClientIdentifierNotValid,
            3 => Self::ServerUnavailable,
            4 => Self::BadUserNameOrPassword,
            5 => Self::NotAuthorized,
            _ => return None,
        })
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} (0x{:02X})", self.text(), self.byte())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_that_of_the_standard() {
        assert_eq!(ReasonCode::ALL.len(), 43);
        for byte in 0..=u8::MAX {
            let code = ReasonCode::from_byte(byte);
            assert_eq!(code.map(ReasonCode::byte), code.is_some().then_some(byte));
        }
        // [MQTT-3.2.2-8]: the codes of CONNACK, in the words of checklist §3.
        let connack: Vec<u8> = carried_by(PacketType::Connack);
        let expected: Vec<u8> = [0x00]
            .into_iter()
            .chain(0x80..=0x8A)
            .chain([0x8C, 0x90, 0x95, 0x97])
            .chain(0x99..=0x9D)
            .chain([0x9F])
            .collect();
        assert_eq!(connack, expected);
        // §3.9.3
        assert_eq!(
            carried_by(PacketType::Suback),
            [0, 1, 2, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2]
        );
        assert_eq!(carried_by(PacketType::Unsuback), [0, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91]); // §3.11.3
        assert_eq!(carried_by(PacketType::Puback), [0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]); // §3.4.2.1
        assert_eq!(carried_by(PacketType::Pubrec), carried_by(PacketType::Puback)); // §3.5.2.1
        assert_eq!(carried_by(PacketType::Pubrel), [0, 0x92]); // §3.6.2.1
        assert_eq!(carried_by(PacketType::Pubcomp), [0, 0x92]); // §3.7.2.1
        assert_eq!(carried_by(PacketType::Auth), [0, 0x18, 0x19]); // §3.15.2.1
        let disconnect: Vec<u8> = [0x00, 0x04]
            .into_iter()
            .chain(0x80..=0x83)
            .chain([0x87, 0x89, 0x8B])
            .chain(0x8D..=0x90)
            .chain(0x93..=0xA2)
            .collect();
        assert_eq!(carried_by(PacketType::Disconnect), disconnect); // [MQTT-3.14.2-1], §3.14.2.1
    }

    #[test]
    fn older_versions_have_six_return_codes_and_one_failure() {
        for return_code in 0..=5 {
            let code = ReasonCode::from_connect_return_code(return_code).unwrap();
            assert_eq!(code.connect_return_code(), Some(return_code));
        }
        assert_eq!(ReasonCode::from_connect_return_code(6), None);
        assert_eq!(ReasonCode::MalformedPacket.connect_return_code(), None); // [3.1.1: MQTT-3.2.2-6]
        assert_eq!(ReasonCode::NotAuthorized.suback_byte(ProtocolVersion::V3_1_1), 0x80);
        assert_eq!(ReasonCode::NotAuthorized.suback_byte(ProtocolVersion::V5), 0x87);
    }

    fn carried_by(packet_type: PacketType) -> Vec<u8> {
        ReasonCode::ALL.iter().filter(|code| code.allowed_in(packet_type)).map(|code| code.byte()).collect()
    }
}
