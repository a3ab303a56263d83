//! Storage that writes lost data again after a failed sync, before anything else is changed.
//!
//! After a failed sync, systems forget: they treat unwritten pages as written, reads show these
//! pages, and the next sync reports success. The database would build on them, and overwrite pages
//! that it considers replaced. A power cut then costs the whole file. So this storage remembers the
//! places written since the last good sync. Before the next change it writes them once more, as
//! reads show them, and syncs.
//!
//! A process that is killed before that loses its memory of them, but the system's cache survives
//! the process. So a failed sync leaves a [`Note`]: the next process that finds it writes the whole
//! file again first. Without a note, the first sync of a process covers the whole file as well:
//! systems report an error of a background write to the next process that syncs.
//!
//! Invariant: no sync is good while something is forgotten. Not here: what the failure means
//! (`writer`).

use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use redb::{BackendError, StorageBackend};

use super::{AnyBackend, BackendFactory, delegate, delegate_locks};
use crate::limits::UNSYNCED_PLACES_MAX;

/// Name of the file that says that a sync has failed.
const NOTE_FILE: &str = "lotmq.unsynced";

/// Bytes that are written again in one piece.
const PIECE_BYTES: u64 = 1024 * 1024;

/// Sign for the next process that a sync has failed and what it was for was not written again. It
/// has to last as long as the system's cache does: the power may take both.
pub trait Note: Send + Sync + fmt::Debug {
    /// Whether somebody has left it.
    fn is_there(&self) -> bool;

    /// Leaves it, or takes it away.
    ///
    /// # Errors
    /// When that is not possible.
    fn set(&self, is_there: bool) -> io::Result<()>;
}

/// A file in the data directory.
#[derive(Debug)]
pub(crate) struct NoteFile(PathBuf);

impl NoteFile {
    pub(crate) fn within(directory: &Path) -> Self {
        Self(directory.join(NOTE_FILE))
    }
}

impl Note for NoteFile {
    fn is_there(&self) -> bool {
        self.0.exists()
    }

    fn set(&self, is_there: bool) -> io::Result<()> {
        if is_there {
            return File::create(&self.0).map(drop);
        }
        match std::fs::remove_file(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

/// Note of a storage that no later process opens.
#[derive(Debug)]
pub struct NoNote;

impl Note for NoNote {
    fn is_there(&self) -> bool {
        false
    }

    fn set(&self, _: bool) -> io::Result<()> {
        Ok(())
    }
}

/// Makes a factory whose storage, however often it is opened, remembers what a sync has failed for.
pub(crate) fn resynced(factory: BackendFactory, note: Box<dyn Note>) -> BackendFactory {
    let unsynced = Unsynced { places: vec![(0, u64::MAX)], has_failed: note.is_there(), note };
    let unsynced = Arc::new(Mutex::new(unsynced));
    Box::new(move || {
        let storage = AnyBackend(factory()?);
        Ok(Box::new(Resynced(storage, Arc::clone(&unsynced))))
    })
}

/// Places that were written since the last good sync.
#[derive(Debug)]
struct Unsynced {
    /// First byte and end of each; all there is until the first sync.
    places: Vec<(u64, u64)>,
    /// A sync has failed since.
    has_failed: bool,
    note: Box<dyn Note>,
}

impl Unsynced {
    fn add(&mut self, first: u64, end: u64) {
        match self.places.last_mut() {
            Some(last) if last.1 == first => last.1 = end,
            Some(_) | None => self.places.push((first, end)),
        }
        if self.places.len() >= UNSYNCED_PLACES_MAX {
            let all = self.places.drain(..).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
            self.places.extend(all);
        }
    }

    fn is_synced(&mut self) {
        self.places.clear();
        if std::mem::take(&mut self.has_failed)
            && let Err(error) = self.note.set(false)
        {
            // It costs the next start that all is written again.
            tracing::warn!(%error, "the note of a failed sync cannot be removed");
        }
    }

    fn is_not_synced(&mut self) {
        if !std::mem::replace(&mut self.has_failed, true)
            && let Err(error) = self.note.set(true)
        {
            tracing::error!(%error, "a failed sync cannot be noted for the next process");
        }
    }
}

#[derive(Debug)]
struct Resynced(AnyBackend, Arc<Mutex<Unsynced>>);

impl Resynced {
    /// Writes again what a failed sync may have forgotten.
    fn make_good(&self, unsynced: &mut Unsynced) -> io::Result<()> {
        if !unsynced.has_failed {
            return Ok(());
        }
        let len = self.0.len()?;
        let mut places = unsynced.places.clone();
        places.sort_unstable();
        let mut done = 0;
        for (first, end) in places {
            let (mut at, end) = (first.max(done), end.min(len));
            while at < end {
                let count = (end - at).min(PIECE_BYTES);
                let mut piece = vec![0; usize::try_from(count).unwrap_or_default()];
                self.0.read(at, &mut piece)?;
                self.0.write(at, &piece)?;
                at += count;
            }
            done = done.max(end);
        }
        self.0.sync_data()?;
        tracing::warn!("what a failed sync may have forgotten was written again");
        unsynced.is_synced();
        Ok(())
    }
}

impl StorageBackend for Resynced {
    delegate! {
        len() -> io::Result<u64>;
        read(offset: u64, out: &mut [u8]) -> io::Result<()>;
        close() -> io::Result<()>;
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.make_good(&mut self.1.lock())?;
        self.0.set_len(len)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut unsynced = self.1.lock();
        self.make_good(&mut unsynced)?;
        unsynced.add(offset, offset.saturating_add(data.len() as u64));
        self.0.write(offset, data)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut unsynced = self.1.lock();
        self.make_good(&mut unsynced)?;
        match self.0.sync_data() {
            Ok(()) => {
                unsynced.is_synced();
                Ok(())
            }
            Err(error) => {
                unsynced.is_not_synced();
                Err(error)
            }
        }
    }

    delegate_locks!();
}
