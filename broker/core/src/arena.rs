//! Arena: memory of a turn, for received bytes while they are routed and for packets that are
//! encoded for receivers.
//!
//! Every read of a turn lands in one area, newly encoded packets go to a second, and packets too
//! large for the area keep the buffer that they were collected in. Receivers hold [`Span`]s, so a
//! message is copied neither per receiver nor between `recv` and `send`, and neighbouring packets
//! leave in one piece.
//!
//! Invariants: a span is valid until [`Arena::reset`] and never afterwards; nothing outside the
//! turn holds one. Bytes are changed in place only to set packet identifiers and flags just before
//! they are sent to one receiver. Not here: who receives what (`turn`), how it leaves
//! (`turn::outbound`).

pub(crate) mod charge;

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::arena::charge::Shared;
use crate::limits::unfinished::Unfinished;
use crate::limits::{READ_AREA_BYTES, READ_BYTES_MAX, SHARED_BYTES_MIN};

/// Range of bytes in one of the arena's segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    segment: u32,
    start: u32,
    len: u32,
}

impl Span {
    /// Empty range.
    pub const EMPTY: Self = Self { segment: 0, start: 0, len: 0 };

    /// Number of bytes.
    pub fn len(self) -> usize {
        self.len as usize
    }

    /// Whether it has no bytes.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// A part of this span. `start + len` is at most the span's length.
    pub fn slice(self, start: usize, len: usize) -> Self {
        debug_assert!(start + len <= self.len as usize, "a slice lies inside its span");
        Self { segment: self.segment, start: self.start + offset(start), len: offset(len) }
    }

    /// Whether `next` begins where this span ends, so that both can be sent as one.
    pub fn touches(self, next: Self) -> bool {
        self.segment == next.segment && self.start + self.len == next.start
    }

    /// This span and its neighbour as one.
    pub fn joined(self, next: Self) -> Self {
        debug_assert!(self.touches(next), "only neighbours are joined");
        Self { len: self.len + next.len, ..self }
    }
}

const READ: u32 = 0;
const SCRATCH: u32 = 1;
const FIRST_LARGE: u32 = 2;

/// Memory of a turn.
pub struct Arena {
    /// Received bytes; its length is fixed, `read_used` says how much is in use.
    read: Box<[u8]>,
    read_used: usize,
    /// Packets encoded in this turn.
    scratch: Vec<u8>,
    large: Vec<Large>,
    /// Large parts of messages, with shared memory that holds the same bytes for longer than the
    /// turn.
    elsewhere: Vec<(Span, Shared)>,
    /// Bytes that wait for all clients.
    waiting: Arc<Unfinished>,
}

/// A segment with a memory of its own.
enum Large {
    /// Packets that were collected in a buffer of their own.
    Own(Vec<u8>),
    /// A part of a message that outlives the turn. It is not changed in place.
    Shared(Bytes),
}

impl Large {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

impl Arena {
    /// Memory that is empty; what clients wait for in memory of its own counts in `waiting`.
    pub(crate) fn new(waiting: Arc<Unfinished>) -> Self {
        Self {
            read: vec![0; READ_AREA_BYTES].into_boxed_slice(),
            read_used: 0,
            scratch: Vec::new(),
            large: Vec::new(),
            elsewhere: Vec::new(),
            waiting,
        }
    }

    fn shared(&self, bytes: Bytes) -> Shared {
        Shared::new(bytes, &self.waiting)
    }

    /// Whether another read of full size fits before the next [`Arena::reset`].
    pub(crate) fn has_room_to_read(&self, carried: usize) -> bool {
        self.read.len() - self.read_used >= READ_BYTES_MAX + carried
    }

    /// Copies bytes that were left over from an earlier read in front of the area for the next one.
    ///
    /// Call only after [`Arena::has_room_to_read`] with their length.
    pub(crate) fn carry(&mut self, left_over: &[u8]) -> Span {
        let start = self.read_used;
        self.read[start..start + left_over.len()].copy_from_slice(left_over);
        self.read_used += left_over.len();
        Span { segment: READ, start: offset(start), len: offset(left_over.len()) }
    }

    /// Area for the next read, at most [`READ_BYTES_MAX`] bytes.
    pub(crate) fn read_target(&mut self) -> &mut [u8] {
        let end = self.read.len().min(self.read_used + READ_BYTES_MAX);
        &mut self.read[self.read_used..end]
    }

    /// Takes the first `len` bytes of [`Arena::read_target`] into use.
    pub(crate) fn read_done(&mut self, len: usize) -> Span {
        let start = self.read_used;
        self.read_used += len;
        Span { segment: READ, start: offset(start), len: offset(len) }
    }

    /// Takes over a buffer that holds whole packets.
    pub(crate) fn adopt(&mut self, buffer: Vec<u8>) -> Span {
        let span =
            Span { segment: FIRST_LARGE + offset(self.large.len()), start: 0, len: offset(buffer.len()) };
        self.large.push(Large::Own(buffer));
        span
    }

    /// Has a part of a message read where it lies, if it is a large one; a shorter one is copied.
    pub(crate) fn borrow(&mut self, bytes: Bytes) -> Span {
        if bytes.is_empty() {
            return Span::EMPTY;
        }
        if bytes.len() < SHARED_BYTES_MIN {
            return self.encode(|out| out.extend_from_slice(&bytes)).0;
        }
        let span =
            Span { segment: FIRST_LARGE + offset(self.large.len()), start: 0, len: offset(bytes.len()) };
        self.elsewhere.push((span, self.shared(bytes.clone())));
        self.large.push(Large::Shared(bytes));
        span
    }

    /// Lets `encode` append to the scratch area and returns what it wrote.
    pub fn encode<R>(&mut self, encode: impl FnOnce(&mut Vec<u8>) -> R) -> (Span, R) {
        let start = self.scratch.len();
        let result = encode(&mut self.scratch);
        let span = Span { segment: SCRATCH, start: offset(start), len: offset(self.scratch.len() - start) };
        (span, result)
    }

    /// Encodes with access to bytes that are already here, as when a received message gets another
    /// head.
    pub(crate) fn encode_from<R, const N: usize>(
        &mut self,
        sources: [Span; N],
        encode: impl FnOnce([&[u8]; N], &mut Vec<u8>) -> R,
    ) -> (Span, R) {
        if sources.iter().any(|source| source.segment == SCRATCH && source.len > 0) {
            // Such a source would move while the area grows. Only messages of guests are encoded
            // twice in a turn, and only their topics and short payloads come here.
            let copies = sources.map(|source| self.get(source).to_vec());
            return self.encode(|out| encode(std::array::from_fn(|n| copies[n].as_slice()), out));
        }
        let Self { read, scratch, large, .. } = self;
        let bytes = sources.map(|source| match source.segment {
            FIRST_LARGE.. => &large[(source.segment - FIRST_LARGE) as usize].bytes()[range(source)],
            _ => &read[range(source)],
        });
        let start = scratch.len();
        let result = encode(bytes, scratch);
        (Span { segment: SCRATCH, start: offset(start), len: offset(scratch.len() - start) }, result)
    }

    /// The text of a span that was decoded as UTF-8.
    pub fn text(&self, span: Span) -> &str {
        text(self.get(span))
    }

    /// The bytes of a range.
    pub fn get(&self, span: Span) -> &[u8] {
        match span.segment {
            READ => &self.read[range(span)],
            SCRATCH => &self.scratch[range(span)],
            n => &self.large[(n - FIRST_LARGE) as usize].bytes()[range(span)],
        }
    }

    /// The bytes of a range of a packet that was received or encoded in this turn.
    pub(crate) fn get_mut(&mut self, span: Span) -> &mut [u8] {
        match span.segment {
            READ => &mut self.read[range(span)],
            SCRATCH => &mut self.scratch[range(span)],
            n => match &mut self.large[(n - FIRST_LARGE) as usize] {
                Large::Own(bytes) => &mut bytes[range(span)],
                Large::Shared(_) => unreachable!("nothing is changed in a message that others have, too"),
            },
        }
    }

    /// Notes shared memory that holds a range of a message for longer, if it is a large one and
    /// nothing is noted yet. It is not changed in place.
    pub(crate) fn lies_elsewhere(&mut self, span: Span, bytes: impl FnOnce() -> Bytes) {
        if span.len() < SHARED_BYTES_MIN || self.elsewhere.iter().any(|(of, _)| *of == span) {
            return;
        }
        let bytes = bytes();
        debug_assert_eq!(self.get(span).len(), bytes.len(), "they are the same");
        self.elsewhere.push((span, self.shared(bytes)));
    }

    /// Notes that a range, of which that is known, lies in this memory.
    pub(crate) fn lies_there(&mut self, span: Span, shared: &Shared) {
        for (_, known) in self.elsewhere.iter_mut().filter(|(of, _)| *of == span) {
            known.clone_from(shared);
        }
    }

    /// The first part of a range whose bytes lie elsewhere as well: where in the range, and those
    /// bytes.
    pub(crate) fn elsewhere(&self, span: Span) -> Option<(Range<usize>, Shared)> {
        let end = span.start + span.len;
        let overlaps = |(of, _): &&(Span, Shared)| {
            of.segment == span.segment && of.start < end && span.start < of.start + of.len
        };
        let (of, shared) = self.elsewhere.iter().filter(overlaps).min_by_key(|(of, _)| of.start)?;
        let (from, to) = (span.start.max(of.start), end.min(of.start + of.len));
        let part = shared.part((from - of.start) as usize, (to - of.start) as usize);
        Some(((from - span.start) as usize..(to - span.start) as usize, part))
    }

    /// The bytes of a packet for longer than the turn: its beginning as a copy, and what follows
    /// where that lies elsewhere as well.
    pub(crate) fn kept(&self, packet: [Span; 2]) -> (Box<[u8]>, Bytes) {
        let (mut copied, mut shared) = (Vec::new(), Bytes::new());
        for span in packet.into_iter().filter(|span| !span.is_empty()) {
            copied.extend_from_slice(&std::mem::take(&mut shared));
            let rest = self.elsewhere(span).filter(|(at, _)| at.end == span.len());
            let (own, bytes) = rest.map_or((span.len(), Bytes::new()), |(at, rest)| (at.start, rest.bytes));
            copied.extend_from_slice(self.get(span.slice(0, own)));
            shared = bytes;
        }
        (copied.into_boxed_slice(), shared)
    }

    /// Number of bytes encoded since the last reset.
    pub(crate) fn scratch_len(&self) -> usize {
        self.scratch.len()
    }

    /// Forgets what was encoded; spans of received bytes stay valid.
    pub(crate) fn reset_scratch(&mut self) {
        self.scratch.clear();
        self.elsewhere.clear();
        // Those are numbers of segments that nobody has any more.
        while self.large.pop_if(|last| matches!(last, Large::Shared(_))).is_some() {}
    }

    /// Forgets everything; all spans become invalid.
    pub(crate) fn reset(&mut self) {
        self.read_used = 0;
        self.reset_scratch();
        // One very large turn must not keep its memory for ever.
        self.scratch.shrink_to(READ_AREA_BYTES);
        self.large.clear();
    }
}

fn range(span: Span) -> Range<usize> {
    span.start as usize..(span.start + span.len) as usize
}

/// Offsets fit 32 bits: the read area is 1 MiB, a packet at most 256 MiB, and a turn is ended long
/// before its scratch area holds 4 GiB.
fn offset(value: usize) -> u32 {
    u32::try_from(value).expect("turn memory stays below 4 GiB")
}

/// The text of bytes that were decoded as UTF-8. Looks at all of them again, which showed in
/// profiles of fan-in: not for every message.
pub fn text(decoded: &[u8]) -> &str {
    std::str::from_utf8(decoded).expect("text was checked when it was decoded")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_join_and_others_do_not() {
        let mut arena = Arena::new(Arc::default());
        let (a, ()) = arena.encode(|out| out.extend_from_slice(b"ab"));
        let (b, ()) = arena.encode(|out| out.extend_from_slice(b"cd"));
        let carried = arena.carry(b"xy");
        assert!(a.touches(b));
        assert!(!b.touches(a));
        assert!(!b.touches(carried));
        assert_eq!(arena.get(a.joined(b)), b"abcd");
        assert_eq!(arena.get(b.slice(1, 1)), b"d");
    }

    #[test]
    fn encoding_from_every_segment_reads_the_source() {
        let mut arena = Arena::new(Arc::default());
        let read = arena.carry(b"read");
        let large = arena.adopt(b"large".to_vec());
        let (scratch, ()) = arena.encode(|out| out.extend_from_slice(b"scratch"));
        for (source, expected) in [(read, b"read".as_slice()), (large, b"large"), (scratch, b"scratch")] {
            let (copy, ()) = arena.encode_from([source], |[bytes], out| out.extend_from_slice(bytes));
            assert_eq!(arena.get(copy), expected);
        }
    }

    #[test]
    fn shared_payload_is_found_in_every_overlapping_range() {
        let mut arena = Arena::new(Arc::default());
        let message = Bytes::from((0..=250).cycle().take(SHARED_BYTES_MIN).collect::<Vec<u8>>());
        let encode = |arena: &mut Arena, bytes: &[u8]| arena.encode(|out| out.extend_from_slice(bytes)).0;
        let head = encode(&mut arena, b"head");
        let payload = encode(&mut arena, &message);
        let next = encode(&mut arena, b"next");
        arena.lies_elsewhere(payload, || message.clone());
        arena.lies_elsewhere(next, || Bytes::from_static(b"next"));
        let all = head.joined(payload).joined(next);
        let elsewhere = |arena: &Arena, span| arena.elsewhere(span).map(|(at, shared)| (at, shared.bytes));
        assert_eq!(elsewhere(&arena, all), Some((4..4 + message.len(), message.clone())));
        let middle = all.slice(10, 100);
        assert_eq!(elsewhere(&arena, middle), Some((0..100, message.slice(6..106))));
        assert_eq!(elsewhere(&arena, head), None);
        assert_eq!(elsewhere(&arena, next), None, "it is short");
        arena.reset_scratch();
        let other = encode(&mut arena, &message);
        assert_eq!(elsewhere(&arena, other), None);
    }

    #[test]
    fn a_large_part_of_a_message_is_read_where_it_lies() {
        let mut arena = Arena::new(Arc::default());
        let message = Bytes::from((0..=250).cycle().take(SHARED_BYTES_MIN).collect::<Vec<u8>>());
        let (head, ()) = arena.encode(|out| out.extend_from_slice(b"head"));
        let payload = arena.borrow(message.clone());
        assert_eq!(arena.get(payload).as_ptr(), message.as_ptr(), "not copied");
        let (copied, shared) = arena.kept([head, payload]);
        assert_eq!((&*copied, shared.as_ptr()), (b"head".as_slice(), message.as_ptr()));
        let (all, nothing) = arena.kept([payload, head]);
        assert_eq!((&*all, nothing), ([&*message, b"head"].concat().as_slice(), Bytes::new()));
        let short = arena.borrow(Bytes::from_static(b"short"));
        assert_eq!(arena.kept([short, Span::EMPTY]), (b"short".as_slice().into(), Bytes::new()));
        let received = arena.adopt(b"received".to_vec());
        arena.borrow(message.clone());
        arena.reset_scratch();
        assert_eq!(arena.get(received), b"received", "it stays");
        assert!(!message.is_unique(), "the segment before the received one stays");
        drop(shared);
        arena.reset();
        assert!(message.is_unique());
    }

    #[test]
    fn a_turn_has_room_for_sixteen_full_reads() {
        let mut arena = Arena::new(Arc::default());
        let mut reads = 0;
        while arena.has_room_to_read(0) {
            let len = arena.read_target().len();
            arena.read_done(len);
            reads += 1;
        }
        assert_eq!(reads, READ_AREA_BYTES / READ_BYTES_MAX);
        arena.reset();
        assert!(arena.has_room_to_read(0));
    }
}
