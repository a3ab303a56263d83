//! A file of which nothing is changed until everything in it has proved to be readable.
//!
//! redb writes as soon as it opens a file: that it is in use, and what a repair has found. On a
//! damaged one that would make things worse, as the next open would refuse what this one could
//! still read. So the writes of an open stay in memory; [`Pending::settle`] does them, in their
//! order and with their syncs, when all is well. Without it the file is as it was.
//!
//! Invariant: until it is settled the file is only read. Not here: what is well (`load`).

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use redb::{BackendError, StorageBackend};

use crate::backend::AnyBackend;

/// Unit in which changed bytes are remembered.
const BLOCK_BYTES: usize = 4096;

/// Copy-on-write layer over a file.
#[derive(Debug, Clone)]
pub(crate) struct Overlay(Arc<Pending>);

/// The writes that wait.
#[derive(Debug)]
pub(crate) struct Pending {
    file: AnyBackend,
    /// Its length, which does not change while anything waits.
    file_len: u64,
    /// Nothing waits any more: all goes to the file.
    is_settled: AtomicBool,
    changes: Mutex<Changes>,
}

#[derive(Debug, Default)]
struct Changes {
    calls: Vec<Call>,
    /// The changed blocks as they are now.
    blocks: HashMap<u64, Box<[u8]>>,
    /// The length, once it was set.
    len: Option<u64>,
}

#[derive(Debug)]
enum Call {
    Write(u64, Vec<u8>),
    SetLen(u64),
    Sync,
}

impl Overlay {
    /// Lays itself over a file; the second is to settle it with.
    pub(crate) fn over(file: AnyBackend) -> io::Result<(Self, Arc<Pending>)> {
        let file_len = file.len()?;
        let (is_settled, changes) = (AtomicBool::new(false), Mutex::default());
        let pending = Arc::new(Pending { file, file_len, is_settled, changes });
        Ok((Self(Arc::clone(&pending)), pending))
    }
}

impl Pending {
    /// Does what waits, and lets all that follows through. Nobody else may use the database
    /// meanwhile.
    ///
    /// # Errors
    /// Those of the file; some of it may be done then, as after a crash in the midst of it.
    pub(crate) fn settle(&self) -> io::Result<()> {
        let mut changes = self.changes.lock();
        for call in std::mem::take(&mut changes.calls) {
            match call {
                Call::Write(offset, data) => self.file.write(offset, &data)?,
                Call::SetLen(len) => self.file.set_len(len)?,
                Call::Sync => self.file.sync_data()?,
            }
        }
        changes.blocks = HashMap::new();
        self.is_settled.store(true, Ordering::Release);
        Ok(())
    }

    fn is_settled(&self) -> bool {
        self.is_settled.load(Ordering::Acquire)
    }

    /// The length as the database sees it.
    fn len(&self, changes: &Changes) -> u64 {
        changes.len.unwrap_or(self.file_len)
    }

    /// A block as it is in the file; zero where that ends.
    fn block(&self, number: u64) -> io::Result<Box<[u8]>> {
        let mut block = vec![0; BLOCK_BYTES].into_boxed_slice();
        let start = number * BLOCK_BYTES as u64;
        let there = self.file_len.saturating_sub(start);
        let there = usize::try_from(there).unwrap_or(usize::MAX).min(BLOCK_BYTES);
        if there > 0 {
            self.file.read(start, &mut block[..there])?;
        }
        Ok(block)
    }
}

/// The blocks that a range touches: number, where in the block, where in the range.
fn pieces(
    offset: u64,
    len: usize,
) -> impl Iterator<Item = (u64, std::ops::Range<usize>, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        (done < len).then(|| {
            let at = offset + done as u64;
            let within = (at % BLOCK_BYTES as u64) as usize;
            let count = (BLOCK_BYTES - within).min(len - done);
            let piece = (at / BLOCK_BYTES as u64, within..within + count, done..done + count);
            done += count;
            piece
        })
    })
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        if self.0.is_settled() { self.0.file.len() } else { Ok(self.0.len(&self.0.changes.lock())) }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if self.0.is_settled() {
            return self.0.file.read(offset, out);
        }
        let changes = self.0.changes.lock();
        let end = offset.saturating_add(out.len() as u64);
        if end > self.0.len(&changes) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let is_changed = pieces(offset, out.len()).any(|(number, ..)| changes.blocks.contains_key(&number));
        if !is_changed && end <= self.0.file_len {
            return self.0.file.read(offset, out);
        }
        for (number, within, place) in pieces(offset, out.len()) {
            match changes.blocks.get(&number) {
                Some(block) => out[place].copy_from_slice(&block[within]),
                None => out[place].copy_from_slice(&self.0.block(number)?[within]),
            }
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if self.0.is_settled() {
            return self.0.file.set_len(len);
        }
        let mut changes = self.0.changes.lock();
        changes.len = Some(len);
        changes.calls.push(Call::SetLen(len));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.0.is_settled() {
            return self.0.file.sync_data();
        }
        self.0.changes.lock().calls.push(Call::Sync);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if self.0.is_settled() {
            return self.0.file.write(offset, data);
        }
        let mut changes = self.0.changes.lock();
        for (number, within, place) in pieces(offset, data.len()) {
            let block = match changes.blocks.entry(number) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(free) => free.insert(self.0.block(number)?),
            };
            block[within].copy_from_slice(&data[place]);
        }
        changes.calls.push(Call::Write(offset, data.to_vec()));
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.0.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.file.query_lock_range(start, end)
    }
}
