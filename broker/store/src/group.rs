//! Commits one group: the log records of its batches as chunks, its row changes, and the cleaning of the log, all in one
//! transaction.
//!
//! Invariant: after an error the [`Committer`]'s index may be ahead of the file; it must be loaded anew.

use std::collections::BTreeMap;

use redb::{Database, ReadableTable, WriteTransaction};

use crate::batch::{Batch, RowChange};
use crate::error::{CommitError, CommitErrorKind};
use crate::limits::{CHUNKS_DROPPED_PER_GROUP_MAX, Limits, PAYLOAD_PART_BYTES_MAX, SESSION_IDS_RESERVED};
use crate::load::Loaded;
use crate::log::chunk::ChunkBuilder;
use crate::log::index::LogIndex;
use crate::log::record::{Frames, Records};
use crate::log::relocate::{self, Budget};
use crate::metrics::{self, Counters};
use crate::recent::Recent;
use crate::secret::SecretCipher;
use crate::table::{LOG, MetaRow, PAYLOADS, Row, Table, meta, retained, seal, unseal};
use crate::{MessageId, SessionId};

/// What the writer must know to commit a group.
pub(crate) struct Committer {
    index: LogIndex,
    cipher: SecretCipher,
    limits: Limits,
    /// Sessions numbered below this may exist, by the file.
    sessions_reserved: u64,
    /// Versions of retained messages deleted lately.
    deleted_retained: Recent<Vec<u8>, u64>,
    /// Messages whose rows in table `payloads` are to be removed.
    dead_payloads: Vec<MessageId>,
    /// An old chunk cannot be read: the log is no longer cleaned, because only a prefix may go.
    is_damaged: bool,
}

type RowTable<'t> = redb::Table<'t, &'static [u8], &'static [u8]>;
type LogTable<'t> = redb::Table<'t, u64, &'static [u8]>;
type PayloadTable<'t> = redb::Table<'t, (u64, u64), &'static [u8]>;

impl Committer {
    /// Takes over what was loaded; the database itself stays with the caller.
    pub(crate) fn new(loaded: Loaded, cipher: SecretCipher, limits: Limits) -> (Self, Database) {
        let committer = Self {
            index: loaded.index,
            cipher,
            limits,
            sessions_reserved: loaded.sessions_reserved,
            deleted_retained: Recent::default(),
            dead_payloads: loaded.orphaned_payloads,
            is_damaged: false,
        };
        (committer, loaded.database)
    }

    /// Takes over what was loaded after a failure.
    pub(crate) fn reload(&mut self, loaded: Loaded) -> Database {
        let next_message_id = self.index.next_message_id;
        self.index = loaded.index;
        self.index.next_message_id = self.index.next_message_id.max(next_message_id);
        self.sessions_reserved = loaded.sessions_reserved;
        self.dead_payloads = loaded.orphaned_payloads;
        self.is_damaged = false;
        loaded.database
    }

    pub(crate) fn index(&self) -> &LogIndex {
        &self.index
    }

    /// Makes the group durable, or returns why it is not.
    pub(crate) fn commit<'b>(
        &mut self,
        database: &Database,
        batches: impl Iterator<Item = &'b Batch> + Clone,
        counters: &Counters,
    ) -> Result<(), CommitError> {
        let transaction = database.begin_write().map_err(failed)?;
        self.write(&transaction, batches, counters).map_err(failed)?;
        transaction.commit().map_err(failed)?;
        #[cfg(test)]
        self.index.check_invariants();
        metrics::set(&counters.log_bytes, self.index.total_bytes());
        metrics::set(&counters.log_live_bytes, self.index.live_bytes());
        metrics::set(&counters.log_chunks, self.index.chunks.len() as u64);
        metrics::set(&counters.messages, self.index.message_count() as u64);
        Ok(())
    }

    fn write<'b>(
        &mut self,
        transaction: &WriteTransaction,
        batches: impl Iterator<Item = &'b Batch> + Clone,
        counters: &Counters,
    ) -> Result<(), redb::Error> {
        let before_lsn = self.index.next_lsn;
        let bytes: usize = batches.clone().map(|batch| batch.records.bytes().len()).sum();
        let mut tables = Tables::new(transaction)?;
        let mut packer = Packer { chunk: None, remaining: bytes };
        for batch in batches {
            self.write_batch(batch, &mut packer, &mut tables)?;
        }
        packer.finish(&mut self.index, &mut tables.log)?;
        self.relocate(before_lsn, bytes as u64, &mut tables, counters)?;
        self.drop_dead_chunks(&mut tables.log)?;
        self.drop_dead_payloads(&mut tables.payloads)
    }

    /// Records and row changes in the order in which they were pushed.
    fn write_batch(
        &mut self,
        batch: &Batch,
        packer: &mut Packer,
        tables: &mut Tables<'_>,
    ) -> Result<(), redb::Error> {
        let mut frames = batch.records.frames();
        let mut written = 0;
        for (after, change) in &batch.rows {
            packer.write(frames.by_ref().take(after - written), &mut self.index, &mut tables.log)?;
            written = *after;
            self.change(change, tables)?;
        }
        packer.write(frames, &mut self.index, &mut tables.log)
    }

    fn change(&mut self, change: &RowChange, tables: &mut Tables<'_>) -> Result<(), redb::Error> {
        match change {
            RowChange::Put { table, key, value } => tables.put(*table, key, value),
            RowChange::Delete { table, key } => tables.delete(*table, key),
            RowChange::PutSession { session, key, value } => {
                self.index.put_session(*session);
                self.reserve_sessions(*session, tables)?;
                tables.put(Table::Sessions, key, value)
            }
            RowChange::DeleteSession { session, key } => {
                self.index.delete_session(*session);
                tables.delete(Table::Sessions, key)?;
                tables.delete_prefix(Table::Subscriptions, key)
            }
            RowChange::PutRetained { key, value, version } => self.put_retained(key, value, *version, tables),
            RowChange::DeleteRetained { key, version } => self.delete_retained(key, *version, tables),
            RowChange::PutSecret { tenant, name, value } => {
                let Some(row) = self.cipher.seal(*tenant, name, value) else {
                    return Err(redb::Error::Io(std::io::Error::other("no random numbers from the system")));
                };
                let key = row.key();
                tables.put(Table::Secrets, &key, &seal(&key, &row))
            }
            RowChange::PutPayload { message, body } => put_payload(*message, body, &mut tables.payloads),
        }
    }

    /// A session beyond the reserved numbers moves the reserve first, so that no number is given out twice.
    fn reserve_sessions(&mut self, session: SessionId, tables: &mut Tables<'_>) -> Result<(), redb::Error> {
        if session.0 < self.sessions_reserved {
            return Ok(());
        }
        self.sessions_reserved = session.0.saturating_add(SESSION_IDS_RESERVED);
        let row = MetaRow::number(meta::SESSIONS_RESERVED, self.sessions_reserved);
        let key = row.key();
        tables.put(Table::Meta, &key, &seal(&key, &row))
    }

    fn put_retained(
        &mut self,
        key: &[u8],
        value: &[u8],
        version: u64,
        tables: &mut Tables<'_>,
    ) -> Result<(), redb::Error> {
        self.index.next_message_id = self.index.next_message_id.max(version.saturating_add(1));
        let deleted = self.deleted_retained.get(key).is_some_and(|deleted| *deleted > version);
        if deleted || tables.retained_version(key)?.is_some_and(|stored| stored > version) {
            return Ok(());
        }
        tables.put(Table::Retained, key, value)
    }

    fn delete_retained(
        &mut self,
        key: &[u8],
        version: u64,
        tables: &mut Tables<'_>,
    ) -> Result<(), redb::Error> {
        let newest = self.deleted_retained.get(key).map_or(version, |deleted| version.max(*deleted));
        self.deleted_retained.set(key.to_vec(), newest);
        if tables.retained_version(key)?.is_some_and(|stored| stored > version) {
            return Ok(());
        }
        tables.delete(Table::Retained, key)
    }

    /// Writes what is alive in the oldest chunks again, if the log has grown too far.
    fn relocate(
        &mut self,
        before_lsn: u64,
        group_bytes: u64,
        tables: &mut Tables<'_>,
        counters: &Counters,
    ) -> Result<(), redb::Error> {
        let budget = Budget {
            bytes_max: self.limits.relocate_bytes_per_group.max(group_bytes.saturating_mul(2)),
            slack_bytes: self.limits.log_slack_bytes,
            before_lsn,
        };
        let mut living = Records::default();
        if self.is_damaged {
            return Ok(());
        }
        for lsn in relocate::choose(&self.index, budget) {
            let Some(value) = tables.log.get(lsn)? else { continue };
            metrics::add(&counters.relocated_bytes, value.value().len() as u64);
            if let Err(reason) = relocate::living(&self.index, lsn, value.value(), &mut living) {
                // Kept as it is: what is in it is reported as damaged at the next start, not thrown away.
                self.is_damaged = true;
                metrics::add(&counters.damaged_chunks, 1);
                tracing::error!(lsn, reason, "log chunk cannot be read");
                break;
            }
        }
        let mut packer = Packer { chunk: None, remaining: living.bytes().len() };
        packer.write(living.frames(), &mut self.index, &mut tables.log)?;
        packer.finish(&mut self.index, &mut tables.log)
    }

    /// The newest chunk always stays: it carries the next message number.
    fn drop_dead_chunks(&mut self, log: &mut LogTable<'_>) -> Result<(), redb::Error> {
        for _ in 0..CHUNKS_DROPPED_PER_GROUP_MAX {
            match self.index.chunks.front() {
                Some(oldest) if oldest.live_items == 0 && self.index.chunks.len() > 1 => {
                    log.remove(oldest.first_lsn)?;
                    self.index.drop_oldest_chunk();
                }
                _ => break,
            }
        }
        Ok(())
    }

    fn drop_dead_payloads(&mut self, payloads: &mut PayloadTable<'_>) -> Result<(), redb::Error> {
        self.dead_payloads.extend(self.index.take_dead_payloads());
        for id in std::mem::take(&mut self.dead_payloads) {
            payloads.retain_in((id.0, 0)..=(id.0, u64::MAX), |_, _| false)?;
        }
        Ok(())
    }
}

fn put_payload(id: MessageId, body: &[u8], payloads: &mut PayloadTable<'_>) -> Result<(), redb::Error> {
    for (part, bytes) in body.chunks(PAYLOAD_PART_BYTES_MAX - 1).enumerate() {
        let mut value = payloads.insert_reserve((id.0, part as u64), bytes.len() + 1)?;
        if let Some((version, rest)) = value.as_mut().split_first_mut() {
            *version = 1;
            rest.copy_from_slice(bytes);
        }
    }
    Ok(())
}

/// Packs records into chunks and tells the index.
struct Packer {
    chunk: Option<ChunkBuilder>,
    /// Bytes of records still to come, to choose chunk sizes by.
    remaining: usize,
}

impl Packer {
    fn write<'a>(
        &mut self,
        frames: impl Iterator<Item = <Frames<'a> as Iterator>::Item>,
        index: &mut LogIndex,
        log: &mut LogTable<'_>,
    ) -> Result<(), redb::Error> {
        for frame in frames {
            let frame = frame.map_err(own_bytes)?;
            if self.chunk.as_ref().is_some_and(|chunk| !chunk.fits(frame.len())) {
                self.finish(index, log)?;
            }
            if self.chunk.is_none() {
                index.begin_chunk();
            }
            let chunk = self.chunk.get_or_insert_with(|| {
                ChunkBuilder::new(index.next_lsn, frame.len() + 2, self.remaining.max(frame.len() + 2))
            });
            chunk.push(frame);
            index.apply(frame).map_err(own_bytes)?;
            self.remaining = self.remaining.saturating_sub(frame.len() + 2);
        }
        Ok(())
    }

    fn finish(&mut self, index: &mut LogIndex, log: &mut LogTable<'_>) -> Result<(), redb::Error> {
        let Some(chunk) = self.chunk.take() else { return Ok(()) };
        let lsn = chunk.lsn;
        let value = chunk.finish(index.next_message_id);
        log.insert(lsn, value.as_slice())?;
        index.end_chunk(value.len());
        Ok(())
    }
}

/// Records that we encoded ourselves a moment ago do not decode: memory is damaged, nothing must be written.
fn own_bytes(error: crate::encoding::Malformed) -> redb::Error {
    redb::Error::Corrupted(error.to_string())
}

/// The tables of one transaction; row tables are opened when they are needed.
struct Tables<'t> {
    transaction: &'t WriteTransaction,
    log: LogTable<'t>,
    payloads: PayloadTable<'t>,
    rows: BTreeMap<Table, RowTable<'t>>,
}

impl<'t> Tables<'t> {
    fn new(transaction: &'t WriteTransaction) -> Result<Self, redb::Error> {
        let log = transaction.open_table(LOG)?;
        let payloads = transaction.open_table(PAYLOADS)?;
        Ok(Self { transaction, log, payloads, rows: BTreeMap::new() })
    }

    fn table(&mut self, table: Table) -> Result<&mut RowTable<'t>, redb::Error> {
        use std::collections::btree_map::Entry;
        match self.rows.entry(table) {
            Entry::Occupied(open) => Ok(open.into_mut()),
            Entry::Vacant(place) => Ok(place.insert(self.transaction.open_table(table.definition())?)),
        }
    }

    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), redb::Error> {
        self.table(table)?.insert(key, value)?;
        Ok(())
    }

    fn delete(&mut self, table: Table, key: &[u8]) -> Result<(), redb::Error> {
        self.table(table)?.remove(key)?;
        Ok(())
    }

    fn delete_prefix(&mut self, table: Table, prefix: &[u8]) -> Result<(), redb::Error> {
        let table = self.table(table)?;
        match after_prefix(prefix) {
            Some(end) => table.retain_in(prefix..end.as_slice(), |_, _| false)?,
            None => table.retain_in(prefix.., |_, _| false)?,
        }
        Ok(())
    }

    fn retained_version(&mut self, key: &[u8]) -> Result<Option<u64>, redb::Error> {
        let stored = self.table(Table::Retained)?.get(key)?;
        Ok(stored.and_then(|value| {
            unseal(key, value.value()).ok().and_then(|(_, body)| retained::version_of(body))
        }))
    }
}

/// The first key that does not start with the prefix; `None` if there is none.
fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != 0xff)?;
    let mut end = prefix.get(..=last)?.to_vec();
    *end.last_mut()? += 1;
    Some(end)
}

pub(crate) fn failed(error: impl Into<redb::Error>) -> CommitError {
    let error = error.into();
    let kind = if matches!(&error, redb::Error::Io(io) if is_full(io)) {
        CommitErrorKind::NoSpace
    } else if matches!(error, redb::Error::Corrupted(_)) {
        CommitErrorKind::Corrupted
    } else {
        CommitErrorKind::Io
    };
    CommitError { kind, detail: error.to_string().into() }
}

fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_the_next_key_that_lacks_it() {
        for (prefix, expected) in
            [(&[1, 2][..], Some(vec![1, 3])), (&[1, 0xff][..], Some(vec![2])), (&[0xff, 0xff][..], None)]
        {
            assert_eq!(after_prefix(prefix), expected);
        }
    }
}
