//! Remembered verifications: passwords that were right once need no second Argon2id, commands
//! reference §7.1.
//!
//! Kept is HMAC-SHA-256 over (user, credential version, password) under a random key that lives as
//! long as the process. So a new password forgets by itself: its version differs. Invariants: never
//! more than the given number of entries; no password and nothing from which one could be found
//! without the key.

use std::collections::HashMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

type Tag = [u8; 32];

/// The verifications of one tenant, bounded by two generations: when the young one is full, it
/// replaces the old one. A hit in the old generation moves to the young one.
pub(crate) struct Remembered {
    key: [u8; 32],
    half_max: usize,
    young: HashMap<Arc<str>, Tag>,
    old: HashMap<Arc<str>, Tag>,
}

impl Remembered {
    /// Nothing remembered yet; at most `entries_max` entries, at least 2.
    pub(crate) fn new(key: [u8; 32], entries_max: usize) -> Remembered {
        Remembered { key, half_max: (entries_max / 2).max(1), young: HashMap::new(), old: HashMap::new() }
    }

    /// Whether this password was verified for this version of the user's credential.
    pub(crate) fn knows(&mut self, user: &str, credential_version: u64, password: &[u8]) -> bool {
        let Some(known) = self.young.get(user).or_else(|| self.old.get(user)) else { return false };
        let matches = bool::from(known.ct_eq(&self.tag(user, credential_version, password)));
        if matches {
            self.refresh(user);
        }
        matches
    }

    /// Notes that the password was verified.
    pub(crate) fn remember(&mut self, user: &Arc<str>, credential_version: u64, password: &[u8]) {
        let tag = self.tag(user, credential_version, password);
        self.old.remove(user);
        self.put(Arc::clone(user), tag);
    }

    /// Forgets the user.
    pub(crate) fn forget(&mut self, user: &str) {
        self.young.remove(user);
        self.old.remove(user);
    }

    fn refresh(&mut self, user: &str) {
        if let Some((name, tag)) = self.old.remove_entry(user) {
            self.put(name, tag);
        }
    }

    fn put(&mut self, user: Arc<str>, tag: Tag) {
        if self.young.len() >= self.half_max && !self.young.contains_key(&user) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(user, tag);
    }

    /// HMAC-SHA-256, RFC 2104. User and version have a fixed or announced length, so no two inputs
    /// run together.
    fn tag(&self, user: &str, credential_version: u64, password: &[u8]) -> Tag {
        let block = |pad: u8| {
            let mut block = [pad; 64];
            for (byte, key) in block.iter_mut().zip(self.key) {
                *byte ^= key;
            }
            block
        };
        let inner = Sha256::new()
            .chain_update(block(0x36))
            .chain_update(credential_version.to_le_bytes())
            .chain_update((user.len() as u64).to_le_bytes())
            .chain_update(user)
            .chain_update(password)
            .finalize();
        Sha256::new().chain_update(block(0x5c)).chain_update(inner).finalize().into()
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(n: usize) -> Arc<str> {
        format!("u{n}").into()
    }

    #[test]
    fn only_the_same_user_version_and_password_is_known() {
        let mut remembered = Remembered::new([7; 32], 8);
        remembered.remember(&"bob".into(), 3, b"pw");
        for (user, version, password, expected) in [
            ("bob", 3, "pw", true),
            ("bob", 3, "pw ", false),
            ("bob", 3, "", false),
            ("bob", 4, "pw", false),
            ("bo", 3, "bpw", false),
            ("eve", 3, "pw", false),
        ] {
            assert_eq!(remembered.knows(user, version, password.as_bytes()), expected, "{user} {version}");
        }
        remembered.forget("bob");
        assert!(!remembered.knows("bob", 3, b"pw"));
    }

    #[test]
    fn used_credential_stays_cached_while_unused_ones_are_evicted() {
        let mut remembered = Remembered::new([7; 32], 8);
        remembered.remember(&name(0), 1, b"pw");
        for n in 1..100 {
            remembered.remember(&name(n), 1, b"pw");
            assert!(remembered.knows("u0", 1, b"pw"), "used each time, after {n} others");
        }
        assert!(!remembered.knows("u1", 1, b"pw"));
    }

    proptest! {
        #[test]
        fn entries_stay_bounded_and_answers_stay_right(
            steps in prop::collection::vec((0usize..20, 0u64..3, 0u8..3), 0..200)
        ) {
            let mut remembered = Remembered::new([1; 32], 6);
            let mut last = HashMap::new();
            for (user, version, step) in steps {
                match step {
                    0 => { remembered.remember(&name(user), version, b"pw"); last.insert(user, version); }
                    1 => { remembered.forget(&name(user)); last.remove(&user); }
                    _ => {
                        let known = remembered.knows(&name(user), version, b"pw");
                        prop_assert!(!known || last.get(&user) == Some(&version));
                    }
                }
                prop_assert!(remembered.len() <= 6);
            }
        }
    }
}
