//! Entries between memory and table `queues`.

use lotmq_changes::{MessageId, SessionId, SliceBounds};

use super::{IndexError, LogIndex, Pages, WritePages};
use crate::limits::{PAGE_ENTRIES_MAX, PAGED_OUT_MIN};
use crate::log::page::{self, Entries, Entry, IDENTIFIERS};
use crate::log::session::LiveSession;

/// When entries are written out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    /// Most entries in memory.
    pub(crate) entries_max: usize,
    /// Most bytes of log to read at a start.
    pub(crate) replay_bytes_max: u64,
    /// Entries that a group may write out so that less has to be read.
    pub(crate) per_group: usize,
}

/// Messages of a session, some of them.
#[derive(Debug, Default)]
pub(crate) struct Slice {
    pub(crate) entries: Entries,
    /// None wait behind these.
    pub(crate) is_last: bool,
}

impl LogIndex {
    /// Brings the page into memory in which a message of the session is, if it is in one.
    pub(super) fn page_in(
        &mut self,
        session: SessionId,
        message: MessageId,
        pages: &impl Pages,
    ) -> Result<(), IndexError> {
        let Some(live) = self.sessions.get_mut(&session) else { return Ok(()) };
        let Some(first) = live.page_of(message).map(|page| page.first) else { return Ok(()) };
        let entries = pages.page(session, first)?;
        live.take_page(first);
        live.stale.push(first);
        self.in_memory += entries.len();
        live.entries.extend(entries);
        // Its row is as it was; but what is in memory must find its way out again.
        self.touch(session, self.next_lsn - 1);
        Ok(())
    }

    /// The record from which on the log must be read at a start.
    pub(crate) fn mark(&self) -> u64 {
        self.dirty.first().map_or(self.next_lsn, |(lsn, _)| *lsn)
    }

    /// Writes out sessions, as far as memory or the log has too much; true when anything was
    /// written.
    ///
    /// It goes round by their numbers, because that is the order of the rows: those that are
    /// written together are in few pages of the file. Each session is written once a round, and
    /// what it had meanwhile goes into one row.
    pub(crate) fn page_out(&mut self, room: Room, pages: &mut impl WritePages) -> Result<bool, IndexError> {
        let mut written = 0;
        loop {
            let replays_too_much =
                written < room.per_group && self.chunks.bytes_since(self.mark()) > room.replay_bytes_max;
            if self.in_memory <= room.entries_max && !replays_too_much {
                break;
            }
            let next = self.dirty_ids.range(self.round..).next().or(self.dirty_ids.first()).copied();
            let Some(session) = next else { break };
            written += 1 + self.page_out_session(session, room.per_group, pages)?;
            // One of which a part stays is on again in the next round.
            self.round = SessionId(session.0.wrapping_add(1));
        }
        Ok(written > 0)
    }

    fn page_out_session(
        &mut self,
        id: SessionId,
        most: usize,
        pages: &mut impl WritePages,
    ) -> Result<usize, IndexError> {
        let Some(session) = self.sessions.get_mut(&id) else { return Ok(0) };
        for first in std::mem::take(&mut session.stale) {
            pages.remove(id, first.0)?;
        }
        let count = share(session, most);
        let mut taken = Entries::with_capacity(count);
        while taken.len() < count
            && let Some(entry) = session.entries.pop_first()
        {
            taken.push(entry);
        }
        self.in_memory -= taken.len();
        let stays = session.oldest_record();
        let known_until = stays.unwrap_or(self.next_lsn);
        write_identifiers(id, session, known_until, pages)?;
        write(id, session, taken, known_until, pages)?;
        if let Some(since) = std::mem::replace(&mut session.dirty_since, stays) {
            self.dirty.remove(&(since, id));
            self.dirty_ids.remove(&id);
        }
        self.dirty.extend(stays.map(|since| (since, id)));
        self.dirty_ids.extend(stays.map(|_| id));
        Ok(count)
    }

    /// Returns the next messages of a session behind `after` that wait and have not been sent,
    /// within these bounds.
    pub(crate) fn waiting_after(
        &self,
        session: SessionId,
        after: MessageId,
        bounds: SliceBounds,
        pages: &impl Pages,
    ) -> Result<Slice, IndexError> {
        let mut slice = Slice { is_last: true, ..Slice::default() };
        let Some(live) = self.sessions.get(&session) else { return Ok(slice) };
        let mut bytes = 0;
        let mut take = |(message, entry): (MessageId, Entry)| {
            if message <= after || entry.packet_id.is_some() {
                return true;
            }
            bytes += u64::from(entry.size);
            let is_first = slice.entries.is_empty();
            let has_room = if is_first {
                bytes <= bounds.first_bytes_max
            } else {
                slice.entries.len() < bounds.messages_max && bytes <= bounds.bytes_max
            };
            if has_room {
                slice.entries.push((message, entry));
            } else {
                slice.is_last = false;
            }
            has_room
        };
        let next = MessageId(after.0.saturating_add(1));
        let mut in_memory = live.entries.range(next..).map(|(id, entry)| (*id, *entry)).peekable();
        let first = live.pages.partition_point(|page| page.last <= after);
        for page in live.pages.range(first..) {
            while let Some(entry) = in_memory.next_if(|(id, _)| *id < page.first) {
                if !take(entry) {
                    return Ok(slice);
                }
            }
            for entry in pages.page(session, page.first)? {
                if !take(entry) {
                    return Ok(slice);
                }
            }
        }
        for entry in in_memory {
            if !take(entry) {
                return Ok(slice);
            }
        }
        Ok(slice)
    }
}

/// How many of the entries in memory to write: a part of a long queue, but not too small a one,
/// because each time all that stay are looked at.
fn share(session: &LiveSession, most: usize) -> usize {
    let len = session.entries.len();
    // Those whose row is older than the change: without a row they would have to be looked for in
    // all of the log.
    let since = session.dirty_since.unwrap_or(u64::MAX);
    let is_older = |entry: &Entry| entry.lsn.min(entry.head) < since;
    let older = session.entries.values().rposition(is_older).map_or(0, |place| place + 1);
    (len / 4).max(most).max(PAGED_OUT_MIN).max(older).min(len)
}

fn write_identifiers(
    id: SessionId,
    session: &mut LiveSession,
    known_until: u64,
    pages: &mut impl WritePages,
) -> Result<(), IndexError> {
    if !session.identifiers.is_empty() {
        pages.put(id, IDENTIFIERS, &session.identifiers.encode(id, known_until))?;
        session.has_identifiers_row = true;
    } else if std::mem::take(&mut session.has_identifiers_row) {
        pages.remove(id, IDENTIFIERS)?;
    }
    Ok(())
}

/// Writes entries as pages, the first of them together with a half-filled page right before.
fn write(
    id: SessionId,
    session: &mut LiveSession,
    entries: Entries,
    known_until: u64,
    pages: &mut impl WritePages,
) -> Result<(), IndexError> {
    let Some((first, _)) = entries.first() else { return Ok(()) };
    let mut page = Entries::new();
    if let Some(before) = session.page_before(*first)
        && before.entries as usize <= PAGE_ENTRIES_MAX / 2
    {
        page = pages.page(id, before.first)?;
        session.take_page(before.first);
    }
    for entry in entries {
        let is_between =
            |last: MessageId| session.page_before(entry.0).is_some_and(|between| between.first > last);
        if page.len() == PAGE_ENTRIES_MAX || page.last().is_some_and(|(last, _)| is_between(*last)) {
            put(id, session, &page, known_until, pages)?;
            page.clear();
        }
        page.push(entry);
    }
    put(id, session, &page, known_until, pages)
}

fn put(
    id: SessionId,
    session: &mut LiveSession,
    entries: &Entries,
    known_until: u64,
    pages: &mut impl WritePages,
) -> Result<(), IndexError> {
    let Some(info) = page::info(entries) else { return Ok(()) };
    pages.put(id, info.first.0, &page::encode(id, entries, known_until))?;
    session.put_page(info);
    Ok(())
}
