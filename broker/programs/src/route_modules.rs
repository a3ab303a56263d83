//! Modules of world `route`: the code of routes of type `WASM`, with what it may do.
//!
//! A route names its module; which code that is, is found out each time when the route is opened.
//! So a route may be there before its module, and a replaced module is in use when the routes that
//! name it have been opened again.
//!
//! Invariant: what a route can do is what its own text names and its module was granted, both.

pub mod described_routes;
pub mod type_schema;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lot_facts::{RouteFacts, RouteValue};
use lot_route_catalogue::RouteType;
use lot_route_catalogue::module::{OWN_KEY, OWN_SECTION};
use lotmq_host::limits::{FAILED_AFTER_TRAPS, FAILED_WITHIN};
use lotmq_host::route::{Description, RouteGuest};
use lotmq_host::{Grants, GuestLimits};
use parking_lot::{Mutex, RwLock};

use super::policies::Policies;

/// Type of routes whose code is a module.
pub use lot_route_catalogue::module::OF_MODULE as WASM;

/// Module of world `route`.
#[derive(Clone)]
pub struct RouteModule {
    /// Native code of the module.
    pub guest: RouteGuest,
    /// Type of its routes, if its component describes them.
    pub routes: Option<Arc<RouteType>>,
    /// Grants of the module, within the names in the text of its route.
    pub grants: Grants,
    /// Places that it may connect to and listen at, as `host:port`; see
    /// [`reaches`](super::grant_intersection::reaches).
    pub places: Box<[Box<str>]>,
    /// Limits of an instance.
    pub limits: GuestLimits,
    /// Policies of the module.
    pub policies: Policies,
}

impl RouteModule {
    /// Returns what its guest has said of itself, within the description of its routes; `None`
    /// where it has said nothing yet.
    pub fn description(&self) -> Option<Description> {
        let of_guest = self.guest.description()?.clone();
        Some(described_routes::narrowed(of_guest, self.routes.as_deref()))
    }
}

/// Counts of a module of world `route`, of all its versions.
#[derive(Debug, Default)]
pub struct ModuleFigures {
    /// Number of calls.
    pub calls: AtomicU64,
    /// Number of traps.
    pub traps: AtomicU64,
    recent: Mutex<RecentTraps>,
}

/// Latest traps of a module, by which it has failed or not. A value without a clock: time comes in.
#[derive(Debug, Default)]
struct RecentTraps {
    /// Times of the latest, at most [`FAILED_AFTER_TRAPS`].
    at: VecDeque<Instant>,
    has_failed: bool,
}

/// Time without a trap after which a module has not failed any more: its routes have been opened
/// again meanwhile, after the longest pause, and were well for a minute.
const FAILURE_FORGOTTEN: Duration = Duration::from_secs(132);

impl RecentTraps {
    fn trapped(&mut self, now: Instant) {
        self.has_failed &= self.have_failed(now);
        self.at.push_back(now);
        if self.at.len() >= FAILED_AFTER_TRAPS {
            let first = self.at.pop_front();
            self.has_failed |=
                first.is_some_and(|first| now.saturating_duration_since(first) <= FAILED_WITHIN);
        }
    }

    fn have_failed(&self, now: Instant) -> bool {
        let is_recent = |last: &Instant| now.saturating_duration_since(*last) < FAILURE_FORGOTTEN;
        self.has_failed && self.at.back().is_some_and(is_recent)
    }
}

impl ModuleFigures {
    pub(crate) fn called(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn trapped(&self) {
        self.traps.fetch_add(1, Ordering::Relaxed);
        self.recent.lock().trapped(Instant::now());
    }

    /// Whether it has failed: five traps within a minute, and others since then.
    pub fn have_failed(&self) -> bool {
        self.recent.lock().have_failed(Instant::now())
    }

    /// Forgets that it has failed.
    pub fn forget_traps(&self) {
        *self.recent.lock() = RecentTraps::default();
    }
}

/// Modules of world `route` of a tenant, by name.
#[derive(Default)]
pub struct RouteModules(RwLock<BTreeMap<Arc<str>, KnownModule>>);

/// Module with its figures.
type KnownModule = (Arc<RouteModule>, Arc<ModuleFigures>);

impl RouteModules {
    /// The module of a name, with its figures.
    pub fn get(&self, name: &str) -> Option<KnownModule> {
        self.0.read().get(name).cloned()
    }

    /// The type that the module of a route describes.
    pub(crate) fn described(&self, route: &RouteFacts) -> Option<Arc<RouteType>> {
        let (module, _) = self.get(named(route)?)?;
        module.routes.clone()
    }

    /// Puts a module in the place of the one of its name, whose figures go on.
    pub(super) fn put(&self, name: &Arc<str>, module: RouteModule) {
        let mut modules = self.0.write();
        let figures = modules.get(name).map(|(_, figures)| Arc::clone(figures)).unwrap_or_default();
        figures.forget_traps();
        modules.insert(Arc::clone(name), (Arc::new(module), figures));
    }

    pub(super) fn remove(&self, name: &str) {
        self.0.write().remove(name);
    }
}

/// Name of the module that a route of type `WASM` names; `None` of other routes, and where it names
/// none in plain text.
pub fn named(route: &RouteFacts) -> Option<&str> {
    if route.kind != WASM {
        return None;
    }
    match route.section(OWN_SECTION)?.settings.get(OWN_KEY)? {
        RouteValue::Text(name) => Some(name),
        RouteValue::Int(_)
        | RouteValue::Double(_)
        | RouteValue::Digits(_)
        | RouteValue::Bool(_)
        | RouteValue::Parts(_)
        | RouteValue::Template(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_traps_within_a_minute_are_a_failure_for_as_long_as_there_are_others() {
        let start = Instant::now();
        let at = |second| start + Duration::from_secs(second);
        let mut traps = RecentTraps::default();
        for second in [0, 20, 40, 59, 61] {
            traps.trapped(at(second));
            assert!(!traps.have_failed(at(second)), "{second}");
        }
        traps.trapped(at(62));
        for second in [133, 200] {
            assert!(traps.have_failed(at(second)), "{second}");
            traps.trapped(at(second));
        }
        assert!(!traps.have_failed(at(332)));
        traps.trapped(at(400));
        assert!(!traps.have_failed(at(400)), "it begins anew");
    }
}
