//! Texts that grow in a loop, by `{s} + "x"` and `APPEND({list}, x)`. An addition is written in
//! place after the existing text; copies would take memory that grows with the square of the
//! passes.
//!
//! Invariant: no text changes once it is handed out. A longer text begins with the shorter one, and
//! only the longest text of a buffer grows in place. An extension of a shorter text gets a copy.

#![allow(unsafe_code, reason = "texts that share their beginning")]

use std::cell::RefCell;

use crate::value::keep;

/// Shortest text, in bytes, that grows in place. A copy of a shorter one costs less than the search
/// for its buffer.
pub const BYTES_MIN: usize = 256;

/// Texts that may grow by turns.
const BUFFERS: usize = 8;

/// Memory of which the first `length` bytes are handed out.
#[derive(Clone, Copy)]
struct Buffer {
    start: *mut u8,
    length: usize,
    capacity: usize,
}

struct Buffers {
    all: [Buffer; BUFFERS],
    /// The one whose place the next one takes.
    oldest: usize,
}

const NONE: Buffer = Buffer { start: std::ptr::null_mut(), length: 0, capacity: 0 };

thread_local! {
    static GROWING: RefCell<Buffers> = const { RefCell::new(Buffers { all: [NONE; BUFFERS], oldest: 0 }) };
}

/// A text with more behind it.
pub fn longer(text: &'static str, more: &str) -> &'static str {
    if text.len() < BYTES_MIN {
        let mut out = String::with_capacity(text.len() + more.len());
        out.push_str(text);
        out.push_str(more);
        return keep(out);
    }
    GROWING.with_borrow_mut(|buffers| buffers.longer(text, more))
}

/// Forgets texts of the run, whose memory is about to be used again.
pub fn forget() {
    GROWING.with_borrow_mut(|buffers| {
        if buffers.all.iter().any(|buffer| buffer.length > 0) {
            *buffers = Buffers { all: [NONE; BUFFERS], oldest: 0 };
        }
    });
}

impl Buffers {
    fn longer(&mut self, text: &'static str, more: &str) -> &'static str {
        let found = self
            .all
            .iter()
            .position(|buffer| std::ptr::eq(buffer.start, text.as_ptr()) && buffer.length == text.len());
        let length = text.len() + more.len();
        let index = match found {
            Some(index) if self.all[index].capacity >= length => index,
            // It has grown before, so it is given room for as much again.
            Some(index) => {
                self.all[index] =
                    Buffer::copy(text, length.saturating_mul(2)).unwrap_or_else(|| Buffer::of(text, length));
                index
            }
            None => {
                let index = self.oldest;
                self.oldest = (index + 1) % BUFFERS;
                self.all[index] = Buffer::of(text, length);
                index
            }
        };
        self.all[index].push(more)
    }
}

impl Buffer {
    /// A copy of a text with room for so many bytes.
    fn of(text: &str, capacity: usize) -> Self {
        Self::with(text, Vec::with_capacity(capacity))
    }

    /// The same, if there is so much memory.
    fn copy(text: &str, capacity: usize) -> Option<Self> {
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(capacity).ok()?;
        Some(Self::with(text, bytes))
    }

    fn with(text: &str, mut bytes: Vec<u8>) -> Self {
        bytes.extend_from_slice(text.as_bytes());
        // Given back with the memory of the run.
        let mut bytes = std::mem::ManuallyDrop::new(bytes);
        Self { start: bytes.as_mut_ptr(), length: bytes.len(), capacity: bytes.capacity() }
    }

    /// Writes behind what is there, for which there is room, and hands out all of it.
    fn push(&mut self, more: &str) -> &'static str {
        debug_assert!(self.length + more.len() <= self.capacity);
        // SAFETY: `start` is a block of `capacity` bytes that exists until the run ends. The
        // written range lies after all bytes that were handed out, and cannot overlap `more`, which
        // was handed out. The bytes are two texts in sequence, so they are UTF-8.
        unsafe {
            self.start.add(self.length).copy_from_nonoverlapping(more.as_ptr(), more.len());
            self.length += more.len();
            std::str::from_utf8_unchecked(std::slice::from_raw_parts(self.start, self.length))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_grows_is_not_copied_and_its_beginnings_stay() {
        let mut texts = vec![longer("", &"x".repeat(BYTES_MIN))];
        for number in 0..2000 {
            let next = longer(texts[number], &format!("<{number}é>"));
            texts.push(next);
        }
        let copies: std::collections::HashSet<_> = texts.iter().map(|text| text.as_ptr()).collect();
        assert!(copies.len() < 12, "{} blocks for {} bytes", copies.len(), texts[2000].len());
        let mut expected = "x".repeat(BYTES_MIN);
        for (number, text) in texts.iter().enumerate() {
            assert_eq!(*text, expected);
            expected.push_str(&format!("<{number}é>"));
        }
    }

    #[test]
    fn what_is_made_of_a_shorter_one_is_a_copy() {
        let base = longer("", &"x".repeat(BYTES_MIN));
        let [a, b] = [longer(base, "a"), longer(base, "b")];
        let (aa, bb) = (longer(a, "a"), longer(b, "b"));
        let ac = longer(a, "c");
        forget();
        let ad = longer(aa, "d");
        for (text, end) in [(a, "a"), (b, "b"), (aa, "aa"), (bb, "bb"), (ac, "ac"), (ad, "aad")] {
            assert_eq!(text, format!("{base}{end}"));
        }
    }

    #[test]
    fn texts_grow_by_turns() {
        let mut texts = [0; BUFFERS].map(|_| longer("", &"x".repeat(BYTES_MIN)));
        let mut blocks = std::collections::HashSet::new();
        for _ in 0..1000 {
            for text in &mut texts {
                *text = longer(text, "y");
                blocks.insert(text.as_ptr());
            }
        }
        assert!(texts.iter().all(|text| text.len() == BYTES_MIN + 1000));
        assert!(blocks.len() < 10 * BUFFERS, "{}", blocks.len());
    }
}
