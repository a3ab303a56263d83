//! Dead letters of a route: messages that it has given up, each with the reason and the time.
//!
//! They are in the store, in the queue of a session of their own, oldest first. In memory are their
//! number, their bytes and the newest of them.
//!
//! Invariant: whoever takes letters out has a [`Claim`] until it is on the disk that they have
//! left, so that each leaves once. Not here: who puts letters in and takes them out
//! (`dead_letter_queue`).

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use lotmq_changes::{MessageId, QueueSlice, RecoveredDelivery, SessionId, Waiting};
use lotmq_core::durable::commit_watcher::CommitWatcher;
use lotmq_core::durable::store_failure::StoreFailure;
use lotmq_host::OwnedMessage;
use parking_lot::Mutex;
use serde_json::{Value as Json, json};

use super::mailbox::Addressee;
use super::outbox::Amount;
use super::runner::RouteRunner;
use super::stored_post;
use crate::limits::{DEAD_LETTER_REASON_BYTES, DEAD_LETTERS_MAX, DEAD_LETTERS_SHOWN};
use lotmq_process::clock::utc_text;

/// Version of the form of a letter in the store.
const VERSION: u8 = 1;

/// Share of `BUFFER_MAX_BYTES` that dead letters may have. Routes reference §3.3.
const BYTES_SHARE: u64 = 10;

/// State of the dead letters of a route.
#[derive(Debug, Default)]
struct DeadState {
    /// Session in whose queue they are; `None` until there is one.
    session: Option<SessionId>,
    waiting: Amount,
    /// Numbers since the route was armed: of letters that came, and of those that were dropped
    /// because there were too many.
    came: u64,
    dropped: u64,
    /// Number of changes.
    changes: u64,
    /// The newest, since the route was armed.
    newest: VecDeque<Note>,
    is_claimed: bool,
    /// Letters that are on their way to the disk: none of the queue is read to find the oldest
    /// until they are there.
    entering: u64,
    /// Letters that were dropped and are still in the queue.
    dropped_ids: Vec<MessageId>,
    /// Letters that have left and may still be on the disk: those of the present claim.
    leaving: BTreeSet<MessageId>,
}

/// Summary of a dead letter, shown without a read from the disk.
#[derive(Clone, Debug)]
struct Note {
    id: u64,
    topic: Box<str>,
    reason: String,
    died_ms: u64,
}

/// Figures of the dead letters of a route.
#[derive(Clone, Debug, Default)]
pub struct DeadFigures {
    /// Letters that wait for a decision.
    pub waiting: Amount,
    /// Letters that came.
    pub came: u64,
    /// Letters that were dropped because there were too many.
    pub dropped: u64,
    changes: u64,
    newest: VecDeque<Note>,
    leaving: BTreeSet<MessageId>,
}

impl DeadFigures {
    /// Whether a letter that was read is none of those that are counted, as it has left and its
    /// removal is on its way to the disk.
    pub fn is_leaving(&self, letter: MessageId) -> bool {
        self.leaving.contains(&letter)
    }

    /// Number that another one follows whenever something has changed.
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    /// Their document; what is said of single letters only where `has_letters`.
    pub fn to_json(&self, has_letters: bool) -> Json {
        let Amount { messages, bytes } = self.waiting;
        let mut json = json!({ "count": messages, "bytes": bytes, "dropped": self.dropped });
        if has_letters {
            let row = |note: &Note| json!({ "id": note.id, "topic": note.topic, "reason": note.reason, "diedUtc": utc_text(note.died_ms) });
            json["newest"] = self.newest.iter().rev().map(row).collect();
        }
        json
    }
}

impl DeadState {
    fn open(&mut self, session: SessionId, waiting: Waiting) -> SessionId {
        if let Some(known) = self.session {
            return known;
        }
        self.session = Some(session);
        self.waiting = Amount { messages: waiting.messages.into(), bytes: waiting.bytes };
        session
    }

    fn enters(&mut self, note: Note, bytes: u64) {
        self.came += 1;
        self.entering += 1;
        self.changes += 1;
        self.waiting.add(Amount { messages: 1, bytes });
        if self.newest.len() == DEAD_LETTERS_SHOWN {
            self.newest.pop_front();
        }
        self.newest.push_back(note);
    }

    fn leave(&mut self, left: Amount, ids: &[MessageId]) {
        self.waiting.remove(left);
        self.changes += 1;
        self.leaving.extend(ids);
        self.newest.retain(|note| !ids.iter().any(|id| id.0 == note.id));
    }

    /// Takes the letters that are too many from what was read of the oldest.
    fn drop_surplus(&mut self, slice: &QueueSlice, (bytes_max, came): (u64, u64)) {
        for delivery in &slice.deliveries {
            if !is_over(self.waiting, bytes_max) {
                return;
            }
            let bytes = stored_post::size(delivery);
            self.dropped += 1;
            self.leave(Amount { messages: 1, bytes }, &[delivery.message.id]);
            self.dropped_ids.push(delivery.message.id);
        }
        if slice.is_last && slice.deliveries.is_empty() && self.came == came {
            // The rest was counted but never reached the disk. Nothing has come since the read.
            self.waiting = Amount::default();
        }
    }
}

fn is_over(waiting: Amount, bytes_max: u64) -> bool {
    waiting.messages > DEAD_LETTERS_MAX || waiting.bytes > bytes_max
}

/// Dead letters of a route.
#[derive(Debug, Default)]
pub struct DeadLetters(Mutex<DeadState>);

impl DeadLetters {
    /// Their figures.
    pub fn figures(&self) -> DeadFigures {
        let dead = self.0.lock();
        DeadFigures {
            waiting: dead.waiting,
            came: dead.came,
            dropped: dead.dropped,
            changes: dead.changes,
            newest: dead.newest.clone(),
            leaving: dead.leaving.clone(),
        }
    }

    /// Session in whose queue they are; `None` where there never were any.
    pub fn session(&self) -> Option<SessionId> {
        self.0.lock().session
    }

    /// Takes the queue of a session, with what is there; the session that counts from now on, which
    /// is that of before where there was one.
    pub(crate) fn open(&self, session: SessionId, waiting: Waiting) -> SessionId {
        self.0.lock().open(session, waiting)
    }

    /// Counts a letter that is in the batch of a thread.
    pub(crate) fn enters(&self, id: MessageId, (topic, letter): (&str, &Letter<'_>), bytes: u64) {
        let Letter { reason, died_ms } = *letter;
        let note = Note { id: id.0, topic: topic.into(), reason: reason.to_owned(), died_ms };
        self.0.lock().enters(note, bytes);
    }

    /// Notes that the batch with a letter has come to the disk, or has not.
    fn has_entered(&self) {
        let mut dead = self.0.lock();
        dead.entering = dead.entering.saturating_sub(1);
    }

    /// Counts a message that was given up and finds no place.
    pub(crate) fn finds_no_place(&self) {
        let mut dead = self.0.lock();
        dead.dropped += 1;
        dead.changes += 1;
    }

    /// Forgets them, because the route has ended.
    pub(super) fn close(&self) {
        *self.0.lock() = DeadState::default();
    }

    fn claim(&self) -> Option<(SessionId, u64)> {
        let mut dead = self.0.lock();
        let session = dead.session.filter(|_| !dead.is_claimed)?;
        dead.is_claimed = true;
        Some((session, dead.came))
    }
}

/// Right to take letters of a route out; given back when it is dropped.
pub(crate) struct Claim {
    route: Arc<RouteRunner>,
    pub(crate) session: SessionId,
    /// Number of letters that had come.
    came: u64,
    /// Whether another one has taken its place.
    is_passed_on: bool,
}

/// Letter on its way to the disk.
pub(crate) struct EnteringLetter(Arc<RouteRunner>);

impl EnteringLetter {
    pub(crate) fn of(route: &Arc<RouteRunner>) -> Self {
        Self(Arc::clone(route))
    }
}

impl CommitWatcher for EnteringLetter {
    /// Does nothing: the drop reports the end of the write.
    fn settled(&self, _: Result<(), StoreFailure>) {}
}

impl Drop for EnteringLetter {
    fn drop(&mut self) {
        self.0.dead_letters.has_entered();
        self.0.outbox_called.notify_one();
    }
}

impl Claim {
    /// Claims the letters of a route; `None` while somebody else takes some out, and where there
    /// never were any.
    pub(crate) fn on(route: &Arc<RouteRunner>) -> Option<Self> {
        let (session, came) = route.dead_letters.claim()?;
        Some(Claim { route: Arc::clone(route), session, came, is_passed_on: false })
    }

    /// The same where there are too many.
    pub(crate) fn on_surplus(route: &Arc<RouteRunner>) -> Option<Self> {
        let bytes_max = bytes_max(route);
        let is_surplus = {
            let dead = route.dead_letters.0.lock();
            dead.entering == 0 && is_over(dead.waiting, bytes_max)
        };
        if is_surplus { Self::on(route) } else { None }
    }

    /// Notes that letters have left.
    pub(crate) fn leave(&self, left: Amount, ids: &[MessageId]) {
        self.route.dead_letters.0.lock().leave(left, ids);
        self.route.stands.notify_one();
    }

    /// Drops what is too much, of the oldest letters. The claim is that of [`Claim::on_dropped`]
    /// then.
    pub(crate) fn drop_surplus(mut self, slice: &QueueSlice) {
        let bytes_max = bytes_max(&self.route);
        let mut dead = self.route.dead_letters.0.lock();
        dead.drop_surplus(slice, (bytes_max, self.came));
        self.is_passed_on = !dead.dropped_ids.is_empty();
        drop(dead);
        self.route.outbox_called.notify_one();
    }

    /// Takes the numbers of letters that were dropped and are still in the store, with the claim on
    /// them.
    pub(crate) fn on_dropped(route: &Arc<RouteRunner>) -> Option<(Self, Vec<MessageId>)> {
        let mut dead = route.dead_letters.0.lock();
        let dropped = std::mem::take(&mut dead.dropped_ids);
        let session = dead.session.filter(|_| !dropped.is_empty())?;
        let came = dead.came;
        Some((Claim { route: Arc::clone(route), session, came, is_passed_on: false }, dropped))
    }
}

impl CommitWatcher for Claim {
    /// It is held until then: what was not removed is counted out, and comes back with the next
    /// start.
    fn settled(&self, _: Result<(), StoreFailure>) {}
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.is_passed_on {
            let mut dead = self.route.dead_letters.0.lock();
            dead.is_claimed = false;
            dead.leaving.clear();
            drop(dead);
            self.route.outbox_called.notify_one();
        }
    }
}

/// Bytes of letters that a route may have.
fn bytes_max(route: &RouteRunner) -> u64 {
    route.version().buffering.bytes_max / BYTES_SHARE
}

/// Data of a dead letter beside the message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Letter<'a> {
    pub(crate) reason: &'a str,
    /// When it was given up, in milliseconds since 1970.
    pub(crate) died_ms: u64,
}

impl<'a> Letter<'a> {
    /// A letter; of a long reason the beginning.
    pub(crate) fn new(reason: &'a str, died_ms: u64) -> Self {
        let end = reason.floor_char_boundary(DEAD_LETTER_REASON_BYTES);
        Letter { reason: &reason[..end], died_ms }
    }

    /// Its bytes in the store, in front of those of the [message](stored_post).
    pub(crate) fn encoded(&self, post: &[u8]) -> Vec<u8> {
        let length = u16::try_from(self.reason.len()).unwrap_or(u16::MAX);
        let mut bytes = Vec::with_capacity(11 + self.reason.len() + post.len());
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.died_ms.to_be_bytes());
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(self.reason.as_bytes());
        bytes.extend_from_slice(post);
        bytes
    }

    /// Reads a letter; the rest is the message.
    fn decoded(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (&[VERSION], rest) = bytes.split_first_chunk()? else { return None };
        let (died_ms, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (reason, post) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
        let reason = std::str::from_utf8(reason).ok()?;
        Some((Letter { reason, died_ms: u64::from_be_bytes(*died_ms) }, post))
    }
}

/// Dead letter that was read back.
pub struct DeadLetter {
    pub(crate) id: MessageId,
    pub(crate) reason: String,
    pub(crate) died_ms: u64,
    pub(crate) to: Addressee,
    pub(crate) message: OwnedMessage,
    pub(crate) hops: u8,
}

impl DeadLetter {
    /// Reads a letter of the session; `None` when it is damaged.
    pub fn read(delivery: &RecoveredDelivery, session: SessionId) -> Option<Self> {
        let stored: &Bytes = &delivery.message.properties;
        let (letter, post) = Letter::decoded(stored)?;
        let (to, message, hops) =
            stored_post::message(delivery, &stored.slice_ref(post), session, |at_ms| at_ms)?;
        let (reason, died_ms) = (letter.reason.to_owned(), letter.died_ms);
        Some(Self { id: delivery.message.id, reason, died_ms, to, message, hops })
    }
}

impl DeadLetter {
    /// Its row in a list. A payload that is no text is in base64.
    pub fn to_json(&self) -> Json {
        let message = &self.message;
        let mut row = json!({
            "id": self.id.0,
            "reason": self.reason,
            "diedUtc": utc_text(self.died_ms),
            "receivedUtc": utc_text(message.received_ms),
            "topic": message.topic,
            "qos": message.qos as u8,
            "retain": message.retain,
            "clientId": &*message.client_id,
        });
        let (key, name) = match &self.to {
            Addressee::Event(name) => ("event", name.to_string()),
            Addressee::Mapping(name) => ("mapping", name.to_string()),
            Addressee::Tag(mapping, tag) => ("tag", format!("{mapping}/{tag}")),
            Addressee::Table(name) => ("table", name.to_string()),
        };
        row[key] = name.into();
        match std::str::from_utf8(&message.payload) {
            Ok(text) => row["payload"] = text.into(),
            Err(_) => row["payloadBase64"] = STANDARD.encode(&message.payload).into(),
        }
        row
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(id: u64) -> Note {
        Note { id, topic: "a".into(), reason: "no".to_owned(), died_ms: 0 }
    }

    #[test]
    fn a_letter_is_read_as_it_was_written() {
        let long = "ä".repeat(DEAD_LETTER_REASON_BYTES);
        for reason in ["", "no such column", &long] {
            let letter = Letter::new(reason, 1_700_000_000_123);
            let bytes = letter.encoded(b"post");
            assert_eq!(Letter::decoded(&bytes), Some((letter, &b"post"[..])));
            for end in 0..bytes.len() - b"post".len() {
                assert_eq!(Letter::decoded(&bytes[..end]), None, "{end}");
            }
        }
        assert!(Letter::new(&long, 0).reason.len() <= DEAD_LETTER_REASON_BYTES);
        assert_eq!(Letter::decoded(&[VERSION + 1; 32]), None);
    }

    #[test]
    fn dead_letter_list_holds_the_newest_without_removed_ones() {
        let mut dead = DeadState::default();
        dead.open(SessionId(7), Waiting::default());
        assert_eq!(dead.open(SessionId(8), Waiting::default()), SessionId(7));
        (0..20).for_each(|id| dead.enters(note(id), 10));
        let shown = |dead: &DeadState| dead.newest.iter().map(|note| note.id).collect::<Vec<_>>();
        assert_eq!(shown(&dead), (10..20).collect::<Vec<_>>());
        dead.leave(Amount { messages: 2, bytes: 20 }, &[MessageId(3), MessageId(19)]);
        assert_eq!(shown(&dead), (10..19).collect::<Vec<_>>());
        assert_eq!(dead.waiting, Amount { messages: 18, bytes: 180 });
        assert_eq!(dead.leaving, BTreeSet::from([MessageId(3), MessageId(19)]));
    }
}
