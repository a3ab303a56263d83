//! Redistribution of undelivered messages among the members of shared subscriptions when a member's
//! session ends (§4.8.2).
//!
//! Redistributed is what waited for it, and QoS 1 messages that it has not acknowledged. A QoS 2
//! message that was sent to it goes to nobody else \[MQTT-4.8.2-5\], but one that was held back
//! until its identifier was stored; and nothing goes to others that came by a subscription of the
//! session's own, or by a group that it had left: each message remembers its membership. Here is
//! how another member gets it; when that happens is up to
//! [`SessionDrain`](crate::turn::session_drain::SessionDrain).

use std::collections::VecDeque;
use std::sync::Arc;

use lotmq_changes::{MembershipId, MessageId, Op, SessionId};
use lotmq_router::GroupId;
use lotmq_session::{InflightMessage, InflightStep, Session};

use crate::message::Message;
use crate::tenant::Tenant;
use crate::tenant::client::{Client, Queued};
use crate::tenant::publication::Publication;
use crate::tenant::subscription::Subscriptions;
use crate::turn::Turn;

/// Undelivered messages of a session that came by its groups.
#[derive(Default)]
pub(crate) struct Undelivered {
    /// Messages in memory, oldest first, each with the membership by which it came.
    pub messages: VecDeque<(Arc<Message>, MembershipId)>,
    /// Number in the store behind which further messages rest.
    pub(crate) rests_after: Option<MessageId>,
}

impl Undelivered {
    /// Collects the undelivered messages of a session. Cost: O(messages in memory).
    pub(crate) fn of(session: &Session<Queued>) -> Self {
        let left = session.export();
        let may_have_others = |sent: &InflightMessage<_>| match sent.step {
            InflightStep::AwaitsPuback => true,
            InflightStep::AwaitsPubrec => !sent.has_left,
            InflightStep::AwaitsPubcomp => false,
        };
        let sent = left.inflight.into_iter().filter(may_have_others).filter_map(|sent| sent.message);
        let all = sent.chain(left.queue.into_iter().map(|queued| queued.message));
        Self {
            messages: all.filter_map(|queued| Some((queued.message, queued.membership?))).collect(),
            rests_after: (left.resting.messages > 0).then(|| MessageId(session.rests_after())),
        }
    }
}

/// Groups of which a session is a member at its end, by the numbers of its memberships.
#[derive(Default)]
pub(crate) struct Memberships(Vec<(MembershipId, GroupId)>);

impl Memberships {
    pub(crate) fn of(tenant: &Tenant, subscriptions: &Subscriptions) -> Self {
        let mut groups = tenant.groups_of(subscriptions);
        groups.sort_unstable();
        Self(groups)
    }

    /// Group of a membership; `None` for one that has ended before.
    pub(crate) fn group(&self, membership: MembershipId) -> Option<GroupId> {
        let at = self.0.binary_search_by_key(&membership, |(number, _)| *number).ok()?;
        Some(self.0[at].1)
    }
}

/// Gives what members of groups did not get in this turn to others: their sessions are over, or
/// they do not take packets as large.
pub(crate) fn redistribute_left(turn: &mut Turn) {
    for (former, message, group) in std::mem::take(&mut turn.messages.orphaned) {
        redistribute_to(&former.tenant, group, &message, Some(former.stored_id()), turn);
    }
    for (former, queued) in std::mem::take(&mut turn.messages.too_large) {
        pass_on(&former, &queued, turn);
    }
}

/// Gives a message that waited for a member of a group, and is larger than it takes, to another
/// one; without one it is lost. The member has given it up.
fn pass_on(former: &Client, queued: &Queued, turn: &mut Turn) {
    let queue = queued.stored_id().map(|_| former.stored_id());
    let filter = former.state.lock().subscriptions.filter_of(queued.membership);
    match filter.and_then(|filter| former.tenant.group_of(&filter)) {
        Some(group) => redistribute_to(&former.tenant, group, &queued.message, queue, turn),
        None => {
            let left = queued.stored_id().map(|message| Op::Dequeue { session: former.stored_id(), message });
            left.into_iter().for_each(|left| turn.batch.push(left));
        }
    }
}

/// Gives a message to another member of a group; without one it is lost. Call when whoever was to
/// get it is chosen no more.
///
/// With `queue`, in whose queue it is stored, it leaves that in the same batch in which it enters
/// another one.
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
    if message.is_expired(turn.lifetime_ms()) {
        turn.core.counters.messages_expired.add(1);
        return;
    }
    let publication = Publication::of(&mut turn.arena, message, None, turn.moment.lifetime_ms);
    turn.publish_to_group(tenant, &publication, group);
}
