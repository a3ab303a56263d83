//! The one table of 5.0 properties: identifier, type, range, repetition and the packets that may
//! carry each (§2.2.2.2).
//!
//! Add a property here and nowhere else. The doc of each row says what its absence means.

use std::fmt;

/// The type of a property's value on the wire (§2.2.2.2, Table 2-4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Byte,
    TwoByte,
    FourByte,
    VarInt,
    Binary,
    Utf8,
    Utf8Pair,
}

/// Values that a property may have within its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Range {
    Any,
    ZeroOrOne,
    NonZero,
    /// Not empty and without wildcards \[MQTT-3.3.2-14\], \[MQTT-4.7.3-1\].
    TopicName,
}

/// How often a property may occur in one list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occurs {
    Once,
    /// Any number of times, everywhere.
    Often,
    /// Any number of times in a PUBLISH from the server, once elsewhere.
    OftenInPublish,
}

/// Place of a property list. PUBLISH and DISCONNECT have one for each direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PropertyPlace {
    /// In CONNECT, about the connection.
    Connect,
    /// In CONNECT, about the Will.
    Will,
    /// In CONNACK.
    Connack,
    /// In PUBLISH from a Client.
    PublishFromClient,
    /// In PUBLISH from the server.
    PublishFromServer,
    /// In PUBACK.
    Puback,
    /// In PUBREC.
    Pubrec,
    /// In PUBREL.
    Pubrel,
    /// In PUBCOMP.
    Pubcomp,
    /// In SUBSCRIBE.
    Subscribe,
    /// In SUBACK.
    Suback,
    /// In UNSUBSCRIBE.
    Unsubscribe,
    /// In UNSUBACK.
    Unsuback,
    /// In DISCONNECT from a Client.
    DisconnectFromClient,
    /// In DISCONNECT from the server.
    DisconnectFromServer,
    /// In AUTH.
    Auth,
}

impl fmt::Display for PropertyPlace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Connect => "CONNECT",
            Self::Will => "the will of CONNECT",
            Self::Connack => "CONNACK",
            Self::PublishFromClient => "PUBLISH from a client",
            Self::PublishFromServer => "PUBLISH from the server",
            Self::Puback => "PUBACK",
            Self::Pubrec => "PUBREC",
            Self::Pubrel => "PUBREL",
            Self::Pubcomp => "PUBCOMP",
            Self::Subscribe => "SUBSCRIBE",
            Self::Suback => "SUBACK",
            Self::Unsubscribe => "UNSUBSCRIBE",
            Self::Unsuback => "UNSUBACK",
            Self::DisconnectFromClient => "DISCONNECT from a client",
            Self::DisconnectFromServer => "DISCONNECT from the server",
            Self::Auth => "AUTH",
        })
    }
}

macro_rules! properties {
    ($($(#[$doc:meta])* $name:ident = $id:literal, $text:literal, $kind:ident $range:ident $occurs:ident, [$($place:ident)+];)+) => {
        /// The identifier of a property. All are below 0x80, so one byte on the wire.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum PropertyId {
            $($(#[$doc])* $name = $id,)+
        }

        impl PropertyId {
            /// Every property, ascending.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The property with this identifier; `None` when the standard assigns none.
            #[must_use]
            pub const fn from_value(value: u32) -> Option<Self> {
                match value {
                    $($id => Some(Self::$name),)+
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

            pub(crate) const fn kind(self) -> Kind {
                match self {
                    $(Self::$name => Kind::$kind,)+
                }
            }

            pub(crate) const fn range(self) -> Range {
                match self {
                    $(Self::$name => Range::$range,)+
                }
            }

            const fn occurs(self) -> Occurs {
                match self {
                    $(Self::$name => Occurs::$occurs,)+
                }
            }

            const fn places(self) -> u16 {
                match self {
                    $(Self::$name => 0 $(| 1 << PropertyPlace::$place as u8)+,)+
                }
            }
        }
    };
}

properties! {
    /// Whether the payload is UTF-8 text (1) or bytes (0). Absent: bytes.
    PayloadFormatIndicator = 0x01, "payload format indicator", Byte ZeroOrOne Once, [Will PublishFromClient PublishFromServer];
    /// Seconds until the message expires. Absent: never.
    MessageExpiryInterval = 0x02, "message expiry interval", FourByte Any Once, [Will PublishFromClient PublishFromServer];
    /// Content type of the payload, by a convention of the application. Absent: unknown.
    ContentType = 0x03, "content type", Utf8 Any Once, [Will PublishFromClient PublishFromServer];
    /// The Topic Name for a response; makes the message a request. Absent: no request.
    ResponseTopic = 0x08, "response topic", Utf8 TopicName Once, [Will PublishFromClient PublishFromServer];
    /// Identifies the request that a response answers. Absent: no identification needed.
    CorrelationData = 0x09, "correlation data", Binary Any Once, [Will PublishFromClient PublishFromServer];
    /// Number of a subscription, 1 to 268 435 455. Absent: the subscription has none.
    SubscriptionIdentifier = 0x0B, "subscription identifier", VarInt NonZero OftenInPublish, [PublishFromServer Subscribe];
    /// Seconds that the session outlives its connection; 0xFFFFFFFF means for ever. Absent: 0 in
    /// CONNECT, unchanged elsewhere.
    SessionExpiryInterval = 0x11, "session expiry interval", FourByte Any Once, [Connect Connack DisconnectFromClient];
    /// The Client Identifier that the server chose. Absent: the Client's own is used.
    AssignedClientIdentifier = 0x12, "assigned client identifier", Utf8 Any Once, [Connack];
    /// Keep Alive in seconds that the Client must use. Absent: the one of its CONNECT.
    ServerKeepAlive = 0x13, "server keep alive", TwoByte Any Once, [Connack];
    /// Name of the extended authentication. Absent: none takes place.
    AuthenticationMethod = 0x15, "authentication method", Utf8 Any Once, [Connect Connack Auth];
    /// Data of the extended authentication; only together with a method. Absent: none.
    AuthenticationData = 0x16, "authentication data", Binary Any Once, [Connect Connack Auth];
    /// Packets that may carry Reason String and User Properties: 1 means all, 0 only PUBLISH,
    /// CONNACK and DISCONNECT. Absent: 1.
    RequestProblemInformation = 0x17, "request problem information", Byte ZeroOrOne Once, [Connect];
    /// Seconds between the end of the connection and the Will. Absent: 0.
    WillDelayInterval = 0x18, "will delay interval", FourByte Any Once, [Will];
    /// Whether CONNACK may carry Response Information. Absent: 0.
    RequestResponseInformation = 0x19, "request response information", Byte ZeroOrOne Once, [Connect];
    /// Basis for making response topics. Absent: none.
    ResponseInformation = 0x1A, "response information", Utf8 Any Once, [Connack];
    /// Another server to use. Absent: none named.
    ServerReference = 0x1C, "server reference", Utf8 Any Once, [Connack DisconnectFromServer];
    /// Text for people about the reason code. Absent: none.
    ReasonString = 0x1F, "reason string", Utf8 Any Once, [Connack Puback Pubrec Pubrel Pubcomp Suback Unsuback DisconnectFromClient DisconnectFromServer Auth];
    /// Unacknowledged QoS 1 and 2 messages that the sender of this property accepts, at least 1.
    /// Absent: 65,535.
    ReceiveMaximum = 0x21, "receive maximum", TwoByte NonZero Once, [Connect Connack];
    /// Highest Topic Alias that the sender of this accepts. Absent: 0, none.
    TopicAliasMaximum = 0x22, "topic alias maximum", TwoByte Any Once, [Connect Connack];
    /// Number that stands for the Topic Name on this connection, at least 1. Absent: none.
    TopicAlias = 0x23, "topic alias", TwoByte NonZero Once, [PublishFromClient PublishFromServer];
    /// Highest QoS that the server accepts, 0 or 1. Absent: 2.
    MaximumQos = 0x24, "maximum QoS", Byte ZeroOrOne Once, [Connack];
    /// Whether the server has retained messages. Absent: 1.
    RetainAvailable = 0x25, "retain available", Byte ZeroOrOne Once, [Connack];
    /// A name and a value of the application's own; may repeat, order counts. Absent: none.
    UserProperty = 0x26, "user property", Utf8Pair Any Often, [Connect Will Connack PublishFromClient PublishFromServer Puback Pubrec Pubrel Pubcomp Subscribe Suback Unsubscribe Unsuback DisconnectFromClient DisconnectFromServer Auth];
    /// Largest packet in bytes that the sender of this property accepts, at least 1. Absent: the
    /// limit of the format.
    MaximumPacketSize = 0x27, "maximum packet size", FourByte NonZero Once, [Connect Connack];
    /// Whether the server has wildcard subscriptions. Absent: 1.
    WildcardSubscriptionAvailable = 0x28, "wildcard subscription available", Byte ZeroOrOne Once, [Connack];
    /// Whether the server has Subscription Identifiers. Absent: 1.
    SubscriptionIdentifierAvailable = 0x29, "subscription identifier available", Byte ZeroOrOne Once, [Connack];
    /// Whether the server has shared subscriptions. Absent: 1.
    SharedSubscriptionAvailable = 0x2A, "shared subscription available", Byte ZeroOrOne Once, [Connack];
}

impl PropertyId {
    /// The identifier on the wire.
    #[must_use]
    #[inline]
    pub const fn value(self) -> u8 {
        self as u8
    }

    /// Whether the table allows the property here.
    #[must_use]
    pub const fn allowed_in(self, place: PropertyPlace) -> bool {
        self.places() & 1 << place as u8 != 0
    }

    /// Whether the property may occur more than once here.
    #[must_use]
    pub const fn may_repeat_in(self, place: PropertyPlace) -> bool {
        match self.occurs() {
            Occurs::Once => false,
            Occurs::Often => true,
            Occurs::OftenInPublish => matches!(place, PropertyPlace::PublishFromServer),
        }
    }

    /// The bit of this property in a set of properties.
    pub(crate) const fn bit(self) -> u64 {
        1 << self.value()
    }
}

impl fmt::Display for PropertyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} (0x{:02X})", self.text(), self.value())
    }
}
