//! Modules that definitions name: those that a Route runs, a Rule asks or an Action calls, and what
//! is told of one that cannot be used.

use lot_nearest::nearest;
use lotmq_core::tenant::Tenant;
use lotmq_definitions::{Definition, DefinitionKind};
use lotmq_host::COMPILING;

use super::routes::RouteCode;
use super::{Guests, HasPrograms as _, route_modules};
use lotmq_codes::Code;

/// Names of modules in a definition: that of a Route, and those that a Rule asks or an Action
/// calls.
pub fn named(definition: &Definition) -> impl Iterator<Item = &str> {
    let facts = definition.facts();
    let of_route = facts.route.as_deref().and_then(route_modules::named);
    of_route.into_iter().chain(facts.programs.modules.iter().map(String::as_str))
}

/// Warnings for whoever deploys a definition, by code: modules that it names and cannot use now,
/// with the name that was probably meant.
pub fn warnings(tenant: &Tenant, definition: &Definition) -> Vec<(Code, String)> {
    let guests = &tenant.programs().guests;
    let then = match definition.kind() {
        DefinitionKind::Route => "the route waits for it",
        DefinitionKind::Rule => "the rule denies where it asks it",
        DefinitionKind::Action
        | DefinitionKind::Model
        | DefinitionKind::Module
        | DefinitionKind::Theme
        | DefinitionKind::Panel => "what calls it fails",
    };
    let warning = |name: &str| {
        let reason = unusable(guests, definition.kind(), name)?;
        let registry = guests.registry.read();
        let is_there = registry.get(DefinitionKind::Module, name).is_some();
        let known = registry.list(DefinitionKind::Module).map(|module| &**module.name());
        let meant = nearest(name, known).filter(|_| !is_there);
        let meant = meant.map_or_else(String::new, |meant| format!(", did you mean {meant}?"));
        Some((Code::ModuleMissing, format!("{reason}{meant}; {then}")))
    };
    named(definition).filter_map(warning).collect()
}

/// Why a definition of this kind cannot use a module now; `None` where it can.
pub fn unusable(guests: &Guests, kind: DefinitionKind, name: &str) -> Option<String> {
    if kind == DefinitionKind::Route {
        let is_compiling = RouteCode::Module(name.into()).is_compiling(guests);
        return guests.route_module(name).err().filter(|_| !is_compiling);
    }
    let module = match guests.module_in_use(name) {
        Ok(module) => module,
        // It can be used soon.
        Err(error) if error.code == COMPILING => return None,
        Err(error) => return Some(error.message),
    };
    let (is_of_world, world) = match kind {
        DefinitionKind::Rule => (guests.deciding_modules.rules.figures(name).is_some(), "rule"),
        DefinitionKind::Route
        | DefinitionKind::Action
        | DefinitionKind::Model
        | DefinitionKind::Module
        | DefinitionKind::Theme
        | DefinitionKind::Panel => (guests.runner(module.id).is_some(), "action"),
    };
    (!is_of_world).then(|| format!("module '{name}' is not of world '{world}'"))
}
