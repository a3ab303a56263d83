//! What a member of shared subscriptions leaves behind when its session ends: another member gets it (§4.8.2).
//!
//! That is what waited for it, and QoS 1 messages that it has not acknowledged. A QoS 2 message that was sent to it goes to nobody else
//! \[MQTT-4.8.2-5\]. What is in memory goes at once ([`hand_on`]), what rests in the store slice by slice ([`Endings`](crate::endings::Endings)).

use std::sync::Arc;

use lotmq_router::{GroupId, filter_matches};
use lotmq_session::InflightStep;
use lotmq_store::{MessageId, Op, SessionId};

use crate::client::{Client, ClientState};
use crate::fan_out::Publication;
use crate::limits::HANDED_ON_MAX;
use crate::message::Message;
use crate::net::turn::Turn;
use crate::subscription::{SHARED, Subscriptions};
use crate::tenant::Tenant;

/// What a session has not delivered for good.
#[derive(Default)]
pub(crate) struct Undelivered {
    /// Those in memory, oldest first.
    pub(crate) messages: Vec<Arc<Message>>,
    /// Others rest in the store, behind this number.
    pub(crate) rests_after: Option<MessageId>,
}

impl Undelivered {
    /// Nothing where the session was a member of no group: it goes to nobody.
    pub(crate) fn of(state: &ClientState) -> Self {
        if !state.subscriptions.has_shared() {
            return Self::default();
        }
        let left = state.session.export();
        let unacknowledged = left.inflight.into_iter().filter(|sent| sent.step == InflightStep::AwaitsPuback);
        let sent = unacknowledged.filter_map(|sent| sent.message);
        let all = sent.chain(left.queue.into_iter().map(|queued| queued.message));
        Self {
            messages: all.map(|queued| queued.message).collect(),
            rests_after: (left.resting.messages > 0).then(|| MessageId(state.session.rests_after())),
        }
    }
}

/// The groups of a Client, and which of its messages came by them.
#[derive(Default)]
pub(crate) struct Groups {
    groups: Vec<(Box<str>, GroupId)>,
    /// What the Client is subscribed to for itself.
    own: Vec<Box<str>>,
    /// The message that was asked about last, and how many like it there were in a row before.
    last: Option<(Arc<Message>, usize)>,
}

impl Groups {
    /// Call while `client` is still a member.
    pub(crate) fn of(client: &Client, subscriptions: &Subscriptions) -> Self {
        let mut groups = Self::default();
        if !subscriptions.has_shared() {
            return groups;
        }
        for filter in subscriptions.filters() {
            match client.tenant.group(filter) {
                Some(group) => groups.groups.push((filter.into(), group)),
                None if filter.starts_with(SHARED) => {}
                None => groups.own.push(filter.into()),
            }
        }
        groups
    }

    /// Whether any of them still has members.
    pub(crate) fn exist(&self, tenant: &Tenant) -> bool {
        self.groups.iter().any(|(filter, group)| tenant.group(filter) == Some(*group))
    }

    /// The group that a message came by.
    ///
    /// None for a topic that the Client is also subscribed to for itself: which copy was whose is not known. For the same reason copies for
    /// several groups, which stand side by side, are dealt out to them.
    fn group_of(&mut self, message: &Arc<Message>) -> Option<GroupId> {
        let topic = message.topic();
        let before = match &self.last {
            Some((last, count)) if last.has_contents_of(message) => count + 1,
            _ => 0,
        };
        self.last = Some((Arc::clone(message), before));
        if self.own.iter().any(|filter| filter_matches(filter, topic)) {
            return None;
        }
        let matches = |filter: &str| {
            let shared = lotmq_router::parse_shared(filter).ok().flatten();
            shared.is_some_and(|shared| filter_matches(shared.filter, topic))
        };
        let matching = || self.groups.iter().filter(|(filter, _)| matches(filter));
        let count = matching().count().max(1);
        matching().nth(before % count).map(|(_, group)| *group)
    }
}

/// Gives each message to another member of its group; without one it is lost. Call when whoever was to get it is no member any more.
///
/// With `queue`, in whose queue they are stored, they leave it in the same batch in which they enter another one.
pub(crate) fn hand_on(
    tenant: &Arc<Tenant>,
    groups: &mut Groups,
    messages: Vec<Arc<Message>>,
    queue: Option<SessionId>,
    turn: &mut Turn,
) {
    let lost = messages.len().saturating_sub(HANDED_ON_MAX);
    turn.broker.counters.queue_full_dropped.add(lost as u64);
    for message in messages.into_iter().take(HANDED_ON_MAX) {
        let Some(group) = groups.group_of(&message) else { continue };
        hand_on_to(tenant, group, &message, queue, turn);
    }
}

/// Gives a message to another member of a group.
pub(crate) fn hand_on_to(
    tenant: &Arc<Tenant>,
    group: GroupId,
    message: &Message,
    queue: Option<SessionId>,
    turn: &mut Turn,
) {
    if let Some(session) = queue.filter(|_| message.id != 0) {
        turn.batch.push(Op::Dequeue { session, message: MessageId(message.id) });
    }
    if message.is_expired(turn.wall_ms()) {
        turn.broker.counters.messages_expired.add(1);
        return;
    }
    let publication = Publication::copied(&mut turn.arena, message.parts(), None);
    turn.publish_to_group(tenant, &publication, group);
}
