//! Rights for projects: those of the owner to deploy its contents, and those of whoever loads or
//! unloads it to remove what goes with it.

use std::collections::BTreeSet;
use std::sync::Arc;

use lotmq_auth::{Decide as _, Question, Scope};
use lotmq_definitions::{DefinitionKind, Owner};
use serde_json::{Value, json};

use super::compiled::owned;
use crate::command::reply::Refusal;
use crate::command::verb::{Call, Permission};
use crate::limits::OF_OTHERS_SHOWN_MAX;
use crate::managed::Managing as _;
use crate::projects::Project;
use lotmq_codes::Code;
use lotmq_core::tenant::Tenant;
use lotmq_programs::HasPrograms as _;
use lotmq_programs::authority;

/// Checks that the owner of a project may deploy an entity. They need the right of the command for
/// it. With `spares_others`, an entity that another user has added by hand is left alone.
pub(super) fn check_owner(
    tenant: &Tenant,
    project: &Project,
    (title, name): (&str, &str),
    spares_others: bool,
) -> Result<(), Refusal> {
    let scope = scopes(DefinitionKind::by_name(title)).add;
    let identity = project.owner.as_ref().and_then(|owner| authority::identity(&tenant.users, owner));
    let may =
        identity.is_some_and(|who| tenant.permissions.decide(&Question::operation(&who, scope)).is_allowed());
    if !may {
        let owner = project.owner.as_ref().map_or("nobody", |owner| &owner.name);
        let message = format!(
            "{title} '{name}' was not deployed: the project belongs to {owner}, who needs {}.",
            scope.name()
        );
        return Err(Refusal::new(Code::PermissionDenied, message));
    }
    let known = match DefinitionKind::by_name(title) {
        None => tenant.programs().scripts.owner(name),
        Some(kind) => {
            tenant.programs().guests.registry.read().get(kind, name).and_then(|known| known.owner().cloned())
        }
    };
    match known.filter(|known| spares_others && project.owner.as_ref() != Some(known)) {
        None => Ok(()),
        Some(other) => {
            let message =
                format!("{title} '{name}' belongs to user '{}'. Use -replace to take it over.", other.name);
            Err(Refusal::new(Code::OfAnother, message))
        }
    }
}

/// Checks that the caller has the rights to remove entities of the projects that it `ends`.
/// Entities that come again are not removed.
///
/// # Errors
/// PERMISSION_DENIED with the first definition that the caller may not remove.
pub(crate) fn may_remove_owned(
    call: &Call<'_>,
    ends: &dyn Fn(&str) -> bool,
    coming: &BTreeSet<(&'static str, &str)>,
) -> Result<(), Refusal> {
    for (kind, name) in
        owned(call.tenant, ends).iter().filter(|(kind, name)| !coming.contains(&(*kind, &**name)))
    {
        let definition = DefinitionKind::ALL.into_iter().find(|known| known.key() == *kind);
        let scope = scopes(definition).remove;
        if !Permission::Scope(scope).admits(call.tenant, call.identity) {
            let title = definition.map_or("Script", DefinitionKind::title);
            let message = format!(
                "{title} '{name}' belongs to a loaded project; to remove it you need {}.",
                scope.name()
            );
            return Err(Refusal::new(Code::PermissionDenied, message));
        }
    }
    Ok(())
}

/// Returns the loaded projects that it `ends` and that belong to other users than the caller, with
/// their owners. Skips projects without an owner.
pub(super) fn of_others(call: &Call<'_>, ends: &dyn Fn(&str) -> bool) -> Vec<(Arc<str>, Owner)> {
    let own = call.owner();
    let projects = &call.tenant.managed().projects;
    let ended = projects.active().into_iter().filter(|active| ends(&active.name));
    let owners = ended.filter_map(|active| {
        let owner = projects.get(&active.name)?.owner.clone()?;
        Some((active.name, owner))
    });
    owners.filter(|(_, owner)| own.as_ref() != Some(owner)).collect()
}

/// Refuses to end projects of other users for the one of this name.
///
/// # Errors
/// OF_ANOTHER, with the first of them, and a list.
pub(super) fn check_ended(
    call: &Call<'_>,
    project: &str,
    ends: &dyn Fn(&str) -> bool,
) -> Result<(), Refusal> {
    let others = of_others(call, &|name| ends(name) && name != project);
    let [(name, owner), more @ ..] = &*others else { return Ok(()) };
    let more = match more.len() {
        0 => String::new(),
        count => format!(", and {count} more of other users"),
    };
    let message = format!(
        "Project '{name}' of user '{}' would be unloaded for it{more}. Use -replace to do it all the same.",
        owner.name
    );
    let row = |(name, owner): &(Arc<str>, Owner)| json!({ "name": &**name, "owner": &*owner.name });
    let shown: Vec<Value> = others.iter().take(OF_OTHERS_SHOWN_MAX).map(row).collect();
    let data = json!({ "ofOthers": shown, "count": others.len() });
    Err(Refusal { data: data.into(), ..Refusal::new(Code::OfAnother, message) })
}

/// Scopes of the commands for definitions of a kind.
struct Scopes {
    add: Scope,
    remove: Scope,
}

/// Scopes of the commands for a kind; `None` stands for scripts.
fn scopes(kind: Option<DefinitionKind>) -> Scopes {
    let (add, remove) = match kind {
        Some(DefinitionKind::Model) => (Scope::ModelManagementCreation, Scope::ModelManagementRemove),
        Some(DefinitionKind::Action) | None => {
            (Scope::ActionManagementCreation, Scope::ActionManagementRemove)
        }
        Some(DefinitionKind::Route) => (Scope::RouteManagementCreation, Scope::RouteManagementRemove),
        Some(DefinitionKind::Rule) => (Scope::RuleManagementCreation, Scope::RuleManagementRemove),
        Some(DefinitionKind::Module) => (Scope::ModuleManagementCreation, Scope::ModuleManagementRemove),
        Some(DefinitionKind::Theme | DefinitionKind::Panel) => {
            (Scope::SystemConfiguration, Scope::SystemConfiguration)
        }
    };
    Scopes { add, remove }
}
