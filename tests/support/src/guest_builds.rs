//! Record of the sources with which the tests that compile guests have passed.
//!
//! A compiler takes minutes for a guest. These tests run only after one of their inputs changed:
//! `scripts/guest-builds` runs all of them and writes the record.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// Files and folders that guests of the tests are made from: the SDK with its templates, the
/// interfaces, the pages whose commands are run, the commands themselves, and packaged guests.
const INPUTS: [&str; 5] = ["sdk", "wit", "docs/sdk", "broker/cli/src/guest", "broker/cli/src/guest.rs"];

/// Folders below the inputs that tools write.
const WRITTEN: [&str; 3] = ["target", "node_modules", "__pycache__"];

/// Whether the tests that compile guests have to run: always with `LOTMQ_GUEST_BUILDS=run`, else
/// if an input differs from the record.
pub fn guests_changed() -> bool {
    std::env::var_os("LOTMQ_GUEST_BUILDS").is_some_and(|value| value == "run") || recorded() != hash()
}

/// Records that the tests have passed with the present inputs.
pub fn record_guest_builds() {
    fs::write(record(), format!("{}\n", hash())).unwrap();
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn record() -> PathBuf {
    root().join("tests/support/guest-builds.sha256")
}

fn recorded() -> String {
    fs::read_to_string(record()).unwrap_or_default().trim().to_owned()
}

/// SHA-256 of all inputs with their paths, in hexadecimal digits.
fn hash() -> String {
    let mut files = Vec::new();
    for input in INPUTS {
        collect(Path::new(input), &mut files);
    }
    files.sort();
    assert!(files.len() > INPUTS.len(), "{files:?}");
    let mut all = Sha256::new();
    for path in files {
        let bytes = fs::read(root().join(&path)).unwrap();
        all.update(format!("{} {}\n", path.display(), bytes.len()));
        all.update(bytes);
    }
    all.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) {
    let place = root().join(path);
    if !place.is_dir() {
        files.push(path.to_owned());
        return;
    }
    for entry in fs::read_dir(place).unwrap() {
        let name = entry.unwrap().file_name();
        if !WRITTEN.iter().any(|written| name == *written) {
            collect(&path.join(name), files);
        }
    }
}
