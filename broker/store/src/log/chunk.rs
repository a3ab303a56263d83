//! Chunks: records packed into values that fit redb's pages, each with its own checksum.
//!
//! A chunk is `version u8, crc32c u32, count u16, next message id u64, records`. The checksum
//! covers the number of the first record and everything behind the checksum. The newest chunk is
//! never dropped, so the next message id survives an empty log.

use lotmq_changes::encoding::{Decoder, Malformed, NUMBER_MAX};
use lotmq_changes::record::{Frames, frames};

use crate::limits::{CHUNK_BYTES_MAX, chunk_class};

const VERSION: u8 = 1;
pub(crate) const HEADER_BYTES: usize = 15;
/// In front of each record.
const FRAME_LENGTH_BYTES: usize = 2;

/// A chunk being filled.
#[derive(Debug)]
pub(crate) struct ChunkBuilder {
    /// Number of its first record.
    pub(crate) lsn: u64,
    bytes: Vec<u8>,
    capacity: usize,
    count: u16,
}

impl ChunkBuilder {
    /// A chunk for `first_frame` bytes now and `remaining` bytes in all: the largest size that will
    /// be full, at least one that holds the first record.
    pub(crate) fn new(lsn: u64, first_frame: usize, remaining: usize) -> Self {
        let needed = HEADER_BYTES + first_frame;
        let wanted = HEADER_BYTES + remaining;
        let capacity = (0..=4)
            .rev()
            .map(chunk_class)
            .find(|class| *class <= wanted)
            .filter(|class| *class >= needed)
            .or_else(|| (0..=4).map(chunk_class).find(|class| *class >= needed))
            .unwrap_or(CHUNK_BYTES_MAX);
        let mut bytes = Vec::with_capacity(capacity.min(wanted.max(needed)));
        bytes.resize(HEADER_BYTES, 0);
        Self { lsn, bytes, capacity, count: 0 }
    }

    /// Whether another record of this many bytes, without its length, fits.
    pub(crate) fn fits(&self, frame: usize) -> bool {
        self.count < u16::MAX && self.bytes.len() + FRAME_LENGTH_BYTES + frame <= self.capacity
    }

    pub(crate) fn push(&mut self, frame: &[u8]) {
        self.bytes.extend_from_slice(&(frame.len() as u16).to_be_bytes());
        self.bytes.extend_from_slice(frame);
        self.count += 1;
    }

    /// Fills in the header and returns the value.
    pub(crate) fn finish(mut self, next_message_id: u64) -> Vec<u8> {
        self.bytes[0] = VERSION;
        self.bytes[5..7].copy_from_slice(&self.count.to_be_bytes());
        self.bytes[7..15].copy_from_slice(&next_message_id.to_be_bytes());
        let crc = checksum(self.lsn, &self.bytes);
        self.bytes[1..5].copy_from_slice(&crc.to_be_bytes());
        self.bytes
    }
}

/// A chunk, checked.
#[derive(Debug)]
pub(crate) struct Chunk<'a> {
    pub(crate) count: u16,
    pub(crate) next_message_id: u64,
    records: &'a [u8],
}

impl<'a> Chunk<'a> {
    /// Checks the value of the row `lsn`; the error says what is wrong with it.
    pub(crate) fn decode(lsn: u64, value: &'a [u8]) -> Result<Self, &'static str> {
        let mut decoder = Decoder::new(value, "chunk");
        let d = &mut decoder;
        let (Ok(version), Ok(crc), Ok(count), Ok(next_message_id)) = (d.u8(), d.u32(), d.u16(), d.u64())
        else {
            return Err("too short");
        };
        if checksum(lsn, value) != crc {
            return Err("checksum does not match");
        }
        if version != VERSION {
            return Err("chunk version unknown");
        }
        if next_message_id > NUMBER_MAX {
            return Err("message number too large");
        }
        Ok(Self { count, next_message_id, records: d.rest() })
    }

    pub(crate) fn frames(&self) -> Frames<'a> {
        frames(self.records)
    }

    /// The record at this place of a value that has been decoded before, and where the next one
    /// begins; the first begins at [`HEADER_BYTES`].
    pub(crate) fn record_at(value: &'a [u8], place: usize) -> Option<Result<(&'a [u8], usize), Malformed>> {
        let frame = frames(value.get(place..)?).next()?;
        Some(frame.map(|frame| (frame, place + FRAME_LENGTH_BYTES + frame.len())))
    }

    /// How many records such a value has.
    pub(crate) fn count(value: &[u8]) -> u16 {
        value.get(5..7).and_then(|bytes| bytes.try_into().ok()).map_or(0, u16::from_be_bytes)
    }
}

/// Covers the row's key, the version and all behind the checksum. `value` holds at least the
/// header.
fn checksum(lsn: u64, value: &[u8]) -> u32 {
    let crc = crc32c::crc32c(&lsn.to_be_bytes());
    let (head, rest) = value.split_at(5);
    crc32c::crc32c_append(crc32c::crc32c_append(crc, &head[..1]), rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_size_is_the_largest_that_will_be_full() {
        for (first, remaining, expected) in [
            (100, 100, 4080),
            (100, 5_000, 4080),
            (100, 8_200, 8176),
            (5_000, 5_000, 8176),
            (100, 1_000_000, 65_520),
            (53_000, 53_000, 65_520),
        ] {
            assert_eq!(ChunkBuilder::new(1, first, remaining).capacity, expected, "{first} of {remaining}");
        }
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let mut builder = ChunkBuilder::new(7, 20, 20);
        builder.push(b"record");
        let value = builder.finish(9);
        assert_eq!(Chunk::decode(7, &value).unwrap().next_message_id, 9);
        assert!(Chunk::decode(8, &value).is_err());
        for bit in 0..value.len() * 8 {
            let mut damaged = value.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Chunk::decode(7, &damaged).is_err(), "bit {bit}");
        }
    }
}
