//! The check of everything in a database: every row, every message that waits, what is kept of
//! them.

use lotmq_changes::table::{self, Table};
use lotmq_changes::{Corruption, RecoveredQueues, SessionRow};
use redb::{Database, ReadTransaction, ReadableDatabase as _, ReadableTable as _};

use crate::component;
use crate::load;
use crate::load_error::{LoadError, contained, from_redb};
use crate::log::replay;

/// Reads everything once, and keeps nothing of it: the first thing that is damaged is an error.
pub(crate) fn load_contents(database: &Database) -> Result<(), LoadError> {
    let mut found = Vec::new();
    contents(database, &mut found)?;
    found.into_iter().next().map_or(Ok(()), |first| Err(first.into()))
}

/// Looks for damage in every row and every message.
pub(crate) fn contents(database: &Database, found: &mut Vec<Corruption>) -> Result<(), LoadError> {
    let transaction = database.begin_read().map_err(from_redb)?;
    rows(&transaction, found)?;
    match contained(|| component::damaged_modules(&transaction)) {
        Ok(modules) => found.extend(modules.into_iter().map(|(_, corruption)| corruption)),
        Err(error) => note(found, error)?,
    }
    let log = contained(|| {
        let (sessions, _) = load::checked_rows::<SessionRow>(&transaction)?;
        let sessions: Vec<_> = sessions.iter().map(|session| session.id).collect();
        let index = replay::whole(&transaction, &sessions)?;
        load::queues(&transaction, &index, &replay::NoPages, &sessions, RecoveredQueues::Whole)?;
        replay::check_rows(&transaction, &index, &sessions)
    });
    log.or_else(|error| note(found, error))
}

/// Keeps damage and hands on other errors.
fn note(found: &mut Vec<Corruption>, error: LoadError) -> Result<(), LoadError> {
    match error {
        LoadError::Corrupted(corruption) => found.push(corruption),
        LoadError::SchemaTooNew(_) | LoadError::InUse | LoadError::Io(_) => return Err(error),
    }
    Ok(())
}

fn rows(transaction: &ReadTransaction, found: &mut Vec<Corruption>) -> Result<(), LoadError> {
    for &table in Table::ALL {
        let checked = contained(|| {
            let mut damaged = Vec::new();
            for row in load::open(transaction, table)?.iter()? {
                let (key, value) = row?;
                damaged.extend(table::check(table, key.value(), value.value()).err());
            }
            Ok(damaged)
        });
        match checked {
            Ok(damaged) => found.extend(damaged),
            Err(error) => note(found, error)?,
        }
    }
    Ok(())
}
