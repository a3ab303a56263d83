//! Rates per second of many addresses: one token bucket each, in a bounded table.

use hashbrown::HashMap;
use lotmq_session::Time;
use parking_lot::Mutex;

use super::{Bucket, RATED_ADDRESSES_MAX};

/// Milliseconds between two sweeps of a full table.
const SWEEP_PERIOD_MS: u64 = 1000;

/// Token buckets of addresses. At most [`RATED_ADDRESSES_MAX`] addresses are known at once; while
/// none can be forgotten, further ones are not bounded.
#[derive(Debug, Default)]
pub struct AddressRates(Mutex<RatedAddresses>);

#[derive(Debug, Default)]
struct RatedAddresses {
    buckets: HashMap<u64, Bucket>,
    swept_at: Option<Time>,
}

impl AddressRates {
    /// Takes one token of `per_sec` of an address, as [`address_key`](crate::shares::address_key)
    /// counts it. False if there is none. 0 bounds nothing, and costs nothing.
    pub(crate) fn take(&self, address: u64, per_sec: u32, now: Time) -> bool {
        if per_sec == 0 {
            return true;
        }
        let table = &mut *self.0.lock();
        if !table.buckets.contains_key(&address) && !table.has_room(now) {
            return true;
        }
        table.buckets.entry(address).or_default().take(per_sec, now)
    }
}

impl RatedAddresses {
    /// Whether there is room for one more address. Forgets addresses whose bucket is full again, at
    /// most once a second.
    fn has_room(&mut self, now: Time) -> bool {
        if self.buckets.len() < RATED_ADDRESSES_MAX {
            return true;
        }
        let is_due = self.swept_at.is_none_or(|at| now.as_millis() >= at.as_millis() + SWEEP_PERIOD_MS);
        if is_due {
            self.swept_at = Some(now);
            self.buckets.retain(|_, bucket| !bucket.is_idle(now));
        }
        self.buckets.len() < RATED_ADDRESSES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_its_own_rate_and_the_table_is_bounded() {
        let (rates, at) = (AddressRates::default(), Time::from_millis);
        assert!((0..3).all(|_| rates.take(1, 3, at(0))));
        assert!(!rates.take(1, 3, at(0)));
        assert!(rates.take(2, 3, at(0)), "another address");
        assert!(rates.take(1, 3, at(1000)), "a second later");
        assert!((0..1000).all(|_| rates.take(3, 0, at(0))), "0 bounds nothing");
        for address in 10..10 + RATED_ADDRESSES_MAX as u64 {
            rates.take(address, 1, at(2000));
        }
        assert_eq!(rates.0.lock().buckets.len(), RATED_ADDRESSES_MAX);
        assert!((0..9).all(|_| rates.take(5, 1, at(2000))), "no room to count it");
        assert!(!rates.take(10, 1, at(2000)), "those that are known stay bounded");
        assert!(rates.take(5, 1, at(3001)) && !rates.take(5, 1, at(3001)), "others were forgotten");
    }
}
