//! Bytes that wait for a socket which took no more.
//!
//! Filled at the end of turns, emptied by the connection's owner. Not here: how much may wait (`outbound`).

/// Written bytes that are kept in front of the others before those move up. Moving costs less than one copy per byte.
const WRITTEN_BYTES_KEPT: usize = 64 << 10;

/// See the module's documentation. Its memory is that of the bytes that wait, within a factor, also if it never becomes empty.
#[derive(Debug, Default)]
pub(crate) struct Output {
    bytes: Vec<u8>,
    written: usize,
}

impl Output {
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that wait.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.written
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// What is to be written next.
    pub(crate) fn waiting(&self) -> &[u8] {
        &self.bytes[self.written..]
    }

    /// The first `len` bytes of [`Output::waiting`] were written.
    pub(crate) fn advance(&mut self, len: usize) {
        self.written += len;
        debug_assert!(self.written <= self.bytes.len(), "no more is written than waits");
        if self.is_empty() {
            *self = Self::default();
        } else if self.written >= WRITTEN_BYTES_KEPT.max(self.len()) {
            self.bytes.drain(..self.written);
            self.written = 0;
        }
    }

    /// Takes out all that waits.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let mut all = std::mem::take(self);
        all.bytes.drain(..all.written);
        all.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(output.bytes.capacity() < 1 << 20, "{} bytes", output.bytes.capacity());
    }
}
