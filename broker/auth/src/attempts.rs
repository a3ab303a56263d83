//! Rate limit for failed logins, by address and user: each failure delays the next attempt.
//!
//! Every login by password or exchange passes it: [`Attempts::judge`] before anything is compared,
//! [`Attempts::failed`] or [`Attempts::succeeded`] after it. The key of an attempt is its address
//! *and* its user name, so no attacker locks out a user at another address. Unknown names are
//! treated alike, so that waits do not reveal which users exist.
//!
//! Invariants: at most [`ATTEMPTS_MAX`] rows; an attempt that is rejected for waiting is not
//! counted, so that every wait ends. Not here: the clock (milliseconds are passed in), and the
//! order in which passwords are checked (`server`).

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};

use crate::limits::{ATTEMPTS_FREE, ATTEMPTS_MAX, FORGET_FAILURES_MS, GLANCE_PERIOD_MS};
use crate::peer::Source;

/// Key of an attempt: address and user name. The name may be long, so it is hashed under a key of
/// the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct AttemptKey(Source, u64);

impl AttemptKey {
    /// Key of what [`parts`](AttemptKey::parts) gave.
    pub(crate) fn of(source: Source, user: u64) -> AttemptKey {
        AttemptKey(source, user)
    }

    /// Returns the address, and the hash of the user name.
    pub(crate) fn parts(self) -> (Source, u64) {
        (self.0, self.1)
    }
}

/// Checks that an attempt to log in may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// Compare the password with the remembered one, then hash it.
    Look,
    /// Hash it without a comparison: comparisons are cheap, so many of them would be cheap guesses.
    Hash,
    /// It comes too early; only a remembered password is admitted.
    Glance,
    /// It comes too early.
    Wait,
}

/// State of one address and user.
#[derive(Debug, Clone, Copy, Default)]
struct Row {
    failures: u32,
    /// Comparisons with remembered passwords that failed, since the last success.
    looks: u32,
    looked_at: u64,
    /// Until when the next attempt has to wait.
    until: u64,
    /// When something happened last.
    touched: u64,
}

/// See the module's documentation. Bounded by two generations: when the young one is full, it
/// replaces the old one.
pub(crate) struct Attempts {
    hasher: RandomState,
    /// Longest wait, in milliseconds; 0 for none.
    wait_max_ms: u64,
    half_max: usize,
    young: HashMap<AttemptKey, Row>,
    old: HashMap<AttemptKey, Row>,
}

impl Attempts {
    /// Nobody has failed yet.
    pub(crate) fn new(wait_max_ms: u64) -> Attempts {
        Attempts::bounded(wait_max_ms, ATTEMPTS_MAX)
    }

    fn bounded(wait_max_ms: u64, rows_max: usize) -> Attempts {
        Attempts {
            hasher: RandomState::new(),
            wait_max_ms,
            half_max: rows_max / 2,
            young: HashMap::new(),
            old: HashMap::new(),
        }
    }

    /// The key of an attempt.
    pub(crate) fn key(&self, source: Source, user: &str) -> AttemptKey {
        AttemptKey(source, self.user(user))
    }

    /// Returns the checks that an attempt may use now.
    pub(crate) fn judge(&self, key: AttemptKey, now_ms: u64) -> Judgement {
        let row = self.row(key, now_ms);
        let may_look = row.looks < ATTEMPTS_FREE || now_ms >= row.looked_at + GLANCE_PERIOD_MS;
        match (now_ms < row.until, may_look) {
            (false, true) => Judgement::Look,
            (false, false) => Judgement::Hash,
            // The free looks are used up. One look per period admits a user who shares address and
            // name with an attacker.
            (true, _) if now_ms >= row.looked_at + GLANCE_PERIOD_MS => Judgement::Glance,
            (true, _) => Judgement::Wait,
        }
    }

    /// Whether an attempt has to wait.
    pub(crate) fn must_wait(&self, key: AttemptKey, now_ms: u64) -> bool {
        now_ms < self.row(key, now_ms).until
    }

    /// How long an attempt has to wait, in milliseconds; 0 for one that has not.
    pub(crate) fn left_ms(&self, key: AttemptKey, now_ms: u64) -> u64 {
        self.row(key, now_ms).until.saturating_sub(now_ms)
    }

    /// Returns the attempts that have to wait: the key, failures since the last success, and the
    /// time left in milliseconds.
    pub(crate) fn waiting(&self, now_ms: u64) -> impl Iterator<Item = (AttemptKey, u32, u64)> {
        // A row is in one of the two alone.
        let rows = self.young.iter().chain(&self.old);
        let waiting = rows.filter(move |(_, row)| now_ms < row.until);
        waiting.map(move |(key, row)| (*key, row.failures, row.until - now_ms))
    }

    /// Returns the hash of a user name for keys.
    pub(crate) fn user(&self, name: &str) -> u64 {
        self.hasher.hash_one(name)
    }

    /// Whether an attempt has failed since the last one that did not, and not long ago.
    pub(crate) fn has_failed(&self, key: AttemptKey, now_ms: u64) -> bool {
        self.row(key, now_ms).failures > 0
    }

    /// Notes a comparison with the remembered password that failed.
    pub(crate) fn looked(&mut self, key: AttemptKey, now_ms: u64) {
        self.change(key, now_ms, |row| {
            row.looks = row.looks.saturating_add(1);
            row.looked_at = now_ms;
        });
    }

    /// A password was wrong, or an exchange proved nothing.
    pub(crate) fn failed(&mut self, key: AttemptKey, now_ms: u64) {
        let wait_max_ms = self.wait_max_ms;
        self.change(key, now_ms, |row| {
            row.failures = row.failures.saturating_add(1);
            row.until = now_ms + wait_ms(row.failures, wait_max_ms);
        });
    }

    /// Forgets the failures after a login that proved the user.
    pub(crate) fn succeeded(&mut self, key: AttemptKey) {
        self.young.remove(&key);
        self.old.remove(&key);
    }

    /// Returns the state of a key, without failures that are long ago.
    fn row(&self, key: AttemptKey, now_ms: u64) -> Row {
        let found = self.young.get(&key).or_else(|| self.old.get(&key));
        let found = found.filter(|row| now_ms < row.until.max(row.touched) + FORGET_FAILURES_MS);
        found.copied().unwrap_or_default()
    }

    fn change(&mut self, key: AttemptKey, now_ms: u64, change: impl FnOnce(&mut Row)) {
        let mut row = self.row(key, now_ms);
        row.touched = now_ms;
        change(&mut row);
        self.old.remove(&key);
        if self.young.len() >= self.half_max && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, row);
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

/// How long to wait after so many failures: nothing for the first ones, then 1 s, and twice as long
/// each time.
fn wait_ms(failures: u32, wait_max_ms: u64) -> u64 {
    let Some(doublings) = failures.checked_sub(ATTEMPTS_FREE) else { return 0 };
    1000_u64.checked_shl(doublings).filter(|_| doublings < 32).unwrap_or(u64::MAX).min(wait_max_ms)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WAIT_MAX_MS: u64 = 60_000;

    fn from(address: &str) -> Source {
        Source::of(address.parse().unwrap())
    }

    #[test]
    fn waits_grow_from_nothing_to_the_longest() {
        let expected = [0, 0, 0, 0, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000];
        for (failures, expected) in (1..).zip(expected) {
            assert_eq!(wait_ms(failures, WAIT_MAX_MS), expected, "after {failures}");
            assert_eq!(wait_ms(failures, 0), 0, "turned off");
        }
        assert_eq!(wait_ms(u32::MAX, WAIT_MAX_MS), WAIT_MAX_MS);
    }

    #[test]
    fn failed_login_delays_only_the_same_user_and_address() {
        let mut attempts = Attempts::new(WAIT_MAX_MS);
        let key = attempts.key(from("192.0.2.1"), "ann");
        for _ in 0..20 {
            attempts.failed(key, 0);
        }
        assert!(attempts.must_wait(key, WAIT_MAX_MS - 1));
        assert_eq!(attempts.left_ms(key, 1), WAIT_MAX_MS - 1);
        assert_eq!(attempts.waiting(1).collect::<Vec<_>>(), [(key, 20, WAIT_MAX_MS - 1)]);
        assert_eq!(attempts.waiting(WAIT_MAX_MS).count(), 0);
        assert!(!attempts.must_wait(key, WAIT_MAX_MS));
        for (address, user, waits) in [
            ("192.0.2.1", "ann", true),
            ("::ffff:192.0.2.1", "ann", true),
            ("192.0.2.1", "bob", false),
            ("192.0.2.2", "ann", false),
        ] {
            let other = attempts.key(from(address), user);
            assert_eq!(attempts.must_wait(other, 1), waits, "{address} {user}");
        }
        attempts.succeeded(key);
        assert_eq!(attempts.judge(key, 1), Judgement::Look);
    }

    #[test]
    fn failures_are_forgotten_some_time_after_the_wait() {
        let mut attempts = Attempts::new(WAIT_MAX_MS);
        let key = attempts.key(from("2001:db8::1"), "ann");
        (0..ATTEMPTS_FREE).for_each(|_| attempts.failed(key, 0));
        assert!(attempts.must_wait(key, 999));
        attempts.failed(key, 1_000);
        assert!(attempts.must_wait(key, 2_999), "the next wait is longer");
        let later = 3_000 + FORGET_FAILURES_MS;
        attempts.failed(key, later);
        assert!(!attempts.must_wait(key, later), "it begins anew");
    }

    /// A look costs next to nothing, so that guesses by looking must be as rare as others.
    #[test]
    fn looks_are_few() {
        let mut attempts = Attempts::new(WAIT_MAX_MS);
        let key = attempts.key(from("192.0.2.1"), "ann");
        let mut looks = 0;
        for now in 0..10_000 {
            if matches!(attempts.judge(key, now), Judgement::Look | Judgement::Glance) {
                attempts.looked(key, now);
                looks += 1;
            }
            if now % 20 == 0 && !attempts.must_wait(key, now) {
                attempts.failed(key, now);
            }
        }
        assert_eq!(looks, ATTEMPTS_FREE + 9, "the first ones, and one a second");
    }

    proptest! {
        #[test]
        fn rows_stay_bounded_and_waits_end(
            steps in prop::collection::vec((0_u8..30, 0_u64..3_000, any::<bool>()), 1..300)
        ) {
            let mut attempts = Attempts::bounded(8_000, 10);
            let mut now = 0;
            for (number, after, is_right) in steps {
                now += after;
                let key = attempts.key(from("192.0.2.1"), &number.to_string());
                if attempts.must_wait(key, now) {
                    prop_assert!(!attempts.must_wait(key, now + 8_000));
                    continue;
                }
                if is_right { attempts.succeeded(key) } else { attempts.failed(key, now) }
                prop_assert!(attempts.len() <= 10);
            }
        }
    }
}
