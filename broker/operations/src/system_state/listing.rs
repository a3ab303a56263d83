//! Kept listings: computed at most once a second and with at most a fiftieth of a core.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use parking_lot::Mutex;

/// Shortest time between two computations of a listing.
const PERIOD: Duration = Duration::from_secs(1);

/// Pause after a computation, in multiples of its duration.
const REST: u32 = 50;

/// Number of a tenant and topic of a listing.
type Key = (u32, &'static str);

/// Last listings, by tenant and topic.
#[derive(Default)]
pub(crate) struct Listings(Mutex<HashMap<Key, Listing>>);

struct Listing {
    payload: Arc<str>,
    computed_at: Instant,
    rests_for: Duration,
    /// Payload that subscribers got last.
    published: Option<Arc<str>>,
}

impl Listings {
    /// Listing for a new subscriber, computed anew when its rest is over.
    pub(crate) fn get(&self, key: Key, compute: impl FnOnce() -> String) -> Arc<str> {
        if let Some(known) = self.0.lock().get(&key)
            && known.computed_at.elapsed() < known.rests_for
        {
            return Arc::clone(&known.payload);
        }
        let start = Instant::now();
        let payload: Arc<str> = compute().into();
        let rests_for = PERIOD.max(start.elapsed() * REST);
        let mut all = self.0.lock();
        let published = all.remove(&key).and_then(|known| known.published);
        let listing = Listing { payload: Arc::clone(&payload), computed_at: start, rests_for, published };
        all.insert(key, listing);
        payload
    }

    /// Forgets a listing that nobody is subscribed to.
    pub(crate) fn forget(&self, key: Key) {
        self.0.lock().remove(&key);
    }

    /// Notes that subscribers get this payload of a known listing; false when they have it already.
    pub(crate) fn is_news(&self, key: Key, payload: &Arc<str>) -> bool {
        let mut all = self.0.lock();
        let Some(known) = all.get_mut(&key) else { return false };
        let is_news = known.published.as_ref() != Some(payload);
        known.published = Some(Arc::clone(payload));
        is_news
    }
}
