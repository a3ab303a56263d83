//! Trial of a restored store: the former store comes back if no start on the new one ends well.
//!
//! ```text
//! install     writes lotmq.redb.restored, empty: nobody has started on the new store
//! start       notes in the file that it began; if one began before, the former store comes back
//! good start  removes the file
//! ```
//!
//! So a panic, a kill or a power loss in the first start costs the restore and not the former
//! store. Not here: errors of a start in the process that restored (`Installed::undo`).

use std::fs::File;
use std::io::{ErrorKind, Result, Write as _};
use std::path::{Path, PathBuf};

use super::{BEFORE_FILE, DATABASE_FILE, sync};

/// Name of the file of a trial.
const TRIAL_FILE: &str = "lotmq.redb.restored";

/// Content of the file once a start has begun.
const STARTED: &[u8] = b"started\n";

/// Begins the trial of a store that takes the place of another one next.
pub(crate) fn begin(directory: &Path) -> Result<()> {
    write(directory, b"")
}

/// Notes that a start begins on the store of a trial. If one has begun before, puts the former
/// store back and ends the trial. Returns whether it did that.
pub(crate) fn start(directory: &Path) -> Result<bool> {
    match std::fs::read(file(directory)) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
        Ok(note) if note.is_empty() => {
            write(directory, STARTED)?;
            #[cfg(feature = "fault-points")]
            crate::fault::reached("started");
            Ok(false)
        }
        Ok(_) => {
            let is_back = put_back(directory)?;
            end(directory)?;
            Ok(is_back)
        }
    }
}

/// Ends a trial, if there is one.
pub(crate) fn end(directory: &Path) -> Result<()> {
    match std::fs::remove_file(file(directory)) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed.and_then(|()| sync(directory)),
    }
}

/// Puts the former store back. False if the operator has removed it.
fn put_back(directory: &Path) -> Result<bool> {
    match std::fs::rename(directory.join(BEFORE_FILE), directory.join(DATABASE_FILE)) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        renamed => renamed.and_then(|()| sync(directory)).map(|()| true),
    }
}

fn write(directory: &Path, note: &[u8]) -> Result<()> {
    let mut file = File::create(file(directory))?;
    file.write_all(note)?;
    file.sync_all()?;
    sync(directory)
}

fn file(directory: &Path) -> PathBuf {
    directory.join(TRIAL_FILE)
}
