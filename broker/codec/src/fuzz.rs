//! Fuzz entry point: decodes foreign bytes with every decoder, then encodes and decodes accepted
//! packets again.
//!
//! The fuzz target and the corpus replay test are thin wrappers round [`fuzz_packet`]. Not for
//! production use: it allocates, and panics by design if the crate breaks one of its promises.

use std::num::NonZeroU32;

use crate::limits::PACKET_BYTES_MAX;
use crate::{
    ClientPacket, EncodeError, FixedHeader, ForwardProperties, Properties, ProtocolVersion, Publish,
    PublishHead, ReasonCode, ServerPacket, encode_ack, encode_auth, encode_connack, encode_connect,
    encode_disconnect, encode_disconnect_from_client, encode_pingreq, encode_pingresp, encode_publish,
    encode_suback, encode_subscribe, encode_unsuback, encode_unsubscribe, fixed_header,
};

/// Reads `bytes` as one packet in every version and direction. An accepted packet must survive
/// encoding and decoding unchanged.
///
/// # Panics
/// Panics if a decoder accepts a packet that our encoders cannot write or write differently, or if
/// it returns a wrong offset in the body.
pub fn fuzz_packet(bytes: &[u8]) {
    let Ok(Some(header)) = fixed_header(bytes, PACKET_BYTES_MAX) else { return };
    assert!(usize::from(header.header_len) <= bytes.len(), "a header longer than the input");
    let Some(body) = bytes.get(usize::from(header.header_len)..header.packet_len()) else { return };
    for version in [ProtocolVersion::V3_1, ProtocolVersion::V3_1_1, ProtocolVersion::V5] {
        from_client(&header, body, version);
        from_server(&header, body, version);
    }
}

fn from_client(header: &FixedHeader, body: &[u8], version: ProtocolVersion) {
    let Ok(packet) = ClientPacket::decode(header, body, version) else { return };
    let mut out = Vec::new();
    put_client(&mut out, version, &packet).expect("what a client sent can be sent again");
    let (header, again) = split(&out);
    let again = ClientPacket::decode(&header, again, version).expect("the encoders make legal packets");
    match (&packet, &again) {
        (ClientPacket::Publish(first), ClientPacket::Publish(second)) => check_publish(first, second, body),
        _ => assert_eq!(packet, again),
    }
}

fn from_server(header: &FixedHeader, body: &[u8], version: ProtocolVersion) {
    let Ok(packet) = ServerPacket::decode(header, body, version) else { return };
    let mut out = Vec::new();
    put_server(&mut out, version, &packet).expect("what a server sent can be sent again");
    let (header, again) = split(&out);
    let again = ServerPacket::decode(&header, again, version).expect("the encoders make legal packets");
    match (&packet, &again) {
        (ServerPacket::Publish(first), ServerPacket::Publish(second)) => check_publish(first, second, body),
        _ => assert_eq!(packet, again),
    }
}

fn split(packet: &[u8]) -> (FixedHeader, &[u8]) {
    let header =
        fixed_header(packet, PACKET_BYTES_MAX).ok().flatten().expect("the encoders write whole headers");
    assert_eq!(header.packet_len(), packet.len(), "the length announces what follows");
    assert!(header.length_is_shortest());
    (header, packet.get(usize::from(header.header_len)..).unwrap_or_default())
}

/// Alias and Subscription Identifiers move to the front when a PUBLISH is encoded; all else stays.
fn check_publish(first: &Publish<'_>, second: &Publish<'_>, body: &[u8]) {
    let parts = |publish: &Publish<'_>| (publish.dup, publish.qos, publish.retain, publish.packet_id);
    assert_eq!(parts(first), parts(second));
    assert_eq!((first.topic, first.payload), (second.topic, second.payload));
    assert_eq!(sorted(first.properties), sorted(second.properties));

    assert_eq!(body.get(first.payload_offset..), Some(first.payload));
    assert_eq!(body.get(first.properties_range.clone()), Some(first.properties.raw()));
    let id_bytes = first.packet_id_offset.and_then(|offset| body.get(offset..)?.first_chunk::<2>()).copied();
    assert_eq!(id_bytes, first.packet_id.map(crate::PacketId::to_bytes));
}

fn sorted(properties: Properties<'_>) -> Vec<String> {
    let mut texts: Vec<String> = properties.iter().map(|property| format!("{property:?}")).collect();
    texts.sort();
    texts
}

fn put_client(
    out: &mut Vec<u8>,
    version: ProtocolVersion,
    packet: &ClientPacket<'_>,
) -> Result<(), EncodeError> {
    match packet {
        ClientPacket::Connect(connect) => encode_connect(out, connect),
        ClientPacket::Publish(publish) => put_publish(out, version, publish),
        ClientPacket::Ack(ack) => encode_ack(out, version, ack),
        ClientPacket::Subscribe(subscribe) => {
            let filters: Vec<_> = subscribe.filters().collect();
            encode_subscribe(out, version, subscribe.packet_id, subscribe.properties, &filters)
        }
        ClientPacket::Unsubscribe(unsubscribe) => {
            let filters: Vec<_> = unsubscribe.filters().collect();
            encode_unsubscribe(out, version, unsubscribe.packet_id, unsubscribe.properties, &filters)
        }
        ClientPacket::Pingreq => {
            encode_pingreq(out);
            Ok(())
        }
        ClientPacket::Disconnect(disconnect) => encode_disconnect_from_client(out, version, disconnect),
        ClientPacket::Auth(auth) => encode_auth(out, version, auth),
    }
}

fn put_server(
    out: &mut Vec<u8>,
    version: ProtocolVersion,
    packet: &ServerPacket<'_>,
) -> Result<(), EncodeError> {
    match packet {
        ServerPacket::Connack(connack) => encode_connack(out, version, connack),
        ServerPacket::Publish(publish) => put_publish(out, version, publish),
        ServerPacket::Ack(ack) => encode_ack(out, version, ack),
        ServerPacket::Suback(suback) => {
            let codes: Vec<ReasonCode> = suback.codes().collect();
            encode_suback(out, version, suback.packet_id, suback.properties, &codes)
        }
        ServerPacket::Unsuback(unsuback) => {
            let codes: Vec<ReasonCode> = unsuback.codes().collect();
            encode_unsuback(out, version, unsuback.packet_id, unsuback.properties, &codes)
        }
        ServerPacket::Pingresp => {
            encode_pingresp(out);
            Ok(())
        }
        ServerPacket::Disconnect(disconnect) => encode_disconnect(out, version, disconnect),
        ServerPacket::Auth(auth) => encode_auth(out, version, auth),
    }
}

fn put_publish(
    out: &mut Vec<u8>,
    version: ProtocolVersion,
    publish: &Publish<'_>,
) -> Result<(), EncodeError> {
    let subscription_ids: Vec<NonZeroU32> = publish.properties.subscription_identifiers().collect();
    let head = PublishHead {
        dup: publish.dup,
        qos: publish.qos,
        retain: publish.retain,
        topic: publish.topic,
        packet_id: publish.packet_id,
        properties: ForwardProperties {
            received: publish.properties,
            message_expiry: publish.properties.message_expiry_interval(),
            subscription_ids: &subscription_ids,
            topic_alias: publish.properties.topic_alias(),
        },
        payload_len: publish.payload.len(),
    };
    encode_publish(out, version, &head, publish.payload).map(drop)
}
