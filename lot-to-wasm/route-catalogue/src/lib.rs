//! Catalogue of the types of routes: their names, sections, keys and places, as data.
//!
//! Each connector describes its types in `guests/route-<name>/route.toml`. Types without a
//! connector are in `types`. The build script checks the descriptions and joins them to one file of
//! JSON, which the first use reads. The description of a [module](module) has the same form. The
//! compiler checks routes with the types, and the broker connects with them.
//!
//! Not here: checks that are code ([`RouteCheck`] names them), and the guests themselves.

mod form;
pub mod limits;
pub mod module;
mod route_type;
mod schema;
mod setting_place;
mod words;

use std::sync::LazyLock;

use form::Descriptions;

pub use form::DescriptionError;
pub use route_type::{
    Far, Key, KeyPurpose, Mapping, Need, RouteType, Section, SectionPlace, ServedPlace, TlsOf, ValueKind,
};
pub use setting_place::SettingPlace;
pub use words::{OtherSide, RouteCheck, TimeUnit};

/// Invariant of our own descriptions.
const CHECKED: &str = "the build script has checked the descriptions";

/// Descriptions of our own types.
static DESCRIPTIONS: LazyLock<Descriptions> = LazyLock::new(|| {
    serde_json::from_str(include_str!(concat!(env!("OUT_DIR"), "/types.json"))).expect(CHECKED)
});

/// Our own types.
static TYPES: LazyLock<Vec<RouteType>> = LazyLock::new(|| DESCRIPTIONS.route_types().expect(CHECKED));

/// Sections that every type takes.
pub static COMMON: LazyLock<Vec<Section>> = LazyLock::new(|| DESCRIPTIONS.common().expect(CHECKED));

/// Returns all types: those that lotmq runs, by the folders of their guests, and the others by
/// name.
pub fn all() -> impl Iterator<Item = &'static RouteType> + Clone {
    TYPES.iter()
}

/// Returns the type of a name or alias, in any case.
#[must_use]
pub fn find(name: &str) -> Option<&'static RouteType> {
    TYPES.iter().find(|kind| kind.is_called(name))
}

#[cfg(test)]
mod tests {
    use serde_json::Value as Json;

    use super::*;

    /// Blocks of a type with their schemas.
    fn blocks(kind: &RouteType) -> Vec<(&[Key], Json)> {
        let schema = kind.schema();
        assert_eq!(schema["title"], kind.name);
        let members = &schema["properties"];
        let mut blocks: Vec<(&[Key], Json)> = Vec::new();
        for section in kind.sections.iter().chain(COMMON.iter()) {
            blocks.push((&section.keys, members["sections"]["properties"][&section.name].clone()));
        }
        let of_event = &members["events"]["additionalProperties"];
        blocks.extend(kind.event.iter().map(|keys| (&**keys, of_event.clone())));
        if let Some(mapping) = &kind.mapping {
            let of_mapping = &members["mappings"]["additionalProperties"];
            blocks.push((&mapping.keys, of_mapping.clone()));
            let of_tag = &of_mapping["properties"]["tags"]["additionalProperties"];
            blocks.extend(mapping.tag.iter().map(|keys| (&**keys, of_tag.clone())));
        }
        blocks
    }

    #[test]
    fn schemas_have_every_key_with_its_kind_range_default_and_need() {
        for (kind, (keys, schema)) in
            all().flat_map(|kind| blocks(kind).into_iter().map(move |it| (kind, it)))
        {
            for key in keys {
                let (place, of_key) =
                    (format!("{}: {}", kind.name, key.name), &schema["properties"][&key.name]);
                assert!(of_key.is_object(), "{place} is missing");
                let is_required = schema["required"]
                    .as_array()
                    .is_some_and(|all| all.contains(&Json::from(key.name.as_str())));
                assert_eq!(is_required, matches!(key.need, Need::Always), "{place}");
                assert_eq!(of_key["minimum"].is_i64(), matches!(key.value, ValueKind::Int(..)), "{place}");
                assert_eq!(of_key["default"].is_null(), key.default.is_none(), "{place}");
            }
            let more = schema["properties"].as_object().unwrap().keys();
            let mut more = more.filter(|name| !keys.iter().any(|key| key.name == **name));
            assert!(more.all(|name| ["EVERY_MS", "tags"].contains(&&**name)), "{}", kind.name);
        }
    }

    #[test]
    fn types_that_run_have_a_guest_a_description_and_a_page() {
        for kind in all().filter(|kind| kind.guest.is_some()) {
            assert!(!kind.description.is_empty() && kind.page.is_some(), "{}", kind.name);
        }
        assert!(find("modbus").is_some_and(|kind| kind.guest.as_deref() == Some("route-modbus")));
        assert!(find("wasm").is_some_and(|kind| kind.guest.is_none()) && find("NO_SUCH_DB").is_none());
    }
}
