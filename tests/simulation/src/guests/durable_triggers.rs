//! Promised runs of the simulation's definitions: a message is stored until its runs have ended, in
//! a session that no Client can have.

use std::sync::Arc;

use lotmq_changes::{
    Batch, Delivery, Ids, MessageId, MessageRef, Op, RecoveredSession, SessionId, SessionRow, TenantId,
};
use lotmq_core::durable::ended_runs::EndedRuns;
use lotmq_core::tenant::Tenant;
use lotmq_core::tenant::triggers::{Starting, TurnNotes};
use lotmq_core::turn::stored;
use lotmq_store::Store;

use super::{Event, RELAYS, Told, hops_max, life};
use crate::fault::{GuestFault, planted};

/// Held by the runs of one message.
pub(super) struct Promise {
    runs: Arc<EndedRuns>,
    session: SessionId,
    message: MessageId,
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.runs.ended(self.session, self.message);
    }
}

/// Stores a message until its runs have ended.
pub(super) fn keep(notes: &mut TurnNotes<'_>, starting: &Starting<'_>, session: SessionId) -> Arc<Promise> {
    let Starting { tenant, publication, .. } = starting;
    let message = notes.core.ids.next_message();
    let kept = MessageRef {
        id: message,
        tenant: tenant.id,
        topic: notes.arena.text(publication.message.topic),
        properties: &[publication.hops],
        payload: notes.arena.get(publication.message.payload),
        qos: publication.message.qos.bits(),
        published_at_ms: notes.wall_ms,
        expires_at_ms: None,
    };
    let qos = publication.message.qos.bits();
    let delivery = Delivery {
        session,
        qos,
        retain: false,
        published_retain: false,
        packet_id: None,
        subscription_ids: &[],
        membership: None,
    };
    notes.batch.push(Op::Enqueue { message: kept, deliveries: &[delivery] });
    Arc::new(Promise { runs: Arc::clone(&notes.core.ended_runs), session, message })
}

/// Finds the session of promised runs, or makes it.
///
/// # Errors
/// When it cannot be stored.
pub(crate) fn durable_session(
    store: &Store,
    ids: &Ids,
    recovered: &mut Vec<RecoveredSession>,
) -> Result<SessionId, String> {
    let found = recovered.extract_if(.., |it| it.session.client_id.is_empty()).next();
    if let Some(found) = found {
        return Ok(found.session.id);
    }
    let row = SessionRow::new(TenantId::DEFAULT, ids.next_session(), "");
    let mut batch = Batch::new();
    batch.push(Op::PutSession(&row));
    store.commit(batch).map_err(|error| error.to_string())?;
    Ok(row.id)
}

/// Posts the runs that a former life of the broker has left: what runs have published comes first.
///
/// # Errors
/// When what is left cannot be read.
pub(crate) fn start_again(
    store: &Store,
    runs: &Arc<EndedRuns>,
    (tenant, session): (&Arc<Tenant>, SessionId),
) -> Result<(), String> {
    if planted() == Some(GuestFault::RunsForgotten) {
        return Ok(());
    }
    let mut left = Vec::new();
    let mut after = MessageId(0);
    loop {
        let slice = store.queue_slice(session, after, 64, u64::MAX).map_err(|error| error.to_string())?;
        for delivery in &slice.deliveries {
            let hops = delivery.message.properties.first().copied().unwrap_or_default();
            left.push((std::cmp::Reverse(hops), delivery.message.id, Arc::new(stored::message(delivery))));
        }
        match slice.last {
            Some(last) if !slice.is_last => after = last,
            Some(_) | None => break,
        }
    }
    left.sort_by_key(|(hops, id, _)| (*hops, *id));
    for (std::cmp::Reverse(hops), id, message) in left {
        let promise = Arc::new(Promise { runs: Arc::clone(runs), session, message: id });
        if hops > hops_max() {
            life::tell(Told::HopLimit);
            continue;
        }
        for relay in (0..RELAYS.len()).filter(|at| RELAYS[*at].trigger == message.topic()) {
            let (message, promise) = (Arc::clone(&message), Some(Arc::clone(&promise)));
            life::start_again(Event { tenant: Arc::clone(tenant), relay, message, hops, promise });
        }
    }
    Ok(())
}

/// Messages that are stored for runs that have not ended; at most 64 are counted.
///
/// # Errors
/// When they cannot be read.
pub(crate) fn left(store: &Store, session: SessionId) -> Result<usize, String> {
    let slice = store.queue_slice(session, MessageId(0), 64, u64::MAX).map_err(|error| error.to_string())?;
    Ok(slice.deliveries.len())
}
