//! How to connect: everything that CONNECT can say.

use std::num::NonZeroU32;
use std::time::Duration;

use lotmq_codec::{
    Connect, EncodeError, PropertyBuf, PropertyId, PropertyValue, ProtocolVersion, QoS, encode_connect,
};
use lotmq_zstd::Offer;
use lotmq_zstd::limits::FLUSH_MS_MAX;

use crate::limits::{CONNECT_TIMEOUT, REPLY_TIMEOUT};

/// Options of a connection. The defaults: 3.1.1, clean session, keep alive of 60 s, no user, no
/// Will, acknowledges by itself.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// The protocol version to speak.
    pub version: ProtocolVersion,
    /// The Client Identifier; empty lets the server choose, which before 5.0 needs a clean session.
    pub client_id: String,
    /// Whether to discard an existing session; before 5.0 also to end the new one with the
    /// connection.
    pub clean_start: bool,
    /// Seconds between signs of life; 0 for none. PINGREQ is sent while a call of the client waits.
    pub keep_alive: u16,
    /// The user name.
    pub user_name: Option<String>,
    /// The password. Before 5.0 only together with a user name.
    pub password: Option<Vec<u8>>,
    /// Message that the server publishes when the connection breaks.
    pub will: Option<Will>,
    /// Properties of CONNECT; 5.0 only.
    pub properties: PropertyBuf,
    /// Mode of acknowledging received messages.
    pub ack_mode: AckMode,
    /// Time for the TCP connection, and again for CONNACK.
    pub connect_timeout: Duration,
    /// Time for every other answer.
    pub reply_timeout: Duration,
    /// Whether to ask for the zstd stream transport of lotmq, and go on without it where the server
    /// does not know it. 5.0 only.
    pub zstd: bool,
    /// Milliseconds for which bytes are collected to be sent together, by this client whatever the
    /// transport, by the server only with zstd; at most
    /// 1000. 0 for not at all.
    pub flush_ms: u16,
    /// Largest packet in bytes that is accepted from the server. Announce it with a property if it
    /// is smaller than the standard's.
    pub max_packet_size: u32,
}

/// Mode of acknowledging received messages of QoS 1 and 2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AckMode {
    /// The client, before it gives the message out.
    #[default]
    Automatic,
    /// The caller, with [`Client::acknowledge`](crate::Client::acknowledge). PUBREL is still
    /// answered by the client.
    Manual,
}

/// The message that the server publishes when the connection ends without DISCONNECT.
#[derive(Clone, Debug)]
pub struct Will {
    /// Its Topic Name.
    pub topic: String,
    /// Its payload, at most 65 535 bytes.
    pub payload: Vec<u8>,
    /// Its QoS.
    pub qos: QoS,
    /// Whether it is retained.
    pub retain: bool,
    /// Its properties, Will Delay Interval included; 5.0 only.
    pub properties: PropertyBuf,
}

impl Will {
    /// A Will at QoS 0, not retained.
    #[must_use]
    pub fn new(topic: impl Into<String>, payload: impl Into<Vec<u8>>) -> Self {
        Self {
            topic: topic.into(),
            payload: payload.into(),
            qos: QoS::AtMostOnce,
            retain: false,
            properties: PropertyBuf::new(),
        }
    }
}

impl ConnectOptions {
    /// The defaults, with this Client Identifier.
    #[must_use]
    pub fn new(client_id: impl Into<String>) -> Self {
        Self {
            version: ProtocolVersion::V3_1_1,
            client_id: client_id.into(),
            clean_start: true,
            keep_alive: 60,
            user_name: None,
            password: None,
            will: None,
            properties: PropertyBuf::new(),
            ack_mode: AckMode::Automatic,
            connect_timeout: CONNECT_TIMEOUT,
            reply_timeout: REPLY_TIMEOUT,
            zstd: false,
            flush_ms: 0,
            max_packet_size: lotmq_codec::limits::PACKET_BYTES_MAX,
        }
    }

    /// The defaults in 5.0, with this Client Identifier.
    #[must_use]
    pub fn v5(client_id: impl Into<String>) -> Self {
        Self { version: ProtocolVersion::V5, ..Self::new(client_id) }
    }

    /// Speaks this version.
    #[must_use]
    pub const fn version(mut self, version: ProtocolVersion) -> Self {
        self.version = version;
        self
    }

    /// Discards an existing session, or not.
    #[must_use]
    pub const fn clean_start(mut self, clean_start: bool) -> Self {
        self.clean_start = clean_start;
        self
    }

    /// Sends user name and password.
    #[must_use]
    pub fn user(mut self, user_name: impl Into<String>, password: impl Into<Vec<u8>>) -> Self {
        self.user_name = Some(user_name.into());
        self.password = Some(password.into());
        self
    }

    /// Sets Keep Alive in seconds; 0 for none.
    #[must_use]
    pub const fn keep_alive(mut self, seconds: u16) -> Self {
        self.keep_alive = seconds;
        self
    }

    /// Leaves a Will.
    #[must_use]
    pub fn will(mut self, will: Will) -> Self {
        self.will = Some(will);
        self
    }

    /// Refuses packets of the server with more bytes, and announces that in 5.0.
    #[must_use]
    pub fn largest_packet(mut self, bytes: NonZeroU32) -> Self {
        self.max_packet_size = bytes.get();
        if !self.version.has_properties() {
            return self;
        }
        self.property(PropertyId::MaximumPacketSize, PropertyValue::FourByte(bytes.get()))
    }

    /// Leaves acknowledging to the caller.
    #[must_use]
    pub const fn manual_acks(mut self) -> Self {
        self.ack_mode = AckMode::Manual;
        self
    }

    /// Adds a property to CONNECT.
    ///
    /// # Panics
    /// When the property does not take the value, which is a mistake of the caller's source, not of
    /// its input; use [`PropertyBuf::push`] on [`properties`](Self::properties) for values from
    /// outside.
    #[must_use]
    pub fn property(mut self, id: PropertyId, value: PropertyValue<'_>) -> Self {
        self.properties.push(id, value).expect("the caller chose a value of the property's type");
        self
    }

    /// Keeps the session for this many seconds after the connection; `u32::MAX` for ever. 5.0 only.
    #[must_use]
    pub fn session_expiry(self, seconds: u32) -> Self {
        self.property(PropertyId::SessionExpiryInterval, PropertyValue::FourByte(seconds))
    }

    /// Asks for the zstd stream transport of lotmq: `docs/zstd-transport.md`. 5.0 only.
    #[must_use]
    pub const fn zstd(mut self) -> Self {
        self.zstd = true;
        self
    }

    /// Collects bytes for so many milliseconds, at most 1000, and lets the server do so if it
    /// grants the zstd stream transport.
    #[must_use]
    pub const fn flush_ms(mut self, milliseconds: u16) -> Self {
        self.flush_ms = milliseconds;
        self
    }

    /// The properties of CONNECT with those that ask for the transport.
    fn all_properties(&self) -> Result<PropertyBuf, EncodeError> {
        let mut properties = self.properties.clone();
        if self.zstd && self.version.has_properties() {
            for (name, value) in (Offer { flush_ms: self.flush_ms.min(FLUSH_MS_MAX) }).properties() {
                properties.push(PropertyId::UserProperty, PropertyValue::Utf8Pair(name, &value))?;
            }
        }
        Ok(properties)
    }

    /// Appends the CONNECT packet.
    ///
    /// # Errors
    /// [`EncodeError`] for options that this version cannot say.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let will = self.will.as_ref().map(|will| lotmq_codec::Will {
            qos: will.qos,
            retain: will.retain,
            properties: will.properties.properties(),
            topic: &will.topic,
            payload: &will.payload,
        });
        let properties = self.all_properties()?;
        let connect = Connect {
            version: self.version,
            clean_start: self.clean_start,
            keep_alive: self.keep_alive,
            properties: properties.properties(),
            client_id: &self.client_id,
            will,
            user_name: self.user_name.as_deref(),
            password: self.password.as_deref(),
        };
        encode_connect(out, &connect)
    }
}
