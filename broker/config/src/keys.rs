//! The list of all configuration keys, and a look at it by each of their names.

use crate::key::Key;
use crate::{
    admin, audit, auth, broker, compat, limits, listener, log, lot, modules, mqtt, routes, store, sys, tls,
};

/// Every key, in the order of the reference.
pub static KEYS: std::sync::LazyLock<Vec<&'static Key>> = std::sync::LazyLock::new(|| {
    let others: [&'static [Key]; 14] = [
        tls::KEYS,
        auth::KEYS,
        auth::jwt::KEYS,
        mqtt::KEYS,
        log::KEYS,
        admin::KEYS,
        audit::KEYS,
        limits::KEYS,
        store::KEYS,
        lot::KEYS,
        compat::KEYS,
        routes::KEYS,
        modules::KEYS,
        sys::KEYS,
    ];
    [broker::KEYS].into_iter().chain(listener::KEYS.iter().copied()).chain(others).flatten().collect()
});

impl Key {
    /// The key with this path.
    #[must_use]
    pub fn find(path: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.path == path).copied()
    }

    /// The key with this JSON name.
    #[must_use]
    pub fn find_json(name: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.json == Some(name)).copied()
    }
}
