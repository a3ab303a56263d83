//! The types of routes, with the sections and keys of each: the tables of the routes reference as
//! data.
//!
//! One list, one value per type. The checker reads it; a type is added here and nowhere else in the
//! compiler. The broker knows whether it has a guest that runs a type.

mod bridge;
mod industrial;
mod key;
mod later;
mod own;
mod schema;
mod service;
mod storage;
mod template;
mod value;
#[cfg(test)]
mod wrong_keys;

pub(crate) use key::{Key, KeyPurpose, MILLISECONDS_MAX, Need, Section, ValueKind};
pub use schema::route_schema;
pub use template::{nearest_route_type, route_template};
pub(crate) use value::of_kind;
pub use value::{SettingPlace, route_setting};

/// A type of route.
#[derive(Debug)]
pub(crate) struct RouteType {
    /// Canonical name.
    pub(crate) name: &'static str,
    /// Other names that are accepted (routes reference §1.9).
    pub(crate) aliases: &'static [&'static str],
    /// Its sections besides [`COMMON`].
    pub(crate) sections: &'static [Section],
    /// Keys of `ADD EVENT`; `None` when the type has no events.
    pub(crate) event: Option<&'static [Key]>,
    /// Content of `ADD MAPPING`; `None` when the type has no mappings.
    pub(crate) mapping: Option<Mapping>,
    /// Sections, events, mappings and keys may have any name: only the name of the type is public
    /// so far, or a module defines what it takes.
    pub(crate) is_open: bool,
}

/// Content of `ADD MAPPING`.
#[derive(Debug)]
pub(crate) struct Mapping {
    /// Its own keys.
    pub(crate) keys: &'static [Key],
    /// Keys of `ADD TAG` in it; `None` when there are no tags.
    pub(crate) tag: Option<&'static [Key]>,
    /// Publish topics take the wildcards of the filter that they are rewritten from (routes
    /// reference §6).
    pub(crate) rewrites: bool,
}

impl RouteType {
    /// A type that takes nothing yet; the tables add what it has.
    const fn new(name: &'static str) -> RouteType {
        RouteType { name, aliases: &[], sections: &[], event: None, mapping: None, is_open: false }
    }

    /// A type of which only the name is public.
    const fn named(name: &'static str) -> RouteType {
        RouteType { is_open: true, ..RouteType::new(name) }
    }
}

/// Sections that every type takes: overload and buffering (§3.5, §3.6), batches (ours), and which
/// broker is meant (§1.10).
pub(crate) const COMMON: &[Section] = &[
    Section::optional(
        "ROUTE_CONFIG",
        &[
            Key::new("BUFFER_MODE", ValueKind::Words(&["none", "memory", "disk"])),
            Key::new("BUFFER_MAX_BYTES", ValueKind::Int(1, i64::MAX)).by_default("1073741824"),
            Key::new("BUFFER_TTL_SEC", ValueKind::Int(0, i64::MAX)).by_default("0"),
            Key::new("OVERLOAD_POLICY", ValueKind::Words(&["lossless", "balanced", "realtime"])),
            Key::new("OVERLOAD_TIMEOUT", ValueKind::Int(0, MILLISECONDS_MAX)),
            Key::new("OVERLOAD_CAPACITY", ValueKind::Int(1, i64::MAX)),
            Key::new("BATCH_SIZE", ValueKind::Int(1, i64::MAX)).by_default("1000"),
            Key::new("BATCH_BYTES", ValueKind::Int(1, i64::MAX)).by_default("1048576"),
            Key::new("BATCH_LINGER", ValueKind::Int(0, 60_000)).by_default("0"),
            Key::new("ACTIVITY_TIMEOUT", ValueKind::Int(1, 3_600)).by_default("60"),
            Key::new("RECONNECTION_MAX_PAUSE", ValueKind::Int(1, 3_600)).by_default("60"),
            Key::new("INSTANCES", ValueKind::Int(1, 64)).or(&["POOL_SIZE"]),
            Key::new("ORDER_KEY", ValueKind::OfTopic).by_default("{topic}"),
        ],
    ),
    Section::optional(
        OTHER_BROKER,
        &[
            Key::new("BROKER", ValueKind::Words(&["SELF"])),
            Key::new("BROKER_ADDRESS", ValueKind::Text).or(&["HOST", "IP", "SERVER", "ADDRESS"]),
            Key::new("BROKER_PORT", key::PORT),
            Key::new("CLIENT_ID", ValueKind::Text),
            Key::new("USERNAME", ValueKind::Text),
            Key::new("PASSWORD", ValueKind::Text),
            Key::new("USE_TLS", ValueKind::Bool).or(&["USE_SSL"]),
        ],
    ),
];

/// Section about the broker whose messages a route is for (§1.10).
pub(crate) const OTHER_BROKER: &str = "MQTT_CONFIG";

/// Section and setting by which a route of type WASM names its module.
pub(crate) const PLACE_OF_MODULE: [&str; 2] = ["WASM_CONFIG", "MODULE"];

/// Every type, those that are met most often first.
const TYPES: &[&[RouteType]] =
    &[bridge::TYPES, storage::TYPES, service::TYPES, industrial::TYPES, own::TYPES, later::TYPES];

/// All types.
pub(crate) fn all() -> impl Iterator<Item = &'static RouteType> {
    TYPES.iter().copied().flatten()
}

/// The type of this name or alias, in any case.
pub(crate) fn find(name: &str) -> Option<&'static RouteType> {
    let is_it = |known: &str| known.eq_ignore_ascii_case(name);
    all().find(|kind| is_it(kind.name) || kind.aliases.iter().any(|alias| is_it(alias)))
}

/// Whether other brokers of the language do not have it.
pub(crate) fn is_own(kind: &RouteType) -> bool {
    own::TYPES.iter().any(|own| own.name == kind.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// The docs offer both words for every endpoint. E-mail has a TLS of its own, which begins
    /// later.
    #[test]
    fn tls_has_two_names_wherever_it_begins_at_once() {
        for section in all().flat_map(|kind| kind.sections.iter().chain(COMMON)) {
            for key in section.keys.iter().filter(|key| ["USE_TLS", "USE_SSL"].contains(&key.name)) {
                let names: BTreeSet<&str> = key.aliases.iter().copied().chain([key.name]).collect();
                let is_both = names.is_superset(&BTreeSet::from(["USE_TLS", "USE_SSL"]));
                assert!(is_both || section.name == "SMTP_CONFIG", "{} in {}", key.name, section.name);
            }
        }
    }

    #[test]
    fn names_of_types_and_keys_are_unique() {
        let mut types = BTreeSet::new();
        for kind in all() {
            for name in kind.aliases.iter().chain([&kind.name]) {
                assert!(types.insert(*name), "{name}");
            }
            let of_sections = kind.sections.iter().chain(COMMON).map(|section| (section.name, section.keys));
            let of_events = kind.event.map(|keys| ("EVENT", keys));
            let of_mapping = kind.mapping.as_ref().map(|mapping| ("MAPPING", mapping.keys));
            let of_tags = kind.mapping.as_ref().and_then(|mapping| mapping.tag).map(|keys| ("TAG", keys));
            for (place, keys) in of_sections.chain(of_events).chain(of_mapping).chain(of_tags) {
                let mut names = BTreeSet::new();
                for name in keys.iter().flat_map(|key| key.aliases.iter().chain([&key.name])) {
                    assert!(names.insert(*name), "{name} twice in {place} of {}", kind.name);
                }
                for key in keys {
                    if let Need::Unless(others) = key.need {
                        assert!(others.iter().all(|other| names.contains(other)), "{}", key.name);
                    }
                }
            }
        }
        assert!(find("modbus").is_some_and(|kind| kind.name == "MODBUS_TCP") && find("NO_SUCH_DB").is_none());
    }
}
