//! The data directory: free space, write permission and the lock that keeps a second process out.

pub(crate) mod trial;

use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tracing::{info, warn};

use crate::error::OpenError;
use crate::limits::{FREE_BYTES_AT_START_MIN, FREE_BYTES_MIN};

/// Name of the database file within the data directory.
pub(crate) const DATABASE_FILE: &str = "lotmq.redb";

/// Second name of the store that a restore replaced last.
pub(crate) const BEFORE_FILE: &str = "lotmq.redb.before-restore";

/// Name of the file that is made of a backup.
pub(crate) const STAGED_FILE: &str = "lotmq.redb.restore";

/// Removes what a restore has left that was cut off.
pub(crate) fn forget_staged(directory: &Path) {
    // Usually there is nothing.
    let _ = std::fs::remove_file(directory.join(STAGED_FILE));
}

/// Name of the lock file. It stays when the process ends; only the lock on it counts.
const LOCK_FILE: &str = "lotmq.lock";

/// Mode of a directory that nobody else can look into.
const OWNER_ONLY: u32 = 0o700;

/// Bit of the mode of directories that many write to, such as `/tmp`.
const STICKY: u32 = 0o1000;

/// How long a lock is waited for.
const LOCK_PATIENCE: Duration = Duration::from_millis(500);
/// How long it is waited for where the process that holds it is ending.
const ENDING_PATIENCE: Duration = Duration::from_secs(5);
/// How often it is tried.
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// The lock on a data directory, held until this is dropped or the process ends.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    file: File,
}

impl Drop for DirectoryLock {
    fn drop(&mut self) {
        // Closing is not enough: a child process that is being started shares the descriptor until
        // it runs its program.
        let _ = self.file.unlock();
    }
}

/// Checks for space, makes the directory and locks it. Changes nothing when the disk is full.
pub(crate) fn enter(dir: &Path) -> Result<DirectoryLock, OpenError> {
    if dir.exists() && !dir.is_dir() {
        return Err(OpenError::NotDirectory { path: dir.to_owned() });
    }
    check_space(dir)?;
    let not_writable = |path: &Path, source| OpenError::NotWritable { path: path.to_owned(), source };
    make(dir).map_err(|error| not_writable(dir, error))?;
    close_to_others(dir);
    let path = dir.join(LOCK_FILE);
    let is_new = !path.exists();
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|error| not_writable(&path, error))?;
    if is_new {
        give_to_owner(dir, &path).map_err(|error| not_writable(&path, error))?;
    }
    let mut lock = lock(file, dir, path.clone())?;
    write_pid(&mut lock.file).map_err(|error| not_writable(&path, error))?;
    Ok(lock)
}

/// Directories of a path that are not there, the innermost first.
pub(crate) fn missing(dir: &Path) -> Vec<PathBuf> {
    let is_missing = |dir: &&Path| !dir.as_os_str().is_empty() && !dir.exists();
    dir.ancestors().take_while(is_missing).map(Path::to_owned).collect()
}

/// Removes directories that [`enter`] has made and in which nothing but its lock came to be.
/// Without the lock they are somebody else's if they are not empty.
pub(crate) fn leave_unmade(missing: &[PathBuf], lock: Option<DirectoryLock>) {
    let Some(innermost) = missing.first() else { return };
    if let Some(_held) = lock {
        // A lock file that cannot be removed does no harm.
        let _ = std::fs::remove_file(innermost.join(LOCK_FILE));
    }
    for directory in missing {
        if std::fs::remove_dir(directory).is_err() {
            return;
        }
    }
}

/// Makes a directory and those above it that are not there, durably: what is acknowledged in it is
/// of no use when the power takes the directory.
fn make(dir: &Path) -> std::io::Result<()> {
    let missing = missing(dir);
    DirBuilder::new().recursive(true).mode(OWNER_ONLY).create(dir)?;
    for made in &missing {
        let above = made.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
        match sync(above) {
            // It may be one that we may write to and not read.
            Err(error) if error.kind() != ErrorKind::PermissionDenied => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// Takes the permissions of others away from a data directory, and says so. One that may be
/// somebody else's, or that is used for other things besides, is left as it is, and told of.
fn close_to_others(dir: &Path) {
    let Ok(data) = std::fs::metadata(dir) else { return };
    let mode = data.permissions().mode();
    let shown = format!("{:o}", mode & 0o7777);
    if data.uid() != rustix::process::geteuid().as_raw() {
        warn!(path = %dir.display(), owner = data.uid(), mode = shown, "the data directory belongs to another user");
        return;
    }
    if mode & 0o077 == 0 {
        return;
    }
    if mode & STICKY != 0 || !is_ours(dir) {
        warn!(path = %dir.display(), mode = shown, "the data directory is open to others and is not the broker's alone; give it one of mode 0700");
        return;
    }
    match std::fs::set_permissions(dir, Permissions::from_mode(mode & OWNER_ONLY)) {
        Ok(()) => {
            info!(path = %dir.display(), former = shown, "the data directory was open to others and is closed now")
        }
        Err(error) => {
            warn!(path = %dir.display(), mode = shown, %error, "the data directory is open to others and cannot be closed");
        }
    }
}

/// Whether a directory is empty, or has a store in it.
fn is_ours(dir: &Path) -> bool {
    dir.join(DATABASE_FILE).exists()
        || std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_none())
}

/// Locks a directory to read in it; changes nothing there. `None` where nobody has ever written:
/// there is no lock file.
pub(crate) fn enter_to_read(dir: &Path) -> Result<Option<DirectoryLock>, OpenError> {
    let path = dir.join(LOCK_FILE);
    match File::open(&path) {
        Ok(file) => lock(file, dir, path).map(Some),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(OpenError::Io { path, source }),
    }
}

fn lock(mut file: File, dir: &Path, path: PathBuf) -> Result<DirectoryLock, OpenError> {
    let (start, mut patience) = (Instant::now(), LOCK_PATIENCE);
    loop {
        match file.try_lock() {
            Ok(()) => break,
            // The lock of a killed process lasts until the system has cleaned up behind it.
            Err(TryLockError::WouldBlock) if start.elapsed() < patience => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::WouldBlock) => {
                let pid = read_pid(&mut file);
                let Some(ending) = pid.filter(|pid| patience < ENDING_PATIENCE && is_ending(*pid)) else {
                    return Err(OpenError::InUse { dir: dir.to_owned(), pid });
                };
                warn!(path = %dir.display(), pid = ending, "the data directory is still in use by a process that is ending; waiting for it");
                patience = ENDING_PATIENCE;
            }
            Err(TryLockError::Error(source)) => return Err(OpenError::Io { path, source }),
        }
    }
    Ok(DirectoryLock { file })
}

/// Whether a process has ended or been killed, and just has not been cleaned up yet; false where
/// the system does not say.
fn is_ending(pid: u32) -> bool {
    /// Flag of the kernel (`PF_EXITING`): the process is being cleaned up.
    const EXITING: u32 = 4;
    /// Bit of SIGKILL among pending signals.
    const KILL: u64 = 1 << 8;
    let said = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}"));
    let Ok(stat) = said("stat") else { return Path::new("/proc/self").exists() };
    // The name in parentheses may have any character in it.
    let mut fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let state = fields.next().unwrap_or_default();
    let flags: u32 = fields.nth(5).and_then(|flags| flags.parse().ok()).unwrap_or_default();
    let status = said("status").unwrap_or_default();
    let is_killed = status.lines().any(|line| {
        let pending = line.strip_prefix("ShdPnd:").or_else(|| line.strip_prefix("SigPnd:"));
        let pending = pending.and_then(|pending| u64::from_str_radix(pending.trim(), 16).ok());
        pending.is_some_and(|pending| pending & KILL != 0)
    });
    ["Z", "X"].contains(&state) || flags & EXITING != 0 || is_killed
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn write_pid(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn check_space(dir: &Path) -> Result<(), OpenError> {
    let Some(free_bytes) = free_bytes(dir) else { return Ok(()) };
    let needed_bytes =
        if dir.join(DATABASE_FILE).exists() { FREE_BYTES_MIN } else { FREE_BYTES_AT_START_MIN };
    if free_bytes < needed_bytes {
        return Err(OpenError::NoSpace { path: dir.to_owned(), free_bytes, needed_bytes });
    }
    Ok(())
}

/// Whether there is no room for what was to be written: on the disk, or below a limit of the user
/// or the process.
#[must_use]
pub fn is_full(error: &std::io::Error) -> bool {
    // The last one is the limit of the process on the size of files.
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}

/// Bytes free for an ordinary user on the file system where `path` is or will be; `None` if the
/// system does not say.
pub fn free_bytes(path: &Path) -> Option<u64> {
    disk_of(path).map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Bytes of the file system where `path` is or will be, free ones and others; `None` if the system
/// does not say.
pub fn disk_bytes(path: &Path) -> Option<u64> {
    disk_of(path).map(|disk| disk.f_blocks.saturating_mul(disk.f_frsize))
}

fn disk_of(path: &Path) -> Option<rustix::fs::StatVfs> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| PathBuf::from("/"));
    let existing = absolute.ancestors().find(|ancestor| ancestor.exists())?;
    let disk = rustix::fs::statvfs(existing).ok()?;
    // File systems without storage of their own report no blocks at all.
    (disk.f_blocks > 0).then_some(disk)
}

/// Gives a file that was made in a directory to its owner and group, where root has made it in
/// somebody else's: the broker that is to find it runs as that one.
pub(crate) fn give_to_owner(dir: &Path, file: &Path) -> std::io::Result<()> {
    let (of_dir, of_file) = (std::fs::metadata(dir)?, std::fs::symlink_metadata(file)?);
    let is_same = (of_dir.uid(), of_dir.gid()) == (of_file.uid(), of_file.gid());
    if is_same || !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    // Never what a link leads to, which may be anybody's.
    std::os::unix::fs::lchown(file, Some(of_dir.uid()), Some(of_dir.gid()))
}

/// Makes what was created or renamed in a directory durable.
pub(crate) fn sync(dir: &Path) -> std::io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(dir: &Path) -> u32 {
        std::fs::metadata(dir).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn the_directory_is_closed_to_others_unless_it_is_used_for_other_things() {
        let top = tempfile::tempdir().unwrap();
        let made = top.path().join("a/b");
        drop(enter(&made).unwrap());
        assert_eq!((mode(&made), mode(&top.path().join("a"))), (0o700, 0o700));
        assert_eq!(mode(&made.join(LOCK_FILE)), 0o600);
        for (name, file, before, after) in [
            ("empty", None, 0o755, 0o700),
            ("store", Some("lotmq.redb"), 0o775, 0o700),
            ("closed", Some("lotmq.redb"), 0o500 | 0o200, 0o700),
            ("shared", Some("notes.txt"), 0o755, 0o755),
            ("sticky", None, 0o1777, 0o1777),
        ] {
            let dir = top.path().join(name);
            std::fs::create_dir(&dir).unwrap();
            if let Some(file) = file {
                std::fs::write(dir.join(file), "").unwrap();
            }
            std::fs::set_permissions(&dir, Permissions::from_mode(before)).unwrap();
            drop(enter(&dir).unwrap());
            assert_eq!(mode(&dir), after, "{name}");
        }
    }
}
