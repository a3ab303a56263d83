//! A bounded memory of what was deleted last, so that a late write cannot bring it back.

use std::collections::VecDeque;
use std::hash::Hash;

use hashbrown::HashMap;

use crate::limits::RECENTLY_DELETED_MAX;

/// The newest [`RECENTLY_DELETED_MAX`] keys, each with a value.
#[derive(Debug)]
pub(crate) struct Recent<K, V = ()> {
    values: HashMap<K, V>,
    order: VecDeque<K>,
}

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self { values: HashMap::new(), order: VecDeque::new() }
    }
}

impl<K: Hash + Eq + Clone> Recent<K> {
    /// Remembers a key.
    pub(crate) fn insert(&mut self, key: K) {
        self.set(key, ());
    }

    /// Whether the key is remembered.
    pub(crate) fn contains(&self, key: &K) -> bool {
        self.values.contains_key(key)
    }
}

impl<K: Hash + Eq + Clone, V> Recent<K, V> {
    /// Remembers a value; the oldest key is forgotten beyond the bound.
    pub(crate) fn set(&mut self, key: K, value: V) {
        if self.values.insert(key.clone(), value).is_some() {
            return;
        }
        self.order.push_back(key);
        if self.order.len() > RECENTLY_DELETED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.values.remove(&oldest);
        }
    }

    /// Forgets a key; its value.
    pub(crate) fn take(&mut self, key: &K) -> Option<V> {
        if self.values.is_empty() { None } else { self.values.remove(key) }
    }

    /// The value of a key, if it is remembered.
    pub(crate) fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: std::borrow::Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.values.get(key)
    }
}
