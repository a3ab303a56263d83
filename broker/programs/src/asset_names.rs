//! Names of assets: a module's own, and a route's own unless a module has the same; then the route
//! is `route:NAME`.

use lotmq_definitions::{Definition, DefinitionKind};

use super::Guests;

/// Beginning of the name of a route as an asset where a module has the name as well.
pub const OF_ROUTE: &str = "route:";

/// Name of a route as an asset.
pub fn of_route(guests: &Guests, route: &str) -> String {
    let is_shared = guests.registry.read().get(DefinitionKind::Module, route).is_some();
    if is_shared { format!("{OF_ROUTE}{route}") } else { route.to_owned() }
}

/// Topic of an asset below `$SYS`.
pub fn topic_of(asset: &str) -> String {
    format!("$SYS/Coreflux/Assets/{asset}")
}

/// Topic of a definition as an asset; `None` of those that are none.
pub(crate) fn topic(guests: &Guests, definition: &Definition) -> Option<String> {
    match definition.kind() {
        DefinitionKind::Route => Some(topic_of(&of_route(guests, definition.name()))),
        DefinitionKind::Module => Some(topic_of(definition.name())),
        DefinitionKind::Action
        | DefinitionKind::Model
        | DefinitionKind::Rule
        | DefinitionKind::Panel
        | DefinitionKind::Theme => None,
    }
}
