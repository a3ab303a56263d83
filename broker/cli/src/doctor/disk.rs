//! The disk of the data directory: its kind, free space, and the time that a sync takes.
//!
//! Invariant: the measurement ends after [`MEASURED_FOR`] or [`SYNCS_MAX`]. A disk that does not
//! answer is reported after [`PATIENCE`].

use std::fs::OpenOptions;
use std::io::{self, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use lotmq_config::{Config, Durability};

use super::finding::Finding;

/// Most syncs that are measured.
const SYNCS_MAX: usize = 20;

/// Time after which no further sync begins.
const MEASURED_FOR: Duration = Duration::from_secs(2);

/// Time for the whole measurement.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes of each write: a page of the store.
const PAGE: [u8; 4096] = [0x5A; 4096];

/// Median time of a sync above which a publisher waits noticeably for each acknowledgement.
const SLOW: Duration = Duration::from_millis(30);

/// Median time of a sync above which clients give up.
const TOO_SLOW: Duration = Duration::from_secs(1);

/// Type of file systems in memory (`TMPFS_MAGIC`).
const TMPFS: i64 = 0x0102_1994;

/// Median and longest time of a sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SyncTimes {
    median: Duration,
    longest: Duration,
}

/// Findings about the disk.
pub(super) fn look(config: &Config) -> Vec<Finding> {
    let path = existing(&config.data.path);
    let mut findings = vec![space(config, lotmq_store::free_bytes(&path))];
    if config.store.durability == Durability::None {
        return findings;
    }
    findings.extend(in_memory(&path));
    findings.push(match measured(&path) {
        Ok(Ok(times)) => sync(times),
        Ok(Err(error)) => Finding::error(
            "disk-sync",
            format!("{} cannot be written: {error}", path.display()),
            "run lotmq doctor as the user of the broker; give that user the folder: chown -R lotmq FOLDER",
        ),
        Err(_) => Finding::error(
            "disk-sync",
            format!("{} has not answered for {} s", path.display(), PATIENCE.as_secs()),
            "look at the disk or the network file system: dmesg, mount",
        ),
    });
    findings
}

/// The data directory, or the folder in which it will be made.
fn existing(data: &Path) -> PathBuf {
    let absolute = std::path::absolute(data).unwrap_or_else(|_| PathBuf::from("/"));
    absolute.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("/")).to_owned()
}

fn space(config: &Config, free: Option<u64>) -> Finding {
    let Some(free) = free else {
        return Finding::ok("disk-space", "the file system does not say");
    };
    let reserve = config.limits.disk_reserve_bytes;
    let message = format!("{} MiB free, {} MiB of them are reserved for commands", free >> 20, reserve >> 20);
    let remedy = "free some, or move the data directory to a larger disk (--data)";
    if free <= reserve {
        Finding::error("disk-space", message, remedy)
    } else if free < reserve.saturating_mul(8) {
        Finding::warning("disk-space", message, remedy)
    } else {
        Finding::ok("disk-space", message)
    }
}

fn in_memory(path: &Path) -> Option<Finding> {
    #[allow(clippy::unnecessary_cast, reason = "the type differs between processors")]
    let kind = rustix::fs::statfs(path).ok()?.f_type as i64;
    (kind == TMPFS).then(|| {
        Finding::warning(
            "disk-space",
            format!(
                "{} is a file system in memory: nothing of it survives a restart of the machine",
                path.display()
            ),
            "choose a folder on a disk with --data",
        )
    })
}

/// Measures syncs on a thread of its own, because one on a broken disk never ends.
fn measured(path: &Path) -> Result<io::Result<SyncTimes>, mpsc::RecvTimeoutError> {
    let (sender, receiver) = mpsc::channel();
    let path = path.to_owned();
    let started = std::thread::Builder::new().name("doctor-sync".to_owned()).spawn(move || {
        // The receiver may have given up.
        let _ = sender.send(syncs(&path));
    });
    match started {
        Ok(_) => receiver.recv_timeout(PATIENCE),
        Err(error) => Ok(Err(error)),
    }
}

/// Writes and syncs a page of a file that has no name afterwards.
fn syncs(folder: &Path) -> io::Result<SyncTimes> {
    let path = folder.join(format!(".lotmq-doctor-{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    std::fs::remove_file(&path)?;
    file.write_all(&PAGE)?;
    file.sync_all()?;
    let begin = Instant::now();
    let mut times = Vec::with_capacity(SYNCS_MAX);
    while times.is_empty() || (times.len() < SYNCS_MAX && begin.elapsed() < MEASURED_FOR) {
        file.rewind()?;
        let start = Instant::now();
        file.write_all(&PAGE)?;
        file.sync_data()?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    let at = |index: usize| times.get(index).copied().unwrap_or_default();
    Ok(SyncTimes { median: at(times.len() / 2), longest: at(times.len() - 1) })
}

fn sync(SyncTimes { median, longest }: SyncTimes) -> Finding {
    let ms = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1000.0);
    let message = format!("a sync takes {}, at most {}", ms(median), ms(longest));
    let remedy = "use a disk with a write cache that survives a power loss, or store.durability = \"os\", which may lose acknowledged messages on a power loss";
    if median > TOO_SLOW {
        Finding::error("disk-sync", message, remedy)
    } else if median > SLOW {
        Finding::warning(
            "disk-sync",
            format!("{message}; each durable acknowledgement waits for one"),
            remedy,
        )
    } else {
        Finding::ok("disk-sync", message)
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::FindingLevel::{Error, Ok, Warning};
    use super::*;

    #[test]
    fn space_and_times_are_judged() {
        let times =
            |ms: u64| SyncTimes { median: Duration::from_millis(ms), longest: Duration::from_millis(ms * 2) };
        let config = Config::default();
        for (finding, level) in [
            (sync(times(2)), Ok),
            (sync(times(80)), Warning),
            (sync(times(2000)), Error),
            (space(&config, None), Ok),
            (space(&config, Some(1 << 20)), Error),
            (space(&config, Some(64 << 20)), Warning),
            (space(&config, Some(64 << 30)), Ok),
        ] {
            assert_eq!(finding.level, level, "{}", finding.text());
        }
    }

    #[test]
    fn measurement_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let times = measured(folder.path()).unwrap().unwrap();
        assert!(times.median <= times.longest);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(measured(Path::new("/dev/null/no")).unwrap().is_err());
        assert_eq!(existing(&folder.path().join("a/b")), folder.path());
    }
}
