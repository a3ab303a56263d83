//! Retained messages: set and cleared by publishes, replayed to new subscriptions slice by slice.

use std::sync::Arc;

use lotmq_router::filter_matches;
use lotmq_store::{MessageId, Op, RetainedRow};

use crate::message::Message;
use crate::net::turn::Turn;
use crate::subscription::Options;
use crate::sys::Pending;
use crate::tenant::Tenant;

impl Tenant {
    /// Replaces or, with an empty payload, clears the retained message of a topic \[MQTT-3.3.1-5, -6\].
    ///
    /// The order of writers is decided under the index's lock; the store keeps to it by the version.
    pub(crate) fn retain(&self, message: &Arc<Message>, turn: &mut Turn) {
        let topic = message.topic();
        let mut retained = self.retained.write();
        let version = turn.broker.store.next_message_id();
        if message.payload_len() == 0 {
            let existed = retained.remove(topic).is_some();
            drop(retained);
            if existed {
                turn.batch.push(Op::DeleteRetained { tenant: self.id, topic, version });
            }
        } else {
            retained.insert(topic, Arc::clone(message));
            drop(retained);
            turn.batch.push(Op::PutRetained(&self.retained_row(message, version, turn.wall_ms())));
        }
        turn.call_flusher();
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

    /// Whether the topic has a retained message that has not expired.
    pub(crate) fn has_retained(&self, topic: &str, wall_ms: u64) -> bool {
        self.retained.read().get(topic).is_some_and(|message| !message.is_expired(wall_ms))
    }

    /// Whether this very message is still its topic's retained one, and has not expired.
    fn retains(&self, message: &Arc<Message>, wall_ms: u64) -> bool {
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

/// Topics that one look into the index may bring.
const SLICE_TOPICS: usize = 128;

/// Retained messages that are still to be sent for one new subscription.
#[derive(Debug)]
pub(crate) struct Replay {
    filter: Box<str>,
    pub(crate) options: Options,
    after: Option<Box<str>>,
    slice: std::collections::VecDeque<Arc<Message>>,
    /// The slice was looked up in an earlier turn.
    has_waited: bool,
    is_scanned: bool,
    /// What the subscription gets of the `$SYS` tree.
    system: std::collections::VecDeque<Pending>,
}

impl Replay {
    pub(crate) fn new(filter: &str, options: Options, system: std::collections::VecDeque<Pending>) -> Self {
        Self {
            filter: filter.into(),
            options,
            after: None,
            slice: std::collections::VecDeque::new(),
            has_waited: false,
            is_scanned: false,
            system,
        }
    }

    /// The filter of its subscription.
    pub(crate) fn filter(&self) -> &str {
        &self.filter
    }

    /// Whether it is for the subscription with this filter.
    pub(crate) fn is_of(&self, filter: &str) -> bool {
        *self.filter == *filter
    }

    /// The next message, or `None` when all have been sent.
    pub(crate) fn next(&mut self, tenant: &Tenant, wall_ms: u64) -> Option<Arc<Message>> {
        loop {
            if let Some(pending) = self.system.pop_front() {
                if let Some(message) = pending.message() {
                    return Some(message);
                }
                continue;
            }
            if let Some(message) = self.slice.pop_front() {
                if self.has_waited && !tenant.retains(&message, wall_ms) {
                    continue;
                }
                return Some(message);
            }
            if self.is_scanned {
                return None;
            }
            self.scan(tenant, wall_ms);
        }
    }

    /// The rest is for a later turn. What is replaced or cleared until then goes out live, and its predecessor must not follow it
    /// \[MQTT-4.6.0-6\].
    pub(crate) fn wait(&mut self) {
        self.has_waited = true;
    }

    fn scan(&mut self, tenant: &Tenant, wall_ms: u64) {
        let retained = tenant.retained.read();
        let found = retained.scan(&self.filter, self.after.as_deref(), SLICE_TOPICS);
        let wanted = found.entries.iter().filter(|(topic, message)| {
            !message.is_expired(wall_ms) && self.options.cover(topic) && filter_matches(&self.filter, topic)
        });
        self.has_waited = false;
        self.slice.extend(wanted.map(|(_, message)| Arc::clone(message)));
        self.after = found.resume_after.as_deref().map(Into::into);
        self.is_scanned = found.resume_after.is_none();
    }
}
