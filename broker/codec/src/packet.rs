//! The registry of packets, one file each, and the dispatch by type and direction.

mod ack;
mod auth;
mod connack;
mod connect;
mod disconnect;
mod ping;
mod publish;
mod suback;
mod subscribe;
mod unsuback;
mod unsubscribe;

pub use ack::{Ack, AckType, encode_ack};
pub use auth::{Auth, encode_auth};
pub use connack::{Connack, encode_connack, encode_connect_refusal};
pub use connect::{Connect, Will, encode_connect};
pub use disconnect::{Disconnect, encode_disconnect, encode_disconnect_from_client};
pub use ping::{decode_ping, encode_pingreq, encode_pingresp};
pub use publish::{ForwardProperties, HeadLayout, Publish, PublishHead, encode_publish, encode_publish_head};
pub use suback::{Suback, encode_suback};
pub use subscribe::{
    RetainHandling, Subscribe, SubscribeFilter, SubscribeFilters, SubscriptionOptions, encode_subscribe,
};
pub use unsuback::{Unsuback, encode_unsuback};
pub use unsubscribe::{Unsubscribe, UnsubscribeFilters, encode_unsubscribe};

use crate::error::{DecodeError, FrameError};
use crate::{FixedHeader, PacketType, ProtocolVersion};

/// A packet that a Client sends, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientPacket<'a> {
    /// CONNECT.
    Connect(Connect<'a>),
    /// PUBLISH.
    Publish(Publish<'a>),
    /// PUBACK, PUBREC, PUBREL or PUBCOMP.
    Ack(Ack<'a>),
    /// SUBSCRIBE.
    Subscribe(Subscribe<'a>),
    /// UNSUBSCRIBE.
    Unsubscribe(Unsubscribe<'a>),
    /// PINGREQ.
    Pingreq,
    /// DISCONNECT.
    Disconnect(Disconnect<'a>),
    /// AUTH.
    Auth(Auth<'a>),
}

impl<'a> ClientPacket<'a> {
    /// Reads a packet from a Client. `body` is the `header.remaining_len` bytes after its fixed
    /// header.
    ///
    /// `version` is the version of the connection; a CONNECT ignores it and uses its own.
    ///
    /// # Errors
    /// [`DecodeError`] as its variants say; [`DecodeError::Frame`] for a type that Clients of this
    /// version do not send.
    pub fn decode(
        header: &FixedHeader,
        body: &'a [u8],
        version: ProtocolVersion,
    ) -> Result<Self, DecodeError> {
        let packet_type = header.packet_type();
        let ack = |ack_type| Ack::decode(ack_type, body, version).map(Self::Ack);
        header.check_from_client(version)?;
        match packet_type {
            PacketType::Connect => Connect::decode(body).map(Self::Connect),
            PacketType::Publish => Publish::decode(header.first_byte, body, version).map(Self::Publish),
            PacketType::Puback => ack(AckType::Puback),
            PacketType::Pubrec => ack(AckType::Pubrec),
            PacketType::Pubrel => ack(AckType::Pubrel),
            PacketType::Pubcomp => ack(AckType::Pubcomp),
            PacketType::Subscribe => Subscribe::decode(body, version).map(Self::Subscribe),
            PacketType::Unsubscribe => Unsubscribe::decode(body, version).map(Self::Unsubscribe),
            PacketType::Pingreq => decode_ping(body).map(|()| Self::Pingreq),
            PacketType::Disconnect => Disconnect::decode(body, version).map(Self::Disconnect),
            PacketType::Auth => Auth::decode(body).map(Self::Auth),
            PacketType::Connack | PacketType::Suback | PacketType::Unsuback | PacketType::Pingresp => {
                Err(FrameError::NotFromClient { packet_type }.into())
            }
        }
    }
}

/// A packet that a server sends, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerPacket<'a> {
    /// CONNACK.
    Connack(Connack<'a>),
    /// PUBLISH.
    Publish(Publish<'a>),
    /// PUBACK, PUBREC, PUBREL or PUBCOMP.
    Ack(Ack<'a>),
    /// SUBACK.
    Suback(Suback<'a>),
    /// UNSUBACK.
    Unsuback(Unsuback<'a>),
    /// PINGRESP.
    Pingresp,
    /// DISCONNECT, 5.0 only.
    Disconnect(Disconnect<'a>),
    /// AUTH, 5.0 only.
    Auth(Auth<'a>),
}

impl<'a> ServerPacket<'a> {
    /// Reads a packet from a server. `body` is the `header.remaining_len` bytes after its fixed
    /// header.
    ///
    /// # Errors
    /// [`DecodeError`] as its variants say; [`DecodeError::Frame`] for a type that servers of this
    /// version do not send.
    pub fn decode(
        header: &FixedHeader,
        body: &'a [u8],
        version: ProtocolVersion,
    ) -> Result<Self, DecodeError> {
        let packet_type = header.packet_type();
        let ack = |ack_type| Ack::decode(ack_type, body, version).map(Self::Ack);
        header.check_from_server(version)?;
        match packet_type {
            PacketType::Connack => Connack::decode(body, version).map(Self::Connack),
            PacketType::Publish => {
                Publish::decode_from_server(header.first_byte, body, version).map(Self::Publish)
            }
            PacketType::Puback => ack(AckType::Puback),
            PacketType::Pubrec => ack(AckType::Pubrec),
            PacketType::Pubrel => ack(AckType::Pubrel),
            PacketType::Pubcomp => ack(AckType::Pubcomp),
            PacketType::Suback => Suback::decode(body, version).map(Self::Suback),
            PacketType::Unsuback => Unsuback::decode(body, version).map(Self::Unsuback),
            PacketType::Pingresp => decode_ping(body).map(|()| Self::Pingresp),
            PacketType::Disconnect => Disconnect::decode_from_server(body, version).map(Self::Disconnect),
            PacketType::Auth => Auth::decode(body).map(Self::Auth),
            PacketType::Connect | PacketType::Subscribe | PacketType::Unsubscribe | PacketType::Pingreq => {
                Err(FrameError::NotFromServer { packet_type }.into())
            }
        }
    }
}
