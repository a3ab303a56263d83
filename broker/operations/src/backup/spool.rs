//! Spool file without a name, for a backup that is being made: nobody else can open it, and nothing
//! of it is left when it is closed or the process ends.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::limits::BACKUP_FREE_BYTES_MIN;

/// Bytes written between two looks at the free space.
const LOOK_EVERY: u64 = 4 << 20;

/// Spool file. A write fails when less than [`BACKUP_FREE_BYTES_MIN`] would be left free, so that
/// the store can go on.
pub(crate) struct Spool {
    file: File,
    directory: PathBuf,
    /// Bytes written since the last look at the free space.
    unseen: u64,
}

impl Spool {
    pub(crate) fn new(directory: &Path) -> io::Result<Self> {
        let path = directory.join(format!("lotmq-backup-{}.part", std::process::id()));
        // One that a crash has left before it lost its name.
        let _ = std::fs::remove_file(&path);
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        std::fs::remove_file(&path)?;
        Ok(Self { file, directory: directory.to_owned(), unseen: LOOK_EVERY })
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.unseen >= LOOK_EVERY {
            self.unseen = 0;
            let free = lotmq_store::free_bytes(&self.directory).unwrap_or(u64::MAX);
            if free < BACKUP_FREE_BYTES_MIN {
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
        }
        let len = self.file.write(bytes)?;
        self.unseen += len as u64;
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Read for Spool {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.file.read(into)
    }
}

impl Seek for Spool {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}
