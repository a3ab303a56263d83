//! Stamps of files, by which it is seen that they have changed.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;

/// Stamp that changes with a file, also when it was replaced or its link points elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStamp {
    id: (u64, u64, u64),
    modified: (i64, i64),
    changed: (i64, i64),
}

impl From<&Metadata> for FileStamp {
    fn from(file: &Metadata) -> FileStamp {
        FileStamp {
            id: (file.dev(), file.ino(), file.len()),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        }
    }
}
