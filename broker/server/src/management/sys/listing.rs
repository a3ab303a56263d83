//! Listings: computed only while somebody subscribes, at most once a second and with at most a fiftieth of a core. Commands reference §5.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use parking_lot::Mutex;

use super::documents::{Document, LISTINGS};
use crate::management::broker::Broker;
use lotmq_core::tenant::Tenant;
use lotmq_core::turn::Turn;

/// Shortest time between two computations of a listing.
const PERIOD: Duration = Duration::from_secs(1);

/// Pause after a computation, in multiples of its duration.
const REST: u32 = 50;

/// Last listings, by tenant and topic.
#[derive(Default)]
pub(super) struct Listings(Mutex<HashMap<(u32, &'static str), Listing>>);

struct Listing {
    payload: Arc<str>,
    computed_at: Instant,
    rests_for: Duration,
    /// Payload that subscribers got last.
    published: Option<Arc<str>>,
}

impl Listings {
    /// Listing for a new subscriber.
    pub(super) fn get(&self, broker: &Broker, tenant: &Tenant, document: &'static Document) -> Arc<str> {
        let key = (tenant.number, document.topic);
        if let Some(known) = self.0.lock().get(&key)
            && known.computed_at.elapsed() < known.rests_for
        {
            return Arc::clone(&known.payload);
        }
        let start = Instant::now();
        let payload: Arc<str> = (document.payload)(broker, tenant).into();
        let rests_for = PERIOD.max(start.elapsed() * REST);
        let mut all = self.0.lock();
        let published = all.remove(&key).and_then(|known| known.published);
        let listing = Listing { payload: Arc::clone(&payload), computed_at: start, rests_for, published };
        all.insert(key, listing);
        payload
    }

    /// Publishes changed listings to those who are subscribed, and forgets those without subscribers.
    pub(super) fn publish(&self, broker: &Broker, turn: &mut Turn, tenant: &Arc<Tenant>) {
        for document in LISTINGS {
            let key = (tenant.number, document.topic);
            if !tenant.has_subscribers(document.topic) {
                self.0.lock().remove(&key);
                continue;
            }
            let payload = self.get(broker, tenant, document);
            let mut all = self.0.lock();
            let Some(known) = all.get_mut(&key) else { continue };
            if known.published.as_ref() == Some(&payload) {
                continue;
            }
            known.published = Some(Arc::clone(&payload));
            drop(all);
            super::publish(turn, tenant, document.topic, payload.as_bytes(), true);
        }
    }
}
