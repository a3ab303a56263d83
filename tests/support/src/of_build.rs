//! Files that tests keep beside a binary as long as it is the same build.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// Returns a path beside a binary that begins with `name` and differs for each build. Removes the
/// files of former builds.
pub fn of_build(binary: &Path, name: &str) -> PathBuf {
    let built_at = fs::metadata(binary).and_then(|data| data.modified()).unwrap();
    let built_at = built_at.duration_since(UNIX_EPOCH).unwrap().as_nanos();
    let place = binary.with_file_name(format!("{name}-{built_at}"));
    if !place.exists() {
        remove_others(&place, name);
    }
    place
}

fn remove_others(place: &Path, name: &str) {
    for entry in fs::read_dir(place.parent().unwrap()).unwrap().flatten() {
        let is_of_name = entry.file_name().to_string_lossy().starts_with(&format!("{name}-"));
        if is_of_name && entry.path() != place {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
