//! Fuzz function that decodes foreign bytes as a stream, cut in different ways, and makes round
//! trips of content.
//!
//! The fuzz target and the replay of its corpus are thin wrappers round [`fuzz_zstd`]. Not for
//! production use: it panics by design when a promise of the crate is broken.

use crate::limits::DECODER_BYTES_MAX;
use crate::{Decoder, Encoder, Violation};

/// Bytes of content that are looked at; a stream may hold ten thousand times what came.
const CONTENT_BYTES_MAX: usize = 1 << 16;

/// # Panics
/// When the same bytes mean something else cut into other pieces, a decoder keeps too much, or
/// content does not survive the way there and back.
pub fn fuzz_zstd(bytes: &[u8]) {
    let (whole, verdict) = decode(bytes, usize::MAX, 1 << 16);
    for (piece, room) in [(1, 7), (64, 300)] {
        let (pieces, pieces_verdict) = decode(bytes, piece, room);
        let len = whole.len().min(pieces.len());
        assert_eq!(whole.get(..len), pieces.get(..len), "the meaning depends on how the bytes come");
        if verdict.is_ok() && pieces_verdict.is_ok() && len < CONTENT_BYTES_MAX {
            assert_eq!(whole.len(), pieces.len(), "the meaning depends on how the bytes come");
        }
    }
    round_trip(bytes);
}

/// Decodes `bytes` in pieces into a buffer of `room` bytes.
fn decode(bytes: &[u8], piece: usize, room: usize) -> (Vec<u8>, Result<(), Violation>) {
    let mut decoder = Decoder::new().expect("there is memory for one decoder");
    let (mut content, mut buffer) = (Vec::new(), vec![0; room]);
    for mut input in bytes.chunks(piece.min(bytes.len().max(1))) {
        loop {
            let progress = match decoder.decode(input, &mut buffer) {
                Ok(progress) => progress,
                Err(violation) => return (content, Err(violation)),
            };
            assert!(progress.consumed <= input.len() && progress.produced <= room);
            assert!(decoder.memory() <= DECODER_BYTES_MAX, "the window is bounded");
            content.extend_from_slice(buffer.get(..progress.produced).unwrap_or_default());
            if content.len() >= CONTENT_BYTES_MAX {
                return (content, Ok(()));
            }
            input = input.get(progress.consumed..).unwrap_or_default();
            if progress.produced < room {
                assert!(input.is_empty(), "with room left everything is taken");
                break;
            }
        }
    }
    (content, Ok(()))
}

fn round_trip(bytes: &[u8]) {
    let mut encoder = Encoder::new().expect("there is memory for one encoder");
    let (mut wire, mut sent) = (Vec::new(), Vec::new());
    for end in [bytes.len() / 3, bytes.len()] {
        let (head, tail) = bytes.get(..end).unwrap_or_default().split_at(end / 2);
        encoder.encode([head, tail], &mut wire).expect("there is memory for a stream");
        sent.extend_from_slice(head);
        sent.extend_from_slice(tail);
    }
    let (content, verdict) = decode(&wire, 1000, 4096);
    assert_eq!(verdict, Ok(()), "our own stream is legal");
    let len = content.len();
    assert!(len >= sent.len().min(CONTENT_BYTES_MAX) && Some(&content[..]) == sent.get(..len));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "the corpus lies in files")]
    fn corpus_of_zstd_replays_with_every_byte_changed() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fuzz/corpus/zstd");
        let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.len() >= 5, "the corpus is there");
        for file in files {
            let bytes = std::fs::read(file).unwrap();
            fuzz_zstd(&bytes);
            for at in 0..bytes.len().min(60) {
                let mut changed = bytes.clone();
                changed[at] ^= if at % 2 == 0 { 1 } else { 0x81 };
                fuzz_zstd(&changed);
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_survive_and_mean_the_same_in_any_pieces(
            bytes in proptest::collection::vec(0_u8..=255, 0..300)
        ) {
            fuzz_zstd(&bytes);
        }
    }
}
