//! Types of routes that this build runs, with the guests that run them.

use std::collections::BTreeMap;

use lotmq_host::route::RouteGuest;
use lotmq_host::{ComponentSource, Engine, LoadError};
use parking_lot::Mutex;

use super::route_modules::WASM;

/// Type of routes that this build runs.
pub(crate) struct RouteType {
    /// Canonical name.
    pub(crate) name: &'static str,
    component: &'static [u8],
}

/// All types. To add a type: its guest and a row here.
pub(crate) static TYPES: &[RouteType] = &[RouteType {
    name: "LOOPBACK",
    component: include_bytes!("../../../../guests/route-loopback/prebuilt/route-loopback.wasm"),
}];

/// Whether this build runs routes of a type, by its canonical name, with a guest of its own or a module; others it checks and does not deploy.
#[must_use]
pub fn runs_route_type(name: &str) -> bool {
    name == WASM || TYPES.iter().any(|known| known.name == name)
}

/// Guests of the types in use, compiled once.
#[derive(Default)]
pub(crate) struct RouteTypes {
    compiled: Mutex<BTreeMap<&'static str, RouteGuest>>,
}

impl RouteTypes {
    /// Guest of a type; `None` when this build has none.
    ///
    /// # Errors
    /// [`LoadError`] when the host refuses our own guest, which is a fault of ours.
    pub(crate) fn guest(&self, engine: &Engine, kind: &str) -> Result<Option<RouteGuest>, LoadError> {
        let mut compiled = self.compiled.lock();
        if let Some(guest) = compiled.get(kind) {
            return Ok(Some(guest.clone()));
        }
        let Some(found) = TYPES.iter().find(|known| known.name == kind) else { return Ok(None) };
        let guest = RouteGuest::compile(engine, found.component, ComponentSource::Upload)?;
        compiled.insert(found.name, guest.clone());
        Ok(Some(guest))
    }
}
