//! Index of the living deliveries in the log: an entry for each, in memory or in a page of table
//! `queues`.
//!
//! The writer feeds it every record in order ([`LogIndex::apply`]), live and at replay alike, so
//! that both come to the same result. A session that nothing happened to for long is written out
//! ([`LogIndex::page_out`]) and read back page by page when something does.
//!
//! Invariants ([`LogIndex::check_invariants`]): a chunk's counts are the sums over the living items
//! in it. The log from the *mark* on and the rows of table `queues` together say all that the whole
//! log says. Dequeue and inflight records are never alive. They matter only while the record that
//! they refer to is in the log, which is always in front of them. One that comes before it is
//! written again (`early`). Replaying records that rows know of already changes nothing: of each
//! delivery the last record decides. Not here: the contents of messages, which stay on disk.

use std::collections::BTreeSet;
use std::num::NonZeroU16;

use hashbrown::HashMap;
use lotmq_changes::encoding::Malformed;
use lotmq_changes::record::{Body, Deliveries, Record, decode_body};
use lotmq_changes::{Corruption, MessageId, SessionId};

use crate::load_error::{LoadError, from_redb};
use crate::log::chunks::{Chunks, SMALL_RECORD_BYTES};
use crate::log::externals::Externals;
use crate::log::page::{Entries, Entry, Identifiers};
use crate::log::session::LiveSession;
use crate::recent::Recent;

mod early;
mod paging;

pub(crate) use early::{Early, Told};
pub(crate) use paging::{Room, Slice};

/// Why a record could not be taken in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IndexError {
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error(transparent)]
    Page(#[from] Corruption),
    #[error(transparent)]
    Storage(#[from] redb::Error),
}

impl From<IndexError> for LoadError {
    fn from(error: IndexError) -> Self {
        match error {
            IndexError::Malformed(error) => Self::Corrupted(Corruption::Structure(error.to_string())),
            IndexError::Page(corruption) => Self::Corrupted(corruption),
            IndexError::Storage(error) => from_redb(error),
        }
    }
}

impl From<redb::StorageError> for IndexError {
    fn from(error: redb::StorageError) -> Self {
        Self::Storage(error.into())
    }
}

/// Reader of pages.
pub(crate) trait Pages {
    /// The entries of a page that is there.
    fn page(&self, session: SessionId, first: MessageId) -> Result<Entries, IndexError>;
}

/// Writer of the index's rows.
pub(crate) trait WritePages: Pages {
    fn put(&mut self, session: SessionId, row: u64, value: &[u8]) -> Result<(), IndexError>;
    fn remove(&mut self, session: SessionId, row: u64) -> Result<(), IndexError>;
}

/// The message whose deliveries are being taken in.
#[derive(Debug, Clone, Copy)]
struct Head {
    lsn: u64,
    size: u32,
    is_external: bool,
}

#[derive(Debug)]
pub(crate) struct LogIndex {
    pub(crate) chunks: Chunks,
    pub(crate) next_lsn: u64,
    pub(crate) next_message_id: u64,
    sessions: HashMap<SessionId, LiveSession>,
    /// Entries in memory.
    in_memory: usize,
    /// Deliveries alive, wherever their entries are.
    deliveries: u64,
    /// Sessions with records that their rows know nothing of, by the first such record.
    dirty: BTreeSet<(u64, SessionId)>,
    /// The same, by their numbers, which is the order of their rows.
    dirty_ids: BTreeSet<SessionId>,
    /// How far the round has come that writes them out.
    round: SessionId,
    /// Messages in table `payloads`.
    pub(crate) externals: Externals,
    /// Messages of table `payloads` that died since the last [`LogIndex::take_dead_payloads`].
    dead_payloads: Vec<MessageId>,
    /// The message that came last: what continues its list of deliveries stands right behind it.
    last: Option<(MessageId, Head)>,
    /// At replay: every message, because the lists of older versions stand anywhere.
    heads: HashMap<MessageId, Head>,
    /// At replay: deliveries that were found without their message, and not taken out of their
    /// queue since.
    headless: BTreeSet<(SessionId, MessageId)>,
    /// Not at replay, where all sessions are known.
    is_live: bool,
    gone: Recent<SessionId>,
    pub(crate) early: Early,
}

impl LogIndex {
    /// An empty index in which these sessions exist; only their records count until
    /// [`LogIndex::go_live`].
    pub(crate) fn new(sessions: impl Iterator<Item = SessionId>) -> Self {
        Self {
            chunks: Chunks::default(),
            next_lsn: 1,
            next_message_id: 1,
            sessions: sessions.map(|id| (id, LiveSession::default())).collect(),
            in_memory: 0,
            deliveries: 0,
            dirty: BTreeSet::new(),
            dirty_ids: BTreeSet::new(),
            round: SessionId(0),
            externals: Externals::default(),
            dead_payloads: Vec::new(),
            last: None,
            heads: HashMap::new(),
            headless: BTreeSet::new(),
            is_live: false,
            gone: Recent::default(),
            early: Early::default(),
        }
    }

    /// Ends the replay.
    pub(crate) fn go_live(&mut self) {
        self.is_live = true;
        self.heads = HashMap::new();
        self.headless = BTreeSet::new();
        // Their rows went when they died.
        self.dead_payloads = Vec::new();
    }

    /// Deliveries alive.
    pub(crate) fn deliveries(&self) -> u64 {
        self.deliveries
    }

    /// Those whose entries are in memory.
    pub(crate) fn in_memory(&self) -> usize {
        self.in_memory
    }

    pub(crate) fn session(&self, id: SessionId) -> Option<&LiveSession> {
        self.sessions.get(&id)
    }

    /// Whether a message of table `payloads` is alive.
    pub(crate) fn has_external(&self, id: MessageId) -> bool {
        self.externals.contains(id)
    }

    /// A message that somebody must get, and that is not in the records that were read. Of the
    /// whole log there is none.
    pub(crate) fn headless(&self) -> Option<MessageId> {
        self.headless.first().map(|(_, message)| *message)
    }

    pub(crate) fn take_dead_payloads(&mut self) -> Vec<MessageId> {
        std::mem::take(&mut self.dead_payloads)
    }

    /// A chunk begins with the next record.
    pub(crate) fn begin_chunk(&mut self) {
        self.chunks.begin(self.next_lsn);
    }

    /// Takes in the next record.
    pub(crate) fn apply(&mut self, frame: &[u8], pages: &impl Pages) -> Result<(), IndexError> {
        let lsn = self.next_lsn;
        self.next_lsn += 1;
        match Record::decode(frame)? {
            Record::Message { id, body, deliveries, .. } => self.message(id, lsn, body, deliveries, pages),
            Record::Deliveries { id, deliveries, .. } => self.more(id, lsn, deliveries, pages),
            Record::Dequeue { session, message } => self.finish(session, message, lsn, pages),
            Record::Inflight { session, message, packet_id } => {
                self.sent(session, message, packet_id, lsn, pages)
            }
            Record::Pubrec { session, message, packet_id } => {
                self.finish(session, message, lsn, pages)?;
                self.set_pubrel(session, packet_id, message, lsn);
                Ok(())
            }
            Record::Pubcomp { session, packet_id } => {
                let record =
                    |identifiers: &mut Identifiers| identifiers.pubrel.remove(&packet_id).map(|it| it.1);
                self.clear(session, lsn, record);
                Ok(())
            }
            Record::Qos2Received { session, packet_id } => {
                self.set_received(session, packet_id, lsn);
                Ok(())
            }
            Record::Qos2Released { session, packet_id } => {
                self.clear(session, lsn, |identifiers| identifiers.received.remove(&packet_id));
                Ok(())
            }
        }
    }

    fn message(
        &mut self,
        id: MessageId,
        lsn: u64,
        body: Body<'_>,
        deliveries: Deliveries<'_>,
        pages: &impl Pages,
    ) -> Result<(), IndexError> {
        self.note_number(id);
        let (size, share, is_external) = match body {
            Body::Inline(bytes) => {
                let message = decode_body(id, bytes)?;
                let size = message.topic.len() + message.properties.len() + message.payload.len();
                (size as u64, (bytes.len() / deliveries.left().max(1)) as u32, false)
            }
            Body::External { len, .. } => (len, 0, true),
        };
        let head = Head { lsn, size: u32::try_from(size).unwrap_or(u32::MAX), is_external };
        self.last = Some((id, head));
        if !self.is_live {
            self.heads.insert(id, head);
        }
        self.deliver(id, lsn, share.saturating_add(SMALL_RECORD_BYTES), deliveries, pages)?;
        if is_external && !self.externals.contains(id) {
            // Nobody gets it; what the list continues with would come at once.
            self.dead_payloads.push(id);
        }
        Ok(())
    }

    /// More deliveries of a message that is in the log already.
    fn more(
        &mut self,
        id: MessageId,
        lsn: u64,
        deliveries: Deliveries<'_>,
        pages: &impl Pages,
    ) -> Result<(), IndexError> {
        if self.last.is_none_or(|(last, _)| last != id) {
            let Some(head) = self.heads.get(&id) else {
                for delivery in deliveries {
                    let session = delivery?.session;
                    if self.sessions.contains_key(&session) {
                        self.headless.insert((session, id));
                    }
                }
                return Ok(());
            };
            self.last = Some((id, *head));
        }
        self.deliver(id, lsn, 0, deliveries, pages)
    }

    fn deliver(
        &mut self,
        id: MessageId,
        lsn: u64,
        share: u32,
        deliveries: Deliveries<'_>,
        pages: &impl Pages,
    ) -> Result<(), IndexError> {
        let Some((_, head)) = self.last else { return Ok(()) };
        for delivery in deliveries {
            let delivery = delivery?;
            let entry = Entry {
                lsn,
                head: head.lsn,
                bytes: share.saturating_add(delivery.bytes),
                size: head.size,
                packet_id: delivery.packet_id,
                is_external: head.is_external,
            };
            self.put(delivery.session, id, entry, pages)?;
        }
        Ok(())
    }

    /// A delivery is alive, in this place.
    fn put(
        &mut self,
        session: SessionId,
        id: MessageId,
        entry: Entry,
        pages: &impl Pages,
    ) -> Result<(), IndexError> {
        if self.admit(session, entry.lsn).is_none() {
            return Ok(());
        }
        self.page_in(session, id, pages)?;
        self.touch(session, entry.lsn.min(entry.head));
        self.headless.remove(&(session, id));
        let Some(live) = self.sessions.get_mut(&session) else { return Ok(()) };
        match live.entries.insert(id, entry) {
            Some(old) => self.chunks.release(&old),
            None => {
                self.in_memory += 1;
                self.deliveries += 1;
                if entry.is_external {
                    self.externals.hold(id, entry.size);
                }
            }
        }
        self.chunks.keep(&entry);
        if self.is_live {
            self.early.delivery(session, id);
        }
        Ok(())
    }

    /// The session, if it may have records, and if this one is not known to its rows already.
    fn admit(&mut self, id: SessionId, lsn: u64) -> Option<&mut LiveSession> {
        if self.is_live && !self.gone.contains(&id) {
            return Some(self.sessions.entry(id).or_default());
        }
        self.known(id, lsn)
    }

    /// The session, if it is there and this record is not known to its rows already.
    fn known(&mut self, id: SessionId, lsn: u64) -> Option<&mut LiveSession> {
        self.sessions.get_mut(&id).filter(|session| session.known_until <= lsn)
    }

    /// Notes that the rows of a session do not know of this record.
    fn touch(&mut self, id: SessionId, lsn: u64) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        match session.dirty_since {
            Some(since) if since <= lsn => return,
            Some(since) => self.dirty.remove(&(since, id)),
            None => false,
        };
        session.dirty_since = Some(lsn);
        self.dirty.insert((lsn, id));
        self.dirty_ids.insert(id);
    }

    /// One delivery is done.
    fn finish(
        &mut self,
        session: SessionId,
        message: MessageId,
        lsn: u64,
        pages: &impl Pages,
    ) -> Result<(), IndexError> {
        self.headless.remove(&(session, message));
        if self.known(session, lsn).is_none() {
            return Ok(());
        }
        self.page_in(session, message, pages)?;
        let removed = self.sessions.get_mut(&session).and_then(|live| live.entries.remove(&message));
        let Some(entry) = removed else {
            self.before_delivery(session, message, Told::Done);
            return Ok(());
        };
        self.touch(session, lsn);
        self.in_memory -= 1;
        self.release(message, &entry);
        Ok(())
    }

    /// Nobody needs this delivery's place any more.
    fn release(&mut self, message: MessageId, entry: &Entry) {
        self.chunks.release(entry);
        self.deliveries -= 1;
        if entry.is_external && self.externals.release(message) {
            self.dead_payloads.push(message);
        }
    }

    fn sent(
        &mut self,
        session: SessionId,
        message: MessageId,
        packet_id: NonZeroU16,
        lsn: u64,
        pages: &impl Pages,
    ) -> Result<(), IndexError> {
        if self.known(session, lsn).is_none() {
            return Ok(());
        }
        self.page_in(session, message, pages)?;
        let entry = self.sessions.get_mut(&session).and_then(|live| live.entries.get_mut(&message));
        if let Some(entry) = entry {
            entry.packet_id = Some(packet_id);
            self.early.sent_since(session, message);
            self.touch(session, lsn);
        } else {
            self.before_delivery(session, message, Told::Sent(packet_id));
        }
        Ok(())
    }

    /// A record is about a delivery that is not there: it may still come.
    fn before_delivery(&mut self, session: SessionId, message: MessageId, told: Told) {
        if self.is_live {
            self.early.tell(session, message, told);
        }
    }

    fn set_pubrel(&mut self, session: SessionId, packet_id: NonZeroU16, message: MessageId, lsn: u64) {
        let Some(live) = self.admit(session, lsn) else { return };
        let old = live.identifiers.pubrel.insert(packet_id, (message, lsn)).map(|(_, old)| old);
        self.replace(session, old, lsn);
    }

    fn set_received(&mut self, session: SessionId, packet_id: NonZeroU16, lsn: u64) {
        let Some(live) = self.admit(session, lsn) else { return };
        let old = live.identifiers.received.insert(packet_id, lsn);
        self.replace(session, old, lsn);
    }

    /// The record of an identifier takes the place of an older one.
    fn replace(&mut self, session: SessionId, old: Option<u64>, lsn: u64) {
        if let Some(old) = old {
            self.chunks.release_record(old, SMALL_RECORD_BYTES);
        }
        self.chunks.keep_record(lsn, SMALL_RECORD_BYTES);
        self.touch(session, lsn);
    }

    /// An identifier is free; `remove` takes it out and returns its record.
    fn clear(&mut self, session: SessionId, lsn: u64, remove: impl FnOnce(&mut Identifiers) -> Option<u64>) {
        let removed = self.known(session, lsn).and_then(|live| remove(&mut live.identifiers));
        if let Some(record) = removed {
            self.chunks.release_record(record, SMALL_RECORD_BYTES);
            self.touch(session, lsn);
        }
    }

    /// The session exists.
    pub(crate) fn put_session(&mut self, id: SessionId) {
        self.sessions.entry(id).or_default();
    }

    /// The session is gone with all that it had. True when it has rows, which are to be removed.
    pub(crate) fn delete_session(&mut self, id: SessionId, pages: &impl Pages) -> Result<bool, IndexError> {
        self.gone.insert(id);
        let Some(session) = self.sessions.remove(&id) else { return Ok(false) };
        if let Some(since) = session.dirty_since {
            self.dirty.remove(&(since, id));
            self.dirty_ids.remove(&id);
        }
        self.in_memory -= session.entries.len();
        for (message, entry) in &session.entries {
            self.release(*message, entry);
        }
        for page in &session.pages {
            for (message, entry) in pages.page(id, page.first)? {
                self.release(message, &entry);
            }
        }
        for lsn in session.identifiers.records() {
            self.chunks.release_record(lsn, SMALL_RECORD_BYTES);
        }
        Ok(session.has_rows())
    }

    /// The entry of a living delivery.
    pub(crate) fn find(
        &mut self,
        session: SessionId,
        message: MessageId,
        pages: &impl Pages,
    ) -> Result<Option<Entry>, IndexError> {
        self.page_in(session, message, pages)?;
        Ok(self.sessions.get(&session).and_then(|live| live.entries.get(&message)).copied())
    }

    /// Whether a delivery may be alive; that it is, is known only of those in memory.
    pub(crate) fn may_hold(&self, session: SessionId, message: MessageId) -> bool {
        let live = self.sessions.get(&session);
        live.is_some_and(|live| live.entries.contains_key(&message) || live.page_of(message).is_some())
    }

    /// A message has this number, though nothing of it is in the log.
    pub(crate) fn note_number(&mut self, id: MessageId) {
        self.next_message_id = self.next_message_id.max(id.0.saturating_add(1));
    }

    /// The sessions that it knows.
    #[cfg(test)]
    pub(crate) fn session_ids(&self) -> Vec<SessionId> {
        let mut ids: Vec<_> = self.sessions.keys().copied().collect();
        ids.sort_unstable();
        ids
    }

    /// Counts everything again and panics where the books are wrong.
    #[cfg(test)]
    #[allow(clippy::iter_over_hash_type, reason = "sums do not depend on the order")]
    pub(crate) fn check_invariants(&self, pages: &impl Pages) {
        let mut chunks = Chunks::default();
        self.chunks.iter().for_each(|chunk| chunks.begin(chunk.first_lsn));
        let (mut in_memory, mut deliveries) = (0, 0);
        let mut externals = Externals::default();
        for (id, session) in &self.sessions {
            let mut all: Entries = session.entries.iter().map(|(id, entry)| (*id, *entry)).collect();
            in_memory += all.len();
            assert!(session.entries.keys().all(|message| session.page_of(*message).is_none()));
            assert!(session.pages.iter().is_sorted_by(|a, b| a.last < b.first), "pages overlap");
            for page in &session.pages {
                let entries = pages.page(*id, page.first).expect("a page is there");
                assert_eq!(crate::log::page::info(&entries), Some(*page));
                all.extend(entries);
            }
            for (message, entry) in all {
                assert!(chunks.keep(&entry), "a living item is in a chunk of the log");
                deliveries += 1;
                if entry.is_external {
                    externals.hold(message, entry.size);
                }
            }
            for lsn in session.identifiers.records() {
                assert!(chunks.keep_record(lsn, SMALL_RECORD_BYTES).is_some());
            }
            assert!(
                !session.entries.is_empty() <= session.dirty_since.is_some(),
                "what is in memory is dirty"
            );
            assert!(session.stale.is_empty() || session.dirty_since.is_some());
            let listed = session.dirty_since.is_some_and(|since| self.dirty.contains(&(since, *id)));
            assert_eq!(listed, session.dirty_since.is_some());
            assert_eq!(listed, self.dirty_ids.contains(id));
        }
        assert_eq!(self.dirty.len(), self.dirty_ids.len());
        assert_eq!((in_memory, deliveries), (self.in_memory, self.deliveries));
        assert_eq!(externals, self.externals);
        assert_eq!(chunks.live_bytes(), self.chunks.live_bytes());
        let counts = |chunks: &Chunks| -> Vec<_> {
            chunks
                .iter()
                .map(|chunk| (chunk.first_lsn, chunk.live_bytes, chunk.items, chunk.bodies))
                .collect()
        };
        assert_eq!(counts(&chunks), counts(&self.chunks));
        assert_eq!(self.chunks.total_bytes(), self.chunks.iter().map(|chunk| chunk.bytes).sum::<u64>());
    }

    /// Adds a page that was found at the start. Returns false when it cannot be.
    ///
    /// Entries that have died since it was written are left out if the log has neither them nor the
    /// records of their death.
    pub(crate) fn found_page(
        &mut self,
        session: SessionId,
        first: MessageId,
        (mut entries, known_until): (Entries, u64),
    ) -> bool {
        let Some(info) = crate::log::page::info(&entries).filter(|info| info.first == first) else {
            return false;
        };
        let Some(live) = self.sessions.get_mut(&session) else { return false };
        live.known_until = live.known_until.max(known_until);
        let end_of_entries = live.entries.last_key_value().map(|(last, _)| *last);
        let end = live.pages.back().map(|page| page.last).max(end_of_entries);
        if end.is_some_and(|end| end >= info.first) {
            return false;
        }
        let oldest = self.chunks.oldest().map_or(u64::MAX, |chunk| chunk.first_lsn);
        let is_gone = |entry: &Entry| entry.lsn.min(entry.head) < oldest;
        let is_whole = !entries.iter().any(|(_, entry)| is_gone(entry));
        entries.retain(|(_, entry)| !is_gone(entry));
        for (message, entry) in &entries {
            if entry.is_external {
                self.externals.hold(*message, entry.size);
            }
            if entry.lsn.max(entry.head) >= self.next_lsn || !self.chunks.keep(entry) {
                return false;
            }
        }
        self.deliveries += entries.len() as u64;
        if is_whole {
            if live.pages.is_empty() {
                live.pages.reserve_exact(1);
            }
            live.pages.push_back(info);
            return true;
        }
        live.stale.push(first);
        self.in_memory += entries.len();
        live.entries.extend(entries);
        self.touch(session, self.next_lsn);
        true
    }

    /// Identifiers that were found at the start. False when they cannot be.
    pub(crate) fn found_identifiers(
        &mut self,
        session: SessionId,
        (mut identifiers, known_until): (Identifiers, u64),
    ) -> bool {
        let Some(live) = self.sessions.get_mut(&session) else { return false };
        live.known_until = live.known_until.max(known_until);
        let oldest = self.chunks.oldest().map_or(u64::MAX, |chunk| chunk.first_lsn);
        identifiers.received.retain(|_, lsn| *lsn >= oldest);
        identifiers.pubrel.retain(|_, (_, lsn)| *lsn >= oldest);
        for lsn in identifiers.records() {
            if lsn >= self.next_lsn {
                return false;
            }
            self.chunks.keep_record(lsn, SMALL_RECORD_BYTES);
        }
        live.identifiers = identifiers;
        live.has_identifiers_row = true;
        true
    }
}
