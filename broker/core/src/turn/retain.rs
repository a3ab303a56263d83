//! Retained messages in a turn: set and cleared by publishes, and removed when they have expired.
//!
//! Not here: how many there may be (`tenant::retain`), and what new subscriptions get of them
//! (`tenant::replay`).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use lotmq_changes::{MessageId, Op, RetainedRow};

use crate::limits::{Limit, RETAINED_SWEEP_MS};
use crate::message::Message;
use crate::tenant::Tenant;
use crate::tenant::publication::Publication;
use crate::tenant::retain::{Keeper, RetainedAt};
use crate::tenant::under_way::RoutedTurn;
use crate::turn::Turn;

/// Whether a message can be retained, if it asks for that.
///
/// Messages of other threads may still take the room meanwhile. Then it is delivered, not retained,
/// and counted.
pub(crate) fn can_retain(turn: &Turn, tenant: &Tenant, publication: &Publication<'_>) -> Result<(), Limit> {
    if !publication.message.retain || publication.message.payload.is_empty() {
        return Ok(());
    }
    let bytes = publication.message.bytes();
    let topic = turn.arena.text(publication.message.topic);
    let keeper = publication.keeper();
    tenant.retained.read().has_room(&turn.core.settings.limits, &keeper, topic, bytes)
}

/// When the receivers of a message that is retained get it.
#[derive(Clone, Copy)]
enum Routed {
    /// It has none.
    NotAtAll,
    /// In this turn.
    Now,
    Later,
}

impl Tenant {
    /// Replaces or, with an empty payload, clears the retained message of a topic
    /// \[MQTT-3.3.1-5, -6\], which counts for its keeper.
    ///
    /// The order of writers is decided under the index's lock; the store keeps to it by the
    /// version.
    ///
    /// # Errors
    /// The limit that leaves no room for it, for the caller to count: it is not retained.
    pub fn retain(&self, message: &Arc<Message>, keeper: Keeper, turn: &mut Turn) -> Result<(), Limit> {
        self.retain_by(message, keeper, turn, Routed::NotAtAll).map(drop)
    }

    /// Retains a message as [`Tenant::retain`] does, which is routed in this turn, or whose
    /// receivers get it in a later one. Returns the generation of subscriptions at that moment: who
    /// was subscribed by then has perhaps looked for retained messages already, and must get this
    /// one by its route; who subscribes later gets it as the retained one.
    ///
    /// # Errors
    /// As [`Tenant::retain`].
    pub(crate) fn retain_routed(
        &self,
        message: &Arc<Message>,
        keeper: Keeper,
        is_later: bool,
        turn: &mut Turn,
    ) -> Result<RetainedAt, Limit> {
        self.retain_by(message, keeper, turn, if is_later { Routed::Later } else { Routed::Now })
    }

    fn retain_by(
        &self,
        message: &Arc<Message>,
        keeper: Keeper,
        turn: &mut Turn,
        routed: Routed,
    ) -> Result<RetainedAt, Limit> {
        let topic = message.topic();
        let mut retained = self.retained.write();
        // Under the lock: who looks for retained messages behind this finds it.
        let generation = match routed {
            Routed::NotAtAll => 0,
            Routed::Now | Routed::Later => self.generation.load(Ordering::Acquire),
        };
        let version = turn.core.ids.next_message();
        let at = RetainedAt { generation, version };
        if message.payload_len() == 0 {
            let existed = retained.remove(topic);
            // If an earlier removal is not on the disk yet, the turn writes it again, because the
            // answer rests on it.
            let is_written = existed || !retained.removals.are_on_disk(&turn.core.turns, &*turn.core.log);
            if is_written {
                retained.removals.note(turn.stamp());
            }
            drop(retained);
            if is_written {
                turn.batch.push(Op::DeleteRetained { tenant: self.id, topic, version });
            }
        } else {
            retained.has_room(&turn.core.settings.limits, &keeper, topic, message.size())?;
            let row = self.retained_row(message, &keeper, (version, turn.wall_ms()));
            let later = matches!(routed, Routed::Later).then_some(at);
            let routed = RoutedTurn { turn: turn.stamp(), generation };
            retained.insert_routed(&message.without_number(), keeper, (routed, later));
            drop(retained);
            turn.batch.push(Op::PutRetained(&row));
        }
        turn.call_flusher();
        Ok(at)
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
        let now_ms = turn.lifetime_ms();
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
                let found = retained.all(after.as_deref(), SLICE_TOPICS);
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
}

/// Topics that one look for expired messages may bring.
const SLICE_TOPICS: usize = 128;
