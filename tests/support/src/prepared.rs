//! The data directory of a broker that has been started once, kept beside the binary for all tests
//! that begin with a copy of it.
//!
//! Made by whoever needs it first; tests run in many processes at once, so several may make it, and
//! the first that is done wins.

use std::fs;
use std::path::Path;

use crate::BrokerOptions;
use crate::of_build::of_build;

/// Copies the prepared data of this binary to `target`, which does not exist yet; without the
/// native code in it, if that comes from elsewhere.
pub(crate) fn copy_to(target: &Path, binary: &Path, without_code: bool) {
    let prepared = of_build(binary, "lotmq-prepared");
    if !prepared.exists() {
        make(&prepared, binary);
    }
    copy(&prepared, target, without_code.then_some("cache"));
}

fn make(prepared: &Path, binary: &Path) {
    let folder = tempfile::tempdir_in(prepared.parent().unwrap()).unwrap();
    let data = folder.path().join("data");
    let mut broker = BrokerOptions::new(binary).data(&data).start();
    assert!(broker.stop().success());
    // If another process was faster, its copy is as good.
    let _ = fs::rename(&data, prepared);
    assert!(prepared.exists(), "{}", prepared.display());
}

/// Copies a folder, but for what has this name in it.
fn copy(from: &Path, to: &Path, except: Option<&str>) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if except.is_some_and(|except| entry.file_name() == except) {
            continue;
        }
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target, None);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
