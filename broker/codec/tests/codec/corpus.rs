//! Replays the fuzz corpus: every packet of it, cut at every byte, and with every byte changed.

use lotmq_codec::fuzz_packet;
use proptest::prelude::*;

use crate::{hex, oracle_v3, oracle_v5};

const CORPUS: &str = include_str!("../corpus/packets.hex");

fn packets() -> impl Iterator<Item = Vec<u8>> {
    CORPUS.lines().filter_map(|line| line.split(';').next()).map(hex::bytes).filter(|bytes| !bytes.is_empty())
}

#[test]
fn corpus_replays() {
    assert!(packets().count() > 30);
    for packet in packets() {
        fuzz_packet(&packet);
        for end in 0..packet.len() {
            fuzz_packet(&packet[..end]);
        }
    }
}

#[test]
fn corpus_replays_with_every_byte_changed() {
    for packet in packets() {
        for index in 0..packet.len() {
            let mut changed = packet.clone();
            for value in 0..=u8::MAX {
                changed[index] = value;
                fuzz_packet(&changed);
            }
        }
    }
}

/// Every packet of the corpus, changed byte by byte, against both oracles.
#[test]
fn oracles_agree_on_the_corpus() {
    for packet in packets() {
        for index in 0..packet.len() {
            let mut changed = packet.clone();
            for value in (0..=u8::MAX).step_by(5).chain([packet[index], 0x80]) {
                changed[index] = value;
                oracle_v3::check(&changed);
                oracle_v5::check(&changed);
            }
        }
    }
}

/// The fuzzer starts from files; they are the lines of the readable corpus.
#[test]
#[expect(clippy::disallowed_methods, reason = "a test reads its corpus")]
fn files_of_the_fuzzer_are_the_corpus() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fuzz/corpus/packet");
    let entries = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<_> = entries.map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect();
    let mut lines: Vec<_> = packets().collect();
    files.sort();
    lines.sort();
    assert!(files == lines, "packets.hex and the files of the fuzzer differ");
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        fuzz_packet(&bytes);
    }

    /// Random bodies after a correct length reach the decoders far more often than random bytes.
    #[test]
    fn random_bodies_never_panic(first_byte in any::<u8>(), body in prop::collection::vec(0u8..48, 0..64)) {
        let mut bytes = vec![first_byte, u8::try_from(body.len()).unwrap()];
        bytes.extend(body);
        fuzz_packet(&bytes);
    }
}
