//! Known places of users: sources of earlier logins, which get priority when many passwords wait.
//!
//! Invariants: at most [`PLACES_PER_USER_MAX`] places of a user, and the oldest one goes first;
//! only a successful login adds a place. Not here: the order of logins (`server`), and the storage
//! of places; the caller asks for changes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::limits::PLACES_PER_USER_MAX;
use crate::peer::Source;

/// See the module's documentation.
#[derive(Default)]
pub(crate) struct KnownPlaces {
    by_user: HashMap<Arc<str>, Vec<Source>>,
    /// Users with places that were not asked for since they came.
    changed: HashSet<Arc<str>>,
}

impl KnownPlaces {
    /// Whether the user has logged in from there.
    pub(crate) fn knows(&self, user: &str, source: Source) -> bool {
        self.by_user.get(user).is_some_and(|places| places.contains(&source))
    }

    /// Adds the source of a successful login.
    pub(crate) fn add(&mut self, user: &Arc<str>, source: Source) {
        if self.knows(user, source) {
            return;
        }
        let places = self.by_user.entry(Arc::clone(user)).or_default();
        if places.len() >= PLACES_PER_USER_MAX {
            places.remove(0);
        }
        places.push(source);
        self.changed.insert(Arc::clone(user));
    }

    /// Restores stored places, the latest one last.
    pub(crate) fn restore(&mut self, user: Arc<str>, mut places: Vec<Source>) {
        places.drain(..places.len().saturating_sub(PLACES_PER_USER_MAX));
        self.by_user.insert(user, places);
    }

    /// Forgets a user.
    pub(crate) fn forget(&mut self, user: &str) {
        self.by_user.remove(user);
        self.changed.remove(user);
    }

    /// Users whose places have changed since the last call, with their places.
    pub(crate) fn take_changed(&mut self) -> Vec<(Arc<str>, Vec<Source>)> {
        let changed = std::mem::take(&mut self.changed);
        let places = |user: Arc<str>| {
            let places = self.by_user.get(&user)?.clone();
            Some((user, places))
        };
        changed.into_iter().filter_map(places).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(last: usize) -> Source {
        Source::of(format!("2001:db8:0:{last:x}::1").parse().unwrap())
    }

    #[test]
    fn known_addresses_are_bounded_and_reported_once() {
        let mut places = KnownPlaces::default();
        let ann: Arc<str> = "ann".into();
        places.add(&ann, source(0));
        assert!(
            places.knows("ann", source(0))
                && !places.knows("ann", source(1))
                && !places.knows("bob", source(0))
        );
        assert_eq!(places.take_changed(), [(Arc::clone(&ann), vec![source(0)])]);
        places.add(&ann, source(0));
        assert_eq!(places.take_changed(), []);
        for n in 1..=PLACES_PER_USER_MAX {
            places.add(&ann, source(n));
        }
        let all: Vec<Source> = (1..=PLACES_PER_USER_MAX).map(source).collect();
        assert_eq!(places.take_changed(), [(Arc::clone(&ann), all.clone())]);
        places.add(&ann, source(99));
        places.forget("ann");
        assert!(!places.knows("ann", source(2)));
        assert_eq!(places.take_changed(), []);
        places.restore(ann, [vec![source(77)], all].concat());
        assert!(places.knows("ann", source(1)) && !places.knows("ann", source(77)));
    }

    #[test]
    fn a_place_is_stored_as_text() {
        for address in ["192.0.2.1", "0.0.0.0", "::1", "2001:db8:1:2::3", "ffff:ffff:ffff:ffff::"] {
            let source = Source::of(address.parse().unwrap());
            assert_eq!(Source::from_text(&source.to_text()), Some(source), "{address}");
        }
        for text in ["", "1234567890abcdef0", "x", "+1", "-1"] {
            assert_eq!(Source::from_text(text), None, "{text}");
        }
    }

    #[test]
    fn neighbours_share_a_network() {
        let network = |address: &str| Source::of(address.parse().unwrap()).network();
        for (a, b, is_same) in [
            ("192.0.2.1", "192.0.2.255", true),
            ("192.0.2.1", "192.0.3.1", false),
            ("2001:db8:1:2::3", "2001:db8:1:ffff::1", true),
            ("2001:db8:1:2::3", "2001:db8:2:2::3", false),
            ("192.0.2.1", "::1", false),
        ] {
            assert_eq!(network(a) == network(b), is_same, "{a} {b}");
        }
    }
}
