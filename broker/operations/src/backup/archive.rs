//! Archive of a backup: a zip with `store.export`, `configuration.json`, `manifest.json`.
//!
//! Invariant: what [`Archive::open`] lets through has the names, the order, the sizes and the
//! digests that its manifest says, and no more than it was allowed to unpack to. The manifest has
//! the checksum of the zip. Times, modes and comments are not looked at, and nothing comes of them.
//! Members are found by their own names and never written to files of those. Not here: what is in
//! the stream of the store.

use std::io::{self, Read, Seek, Write};
use std::time::Instant;

use lotmq_changes::table::{BackupClass, SCHEMA_VERSION};
use lotmq_changes::{LogSnapshot, SnapshotError};
use lotmq_pulse::goes_on;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::Part;
use super::manifest::{FORMAT, Manifest, Member, Table};
use crate::limits::{BACKUP_DOCUMENT_BYTES_MAX, BACKUP_MEMBERS_MAX, BACKUP_TEXT_BYTES_MAX};
use crate::zip_members::{self, OpenZipError};

const STORE: &str = "store.export";
const CONFIGURATION: &str = "configuration.json";
const MANIFEST: &str = "manifest.json";

/// Level of compression, 1 to 9. The fastest: messages arrive meanwhile.
const LEVEL: i64 = 1;

/// Contents of a backup, besides the store.
pub(crate) struct Contents {
    pub(crate) name: String,
    pub(crate) created_utc: String,
    pub(crate) parts: Vec<Part>,
    /// Configuration in force; it holds no secret.
    pub(crate) configuration: Value,
}

/// Reason why a backup was not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error(transparent)]
    Zip(#[from] ZipError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl WriteError {
    /// Whether the store was opened again while it was read.
    pub(crate) fn is_lost(&self) -> bool {
        matches!(self, Self::Snapshot(error) if error.is_lost())
    }

    /// Whether there is no room for it on the disk.
    pub(crate) fn is_full(&self) -> bool {
        let error = match self {
            Self::Snapshot(SnapshotError::Io(error)) | Self::Zip(ZipError::Io(error)) | Self::Io(error) => {
                error
            }
            Self::Snapshot(_) | Self::Zip(_) => return false,
        };
        lotmq_store::is_full(error)
    }
}

/// Writes a backup. The snapshot ends when the stream of the store is written.
pub(crate) fn write(
    out: &mut (impl Write + Seek),
    snapshot: Box<dyn LogSnapshot>,
    contents: &Contents,
) -> Result<Manifest, WriteError> {
    let mut zip = ZipWriter::new(out);
    let deflated = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(LEVEL))
        .unix_permissions(0o600);
    zip.start_file(STORE, deflated.large_file(true))?;
    let mut stream = Digesting::new(&mut zip);
    let classes: Vec<BackupClass> = contents.parts.iter().map(|part| part.class()).collect();
    let sizes = snapshot.export(&classes, &mut stream)?;
    let mut members = vec![stream.member(STORE)];
    zip.start_file(CONFIGURATION, deflated)?;
    let mut document = Digesting::new(&mut zip);
    document.write_all(format!("{:#}\n", contents.configuration).as_bytes())?;
    members.push(document.member(CONFIGURATION));
    let tables =
        sizes.iter().map(|size| Table { name: size.name.to_owned(), rows: size.rows, bytes: size.bytes });
    let manifest = Manifest {
        format: FORMAT,
        broker: env!("CARGO_PKG_VERSION").to_owned(),
        schema: SCHEMA_VERSION,
        name: contents.name.to_owned(),
        created_utc: contents.created_utc.clone(),
        parts: contents.parts.iter().map(|part| part.name().to_owned()).collect(),
        tables: tables.collect(),
        members,
    };
    zip.start_file(MANIFEST, deflated)?;
    let text = serde_json::to_string_pretty(&manifest).expect("a manifest is texts and numbers");
    zip.write_all(text.as_bytes())?;
    zip.finish()?.flush()?;
    Ok(manifest)
}

/// Writer that counts its bytes and makes their digest.
struct Digesting<W> {
    out: W,
    sha256: Sha256,
    bytes: u64,
}

impl<W> Digesting<W> {
    fn new(out: W) -> Self {
        Self { out, sha256: Sha256::new(), bytes: 0 }
    }

    fn member(self, name: &str) -> Member {
        Member {
            name: name.to_owned(),
            bytes: self.bytes,
            sha256: data_encoding::HEXLOWER.encode(&self.sha256.finalize()),
        }
    }
}

impl<W: Write> Write for Digesting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A block of about 1 MiB: a read that hangs gets no further.
        goes_on(Instant::now());
        let len = self.out.write(bytes)?;
        self.sha256.update(&bytes[..len]);
        self.bytes += len as u64;
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Reason why a file is not a usable backup.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// It is no backup.
    #[error("this is no backup of lotmq: {0}")]
    Foreign(String),
    /// A newer program wrote it.
    #[error("the {what} of the backup has version {found}, this program knows versions up to {known}")]
    TooNew {
        /// `format` or `schema`.
        what: &'static str,
        /// Its version.
        found: u64,
        /// The newest that is known.
        known: u64,
    },
    /// It was changed since it was written.
    #[error("the backup is damaged: {0}")]
    Damaged(String),
    /// It unpacks to more than it may.
    #[error("the backup unpacks to {bytes} bytes, limit {limit}")]
    TooLarge {
        /// Unpacked size in bytes.
        bytes: u64,
        /// Bound in bytes.
        limit: u64,
    },
}

/// Backup whose every byte was read and found good.
pub struct Archive<R> {
    zip: ZipArchive<R>,
    /// Manifest.
    pub manifest: Manifest,
}

impl<R: Read + Seek> Archive<R> {
    /// Opens a backup and checks it; it must not unpack to more than `bytes_max`.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub fn open(reader: R, bytes_max: u64) -> Result<Self, ArchiveError> {
        let mut zip = zip_members::open(reader).map_err(|error| match error {
            OpenZipError::Zip(ZipError::Io(error)) => ArchiveError::Foreign(error.to_string()),
            OpenZipError::Zip(_) => ArchiveError::Foreign(
                "it is no zip archive, or not a whole one; `lotmq backup` writes them".to_owned(),
            ),
            OpenZipError::Twice(_) | OpenZipError::Renamed(_) => ArchiveError::Damaged(error.to_string()),
        })?;
        if zip.len() > BACKUP_MEMBERS_MAX {
            return Err(ArchiveError::Foreign(format!("it has {} files", zip.len())));
        }
        let manifest = read_manifest(&mut zip)?;
        let bytes = manifest.members.iter().fold(0_u64, |sum, member| sum.saturating_add(member.bytes));
        if bytes > bytes_max {
            return Err(ArchiveError::TooLarge { bytes, limit: bytes_max });
        }
        let is_named = |name: &str| manifest.members.iter().any(|member| member.name == name);
        let names = names_in_order(&mut zip).map_err(|error| ArchiveError::Damaged(error.to_string()))?;
        if let Some(name) = names.iter().find(|name| *name != MANIFEST && !is_named(name)) {
            return Err(ArchiveError::Damaged(format!("its manifest does not name '{name}'")));
        }
        if !is_named(STORE) {
            return Err(ArchiveError::Damaged(format!("'{STORE}' is missing")));
        }
        for member in &manifest.members {
            check(&mut zip, member)?;
        }
        let written = manifest.members.iter().map(|member| &*member.name).chain([MANIFEST]);
        if !names.iter().eq(written) {
            return Err(ArchiveError::Damaged(
                "its files are in another order than they were written".to_owned(),
            ));
        }
        Ok(Self { zip, manifest })
    }

    /// Stream of the store, as `Store::import` reads it.
    ///
    /// # Errors
    /// [`ArchiveError::Damaged`].
    pub fn store(&mut self) -> Result<impl Read + '_, ArchiveError> {
        member(&mut self.zip, STORE)
    }
}

/// Names of the members in the order in which they lie in the file, which is that of its directory
/// or an error.
fn names_in_order<R: Read + Seek>(zip: &mut ZipArchive<R>) -> Result<Vec<String>, ZipError> {
    let mut members = Vec::with_capacity(zip.len());
    for number in 0..zip.len() {
        let member = zip.by_index_raw(number)?;
        members.push((member.header_start(), member.name()?.into_owned()));
    }
    if !members.is_sorted_by_key(|(at, _)| *at) {
        return Err(ZipError::InvalidArchive("its directory has them in another order than they lie".into()));
    }
    Ok(members.into_iter().map(|(_, name)| name).collect())
}

fn member<'a, R: Read + Seek>(
    zip: &'a mut ZipArchive<R>,
    name: &str,
) -> Result<impl Read + use<'a, R>, ArchiveError> {
    zip.by_name(name).map_err(|error| ArchiveError::Damaged(format!("'{name}': {error}")))
}

fn read_manifest<R: Read + Seek>(zip: &mut ZipArchive<R>) -> Result<Manifest, ArchiveError> {
    let foreign = |error: &dyn std::fmt::Display| {
        // Errors quote the manifest.
        let reason: String = error.to_string().chars().take(BACKUP_TEXT_BYTES_MAX).collect();
        ArchiveError::Foreign(format!("its manifest: {reason}"))
    };
    let file = zip.by_name(MANIFEST).map_err(|error| foreign(&error))?;
    let mut text = String::new();
    let limit = BACKUP_DOCUMENT_BYTES_MAX;
    file.take(limit + 1).read_to_string(&mut text).map_err(|error| foreign(&error))?;
    if text.len() as u64 > limit {
        return Err(ArchiveError::TooLarge { bytes: text.len() as u64, limit });
    }
    let value: Value = serde_json::from_str(&text).map_err(|error| foreign(&error))?;
    // A newer manifest may look different in all else.
    for (what, known) in [("format", FORMAT), ("schema", SCHEMA_VERSION)] {
        let found = value.get(what).and_then(Value::as_u64).ok_or_else(|| foreign(&format!("no {what}")))?;
        if found > known {
            return Err(ArchiveError::TooNew { what, found, known });
        }
    }
    let manifest: Manifest = serde_json::from_value(value).map_err(|error| foreign(&error))?;
    manifest.check().map_err(|reason| foreign(&reason))?;
    Ok(manifest)
}

/// Reads a member to its end, but never beyond its declared length.
fn check<R: Read + Seek>(zip: &mut ZipArchive<R>, known: &Member) -> Result<(), ArchiveError> {
    let name = &known.name;
    let damaged = |reason: &str| ArchiveError::Damaged(format!("'{name}' {reason}"));
    let mut bounded = member(zip, name)?.take(known.bytes.saturating_add(1));
    let mut digesting = Digesting::new(io::sink());
    io::copy(&mut bounded, &mut digesting)
        .map_err(|error| damaged(&format!("cannot be unpacked: {error}")))?;
    let found = digesting.member(name);
    if found.bytes != known.bytes {
        return Err(damaged("has another length than its manifest says"));
    }
    if found.sha256 != known.sha256 {
        return Err(damaged("has another digest than its manifest says"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
