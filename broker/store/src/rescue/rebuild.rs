//! Makes a new file of what is whole in a damaged one.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use lotmq_changes::record::Records;
use lotmq_changes::table::{Row, Table, seal};
use lotmq_changes::{Corruption, MessageId, QuarantineRow, SessionId};
use redb::{Database, ReadTransaction, ReadableDatabase as _, WriteTransaction};

use super::inspect::deliveries_of_lost;
use super::{Damage, Findings, RESCUE_FILE, forget, install, open_healed};
use crate::backend;
use crate::check;
use crate::error::OpenError;
use crate::export;
use crate::limits::OFFLINE_CACHE_BYTES;
use crate::load;
use crate::load_error::{LoadError, contained, from_redb};
use crate::log::chunk::ChunkBuilder;
use crate::table::{LOG, LOG_NAME, PAYLOADS, PAYLOADS_NAME, definition};

/// Bytes of one transaction.
const TRANSACTION_BYTES: usize = 32 << 20;

/// Numbers of messages that are left out, as those of a chunk that is gone may be among them.
const MESSAGE_IDS_SKIPPED: u64 = 1 << 20;

/// Most records of one chunk; its header counts with 16 bits.
const RECORDS_PER_CHUNK_MAX: u64 = 60_000;

/// Messages that turn out to be missing only when the new file is read; with more of them it is not
/// made.
const MISSING_MAX: usize = 64;

/// Makes the new file and puts it in the place of the old one.
pub(super) fn replace(
    directory: &Path,
    path: &Path,
    mut findings: Findings,
) -> Result<Vec<Damage>, OpenError> {
    for _ in 0..MISSING_MAX {
        forget(directory);
        let made = contained(|| {
            let (damaged, _) = open_healed(path)?;
            let reading = damaged.begin_read().map_err(from_redb)?;
            make(&directory.join(RESCUE_FILE), &reading, &findings)
        });
        match made {
            Ok(()) => {
                install(directory).map_err(|source| OpenError::Io { path: path.to_owned(), source })?;
                return Ok(findings.damage);
            }
            Err(LoadError::Corrupted(corruption)) => {
                let Corruption::MessageMissing { message } = corruption else {
                    forget(directory);
                    return Err(LoadError::Corrupted(corruption).at(path));
                };
                findings.lost.insert(MessageId(message));
                let (key, value) = (message.to_be_bytes().to_vec(), Vec::new());
                findings.damage.push(Damage {
                    table: PAYLOADS_NAME,
                    key,
                    value,
                    corruption,
                    protects: false,
                });
            }
            Err(other) => {
                forget(directory);
                return Err(other.at(&directory.join(RESCUE_FILE)));
            }
        }
    }
    forget(directory);
    let corruption = Corruption::Structure("too many messages are missing".to_owned());
    Err(LoadError::from(corruption).at(path))
}

fn make(new: &Path, damaged: &ReadTransaction, findings: &Findings) -> Result<(), LoadError> {
    let factory = backend::new_file(new.to_owned());
    let (database, _) = load::open_database(&factory, OFFLINE_CACHE_BYTES)?;
    load::clear(&database)?;
    let mut copy = Copy { database: &database, transaction: None, waiting: 0 };
    for &table in Table::ALL.iter().filter(|table| has(damaged, **table)) {
        copy.rows(damaged, table, findings)?;
    }
    copy.payloads(damaged, findings)?;
    copy.log(damaged, findings)?;
    copy.put_aside(findings)?;
    copy.finish()?;
    load::drop_orphaned_payloads(&database)?;
    // Everything again, as a start reads it: what is not whole is not put in the place of anything.
    load::check_schema(&database)?;
    check::load_contents(&database)
}

/// Whether there is such a table; that none is missing has been found out by now.
fn has(damaged: &ReadTransaction, table: Table) -> bool {
    !matches!(damaged.open_table(definition(table)), Err(redb::TableError::TableDoesNotExist(_)))
}

/// Writes rows in transactions of bounded size.
struct Copy<'d> {
    database: &'d Database,
    transaction: Option<WriteTransaction>,
    waiting: usize,
}

impl Copy<'_> {
    /// Lets `write` use the transaction for this many bytes.
    fn write(
        &mut self,
        bytes: usize,
        write: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), LoadError> {
        if self.waiting > TRANSACTION_BYTES {
            self.finish()?;
        }
        let transaction = match self.transaction.take() {
            Some(transaction) => transaction,
            None => self.database.begin_write().map_err(from_redb)?,
        };
        write(&transaction).map_err(from_redb)?;
        self.transaction = Some(transaction);
        self.waiting += bytes;
        Ok(())
    }

    fn finish(&mut self) -> Result<(), LoadError> {
        self.waiting = 0;
        match self.transaction.take() {
            Some(transaction) => transaction.commit().map_err(from_redb),
            None => Ok(()),
        }
    }

    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), LoadError> {
        self.write(key.len() + value.len(), |transaction| {
            transaction.open_table(definition(table))?.insert(key, value)?;
            Ok(())
        })
    }

    fn rows(
        &mut self,
        damaged: &ReadTransaction,
        table: Table,
        findings: &Findings,
    ) -> Result<(), LoadError> {
        let mut failed = Ok(());
        let read = export::each_row(damaged, table.name(), |key, value| {
            if findings.damaged.contains(&(table.name(), key.to_vec())) {
                return Ok(());
            }
            failed = self.put(table, key, value);
            if failed.is_err() { Err(std::io::Error::other("not written")) } else { Ok(()) }
        });
        failed.and(read)
    }

    fn payloads(&mut self, damaged: &ReadTransaction, findings: &Findings) -> Result<(), LoadError> {
        let table = damaged.open_table(PAYLOADS).map_err(|error| LoadError::table(PAYLOADS_NAME, error))?;
        for row in redb::ReadableTable::iter(&table)? {
            let (key, value) = row?;
            if findings.lost.contains(&MessageId(key.value().0)) {
                continue;
            }
            self.write(value.value().len(), |transaction| {
                transaction.open_table(PAYLOADS)?.insert(key.value(), value.value())?;
                Ok(())
            })?;
        }
        Ok(())
    }

    /// The chunks that are whole, under the numbers that they have; between them records that mean
    /// nothing.
    fn log(&mut self, damaged: &ReadTransaction, findings: &Findings) -> Result<(), LoadError> {
        let table = damaged.open_table(LOG).map_err(|error| LoadError::table(LOG_NAME, error))?;
        let mut next = findings.chunks.first().map_or(1, |(lsn, _)| *lsn);
        for (lsn, count) in &findings.chunks {
            while next < *lsn {
                let missing = (*lsn - next).min(RECORDS_PER_CHUNK_MAX);
                let nothing = vec![(SessionId(0), MessageId(0)); usize::try_from(missing).unwrap_or(0)];
                next = self.dequeues(next, &nothing, findings.next_message_id)?;
            }
            let Some(value) = redb::ReadableTable::get(&table, *lsn)? else { continue };
            self.chunk(*lsn, value.value())?;
            next = lsn + count;
        }
        if !findings.has_gaps() && findings.lost.is_empty() {
            return Ok(());
        }
        let mut lost = deliveries_of_lost(damaged, findings)?;
        lost.push((SessionId(0), MessageId(0)));
        let next_message_id = findings.next_message_id.saturating_add(MESSAGE_IDS_SKIPPED);
        for some in lost.chunks(usize::try_from(RECORDS_PER_CHUNK_MAX).unwrap_or(1)) {
            next = self.dequeues(next, some, next_message_id)?;
        }
        Ok(())
    }

    /// Writes a chunk that takes messages out of queues; returns the number of the record behind
    /// it.
    fn dequeues(
        &mut self,
        lsn: u64,
        pairs: &[(SessionId, MessageId)],
        next_message_id: u64,
    ) -> Result<u64, LoadError> {
        let mut records = Records::default();
        pairs.iter().for_each(|(session, message)| records.dequeue(*session, *message));
        let len = records.bytes().len();
        let mut chunk = ChunkBuilder::new(lsn, len, len);
        for frame in records.frames().flatten() {
            chunk.push(frame);
        }
        let value = chunk.finish(next_message_id);
        self.chunk(lsn, &value)?;
        Ok(lsn + pairs.len() as u64)
    }

    fn chunk(&mut self, lsn: u64, value: &[u8]) -> Result<(), LoadError> {
        self.write(value.len(), |transaction| {
            transaction.open_table(LOG)?.insert(lsn, value)?;
            Ok(())
        })
    }

    fn put_aside(&mut self, findings: &Findings) -> Result<(), LoadError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let found_at_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        for damage in &findings.damage {
            let row = QuarantineRow {
                table: damage.table.to_owned(),
                key: damage.key.clone(),
                value: damage.value.clone(),
                reason: damage.corruption.to_string(),
                found_at_ms,
            };
            let key = row.key();
            self.put(Table::Quarantine, &key, &seal(&key, &row))?;
        }
        Ok(())
    }
}
