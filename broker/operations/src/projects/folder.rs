//! Projects from a folder or an archive on the broker's own machine: below one root, and nowhere
//! else.
//!
//! Links are followed nowhere, so that nobody reads by way of a project what the root does not
//! hold.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use super::archive::{self, ArchiveError};
use crate::limits::{PROJECT_ARCHIVE_BYTES_MAX, PROJECT_FILES_MAX, PROJECT_UNPACKED_BYTES_MAX};
use lotmq_codes::Code;

/// Reason why a path cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// It is outside the root.
    #[error("'{path}' is not below {root}")]
    Outside {
        /// Path as it was given.
        path: String,
        /// Root that it must be below.
        root: String,
    },
    /// It does not exist, or cannot be read.
    #[error("'{path}' cannot be read: {error}")]
    Unreadable {
        /// The file or folder.
        path: String,
        /// Why.
        error: io::Error,
    },
    /// Its name is not text.
    #[error("the path '{0}' is not UTF-8")]
    NotText(String),
    /// It is a link, or something else than a file.
    #[error("the path '{0}' has a link in it")]
    Link(String),
    /// Its files are no project.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

impl FolderError {
    /// Code for the reply.
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::Outside { .. } => Code::PathForbidden,
            Self::Unreadable { .. } => Code::PathUnreadable,
            Self::NotText(_) | Self::Link(_) => Code::ProjectInvalid,
            Self::Archive(error) => error.code(),
        }
    }
}

/// Makes the archive of a folder, or reads that of a `.zip`; returns it with its name. Errors name
/// the root as it is `shown` and paths as they were asked for: where on the machine they lie is
/// nobody's business.
///
/// # Errors
/// [`FolderError`].
pub(crate) fn read((root, shown): (&Path, &str), asked: &str) -> Result<(Vec<u8>, String), FolderError> {
    let unreadable = |error| FolderError::Unreadable { path: asked.to_owned(), error };
    let outside = || FolderError::Outside { path: asked.to_owned(), root: shown.to_owned() };
    // A root that is not there holds nothing.
    let root = root.canonicalize().map_err(|_| outside())?;
    let path = root.join(asked);
    let path = match path.canonicalize() {
        Ok(path) => path,
        // Nobody learns what there is elsewhere.
        Err(_) if !path.starts_with(&root) || asked.contains("..") => return Err(outside()),
        Err(error) => return Err(unreadable(error)),
    };
    if !path.starts_with(&root) {
        return Err(outside());
    }
    if path.is_dir() {
        return pack_as(&path, asked);
    }
    let name = path.file_stem().and_then(OsStr::to_str).unwrap_or_default().to_owned();
    let bytes = std::fs::metadata(&path).map_err(unreadable)?.len();
    if bytes > PROJECT_ARCHIVE_BYTES_MAX as u64 {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        return Err(ArchiveError::TooLong { bytes }.into());
    }
    Ok((std::fs::read(&path).map_err(unreadable)?, name))
}

/// Makes the archive of a folder, as `-addProject` takes it; returns it with the name of the
/// folder.
///
/// # Errors
/// [`FolderError`].
pub fn pack(folder: &Path) -> Result<(Vec<u8>, String), FolderError> {
    pack_as(folder, &folder.display().to_string())
}

/// Makes the archive of a folder that errors name as it is `shown`.
fn pack_as(folder: &Path, shown: &str) -> Result<(Vec<u8>, String), FolderError> {
    let unreadable = |error| FolderError::Unreadable { path: shown.to_owned(), error };
    let folder = folder.canonicalize().map_err(unreadable)?;
    let mut files = Vec::new();
    collect((&folder, shown), "", &mut files)?;
    let name = folder.file_name().and_then(OsStr::to_str).unwrap_or_default().to_owned();
    Ok((archive::write(load(files)?)?, name))
}

/// Collects the files of a folder with their paths in it; names that begin with a dot are left out.
fn collect(
    (folder, shown): (&Path, &str),
    prefix: &str,
    files: &mut Vec<(String, PathBuf)>,
) -> Result<(), FolderError> {
    let unreadable = |error| FolderError::Unreadable { path: format!("{shown}/{prefix}"), error };
    let mut entries =
        std::fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>).map_err(unreadable)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        let name = name
            .to_str()
            .ok_or_else(|| FolderError::NotText(format!("{shown}/{prefix}/{}", name.to_string_lossy())))?;
        if name.starts_with('.') {
            continue;
        }
        let path = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
        let kind = entry.file_type().map_err(unreadable)?;
        if kind.is_dir() {
            collect((&entry.path(), shown), &path, files)?;
        } else if !kind.is_file() {
            return Err(FolderError::Link(path));
        } else if files.len() >= PROJECT_FILES_MAX {
            return Err(ArchiveError::TooMany.into());
        } else {
            files.push((path, entry.path()));
        }
    }
    Ok(())
}

fn load(files: Vec<(String, PathBuf)>) -> Result<Vec<(String, Vec<u8>)>, FolderError> {
    let mut left = PROJECT_UNPACKED_BYTES_MAX;
    let mut loaded = Vec::with_capacity(files.len());
    for (name, path) in files {
        let unreadable = |error| FolderError::Unreadable { path: name.clone(), error };
        let bytes = std::fs::metadata(&path).map_err(unreadable)?.len();
        left = left.checked_sub(bytes).ok_or(ArchiveError::TooLarge)?;
        let bytes = std::fs::read(&path).map_err(unreadable)?;
        loaded.push((name, bytes));
    }
    Ok(loaded)
}
