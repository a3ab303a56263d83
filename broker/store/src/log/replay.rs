//! Rebuilds the index of the log at start: from the rows of table `queues` and the records behind
//! the mark, or from all of the log.

use lotmq_changes::{Corruption, MessageId, SessionId};
use redb::{ReadTransaction, ReadableTable, ReadableTableMetadata as _};

use crate::load_error::{LoadError, from_redb};
use crate::log::chunk::Chunk;
use crate::log::index::{IndexError, LogIndex, Pages};
use crate::log::page::{self, Entries, IDENTIFIERS, Identifiers, MARK_KEY};
use crate::table::{LOG, QUEUES, QUEUES_NAME};

/// Result of a replay.
pub(crate) struct Replayed {
    pub(crate) index: LogIndex,
    /// The rows of table `queues` do not belong to it: they go with the first group.
    pub(crate) has_foreign_rows: bool,
}

/// Learns what is alive; only these sessions exist.
pub(crate) fn index(transaction: &ReadTransaction, sessions: &[SessionId]) -> Result<Replayed, LoadError> {
    let rows = Rows::open(transaction)?;
    let mut index = LogIndex::new(sessions.iter().copied());
    list_chunks(transaction, &mut index)?;
    match take_rows(&rows, &mut index)? {
        Ok(Some(mark)) => {
            replay(transaction, &mut index, mark, &rows)?;
            index.go_live();
            Ok(Replayed { index, has_foreign_rows: false })
        }
        Ok(None) => Ok(Replayed { index: whole(transaction, sessions)?, has_foreign_rows: false }),
        Err(reason) => {
            tracing::warn!(reason, "the rows of the queues are of no use, all of the log is read");
            Ok(Replayed { index: whole(transaction, sessions)?, has_foreign_rows: true })
        }
    }
}

/// Learns it from the log alone, which takes memory for everything that is alive.
pub(crate) fn whole(transaction: &ReadTransaction, sessions: &[SessionId]) -> Result<LogIndex, LoadError> {
    let mut index = LogIndex::new(sessions.iter().copied());
    list_chunks(transaction, &mut index)?;
    replay(transaction, &mut index, 0, &NoPages)?;
    if let Some(message) = index.headless() {
        return Err(Corruption::MessageMissing { message: message.0 }.into());
    }
    index.go_live();
    Ok(index)
}

/// Compares what the rows of table `queues` say with what the log says.
pub(crate) fn check_rows(
    transaction: &ReadTransaction,
    of_log: &LogIndex,
    sessions: &[SessionId],
) -> Result<(), LoadError> {
    let rows = Rows::open(transaction)?;
    let damaged = |session: SessionId, reason| LoadError::Corrupted(missing(session, MessageId(0), reason));
    let mut index = LogIndex::new(sessions.iter().copied());
    list_chunks(transaction, &mut index)?;
    let mark = take_rows(&rows, &mut index)?.map_err(|reason| damaged(SessionId(0), reason))?;
    replay(transaction, &mut index, mark.unwrap_or(0), &rows)?;
    for &session in sessions {
        let (found, expected) = (entries(&index, session, &rows)?, entries(of_log, session, &NoPages)?);
        if found != expected {
            return Err(damaged(session, "pages differ from the log"));
        }
        let identifiers = |index: &LogIndex| index.session(session).map(|live| live.identifiers.clone());
        if identifiers(&index) != identifiers(of_log) {
            return Err(damaged(session, "identifiers differ from the log"));
        }
    }
    Ok(())
}

/// Whether every row of table `queues` is there, and says something.
pub(crate) fn check_each_row(transaction: &ReadTransaction) -> Result<(), LoadError> {
    let rows = Rows::open(transaction)?;
    let mut found = 0;
    for row in rows.0.iter()? {
        let (key, value) = row?;
        found += 1;
        let (key, value) = (key.value(), value.value());
        let session = SessionId(key.0);
        let said = match key {
            MARK_KEY => page::decode_mark(value).map(drop),
            (_, IDENTIFIERS) => Identifiers::decode(session, value).map(drop),
            _ => page::decode(key, value).map(drop),
        };
        said.map_err(|reason| missing(session, MessageId(key.1), reason))?;
    }
    rows.all_there(found)
}

/// All entries of a session, in memory or not.
pub(crate) fn entries(
    index: &LogIndex,
    session: SessionId,
    pages: &impl Pages,
) -> Result<Entries, LoadError> {
    let Some(live) = index.session(session) else { return Ok(Entries::new()) };
    let mut all: Entries = live.entries.iter().map(|(message, entry)| (*message, *entry)).collect();
    for page in &live.pages {
        all.extend(pages.page(session, page.first)?);
    }
    all.sort_by_key(|(message, _)| *message);
    Ok(all)
}

/// Tells the index every chunk, each of which is checked.
fn list_chunks(transaction: &ReadTransaction, index: &mut LogIndex) -> Result<(), LoadError> {
    let log = transaction.open_table(LOG).map_err(|error| LoadError::table("log", error))?;
    let mut expected = None;
    for row in log.iter()? {
        let (lsn, value) = row?;
        let (lsn, value) = (lsn.value(), value.value());
        let damaged = |reason| LoadError::Corrupted(Corruption::Chunk { lsn, reason });
        if let Some(expected) = expected.filter(|expected| *expected != lsn) {
            return Err(Corruption::LogGap { expected, found: lsn }.into());
        }
        let chunk = Chunk::decode(lsn, value).map_err(damaged)?;
        let next =
            lsn.checked_add(u64::from(chunk.count)).ok_or_else(|| damaged("record number too large"))?;
        index.next_lsn = lsn;
        index.begin_chunk();
        index.chunks.end(value.len());
        index.next_message_id = index.next_message_id.max(chunk.next_message_id);
        index.next_lsn = next;
        expected = Some(next);
    }
    Ok(())
}

/// Takes in the rows of table `queues`; the mark, or none where there is none, or why they are of
/// no use.
fn take_rows(rows: &Rows, index: &mut LogIndex) -> Result<Result<Option<u64>, &'static str>, LoadError> {
    let (mut mark, mut count) = (None, 0);
    for row in rows.0.iter()? {
        count += 1;
        let (key, value) = row?;
        let (key, value) = (key.value(), value.value());
        let session = SessionId(key.0);
        let taken = match key {
            MARK_KEY => page::decode_mark(value).map(|found| {
                mark = Some(found);
                true
            }),
            (_, IDENTIFIERS) => {
                Identifiers::decode(session, value).map(|found| index.found_identifiers(session, found))
            }
            (_, first) => {
                page::decode(key, value).map(|found| index.found_page(session, MessageId(first), found))
            }
        };
        match taken {
            Ok(true) => {}
            Ok(false) => return Ok(Err("a row says what cannot be")),
            Err(reason) => return Ok(Err(reason)),
        }
    }
    if rows.all_there(count).is_err() {
        return Ok(Err("rows are missing"));
    }
    Ok(match mark {
        Some(mark) if mark > index.next_lsn => Err("the mark is beyond the log"),
        None if count > 0 => Err("there is no mark"),
        mark => Ok(mark),
    })
}

/// Feeds the records from `mark` on to the index.
fn replay(
    transaction: &ReadTransaction,
    index: &mut LogIndex,
    mark: u64,
    pages: &impl Pages,
) -> Result<(), LoadError> {
    let log = transaction.open_table(LOG).map_err(|error| LoadError::table("log", error))?;
    let end = index.next_lsn;
    let first = index.chunks.first_lsn(mark).unwrap_or(0);
    for row in log.range(first..)? {
        let (lsn, value) = row?;
        let lsn = lsn.value();
        let damaged = |reason| LoadError::Corrupted(Corruption::Chunk { lsn, reason });
        let chunk = Chunk::decode(lsn, value.value()).map_err(damaged)?;
        index.next_lsn = lsn;
        for frame in chunk.frames() {
            let frame = frame.map_err(|error| damaged(error.0))?;
            if index.next_lsn < mark {
                index.next_lsn += 1;
                continue;
            }
            index.apply(frame, pages).map_err(|error| match error {
                IndexError::Malformed(error) => damaged(error.0),
                IndexError::Page(corruption) => corruption.into(),
                IndexError::Storage(error) => from_redb(error),
            })?;
        }
        if index.next_lsn != lsn.saturating_add(u64::from(chunk.count)) {
            return Err(damaged("record count does not match"));
        }
    }
    index.next_lsn = end;
    Ok(())
}

/// Table `queues` in a read transaction.
pub(crate) struct Rows(redb::ReadOnlyTable<(u64, u64), &'static [u8]>);

impl Rows {
    pub(crate) fn open(transaction: &ReadTransaction) -> Result<Self, LoadError> {
        let table = transaction.open_table(QUEUES).map_err(|error| LoadError::table(QUEUES_NAME, error))?;
        Ok(Self(table))
    }

    /// Damage in the tree may hide rows without a trace; the count in it tells.
    fn all_there(&self, found: u64) -> Result<(), LoadError> {
        let expected = self.0.len()?;
        if found == expected {
            return Ok(());
        }
        Err(Corruption::RowsMissing { table: QUEUES_NAME, expected, found }.into())
    }
}

impl Pages for Rows {
    fn page(&self, session: SessionId, first: MessageId) -> Result<Entries, IndexError> {
        page_in(&self.0, session, first)
    }
}

/// Empty source of pages.
pub(crate) struct NoPages;

impl Pages for NoPages {
    fn page(&self, session: SessionId, first: MessageId) -> Result<Entries, IndexError> {
        Err(missing(session, first, "it is missing").into())
    }
}

/// Reads a page that must be there.
pub(crate) fn page_in(
    table: &impl ReadableTable<(u64, u64), &'static [u8]>,
    session: SessionId,
    first: MessageId,
) -> Result<Entries, IndexError> {
    let key = (session.0, first.0);
    let Some(value) = table.get(key)? else { return Err(missing(session, first, "it is missing").into()) };
    match page::decode(key, value.value()) {
        Ok((entries, _)) => Ok(entries),
        Err(reason) => Err(missing(session, first, reason).into()),
    }
}

fn missing(session: SessionId, first: MessageId, reason: &'static str) -> Corruption {
    Corruption::Row { table: QUEUES_NAME, key: format!("{:016x}{:016x}", session.0, first.0), reason }
}
