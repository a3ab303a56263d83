//! Benchmarks of decoding and encoding a PUBLISH. Run with `cargo bench -p lotmq-codec`.

#![allow(clippy::unwrap_used, reason = "a benchmark, not product code")]

use divan::{Bencher, black_box};
use lotmq_codec::limits::PACKET_BYTES_MAX;
use lotmq_codec::*;

const TOPIC: &str = "factory/line-3/press-7/temperature";

/// Shows in the table that decoding allocates nothing.
#[global_allocator]
static ALLOCATIONS: divan::AllocProfiler = divan::AllocProfiler::system();

fn main() {
    divan::main();
}

fn head(qos: QoS, properties: ForwardProperties<'_>) -> PublishHead<'_> {
    let packet_id = (qos != QoS::AtMostOnce).then_some(PacketId::MIN);
    PublishHead { dup: false, qos, retain: false, topic: TOPIC, packet_id, properties, payload_len: 256 }
}

fn packet(version: ProtocolVersion, qos: QoS, properties: Properties<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    encode_publish(&mut out, version, &head(qos, ForwardProperties::unaltered(properties)), &[b'x'; 256])
        .unwrap();
    out
}

fn user_properties() -> PropertyBuf {
    let mut list = PropertyBuf::new();
    list.push(PropertyId::MessageExpiryInterval, PropertyValue::FourByte(60)).unwrap();
    list.push(PropertyId::ContentType, PropertyValue::Utf8("application/json")).unwrap();
    list.push(PropertyId::UserProperty, PropertyValue::Utf8Pair("site", "north")).unwrap();
    list
}

/// Header and body, as the server does for every packet.
fn decode(bytes: &[u8], version: ProtocolVersion) -> usize {
    let header = fixed_header(black_box(bytes), PACKET_BYTES_MAX).unwrap().unwrap();
    let body = &bytes[usize::from(header.header_len)..header.packet_len()];
    let publish = Publish::decode(header.first_byte, body, version).unwrap();
    black_box(&publish).payload_offset
}

#[divan::bench]
fn decode_v3_qos0(bencher: Bencher<'_, '_>) {
    let bytes = packet(ProtocolVersion::V3_1_1, QoS::AtMostOnce, Properties::EMPTY);
    bencher.bench_local(|| decode(&bytes, ProtocolVersion::V3_1_1));
}

#[divan::bench]
fn decode_v3_qos1(bencher: Bencher<'_, '_>) {
    let bytes = packet(ProtocolVersion::V3_1_1, QoS::AtLeastOnce, Properties::EMPTY);
    bencher.bench_local(|| decode(&bytes, ProtocolVersion::V3_1_1));
}

#[divan::bench]
fn decode_v5_without_properties(bencher: Bencher<'_, '_>) {
    let bytes = packet(ProtocolVersion::V5, QoS::AtMostOnce, Properties::EMPTY);
    bencher.bench_local(|| decode(&bytes, ProtocolVersion::V5));
}

#[divan::bench]
fn decode_v5_with_three_properties(bencher: Bencher<'_, '_>) {
    let list = user_properties();
    let bytes = packet(ProtocolVersion::V5, QoS::AtMostOnce, list.properties());
    bencher.bench_local(|| decode(&bytes, ProtocolVersion::V5));
}

#[divan::bench]
fn encode_head_v3_qos0(bencher: Bencher<'_, '_>) {
    let mut out = Vec::with_capacity(1024);
    let head = head(QoS::AtMostOnce, ForwardProperties::default());
    bencher.bench_local(|| {
        out.clear();
        encode_publish_head(&mut out, ProtocolVersion::V3_1_1, black_box(&head)).unwrap()
    });
}

#[divan::bench]
fn encode_head_v5_with_three_properties(bencher: Bencher<'_, '_>) {
    let list = user_properties();
    let mut out = Vec::with_capacity(1024);
    let properties =
        ForwardProperties { message_expiry: Some(30), ..ForwardProperties::unaltered(list.properties()) };
    let head = head(QoS::AtMostOnce, properties);
    bencher.bench_local(|| {
        out.clear();
        encode_publish_head(&mut out, ProtocolVersion::V5, black_box(&head)).unwrap()
    });
}

#[divan::bench]
fn encode_puback(bencher: Bencher<'_, '_>) {
    let mut out = Vec::with_capacity(1024);
    let ack = Ack {
        ack_type: AckType::Puback,
        packet_id: PacketId::MIN,
        reason: ReasonCode::Success,
        properties: Properties::EMPTY,
    };
    bencher.bench_local(|| {
        out.clear();
        encode_ack(&mut out, ProtocolVersion::V3_1_1, black_box(&ack)).unwrap();
    });
}
