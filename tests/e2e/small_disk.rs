//! A file system of a few megabytes, to be filled.

use std::path::Path;
use std::process::Command;

/// A small file system in memory; unmounted at the end. Needs the right to mount.
pub(crate) struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    /// One without room for anything.
    pub(crate) fn new() -> Option<Self> {
        Self::mount("size=64k")
    }

    pub(crate) fn with_megabytes(megabytes: u32) -> Option<Self> {
        Self::mount(&format!("size={megabytes}m"))
    }

    fn mount(options: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "none"])
            .arg(folder.path())
            .output()
            .is_ok_and(|output| output.status.success());
        #[allow(clippy::print_stderr, reason = "a skipped test says so")]
        if !mounted {
            eprintln!("skipped: mounting a small file system needs root");
            return None;
        }
        Some(Self { folder })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// As a system does with a disk that it finds damaged.
    pub(crate) fn make_read_only(&self, is_read_only: bool) {
        let options = if is_read_only { "remount,ro" } else { "remount,rw" };
        let remounted = Command::new("mount").args(["-o", options]).arg(self.path()).status().unwrap();
        assert!(remounted.success());
    }

    /// Fills it to the last byte; the file can be removed again.
    pub(crate) fn fill(&self) -> std::path::PathBuf {
        let path = self.path().join("filler");
        // Fails at the end of the room, which is its purpose.
        let _ = std::io::copy(&mut std::io::repeat(1), &mut std::fs::File::create(&path).unwrap());
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}
