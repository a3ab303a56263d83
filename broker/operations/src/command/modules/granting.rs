//! `-grantModule`: a module that is there gets more than it was granted, without being uploaded
//! again.

use std::sync::Arc;

use lotmq_auth::Scope;
use lotmq_changes::Batch;
use lotmq_core::tenant::Tenant;
use lotmq_definitions::{Definition, DefinitionKind};
use lotmq_host::Capability;
use serde_json::{Value, json};

use super::compiling::ComponentPlace;
use super::options::{listed, may_install, named_grant};
use super::{authority, compiling, foreign_assets, instances, not_found, stored_signed_by, tell};
use crate::command::add_entity::refused;
use crate::command::argument::{FORCE, option, word};
use crate::command::ownership::Removal;
use crate::command::reply::{Done, EntityType, Refusal, missing_argument, problem};
use crate::command::verb::{Call, Effect, Permission, Verb, Work};
use crate::limits::MODULE_GRANTS_MAX;
use crate::managed::Managing as _;
use crate::module_catalog::grants::{self, GrantSet, NamedGrant};
use crate::module_catalog::{Module, ModuleOptions};
use crate::modules;
use lotmq_codes::Code;
use lotmq_programs::{HasPrograms as _, granting, named_modules, route_drivers, route_modules};

pub(in crate::command) static GRANT: Verb = Verb {
    name: "grantModule",
    arguments: &[word("name"), option("-grant", "\"kind:name\"").required().repeated(), FORCE],
    permission: Permission::Scope(Scope::ModuleManagementCreation),
    effect: Effect::Stores,
    work: Work::CompilesModule,
    summary: "Grants a module more, beside what it has; it begins anew with that. One of another user with -force only. To take a grant back, add the module again with -replace.",
    example: "-grantModule scale -grant write:scaled/#",
    execute: grant,
};

fn grant(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let named = call.values.all("-grant").map(named_grant);
    let named: GrantSet = named.collect::<Result<_, _>>()?;
    let (asked, name) = (Removal::of(call), call.text("name"));
    call.about(EntityType::Module, name);
    if named.is_empty() {
        return Err(missing_argument(call.verb, "-grant"));
    }
    let present = call.tenant.managed().modules.get(name).ok_or_else(|| not_found(name))?;
    asked.check_definitions(call, DefinitionKind::Module, [name])?;
    may_install(call, present.world)?;
    authority::check_grants(call, (name, &present))?;
    if let Some(grant) = named.iter().find(|grant| !grants::is_available(present.world, grant)) {
        let message = format!("'{grant}' means nothing for a module of world '{}'.", present.world.name());
        return Err(Refusal::new(Code::GrantInvalid, message));
    }
    let before = present.options.granted();
    let granted: GrantSet = before.union(&named).cloned().collect();
    if granted.len() > MODULE_GRANTS_MAX {
        let message = format!("{} grants are too many, limit {MODULE_GRANTS_MAX}.", granted.len());
        return Err(Refusal::new(Code::GrantInvalid, message));
    }
    let signed_by = stored_signed_by(call, &present)?;
    let added: Vec<NamedGrant> = granted.difference(&before).cloned().collect();
    call.details = Some(json!({ "granted": &added }));
    let not_asked = present
        .said
        .asked
        .as_ref()
        .and_then(|manifest| listed(named.iter().filter(|grant| !grants::covers(manifest, grant))));
    let options = ModuleOptions { granted: Some(granted), signed_by, ..present.options.clone() };
    let module = Module { options, ..(*present).clone() };
    let policies = call.tenant.managed().assets.policies(name);
    let compiled = compiling::compile(call, (module, ComponentPlace::Stored), policies.clone())?;
    let stopped = {
        let _changes = call.commands.changes.lock();
        call.check_current()?;
        asked.check_definitions(call, DefinitionKind::Module, [name])?;
        authority::check_grants(call, (name, &present))?;
        let is_same = |now: Arc<Module>| Arc::ptr_eq(&now, &present);
        let managed = call.tenant.managed();
        if !managed.modules.get(name).is_some_and(is_same) || managed.assets.policies(name) != policies {
            let message = format!("Module '{name}' has changed meanwhile. Grant it again.");
            return Err(Refusal::new(Code::Busy, message));
        }
        let mut batch = Batch::new();
        let stopped = foreign_assets::stop(call, name, &mut batch);
        if let Err(error) = modules::reconfigure(call.tenant, call.hosting, compiled, &mut batch) {
            stopped.undo(call);
            return Err(refused(error));
        }
        call.commit(batch)?;
        stopped
    };
    let mut done = tell(call, name, "granted more")?.with_member("added", json!(added));
    if let Some(list) = not_asked {
        let warning = format!("The module does not ask for {list}; it was granted all the same.");
        done = done.with_warning(Code::GrantNotAsked, &warning);
    }
    for (instance, reason) in instances::follow(call, name) {
        let warning = format!("Asset '{instance}' runs with what was granted before: {reason}");
        done = done.with_warning(Code::InstanceNotFollowed, &warning);
    }
    Ok(stopped.tell(call, name, done))
}

/// The command that grants these, as a sentence.
pub(super) fn hint<'a>(module: &str, missing: impl IntoIterator<Item = &'a NamedGrant>) -> String {
    let texts: Vec<String> = missing.into_iter().map(ToString::to_string).collect();
    format!("{} grants it.", granting::command(module, texts.iter().map(String::as_str)))
}

/// Warnings for whoever adds a definition: which of the modules that it names lack a grant that
/// they ask for, or that the text of a route needs.
pub(in crate::command) fn missing(
    tenant: &Arc<Tenant>,
    call: &Call<'_>,
    definition: &Arc<Definition>,
) -> Vec<Value> {
    let facts = definition.facts();
    let of_route = facts.route.as_deref().and_then(route_modules::named);
    let guests = &tenant.programs().guests;
    let warning = |name: &str| {
        let module = tenant.managed().modules.get(name)?;
        // Of another world, it can do nothing with a grant either.
        if !module.options.is_disabled && named_modules::unusable(guests, definition.kind(), name).is_some() {
            return None;
        }
        let granted = module.options.granted();
        let mut missing = modules::not_granted(&module, &granted);
        if of_route == Some(name) {
            let place = (tenant, call.hosting);
            let places = route_drivers::places_named(place, definition);
            if !places.is_empty() {
                // A route reaches what its text names, whatever else its module asks for.
                missing.retain(|grant| grant.capability != Capability::Connect);
            }
            let needs = places.into_iter().map(|place| (Capability::Connect, place));
            let names = route_drivers::names_needed(facts).into_iter();
            let needed =
                needs.chain(names).filter_map(|(capability, name)| NamedGrant::new(capability, &name));
            missing.extend(needed.filter(|grant| !grants::touches(&granted, grant)));
        }
        let list = listed(missing.iter())?;
        let then = match definition.kind() {
            DefinitionKind::Rule => " The rule denies wherever the module wants it.",
            DefinitionKind::Action
            | DefinitionKind::Model
            | DefinitionKind::Route
            | DefinitionKind::Module
            | DefinitionKind::Theme
            | DefinitionKind::Panel => "",
        };
        let text = format!("Module '{name}' was not granted {list}.{then} {}", hint(name, &missing));
        // A place may be a secret.
        Some(problem(Code::NotGranted, &tenant.programs().variables.masked_text(&text)))
    };
    named_modules::named(definition).filter_map(warning).collect()
}
