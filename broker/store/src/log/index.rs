//! What is alive in the log, and where: one entry per living message and delivery.
//!
//! The writer feeds it every record in order ([`LogIndex::apply`]), live and at replay alike, so that both come to the
//! same result. It answers which chunk holds nothing alive and whether a record must be kept when its chunk goes.
//!
//! Invariants ([`LogIndex::check_invariants`]): a chunk's living bytes are the sum of the living items in it; a message
//! lives exactly as long as one of its deliveries. Dequeue and inflight records are never alive: they matter only while
//! the record that they refer to is in the log, which is always in front of them.
//! Not here: the contents of messages, which stay on disk.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::num::NonZeroU16;

use crate::encoding::Malformed;
use crate::log::record::{Body, Deliveries, Record};
use crate::recent::Recent;
use crate::{MessageId, SessionId};

/// Estimated cost of a record's length, kind and numbers, in bytes, where they are not measured.
const SMALL_RECORD_BYTES: u32 = 16;

/// Where a living item is and how much of its chunk it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) lsn: u64,
    bytes: u32,
}

#[derive(Debug)]
pub(crate) struct ChunkInfo {
    pub(crate) first_lsn: u64,
    count: u32,
    bytes: u64,
    live_bytes: u64,
    pub(crate) live_items: u32,
}

impl ChunkInfo {
    /// Bytes of its row's value.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes of what is alive in it.
    pub(crate) fn live_bytes(&self) -> u64 {
        self.live_bytes
    }
}

#[derive(Debug, Default)]
pub(crate) struct LiveMessage {
    /// `None` while only later deliveries have been seen: their chunk outlived the message's first place.
    pub(crate) body: Option<Place>,
    /// Deliveries alive.
    left: u32,
    external: bool,
}

#[derive(Debug)]
pub(crate) struct LiveDelivery {
    pub(crate) place: Place,
    pub(crate) packet_id: Option<NonZeroU16>,
}

/// The durable part of a session's protocol state.
#[derive(Debug, Default)]
pub(crate) struct LiveSession {
    pub(crate) deliveries: BTreeMap<MessageId, LiveDelivery>,
    /// QoS 2 Packet Identifiers received and not yet released.
    pub(crate) received: BTreeMap<NonZeroU16, Place>,
    /// QoS 2 messages sent for which a PUBREC came and no PUBCOMP yet.
    pub(crate) pubrel: BTreeMap<NonZeroU16, (MessageId, Place)>,
}

#[derive(Debug)]
pub(crate) struct LogIndex {
    pub(crate) chunks: VecDeque<ChunkInfo>,
    pub(crate) next_lsn: u64,
    pub(crate) next_message_id: u64,
    total_bytes: u64,
    live_bytes: u64,
    messages: HashMap<MessageId, LiveMessage>,
    sessions: HashMap<SessionId, LiveSession>,
    /// Not at replay. There all sessions are known, and a message without deliveries may get some by a later record:
    /// what was moved keeps the order of its moves, not that of its first writing.
    is_live: bool,
    gone: Recent<SessionId>,
    /// Messages that died since the last [`LogIndex::take_dead_payloads`] and have rows in table `payloads`.
    dead_payloads: Vec<MessageId>,
}

impl LogIndex {
    /// An empty index in which these sessions exist; only their records count until [`LogIndex::go_live`].
    pub(crate) fn new(sessions: impl Iterator<Item = SessionId>) -> Self {
        Self {
            chunks: VecDeque::new(),
            next_lsn: 1,
            next_message_id: 1,
            total_bytes: 0,
            live_bytes: 0,
            messages: HashMap::new(),
            sessions: sessions.map(|id| (id, LiveSession::default())).collect(),
            is_live: false,
            gone: Recent::default(),
            dead_payloads: Vec::new(),
        }
    }

    /// Ends the replay: messages that nobody must get any more are dead.
    pub(crate) fn go_live(&mut self) {
        self.is_live = true;
        let dead: Vec<_> =
            self.messages.iter().filter(|(_, message)| message.left == 0).map(|(id, _)| *id).collect();
        for id in dead {
            self.bury(id);
        }
        // Their rows went when they died.
        self.dead_payloads.clear();
    }

    /// Bytes of all chunks.
    pub(crate) fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    /// Bytes of what is alive in them.
    pub(crate) fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    /// Number of living messages.
    pub(crate) fn message_count(&self) -> usize {
        self.messages.len()
    }

    pub(crate) fn message(&self, id: MessageId) -> Option<&LiveMessage> {
        self.messages.get(&id)
    }

    pub(crate) fn session(&self, id: SessionId) -> Option<&LiveSession> {
        self.sessions.get(&id)
    }

    /// A living message whose content was not found, if there is one.
    pub(crate) fn message_without_body(&self) -> Option<MessageId> {
        self.messages.iter().filter(|(_, message)| message.body.is_none()).map(|(id, _)| *id).min()
    }

    pub(crate) fn take_dead_payloads(&mut self) -> Vec<MessageId> {
        std::mem::take(&mut self.dead_payloads)
    }

    /// A chunk begins with the next record.
    pub(crate) fn begin_chunk(&mut self) {
        let first_lsn = self.next_lsn;
        self.chunks.push_back(ChunkInfo { first_lsn, count: 0, bytes: 0, live_bytes: 0, live_items: 0 });
    }

    /// The newest chunk is complete and takes this many bytes.
    pub(crate) fn end_chunk(&mut self, bytes: usize) {
        if let Some(chunk) = self.chunks.back_mut() {
            chunk.bytes = bytes as u64;
            self.total_bytes += chunk.bytes;
        }
    }

    /// Forgets the oldest chunk, in which nothing is alive.
    pub(crate) fn drop_oldest_chunk(&mut self) {
        if let Some(chunk) = self.chunks.pop_front() {
            debug_assert_eq!(chunk.live_items, 0);
            self.total_bytes -= chunk.bytes;
        }
    }

    /// Takes in the next record of the chunk that was begun last.
    pub(crate) fn apply(&mut self, frame: &[u8]) -> Result<(), Malformed> {
        let lsn = self.next_lsn;
        self.next_lsn += 1;
        if let Some(chunk) = self.chunks.back_mut() {
            chunk.count += 1;
        }
        let small = Place { lsn, bytes: SMALL_RECORD_BYTES };
        match Record::decode(frame)? {
            Record::Message { id, body, deliveries, more } => {
                let bytes = match body {
                    Body::Inline(bytes) => bytes.len() as u32 + SMALL_RECORD_BYTES,
                    Body::External { .. } => SMALL_RECORD_BYTES,
                };
                self.set_body(id, Place { lsn, bytes }, matches!(body, Body::External { .. }));
                self.deliver(id, lsn, deliveries)?;
                if !more {
                    self.bury_if_done(id);
                }
            }
            Record::Deliveries { id, deliveries, more } => {
                self.deliver(id, lsn, deliveries)?;
                if !more {
                    self.bury_if_done(id);
                }
            }
            Record::Dequeue { session, message } => self.finish(session, message),
            Record::Inflight { session, message, packet_id } => {
                self.set_packet_id(session, message, packet_id)
            }
            Record::Pubrec { session, message, packet_id } => {
                self.finish(session, message);
                self.set_pubrel(session, packet_id, (message, small));
            }
            Record::Pubcomp { session, packet_id } => self.clear_pubrel(session, packet_id),
            Record::Qos2Received { session, packet_id } => self.set_received(session, packet_id, small),
            Record::Qos2Released { session, packet_id } => self.clear_received(session, packet_id),
        }
        Ok(())
    }

    fn set_body(&mut self, id: MessageId, place: Place, external: bool) {
        self.next_message_id = self.next_message_id.max(id.0.saturating_add(1));
        let message = self.messages.entry(id).or_default();
        message.external = external;
        let old = message.body.replace(place);
        self.replace_place(old, place);
    }

    fn deliver(&mut self, id: MessageId, lsn: u64, deliveries: Deliveries<'_>) -> Result<(), Malformed> {
        for delivery in deliveries {
            let delivery = delivery?;
            let place = Place { lsn, bytes: delivery.bytes };
            let Some(session) = self.admit(delivery.session) else { continue };
            let live = LiveDelivery { place, packet_id: delivery.packet_id };
            let old = session.deliveries.insert(id, live).map(|old| old.place);
            if old.is_none() {
                self.messages.entry(id).or_default().left += 1;
            }
            self.replace_place(old, place);
        }
        Ok(())
    }

    /// The session, if it may have records.
    fn admit(&mut self, id: SessionId) -> Option<&mut LiveSession> {
        if self.is_live && !self.gone.contains(&id) {
            return Some(self.sessions.entry(id).or_default());
        }
        self.sessions.get_mut(&id)
    }

    fn bury_if_done(&mut self, id: MessageId) {
        if self.is_live && self.messages.get(&id).is_some_and(|message| message.left == 0) {
            self.bury(id);
        }
    }

    fn bury(&mut self, id: MessageId) {
        let Some(message) = self.messages.remove(&id) else { return };
        if let Some(place) = message.body {
            self.release(place);
        }
        if message.external {
            self.dead_payloads.push(id);
        }
    }

    /// One delivery is done.
    fn finish(&mut self, session: SessionId, message: MessageId) {
        let removed = self.sessions.get_mut(&session).and_then(|session| session.deliveries.remove(&message));
        let Some(delivery) = removed else { return };
        self.release(delivery.place);
        self.finish_one(message);
    }

    fn finish_one(&mut self, id: MessageId) {
        let Some(message) = self.messages.get_mut(&id) else { return };
        message.left = message.left.saturating_sub(1);
        self.bury_if_done(id);
    }

    fn set_packet_id(&mut self, session: SessionId, message: MessageId, packet_id: NonZeroU16) {
        let delivery =
            self.sessions.get_mut(&session).and_then(|session| session.deliveries.get_mut(&message));
        if let Some(delivery) = delivery {
            delivery.packet_id = Some(packet_id);
        }
    }

    fn set_pubrel(&mut self, session: SessionId, packet_id: NonZeroU16, entry: (MessageId, Place)) {
        let Some(session) = self.admit(session) else { return };
        let old = session.pubrel.insert(packet_id, entry).map(|(_, place)| place);
        self.replace_place(old, entry.1);
    }

    fn clear_pubrel(&mut self, session: SessionId, packet_id: NonZeroU16) {
        let removed = self.sessions.get_mut(&session).and_then(|session| session.pubrel.remove(&packet_id));
        if let Some((_, place)) = removed {
            self.release(place);
        }
    }

    fn set_received(&mut self, session: SessionId, packet_id: NonZeroU16, place: Place) {
        let Some(session) = self.admit(session) else { return };
        let old = session.received.insert(packet_id, place);
        self.replace_place(old, place);
    }

    fn clear_received(&mut self, session: SessionId, packet_id: NonZeroU16) {
        let removed = self.sessions.get_mut(&session).and_then(|session| session.received.remove(&packet_id));
        if let Some(place) = removed {
            self.release(place);
        }
    }

    /// The session exists.
    pub(crate) fn put_session(&mut self, id: SessionId) {
        self.sessions.entry(id).or_default();
    }

    /// The session is gone with all that it had.
    pub(crate) fn delete_session(&mut self, id: SessionId) {
        self.gone.insert(id);
        let Some(session) = self.sessions.remove(&id) else { return };
        for (message, delivery) in session.deliveries {
            self.release(delivery.place);
            self.finish_one(message);
        }
        for place in session.received.into_values() {
            self.release(place);
        }
        for (_, place) in session.pubrel.into_values() {
            self.release(place);
        }
    }

    fn replace_place(&mut self, old: Option<Place>, new: Place) {
        if let Some(old) = old {
            self.release(old);
        }
        if let Some(chunk) = self.chunk_of(new.lsn) {
            chunk.live_bytes += u64::from(new.bytes);
            chunk.live_items += 1;
            self.live_bytes += u64::from(new.bytes);
        }
    }

    fn release(&mut self, place: Place) {
        if let Some(chunk) = self.chunk_of(place.lsn) {
            chunk.live_bytes = chunk.live_bytes.saturating_sub(u64::from(place.bytes));
            chunk.live_items = chunk.live_items.saturating_sub(1);
            self.live_bytes = self.live_bytes.saturating_sub(u64::from(place.bytes));
        }
    }

    fn chunk_of(&mut self, lsn: u64) -> Option<&mut ChunkInfo> {
        let after = self.chunks.partition_point(|chunk| chunk.first_lsn <= lsn);
        self.chunks.get_mut(after.checked_sub(1)?)
    }

    /// Counts everything again and panics where the books are wrong.
    #[cfg(test)]
    #[allow(clippy::iter_over_hash_type, reason = "sums do not depend on the order")]
    pub(crate) fn check_invariants(&self) {
        let mut bytes = BTreeMap::<u64, (u64, u32)>::new();
        let mut add = |place: Place| {
            let after = self.chunks.partition_point(|chunk| chunk.first_lsn <= place.lsn);
            let chunk = &self.chunks[after.checked_sub(1).expect("a living item is in a chunk of the log")];
            assert!(place.lsn < chunk.first_lsn + u64::from(chunk.count));
            let entry = bytes.entry(chunk.first_lsn).or_default();
            entry.0 += u64::from(place.bytes);
            entry.1 += 1;
        };
        let mut left = HashMap::<MessageId, u32>::new();
        for session in self.sessions.values() {
            for (id, delivery) in &session.deliveries {
                add(delivery.place);
                *left.entry(*id).or_default() += 1;
            }
            session.received.values().for_each(|place| add(*place));
            session.pubrel.values().for_each(|(_, place)| add(*place));
        }
        assert_eq!(left.len(), self.messages.len());
        for (id, message) in &self.messages {
            assert_eq!(left.get(id), Some(&message.left), "{id:?}");
            add(message.body.expect("a living message has a body"));
        }
        let mut live = 0;
        for chunk in &self.chunks {
            let (bytes, items) = bytes.get(&chunk.first_lsn).copied().unwrap_or_default();
            assert_eq!((chunk.live_bytes, chunk.live_items), (bytes, items), "chunk {}", chunk.first_lsn);
            live += bytes;
        }
        assert_eq!(live, self.live_bytes);
        assert_eq!(self.total_bytes, self.chunks.iter().map(|chunk| chunk.bytes).sum::<u64>());
    }
}
