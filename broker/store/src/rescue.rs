//! Repair of a damaged store: copies readable rows into a new file and puts the others aside in it,
//! row by row.
//!
//! ```text
//! look      reads the damaged file through an overlay that never writes: every row,
//!           every chunk of the log, large messages
//! decide    puts protecting rows aside only on request; does not guess at damage
//!           that no row explains
//! copy      lotmq.redb.rescue gets all that is whole, its table `quarantine` the rest;
//!           table `queues` is left out, because the log says the same
//! replace   lotmq.redb.damaged becomes a second name of lotmq.redb,
//!           then lotmq.redb.rescue is renamed to lotmq.redb
//! ```
//!
//! Invariants: the damaged file is never written. Whenever the process ends, `lotmq.redb` is the
//! old file or the new one, each whole. Not here: reports to users (`server`).

mod heal;
mod inspect;
mod rebuild;

use std::path::Path;

use lotmq_changes::Corruption;
use redb::{Builder, Database, ReadableDatabase as _};

use crate::backend::{self, AnyBackend, BackendFactory};
use crate::check;
use crate::directory::{self, DATABASE_FILE};
use crate::error::OpenError;
use crate::limits::OFFLINE_CACHE_BYTES;
use crate::load;
use crate::load_error::{LoadError, contained, from_redb};
use crate::overlay::Overlay;

use heal::heal;
pub(crate) use heal::{header, header_of, is_undone};
pub(crate) use inspect::{Damage, Findings, inspect};

/// Name of the file that is made of what can be read.
const RESCUE_FILE: &str = "lotmq.redb.rescue";

/// Second name of the damaged file, kept until the next one is damaged.
const DAMAGED_FILE: &str = "lotmq.redb.damaged";

/// Rows that the repair may put aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Consent {
    /// Rows whose loss permits nothing.
    Ordinary,
    /// Also what denies something: without it that is allowed.
    Protecting,
}

/// Opens a file in which damage was met: all of its tree is checked, however large it is, and
/// nothing is undone that was committed. Nothing is changed in one that is damaged.
pub(crate) fn open_checked(factory: &BackendFactory, cache_bytes: usize) -> Result<Database, LoadError> {
    let (overlay, pending) =
        Overlay::over(AnyBackend(factory().map_err(LoadError::Io)?)).map_err(LoadError::Io)?;
    let view = overlay.clone();
    let before = header_of(&view).map_err(LoadError::Io)?;
    let (mut database, _) = load::open_backend(overlay, cache_bytes)?;
    database.check_integrity()?;
    if is_undone(&before, &header_of(&view).map_err(LoadError::Io)?) {
        return Err(Corruption::Structure("what was committed last is damaged".to_owned()).into());
    }
    pending.settle().map_err(LoadError::Io)?;
    Ok(database)
}

/// Makes the store in a directory whole, whose lock is held. Returns what was put aside; nothing
/// when nothing was damaged, or only table `queues`.
///
/// # Errors
/// See [`OpenError`]; nothing has changed then.
pub(crate) fn rescue(directory: &Path, consent: Consent) -> Result<Vec<Damage>, OpenError> {
    let path = directory.join(DATABASE_FILE);
    let tree = check_tree(&path);
    if tree.is_ok() && contained(|| check::load_contents(&open_untouched(&path)?)).is_ok() {
        return Ok(Vec::new());
    }
    let found = contained(|| look(&path)).map_err(|error| error.at(&path))?;
    if found.damage.is_empty() && found.derived.is_empty() {
        // Damage that no row explains: nobody can tell what is missing.
        tree.map_err(|error| error.at(&path))?;
    }
    for corruption in &found.derived {
        tracing::warn!(error = %corruption, "where the messages of queues are is learnt from the log again");
    }
    let protecting: Vec<&Damage> = found.damage.iter().filter(|damage| damage.protects).collect();
    if let Some(first) = protecting.first()
        && (consent == Consent::Ordinary || first.is_irreplaceable())
    {
        let rows = protecting.iter().map(|damage| damage.to_string()).collect::<Vec<_>>().join("; ");
        return Err(OpenError::ProtectionDamaged {
            directory: directory.to_owned(),
            rows,
            may_be_put_aside: !protecting.iter().any(|damage| damage.is_irreplaceable()),
        });
    }
    rebuild::replace(directory, &path, found)
}

/// Everything that is damaged in a closed store, its tree included. The file is only read.
pub(crate) fn check(path: &Path) -> Result<Vec<Corruption>, LoadError> {
    let mut found = Vec::new();
    match check_tree(path) {
        Err(LoadError::Corrupted(corruption)) => found.push(corruption),
        other => other?,
    }
    let rows = contained(|| {
        load::check_schema(&open_healed(path)?.0)?;
        look(path)
    });
    match rows {
        Ok(findings) => found.extend(findings.into_corruptions()),
        // Said already, in the same words.
        Err(LoadError::Corrupted(corruption)) if found.contains(&corruption) => {}
        Err(LoadError::Corrupted(corruption)) => found.push(corruption),
        Err(other) => return Err(other),
    }
    Ok(found)
}

/// Reads every row, and says what is damaged.
fn look(path: &Path) -> Result<Findings, LoadError> {
    let (database, derived) = open_healed(path)?;
    let mut findings = inspect(&database.begin_read().map_err(from_redb)?)?;
    findings.derived.extend(derived);
    Ok(findings)
}

/// Opens a file of which nothing is changed, and nothing is checked.
fn open_untouched(path: &Path) -> Result<Database, LoadError> {
    database_on(overlay(path)?)
}

/// The same with pages healed, so that also a file that was not closed opens in spite of damage,
/// and what was damaged in table `queues`.
fn open_healed(path: &Path) -> Result<(Database, Vec<Corruption>), LoadError> {
    let healed = overlay(path)?;
    match heal(&healed) {
        Ok(derived) => Ok((database_on(healed)?, derived)),
        // One that was closed opens all the same.
        Err(LoadError::Corrupted(corruption)) => {
            drop(healed);
            let database = open_untouched(path).map_err(|_| corruption)?;
            Ok((database, Vec::new()))
        }
        Err(other) => Err(other),
    }
}

/// A file of which nothing is changed.
pub(crate) fn overlay(path: &Path) -> Result<Overlay, LoadError> {
    let file = backend::open_to_read(path).map_err(LoadError::Io)?;
    let (overlay, _) = Overlay::over(file).map_err(LoadError::Io)?;
    Ok(overlay)
}

fn database_on(overlay: Overlay) -> Result<Database, LoadError> {
    Ok(Builder::new().set_cache_size(OFFLINE_CACHE_BYTES).create_with_backend(overlay)?)
}

/// Verifies all checksums of redb's own.
fn check_tree(path: &Path) -> Result<(), LoadError> {
    contained(|| {
        let mut database = open_untouched(path)?;
        database.check_integrity()?;
        Ok(())
    })
}

/// Removes what a rescue has left that was cut off.
pub(crate) fn forget(directory: &Path) {
    // Usually there is nothing.
    let _ = std::fs::remove_file(directory.join(RESCUE_FILE));
}

/// Removes the file that was damaged.
pub(crate) fn forget_damaged(directory: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(directory.join(DAMAGED_FILE)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Puts the new file in the place of the damaged one, which keeps a second name.
fn install(directory: &Path) -> std::io::Result<()> {
    let (current, damaged) = (directory.join(DATABASE_FILE), directory.join(DAMAGED_FILE));
    forget_damaged(directory)?;
    if std::fs::hard_link(&current, &damaged).is_err() {
        // Not every file system has second names.
        std::fs::copy(&current, &damaged)?;
    }
    directory::sync(directory)?;
    std::fs::rename(directory.join(RESCUE_FILE), &current)?;
    directory::sync(directory)
}
