//! Commits one group: the log records of its batches as chunks, its row changes, and the cleaning
//! of the log, all in one transaction.
//!
//! Invariant: after an error the [`Committer`]'s index may be ahead of the file; it must be loaded
//! anew.

mod cancel;
mod components;
mod packer;
mod tables;

use std::sync::Arc;

use lotmq_changes::record::Records;
use lotmq_changes::table::{Row, Table, audit_key, seal};
use lotmq_changes::{Batch, CommitError, CommitErrorKind, MessageId, MetaRow, RowChange, SessionId};
use redb::{Database, ReadableTable, WriteTransaction};

use crate::component::ComponentName;
use crate::directory::is_full;
use crate::limits::{CHUNKS_DROPPED_PER_GROUP_MAX, Limits, PAGED_OUT_MIN, SESSION_IDS_RESERVED};
use crate::load::Loaded;
use crate::log::index::{IndexError, LogIndex, Room};
use crate::log::relocate::{self, Budget, RelocateError};
use crate::metrics::{self, Counters};
use crate::recent::Recent;
use crate::secret::SecretCipher;
use cancel::Cancelled;
use components::ModuleWrite;
use packer::Packer;
use tables::{LogTable, Tables};

/// State that the writer needs to commit a group.
pub(crate) struct Committer {
    index: LogIndex,
    cipher: Arc<SecretCipher>,
    limits: Limits,
    /// Sessions numbered below this may exist, by the file.
    sessions_reserved: u64,
    /// Versions of retained messages deleted lately.
    deleted_retained: Recent<Vec<u8>, u64>,
    /// Messages whose rows in table `payloads` are to be removed.
    dead_payloads: Vec<MessageId>,
    /// The rows of table `queues` do not belong to the index.
    has_foreign_rows: bool,
    /// An old chunk cannot be read: the log is no longer cleaned, because only a prefix may go.
    is_damaged: bool,
}

impl Committer {
    /// Takes over what was loaded; the database itself stays with the caller.
    pub(crate) fn new(loaded: Loaded, cipher: Arc<SecretCipher>, limits: Limits) -> (Self, Database) {
        let committer = Self {
            index: loaded.index,
            cipher,
            limits,
            sessions_reserved: loaded.sessions_reserved,
            deleted_retained: Recent::default(),
            dead_payloads: loaded.orphaned_payloads,
            has_foreign_rows: loaded.has_foreign_rows,
            is_damaged: false,
        };
        (committer, loaded.database)
    }

    /// Takes over what was loaded after a failure.
    pub(crate) fn reload(&mut self, loaded: Loaded) -> Database {
        let next_message_id = self.index.next_message_id;
        let early = std::mem::take(&mut self.index.early).undo();
        self.index = loaded.index;
        self.index.early = early;
        self.index.next_message_id = self.index.next_message_id.max(next_message_id);
        self.sessions_reserved = loaded.sessions_reserved;
        self.dead_payloads = loaded.orphaned_payloads;
        self.has_foreign_rows = loaded.has_foreign_rows;
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
        let cancelled = Cancelled::of(batches.clone(), &self.index);
        let cancelled = cancelled.map_err(|error| failed(packer::own_bytes(error)))?;
        cancelled.messages.iter().for_each(|id| self.index.note_number(*id));
        if !cancelled.is_all(batches.clone()) {
            let transaction = database.begin_write().map_err(failed)?;
            self.write(&transaction, batches.clone(), &cancelled, counters).map_err(failed)?;
            transaction.commit().map_err(failed)?;
            metrics::add(&counters.commits, 1);
            let bytes: usize = batches.map(Batch::bytes).sum();
            metrics::add(&counters.bytes, bytes.saturating_sub(cancelled.bytes) as u64);
        }
        self.index.early.committed();
        metrics::add(&counters.cancelled, cancelled.messages.len() as u64);
        #[cfg(test)]
        self.check(database);
        self.show(counters);
        Ok(())
    }

    /// Sets the figures of what is stored.
    pub(crate) fn show(&self, counters: &Counters) {
        metrics::set(&counters.log_bytes, self.index.chunks.total_bytes());
        metrics::set(&counters.log_live_bytes, self.index.chunks.live_bytes());
        metrics::set(&counters.payload_live_bytes, self.index.externals.bytes());
        metrics::set(&counters.log_chunks, self.index.chunks.len() as u64);
        metrics::set(&counters.deliveries, self.index.deliveries());
        metrics::set(&counters.entries_in_memory, self.index.in_memory() as u64);
    }

    /// The books are right, and what a start would learn from the file is what is known here.
    #[cfg(test)]
    fn check(&self, database: &Database) {
        use redb::ReadableDatabase as _;

        use crate::log::replay::{self, Rows};
        let transaction = database.begin_read().expect("the database is open");
        let rows = Rows::open(&transaction).expect("the table is there");
        self.index.check_invariants(&rows);
        let sessions: Vec<_> = self.index.session_ids();
        let whole = replay::whole(&transaction, &sessions).expect("the log is whole");
        replay::check_rows(&transaction, &whole, &sessions).expect("the rows say what the log says");
        for session in sessions {
            let of_log = replay::entries(&whole, session, &replay::NoPages).expect("all is in memory");
            assert_eq!(replay::entries(&self.index, session, &rows).expect("pages can be read"), of_log);
        }
    }

    /// Whether more entries are in memory than should be, as after a start on a file without table
    /// `queues`.
    pub(crate) fn has_too_much_in_memory(&self) -> bool {
        self.index.in_memory() > self.limits.entries_in_memory_max
    }

    fn write<'b>(
        &mut self,
        transaction: &WriteTransaction,
        batches: impl Iterator<Item = &'b Batch> + Clone,
        cancelled: &Cancelled,
        counters: &Counters,
    ) -> Result<(), redb::Error> {
        let before_lsn = self.index.next_lsn;
        let bytes: usize = batches.clone().map(|batch| batch.records().bytes().len()).sum();
        let bytes = bytes.saturating_sub(cancelled.bytes);
        let mut tables = Tables::new(transaction)?;
        if self.has_foreign_rows {
            tables.queues.clear()?;
        }
        let mut packer = Packer::new(bytes);
        let (mut ops, mut place) = (0, 0);
        for batch in batches {
            ops += batch.len();
            self.write_batch(batch, place, cancelled, &mut packer, &mut tables)?;
            place += batch.records().len();
        }
        components::sweep(&mut tables)?;
        let late = self.index.early.records();
        packer.write(late.frames(), &mut self.index, &mut tables)?;
        packer.finish(&mut self.index, &mut tables.log)?;
        self.relocate(before_lsn, bytes as u64, &mut tables, counters)?;
        self.drop_dead_chunks(&mut tables.log)?;
        self.drop_dead_payloads(&mut tables)?;
        self.page_out(ops, &mut tables, counters)?;
        self.has_foreign_rows = false;
        Ok(())
    }

    /// Writes out what nothing happened to for longest, if memory or the log has too much.
    fn page_out(
        &mut self,
        ops: usize,
        tables: &mut Tables<'_>,
        counters: &Counters,
    ) -> Result<(), redb::Error> {
        let room = Room {
            entries_max: self.limits.entries_in_memory_max,
            replay_bytes_max: self.limits.replay_bytes_max,
            // As fast as they come, and faster.
            per_group: ops.saturating_mul(2).max(PAGED_OUT_MIN),
        };
        let before = self.index.in_memory();
        if self.index.page_out(room, &mut tables.queues).map_err(unreadable)? {
            tables.queues.put_mark(self.index.mark())?;
            metrics::add(&counters.paged_out, (before - self.index.in_memory()) as u64);
        }
        Ok(())
    }

    /// Records and row changes in the order in which they were pushed; `first` is the place of its
    /// first record in the group.
    fn write_batch(
        &mut self,
        batch: &Batch,
        first: usize,
        cancelled: &Cancelled,
        packer: &mut Packer,
        tables: &mut Tables<'_>,
    ) -> Result<(), redb::Error> {
        let mut frames = batch.records().frames().zip(first..);
        let is_left = |(frame, place): (_, usize)| (!cancelled.has(place)).then_some(frame);
        let mut written = 0;
        for (after, change) in batch.rows() {
            let some = frames.by_ref().take(after - written).filter_map(is_left);
            packer.write(some, &mut self.index, tables)?;
            written = *after;
            self.change(change, tables)?;
        }
        packer.write(frames.filter_map(is_left), &mut self.index, tables)
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
                if self.index.delete_session(*session, &tables.queues).map_err(unreadable)? {
                    tables.queues.remove_all(*session)?;
                }
                tables.delete(Table::Sessions, key)?;
                tables.delete_prefix(Table::Subscriptions, key)
            }
            RowChange::PutModule { tenant, hash, key, value, component } => {
                let bytes = component.as_deref();
                let component = ComponentName { tenant: *tenant, hash };
                components::put_module(&ModuleWrite { component, key, value, bytes }, tables)
            }
            RowChange::DeleteModule { tenant, key } => components::delete_module(*tenant, key, tables),
            RowChange::PutRetained { key, value, version } => self.put_retained(key, value, *version, tables),
            RowChange::DeleteRetained { key, version } => self.delete_retained(key, *version, tables),
            RowChange::PutSecret { tenant, name, value } => {
                let row = self.cipher.seal(*tenant, name, value).ok_or_else(no_random_numbers)?;
                let key = row.key();
                tables.put(Table::Secrets, &key, &seal(&key, &row))
            }
            RowChange::PutAudit { tenant, number, at_ms, digest, text } => {
                let row = self.cipher.seal_audit(*tenant, *number, (*at_ms, *digest), text.as_bytes());
                let row = row.ok_or_else(no_random_numbers)?;
                let key = row.key();
                tables.put(Table::Audit, &key, &seal(&key, &row))
            }
            RowChange::DeleteAudit { tenant, from, below } => {
                tables.delete_range(Table::Audit, &audit_key(*tenant, *from), &audit_key(*tenant, *below))
            }
            RowChange::PutPayload { message, body } => tables.put_payload(*message, body),
        }
    }

    /// A session beyond the reserved numbers moves the reserve first, so that no number is given
    /// out twice.
    fn reserve_sessions(&mut self, session: SessionId, tables: &mut Tables<'_>) -> Result<(), redb::Error> {
        if session.0 < self.sessions_reserved {
            return Ok(());
        }
        self.sessions_reserved = session.0.saturating_add(SESSION_IDS_RESERVED);
        let row = MetaRow::number(MetaRow::SESSIONS_RESERVED, self.sessions_reserved);
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
        // A later owner must not give this number to a message of the topic.
        self.index.note_number(MessageId(version));
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
        let mut living = Records::with_lists_of(relocate::LIST_BYTES_MAX);
        if self.is_damaged {
            return Ok(());
        }
        for lsn in relocate::choose(&self.index, budget) {
            let log = &tables.log;
            let Some(value) = log.get(lsn)? else { continue };
            metrics::add(&counters.relocated_bytes, value.value().len() as u64);
            let read =
                relocate::living(&mut self.index, lsn, value.value(), log, &tables.queues, &mut living);
            match read {
                Ok(()) => {}
                Err(RelocateError::Index(error)) => return Err(unreadable(error)),
                Err(RelocateError::Damaged(reason)) => {
                    // Kept as it is: what is in it is reported as damaged at the next start, not
                    // thrown away.
                    self.is_damaged = true;
                    metrics::add(&counters.damaged_chunks, 1);
                    tracing::error!(lsn, reason, "log chunk cannot be read");
                    break;
                }
            }
        }
        let mut packer = Packer::new(living.bytes().len());
        packer.write(living.frames(), &mut self.index, tables)?;
        packer.finish(&mut self.index, &mut tables.log)
    }

    /// The newest chunk always stays: it carries the next message number. A few dead ones wait for
    /// others: each time pages of the tree are written.
    fn drop_dead_chunks(&mut self, log: &mut LogTable<'_>) -> Result<(), redb::Error> {
        let mut dead_bytes = 0;
        let is_worth_it = self.index.chunks.iter().take_while(|chunk| chunk.is_dead()).any(|chunk| {
            dead_bytes += chunk.bytes;
            dead_bytes >= self.limits.log_slack_bytes
        });
        if !is_worth_it {
            return Ok(());
        }
        for _ in 0..CHUNKS_DROPPED_PER_GROUP_MAX {
            match self.index.chunks.oldest() {
                Some(oldest) if oldest.is_dead() && self.index.chunks.len() > 1 => {
                    log.remove(oldest.first_lsn)?;
                    self.index.chunks.drop_oldest();
                }
                _ => break,
            }
        }
        Ok(())
    }

    fn drop_dead_payloads(&mut self, tables: &mut Tables<'_>) -> Result<(), redb::Error> {
        self.dead_payloads.extend(self.index.take_dead_payloads());
        for id in std::mem::take(&mut self.dead_payloads) {
            if !self.index.has_external(id) {
                tables.delete_payload(id)?;
            }
        }
        Ok(())
    }
}

fn no_random_numbers() -> redb::Error {
    redb::Error::Io(std::io::Error::other("no random numbers from the system"))
}

/// Converts a failed read of our own page or record. The store must load the file anew before it
/// writes again.
pub(crate) fn unreadable(error: IndexError) -> redb::Error {
    match error {
        IndexError::Storage(error) => error,
        IndexError::Malformed(error) => redb::Error::Corrupted(error.to_string()),
        IndexError::Page(corruption) => redb::Error::Corrupted(corruption.to_string()),
    }
}

/// Converts a failed call of redb into the error for the callers that wait.
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
