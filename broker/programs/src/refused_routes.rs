//! Routes that their guest refuses to run, as far as that is known by what it has said of itself,
//! and routes that would not do what they say.

use std::net::SocketAddr;
use std::sync::Arc;

use lot_facts::{RouteFacts, RouteValue, is_loopback};
use lotmq_config::Config;
use lotmq_definitions::{Definition, Owner};
use lotmq_host::route::Description;

use super::Guests;
use super::route_drivers;
use super::route_modules;
use super::route_modules::described_routes;
use super::routes::runner::RouteRunner;
use super::routes::version::RouteCode;

/// Reason why a guest cannot be opened with the settings of a route of an owner.
pub(super) fn refusal(
    code: &RouteCode,
    guests: &Guests,
    (route, owner): (&RouteFacts, Option<&Owner>),
) -> Option<String> {
    let of_module = code.config(guests, owner);
    let kind = guests.route_modules.described(route);
    let route = described_routes::canonical(route, kind.as_deref());
    let refused = |described: &Description| route_drivers::refusal(described, &route, of_module.as_deref());
    code.described(guests, refused).flatten()
}

/// Reason why the text of a route is refused that has a mask in the place of a password. A reader
/// who may not see the password has sent it back, and the mask would become the password.
pub(super) fn masked(source: &str) -> Option<String> {
    let setting = lot_to_wasm::masked_setting(source)?;
    Some(format!(
        "{setting}: '****' stands for a password that you were not shown. Write the password again, or GET SECRET \"NAME\""
    ))
}

/// Reason why a route is not for the messages of this broker: `MQTT_CONFIG` names a port of this
/// machine at which another program listens.
pub(super) fn other_broker(route: &RouteFacts, config: &Config) -> Option<String> {
    let RouteValue::Text(address) = route.broker_address()? else { return None };
    if !is_loopback(address) {
        return None;
    }
    let port = route.broker_port()?;
    let plans = config.listeners();
    let mut own = plans.iter().flat_map(|plan| &plan.addresses).map(SocketAddr::port);
    // The system chooses what port 0 becomes.
    let is_own = own.any(|own| own == port || own == 0);
    (!is_own).then(|| {
        format!(
            "MQTT_CONFIG: BROKER_ADDRESS {address} with port {port} is another broker: a route is for the messages of this one. \
             Write BROKER SELF, or bring the messages of the other broker with an MQTT_BRIDGE"
        )
    })
}

/// Routes that a module refuses to run as it is now, with the reason.
pub fn of_module(guests: &Guests, name: &str) -> Vec<(Arc<Definition>, String)> {
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
