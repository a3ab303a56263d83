//! A batch as guests get it: `wit/guest/unstable-batches.wit` and `unstable-route-batches.wit`.

/// Lists of a batch on its way into a guest. Each part has its length among the numbers, and its
/// bytes behind those of the parts before.
#[derive(Debug, Default)]
pub(crate) struct BatchLists {
    numbers: Vec<u32>,
    bytes: Vec<u8>,
}

impl BatchLists {
    /// Empty lists with room for so much.
    pub(crate) fn with_capacity(numbers: usize, bytes: usize) -> Self {
        BatchLists { numbers: Vec::with_capacity(numbers), bytes: Vec::with_capacity(bytes) }
    }

    /// Clears the lists and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.numbers.clear();
        self.bytes.clear();
    }

    /// Adds a number.
    pub(crate) fn number(&mut self, number: u32) {
        self.numbers.push(number);
    }

    /// Adds the length of a list.
    pub(crate) fn length(&mut self, length: usize) {
        self.numbers.push(u32::try_from(length).expect("what is handed to a guest has less than 4 GiB"));
    }

    /// Adds a number of 64 bits.
    pub(crate) fn wide(&mut self, number: u64) {
        let [a, b, c, d, e, f, g, h] = number.to_le_bytes();
        self.numbers.extend([u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h])]);
    }

    /// Adds the bytes of something whose length is there.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Adds something with its length.
    pub(crate) fn part(&mut self, part: &[u8]) {
        self.length(part.len());
        self.bytes(part);
    }

    /// How many numbers there are.
    pub(crate) fn numbers_len(&self) -> usize {
        self.numbers.len()
    }

    /// How many bytes there are.
    pub(crate) fn bytes_len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn as_slices(&self) -> (&[u32], &[u8]) {
        (&self.numbers, &self.bytes)
    }
}
