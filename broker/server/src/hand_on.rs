//! What a member of shared subscriptions leaves behind when its session ends: another member gets it (§4.8.2).
//!
//! That is what waited for it, and QoS 1 messages that it has not acknowledged. A QoS 2 message that was sent to it goes to nobody else
//! \[MQTT-4.8.2-5\].

use std::sync::Arc;

use hashbrown::HashMap;
use lotmq_router::GroupId;
use lotmq_session::InflightStep;

use crate::client::{Client, ClientState};
use crate::fan_out::Publication;
use crate::limits::HANDED_ON_MAX;
use crate::message::Message;
use crate::net::turn::Turn;
use crate::tenant::Tenant;

/// Messages that a session has not delivered for good, oldest first; none where it was a member of no group.
pub(crate) fn undelivered(state: &ClientState) -> Vec<Arc<Message>> {
    if !state.subscriptions.has_shared() {
        return Vec::new();
    }
    let left = state.session.export();
    let unacknowledged = left.inflight.into_iter().filter(|sent| sent.step == InflightStep::AwaitsPuback);
    let sent = unacknowledged.filter_map(|sent| sent.message);
    sent.chain(left.queue.into_iter().map(|queued| queued.message)).map(|queued| queued.message).collect()
}

/// A message and the group that it was for.
pub(crate) struct Orphan {
    pub(crate) message: Arc<Message>,
    pub(crate) group: GroupId,
}

/// Those of `messages` that came by a group. Call while `client` is still a member.
///
/// A topic that the Client is also subscribed to for itself is left out: which copy was whose is not known.
pub(crate) fn orphans(client: &Arc<Client>, messages: Vec<Arc<Message>>) -> Vec<Orphan> {
    let mut groups: HashMap<String, Vec<GroupId>> = HashMap::new();
    // A message of two groups is there twice: each gets one.
    let mut copies: HashMap<*const Message, usize> = HashMap::new();
    let orphan = |message: Arc<Message>| {
        let topic = message.topic();
        let groups = groups.entry_ref(topic).or_insert_with(|| groups_of(client, topic));
        let copy = copies.entry(Arc::as_ptr(&message)).or_default();
        let group = *groups.get(*copy)?;
        *copy += 1;
        Some(Orphan { message, group })
    };
    messages.into_iter().filter_map(orphan).collect()
}

fn groups_of(client: &Arc<Client>, topic: &str) -> Vec<GroupId> {
    let route = client.tenant.route(topic);
    if route.targets.iter().any(|target| Arc::ptr_eq(&target.client, client)) {
        return Vec::new();
    }
    let of_client = route.groups.iter().filter(|group| group.get(&client.session_id).is_some());
    of_client.map(|group| group.id()).collect()
}

/// Gives each message to a member of its group; without one it is lost. Call when whoever was to get it is no member any more.
pub(crate) fn hand_on(tenant: &Arc<Tenant>, orphans: Vec<Orphan>, turn: &mut Turn) {
    let lost = orphans.len().saturating_sub(HANDED_ON_MAX);
    turn.broker.counters.queue_full_dropped.add(lost as u64);
    for Orphan { message, group } in orphans.into_iter().take(HANDED_ON_MAX) {
        if message.is_expired(turn.wall_ms()) {
            turn.broker.counters.messages_expired.add(1);
            continue;
        }
        let publication = Publication::copied(&mut turn.arena, message.parts(), None);
        turn.publish_to_group(tenant, &publication, group);
    }
}
