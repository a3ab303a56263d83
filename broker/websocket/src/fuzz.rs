//! Fuzz function that decodes foreign bytes as a handshake and as frames, cut in different ways,
//! and makes round trips of payload.
//!
//! The fuzz target and the replay of its corpus are thin wrappers round [`fuzz_websocket`]. Not for
//! production use: it panics by design when a promise of the crate is broken.

use crate::{
    Compressor, Decoder, DeflateParams, Event, Opcode, Outgoing, Role, Violation, accept, mask, put_header,
};

/// Bytes of payload that are looked at; what is compressed may hold a thousand times what came.
const PAYLOAD_BYTES_MAX: usize = 1 << 15;

/// The first byte chooses the side and what was agreed on, the rest is what a peer sends.
///
/// # Panics
/// When the same bytes mean something else cut into other pieces, or payload does not survive the
/// way there and back.
pub fn fuzz_websocket(bytes: &[u8]) {
    let Some((choice, bytes)) = bytes.split_first() else { return };
    if let Ok(Some(accepted)) = accept(bytes, &["/mqtt", "/"], &["mqtt", "mqttv3.1"], true) {
        assert!(accepted.consumed <= bytes.len() && accepted.response.starts_with(b"HTTP/1.1 101 "));
    }
    let role = if choice & 1 == 0 { Role::Server } else { Role::Client };
    let params = DeflateParams {
        server_no_context_takeover: choice & 4 != 0,
        client_no_context_takeover: choice & 8 != 0,
        server_max_window_bits: (choice & 16 != 0).then_some(9 + (choice >> 5) % 7),
        client_max_window_bits: (choice & 16 != 0).then_some(9 + (choice >> 5) % 7),
    };
    let deflate = (choice & 2 != 0).then_some(&params);
    let whole = decode(role, deflate, bytes, usize::MAX, 1 << 16);
    for (piece, room) in [(1, 7), (64, 300)] {
        let pieces = decode(role, deflate, bytes, piece, room);
        if [&whole, &pieces].iter().any(|run| run.0.len() >= PAYLOAD_BYTES_MAX) {
            // One of them may have seen an error behind the bound in the same call.
            continue;
        }
        assert_eq!(whole.2.is_err(), pieces.2.is_err(), "the verdict depends on how the bytes come");
        if whole.2.is_ok() {
            assert_eq!(
                (&whole.0, &whole.1),
                (&pieces.0, &pieces.1),
                "the meaning depends on how the bytes come"
            );
        }
    }
    round_trip(role, &params, bytes);
}

/// Decodes `bytes` in pieces into a buffer of `room` bytes: payload, events, verdict.
fn decode(
    role: Role,
    deflate: Option<&DeflateParams>,
    bytes: &[u8],
    piece: usize,
    room: usize,
) -> (Vec<u8>, Vec<Event>, Result<(), Violation>) {
    let mut decoder = Decoder::new(role, deflate);
    let (mut payload, mut events, mut buffer) = (Vec::new(), Vec::new(), vec![0; room]);
    for mut input in bytes.chunks(piece.min(bytes.len().max(1))) {
        loop {
            let progress = match decoder.decode(input, &mut buffer) {
                Ok(progress) => progress,
                Err(violation) => return (payload, events, Err(violation)),
            };
            assert!(progress.consumed <= input.len() && progress.produced <= room);
            payload.extend_from_slice(buffer.get(..progress.produced).unwrap_or_default());
            if payload.len() >= PAYLOAD_BYTES_MAX {
                return (payload, events, Ok(()));
            }
            input = input.get(progress.consumed..).unwrap_or_default();
            let had_event = progress.event.is_some();
            events.extend(progress.event);
            if input.is_empty() && progress.produced < room && !had_event {
                break;
            }
            assert!(progress.consumed > 0 || progress.produced > 0 || had_event, "a call that does nothing");
        }
    }
    (payload, events, Ok(()))
}

/// Sends `bytes` as messages of growing length from the other side to `role`.
fn round_trip(role: Role, params: &DeflateParams, bytes: &[u8]) {
    let sender = if role == Role::Server { Role::Client } else { Role::Server };
    let key = sender.masks().then_some([1, 2, 3, 4]);
    let (mut compressor, mut outgoing) = (Compressor::default(), Outgoing::new(params, sender));
    let (mut wire, mut sent) = (Vec::new(), Vec::new());
    for end in [bytes.len() / 3, bytes.len() / 2, bytes.len(), bytes.len()] {
        let plain = bytes.get(..end).unwrap_or_default();
        sent.extend_from_slice(plain);
        let (head, tail) = plain.split_at(end / 2);
        let mut body = Vec::new();
        let is_compressed = compressor.compress(&mut outgoing, &[head, tail], &mut body);
        if !is_compressed {
            assert!(body.is_empty());
            body.extend_from_slice(plain);
        }
        assert!(body.len() <= plain.len() + plain.len() / 16 + 8, "compressing made it much longer");
        put_header(&mut wire, Opcode::Binary, is_compressed, body.len(), key);
        if let Some(key) = key {
            mask(&mut body, key, 0);
        }
        wire.extend_from_slice(&body);
    }
    let (payload, events, verdict) = decode(role, Some(params), &wire, 1000, 4096);
    assert_eq!(verdict, Ok(()), "our own frames are legal");
    assert!(events.is_empty());
    let len = payload.len().min(PAYLOAD_BYTES_MAX);
    assert!(payload.len() >= sent.len().min(PAYLOAD_BYTES_MAX) && payload.get(..len) == sent.get(..len));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "the corpus lies in files")]
    fn corpus_of_websocket_replays_with_every_byte_changed() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fuzz/corpus/websocket");
        let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.len() >= 5, "the corpus is there");
        for file in files {
            let bytes = std::fs::read(file).unwrap();
            fuzz_websocket(&bytes);
            for at in 0..bytes.len().min(100) {
                let mut changed = bytes.clone();
                changed[at] ^= if at % 2 == 0 { 1 } else { 0x81 };
                fuzz_websocket(&changed);
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_mean_the_same_in_any_pieces(bytes in proptest::collection::vec(0_u8..=255, 0..300)) {
            fuzz_websocket(&bytes);
        }
    }
}
