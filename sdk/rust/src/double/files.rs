//! Double of the interface `files`: files of a folder of this machine.

use std::cell::RefCell;
use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Component, Path, PathBuf};
use std::time::UNIX_EPOCH;

pub use self::FileDouble as File;
pub use super::bindings::lotmq::guest::files::{FileError, FileKind, FolderEntry, Metadata, OpenMode};
use crate::testing::with;

/// An open file.
#[derive(Debug)]
pub struct FileDouble {
    file: RefCell<fs::File>,
    is_appended: bool,
}

impl FileDouble {
    pub fn open(folder: &str, path: &str, mode: OpenMode) -> Result<FileDouble, FileError> {
        let mut options = OpenOptions::new();
        match mode {
            OpenMode::Read => options.read(true),
            OpenMode::Write => options.read(true).write(true).create(true).truncate(false),
            OpenMode::Append => options.read(true).append(true).create(true),
            OpenMode::Create => options.read(true).write(true).create_new(true),
        };
        let file = options.open(below(folder, path)?).map_err(of_io)?;
        Ok(FileDouble { file: RefCell::new(file), is_appended: matches!(mode, OpenMode::Append) })
    }

    pub fn read(&self, offset: u64, max: u32) -> Result<Vec<u8>, FileError> {
        let mut bytes = vec![0; (max as usize).min(64 * 1024)];
        let mut file = self.file.borrow_mut();
        file.seek(SeekFrom::Start(offset)).map_err(of_io)?;
        let count = file.read(&mut bytes).map_err(of_io)?;
        bytes.truncate(count);
        Ok(bytes)
    }

    pub fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), FileError> {
        let mut file = self.file.borrow_mut();
        if !self.is_appended {
            file.seek(SeekFrom::Start(offset)).map_err(of_io)?;
        }
        file.write_all(bytes).map_err(of_io)
    }

    pub fn set_length(&self, length: u64) -> Result<(), FileError> {
        self.file.borrow().set_len(length).map_err(of_io)
    }

    pub fn sync(&self) -> Result<(), FileError> {
        self.file.borrow().sync_all().map_err(of_io)
    }

    pub fn stat(&self) -> Result<Metadata, FileError> {
        self.file.borrow().metadata().map(|known| metadata(&known)).map_err(of_io)
    }
}

/// Names of a folder.
#[derive(Debug)]
pub struct Listing(RefCell<std::vec::IntoIter<FolderEntry>>);

impl Listing {
    pub fn open(folder: &str, path: &str) -> Result<Listing, FileError> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(below(folder, path)?).map_err(of_io)? {
            let entry = entry.map_err(of_io)?;
            let kind = kind(&entry.metadata().map_err(of_io)?);
            entries.push(FolderEntry { name: entry.file_name().to_string_lossy().into_owned(), kind });
        }
        Ok(Listing(RefCell::new(entries.into_iter())))
    }

    pub fn next(&self, max: u32) -> Result<Vec<FolderEntry>, FileError> {
        Ok(self.0.borrow_mut().by_ref().take(max as usize).collect())
    }
}

pub fn stat(folder: &str, path: &str) -> Result<Metadata, FileError> {
    fs::metadata(below(folder, path)?).map(|known| metadata(&known)).map_err(of_io)
}

pub fn rename(folder: &str, path: &str, to: &str) -> Result<(), FileError> {
    fs::rename(below(folder, path)?, below(folder, to)?).map_err(of_io)
}

pub fn remove(folder: &str, path: &str) -> Result<(), FileError> {
    let path = below(folder, path)?;
    if path.is_dir() { fs::remove_dir(path) } else { fs::remove_file(path) }.map_err(of_io)
}

pub fn make_folder(folder: &str, path: &str) -> Result<(), FileError> {
    fs::create_dir(below(folder, path)?).map_err(of_io)
}

pub fn sync_folder(folder: &str, path: &str) -> Result<(), FileError> {
    fs::metadata(below(folder, path)?).map(drop).map_err(of_io)
}

/// A path within a folder.
fn below(folder: &str, path: &str) -> Result<PathBuf, FileError> {
    let root = with(|host| host.folders.get(folder).cloned());
    let root = root.ok_or_else(|| FileError::Denied(format!("the test has set no folder '{folder}'")))?;
    let is_within = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    if is_within {
        Ok(root.join(path))
    } else {
        Err(FileError::Denied(format!("'{path}' leaves its folder")))
    }
}

fn metadata(known: &fs::Metadata) -> Metadata {
    let modified = known.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let modified_ms = modified.map_or(0, |since| since.as_millis() as i64);
    Metadata { kind: kind(known), length: known.len(), modified_ms }
}

fn kind(known: &fs::Metadata) -> FileKind {
    match (known.is_file(), known.is_dir()) {
        (true, _) => FileKind::File,
        (_, true) => FileKind::Folder,
        _ => FileKind::Other,
    }
}

fn of_io(error: io::Error) -> FileError {
    match error.kind() {
        io::ErrorKind::NotFound => FileError::NotFound,
        io::ErrorKind::AlreadyExists => FileError::Exists,
        io::ErrorKind::DirectoryNotEmpty => FileError::NotEmpty,
        io::ErrorKind::StorageFull => FileError::NoSpace,
        io::ErrorKind::PermissionDenied => FileError::Denied(error.to_string()),
        _ => FileError::Other(error.to_string()),
    }
}
