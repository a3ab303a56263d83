//! The types of routes that this build runs, and the guests that run them.

use std::collections::BTreeMap;

use lotmq_host::route::RouteGuest;
use lotmq_host::{Engine, LoadError, Origin};
use parking_lot::Mutex;

/// A type that runs.
pub(crate) struct RouteType {
    /// Canonical name.
    pub(crate) name: &'static str,
    component: &'static [u8],
    /// A text to begin with (routes reference §9): its fields are to be filled, its `ADD METADATA` is left out.
    pub(crate) template: &'static str,
}

/// All of them. To add a type: its guest, its template, and a row here.
pub(crate) static TYPES: &[RouteType] = &[RouteType {
    name: "LOOPBACK",
    component: include_bytes!("../../../../../guests/route-loopback/prebuilt/route-loopback.wasm"),
    template: include_str!("templates/loopback.lot"),
}];

/// Guests of types that somebody uses, compiled once.
#[derive(Default)]
pub(crate) struct RouteTypes {
    compiled: Mutex<BTreeMap<&'static str, RouteGuest>>,
}

impl RouteTypes {
    /// The guest of a type; `None` when this build has none.
    ///
    /// # Errors
    /// [`LoadError`] when the host refuses our own guest, which is a fault of ours.
    pub(super) fn guest(&self, engine: &Engine, kind: &str) -> Result<Option<RouteGuest>, LoadError> {
        let Some(found) = TYPES.iter().find(|known| known.name == kind) else { return Ok(None) };
        let mut compiled = self.compiled.lock();
        if let Some(guest) = compiled.get(found.name) {
            return Ok(Some(guest.clone()));
        }
        let guest = RouteGuest::compile(engine, found.component, Origin::Upload)?;
        compiled.insert(found.name, guest.clone());
        Ok(Some(guest))
    }
}
