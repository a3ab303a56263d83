//! Round trips: the decoders of the other side read packets of our encoders back unchanged.

use lotmq_codec::limits::PACKET_BYTES_MAX;
use lotmq_codec::*;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use std::collections::BTreeSet;

use crate::strategies::{client_packet, connect, filters, packet_id, properties, publish, server_packet};

fn versions() -> impl Strategy<Value = ProtocolVersion> {
    prop::sample::select(vec![ProtocolVersion::V3_1, ProtocolVersion::V3_1_1, ProtocolVersion::V5])
}

fn split(bytes: &[u8]) -> (FixedHeader, &[u8]) {
    let header = fixed_header(bytes, PACKET_BYTES_MAX).unwrap().unwrap();
    assert_eq!(header.packet_len(), bytes.len());
    (header, &bytes[usize::from(header.header_len)..])
}

/// The types of many packets.
fn types(packets: BoxedStrategy<Vec<u8>>) -> BTreeSet<u8> {
    let mut runner = TestRunner::deterministic();
    let mut packet = || packets.new_tree(&mut runner).unwrap().current();
    (0..1_000).map(|_| split(&packet()).0.packet_type().bits()).collect()
}

/// So round trips and oracles see each of them.
#[test]
fn every_packet_type_is_made_in_both_directions() {
    for version in [ProtocolVersion::V3_1, ProtocolVersion::V3_1_1, ProtocolVersion::V5] {
        let of = |is_sent: fn(PacketType, ProtocolVersion) -> bool| -> BTreeSet<u8> {
            let all = (1..=15).filter_map(PacketType::from_bits);
            all.filter(|packet_type| is_sent(*packet_type, version)).map(PacketType::bits).collect()
        };
        assert_eq!(types(client_packet(version)), of(PacketType::from_client), "{version:?}");
        assert_eq!(types(server_packet(version)), of(PacketType::from_server), "{version:?}");
    }
}

proptest! {
    #[test]
    fn connect_round_trips(fields in versions().prop_flat_map(connect)) {
        let mut out = Vec::new();
        encode_connect(&mut out, &fields.connect()).unwrap();
        let (_, body) = split(&out);
        prop_assert_eq!(Connect::decode(body), Ok(fields.connect()));
        prop_assert_eq!(Connect::peek_version(body), Some(fields.version));
    }

    #[test]
    fn publish_round_trips(version in versions(), fields in publish(PropertyPlace::PublishFromServer)) {
        let head = fields.head();
        let mut out = Vec::new();
        let layout = encode_publish(&mut out, version, &head, &fields.payload).unwrap();
        let (header, body) = split(&out);
        let publish = Publish::decode_from_server(header.first_byte, body, version).unwrap();
        prop_assert_eq!((publish.dup, publish.qos, publish.retain), (head.dup, head.qos, head.retain));
        prop_assert_eq!((publish.topic, publish.packet_id), (head.topic, head.packet_id));
        prop_assert_eq!(publish.payload, &fields.payload[..]);
        let header_len = usize::from(header.header_len);
        prop_assert_eq!(layout.len, header_len + publish.payload_offset);
        prop_assert_eq!(layout.packet_id_offset, publish.packet_id_offset.map(|offset| header_len + offset));
        if version.has_properties() {
            prop_assert_eq!(publish.properties.topic_alias(), head.properties.topic_alias);
            let ids: Vec<_> = publish.properties.subscription_identifiers().collect();
            prop_assert_eq!(&ids[..], head.properties.subscription_ids);
            let received = head.properties.received;
            prop_assert!(publish.properties.user_properties().eq(received.user_properties())); // [MQTT-3.3.2-18]
            prop_assert_eq!(publish.properties.correlation_data(), received.correlation_data());
            prop_assert_eq!(publish.properties.message_expiry_interval(), received.message_expiry_interval());
        } else {
            prop_assert!(publish.properties.is_empty());
        }
    }

    #[test]
    fn subscribe_round_trips(
        (version, filters) in versions().prop_flat_map(|version| (Just(version), filters(version))),
        packet_id in packet_id(),
        list in properties(PropertyPlace::Subscribe),
    ) {
        let sent: Vec<_> =
            filters.iter().map(|(filter, options)| SubscribeFilter { filter, options: *options }).collect();
        let mut out = Vec::new();
        encode_subscribe(&mut out, version, packet_id, list.properties(), &sent).unwrap();
        let subscribe = Subscribe::decode(split(&out).1, version).unwrap();
        prop_assert_eq!(subscribe.packet_id, packet_id);
        prop_assert_eq!(subscribe.filters().collect::<Vec<_>>(), sent);
        if version.has_properties() {
            prop_assert_eq!(subscribe.properties, list.properties());
        }
    }

    #[test]
    fn every_legal_packet_survives(
        (version, packet) in versions().prop_flat_map(|version| (Just(version), client_packet(version))),
    ) {
        let (header, body) = split(&packet);
        prop_assert!(ClientPacket::decode(&header, body, version).is_ok());
        fuzz_packet(&packet);
    }

    #[test]
    fn every_legal_packet_of_a_server_survives(
        (version, packet) in versions().prop_flat_map(|version| (Just(version), server_packet(version))),
    ) {
        let (header, body) = split(&packet);
        prop_assert!(ServerPacket::decode(&header, body, version).is_ok());
        fuzz_packet(&packet);
    }

    /// A stream may be cut anywhere. Every true prefix is incomplete and never an error; the header
    /// needs at most 5 bytes.
    #[test]
    fn every_prefix_is_incomplete(packet in client_packet(ProtocolVersion::V5)) {
        for end in 0..packet.len() {
            let header = fixed_header(&packet[..end], PACKET_BYTES_MAX).unwrap();
            prop_assert!(header.is_none_or(|header| header.packet_len() > end));
        }
    }
}
