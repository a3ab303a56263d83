//! Redistribution of undelivered messages among the members of shared subscriptions when a member's session ends (§4.8.2).
//!
//! Redistributed is what waited for it, and QoS 1 messages that it has not acknowledged. A QoS 2 message that was sent to it goes to nobody else
//! \[MQTT-4.8.2-5\]. Here is which group a message came by, and how another member gets it; when that happens is up to [`SessionDrain`](crate::client::session_drain::SessionDrain).

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

/// Undelivered messages of a session.
#[derive(Default)]
pub(crate) struct Undelivered {
    /// Messages in memory, oldest first.
    pub messages: VecDeque<Arc<Message>>,
    /// Number in the store behind which further messages rest.
    pub(crate) rests_after: Option<MessageId>,
}

impl Undelivered {
    /// Collects the undelivered messages of a session. Cost: O(messages in memory).
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

/// Dealer of an ended session's messages among the groups by which they came.
#[derive(Default)]
pub(crate) struct Dealer {
    /// The last message that was dealt.
    last: Option<Dealt>,
}

struct Dealt {
    message: Arc<Message>,
    /// Number of equal messages in a row before it.
    before: usize,
    /// The groups of its topic.
    groups: Vec<GroupId>,
}

impl Dealer {
    /// Group by which a message came, while the session is still a member of it.
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
pub(crate) fn redistribute_to(
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
    let publication = Publication::of(&mut turn.arena, message, None);
    turn.publish_to_group(tenant, &publication, group);
}
