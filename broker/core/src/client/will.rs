//! Publication of Wills.

use std::sync::Arc;

use crate::message::MessageParts;
use crate::tenant::Tenant;
use crate::tenant::client::Client;
use crate::tenant::publication::Publication;
use crate::tenant::system_topics;
use crate::tenant::will::WillMessage;
use crate::turn::Turn;

/// Publishes a Will like a message of its Client. The caller,
/// [`publish_will`](super::session_end::publish_will), has checked the permission. False if the
/// rest follows in a later turn.
pub(super) fn publish(
    will: &WillMessage,
    tenant: &Arc<Tenant>,
    source: &Arc<Client>,
    turn: &mut Turn,
) -> bool {
    if system_topics::is_system(&will.topic) {
        turn.tell(|above, turn| above.bridge_state(turn, source, &will.topic, &will.payload));
        return true;
    }
    let expires_at_ms = will.expires_at_ms(turn.core.clock.lifetime_ms());
    let parts = MessageParts {
        topic: &will.topic,
        properties: &will.properties,
        payload: &will.payload,
        qos: will.qos,
        retain: will.retain,
        expires_at_ms,
    };
    let publication = Publication::copied(&mut turn.arena, parts, Some(source));
    turn.publish(tenant, &publication)
}
