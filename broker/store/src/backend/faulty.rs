//! A disk that does what a file says, for tests.

use std::io;
use std::ops::Bound;
use std::path::PathBuf;
use std::time::Duration;

use redb::{BackendError, StorageBackend};

use super::{AnyBackend, BackendFactory, delegate, delegate_locks};
use crate::fault::disk_state;

/// How often a disk that hangs looks whether it still does.
const HANG_PAUSE: Duration = Duration::from_millis(2);

/// Puts a disk under the store that does what a file says, if `LOTMQ_STORE_FAULT` wants it.
///
/// The file is read at every call. It says `full`, `read-only`, `write-eio`, `sync-eio`, `hang`, or
/// `kept-eio` for `kept`; all is well with anything else, or without it.
pub(super) fn disk(factory: BackendFactory) -> BackendFactory {
    let Some(state) = disk_state() else { return factory };
    Box::new(move || Ok(Box::new(Disk(AnyBackend(factory()?), state.clone()))))
}

#[derive(Debug)]
struct Disk(AnyBackend, PathBuf);

impl Disk {
    fn state(&self) -> String {
        std::fs::read_to_string(&self.1).unwrap_or_default().trim().to_owned()
    }

    fn before_write(&self) -> io::Result<()> {
        match self.state().as_str() {
            "full" => Err(io::ErrorKind::StorageFull.into()),
            "read-only" => Err(io::ErrorKind::ReadOnlyFilesystem.into()),
            "write-eio" => Err(rustix::io::Errno::IO.into()),
            _ => Ok(()),
        }
    }
}

impl StorageBackend for Disk {
    delegate! {
        len() -> io::Result<u64>;
        read(offset: u64, out: &mut [u8]) -> io::Result<()>;
        close() -> io::Result<()>;
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.before_write()?;
        self.0.set_len(len)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.before_write()?;
        self.0.write(offset, data)
    }

    fn sync_data(&self) -> io::Result<()> {
        while self.state() == "hang" {
            std::thread::sleep(HANG_PAUSE);
        }
        if self.state() == "sync-eio" {
            return Err(rustix::io::Errno::IO.into());
        }
        self.0.sync_data()
    }

    delegate_locks!();
}
