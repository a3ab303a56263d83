//! The types of routes: reading their settings, and their templates.
//!
//! The types with their sections and keys are those of the [catalogue](lot_route_catalogue). Each
//! connector describes its types itself, and a type is added nowhere in the compiler. The broker
//! knows whether it has a guest that runs a type.

mod template;
mod value;
#[cfg(test)]
mod wrong_keys;

use serde_json::Value as Json;

pub(crate) use lot_route_catalogue::module::OF_MODULE;
use lot_route_catalogue::module::{OWN_KEY, OWN_SECTION};
pub(crate) use lot_route_catalogue::{
    COMMON, Far, Key, KeyPurpose, Mapping, Need, OtherSide, RouteCheck, RouteType, Section, TimeUnit,
    ValueKind, all, find,
};
pub use template::{nearest_route_type, route_template, template_of};
pub(crate) use value::of_kind;
pub use value::{SettingPlace, route_setting};

/// Section about the broker whose messages a route is for (§1.10).
pub(crate) const OTHER_BROKER: &str = "MQTT_CONFIG";

/// Section and setting by which a route of type WASM names its module.
pub(crate) const PLACE_OF_MODULE: [&str; 2] = [OWN_SECTION, OWN_KEY];

/// The JSON Schema of a type of route by name or alias, in any case, behind the canonical name of
/// the type. `None` for a type that does not exist.
#[must_use]
pub fn route_schema(name: &str) -> Option<(&'static str, Json)> {
    let kind = find(name)?;
    Some((&kind.name, kind.schema()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// The docs offer both words for every endpoint. E-mail has a TLS of its own, which begins
    /// later.
    #[test]
    fn tls_has_two_names_wherever_it_begins_at_once() {
        for section in all().flat_map(|kind| kind.sections.iter().chain(COMMON.iter())) {
            for key in section.keys.iter().filter(|key| ["USE_TLS", "USE_SSL"].contains(&&*key.name)) {
                let names: BTreeSet<&str> = key.names().collect();
                let is_both = names.is_superset(&BTreeSet::from(["USE_TLS", "USE_SSL"]));
                assert!(is_both || section.name == "SMTP_CONFIG", "{} in {}", key.name, section.name);
            }
        }
    }

    #[test]
    fn names_of_types_are_unique() {
        let mut types = BTreeSet::new();
        for kind in all() {
            for name in kind.names() {
                assert!(types.insert(name), "{name}");
            }
        }
        assert!(find("modbus").is_some_and(|kind| kind.name == "MODBUS_TCP") && find("NO_SUCH_DB").is_none());
    }
}
