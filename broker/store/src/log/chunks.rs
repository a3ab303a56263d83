//! The chunks of the log, oldest first, and how much is alive in each.
//!
//! A living item counts in the chunk of its record; a delivery whose message is in another chunk
//! keeps that one, too.

use std::collections::VecDeque;

use super::page::Entry;

/// Estimated cost of a record's length, kind and numbers, in bytes, where they are not measured.
pub(crate) const SMALL_RECORD_BYTES: u32 = 16;

/// One chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChunkInfo {
    pub(crate) first_lsn: u64,
    /// Bytes of all chunks before it since the process began.
    start: u64,
    /// Bytes of its row's value.
    pub(crate) bytes: u64,
    /// Bytes of what is alive in it.
    pub(crate) live_bytes: u64,
    /// Living items whose record is in it.
    pub(crate) items: u32,
    /// Living deliveries elsewhere whose message is in it.
    pub(crate) bodies: u32,
}

impl ChunkInfo {
    /// Whether nobody needs it any more.
    pub(crate) fn is_dead(&self) -> bool {
        self.items == 0 && self.bodies == 0
    }
}

/// All of them.
#[derive(Debug, Default, Clone)]
pub(crate) struct Chunks {
    all: VecDeque<ChunkInfo>,
    /// Bytes of all chunks that there ever were.
    end: u64,
    total_bytes: u64,
    live_bytes: u64,
}

impl Chunks {
    pub(crate) fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    pub(crate) fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &ChunkInfo> {
        self.all.iter()
    }

    pub(crate) fn oldest(&self) -> Option<&ChunkInfo> {
        self.all.front()
    }

    /// A chunk begins with this record.
    pub(crate) fn begin(&mut self, first_lsn: u64) {
        let start = self.end;
        self.all.push_back(ChunkInfo { first_lsn, start, bytes: 0, live_bytes: 0, items: 0, bodies: 0 });
    }

    /// The newest chunk is complete and takes this many bytes.
    pub(crate) fn end(&mut self, bytes: usize) {
        if let Some(chunk) = self.all.back_mut() {
            chunk.bytes = bytes as u64;
            self.end += chunk.bytes;
            self.total_bytes += chunk.bytes;
        }
    }

    /// Forgets the oldest chunk, which is dead.
    pub(crate) fn drop_oldest(&mut self) {
        if let Some(chunk) = self.all.pop_front() {
            debug_assert!(chunk.is_dead());
            self.total_bytes -= chunk.bytes;
        }
    }

    /// Bytes of the chunks from the one that holds this record on.
    pub(crate) fn bytes_since(&self, lsn: u64) -> u64 {
        let place = self.place(lsn).unwrap_or(0);
        self.all.get(place).map_or(0, |chunk| self.end - chunk.start)
    }

    /// First record of the chunk that holds this one.
    pub(crate) fn first_lsn(&self, lsn: u64) -> Option<u64> {
        self.place(lsn).map(|place| self.all[place].first_lsn)
    }

    fn place(&self, lsn: u64) -> Option<usize> {
        // New records are in the newest chunk.
        if self.all.back().is_some_and(|newest| newest.first_lsn <= lsn) {
            return Some(self.all.len() - 1);
        }
        self.all.partition_point(|chunk| chunk.first_lsn <= lsn).checked_sub(1)
    }

    /// A delivery is alive from now on. False when the log has no such records.
    pub(crate) fn keep(&mut self, entry: &Entry) -> bool {
        let Some(place) = self.keep_record(entry.lsn, entry.bytes) else { return false };
        if entry.head >= self.all[place].first_lsn && entry.head <= entry.lsn {
            return true;
        }
        let Some(head) = self.place(entry.head) else { return false };
        if head != place {
            self.all[head].bodies += 1;
        }
        true
    }

    /// A delivery is done.
    pub(crate) fn release(&mut self, entry: &Entry) {
        let Some(place) = self.release_record(entry.lsn, entry.bytes) else { return };
        if let Some(head) = self.place(entry.head).filter(|head| *head != place) {
            self.all[head].bodies = self.all[head].bodies.saturating_sub(1);
        }
    }

    /// Something in a record is alive from now on; the place of its chunk.
    pub(crate) fn keep_record(&mut self, lsn: u64, bytes: u32) -> Option<usize> {
        let place = self.place(lsn)?;
        let chunk = &mut self.all[place];
        chunk.live_bytes += u64::from(bytes);
        chunk.items += 1;
        self.live_bytes += u64::from(bytes);
        Some(place)
    }

    /// It is done.
    pub(crate) fn release_record(&mut self, lsn: u64, bytes: u32) -> Option<usize> {
        let place = self.place(lsn)?;
        let chunk = &mut self.all[place];
        chunk.live_bytes = chunk.live_bytes.saturating_sub(u64::from(bytes));
        chunk.items = chunk.items.saturating_sub(1);
        self.live_bytes = self.live_bytes.saturating_sub(u64::from(bytes));
        Some(place)
    }
}
