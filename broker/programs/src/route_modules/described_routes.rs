//! Routes of a module that describes their settings: the names of the settings, and what the guest
//! takes.
//!
//! A definition keeps the settings as its text names them, since the module may come later than the
//! route, or be replaced.

use std::borrow::Cow;

use lot_facts::{RouteBlock, RouteFacts};
use lot_route_catalogue::{RouteType, SettingPlace};
use lotmq_host::route::Description;

use super::type_schema;

/// Returns a route whose settings have their canonical names. A setting that the text has by its
/// canonical name as well keeps that value.
pub fn canonical<'a>(route: &'a RouteFacts, kind: Option<&RouteType>) -> Cow<'a, RouteFacts> {
    let Some(kind) = kind else { return Cow::Borrowed(route) };
    let mut named = route.clone();
    for section in &mut named.sections {
        let name = section.name.clone();
        rename(section, kind, SettingPlace::Section(&name));
    }
    for event in &mut named.events {
        rename(event, kind, SettingPlace::Event);
    }
    for mapping in &mut named.mappings {
        rename(mapping, kind, SettingPlace::Mapping);
        for tag in &mut mapping.tags {
            rename(tag, kind, SettingPlace::Tag);
        }
    }
    Cow::Owned(named)
}

fn rename(block: &mut RouteBlock, kind: &RouteType, place: SettingPlace<'_>) {
    for key in kind.keys(place) {
        for alias in &key.aliases {
            if let Some(value) = block.settings.remove(alias) {
                block.settings.entry(key.name.clone()).or_insert(value);
            }
        }
    }
}

/// Returns what a guest says of itself, narrowed to the settings of a described type. A schema of
/// the guest that cannot be read stays as it is: opening the route reports it.
pub fn narrowed(of_guest: Description, kind: Option<&RouteType>) -> Description {
    let Some(kind) = kind else { return of_guest };
    let Ok(by) = serde_json::from_str(&of_guest.configuration) else { return of_guest };
    let mut schema = kind.schema();
    type_schema::narrow(&mut schema, &by);
    Description { configuration: schema.to_string(), ..of_guest }
}
