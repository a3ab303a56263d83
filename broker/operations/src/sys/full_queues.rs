//! Reports of sessions whose queue is full: one message about each on `Comms/Sessions`, at most
//! once a second. Commands reference §5.
//!
//! Noted where messages are dropped, under the lock of the Client's state; told by the thread of
//! `periodic`.

use std::sync::Arc;

use serde_json::json;

use lotmq_core::tenant::Tenant;
use lotmq_core::turn::Turn;
use lotmq_process::clock::utc_text;

const TOPIC: &str = "$SYS/Coreflux/Comms/Sessions";

/// Publishes a report of each session that was noted, to those who are subscribed.
pub(super) fn publish(turn: &mut Turn, tenant: &Arc<Tenant>) {
    let noted = tenant.full_queues.take();
    for kept in noted {
        // A session that has ended meanwhile has no queue any more.
        let Some(client) = tenant.sessions.lock().get(kept.key()).cloned() else { continue };
        let dropped = client.dropped.take();
        if dropped == 0 || !tenant.has_subscribers(TOPIC) {
            continue;
        }
        let payload = json!({
            "event": "queue_full",
            "clientId": &*client.client_id,
            "username": client.user_name(),
            "dropped": dropped,
            "timestamp": utc_text(turn.wall_ms()),
        });
        super::publish(turn, tenant, TOPIC, payload.to_string().as_bytes(), false);
    }
}
