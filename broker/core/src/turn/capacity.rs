//! Capacity for a message, checked before anything is done with it: space in the queues of all who
//! must get it, and a disk that works.

use std::sync::Arc;

use lotmq_codec::QoS;
use lotmq_config::OnFull;

use crate::durable::store_failure::StoreFailure;
use crate::limits::{BATCH_WAITING_BYTES_MAX, COPIES_BYTES_MAX, Limit};
use crate::routing::route::Route;
use crate::tenant::Tenant;
use crate::tenant::client::Client;
use crate::tenant::publication::Publication;
use crate::tenant::subscriber::SharedGroup;
use crate::tenant::triggers::Publisher;
use crate::turn::Turn;

/// Puts what this turn has for sessions so far into their queues, where [`has_room`] looks. Before
/// anything of the packet is encoded.
pub(crate) fn fill_queues(turn: &mut Turn) {
    if turn.core.settings.on_full == OnFull::Reject {
        turn.settle();
    }
}

/// Whether the store took no more for so long that the batch of the turn has become large.
pub(crate) fn is_far_behind(turn: &Turn) -> bool {
    turn.is_log_full() && turn.batch.bytes() >= BATCH_WAITING_BYTES_MAX
}

/// Whether every session that must get a message can keep it, in its queue and in the store; asked
/// only where `limits.on_full` says that publishers hear of the rest.
///
/// Messages of other threads may still fill a queue meanwhile. Then the message is dropped for that
/// session and counted. The same holds for a message that exceeds `offline_deliveries_per_sec`: if
/// it goes to more sessions than that, it never had room.
pub(crate) fn has_room(turn: &Turn, publication: &Publication<'_>, route: &Route) -> bool {
    if turn.core.settings.on_full != OnFull::Reject || publication.message.qos == QoS::AtMostOnce {
        return true;
    }
    let bytes = publication.message.bytes();
    let targets = route.targets.iter().filter_map(|target| target.for_source(publication.source));
    let mut kept = targets.filter(|target| target.qos != QoS::AtMostOnce);
    kept.all(|target| target.client.has_room(bytes, &turn.core, turn.now()))
        && route.groups.iter().all(|group| group_has_room(turn, group, route, bytes))
}

/// Whether it has to be asked of messages that no Client has published whether they
/// [can be kept](can_keep).
pub fn may_refuse(turn: &Turn) -> bool {
    turn.core.settings.on_full == OnFull::Reject || turn.refuses_to_store().is_some()
}

/// Whether a message that no Client has published can be kept wherever it must be. Asked before
/// anything is done with it, or with messages that go with it.
pub fn can_keep(turn: &mut Turn, tenant: &Arc<Tenant>, publication: &Publication<'_>) -> bool {
    if publication.message.qos == QoS::AtMostOnce {
        return true;
    }
    let route = turn.routes.take(tenant, turn.arena.get(publication.message.topic));
    let can = has_room(turn, publication, &route) && unstorable(turn, tenant, publication, &route).is_none();
    turn.routes.put_back(tenant, route);
    can
}

/// Whether a message of this QoS on this topic has to wait, because what it starts is full and
/// sheds nothing: to be asked again after a while.
pub fn must_wait(
    turn: &mut Turn,
    tenant: &Arc<Tenant>,
    (publisher, topic): (Publisher<'_>, &str),
    qos: QoS,
) -> bool {
    let route = turn.routes.take(tenant, topic.as_bytes());
    let must = route
        .triggers
        .as_ref()
        .is_some_and(|triggers| triggers.must_wait(&mut turn.notes(), tenant, publisher, qos));
    turn.routes.put_back(tenant, route);
    must
}

/// Whether a message may be stored for a Client that does not take it now; `is_free` says that it
/// does not count for how many there may be per second. That it may not be stored is counted.
pub(crate) fn stores_for(turn: &mut Turn, client: &Arc<Client>, is_free: bool) -> bool {
    let per_sec = turn.core.settings.limits.offline_deliveries_per_sec;
    let now = turn.now();
    let share = &mut turn.entry(client).share;
    let share = share.get_or_insert_with(|| Arc::clone(client.state.lock().holding.share()));
    let limit = if share.are_queues_full() {
        Limit::StoredQueueBytes
    } else if is_free || share.takes_delivery(per_sec, now) {
        return true;
    } else {
        Limit::OfflineDeliveriesPerSec
    };
    turn.core.counters.queue_full_dropped.add(1);
    turn.core.limits.elsewhere.note(limit, &client.client_id, now);
    false
}

/// Number of the copy that a session is to keep of a message of so many bytes: how many it has got
/// of it in this fan-out. `None`, which is counted, where its copies would be too many bytes.
pub(crate) fn copies_for(
    turn: &mut Turn,
    client: &Arc<Client>,
    (fan_out, bytes): (u64, usize),
) -> Option<usize> {
    let copies = &mut turn.entry(client).copies;
    let nth = copies.of(fan_out);
    if nth.saturating_mul(bytes) <= COPIES_BYTES_MAX {
        copies.add(fan_out);
        return Some(nth);
    }
    turn.core.counters.queue_full_dropped.add(1);
    turn.core.limits.elsewhere.note(Limit::SharedSubscriptions, &client.client_id, turn.now());
    None
}

/// Whether a member of the group that gets the topic can take or keep so many bytes, or there is
/// none.
fn group_has_room(turn: &Turn, group: &SharedGroup, route: &Route, bytes: usize) -> bool {
    let mut full = None;
    for (_, member) in group.members() {
        let client = &member.client;
        let is_there = client.wire_version().is_some();
        if !member.options.cover(&route.topic) || !(is_there || member.keeps()) {
            continue;
        }
        let has_room = (is_there && member.options.qos == QoS::AtMostOnce) || client.can_take(bytes);
        if has_room || full.is_none() {
            match (route.may_have(client), has_room) {
                (true, true) => return true,
                (true, false) => full = Some(client),
                (false, _) => {}
            }
        }
    }
    full.is_none_or(|client| client.has_room(bytes, &turn.core, turn.now()))
}

/// Why a message of QoS 1 or 2 cannot be taken because it would have to be stored; `None` where it
/// need not be, or can.
pub(crate) fn unstorable(
    turn: &Turn,
    tenant: &Tenant,
    publication: &Publication<'_>,
    route: &Route,
) -> Option<StoreFailure> {
    let failure = turn.refuses_to_store()?;
    // A message that frees space may use the reserve.
    let frees = failure == StoreFailure::Reserved && publication.message.payload.is_empty();
    if (publication.message.retain && !frees)
        || publication.source.is_some_and(|it| it.is_durable() && publication.message.qos == QoS::ExactlyOnce)
    {
        return Some(failure);
    }
    let keeps = |qos: QoS, client: &Client| qos != QoS::AtMostOnce && client.is_durable();
    let is_kept = route.triggers.as_ref().is_some_and(|it| it.are_durable(tenant))
        || route.targets.iter().any(|target| keeps(target.qos, &target.client))
        || route
            .groups
            .iter()
            .any(|group| group.choose(|_, member| keeps(member.options.qos, &member.client)).is_some());
    is_kept.then_some(failure)
}
