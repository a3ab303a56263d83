//! Framing of MQTT packets: each packet is one message, in one frame.
//!
//! The standard allows any layout of packets in frames \[MQTT-6.0.0-2\]. Some clients, such as Paho
//! for C, handle the first packet of a frame and miss the others.
//!
//! The sent data is a stream of bytes, in chunks that may begin and end anywhere. If a packet goes
//! on in the next chunk, its frame announces the whole length. Invariant: inside such a frame
//! ([`PacketFrames::is_inside`]) nothing else may be sent, no control frame either.

use std::ops::Deref;

use crate::deflate::{Compressor, Outgoing};
use crate::encoder::put_header;
use crate::frame::Opcode;
use crate::limits::HEADER_BYTES_MAX;

/// Longest fixed header of a packet: its first byte and four of its length.
const FIXED_HEADER_BYTES_MAX: usize = 5;

/// Pieces below this length, of packets that share a chunk, are copied behind their frame's header:
/// a range of its own costs the kernel more. So a chunk has few ranges, however many packets it
/// has.
const COPIED_BYTES_MAX: usize = 1024;

/// Position of the next chunk in the stream of packets.
#[derive(Debug, Default)]
pub struct PacketFrames {
    /// Bytes of the packet that the last chunk began, still to come.
    left: usize,
    /// Whether that packet's frame was announced in its whole length. Else its rest is a message,
    /// or several, of its own.
    is_announced: bool,
    /// The first bytes of a packet whose length is not known yet.
    held: Vec<u8>,
}

/// Frames of one chunk.
#[derive(Debug)]
pub struct Framed<'a> {
    made: Vec<u8>,
    parts: Vec<Part<'a>>,
}

#[derive(Debug)]
enum Part<'a> {
    /// As many bytes of what was made, behind those of the last such part.
    Made(usize),
    Given(&'a [u8]),
}

impl<'a> Framed<'a> {
    /// The slices to send, in their order.
    pub fn slices(&self) -> impl Iterator<Item = &[u8]> {
        let mut made = &*self.made;
        self.parts.iter().map(move |part| match part {
            Part::Made(len) => {
                let (slice, rest) = made.split_at_checked(*len).unwrap_or_default();
                made = rest;
                slice
            }
            Part::Given(slice) => slice,
        })
    }

    fn make(&mut self, append: impl FnOnce(&mut Vec<u8>)) {
        let before = self.made.len();
        append(&mut self.made);
        let len = self.made.len() - before;
        match self.parts.last_mut() {
            Some(Part::Made(last)) => *last += len,
            Some(Part::Given(_)) | None => self.parts.push(Part::Made(len)),
        }
    }
}

impl PacketFrames {
    /// Whether a frame is under way, of which more must come before anything else.
    #[must_use]
    pub const fn is_inside(&self) -> bool {
        self.left > 0 && self.is_announced
    }

    /// Frames a chunk. With a compressor those packets are compressed that become shorter. A packet
    /// that does not end in its chunk is compressed only if it is longer than `chunk_max`; then
    /// each part of it is a message.
    pub fn frame<'a, S: Deref<Target = [u8]>>(
        &mut self,
        chunk: &'a [S],
        chunk_max: usize,
        mut deflate: Option<(&mut Compressor, &mut Outgoing)>,
    ) -> Framed<'a> {
        let mut rest = Rest::new(chunk);
        let is_alone = self.held.is_empty() && self.left == 0 && rest.packet_len() == Some(rest.len);
        let made = if is_alone { HEADER_BYTES_MAX } else { rest.len + HEADER_BYTES_MAX };
        let mut framed =
            Framed { made: Vec::with_capacity(made), parts: Vec::with_capacity(chunk.len() + 2) };
        // A packet alone, as most are, is sent from where it lies.
        let copied_below = if is_alone { 0 } else { COPIED_BYTES_MAX };
        self.release_held(&mut rest, &mut framed);
        let mut is_primed = false;
        while rest.len > 0 {
            if self.is_inside() {
                let len = self.left.min(rest.len);
                self.left -= len;
                rest.give(len, copied_below, &mut framed);
                continue;
            }
            let packet = if self.left > 0 { Some(self.left) } else { rest.packet_len() };
            let Some(packet) = packet else {
                self.held = rest.bytes().collect();
                break;
            };
            let len = packet.min(rest.len);
            self.left = packet - len;
            self.is_announced = self.left > 0 && packet <= chunk_max || deflate.is_none();
            let compressor = deflate.as_mut().filter(|_| !self.is_announced);
            let body = compressor.and_then(|(compressor, outgoing)| {
                let mut body = Vec::new();
                let is_shorter =
                    compressor.compress_next(outgoing, &rest.parts(len), &mut body, &mut is_primed);
                is_shorter.then_some(body)
            });
            if let Some(body) = body {
                rest.skip(len);
                framed.make(|out| {
                    put_header(out, Opcode::Binary, true, body.len(), None);
                    out.extend_from_slice(&body);
                });
            } else {
                let announced = if self.is_announced { packet } else { len };
                framed.make(|out| put_header(out, Opcode::Binary, false, announced, None));
                rest.give(len, copied_below, &mut framed);
            }
        }
        framed
    }

    /// Begins the packet whose first bytes were held, if its length is known now. It is not
    /// compressed, which hardly ever happens.
    fn release_held<S: Deref<Target = [u8]>>(&mut self, rest: &mut Rest<'_, S>, framed: &mut Framed<'_>) {
        if self.held.is_empty() {
            return;
        }
        let len = loop {
            match packet_len(self.held.iter().copied()) {
                Some(len) => break len,
                None => match rest.next(1) {
                    Some(byte) => self.held.extend_from_slice(byte),
                    None => return,
                },
            }
        };
        self.left = len - self.held.len();
        self.is_announced = true;
        framed.make(|out| {
            put_header(out, Opcode::Binary, false, len, None);
            out.append(&mut self.held);
        });
    }
}

/// The whole length of the packet that begins here; `None` where that is not known yet.
fn packet_len(bytes: impl Iterator<Item = u8>) -> Option<usize> {
    let mut len = 0_usize;
    for (at, byte) in bytes.take(FIXED_HEADER_BYTES_MAX).enumerate().skip(1) {
        len |= usize::from(byte & 0x7f) << (7 * (at - 1));
        if byte & 0x80 == 0 {
            return Some(1 + at + len);
        }
    }
    None
}

/// Unprocessed rest of a chunk.
struct Rest<'a, S> {
    slices: &'a [S],
    /// Bytes of the first slice that are done.
    done: usize,
    len: usize,
}

impl<S> Clone for Rest<'_, S> {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

impl<'a, S: Deref<Target = [u8]>> Rest<'a, S> {
    fn new(slices: &'a [S]) -> Self {
        Self { slices, done: 0, len: slices.iter().map(|slice| slice.len()).sum() }
    }

    /// Takes at most `max` bytes that lie together; `None` at the end.
    fn next(&mut self, max: usize) -> Option<&'a [u8]> {
        loop {
            let (first, others) = self.slices.split_first()?;
            let left = first.get(self.done..).unwrap_or_default();
            if left.is_empty() {
                (self.slices, self.done) = (others, 0);
                continue;
            }
            let piece = left.get(..max).unwrap_or(left);
            self.done += piece.len();
            self.len -= piece.len();
            return Some(piece);
        }
    }

    fn bytes(&self) -> impl Iterator<Item = u8> {
        let mut rest = self.clone();
        std::iter::from_fn(move || rest.next(1)?.first().copied())
    }

    fn packet_len(&self) -> Option<usize> {
        packet_len(self.bytes())
    }

    /// Takes `len` bytes, piece by piece.
    fn take(&mut self, mut len: usize, mut with: impl FnMut(&'a [u8])) {
        while let Some(piece) = if len > 0 { self.next(len) } else { None } {
            len -= piece.len();
            with(piece);
        }
    }

    fn skip(&mut self, len: usize) {
        self.take(len, |_| ());
    }

    /// The next `len` bytes where they lie.
    fn parts(&self, len: usize) -> Vec<&'a [u8]> {
        let mut parts = Vec::with_capacity(self.slices.len());
        self.clone().take(len, |piece| parts.push(piece));
        parts
    }

    /// Moves the next `len` bytes to what is sent; pieces below `copied_below` as copies.
    fn give(&mut self, len: usize, copied_below: usize, framed: &mut Framed<'a>) {
        self.take(len, |piece| {
            if piece.len() < copied_below {
                framed.make(|out| out.extend_from_slice(piece));
            } else {
                framed.parts.push(Part::Given(piece));
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Decoder, DeflateParams, Event, Role};

    /// A packet whose body has this length.
    fn packet(first: u8, body: usize) -> Vec<u8> {
        let mut out = vec![first];
        let mut left = body;
        loop {
            let byte = u8::try_from(left % 128).unwrap();
            left /= 128;
            out.push(if left > 0 { byte | 0x80 } else { byte });
            if left == 0 {
                break;
            }
        }
        out.extend((0..body).map(|n| u8::try_from(n % 7).unwrap()));
        out
    }

    /// The payloads of the frames, each once; compressed ones as they are.
    fn frames(mut bytes: &[u8]) -> Vec<(bool, Vec<u8>)> {
        let mut found = Vec::new();
        while !bytes.is_empty() {
            assert_eq!(bytes[0] & 0xbf, 0x82, "a whole binary message");
            let (len, at) = match bytes[1] {
                126 => (usize::from(u16::from_be_bytes([bytes[2], bytes[3]])), 4),
                127 => (usize::try_from(u64::from_be_bytes(bytes[2..10].try_into().unwrap())).unwrap(), 10),
                len => (usize::from(len), 2),
            };
            found.push((bytes[0] & 0x40 != 0, bytes[at..at + len].to_vec()));
            bytes = &bytes[at + len..];
        }
        found
    }

    /// Sends a stream that is cut at these places, and each chunk once more. Returns the bytes
    /// sent.
    fn send(stream: &[u8], cuts: &[usize], inner: usize, deflate: Option<&DeflateParams>) -> Vec<u8> {
        let mut frames = PacketFrames::default();
        let mut compressor = Compressor::default();
        let mut outgoing = deflate.map(|params| Outgoing::new(params, Role::Server));
        let mut sent = Vec::new();
        let mut start = 0;
        for end in cuts.iter().copied().chain([stream.len()]) {
            let end = end.clamp(start, stream.len());
            let slices: Vec<&[u8]> = stream[start..end].chunks(inner.max(1)).collect();
            let pair = outgoing.as_mut().map(|outgoing| (&mut compressor, outgoing));
            let framed = frames.frame(&slices, 64, pair);
            framed.slices().for_each(|slice| sent.extend_from_slice(slice));
            start = end;
        }
        assert!(!frames.is_inside() && frames.held.is_empty(), "every packet has ended");
        sent
    }

    #[test]
    fn a_packet_alone_is_sent_from_where_it_lies() {
        let alone = packet(0x30, 300);
        let slices = [&alone[..20], &alone[20..]];
        let framed = PacketFrames::default().frame(&slices, 1 << 16, None);
        let sent: Vec<&[u8]> = framed.slices().collect();
        assert_eq!(sent.len(), 3);
        assert_eq!((sent[1].as_ptr(), sent[2].as_ptr()), (slices[0].as_ptr(), slices[1].as_ptr()));
        // Beside others only what is long.
        let small = [0xD0, 0];
        let long = packet(0x30, 3000);
        let slices = [&small[..], &long, &small, &alone];
        let framed = PacketFrames::default().frame(&slices, 1 << 16, None);
        let sent: Vec<&[u8]> = framed.slices().collect();
        assert_eq!(sent.len(), 3);
        assert_eq!(sent[1].as_ptr(), long.as_ptr());
        assert_eq!(frames(&sent.concat()).len(), 4);
    }

    proptest! {
        /// However the stream is cut, each packet is one frame.
        #[test]
        fn each_packet_is_one_frame(
            bodies in prop::collection::vec(prop::sample::select(vec![0, 1, 5, 120, 127, 128, 300, 2000, 70_000]), 1..8),
            mut cuts in prop::collection::vec(0..80_000_usize, 0..6),
            inner in prop::sample::select(vec![1, 2, 3, 50, 5000]),
        ) {
            let packets: Vec<Vec<u8>> = bodies.iter().map(|len| packet(0x30, *len)).collect();
            let stream = packets.concat();
            cuts.sort_unstable();
            let sent = frames(&send(&stream, &cuts, inner, None));
            prop_assert_eq!(sent, packets.into_iter().map(|packet| (false, packet)).collect::<Vec<_>>());
        }

        /// Compressed or not, the same stream arrives; in one chunk each packet is one message.
        #[test]
        fn compressed_stream_is_received_unchanged(
            bodies in prop::collection::vec(prop::sample::select(vec![0, 1, 5, 60, 127, 128, 300, 2000]), 1..20),
            mut cuts in prop::collection::vec(0..10_000_usize, 0..6),
            keeps in any::<bool>(),
        ) {
            let packets: Vec<Vec<u8>> = bodies.iter().map(|len| packet(0x30, *len)).collect();
            let stream = packets.concat();
            cuts.sort_unstable();
            let params = DeflateParams { server_no_context_takeover: !keeps, ..DeflateParams::default() };
            prop_assert_eq!(frames(&send(&stream, &[], 50, Some(&params))).len(), packets.len());
            let sent = send(&stream, &cuts, 50, Some(&params));
            let mut decoder = Decoder::new(Role::Client, Some(&params));
            let mut received = vec![0; stream.len() + 1];
            let (mut consumed, mut produced) = (0, 0);
            while consumed < sent.len() || produced < stream.len() {
                let progress = decoder.decode(&sent[consumed..], &mut received[produced..]).unwrap();
                prop_assert!(progress.consumed + progress.produced > 0);
                prop_assert!(!matches!(progress.event, Some(Event::Close(_))));
                consumed += progress.consumed;
                produced += progress.produced;
            }
            prop_assert_eq!(&received[..produced], &stream[..]);
        }
    }
}
