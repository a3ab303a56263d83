//! Answers of the server, for a time. The key is a keyed hash over request, password and name of
//! the user, so memory has no password.
//!
//! Invariant: denials are stored apart, so a flood of wrong passwords displaces no user who is let
//! in. An error is never stored.

use std::collections::{BTreeMap, VecDeque};

use hmac::{Hmac, KeyInit as _, Mac as _};
use lotmq_guest::auth::ambient;
use sha2::Sha256;

use crate::answer::Verdict;
use crate::config::CacheSettings;
use crate::limits::CACHE_BYTES_MAX;
use crate::request::Rendered;

/// Key of an answer.
pub(crate) type Key = [u8; 32];

/// Bounded answers, allowed and denied ones apart.
pub(crate) struct Cache {
    settings: CacheSettings,
    /// Random for each instance.
    hash_key: [u8; 32],
    allowed: Shelf,
    denied: Shelf,
}

/// Answers in the order in which they came.
#[derive(Default)]
struct Shelf {
    entries: BTreeMap<Key, Stored>,
    order: VecDeque<(Key, u64)>,
    bytes: usize,
}

struct Stored {
    verdict: Verdict,
    until_ms: u64,
    /// Number of the entry in the order.
    number: u64,
}

impl Cache {
    pub(crate) fn new(settings: CacheSettings) -> Cache {
        let mut hash_key = [0; 32];
        for part in hash_key.chunks_mut(8) {
            part.copy_from_slice(&ambient::random().to_le_bytes());
        }
        Cache { settings, hash_key, allowed: Shelf::default(), denied: Shelf::default() }
    }

    /// Whether answers are stored at all.
    pub(crate) fn is_on(&self) -> bool {
        self.settings.allow_ms > 0
    }

    /// Key of a request, for a user with a password.
    pub(crate) fn key(&self, request: &Rendered, user: &str, password: &[u8]) -> Key {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.hash_key).expect("a key of HMAC has any length");
        let headers = request.headers.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_slice()]);
        let texts = [request.target.as_bytes(), &request.body, user.as_bytes(), password];
        for text in texts.into_iter().chain(headers) {
            mac.update(&(text.len() as u64).to_le_bytes());
            mac.update(text);
        }
        mac.finalize().into_bytes().into()
    }

    /// An answer that is still valid.
    pub(crate) fn get(&self, key: &Key) -> Option<&Verdict> {
        let now = ambient::monotonic_ms();
        let stored = self.allowed.entries.get(key).or_else(|| self.denied.entries.get(key))?;
        (now < stored.until_ms).then_some(&stored.verdict)
    }

    /// Stores an answer.
    pub(crate) fn put(&mut self, key: Key, verdict: Verdict) {
        let CacheSettings { allow_ms, deny_ms, entries } = self.settings;
        let now = ambient::monotonic_ms();
        self.allowed.remove(&key);
        self.denied.remove(&key);
        let (shelf, live_ms) = match &verdict {
            Verdict::Allow(_) => (&mut self.allowed, allow_ms),
            Verdict::Deny(_) | Verdict::Ignore => (&mut self.denied, deny_ms),
        };
        if live_ms > 0 {
            shelf.put(key, verdict, now + live_ms);
            shelf.shrink(now, entries);
        }
    }
}

impl Shelf {
    fn put(&mut self, key: Key, verdict: Verdict, until_ms: u64) {
        let number = self.order.back().map_or(0, |(_, number)| number + 1);
        self.bytes += verdict.bytes();
        self.order.push_back((key, number));
        self.entries.insert(key, Stored { verdict, until_ms, number });
    }

    fn remove(&mut self, key: &Key) {
        if let Some(stored) = self.entries.remove(key) {
            self.bytes -= stored.verdict.bytes();
        }
    }

    /// Removes the oldest answers until the bounds hold, and those that are no longer valid.
    fn shrink(&mut self, now: u64, entries_max: usize) {
        while let Some((key, number)) = self.order.front().copied() {
            let is_oldest = |stored: &&Stored| stored.number == number;
            let oldest = self.entries.get(&key).filter(is_oldest);
            let is_kept = oldest.is_some_and(|stored| now < stored.until_ms);
            // An entry of the order whose answer was replaced counts as well.
            let has_room = self.order.len() <= entries_max && self.bytes <= CACHE_BYTES_MAX;
            if is_kept && has_room {
                return;
            }
            if oldest.is_some() {
                self.remove(&key);
            }
            self.order.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(entries: usize) -> Cache {
        Cache::new(CacheSettings { allow_ms: 10_000, deny_ms: 1_000, entries })
    }

    fn allow() -> Verdict {
        Verdict::Allow(Box::default())
    }

    #[test]
    fn answer_lives_for_its_time_and_a_denial_shorter() {
        lotmq_guest::testing::set_time_ms(1_000);
        let mut cache = cache(10);
        cache.put([1; 32], allow());
        cache.put([2; 32], Verdict::Deny(0x86));
        assert!(cache.get(&[1; 32]).is_some() && cache.get(&[2; 32]).is_some());
        lotmq_guest::testing::set_time_ms(2_000);
        assert!(cache.get(&[1; 32]).is_some() && cache.get(&[2; 32]).is_none());
        lotmq_guest::testing::set_time_ms(11_000);
        assert!(cache.get(&[1; 32]).is_none());
        cache.put([3; 32], allow());
        assert_eq!((cache.allowed.entries.len(), cache.allowed.order.len()), (1, 1));
    }

    #[test]
    fn flood_of_denials_displaces_no_user_and_is_bounded() {
        let mut cache = cache(4);
        cache.put([255; 32], allow());
        for number in 0..100 {
            cache.put([number; 32], Verdict::Deny(0x86));
            cache.put([number; 32], Verdict::Ignore);
        }
        assert!(cache.get(&[255; 32]).is_some() && cache.get(&[99; 32]).is_some());
        assert!(cache.denied.entries.len() <= 4 && cache.denied.order.len() <= 4);
        assert_eq!(cache.denied.bytes, cache.denied.entries.len() * Verdict::Ignore.bytes());
    }

    #[test]
    fn key_differs_by_each_part_of_the_login() {
        let cache = cache(1);
        let request = |target: &str, body: &str| Rendered {
            method: "POST",
            target: target.to_owned(),
            headers: vec![("a".to_owned(), b"b".to_vec())],
            body: body.as_bytes().to_vec(),
        };
        let key = cache.key(&request("/a", "b"), "u", b"p");
        assert_eq!(key, cache.key(&request("/a", "b"), "u", b"p"));
        for other in [
            cache.key(&request("/ab", ""), "u", b"p"),
            cache.key(&request("/a", "b"), "u", b"q"),
            cache.key(&request("/a", "b"), "up", b""),
        ] {
            assert!(key != other);
        }
    }
}
