//! Promised runs (`lot.durable_triggers`): a message of QoS 1 or 2 that starts Actions or models is kept until all of these runs have ended.
//!
//! Each tenant has a session in the store that no Client can have: its Client Identifier is empty. A message enters its queue in the batch of its
//! publisher, whose acknowledgement waits for that, and leaves it when the last run has let go of its [`Promise`].
//!
//! Invariants: runs let go only when their effects have been handed to the store ([`Turn::ended_runs`]), so a message never leaves in front of them; what
//! the end of the broker interrupts stays. Not here: what is done with that (`left_runs`).

use std::sync::Arc;

use lotmq_codec::QoS;
use lotmq_store::{Delivery, MessageId, MessageRef, Op, SessionId};

use super::{Guests, Starts, TriggeredDefinition};
use crate::guests::HasPrograms as _;
use lotmq_core::durable::ended_runs::EndedRuns;
use lotmq_core::triggers::Starting;
use lotmq_core::turn::Turn;

/// Promise of a message: held by everything that it starts. When the last holder is gone, the runs have ended.
pub(crate) struct Promise {
    pub(super) runs: Arc<EndedRuns>,
    pub(super) session: SessionId,
    pub(super) message: MessageId,
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.runs.ended(self.session, self.message);
    }
}

impl Guests {
    /// Whether a message that starts these is kept until they have ended.
    pub(crate) fn promises(&self, triggers: &[Arc<TriggeredDefinition>]) -> bool {
        self.promised.get().is_some() && triggers.iter().any(|it| matches!(it.starts, Starts::Guest(_)))
    }
}

/// Stores a message until the runs that it starts have ended, where that is promised.
pub(super) fn promise(
    turn: &mut Turn,
    triggers: &[Arc<TriggeredDefinition>],
    starting: &Starting<'_>,
) -> Option<Arc<Promise>> {
    let Starting { tenant, publication, .. } = starting;
    let guests = &tenant.programs().guests;
    let session = *guests.promised.get()?;
    if publication.message.qos == QoS::AtMostOnce || !guests.promises(triggers) {
        return None;
    }
    let of_route = publication.origin.map(|id| guests.client_id_of_route(id));
    let client_id = publication.source.map(|client| &client.client_id).or(of_route.as_ref());
    let client_id = client_id.map_or("", |client_id| client_id);
    let message = turn.core.ids.next_message();
    let kept = MessageRef {
        id: message,
        tenant: tenant.id,
        topic: turn.arena.text(publication.message.topic),
        properties: &publisher(publication.hops, client_id),
        payload: turn.arena.get(publication.message.payload),
        qos: publication.message.qos.bits(),
        published_at_ms: turn.wall_ms(),
        expires_at_ms: None,
    };
    let delivery = Delivery {
        session,
        qos: publication.message.qos.bits(),
        retain: publication.message.retain,
        packet_id: None,
        subscription_ids: &[],
        membership: None,
    };
    turn.batch.push(Op::Enqueue { message: kept, deliveries: &[delivery] });
    Some(Arc::new(Promise { runs: Arc::clone(&turn.core.ended_runs), session, message }))
}

/// Encodes hops and the Client Identifier of the publisher, which are stored in place of the properties of the PUBLISH, of which guests see none.
fn publisher(hops: u8, client_id: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1 + client_id.len());
    bytes.push(hops);
    bytes.extend_from_slice(client_id.as_bytes());
    bytes
}
