//! A folder of this machine that a route has, and its operations: system calls that wait for the
//! disk.
//!
//! Invariant: the system resolves every path below the folder (`openat2` with `RESOLVE_BENEATH`).
//! So no name, no symbolic link and no concurrent change leads out of it. Guests cannot make links.

use super::bindings::lotmq::guest::files::{FileError, FileKind, FolderEntry, Metadata, OpenMode};
use crate::limits::{FILE_BYTES_MAX, FILE_PATH_BYTES_MAX, FILE_PATH_NAMES_MAX, FILES_FREE_MIN};
use rustix::{
    fs::{self, AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags},
    io::Errno,
};
use std::{
    fs::File,
    io,
    os::{fd::OwnedFd, unix::fs::FileExt as _},
    path::{Path, PathBuf},
};

/// How often a path is looked up again that changed meanwhile.
const LOOKUPS_MAX: usize = 16;

/// Permissions of new files and folders: the owner may write, the group may read.
const FILE_MODE: u32 = 0o640;
const FOLDER_MODE: u32 = 0o750;

/// Flags that open a path for lookup only.
const LOOK: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

/// A folder that a route has by name.
#[derive(Clone, Debug)]
pub struct RouteFolder {
    /// As its definition names it, and grants do.
    pub named: String,
    /// Root that the operator has set. Links in its own path are followed.
    pub root: PathBuf,
    /// Path below the root. The first write creates it if it is missing.
    pub below: String,
    /// Whether the guest may read there.
    pub may_read: bool,
    /// Whether the guest may write there.
    pub may_write: bool,
    /// Bytes that stay free on the disk.
    pub reserve_bytes: u64,
    /// Account for which the route acted when the folder was looked up, 0 for nobody: it may be
    /// another user's when that one is removed, and is refused then.
    pub account: u64,
}

/// An open file.
#[derive(Debug)]
pub(super) struct OpenFile {
    file: File,
    may_read: bool,
    may_write: bool,
    appends: bool,
    reserve_bytes: u64,
}

impl RouteFolder {
    pub(super) fn open(&self, path: &str, mode: OpenMode) -> Result<OpenFile, FileError> {
        check_path(path)?;
        let writes = mode != OpenMode::Read;
        let access = match (self.may_read, writes) {
            (true, true) => OFlags::RDWR,
            (false, true) => OFlags::WRONLY,
            (_, false) => OFlags::RDONLY,
        };
        // Opening a FIFO or a device must not block.
        let flags = access | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let flags = flags
            | match mode {
                OpenMode::Read => OFlags::empty(),
                OpenMode::Write => OFlags::CREATE,
                OpenMode::Append => OFlags::CREATE | OFlags::APPEND,
                OpenMode::Create => OFlags::CREATE | OFlags::EXCL,
            };
        let folder = self.opened()?;
        if writes {
            self.check_room(&folder, 0)?;
        }
        let file = File::from(beneath(&folder, path, flags)?);
        if !file.metadata().map_err(|error| of_io(&error))?.is_file() {
            return Err(FileError::Denied(format!("'{path}' is no file")));
        }
        let appends = mode == OpenMode::Append;
        let (may_read, reserve_bytes) = (self.may_read, self.reserve_bytes);
        Ok(OpenFile { file, may_read, may_write: writes, appends, reserve_bytes })
    }

    pub(super) fn list(&self, path: &str) -> Result<Dir, FileError> {
        let listed = self.inner(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC)?;
        Dir::new(listed).map_err(of_system)
    }

    pub(super) fn stat(&self, path: &str) -> Result<Metadata, FileError> {
        let found = self.inner(path, LOOK)?;
        metadata(&File::from(found))
    }

    pub(super) fn rename(&self, path: &str, to: &str) -> Result<(), FileError> {
        check_path(path)?;
        check_path(to)?;
        let folder = self.opened()?;
        let ((from, name), (into, new_name)) = (parent(&folder, path)?, parent(&folder, to)?);
        fs::renameat(&from, name, &into, new_name).map_err(of_system)
    }

    pub(super) fn remove(&self, path: &str) -> Result<(), FileError> {
        check_path(path)?;
        let folder = self.opened()?;
        let (above, name) = parent(&folder, path)?;
        match fs::unlinkat(&above, name, AtFlags::empty()) {
            Err(Errno::ISDIR) => fs::unlinkat(&above, name, AtFlags::REMOVEDIR).map_err(of_system),
            removed => removed.map_err(of_system),
        }
    }

    pub(super) fn make_folder(&self, path: &str) -> Result<(), FileError> {
        check_path(path)?;
        let folder = self.opened()?;
        self.check_room(&folder, 0)?;
        let (above, name) = parent(&folder, path)?;
        fs::mkdirat(&above, name, Mode::from_raw_mode(FOLDER_MODE)).map_err(of_system)
    }

    pub(super) fn sync(&self, path: &str) -> Result<(), FileError> {
        let folder = self.inner(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC)?;
        fs::fsync(folder).map_err(of_system)
    }

    /// Something in the folder, or with the empty path the folder itself.
    fn inner(&self, path: &str, flags: OFlags) -> Result<OwnedFd, FileError> {
        let folder = self.opened()?;
        if path.is_empty() {
            return beneath(&folder, ".", flags);
        }
        check_path(path)?;
        beneath(&folder, path, flags)
    }

    /// The folder itself.
    fn opened(&self) -> Result<OwnedFd, FileError> {
        let look = LOOK | OFlags::DIRECTORY;
        let no_root =
            |error: Errno| FileError::Other(format!("what the folder lies below cannot be opened: {error}"));
        let root = fs::open(&self.root, look, Mode::empty()).map_err(no_root)?;
        match beneath(&root, &self.below, look) {
            Err(FileError::NotFound) if self.may_write => {
                self.make(&root)?;
                beneath(&root, &self.below, look)
            }
            found => found,
        }
    }

    /// Makes the folder below its root.
    fn make(&self, root: &OwnedFd) -> Result<(), FileError> {
        self.check_room(root, 0)?;
        let ends = self.below.match_indices('/').map(|(end, _)| end).chain([self.below.len()]);
        for end in ends {
            let (above, name) = parent(root, &self.below[..end])?;
            match fs::mkdirat(&above, name, Mode::from_raw_mode(FOLDER_MODE)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(of_system(error)),
            }
        }
        Ok(())
    }

    fn check_room(&self, folder: &OwnedFd, bytes: u64) -> Result<(), FileError> {
        check_room(folder, bytes, self.reserve_bytes)
    }
}

impl OpenFile {
    pub(super) fn read(&self, offset: u64, max: usize) -> Result<Vec<u8>, FileError> {
        if !self.may_read {
            return Err(FileError::Denied("reading was not granted".to_owned()));
        }
        if offset >= FILE_BYTES_MAX {
            return Ok(Vec::new());
        }
        let mut bytes = vec![0; max];
        let read = loop {
            match self.file.read_at(&mut bytes, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read.map_err(|error| of_io(&error))?,
            }
        };
        bytes.truncate(read);
        bytes.shrink_to_fit();
        Ok(bytes)
    }

    pub(super) fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), FileError> {
        self.check_writable()?;
        let offset = if self.appends { self.stat()?.length } else { offset };
        let end = offset.checked_add(bytes.len() as u64);
        if end.is_none_or(|end| end > FILE_BYTES_MAX) {
            return Err(FileError::NoSpace);
        }
        check_room(&self.file, bytes.len() as u64, self.reserve_bytes)?;
        // The system writes behind the end of a file that was opened so, wherever this says.
        self.file.write_all_at(bytes, offset).map_err(|error| of_io(&error))
    }

    pub(super) fn set_length(&self, length: u64) -> Result<(), FileError> {
        self.check_writable()?;
        if length > FILE_BYTES_MAX {
            return Err(FileError::NoSpace);
        }
        self.file.set_len(length).map_err(|error| of_io(&error))
    }

    pub(super) fn sync(&self) -> Result<(), FileError> {
        self.file.sync_all().map_err(|error| of_io(&error))
    }

    pub(super) fn stat(&self) -> Result<Metadata, FileError> {
        metadata(&self.file)
    }

    fn check_writable(&self) -> Result<(), FileError> {
        let denied = || FileError::Denied("the file was opened to be read".to_owned());
        if self.may_write { Ok(()) } else { Err(denied()) }
    }
}

/// The next names of a folder, at most so many.
pub(super) fn next_names(listing: &mut Dir, max: usize) -> Result<Vec<FolderEntry>, FileError> {
    let mut entries = Vec::new();
    while entries.len() < max {
        let Some(entry) = listing.read() else { break };
        let entry = entry.map_err(of_system)?;
        match entry.file_name().to_str() {
            Ok("." | "..") | Err(_) => {}
            Ok(name) => {
                let said = entry.file_type();
                // Not every file system says.
                let kind = if said == FileType::Unknown { kind_of_name(listing, name) } else { kind(said) };
                entries.push(FolderEntry { name: name.to_owned(), kind });
            }
        }
    }
    Ok(entries)
}

fn kind_of_name(listing: &Dir, name: &str) -> FileKind {
    let looked = listing.fd().and_then(|folder| fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW));
    looked.map_or(FileKind::Other, |found| kind(FileType::from_raw_mode(found.st_mode)))
}

fn kind(of: FileType) -> FileKind {
    match of {
        FileType::RegularFile => FileKind::File,
        FileType::Directory => FileKind::Folder,
        FileType::Symlink
        | FileType::Fifo
        | FileType::Socket
        | FileType::CharacterDevice
        | FileType::BlockDevice
        | FileType::Unknown => FileKind::Other,
    }
}

fn metadata(file: &File) -> Result<Metadata, FileError> {
    let found = fs::fstat(file).map_err(of_system)?;
    let modified_ms =
        found.st_mtime.saturating_mul(1000).saturating_add(found.st_mtime_nsec as i64 / 1_000_000);
    let length = u64::try_from(found.st_size).unwrap_or(0);
    Ok(Metadata { kind: kind(FileType::from_raw_mode(found.st_mode)), length, modified_ms })
}

/// Checks that a disk has so many bytes beside its reserve, and room for names.
fn check_room(on: impl std::os::fd::AsFd, bytes: u64, reserve_bytes: u64) -> Result<(), FileError> {
    let disk = fs::fstatvfs(on).map_err(of_system)?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let has_names = disk.f_files == 0 || disk.f_favail >= FILES_FREE_MIN;
    let is_enough = reserve_bytes == 0 || (free.saturating_sub(bytes) >= reserve_bytes && has_names);
    if is_enough { Ok(()) } else { Err(FileError::NoSpace) }
}

/// Whether a path is one of names, the last of which is its own: nothing that the system would
/// resolve to another one.
pub(super) fn check_path(path: &str) -> Result<(), FileError> {
    let is_name = |name: &str| !matches!(name, "" | "." | "..") && !name.contains('\0');
    let is_path = path.len() <= FILE_PATH_BYTES_MAX
        && path.split('/').take(FILE_PATH_NAMES_MAX + 1).count() <= FILE_PATH_NAMES_MAX
        && path.split('/').all(is_name);
    if is_path {
        Ok(())
    } else {
        Err(FileError::Denied("that is no path of a file in the folder".to_owned()))
    }
}

/// The folder above a path's last name, and that name.
fn parent<'a>(folder: &OwnedFd, path: &'a str) -> Result<(OwnedFd, &'a str), FileError> {
    let (above, name) = path.rsplit_once('/').unwrap_or((".", path));
    beneath(folder, above, LOOK | OFlags::DIRECTORY).map(|above| (above, name))
}

/// Opens a path below a folder.
fn beneath(folder: &OwnedFd, path: &str, flags: OFlags) -> Result<OwnedFd, FileError> {
    resolved(folder, path, flags).map_err(of_system)
}

/// Opens a file below a root, to be read: what no guest names, but its definition.
pub(super) fn open_beneath(root: &Path, below: &str) -> io::Result<File> {
    let root = fs::open(root, LOOK | OFlags::DIRECTORY, Mode::empty())?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = match resolved(&root, below, flags) {
        Err(Errno::XDEV) => {
            return Err(io::Error::other("a link leads out of the folder that it lies below"));
        }
        opened => File::from(opened?),
    };
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no file")) }
}

fn resolved(folder: &OwnedFd, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let mode = if flags.contains(OFlags::CREATE) { FILE_MODE } else { 0 };
    let mut last = Errno::AGAIN;
    for _ in 0..LOOKUPS_MAX {
        match fs::openat2(folder, path, flags, Mode::from_raw_mode(mode), resolve) {
            // After a concurrent rename, the system could not decide whether the path leads out.
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => {
                last = error;
                break;
            }
            Ok(opened) => return Ok(opened),
        }
    }
    Err(last)
}

fn of_io(error: &io::Error) -> FileError {
    match Errno::from_io_error(error) {
        Some(errno) => of_system(errno),
        None => FileError::Other(error.to_string()),
    }
}

fn of_system(error: Errno) -> FileError {
    match error {
        Errno::NOENT => FileError::NotFound,
        Errno::EXIST => FileError::Exists,
        Errno::NOTEMPTY => FileError::NotEmpty,
        Errno::NOSPC | Errno::DQUOT | Errno::FBIG => FileError::NoSpace,
        Errno::XDEV => FileError::Denied("the path leads out of the folder".to_owned()),
        Errno::NOSYS => {
            FileError::Other("this system has no openat2: Linux 5.6 or newer is needed".to_owned())
        }
        error => FileError::Other(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs as real,
        os::unix::fs::{PermissionsExt as _, symlink},
    };

    fn folder(root: &Path) -> RouteFolder {
        RouteFolder {
            account: 0,
            named: "logs/x".to_owned(),
            root: root.to_owned(),
            below: "logs/x".to_owned(),
            may_read: true,
            may_write: true,
            reserve_bytes: 0,
        }
    }

    #[test]
    fn nothing_leads_out_of_a_folder() {
        let place = tempfile::tempdir().unwrap();
        let (root, outside) = (place.path().join("root"), place.path().join("secret"));
        real::create_dir_all(root.join("logs/x/inner")).unwrap();
        real::write(&outside, "secret").unwrap();
        real::write(root.join("logs/beside"), "beside").unwrap();
        let own = root.join("logs/x");
        symlink(&outside, own.join("absolute")).unwrap();
        symlink("../beside", own.join("beside")).unwrap();
        symlink("../..", own.join("up")).unwrap();
        symlink("/proc/self/root", own.join("magic")).unwrap();
        symlink("inner", own.join("within")).unwrap();
        let folder = folder(&root);
        for path in ["absolute", "beside", "up/secret", "up", "magic/etc/passwd", "up/logs/x/inner"] {
            for mode in [OpenMode::Read, OpenMode::Write, OpenMode::Append] {
                let opened = folder.open(path, mode);
                assert!(matches!(opened, Err(FileError::Denied(_))), "{path}: {opened:?}");
            }
            assert!(folder.stat(path).is_err() && folder.list(path).is_err() && folder.sync(path).is_err());
        }
        let long = ["a"; FILE_PATH_NAMES_MAX + 1].join("/");
        for path in
            ["..", ".", "", "/", "/etc/passwd", "a/../b", "a//b", "a/", "a\0", &long, &"a".repeat(1025)]
        {
            assert!(matches!(folder.open(path, OpenMode::Create), Err(FileError::Denied(_))), "{path:?}");
            assert!(folder.rename(path, "b").is_err() && folder.remove(path).is_err(), "{path:?}");
            assert!(folder.rename("inner", path).is_err() && folder.make_folder(path).is_err(), "{path:?}");
        }
        assert!(folder.rename("inner", "up/inner").is_err() && folder.remove("up/beside").is_err());
        folder.open("within/a", OpenMode::Create).unwrap().write(0, b"x").unwrap();
        assert_eq!(real::read(own.join("inner/a")).unwrap(), b"x");
        // A link itself can be removed; its target stays.
        folder.remove("absolute").unwrap();
        assert_eq!(real::read(&outside).unwrap(), b"secret");
    }

    #[test]
    fn a_folder_that_became_a_link_is_not_followed() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("root");
        real::create_dir_all(root.join("logs")).unwrap();
        symlink(place.path(), root.join("logs/x")).unwrap();
        let opened = folder(&root).open("a", OpenMode::Create);
        assert!(matches!(opened, Err(FileError::Denied(_))), "{opened:?}");
    }

    #[test]
    fn files_are_made_written_listed_and_removed() {
        let root = tempfile::tempdir().unwrap();
        let folder = folder(root.path());
        assert!(matches!(folder.open("a", OpenMode::Read), Err(FileError::NotFound)));
        let file = folder.open("a", OpenMode::Create).unwrap();
        file.write(2, b"cd").unwrap();
        file.write(0, b"ab").unwrap();
        file.sync().unwrap();
        assert_eq!((file.read(0, 9).unwrap(), file.read(4, 9).unwrap()), (b"abcd".to_vec(), Vec::new()));
        assert_eq!(file.read(u64::MAX, 9).unwrap(), b"");
        assert!(matches!(file.write(u64::MAX, b"x"), Err(FileError::NoSpace)));
        assert!(matches!(file.set_length(u64::MAX), Err(FileError::NoSpace)));
        file.set_length(3).unwrap();
        assert_eq!(file.stat().unwrap().length, 3);
        assert!(matches!(folder.open("a", OpenMode::Create), Err(FileError::Exists)));
        let end = folder.open("a", OpenMode::Append).unwrap();
        end.write(0, b"D").unwrap();
        let read = folder.open("a", OpenMode::Read).unwrap();
        assert_eq!(read.read(0, 9).unwrap(), b"abcD");
        assert!(matches!(read.write(0, b"x"), Err(FileError::Denied(_))));
        let mode = real::metadata(root.path().join("logs/x/a")).unwrap().permissions().mode();
        assert_eq!(mode & 0o137, 0, "{mode:o}");
        folder.make_folder("f").unwrap();
        folder.rename("a", "f/b").unwrap();
        assert!(matches!(folder.remove("f"), Err(FileError::NotEmpty)));
        folder.sync("f").unwrap();
        let names = next_names(&mut folder.list("").unwrap(), 9).unwrap();
        assert_eq!(
            names.iter().map(|entry| (&*entry.name, entry.kind)).collect::<Vec<_>>(),
            [("f", FileKind::Folder)]
        );
        folder.remove("f/b").unwrap();
        folder.remove("f").unwrap();
        assert!(next_names(&mut folder.list("").unwrap(), 9).unwrap().is_empty());
    }

    #[test]
    fn opening_a_named_pipe_fails_without_blocking() {
        let root = tempfile::tempdir().unwrap();
        let folder = folder(root.path());
        folder.open("a", OpenMode::Create).unwrap();
        fs::mknodat(fs::CWD, root.path().join("logs/x/pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
            .unwrap();
        for mode in [OpenMode::Read, OpenMode::Write, OpenMode::Append] {
            assert!(folder.open("pipe", mode).is_err());
        }
        assert_eq!(folder.stat("pipe").unwrap().kind, FileKind::Other);
    }

    #[test]
    fn file_writes_respect_the_disk_reserve() {
        let root = tempfile::tempdir().unwrap();
        let folder = folder(root.path());
        folder.open("a", OpenMode::Create).unwrap().write(0, b"x").unwrap();
        let tight = RouteFolder { reserve_bytes: u64::MAX / 2, ..folder };
        assert!(matches!(tight.open("b", OpenMode::Create), Err(FileError::NoSpace)));
        assert!(matches!(tight.make_folder("b"), Err(FileError::NoSpace)));
        assert!(tight.open("a", OpenMode::Read).unwrap().read(0, 1).is_ok());
    }
}
