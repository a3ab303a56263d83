//! Retained messages: set and cleared by publishes, bounded in number and bytes. Not here: what new subscriptions get of them (`replay`).

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lotmq_router::RetainedIndex;
use lotmq_store::{MessageId, Op, RetainedRow};

use crate::changes::Stamps;
use crate::config::Limits;
use crate::fan_out::Publication;
use crate::limits::{Limit, RETAINED_SWEEP_MS};
use crate::message::Message;
use crate::net::turn::Turn;
use crate::tenant::Tenant;

/// The retained messages of a tenant, and how many bytes they take.
#[derive(Default)]
pub(crate) struct Retained {
    index: RetainedIndex<Arc<Message>>,
    bytes: u64,
    /// Since expired ones were removed last, there was no room for another one.
    lacks_room: AtomicBool,
    /// When they were, since 1970.
    swept_at_ms: u64,
    /// Removals that may not be on the disk: that nothing is retained for a topic may rest on one of them.
    removals: Stamps,
}

impl Deref for Retained {
    type Target = RetainedIndex<Arc<Message>>;

    fn deref(&self) -> &Self::Target {
        &self.index
    }
}

impl Retained {
    pub(crate) fn insert(&mut self, message: &Arc<Message>) {
        self.bytes += message.size() as u64;
        if let Some(replaced) = self.index.insert(message.topic(), Arc::clone(message)) {
            self.bytes -= replaced.size() as u64;
        }
    }

    pub(crate) fn remove(&mut self, topic: &str) -> bool {
        let removed = self.index.remove(topic);
        self.bytes -= removed.as_ref().map_or(0, |message| message.size() as u64);
        removed.is_some()
    }

    /// Whether a message of `bytes` may be retained for this topic. One that replaces a longer one always may.
    fn has_room(&self, limits: &Limits, topic: &str, bytes: usize) -> Result<(), Limit> {
        let has_messages = self.len() < limits.retained_messages as usize;
        let total = self.bytes + bytes as u64;
        if has_messages && total <= limits.retained_bytes {
            return Ok(());
        }
        let limit = match self.get(topic) {
            Some(known) if bytes <= known.size() || total - known.size() as u64 <= limits.retained_bytes => {
                return Ok(());
            }
            None if !has_messages => Limit::RetainedMessages,
            Some(_) | None => Limit::RetainedBytes,
        };
        self.lacks_room.store(true, Ordering::Relaxed);
        Err(limit)
    }
}

impl Turn {
    /// Whether a message can become its topic's retained one, if it is to.
    ///
    /// What another thread adds meanwhile may still take the room: then it is delivered, not retained, and counted.
    pub(crate) fn can_retain(&self, tenant: &Tenant, publication: &Publication<'_>) -> Result<(), Limit> {
        if !publication.retain || publication.payload.len() == 0 {
            return Ok(());
        }
        let bytes = publication.topic.len() + publication.properties.len() + publication.payload.len();
        let topic = self.arena.text(publication.topic);
        tenant.retained.read().has_room(&self.broker.config.limits, topic, bytes)
    }
}

impl Tenant {
    /// Replaces or, with an empty payload, clears the retained message of a topic \[MQTT-3.3.1-5, -6\].
    ///
    /// The order of writers is decided under the index's lock; the store keeps to it by the version.
    ///
    /// # Errors
    /// The limit that leaves no room for it, for the caller to count: it is not retained.
    pub(crate) fn retain(&self, message: &Arc<Message>, turn: &mut Turn) -> Result<(), Limit> {
        let topic = message.topic();
        let mut retained = self.retained.write();
        let version = turn.broker.store.next_message_id();
        if message.payload_len() == 0 {
            let existed = retained.remove(topic);
            // Where nothing is to be removed, because that is done and not on the disk yet, it is removed again: the answer rests on that.
            let is_written =
                existed || !retained.removals.are_on_disk(&turn.broker.turns, &turn.broker.store);
            if is_written {
                retained.removals.note(turn.stamp());
            }
            drop(retained);
            if is_written {
                turn.batch.push(Op::DeleteRetained { tenant: self.id, topic, version });
            }
        } else {
            retained.has_room(&turn.broker.config.limits, topic, message.size())?;
            retained.insert(message);
            drop(retained);
            turn.batch.push(Op::PutRetained(&self.retained_row(message, version, turn.wall_ms())));
        }
        turn.call_flusher();
        Ok(())
    }

    /// Whether a new subscription with this filter may have retained messages to get. Those that come later reach it as they come.
    pub(crate) fn may_retain_for(&self, filter: &str) -> bool {
        let retained = self.retained.read();
        !retained.is_empty() && (filter.contains(['+', '#']) || retained.get(filter).is_some())
    }

    fn retained_row(&self, message: &Message, version: MessageId, now_ms: u64) -> RetainedRow {
        RetainedRow {
            tenant: self.id,
            topic: message.topic().into(),
            version,
            qos: message.qos.bits(),
            properties: message.properties_bytes(),
            payload: message.payload(),
            published_at_ms: now_ms,
            expires_at_ms: message.expires_at_ms,
        }
    }

    /// Removes expired messages, when there was no room for others since that was done last.
    pub(crate) fn remove_expired(&self, turn: &mut Turn) {
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

    /// Removes this very message, if it is still its topic's retained one.
    fn forget_retained(&self, message: &Arc<Message>, turn: &mut Turn) {
        let topic = message.topic();
        let mut retained = self.retained.write();
        if !retained.get(topic).is_some_and(|current| Arc::ptr_eq(current, message)) {
            return;
        }
        let version = turn.broker.store.next_message_id();
        retained.remove(topic);
        retained.removals.note(turn.stamp());
        drop(retained);
        turn.batch.push(Op::DeleteRetained { tenant: self.id, topic, version });
    }

    /// Whether the topic has a retained message that has not expired.
    pub(crate) fn has_retained(&self, topic: &str, wall_ms: u64) -> bool {
        self.retained.read().get(topic).is_some_and(|message| !message.is_expired(wall_ms))
    }

    /// Whether this very message is still its topic's retained one, and has not expired.
    pub(crate) fn retains(&self, message: &Arc<Message>, wall_ms: u64) -> bool {
        let retained = self.retained.read();
        let current = retained.get(message.topic());
        current.is_some_and(|current| Arc::ptr_eq(current, message)) && !message.is_expired(wall_ms)
    }

    /// The payload of the topic's retained message.
    pub(crate) fn retained_payload(&self, topic: &str, wall_ms: u64) -> Option<bytes::Bytes> {
        let retained = self.retained.read();
        retained.get(topic).filter(|message| !message.is_expired(wall_ms)).map(|message| message.payload())
    }
}

/// Topics that one look for expired messages may bring.
const SLICE_TOPICS: usize = 128;
