//! A store made of a backup, beside the one in use, and its way into the place of that.
//!
//! ```text
//! running:  stage     lotmq.redb.restore is made of the stream and read once,
//!                     the store in use is not touched
//! stopped:  install   parts that the backup does not have are copied into it from lotmq.redb
//!                     lotmq.redb.before-restore becomes a second name of lotmq.redb
//!                     lotmq.redb.restored begins the trial of the new store
//!                     lotmq.redb.restore is renamed to lotmq.redb
//! if need be: undo    lotmq.redb.before-restore is renamed to lotmq.redb
//! ```
//!
//! Invariant: whenever the process ends, `lotmq.redb` is the old store or the new one, each whole.
//! Not here: when the broker is stopped, and the trial of the new store (`trial`).

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use lotmq_changes::table::{SecretRow, TABLES};
use lotmq_changes::{ImportError, InstalledLog, StagedLog, TableSize};
use redb::ReadableDatabase as _;

use crate::backend::{self, Durability};
use crate::check;
use crate::directory::{self, BEFORE_FILE, DATABASE_FILE, trial};
use crate::error::OpenError;
use crate::export;
use crate::limits::OFFLINE_CACHE_BYTES;
use crate::load;
use crate::load_error::{LoadError, contained, from_redb};
use crate::offline;
use crate::store::Store;

/// A point at which the tests kill the process.
fn reached(place: &str) {
    #[cfg(feature = "fault-points")]
    crate::fault::reached(place);
    let _ = place;
}

/// A store that is ready to take the place of the one in use. Dropping it removes its file.
#[derive(Debug)]
pub struct Staged {
    directory: PathBuf,
    /// The tables of the backup. Parts none of whose tables is here are kept as they are.
    pub tables: Vec<TableSize>,
    /// Names of secrets that the key of this store does not open.
    pub locked_secrets: Vec<String>,
}

impl Store {
    /// Makes a new store of an exported stream, beside this one, and checks all of it. Takes as
    /// long as an import.
    ///
    /// # Errors
    /// See [`ImportError`]; nothing has changed then.
    pub fn stage(&self, input: &mut dyn Read) -> Result<Staged, ImportError> {
        let directory = self.directory.clone().ok_or(ImportError::NoFile)?;
        directory::forget_staged(&directory);
        let mut staged = Staged { directory, tables: Vec::new(), locked_secrets: Vec::new() };
        staged.tables = offline::fill(&staged.file(directory::STAGED_FILE), input)?;
        staged.locked_secrets = contained(|| {
            let database = open(&staged.file(directory::STAGED_FILE))?;
            check::load_contents(&database)?;
            let transaction = database.begin_read().map_err(from_redb)?;
            let (secrets, _) = load::checked_rows::<SecretRow>(&transaction)?;
            let locked = secrets.into_iter().filter(|row| self.cipher.open_row(row).is_none());
            Ok(locked.map(|row| row.name).collect())
        })
        .map_err(failed)?;
        reached("staged");
        Ok(staged)
    }
}

impl Staged {
    fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Puts it in the place of the store, which must be closed. Takes time for what is kept.
    ///
    /// # Errors
    /// See [`ImportError`]; the store is as it was then.
    pub fn install(self) -> Result<Installed, ImportError> {
        let _lock = directory::enter(&self.directory).map_err(opened)?;
        self.keep_other_parts()?;
        reached("kept");
        let (current, before) = (self.file(DATABASE_FILE), self.file(BEFORE_FILE));
        match std::fs::remove_file(&before) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        if std::fs::hard_link(&current, &before).is_err() {
            // Not every file system has second names.
            std::fs::copy(&current, &before)?;
            std::fs::File::open(&before)?.sync_all()?;
        }
        directory::sync(&self.directory)?;
        reached("linked");
        trial::begin(&self.directory)?;
        std::fs::rename(self.file(directory::STAGED_FILE), &current)?;
        reached("renamed");
        #[cfg(feature = "fault-points")]
        crate::fault::spoil(&current)?;
        directory::sync(&self.directory)?;
        Ok(Installed { directory: self.directory.clone() })
    }

    fn keep_other_parts(&self) -> Result<(), ImportError> {
        contained(|| {
            let (current, staged) = (self.file(DATABASE_FILE), self.file(directory::STAGED_FILE));
            let (from, to) = (open(&current)?, open(&staged)?);
            let reading = from.begin_read().map_err(from_redb)?;
            for info in TABLES.iter().filter(|info| self.keeps(info.backup)) {
                export::copy(&reading, &to, info.name)
                    .map_err(|error| LoadError::Io(io::Error::other(error)))?;
            }
            load::carry_reserve(&reading, &to)?;
            load::load(to).map(drop)
        })
        .map_err(failed)
    }
}

impl StagedLog for Staged {
    fn tables(&self) -> &[TableSize] {
        &self.tables
    }

    fn locked_secrets(&self) -> &[String] {
        &self.locked_secrets
    }

    fn install(self: Box<Self>) -> Result<Box<dyn InstalledLog>, ImportError> {
        Ok(Box::new((*self).install()?))
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        directory::forget_staged(&self.directory);
    }
}

/// A store that has taken the place of another one.
#[derive(Debug)]
pub struct Installed {
    directory: PathBuf,
}

impl Installed {
    /// Puts the former store back; none may be open.
    ///
    /// # Errors
    /// When the file cannot be renamed.
    pub fn undo(self) -> io::Result<()> {
        std::fs::rename(self.directory.join(BEFORE_FILE), self.directory.join(DATABASE_FILE))?;
        directory::sync(&self.directory)?;
        trial::end(&self.directory)
    }
}

impl InstalledLog for Installed {
    fn undo(self: Box<Self>) -> io::Result<()> {
        (*self).undo()
    }
}

fn open(path: &Path) -> Result<redb::Database, LoadError> {
    let factory = backend::factory(Durability::Fsync, path.to_owned());
    load::open_database(&factory, OFFLINE_CACHE_BYTES).map(|(database, _)| database)
}

fn failed(error: LoadError) -> ImportError {
    match error {
        LoadError::Io(error) => ImportError::Io(error),
        other @ (LoadError::Corrupted(_) | LoadError::SchemaTooNew(_) | LoadError::InUse) => {
            ImportError::Load(other.to_string())
        }
    }
}

fn opened(error: OpenError) -> ImportError {
    ImportError::Load(error.to_string())
}
