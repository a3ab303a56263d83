//! Maintenance of a store that no broker has open: sizes, a check of everything, export, import,
//! compacting.

use std::io::{Read, Write};
use std::path::Path;

use lotmq_changes::table::{BackupClass, TABLES, Table};
use lotmq_changes::{Corruption, ImportError, QuarantineRow, TableSize};
use redb::{Database, ReadTransaction, ReadableDatabase as _};

use crate::backend::{self, Durability};
use crate::check;
use crate::directory::{self, DATABASE_FILE};
use crate::error::OpenError;
use crate::export;
use crate::limits::OFFLINE_CACHE_BYTES;
use crate::load;
use crate::load_error::{LoadError, contained, from_redb};
use crate::rescue::{self, Consent};
use crate::store::{Store, refuse_empty};
use crate::table::definition;

/// Sizes of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    /// Bytes of the file, holes included.
    pub file_bytes: u64,
    /// Bytes that it takes on the disk.
    pub disk_bytes: u64,
    /// Every table.
    pub tables: Vec<TableSize>,
}

impl Store {
    /// Sizes of a closed store. The file is only read.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn stats(path: &Path) -> Result<Stats, OpenError> {
        use std::os::unix::fs::MetadataExt as _;
        let file = path.join(DATABASE_FILE);
        let tables = reading(path, sizes)?;
        let data = std::fs::metadata(&file).map_err(|source| OpenError::Io { path: file, source })?;
        Ok(Stats { file_bytes: data.len(), disk_bytes: data.blocks() * 512, tables })
    }

    /// Reads everything in a closed store and says what is damaged: nothing if the list is empty.
    ///
    /// The file is only read. Run it in a process of its own: on a file that a lying disk has
    /// garbled redb may abort.
    ///
    /// # Errors
    /// See [`OpenError`]; damage that lets the file not be opened at all is one of them.
    pub fn check(path: &Path) -> Result<Vec<Corruption>, OpenError> {
        let file = path.join(DATABASE_FILE);
        refuse_empty(&file)?;
        let _lock = directory::enter_to_read(path)?;
        rescue::check(&file).map_err(|error| error.at(&file))
    }

    /// Returns the damaged rows that a closed store has put aside. The file is only read.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn quarantined(path: &Path) -> Result<Vec<QuarantineRow>, OpenError> {
        reading(path, |transaction| {
            let (rows, damaged) = load::checked_rows(transaction)?;
            damaged.into_iter().next().map_or(Ok(rows), |first| Err(first.into()))
        })
    }

    /// Puts aside what is damaged in a closed store, also what protects: whatever that denied may
    /// be allowed afterwards. The damaged file stays as `lotmq.redb.damaged`. Returns everything
    /// that is put aside.
    ///
    /// # Errors
    /// See [`OpenError`]; nothing has changed then.
    pub fn quarantine(path: &Path) -> Result<Vec<QuarantineRow>, OpenError> {
        refuse_empty(&path.join(DATABASE_FILE))?;
        let lock = directory::enter(path)?;
        rescue::rescue(path, Consent::Protecting)?;
        drop(lock);
        Self::quarantined(path)
    }

    /// Removes what was put aside in a closed store; returns how many rows it was.
    /// `lotmq.redb.damaged` goes with it.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn forget_quarantined(path: &Path) -> Result<u64, OpenError> {
        with_database(path, |database| {
            let transaction = database.begin_write().map_err(from_redb)?;
            let mut count = 0;
            let mut table = transaction.open_table(definition(Table::Quarantine)).map_err(from_redb)?;
            table
                .retain(|_, _| {
                    count += 1;
                    false
                })
                .map_err(from_redb)?;
            drop(table);
            transaction.commit().map_err(from_redb)?;
            rescue::forget_damaged(path).map_err(LoadError::Io)?;
            Ok(count)
        })
    }

    /// Writes the tables of these classes, and those that every backup has, as one stream. The file
    /// is only read.
    ///
    /// # Errors
    /// See [`OpenError`]; [`OpenError::Io`] also when `out` takes no more.
    pub fn export(
        path: &Path,
        classes: &[BackupClass],
        out: &mut dyn Write,
    ) -> Result<Vec<TableSize>, OpenError> {
        reading(path, |transaction| export::write(transaction, classes, out))
    }

    /// Makes a new store of an exported stream. The directory must hold none.
    ///
    /// # Errors
    /// See [`ImportError`]; nothing is left behind then.
    pub fn import(path: &Path, input: &mut dyn Read) -> Result<Vec<TableSize>, ImportError> {
        let missing = directory::missing(path);
        let lock = match directory::enter(path) {
            Ok(lock) => lock,
            Err(error) => {
                directory::leave_unmade(&missing, None);
                return Err(ImportError::Load(error.to_string()));
            }
        };
        let imported = import_locked(path, input);
        if imported.is_err() {
            directory::leave_unmade(&missing, Some(lock));
        }
        imported
    }

    /// Rewrites the file of a closed store as small as it can be, without large messages that
    /// nobody is to get; takes seconds per GiB.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn compact(path: &Path) -> Result<(), OpenError> {
        with_database(path, |database| {
            load::drop_orphaned_payloads(database)?;
            // Each pass frees what the one before had to keep.
            while database.compact().map_err(from_redb)? {}
            Ok(())
        })
    }
}

/// Makes the file of an exported stream in a directory whose lock is held.
fn import_locked(path: &Path, input: &mut dyn Read) -> Result<Vec<TableSize>, ImportError> {
    let file = path.join(DATABASE_FILE);
    if file.exists() {
        return Err(ImportError::Exists(file));
    }
    let part = path.join("lotmq.redb.import");
    if part.exists() {
        std::fs::remove_file(&part)?;
    }
    let result = fill(&part, input);
    if result.is_err() {
        // The first error is the one that matters.
        let _ = std::fs::remove_file(&part);
    }
    let sizes = result?;
    directory::give_to_owner(path, &part)?;
    std::fs::rename(&part, &file)?;
    directory::sync(path)?;
    Ok(sizes)
}

/// Locks the directory and opens the file that must be there.
fn with_database<T>(
    path: &Path,
    work: impl FnOnce(&mut Database) -> Result<T, LoadError>,
) -> Result<T, OpenError> {
    let file = path.join(DATABASE_FILE);
    // Before the lock, which would make the directory.
    refuse_empty(&file)?;
    let _lock = directory::enter(path)?;
    let result = contained(|| {
        let factory = backend::factory(Durability::Fsync, file.clone());
        let (mut database, _) = load::open_database(&factory, OFFLINE_CACHE_BYTES)?;
        work(&mut database)
    });
    result.map_err(|error| error.at(&file))
}

/// The same without changing anything: what redb writes when it opens and closes the file stays in
/// memory.
fn reading<T>(
    path: &Path,
    work: impl FnOnce(&ReadTransaction) -> Result<T, LoadError>,
) -> Result<T, OpenError> {
    let file = path.join(DATABASE_FILE);
    refuse_empty(&file)?;
    let _lock = directory::enter_to_read(path)?;
    let result = contained(|| {
        let (database, _) = load::open_backend(rescue::overlay(&file)?, OFFLINE_CACHE_BYTES)?;
        let transaction = database.begin_read().map_err(from_redb)?;
        work(&transaction)
    });
    result.map_err(|error| error.at(&file))
}

/// Makes a database of the stream and reads all of it once.
pub(crate) fn fill(part: &Path, input: &mut dyn Read) -> Result<Vec<TableSize>, ImportError> {
    let factory = backend::new_file(part.to_owned());
    let failed = |error: LoadError| ImportError::Load(error.to_string());
    let (database, _) = load::open_database(&factory, OFFLINE_CACHE_BYTES).map_err(failed)?;
    load::clear(&database).map_err(failed)?;
    let sizes = export::read(&database, input)?;
    load::check_schema(&database).map_err(failed)?;
    let related = contained(|| check::relations(&database.begin_read().map_err(from_redb)?));
    related.map_err(failed)?;
    load::load(database).map(drop).map_err(failed)?;
    Ok(sizes)
}

fn sizes(transaction: &ReadTransaction) -> Result<Vec<TableSize>, LoadError> {
    TABLES
        .iter()
        .map(|info| {
            let mut size = TableSize { name: info.name, rows: 0, bytes: 0 };
            export::each_row(transaction, info.name, |key, value| {
                size.rows += 1;
                size.bytes += (key.len() + value.len()) as u64;
                Ok(())
            })?;
            Ok(size)
        })
        .collect()
}
