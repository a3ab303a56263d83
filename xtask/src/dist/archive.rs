//! Archives of files: the one for any Linux, and the root of a container image.

use std::collections::BTreeSet;

use anyhow::Result;
use tar::{Builder, EntryType};

use crate::dist::PackagedRelease;
use crate::dist::contents::{PackageContents, PackagedFile, gzip};

/// Writer of an archive in which every file belongs to root, unless told otherwise, and has the
/// release's time.
pub(crate) struct PackageArchive {
    builder: Builder<Vec<u8>>,
    time: u64,
    folders: BTreeSet<String>,
}

impl PackageArchive {
    pub(crate) fn new(time: u64) -> Self {
        Self { builder: Builder::new(Vec::new()), time, folders: BTreeSet::new() }
    }

    /// Adds a file, after the folders above it.
    pub(crate) fn file(&mut self, path: &str, mode: u32, bytes: &[u8]) -> Result<()> {
        self.folders_above(path)?;
        let mut header = self.header(EntryType::Regular, mode, bytes.len().try_into()?);
        Ok(self.builder.append_data(&mut header, path, bytes)?)
    }

    /// Adds a folder, after those above it.
    pub(crate) fn folder(&mut self, path: &str, mode: u32) -> Result<()> {
        self.folder_of(path, mode, 0)
    }

    /// The same for a folder that belongs to a user of this number.
    fn folder_of(&mut self, path: &str, mode: u32, owner: u64) -> Result<()> {
        self.folders_above(path)?;
        if self.folders.insert(path.to_owned()) {
            let mut header = self.header(EntryType::Directory, mode, 0);
            header.set_uid(owner);
            self.builder.append_data(&mut header, format!("{path}/"), std::io::empty())?;
        }
        Ok(())
    }

    fn folders_above(&mut self, path: &str) -> Result<()> {
        path.rsplit_once('/').map_or(Ok(()), |(above, _)| self.folder(above, 0o755))
    }

    fn header(&self, kind: EntryType, mode: u32, size: u64) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(size);
        header.set_mtime(self.time);
        header.set_uid(0);
        header.set_gid(0);
        header
    }

    /// The archive, not compressed.
    pub(crate) fn finish(self) -> Result<Vec<u8>> {
        Ok(self.builder.into_inner()?)
    }
}

/// PackageArchive for any Linux: one folder that runs where it lies.
pub(crate) fn portable(release: &PackagedRelease, contents: &PackageContents) -> Result<Vec<u8>> {
    let mut archive = PackageArchive::new(release.time);
    let mut items: Vec<(&String, &PackagedFile)> =
        contents.items.iter().filter_map(|item| Some((item.portable.as_ref()?, item))).collect();
    items.sort_by_key(|(place, _)| *place);
    for (place, item) in items {
        // The user who unpacks it owns it, so the modes of a group mean nothing.
        let mode = if item.mode == 0o755 { 0o755 } else { 0o644 };
        archive.file(&format!("{}/{place}", release.name()), mode, &item.bytes)?;
    }
    gzip(&archive.finish()?, release.time)
}

/// Root of a container image: the binary, Python's guest, licences, and a data folder for whatever
/// user the container runs as.
pub(crate) fn image(release: &PackagedRelease, contents: &PackageContents) -> Result<Vec<u8>> {
    let mut archive = PackageArchive::new(release.time);
    for item in contents.items.iter().filter(|item| item.is_for_image()) {
        archive.file(&item.path, item.mode, &item.bytes)?;
    }
    archive.file("etc/passwd", 0o644, PASSWD.as_bytes())?;
    archive.folder("tmp", 0o1777)?;
    // The broker closes it at its first start where it is its own, and any other user may be meant.
    archive.folder_of(DATA, 0o777, USER)?;
    archive.finish()
}

/// Accounts within the container.
const PASSWD: &str = "root:x:0:0:root:/:/sbin/nologin\nlotmq:x:65532:0:lotmq:/var/lib/lotmq:/sbin/nologin\n";

/// User that the container runs as, as the Containerfile names it.
pub(crate) const USER: u64 = 65_532;

/// Data folder of the service, without the first `/`.
const DATA: &str = "var/lib/lotmq";
