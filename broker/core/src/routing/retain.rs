//! Retained messages: set and cleared by publishes, bounded in number and bytes. Not here: what new subscriptions get of them (`replay`).
//!
//! Each counts for who has published it ([`Keeper`]), who has at most a [part](part) of what all others leave: so nobody fills the room of all.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hashbrown::HashMap;
use lotmq_config::Limits;
use lotmq_router::RetainedIndex;
use lotmq_store::{KeeperRow, MessageId, Op, RetainedRow};

use crate::client::Client;
use crate::durable::changes::Stamps;
use crate::limits::{Limit, RETAINED_SWEEP_MS};
use crate::routing::message::Message;
use crate::routing::publication::Publication;
use crate::shares::part;
use crate::tenant::Tenant;
use crate::turn::Turn;

/// Owner for whom a retained message counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Keeper {
    /// The broker itself and all programs.
    Broker,
    /// All Clients without a user.
    Nobody,
    /// A user of this name.
    User(Arc<str>),
}

impl Keeper {
    /// Keeper of messages from this publisher: a Client, or what runs in the broker.
    pub fn of(source: Option<&Arc<Client>>) -> Self {
        source.map_or(Self::Broker, |client| client.user.clone().map_or(Self::Nobody, Self::User))
    }

    /// The keeper as it was stored.
    pub fn recovered(row: KeeperRow) -> Self {
        match row {
            KeeperRow::Broker => Self::Broker,
            KeeperRow::Nobody => Self::Nobody,
            KeeperRow::User(name) => Self::User(name.into()),
        }
    }

    fn row(&self) -> KeeperRow {
        match self {
            Self::Broker => KeeperRow::Broker,
            Self::Nobody => KeeperRow::Nobody,
            Self::User(name) => KeeperRow::User(name.as_ref().to_owned()),
        }
    }
}

/// Retained message, with its keeper.
pub struct Kept {
    message: Arc<Message>,
    keeper: Keeper,
}

impl Deref for Kept {
    type Target = Arc<Message>;

    fn deref(&self) -> &Self::Target {
        &self.message
    }
}

/// Number and bytes of retained messages.
#[derive(Clone, Copy, Default)]
struct Room {
    messages: u64,
    bytes: u64,
}

/// Retained messages of a tenant, with their number and bytes.
#[derive(Default)]
pub struct Retained {
    index: RetainedIndex<Kept>,
    bytes: u64,
    /// Number and bytes by keeper; a keeper without messages has no entry.
    of: HashMap<Keeper, Room>,
    /// Whether there was no room for a message since expired ones were last removed.
    lacks_room: AtomicBool,
    /// Time since 1970 at which they were last removed.
    swept_at_ms: u64,
    /// Removals that may not be on the disk: the absence of a topic's message may rest on one of them.
    removals: Stamps,
}

impl Deref for Retained {
    type Target = RetainedIndex<Kept>;

    fn deref(&self) -> &Self::Target {
        &self.index
    }
}

impl Retained {
    /// Restores a message that was stored.
    pub fn insert(&mut self, message: &Arc<Message>, keeper: Keeper) {
        let bytes = message.size() as u64;
        self.bytes += bytes;
        let room = self.of.entry(keeper.clone()).or_default();
        room.messages += 1;
        room.bytes += bytes;
        let kept = Kept { message: Arc::clone(message), keeper };
        if let Some(replaced) = self.index.insert(message.topic(), kept) {
            self.give_back(&replaced);
        }
    }

    pub(crate) fn remove(&mut self, topic: &str) -> bool {
        let removed = self.index.remove(topic);
        if let Some(removed) = &removed {
            self.give_back(removed);
        }
        removed.is_some()
    }

    fn give_back(&mut self, kept: &Kept) {
        let bytes = kept.size() as u64;
        self.bytes -= bytes;
        let room = self.of.get_mut(&kept.keeper).expect("what is in the index is counted for its keeper");
        room.messages -= 1;
        room.bytes -= bytes;
        if room.messages == 0 {
            self.of.remove(&kept.keeper);
        }
    }

    /// Whether a message of `bytes` may be retained for this topic. One that replaces a longer one always may.
    fn has_room(&self, limits: &Limits, keeper: &Keeper, topic: &str, bytes: usize) -> Result<(), Limit> {
        let own = self.of.get(keeper).copied().unwrap_or_default();
        let of_others = Room { messages: self.len() as u64 - own.messages, bytes: self.bytes - own.bytes };
        let messages_max = part(limits.retained_messages.into(), of_others.messages);
        let bytes_max = part(limits.retained_bytes, of_others.bytes);
        let has_messages = own.messages < messages_max;
        let own_bytes = own.bytes + bytes as u64;
        if has_messages && own_bytes <= bytes_max {
            return Ok(());
        }
        let limit = match self.get(topic) {
            Some(known) if bytes <= known.size() => return Ok(()),
            Some(known) if known.keeper == *keeper && own_bytes - known.size() as u64 <= bytes_max => {
                return Ok(());
            }
            None if !has_messages => Limit::RetainedMessages,
            Some(_) | None => Limit::RetainedBytes,
        };
        self.lacks_room.store(true, Ordering::Relaxed);
        Err(limit)
    }
}

/// Whether a message can be retained, if it asks for that.
///
/// What another thread adds meanwhile may still take the room: then it is delivered, not retained, and counted.
pub(crate) fn can_retain(turn: &Turn, tenant: &Tenant, publication: &Publication<'_>) -> Result<(), Limit> {
    if !publication.message.retain || publication.message.payload.is_empty() {
        return Ok(());
    }
    let bytes = publication.message.bytes();
    let topic = turn.arena.text(publication.message.topic);
    let keeper = Keeper::of(publication.source);
    tenant.retained.read().has_room(&turn.core.config.limits, &keeper, topic, bytes)
}

impl Tenant {
    /// Replaces or, with an empty payload, clears the retained message of a topic \[MQTT-3.3.1-5, -6\], for who publishes it.
    ///
    /// The order of writers is decided under the index's lock; the store keeps to it by the version.
    ///
    /// # Errors
    /// The limit that leaves no room for it, for the caller to count: it is not retained.
    pub fn retain(
        &self,
        message: &Arc<Message>,
        source: Option<&Arc<Client>>,
        turn: &mut Turn,
    ) -> Result<(), Limit> {
        let topic = message.topic();
        let mut retained = self.retained.write();
        let version = turn.core.ids.next_message();
        if message.payload_len() == 0 {
            let existed = retained.remove(topic);
            // Where nothing is to be removed, because that is done and not on the disk yet, it is removed again: the answer rests on that.
            let is_written = existed || !retained.removals.are_on_disk(&turn.core.turns, &*turn.core.log);
            if is_written {
                retained.removals.note(turn.stamp());
            }
            drop(retained);
            if is_written {
                turn.batch.push(Op::DeleteRetained { tenant: self.id, topic, version });
            }
        } else {
            let keeper = Keeper::of(source);
            retained.has_room(&turn.core.config.limits, &keeper, topic, message.size())?;
            let row = self.retained_row(message, &keeper, (version, turn.wall_ms()));
            retained.insert(&message.without_number(), keeper);
            drop(retained);
            turn.batch.push(Op::PutRetained(&row));
        }
        turn.call_flusher();
        Ok(())
    }

    /// Whether a new subscription with this filter may have retained messages to get. Those that come later reach it as they come.
    pub(crate) fn may_retain_for(&self, filter: &str) -> bool {
        let retained = self.retained.read();
        !retained.is_empty() && (filter.contains(['+', '#']) || retained.get(filter).is_some())
    }

    fn retained_row(
        &self,
        message: &Message,
        keeper: &Keeper,
        (version, now_ms): (MessageId, u64),
    ) -> RetainedRow {
        RetainedRow {
            tenant: self.id,
            topic: message.topic().into(),
            version,
            qos: message.qos.bits(),
            properties: message.properties_bytes(),
            payload: message.payload(),
            published_at_ms: now_ms,
            expires_at_ms: message.expires_at_ms,
            keeper: keeper.row(),
        }
    }

    /// Removes expired messages, when there was no room for others since the last time.
    pub fn remove_expired(&self, turn: &mut Turn) {
        let now_ms = turn.wall_ms();
        if !self.retained.read().lacks_room.load(Ordering::Relaxed) {
            return;
        }
        {
            let mut retained = self.retained.write();
            if now_ms < retained.swept_at_ms + RETAINED_SWEEP_MS {
                return;
            }
            retained.swept_at_ms = now_ms;
            retained.lacks_room.store(false, Ordering::Relaxed);
        }
        let mut after: Option<Arc<str>> = None;
        loop {
            let expired: Vec<Arc<Message>> = {
                let retained = self.retained.read();
                let found = retained.scan("#", after.as_deref(), SLICE_TOPICS);
                after = found.resume_after;
                let expired = found.entries.iter().filter(|(_, message)| message.is_expired(now_ms));
                expired.map(|(_, message)| Arc::clone(message)).collect()
            };
            for message in &expired {
                self.forget_retained(message, turn);
            }
            if !expired.is_empty() {
                turn.flush();
            }
            if after.is_none() {
                return;
            }
        }
    }

    /// Removes this message, if it is still its topic's retained one.
    fn forget_retained(&self, message: &Arc<Message>, turn: &mut Turn) {
        let topic = message.topic();
        let mut retained = self.retained.write();
        if !retained.get(topic).is_some_and(|current| Arc::ptr_eq(current, message)) {
            return;
        }
        let version = turn.core.ids.next_message();
        retained.remove(topic);
        retained.removals.note(turn.stamp());
        drop(retained);
        turn.batch.push(Op::DeleteRetained { tenant: self.id, topic, version });
    }

    /// Whether the topic has a retained message that has not expired.
    pub fn has_retained(&self, topic: &str, wall_ms: u64) -> bool {
        self.retained.read().get(topic).is_some_and(|message| !message.is_expired(wall_ms))
    }

    /// Whether this message is still its topic's retained one, and has not expired.
    pub(crate) fn retains(&self, message: &Arc<Message>, wall_ms: u64) -> bool {
        let retained = self.retained.read();
        let current = retained.get(message.topic());
        current.is_some_and(|current| Arc::ptr_eq(current, message)) && !message.is_expired(wall_ms)
    }

    /// The payload of the topic's retained message.
    pub fn retained_payload(&self, topic: &str, wall_ms: u64) -> Option<bytes::Bytes> {
        let retained = self.retained.read();
        retained.get(topic).filter(|message| !message.is_expired(wall_ms)).map(|message| message.payload())
    }
}

/// Topics that one look for expired messages may bring.
const SLICE_TOPICS: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::message::MessageParts;
    use lotmq_codec::QoS;
    use lotmq_config::Config;

    fn message(topic: &str, payload: &[u8]) -> Arc<Message> {
        let qos = QoS::AtMostOnce;
        Arc::new(Message::new(
            0,
            MessageParts { topic, properties: &[], payload, qos, retain: true, expires_at_ms: None },
        ))
    }

    #[test]
    fn nobody_fills_the_room_of_all() {
        let mut limits = Config::default().limits;
        limits.retained_messages = 16;
        let mut retained = Retained::default();
        let user = |name: &str| Keeper::User(name.into());
        for (number, (keeper, expected)) in
            [(Keeper::Nobody, 12), (user("ann"), 3), (Keeper::Broker, 1), (user("bob"), 0)].iter().enumerate()
        {
            let mut count = 0;
            loop {
                let message = message(&format!("{number}/{count}"), b"1");
                if retained.has_room(&limits, keeper, message.topic(), message.size()).is_err() {
                    break;
                }
                retained.insert(&message, keeper.clone());
                count += 1;
            }
            assert_eq!(count, *expected, "{keeper:?}");
        }
        // Replacing always works, and what one replaces is one's own then.
        let again = message("0/0", b"2");
        assert_eq!(retained.has_room(&limits, &user("bob"), "0/0", again.size()), Ok(()));
        retained.insert(&again, user("bob"));
        assert_eq!((retained.of[&user("bob")].messages, retained.of[&Keeper::Nobody].messages), (1, 11));
        for topic in ["0/0", "0/1"] {
            assert!(retained.remove(topic));
        }
        assert!(!retained.of.contains_key(&user("bob")));
        assert_eq!(retained.bytes, retained.of.values().map(|room| room.bytes).sum::<u64>());
    }

    #[test]
    fn bytes_are_shared_in_the_same_way() {
        let mut limits = Config::default().limits;
        limits.retained_bytes = 1000;
        let mut retained = Retained::default();
        let (nobody, ann) = (Keeper::Nobody, Keeper::User("ann".into()));
        assert_eq!(retained.has_room(&limits, &nobody, "a", 751), Err(Limit::RetainedBytes));
        retained.insert(&message("a", &[0; 749]), nobody.clone());
        assert_eq!(retained.has_room(&limits, &nobody, "b", 1), Err(Limit::RetainedBytes));
        assert_eq!(retained.has_room(&limits, &nobody, "a", 750), Ok(()), "in its place");
        assert_eq!(retained.has_room(&limits, &ann, "b", 188), Ok(()));
        assert_eq!(retained.has_room(&limits, &ann, "b", 189), Err(Limit::RetainedBytes));
    }
}
