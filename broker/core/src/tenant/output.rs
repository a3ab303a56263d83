//! Output of a connection that its socket has not taken yet.
//!
//! Turns fill it at their end, and the connection's owner empties it. The bytes lie in chunks, so
//! that a buffer grows without being copied: hundreds of Clients that read nothing have theirs grow
//! in one turn. The rest of a large message is one piece of memory that all its receivers share.
//! Else one message of 16 MiB took gigabytes for a thousand of them. Not here: how much may wait
//! (`link`).

use std::collections::VecDeque;

use crate::arena::charge::Shared;

/// Largest chunk in bytes.
const CHUNK_BYTES: usize = 64 << 10;

/// Output that waits. Its memory is that of the waiting bytes, within a factor, also if it never
/// becomes empty.
///
/// Nothing waits for nearly all connections, nearly always, so then it has no memory.
#[derive(Debug, Default)]
pub struct Output(Option<Box<Waiting>>);

/// Bytes that wait. Invariant: the first of them lie in `first`.
#[derive(Debug, Default)]
struct Waiting {
    first: Chunk,
    /// Bytes of the first chunk that are written.
    written: usize,
    /// Chunks behind the first; most outputs have none.
    further: Option<Box<Further>>,
}

#[derive(Debug)]
enum Chunk {
    Own(Vec<u8>),
    /// Part of a message that others share.
    Shared(Shared),
}

impl Default for Chunk {
    fn default() -> Self {
        Self::Own(Vec::new())
    }
}

impl Chunk {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Shared(shared) => &shared.bytes,
        }
    }

    /// Bytes that others may keep as well.
    fn shared_len(&self) -> usize {
        match self {
            Self::Own(_) => 0,
            Self::Shared(shared) => shared.bytes.len(),
        }
    }

    /// Buffer to which bytes may be added, and how many.
    fn room(&mut self) -> Option<(&mut Vec<u8>, usize)> {
        match self {
            Self::Own(bytes) => {
                let room = CHUNK_BYTES.saturating_sub(bytes.len());
                (room > 0).then_some((bytes, room))
            }
            Self::Shared(_) => None,
        }
    }
}

#[derive(Debug, Default)]
struct Further {
    chunks: VecDeque<Chunk>,
    /// Bytes of all chunks.
    bytes: usize,
    /// Bytes of all chunks that others may keep as well.
    shared: usize,
}

impl Further {
    fn append(&mut self, mut bytes: &[u8]) {
        self.bytes += bytes.len();
        while !bytes.is_empty() {
            let Some((last, room)) = self.chunks.back_mut().and_then(Chunk::room) else {
                self.chunks.push_back(Chunk::Own(Vec::with_capacity(bytes.len().min(CHUNK_BYTES))));
                continue;
            };
            let (now, later) = bytes.split_at(bytes.len().min(room));
            last.extend_from_slice(now);
            bytes = later;
        }
    }

    fn share(&mut self, shared: Shared) {
        self.bytes += shared.bytes.len();
        self.shared += shared.bytes.len();
        self.chunks.push_back(Chunk::Shared(shared));
    }
}

impl Output {
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Bytes that wait.
    pub(crate) fn len(&self) -> usize {
        let Some(waiting) = &self.0 else { return 0 };
        waiting.next().len() + waiting.further.as_ref().map_or(0, |further| further.bytes)
    }

    /// Bytes that wait in memory of its own; what others may keep as well is counted with that
    /// ([`Shared`]).
    pub(crate) fn own_len(&self) -> usize {
        let Some(waiting) = &self.0 else { return 0 };
        let further = waiting.further.as_ref().map_or(0, |further| further.bytes - further.shared);
        let first = if waiting.first.shared_len() == 0 { waiting.next().len() } else { 0 };
        first + further
    }

    /// Whether any of what waits is memory that others may keep as well.
    pub(crate) fn has_shared(&self) -> bool {
        self.len() > self.own_len()
    }

    /// Adds bytes at the end.
    pub fn append(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.0.get_or_insert_default().append(bytes);
        }
    }

    /// Adds bytes at the end that lie elsewhere already.
    pub(crate) fn share(&mut self, shared: Shared) {
        if shared.bytes.is_empty() {
            return;
        }
        shared.keep();
        match &mut self.0 {
            Some(waiting) => waiting.further.get_or_insert_default().share(shared),
            None => {
                self.0 = Some(Box::new(Waiting { first: Chunk::Shared(shared), ..Waiting::default() }));
            }
        }
    }

    /// Bytes to be written next; empty only when nothing waits.
    pub fn waiting(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |waiting| waiting.next())
    }

    /// Removes the first `len` bytes of [`Output::waiting`], which were written.
    pub fn advance(&mut self, len: usize) {
        let Some(waiting) = &mut self.0 else { return debug_assert_eq!(len, 0, "nothing waits") };
        if !waiting.advance(len) {
            self.0 = None;
        }
    }

    /// Takes all waiting bytes.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let Some(waiting) = self.0.take() else { return Vec::new() };
        let mut all = waiting.next().to_vec();
        for chunk in waiting.further.iter().flat_map(|further| &further.chunks) {
            all.extend_from_slice(chunk.bytes());
        }
        all
    }
}

impl Waiting {
    fn append(&mut self, bytes: &[u8]) {
        if self.further.is_none()
            && let Chunk::Own(first) = &mut self.first
            && (first.is_empty() || first.len() + bytes.len() <= CHUNK_BYTES)
        {
            let (now, later) = bytes.split_at(bytes.len().min(CHUNK_BYTES));
            first.extend_from_slice(now);
            if later.is_empty() {
                return;
            }
            return self.further.get_or_insert_default().append(later);
        }
        self.further.get_or_insert_default().append(bytes);
    }

    fn next(&self) -> &[u8] {
        &self.first.bytes()[self.written..]
    }

    /// Removes bytes of `next` that were written. False when no more wait.
    fn advance(&mut self, len: usize) -> bool {
        self.written += len;
        debug_assert!(self.written <= self.first.bytes().len(), "no more is written than waits");
        if self.written < self.first.bytes().len() {
            return true;
        }
        self.written = 0;
        let Some(further) = &mut self.further else { return false };
        self.first = further.chunks.pop_front().unwrap_or_default();
        further.bytes -= self.first.bytes().len();
        further.shared -= self.first.shared_len();
        if further.bytes == 0 {
            self.further = None;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;

    fn shared(bytes: Bytes) -> Shared {
        Shared::new(bytes, &Arc::default())
    }

    #[test]
    fn bytes_leave_in_the_order_in_which_they_came() {
        let mut output = Output::default();
        output.append(b"abc");
        output.advance(1);
        output.append(b"d");
        assert_eq!((output.waiting(), output.len()), (b"bcd".as_slice(), 3));
        assert_eq!(output.take(), b"bcd");
        assert!(output.is_empty());
    }

    #[test]
    fn a_buffer_that_never_becomes_empty_does_not_grow() {
        let mut output = Output::default();
        let chunk: Vec<u8> = (0..=250).cycle().take(10_000).collect();
        output.append(&chunk);
        for round in 0..10_000 {
            output.append(&chunk);
            assert_eq!(output.waiting()[..100], chunk[..100], "round {round}");
            output.advance(chunk.len());
        }
        assert_eq!(output.len(), chunk.len());
        let waiting = output.0.unwrap();
        let capacity = |chunk: &Chunk| match chunk {
            Chunk::Own(bytes) => bytes.capacity(),
            Chunk::Shared(shared) => shared.bytes.len(),
        };
        let further = waiting.further.map_or(0, |further| further.chunks.iter().map(capacity).sum());
        assert!(capacity(&waiting.first) + further < 1 << 20, "{further} bytes");
    }

    #[test]
    fn shared_bytes_keep_their_place_among_the_others() {
        let message = Bytes::from(vec![7; 3 * CHUNK_BYTES]);
        let mut output = Output::default();
        output.share(shared(message.slice(CHUNK_BYTES..)));
        output.append(b"abc");
        output.share(shared(message.slice(..5)));
        output.share(shared(Bytes::new()));
        output.append(b"d");
        let all = [&message[CHUNK_BYTES..], b"abc", &message[..5], b"d"].concat();
        assert_eq!(output.waiting().as_ptr(), message[CHUNK_BYTES..].as_ptr(), "not copied");
        let mut out = Vec::new();
        while !output.is_empty() {
            assert_eq!(output.len(), all.len() - out.len());
            let len = output.waiting().len().min(50_000);
            out.extend_from_slice(&output.waiting()[..len]);
            output.advance(len);
        }
        assert!(out == all);
        output.share(shared(message.slice(..9)));
        output.append(b"e");
        assert_eq!(output.take(), [&message[..9], b"e"].concat());
    }

    #[test]
    fn shared_bytes_do_not_count_as_own_output() {
        let message = Bytes::from(vec![7; 9_000]);
        let mut output = Output::default();
        output.append(b"head");
        output.share(shared(message.clone()));
        output.share(shared(message.slice(..100)));
        output.append(b"tail");
        assert_eq!((output.len(), output.own_len()), (9_108, 8));
        output.advance(4);
        output.advance(8_000);
        assert_eq!((output.len(), output.own_len()), (1_104, 4));
        output.advance(1_000);
        output.advance(100);
        assert_eq!((output.len(), output.own_len()), (4, 4));
        output.advance(3);
        assert_eq!((output.len(), output.own_len()), (1, 1));
    }

    #[test]
    fn long_output_keeps_its_bytes_and_order() {
        let all: Vec<u8> = (0..=250).cycle().take(5 * CHUNK_BYTES + 77).collect();
        for step in [all.len(), CHUNK_BYTES, CHUNK_BYTES - 1, 10_001, 100] {
            let mut output = Output::default();
            all.chunks(step).for_each(|part| output.append(part));
            assert_eq!(output.len(), all.len());
            let (mut out, mut next) = (Vec::new(), 1);
            while !output.is_empty() {
                let len = output.waiting().len().min(next);
                out.extend_from_slice(&output.waiting()[..len]);
                output.advance(len);
                assert_eq!(output.len(), all.len() - out.len());
                if out.len() > all.len() / 2 {
                    out.extend(output.take());
                }
                next += 4_999;
            }
            assert!(out == all && output.0.is_none(), "in steps of {step}");
        }
    }
}
