//! The types of routes that this build runs, and the guests that run them.

use std::collections::BTreeMap;

use lotmq_host::route::RouteGuest;
use lotmq_host::{Engine, LoadError, Origin};
use parking_lot::Mutex;

/// By canonical name: the component. To add a type: its guest, and a line here.
static TYPES: &[(&str, &[u8])] =
    &[("LOOPBACK", include_bytes!("../../../../../guests/route-loopback/prebuilt/route-loopback.wasm"))];

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
        let Some((name, component)) = TYPES.iter().find(|(name, _)| *name == kind) else { return Ok(None) };
        let mut compiled = self.compiled.lock();
        if let Some(guest) = compiled.get(name) {
            return Ok(Some(guest.clone()));
        }
        let guest = RouteGuest::compile(engine, component, Origin::Upload)?;
        compiled.insert(name, guest.clone());
        Ok(Some(guest))
    }
}
