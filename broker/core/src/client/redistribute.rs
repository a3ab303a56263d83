//! What a member of shared subscriptions leaves behind when its session ends: another member gets it (§4.8.2).
//!
//! That is what waited for it, and QoS 1 messages that it has not acknowledged. A QoS 2 message that was sent to it goes to nobody else
//! \[MQTT-4.8.2-5\]. Here is which group a message came by, and how another member gets it; when that happens is told by [`Ending`](crate::client::endings::Ending).

use std::collections::VecDeque;
use std::sync::Arc;

use lotmq_router::GroupId;
use lotmq_session::{InflightStep, Session};
use lotmq_store::{MessageId, Op, SessionId};

use crate::client::Queued;
use crate::routing::fan_out::Publication;
use crate::routing::message::Message;
use crate::tenant::Tenant;
use crate::turn::Turn;

/// What a session has not delivered for good.
#[derive(Default)]
pub(crate) struct Undelivered {
    /// Those in memory, oldest first.
    pub messages: VecDeque<Arc<Message>>,
    /// Others rest in the store, behind this number.
    pub(crate) rests_after: Option<MessageId>,
}

impl Undelivered {
    /// Cost: O(messages in memory).
    pub(crate) fn of(session: &Session<Queued>) -> Self {
        let left = session.export();
        let unacknowledged = left.inflight.into_iter().filter(|sent| sent.step == InflightStep::AwaitsPuback);
        let sent = unacknowledged.filter_map(|sent| sent.message);
        let all = sent.chain(left.queue.into_iter().map(|queued| queued.message));
        Self {
            messages: all.map(|queued| queued.message).collect(),
            rests_after: (left.resting.messages > 0).then(|| MessageId(session.rests_after())),
        }
    }
}

/// Tells by which of its groups a session that has ended got each of its messages.
#[derive(Default)]
pub(crate) struct Dealer {
    /// The message that was asked about last.
    last: Option<Dealt>,
}

struct Dealt {
    message: Arc<Message>,
    /// How many like it there were in a row before.
    before: usize,
    /// The groups of its topic.
    groups: Vec<GroupId>,
}

impl Dealer {
    /// The group that a message came by, while the session is still a member of it.
    ///
    /// None for a topic that the session is also subscribed to for itself: which copy was whose is not known. For the same reason copies for
    /// several groups, which stand side by side, are dealt out to them; so the index is asked once for all of them.
    pub(crate) fn group_of(
        &mut self,
        tenant: &Tenant,
        session: SessionId,
        message: &Arc<Message>,
    ) -> Option<GroupId> {
        let (before, groups) = match self.last.take() {
            Some(last) if last.message.has_contents_of(message) => (last.before + 1, last.groups),
            Some(last) if last.message.topic() == message.topic() => (0, last.groups),
            _ => (0, tenant.groups_of_member(session, message.topic())),
        };
        let group = groups.get(before % groups.len().max(1)).copied();
        self.last = Some(Dealt { message: Arc::clone(message), before, groups });
        group
    }
}

/// Gives a message to another member of a group; without one it is lost. Call when whoever was to get it is chosen no more.
///
/// With `queue`, in whose queue it is stored, it leaves that in the same batch in which it enters another one.
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
        turn.core.counters.messages_expired.add(1);
        return;
    }
    let publication = Publication::copied(&mut turn.arena, message.parts(), None);
    turn.publish_to_group(tenant, &publication, group);
}
