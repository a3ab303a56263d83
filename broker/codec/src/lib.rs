//! MQTT 3.1, 3.1.1 and 5.0 packets on byte slices: the lowest layer of the broker.
//!
//! Decoders borrow from the received bytes and allocate nothing; encoders append to the caller's
//! `Vec<u8>`. A message starts at [`fixed_header`], which checks type, flags and length before the
//! body arrives. Then [`Publish::decode`] reads it. It leaves through [`encode_publish_head`], or
//! the broker sends the received bytes in place.
//!
//! Invariants: no input makes a decoder panic or read past the end. Decoders accept only packets
//! that keep every rule that one packet alone can show. The decoder of the other side accepts all
//! that an encoder appends.
//! Not here: anything that needs a session, a clock or a socket.
//!
//! ```
//! use lotmq_codec::{ClientPacket, ProtocolVersion, fixed_header};
//!
//! let received = [0x30, 0x05, 0, 1, b't', b'h', b'i']; // PUBLISH, QoS 0, topic "t", payload "hi"
//! let header = fixed_header(&received, 1024)?.expect("the header is complete");
//! let body = &received[usize::from(header.header_len)..header.packet_len()];
//! let packet = ClientPacket::decode(&header, body, ProtocolVersion::V3_1_1)?;
//! let ClientPacket::Publish(publish) = packet else { panic!() };
//! assert_eq!((publish.topic, publish.payload), ("t", &b"hi"[..]));
//! # Ok::<(), lotmq_codec::DecodeError>(())
//! ```
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::cast_possible_truncation))]

mod encode;
mod error;
mod frame;
mod fuzz;
pub mod limits;
mod packet;
mod packet_id;
mod packet_type;
mod property;
mod property_id;
mod protocol_version;
mod qos;
mod read;
mod reason_code;
mod scan;
mod topic_name;
mod write;

pub use encode::encode_within;
pub use error::{DecodeError, EncodeError, FrameError};
pub use frame::{FixedHeader, fixed_header};
pub use fuzz::fuzz_packet;
pub use packet::{
    Ack, AckType, Auth, ClientPacket, Connack, Connect, Disconnect, ForwardProperties, HeadLayout, Publish,
    PublishHead, RetainHandling, ServerPacket, Suback, Subscribe, SubscribeFilter, SubscribeFilters,
    SubscriptionOptions, Unsuback, Unsubscribe, UnsubscribeFilters, Will, decode_ping, encode_ack,
    encode_auth, encode_connack, encode_connect, encode_connect_refusal, encode_disconnect,
    encode_disconnect_from_client, encode_pingreq, encode_pingresp, encode_publish, encode_publish_head,
    encode_suback, encode_subscribe, encode_unsuback, encode_unsubscribe,
};
pub use packet_id::PacketId;
pub use packet_type::PacketType;
pub use property::{Properties, PropertyBuf, PropertyIter, PropertyValue, UserProperties};
pub use property_id::{PropertyId, PropertyPlace};
pub use protocol_version::ProtocolVersion;
pub use qos::QoS;
pub use reason_code::ReasonCode;
pub use scan::has_discouraged;
