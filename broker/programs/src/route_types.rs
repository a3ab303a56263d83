//! Types of routes that this build runs, with the guests that run them.
//!
//! The [catalogue](lot_route_catalogue) has the types. The build script packs the guests that have
//! a description there.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use lot_route_catalogue::{OtherSide, RouteCheck, RouteType, SectionPlace, all, find};
use lotmq_host::route::RouteGuest;
use lotmq_host::{ComponentSource, Engine, LoadError, unpack};
use parking_lot::Mutex;

use super::route_modules::WASM;

/// Components of the guests, packed, by the folders of their sources.
static COMPONENTS: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/components.rs"));

/// Returns the types that this build runs with guests of its own.
pub fn shipped() -> impl Iterator<Item = &'static RouteType> {
    all().filter(|kind| kind.guest.is_some())
}

/// Name and packed component of a type; `None` for a type that no guest of this build runs.
fn packed(kind: &str) -> Option<(&'static str, &'static [u8])> {
    let kind = shipped().find(|known| known.name == kind)?;
    let (_, component) = COMPONENTS.iter().find(|(guest, _)| Some(*guest) == kind.guest.as_deref())?;
    Some((&kind.name, component))
}

/// Places of a type by its canonical name; none of a module's, which has the settings of every
/// section.
pub(crate) fn places(name: &str) -> &'static [SectionPlace] {
    find(name).map_or(&[], |kind| &kind.places)
}

/// Whether routes of a type have another side; a module's is its own affair.
pub(crate) fn has_far(name: &str) -> bool {
    name != WASM && other_side(name) != Some(OtherSide::Nothing)
}

/// Whether the other side of a type is the disk.
pub(crate) fn is_of_disk(name: &str) -> bool {
    other_side(name) == Some(OtherSide::Disk)
}

/// Whether routes of a type carry messages between brokers, which may be this one.
pub(crate) fn is_bridge(name: &str) -> bool {
    other_side(name) == Some(OtherSide::Brokers)
}

fn other_side(name: &str) -> Option<OtherSide> {
    find(name).map(|kind| kind.other_side)
}

/// Whether routes of a type are clients of OPC UA, which have a folder for their certificates.
pub(crate) fn is_opcua(name: &str) -> bool {
    find(name).is_some_and(|kind| kind.has(RouteCheck::Opcua))
}

/// Instances of a route of a type that does not set them.
pub(crate) fn usual_instances(name: &str) -> usize {
    find(name).map_or(1, |kind| kind.instances)
}

/// Whether the guest of a type runs by itself to serve requests, and for nothing else.
pub(crate) fn runs_only_to_serve(name: &str) -> bool {
    places(name).iter().any(|place| place.served.is_some())
}

/// Whether this build runs routes of a type, by its canonical name, with a guest of its own or a
/// module; others it checks and does not deploy.
#[must_use]
pub fn runs_route_type(name: &str) -> bool {
    name == WASM || shipped().any(|known| known.name == name)
}

/// Guest of a type, for all its routes; it comes later while it is still being compiled.
#[derive(Clone, Default)]
pub struct TypeGuest(Arc<OnceLock<RouteGuest>>);

impl TypeGuest {
    /// The guest; `None` while it is still being compiled.
    pub fn get(&self) -> Option<&RouteGuest> {
        self.0.get()
    }
}

/// Guests of the types in use, compiled once.
#[derive(Default)]
pub struct RouteTypes {
    guests: Mutex<BTreeMap<&'static str, TypeGuest>>,
}

impl RouteTypes {
    /// Guest of a type; `None` when this build has none.
    ///
    /// # Errors
    /// [`LoadError`] when the host refuses our own guest, which is a fault of ours.
    pub fn guest(&self, engine: &Engine, kind: &str) -> Result<Option<TypeGuest>, LoadError> {
        let Some((name, component)) = packed(kind) else { return Ok(None) };
        let mut guests = self.guests.lock();
        let guest = guests.entry(name).or_default();
        if guest.get().is_none() {
            let component = unpack(component)?;
            let compiled = RouteGuest::compile(engine, &component, ComponentSource::Upload)?;
            // Nobody else sets it: the lock is held.
            let _ = guest.0.set(compiled);
        }
        Ok(Some(guest.clone()))
    }

    /// Guest of a type that a start compiles later, because `defers` says so of its component;
    /// `None` where it is there, or to be compiled now.
    ///
    /// # Errors
    /// [`LoadError`] when our own guest cannot be unpacked, which is a fault of ours.
    pub(crate) fn later(
        &self,
        kind: &str,
        defers: impl FnOnce(&[u8]) -> bool,
    ) -> Result<Option<(&'static str, TypeGuest)>, LoadError> {
        let Some((name, component)) = packed(kind) else { return Ok(None) };
        let mut guests = self.guests.lock();
        let is_later = match guests.get(name) {
            Some(guest) => guest.get().is_none(),
            None => defers(&unpack(component)?),
        };
        Ok(is_later.then(|| (name, guests.entry(name).or_default().clone())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_with_a_guest_has_its_component() {
        assert!(shipped().count() > 18);
        for kind in shipped() {
            assert!(packed(&kind.name).is_some_and(|(_, component)| !component.is_empty()), "{}", kind.name);
        }
        assert!(packed(WASM).is_none() && runs_route_type(WASM) && !runs_route_type("NO_SUCH_TYPE"));
    }
}
