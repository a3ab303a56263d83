//! Archive of a project: a zip of a folder.
//!
//! Invariants: what [`read`] lets through unpacks to what is allowed, to the last byte checked; its
//! paths stay inside the folder, and none is a link. Nothing is ever written to files of the names
//! in it.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read, Write as _};

use lot_to_wasm::notebook::NotebookError;
use lot_to_wasm::project::{Part, is_program, parts};
use sha2::{Digest as _, Sha256};
use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::{Manifest, ManifestFile};
use crate::limits::{
    PROJECT_ARCHIVE_BYTES_MAX, PROJECT_FILES_MAX, PROJECT_PATH_BYTES_MAX, PROJECT_UNPACKED_BYTES_MAX,
};
use crate::zip_members::{self, OpenZipError, escaped_name};
use lotmq_codes::Code;

/// Contents of an archive.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) manifest: Manifest,
    /// Programs in the order in which they are read: by file, then by cell.
    pub(crate) parts: Vec<Part>,
}

/// Reason why an archive is no project.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// It is no zip, or it is damaged.
    #[error("the archive cannot be read: {0}")]
    Foreign(#[from] ZipError),
    /// It is larger than a packet can carry.
    #[error("the archive has {bytes} bytes, limit {PROJECT_ARCHIVE_BYTES_MAX}")]
    TooLong {
        /// Length in bytes.
        bytes: usize,
    },
    /// It has too many files.
    #[error("the project has more than {PROJECT_FILES_MAX} files")]
    TooMany,
    /// Its files are too large together.
    #[error("the project unpacks to more than {PROJECT_UNPACKED_BYTES_MAX} bytes")]
    TooLarge,
    /// A path leaves the folder, or is not valid on every system.
    #[error("the path '{0}' is not one of a file inside the project")]
    Path(String),
    /// Two members have the same path.
    #[error("'{0}' is in the archive twice")]
    Twice(String),
    /// A member has another name where it lies.
    #[error("'{0}' has another name in its own header than in the directory of the archive")]
    Renamed(String),
    /// A member is no plain file.
    #[error("'{0}' is a link or a special file")]
    Special(String),
    /// A file cannot be read to its end.
    #[error("'{path}' cannot be unpacked: {error}")]
    Damaged {
        /// The file.
        path: String,
        /// Why.
        error: io::Error,
    },
    /// A program is not text.
    #[error("'{path}' is not UTF-8 text: line {line}, column {column}")]
    NotText {
        /// The file.
        path: String,
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
    },
    /// A notebook cannot be read.
    #[error("'{path}': {error}")]
    Notebook {
        /// The file.
        path: String,
        /// Why.
        error: NotebookError,
    },
}

impl From<OpenZipError> for ArchiveError {
    fn from(error: OpenZipError) -> Self {
        match error {
            OpenZipError::Zip(error) => Self::Foreign(error),
            OpenZipError::Twice(path) => Self::Twice(path),
            OpenZipError::Renamed(path) => Self::Renamed(path),
        }
    }
}

impl ArchiveError {
    /// Code for the reply.
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::TooLong { .. } | Self::TooMany | Self::TooLarge => Code::TooLarge,
            Self::Foreign(_)
            | Self::Path(_)
            | Self::Twice(_)
            | Self::Renamed(_)
            | Self::Special(_)
            | Self::Damaged { .. }
            | Self::NotText { .. }
            | Self::Notebook { .. } => Code::ProjectInvalid,
        }
    }
}

/// Reads an archive, and every file in it to its end.
///
/// # Errors
/// [`ArchiveError`], for the first thing that is wrong.
pub(crate) fn read(bytes: &[u8]) -> Result<Contents, ArchiveError> {
    if bytes.len() > PROJECT_ARCHIVE_BYTES_MAX {
        return Err(ArchiveError::TooLong { bytes: bytes.len() });
    }
    let mut zip = zip_members::open(Cursor::new(bytes))?;
    let mut files = BTreeMap::new();
    let mut left = PROJECT_UNPACKED_BYTES_MAX;
    for index in 0..zip.len() {
        let mut file = zip.by_index(index)?;
        let path = inside(&file.name()?)?;
        if file.is_dir() {
            continue;
        }
        if file.is_symlink() || file.unix_mode().is_some_and(is_special) {
            return Err(ArchiveError::Special(path));
        }
        let damaged = |error| ArchiveError::Damaged { path: path.clone(), error };
        // Reads other files too, so that damage shows now and not at a download.
        let mut bounded = (&mut file).take(left + 1);
        let mut text = is_program(&path).then(Vec::new);
        let len = match &mut text {
            Some(text) => bounded.read_to_end(text).map(|len| len as u64).map_err(damaged)?,
            None => io::copy(&mut bounded, &mut io::sink()).map_err(damaged)?,
        };
        left = left.checked_sub(len).ok_or(ArchiveError::TooLarge)?;
        // Two names may be one path.
        if let Some((path, ..)) = files.insert(levels(&path), (path, len, text)) {
            return Err(ArchiveError::Twice(path));
        }
        if files.len() > PROJECT_FILES_MAX {
            return Err(ArchiveError::TooMany);
        }
    }
    let listed = files.values().map(|(path, bytes, _)| ManifestFile { path: path.clone(), bytes: *bytes });
    let manifest = Manifest {
        bytes: bytes.len(),
        sha256: data_encoding::HEXLOWER.encode(&Sha256::digest(bytes)),
        files: listed.collect(),
    };
    let mut found = Vec::new();
    for (path, _, text) in files.into_values() {
        let Some(text) = text else { continue };
        let text = utf8(&path, text)?;
        found.extend(parts(&path, text).map_err(|error| ArchiveError::Notebook { path, error })?);
    }
    Ok(Contents { manifest, parts: found })
}

/// Checks that a path stays inside the folder, and removes a leading `./`.
fn inside(name: &str) -> Result<String, ArchiveError> {
    let path = name.trim_start_matches("./").trim_end_matches('/');
    let is_level = |level: &str| !matches!(level, "" | "." | "..");
    let is_inside = name.len() <= PROJECT_PATH_BYTES_MAX
        && path.split('/').all(is_level)
        && !path.contains(|c: char| matches!(c, '\\' | ':') || c.is_control());
    if is_inside { Ok(path.to_owned()) } else { Err(ArchiveError::Path(escaped_name(name))) }
}

/// Levels of a path, for sorting files in the order of a walk through the folders.
fn levels(path: &str) -> Vec<String> {
    path.split('/').map(str::to_owned).collect()
}

/// Whether the type in a Unix mode is anything but a plain file; older archives have none.
fn is_special(mode: u32) -> bool {
    const TYPE: u32 = 0o170_000;
    const PLAIN: u32 = 0o100_000;
    !matches!(mode & TYPE, 0 | PLAIN)
}

fn utf8(path: &str, bytes: Vec<u8>) -> Result<String, ArchiveError> {
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(error.as_bytes().get(..valid).unwrap_or_default()).into_owned();
        let last = before.rsplit('\n').next().unwrap_or_default();
        let (line, column) = (before.matches('\n').count() + 1, last.chars().count() + 1);
        ArchiveError::NotText { path: path.to_owned(), line, column }
    })
}

/// Makes an archive of files.
///
/// # Errors
/// [`ArchiveError::TooLong`].
pub(crate) fn write(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Result<Vec<u8>, ArchiveError> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let deflated =
        SimpleFileOptions::default().compression_method(CompressionMethod::Deflated).unix_permissions(0o644);
    for (path, bytes) in files {
        zip.start_file(path.as_str(), deflated)?;
        zip.write_all(&bytes).map_err(|error| ArchiveError::Damaged { path, error })?;
    }
    let bytes = zip.finish()?.into_inner();
    if bytes.len() > PROJECT_ARCHIVE_BYTES_MAX {
        return Err(ArchiveError::TooLong { bytes: bytes.len() });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
