//! Folders of an attacking route, with ways out of them that it must not take.

use std::collections::HashMap;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{fs, thread};

use lotmq_host::fiber::RouteFolder;
use lotmq_host::{Capability, Grants};
use tempfile::TempDir;

/// Name of the file that no guest may change, and its content.
const SECRET: &str = "secret";

/// A root with the folder `folder`, in which `out` leads to a file outside and `up` to the folder
/// above the root.
pub(crate) struct Disk(TempDir);

impl Disk {
    pub(crate) fn new() -> Self {
        let disk = Self(tempfile::tempdir().unwrap());
        let folder = disk.root().join("GRANTED");
        fs::create_dir_all(&folder).unwrap();
        fs::create_dir_all(disk.root().join("DENIED")).unwrap();
        fs::write(disk.0.path().join(SECRET), SECRET).unwrap();
        symlink(disk.0.path().join(SECRET), folder.join("out")).unwrap();
        symlink("../..", folder.join("up")).unwrap();
        disk
    }

    fn root(&self) -> PathBuf {
        self.0.path().join("root")
    }

    /// `folder`, as it is granted; and `DENIED`, which never is.
    pub(crate) fn folders(&self, grants: &Grants) -> Arc<HashMap<String, RouteFolder>> {
        let folder = |named: &str| RouteFolder {
            account: 0,
            named: named.to_owned(),
            root: self.root(),
            below: named.to_owned(),
            may_read: grants.cover(Capability::ReadFile, named),
            may_write: grants.cover(Capability::WriteFile, named),
            reserve_bytes: 1 << 20,
        };
        Arc::new(HashMap::from([
            ("folder".to_owned(), folder("GRANTED")),
            ("DENIED".to_owned(), folder("DENIED")),
        ]))
    }

    /// Checks what an instance has done with such grants, once all that it began has ended. Whether
    /// it has made anything.
    pub(crate) fn judge(self, grants: &Grants) -> bool {
        self.all_are_closed();
        let names = |path: PathBuf| -> Vec<String> {
            let names = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name());
            let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
            names.sort();
            names
        };
        assert_eq!(fs::read_to_string(self.0.path().join(SECRET)).unwrap(), SECRET, "it was changed");
        assert_eq!(names(self.0.path().to_owned()), ["root", SECRET]);
        assert_eq!(names(self.root()), ["DENIED", "GRANTED"]);
        assert!(names(self.root().join("DENIED")).is_empty(), "it was not granted");
        let own = names(self.root().join("GRANTED"));
        let may_write = grants.cover(Capability::WriteFile, "GRANTED");
        assert!(may_write || own == ["out", "up"], "writing was not granted: {own:?}");
        own.iter().any(|name| !matches!(&**name, "out" | "up"))
    }

    /// Waits until this process has nothing open there: calls that were given up are done on a
    /// thread of their own.
    fn all_are_closed(&self) {
        for _ in 0..1_000 {
            if !has_open(self.0.path()) {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("files stay behind");
    }
}

/// Whether this process has a file open below a folder.
fn has_open(folder: &Path) -> bool {
    let open = fs::read_dir("/proc/self/fd").unwrap().flatten();
    open.filter_map(|entry| fs::read_link(entry.path()).ok()).any(|target| target.starts_with(folder))
}
