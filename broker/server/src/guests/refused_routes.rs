//! Routes that their guest refuses to run, as far as that is known by what it has said of itself.

use std::sync::Arc;

use lot_facts::RouteFacts;
use lotmq_definitions::{Definition, Owner};
use lotmq_host::route::Description;

use super::Guests;
use super::route_drivers;
use super::route_modules;
use super::routes::runner::RouteRunner;
use super::routes::version::RouteCode;

/// Reason why a guest cannot be opened with the settings of a route of an owner.
pub(super) fn refusal(
    code: &RouteCode,
    guests: &Guests,
    (route, owner): (&RouteFacts, Option<&Owner>),
) -> Option<String> {
    let of_module = code.config(guests, owner);
    let refused = |described: &Description| route_drivers::refusal(described, route, of_module.as_deref());
    code.described(guests, refused).flatten()
}

/// Routes that a module refuses to run as it is now, with the reason.
pub(crate) fn of_module(guests: &Guests, name: &str) -> Vec<(Arc<Definition>, String)> {
    let routes: Vec<_> = guests.routes.read().values().cloned().collect();
    let refused = |route: &Arc<RouteRunner>| {
        let version = route.version();
        let definition = Arc::clone(&version.definition);
        if route_modules::named(version.said()) != Some(name) {
            return None;
        }
        let reason = refusal(&version.code, guests, (version.said(), definition.owner()))?;
        Some((definition, reason))
    };
    routes.iter().filter_map(refused).collect()
}
