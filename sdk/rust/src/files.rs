//! Files in the folders of the route's definition, as readers and writers of the standard library.
//!
//! ```ignore
//! use lotmq_guest::route::files::Folder;
//! use std::io::Write as _;
//!
//! let logs = Folder::named("log"); // STORAGE_DIR of LOG_CONFIG
//! let mut today = logs.append("2026-11-23.log")?;
//! today.write_all(b"one line\n")?;
//! today.sync()?; // Its bytes are on the disk,
//! logs.sync("")?; // and its name.
//! ```
//!
//! The guest needs the grants `file-read:` and `file-write:` of the folder, as in its
//! `STORAGE_DIR`. Calls suspend the guest while the disk works.

use super::host::files::{self, Listing};
pub use super::host::files::{FileError, FileKind, FolderEntry, Metadata, OpenMode};
use std::io;

/// Most names that the host returns per call.
const NAMES_PER_CALL: u32 = 256;

/// A folder that the route's definition names.
#[derive(Clone, Debug)]
pub struct Folder {
    name: String,
}

impl Folder {
    /// Returns the folder of a section, by its name in lower case and without `_CONFIG`. The first
    /// use reports a missing folder.
    pub fn named(section: &str) -> Folder {
        Folder { name: section.to_owned() }
    }

    /// Opens a file that is there, to read it.
    pub fn open(&self, path: &str) -> Result<File, FileError> {
        self.open_as(path, OpenMode::Read)
    }

    /// Opens a file to write it; made if it is not there.
    pub fn write(&self, path: &str) -> Result<File, FileError> {
        self.open_as(path, OpenMode::Write)
    }

    /// Opens a file to write at its end. Creates it if it is missing.
    pub fn append(&self, path: &str) -> Result<File, FileError> {
        self.open_as(path, OpenMode::Append)
    }

    /// Makes a file, which must not be there, to write it.
    pub fn create(&self, path: &str) -> Result<File, FileError> {
        self.open_as(path, OpenMode::Create)
    }

    fn open_as(&self, path: &str, mode: OpenMode) -> Result<File, FileError> {
        Ok(File { file: files::File::open(&self.name, path, mode)?, position: 0 })
    }

    /// Lists the names in a subfolder; the empty path is the folder itself. The names arrive in
    /// parts, on demand.
    pub fn list(&self, path: &str) -> Result<FolderNames, FileError> {
        let listing = Listing::open(&self.name, path)?;
        Ok(FolderNames { listing, part: Vec::new().into_iter(), is_over: false })
    }

    /// Returns the metadata of a path.
    pub fn stat(&self, path: &str) -> Result<Metadata, FileError> {
        files::stat(&self.name, path)
    }

    /// Gives a file or folder another path; a file that has it is replaced.
    pub fn rename(&self, path: &str, to: &str) -> Result<(), FileError> {
        files::rename(&self.name, path, to)
    }

    /// Removes a file or an empty folder.
    pub fn remove(&self, path: &str) -> Result<(), FileError> {
        files::remove(&self.name, path)
    }

    /// Makes a folder in one that is there.
    pub fn make_folder(&self, path: &str) -> Result<(), FileError> {
        files::make_folder(&self.name, path)
    }

    /// Waits until the names in a subfolder are on the disk; the empty path is the folder itself.
    pub fn sync(&self, path: &str) -> Result<(), FileError> {
        files::sync_folder(&self.name, path)
    }
}

/// Open file with a position for the next read or write.
///
/// Each read and write is a call of the host of at most 64 KiB. For small ones use an
/// [`io::BufReader`] or [`io::BufWriter`].
#[derive(Debug)]
pub struct File {
    file: files::File,
    position: u64,
}

impl File {
    /// Waits until all that was written is on the disk.
    pub fn sync(&self) -> Result<(), FileError> {
        self.file.sync()
    }

    /// Cuts the file, or adds zeros, so that it is so long.
    pub fn set_length(&self, length: u64) -> Result<(), FileError> {
        self.file.set_length(length)
    }

    /// Returns the current metadata.
    pub fn stat(&self) -> Result<Metadata, FileError> {
        self.file.stat()
    }
}

impl io::Read for File {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let max = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let read = self.file.read(self.position, max).map_err(to_io)?;
        bytes[..read.len()].copy_from_slice(&read);
        self.position += read.len() as u64;
        Ok(read.len())
    }
}

impl io::Write for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let part = &bytes[..bytes.len().min(64 * 1024)];
        self.file.write(self.position, part).map_err(to_io)?;
        self.position += part.len() as u64;
        Ok(part.len())
    }

    /// Does nothing, because no bytes are buffered. [`File::sync`] writes them to the disk.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl io::Seek for File {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        let moved = match to {
            io::SeekFrom::Start(position) => Some(position),
            io::SeekFrom::Current(by) => self.position.checked_add_signed(by),
            io::SeekFrom::End(by) => self.file.stat().map_err(to_io)?.length.checked_add_signed(by),
        };
        self.position = moved.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

/// Iterator over the names in a folder, with their kinds; see [`Folder::list`].
#[derive(Debug)]
pub struct FolderNames {
    listing: Listing,
    part: std::vec::IntoIter<FolderEntry>,
    is_over: bool,
}

impl Iterator for FolderNames {
    type Item = Result<FolderEntry, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(entry) = self.part.next() {
            return Some(Ok(entry));
        }
        if self.is_over {
            return None;
        }
        match self.listing.next(NAMES_PER_CALL) {
            Ok(part) => {
                self.is_over = part.is_empty();
                self.part = part.into_iter();
                self.part.next().map(Ok)
            }
            Err(error) => {
                self.is_over = true;
                Some(Err(error))
            }
        }
    }
}

impl From<FileError> for io::Error {
    fn from(error: FileError) -> Self {
        to_io(error)
    }
}

fn to_io(error: FileError) -> io::Error {
    let kind = match error {
        FileError::Denied(_) | FileError::LimitReached => io::ErrorKind::PermissionDenied,
        FileError::NotFound => io::ErrorKind::NotFound,
        FileError::Exists => io::ErrorKind::AlreadyExists,
        FileError::NotEmpty => io::ErrorKind::DirectoryNotEmpty,
        FileError::NoSpace => io::ErrorKind::StorageFull,
        FileError::Other(_) => io::ErrorKind::Other,
    };
    io::Error::new(kind, format!("{error:?}"))
}
