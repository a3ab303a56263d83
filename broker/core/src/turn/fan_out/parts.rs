//! Fan-out in parts: a large message for many receivers is the work of several turns.
//!
//! To write 100 KB to 200 Clients takes as long as a turn may be. Only messages of QoS 0 are taken
//! apart. Others are acknowledged only when each receiver has theirs and the store has all of them.
//! Between the parts the thread reads nothing more from the publisher, so the order of its messages
//! stays. If its connection ends, the thread goes on with the rest, its Will on the same topic
//! behind it. Messages without a PUBLISH are handled likewise (`asked`).

use std::collections::VecDeque;
use std::sync::Arc;

use lotmq_codec::QoS;

use crate::arena::charge::Shared;
use crate::limits::{LEFT_BYTES_MAX, OWED_BYTES_MAX, OWED_PARTS};
use crate::message::Message;
use crate::routing::route::Route;
use crate::tenant::Tenant;
use crate::tenant::client::Client;
use crate::tenant::publication::Publication;
use crate::tenant::system_topics;
use crate::turn::Turn;
use crate::turn::fan_out::{Disposition, FanOut, FanOutOf, is_large};

/// Remainder of a message: the receivers that have not got it yet. Clients that subscribe meanwhile
/// do not get it.
pub struct Remainder {
    message: Arc<Message>,
    /// Its payload for those whose sockets do not take it, the same in all parts; `None` for a
    /// short one, and before the first part.
    payload: Option<Shared>,
    route: Arc<Route>,
    /// Index of the next receiver.
    next: usize,
    /// Result so far.
    fan_out: FanOut,
    /// Whether it has been retained and has triggered its guests.
    is_told: bool,
}

/// Whether a message of this size is the work of several turns.
pub(super) fn is_in_parts(qos: QoS, (payload_len, bytes): (usize, usize), route: &Route) -> bool {
    is_large(payload_len, bytes) && qos == QoS::AtMostOnce && route.targets.len() > at_once(bytes)
}

/// Routes a message on the route of its topic as [`Turn::publish_on`] does, or the first parts of
/// one that is too much for a turn.
///
/// # Errors
/// The rest of the message, for a later turn.
pub(crate) fn publish_in_parts(
    turn: &mut Turn,
    tenant: &Arc<Tenant>,
    publication: &Publication<'_>,
    source: &Arc<Client>,
    route: Arc<Route>,
) -> Result<FanOut, Box<Remainder>> {
    if !is_in_parts(
        publication.message.qos,
        (publication.message.payload.len(), publication.message.bytes()),
        &route,
    ) {
        return Ok(turn.publish_on(tenant, publication, route));
    }
    let message = Arc::new(Message::new(0, publication.message.parts(&turn.arena)));
    turn.routes.put_back(tenant, Arc::clone(&route));
    Remainder::new(message, route, false).go_on(turn, tenant, source)
}

impl Remainder {
    /// Remainder with all receivers. `is_told`: the message has been retained and has triggered its
    /// guests.
    pub(super) fn new(message: Arc<Message>, route: Arc<Route>, is_told: bool) -> Box<Self> {
        Box::new(Self { message, payload: None, route, next: 0, fan_out: FanOut::default(), is_told })
    }

    /// Routes further parts while there is time, at least one in a turn that has room.
    ///
    /// # Errors
    /// The rest of the message, for a later turn.
    pub fn go_on(
        mut self: Box<Self>,
        turn: &mut Turn,
        tenant: &Arc<Tenant>,
        source: &Arc<Client>,
    ) -> Result<FanOut, Box<Self>> {
        while turn.time_shares.may_owe(self.part_bytes()) {
            if self.part(turn, tenant, Some(source)) {
                return Ok(self.fan_out);
            }
            if turn.is_time_over() {
                break;
            }
        }
        Err(self)
    }

    /// Bytes that the next part writes.
    fn part_bytes(&self) -> usize {
        let bytes = self.message.size();
        bytes * at_once(bytes).min(self.route.targets.len() - self.next)
    }

    /// Leaves the remainder to later turns, without a connection that waits for it. Beyond the
    /// bytes that the thread keeps so, remainders are dropped: they are of QoS 0.
    pub(crate) fn leave(
        self: Box<Self>,
        turn: &mut Turn,
        tenant: &Arc<Tenant>,
        source: Option<&Arc<Client>>,
    ) {
        let left = &mut turn.asked.left;
        if left.bytes + self.message.size() > LEFT_BYTES_MAX && !left.waiting.is_empty() {
            let receivers = self.route.targets.len() - self.next + self.route.groups.len();
            return turn.core.counters.publish_dropped.add(receivers as u64);
        }
        left.bytes += self.message.size();
        left.waiting.push_back((Arc::clone(tenant), source.map(Arc::clone), self));
        turn.call_flusher();
    }

    /// Routes one part. True when that was the last one.
    fn part(&mut self, turn: &mut Turn, tenant: &Arc<Tenant>, source: Option<&Arc<Client>>) -> bool {
        turn.call_flusher();
        let publication = Publication::of(&mut turn.arena, &self.message, source, turn.moment.lifetime_ms);
        let payload = publication.message.payload;
        match &self.payload {
            Some(same) => turn.arena.lies_there(payload, same),
            None => self.payload = turn.arena.elsewhere(payload).map(|(_, shared)| shared),
        }
        let mut fan_out = FanOutOf::new(&publication, system_topics::is_system(&self.route.topic));
        let is_first = self.next == 0;
        if is_first && !self.is_told {
            self.fan_out.is_durable |= fan_out.retain(turn, tenant, &mut self.route);
            self.fan_out.is_stored |= fan_out.is_retained();
        }
        let left = &self.route.targets[self.next..];
        let part = &left[..left.len().min(at_once(publication.message.bytes()))];
        let is_taken = |fate: Disposition| usize::from(fate != Disposition::NotTheirs);
        let mut receivers = 0;
        for target in part {
            receivers += is_taken(fan_out.send(turn, target).counted(turn));
        }
        let is_last = part.len() == left.len();
        self.next += part.len();
        if is_last {
            for group in &self.route.groups {
                receivers += is_taken(fan_out.send_to_one(turn, group, &self.route).counted(turn));
            }
        }
        fan_out.keep(turn, tenant);
        self.fan_out.is_durable |= fan_out.is_kept;
        if is_last && !self.is_told {
            // The runs that they start must not be overtaken by their results.
            self.fan_out.is_durable |= fan_out.tell_guests(turn, tenant, &self.route);
            self.fan_out.starts_guests = self.route.triggers.is_some();
        }
        self.fan_out.is_stored |= self.fan_out.is_durable;
        self.fan_out.receivers += receivers;
        turn.work.steps += receivers;
        turn.time_shares.owe(receivers * publication.message.bytes());
        turn.relieve();
        is_last
    }
}

/// Tenant, publisher and remainder of such a message.
type Left = (Arc<Tenant>, Option<Arc<Client>>, Box<Remainder>);

/// Remainders for which no connection waits, one behind the other.
#[derive(Default)]
pub(crate) struct LeftParts {
    waiting: VecDeque<Left>,
    /// Bytes of their messages.
    bytes: usize,
}

impl LeftParts {
    /// Whether a message of this topic has not come to all of its receivers.
    pub(super) fn has_of(&self, tenant: &Arc<Tenant>, topic: &str) -> bool {
        self.waiting.iter().any(|(of, _, rest)| Arc::ptr_eq(of, tenant) && rest.message.topic() == topic)
    }
}

/// Begins a turn with a further part of remainders whose publishers have gone, where there is room.
/// True when there are any.
pub fn resume(turn: &mut Turn) -> bool {
    let Some((_, _, rest)) = turn.asked.left.waiting.front() else { return false };
    if turn.time_shares.may_resume(rest.part_bytes())
        && let Some((tenant, source, mut rest)) = turn.asked.left.waiting.pop_front()
    {
        turn.asked.left.bytes -= rest.message.size();
        if !rest.part(turn, &tenant, source.as_ref()) {
            turn.asked.left.bytes += rest.message.size();
            turn.asked.left.waiting.push_front((tenant, source, rest));
        }
    }
    true
}

/// Number of receivers per part for a message of so many bytes. Each part is copied, which must be
/// cheap compared with writing it.
fn at_once(bytes: usize) -> usize {
    (OWED_BYTES_MAX / OWED_PARTS / bytes.max(1)).max(2)
}
