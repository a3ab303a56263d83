//! Bytes that sessions hold, added up by owner when a thread looks at all of them. All anonymous
//! owners of a tenant are one more owner together.
//!
//! Not here: the count while the bytes come and go ([`Share`]).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hashbrown::HashMap;

use super::{ANONYMOUS, Share, Totals, part};

/// Bytes that sessions hold, by owner.
#[derive(Default)]
pub struct OwnerTotals {
    of: HashMap<*const Totals, OwnerTotal>,
    all: u64,
}

/// Bytes of one owner, or of all anonymous owners of a tenant.
pub struct OwnerTotal {
    share: Arc<Share>,
    is_of_all_anonymous: bool,
    /// Sum of the bytes.
    pub bytes: u64,
    /// Number of sessions that hold any.
    pub sessions: u64,
}

impl OwnerTotal {
    fn totals(&self) -> &Totals {
        if self.is_of_all_anonymous { &self.share.shares.anonymous } else { &self.share.own }
    }

    /// Bounds the bytes of messages that each session has in memory.
    pub fn bound_windows(&self, window_bytes: u64) {
        self.totals().window_bytes.store(window_bytes, Ordering::Relaxed);
    }

    /// Returns the [name](Share::name) of the owner.
    pub fn name(&self) -> String {
        if self.is_of_all_anonymous { ANONYMOUS.to_owned() } else { self.share.name() }
    }

    /// Whether the owner is a user who holds any.
    pub fn is_of_user(&self) -> bool {
        self.bytes > 0 && !self.is_of_all_anonymous && !self.share.is_anonymous()
    }
}

impl OwnerTotals {
    /// Adds the bytes of a session of this owner.
    pub fn add(&mut self, share: &Arc<Share>, bytes: u64) {
        self.all += bytes;
        let of_anonymous = if share.is_anonymous() { bytes } else { 0 };
        for (is_of_all_anonymous, bytes) in [(false, bytes), (true, of_anonymous)] {
            let new = OwnerTotal { share: Arc::clone(share), is_of_all_anonymous, bytes: 0, sessions: 0 };
            let total = self.of.entry(std::ptr::from_ref(new.totals())).or_insert(new);
            total.bytes += bytes;
            total.sessions += u64::from(bytes > 0);
        }
    }

    /// Returns the bytes of all owners.
    pub fn bytes(&self) -> u64 {
        self.all
    }

    /// Returns the totals of the owners, and of the anonymous ones of each tenant.
    pub fn owners(&self) -> impl Iterator<Item = &OwnerTotal> {
        self.of.values()
    }

    /// Decides for each owner whether their stored bytes have reached their share of `max`, with
    /// `live` stored bytes. A message that waits for several sessions is stored once, so `live` may
    /// be less than the sum over the sessions. The difference reduces every owner's bytes in
    /// proportion.
    pub fn judge_queues(&self, live: u64, max: u64) {
        for owner in self.owners() {
            let scaled = u128::from(owner.bytes) * u128::from(live) / u128::from(self.all.max(1));
            let stored = owner.bytes.min(u64::try_from(scaled).unwrap_or(u64::MAX));
            let is_full = stored >= part(max, live.saturating_sub(stored));
            owner.totals().are_queues_full.store(is_full, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shares::Shares;
    use crate::shares::tests::identity;

    #[test]
    fn nobody_fills_what_is_stored_for_all() {
        let shares = Arc::new(Shares::default());
        let share = |user: Option<&str>, address: &str| shares.of(&identity(user, address));
        let [ann, bob] = ["ann", "bob"].map(|user| share(Some(user), "10.0.0.1"));
        let strangers = ["10.0.0.1", "10.0.0.2"].map(|address| share(None, address));
        shares.queues_were_seen(false, true);
        let judged = |of: &[(&Arc<Share>, u64)], live| {
            let mut queues = OwnerTotals::default();
            [&ann, &bob, &strangers[0], &strangers[1]].into_iter().for_each(|share| queues.add(share, 0));
            of.iter().for_each(|(share, bytes)| queues.add(share, *bytes));
            queues.judge_queues(live, 1000);
            [&ann, &bob, &strangers[0], &strangers[1]].map(|share| share.are_queues_full())
        };
        assert_eq!(judged(&[(&ann, 749)], 749), [false; 4]);
        assert_eq!(judged(&[(&ann, 750)], 750), [true, false, false, false]);
        assert_eq!(judged(&[(&ann, 760), (&bob, 170)], 930), [true, false, false, false]);
        assert_eq!(judged(&[(&ann, 760), (&bob, 180)], 940), [true, true, false, false]);
        // Of several addresses none has much, and all together do.
        assert_eq!(judged(&[(&strangers[0], 400), (&strangers[1], 400)], 800), [false, false, true, true]);
        // Ten sessions of Ann wait for the same messages.
        assert_eq!(judged(&[(&ann, 3000), (&bob, 300)], 600), [false; 4]);
        // Some are of nobody's sessions.
        assert_eq!(judged(&[(&bob, 150)], 950), [false, true, false, false]);
    }
}
