//! Sessions whose queue is full: one word about each on `Comms/Sessions`, at most once a second. Commands reference §5.
//!
//! Noted where messages are dropped, under the lock of the Client's state; told by the thread of `clockwork`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use serde_json::json;

use super::time::utc_text;
use crate::client::Client;
use crate::net::turn::Turn;
use crate::sessions::KeptSessionKey;
use crate::tenant::Tenant;

const TOPIC: &str = "$SYS/Coreflux/Comms/Sessions";

/// Sessions of a tenant that have dropped something since the last word about them; each is in it once.
#[derive(Default)]
pub(crate) struct FullQueues(Mutex<Vec<KeptSessionKey>>);

/// Messages that a session dropped since the last word about it.
#[derive(Debug, Default)]
pub(crate) struct Dropped(AtomicU64);

impl FullQueues {
    /// A session dropped a message. Only the first one since the last word takes the lock.
    pub(crate) fn note(&self, client: &Client, dropped: &Dropped) {
        if dropped.0.fetch_add(1, Ordering::Relaxed) == 0 {
            self.0.lock().push(KeptSessionKey::of(client));
        }
    }
}

/// Tells of all that were noted, to those who are subscribed.
pub(super) fn publish(turn: &mut Turn, tenant: &Arc<Tenant>) {
    let noted = std::mem::take(&mut *tenant.full_queues.0.lock());
    for kept in noted {
        // A session that has ended meanwhile has no queue any more.
        let Some(client) = tenant.sessions.lock().get(kept.key()).cloned() else { continue };
        let dropped = client.dropped.0.swap(0, Ordering::Relaxed);
        if dropped == 0 || !tenant.has_subscribers(TOPIC) {
            continue;
        }
        let payload = json!({
            "event": "queue_full",
            "clientId": &*client.client_id,
            "username": client.user.as_deref(),
            "dropped": dropped,
            "timestamp": utc_text(turn.wall_ms()),
        });
        super::publish(turn, tenant, TOPIC, payload.to_string().as_bytes(), false);
    }
}
