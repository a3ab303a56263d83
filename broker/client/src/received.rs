//! Bytes that came and that nobody has taken yet.

/// Bytes on their way from one layer to the next; taking them from the front moves none of the
/// others.
#[derive(Debug, Default)]
pub(crate) struct Received {
    bytes: Vec<u8>,
    /// How many of them were taken.
    taken: usize,
}

impl Received {
    /// The bytes that wait.
    pub(crate) fn waiting(&self) -> &[u8] {
        self.bytes.get(self.taken..).unwrap_or_default()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting().is_empty()
    }

    /// Adds bytes behind those that wait.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..std::mem::take(&mut self.taken));
        self.bytes.extend_from_slice(bytes);
    }

    /// Puts bytes before those that wait.
    pub(crate) fn put_back(&mut self, bytes: &[u8]) {
        self.bytes.splice(..std::mem::take(&mut self.taken), bytes.iter().copied());
    }

    /// Removes the first `len` bytes, which were used.
    pub(crate) fn consume(&mut self, len: usize) {
        self.taken += len;
        if self.is_empty() {
            self.bytes.clear();
            self.taken = 0;
        }
    }

    /// Moves as many bytes into `target` as there are and as it holds.
    pub(crate) fn take(&mut self, target: &mut [u8]) -> usize {
        let waiting = self.waiting();
        let len = waiting.len().min(target.len());
        let (Some(from), Some(to)) = (waiting.get(..len), target.get_mut(..len)) else { return 0 };
        to.copy_from_slice(from);
        self.consume(len);
        len
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_leave_in_their_order() {
        let mut received = Received::default();
        received.push(b"bcde");
        received.put_back(b"a");
        let mut two = [0; 2];
        assert_eq!((received.take(&mut two), &two), (2, b"ab"));
        received.push(b"f");
        received.put_back(&two);
        received.consume(2);
        assert_eq!(received.waiting(), b"cdef");
        received.consume(1);
        received.put_back(b"_");
        assert_eq!((received.take(&mut [0; 9]), received.is_empty()), (4, true));
    }
}
