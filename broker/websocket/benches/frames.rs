//! Benchmark of framing for one receiver: a packet alone, as in fan-out, and many at once. Run with
//! `cargo bench -p lotmq-websocket`.

#![allow(clippy::unwrap_used, reason = "a benchmark, not product code")]

use divan::{Bencher, black_box};
use lotmq_websocket::{Compressor, DeflateParams, Opcode, Outgoing, PacketFrames, Role, put_header};

const CHUNK_MAX: usize = 64 << 10;

fn main() {
    divan::main();
}

/// A PUBLISH at QoS 0 with a payload of this length, at most 90 bytes.
fn packet(payload: usize, number: usize) -> Vec<u8> {
    let topic = b"factory/line-3/press-7/temperature";
    let mut out =
        vec![0x30, u8::try_from(2 + topic.len() + payload).unwrap(), 0, u8::try_from(topic.len()).unwrap()];
    out.extend_from_slice(topic);
    out.extend((0..payload).map(|at| b'0' + u8::try_from((at + number) % 10).unwrap()));
    out
}

/// Head and payload of one packet, as fan-out hands them to a receiver.
#[divan::bench]
fn one_packet_in_two_slices(bencher: Bencher<'_, '_>) {
    let packet = packet(64, 0);
    let slices = packet.split_at(38);
    let slices = [slices.0, slices.1];
    let mut frames = PacketFrames::default();
    bencher.bench_local(|| {
        black_box(frames.frame(black_box(&slices), CHUNK_MAX, None)).slices().map(<[u8]>::len).sum::<usize>()
    });
}

/// Packets that lie together in the buffer of a receiver.
#[divan::bench]
fn a_hundred_packets_in_one_slice(bencher: Bencher<'_, '_>) {
    let packets: Vec<u8> = (0..100).flat_map(|number| packet(64, number)).collect();
    let slices = [&*packets];
    let mut frames = PacketFrames::default();
    bencher.bench_local(|| {
        black_box(frames.frame(black_box(&slices), CHUNK_MAX, None)).slices().map(<[u8]>::len).sum::<usize>()
    });
}

#[divan::bench]
fn a_hundred_packets_compressed(bencher: Bencher<'_, '_>) {
    let packets: Vec<u8> = (0..100).flat_map(|number| packet(64, number)).collect();
    let slices = [&*packets];
    let mut frames = PacketFrames::default();
    let mut compressor = Compressor::default();
    let mut outgoing = Outgoing::new(&DeflateParams::default(), Role::Server);
    bencher.bench_local(|| {
        let deflate = Some((&mut compressor, &mut outgoing));
        black_box(frames.frame(black_box(&slices), CHUNK_MAX, deflate))
            .slices()
            .map(<[u8]>::len)
            .sum::<usize>()
    });
}

/// The floor: one frame for all.
#[divan::bench]
fn a_hundred_packets_in_one_frame_compressed(bencher: Bencher<'_, '_>) {
    let packets: Vec<u8> = (0..100).flat_map(|number| packet(64, number)).collect();
    let mut compressor = Compressor::default();
    let mut outgoing = Outgoing::new(&DeflateParams::default(), Role::Server);
    bencher.bench_local(|| {
        let (mut header, mut body) = (Vec::new(), Vec::new());
        let is_compressed = compressor.compress(&mut outgoing, &[black_box(&packets)], &mut body);
        put_header(&mut header, Opcode::Binary, is_compressed, body.len(), None);
        black_box((header, body))
    });
}
