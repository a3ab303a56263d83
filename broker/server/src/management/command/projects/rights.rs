//! Rights for projects: those of the owner to deploy its contents, and those of whoever loads or unloads it to remove what goes with it.

use std::collections::BTreeSet;

use lotmq_auth::{Decide as _, Question, Scope};
use lotmq_definitions::DefinitionKind;

use super::compiled::owned;
use crate::guests::HasPrograms as _;
use crate::guests::authority;
use crate::management::command::reply::Refusal;
use crate::management::command::verb::{Call, Permission};
use crate::management::projects::Project;
use lotmq_core::tenant::Tenant;

/// Checks that the owner of a project may deploy an entity: he needs the right of the command for it, and what another user has added by hand is
/// left alone, if it `spares_others`.
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
        return Err(Refusal::new("PERMISSION_DENIED", message));
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
            Err(Refusal::new("OF_ANOTHER", message))
        }
    }
}

/// Checks that whoever gives the command may remove what the projects that it `ends` own and what does not come again: with the rights of the commands for it.
///
/// # Errors
/// PERMISSION_DENIED with the first definition that he may not remove.
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
            return Err(Refusal::new("PERMISSION_DENIED", message));
        }
    }
    Ok(())
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
