//! Authority of those who put code into a module: it runs in the name of whoever installed an asset or wrote a route. Who gives rules their code is asked before
//! (`may_install`).

use std::sync::Arc;

use lotmq_auth::ROOT;
use lotmq_definitions::{Definition, DefinitionKind, Owner};

use crate::guests::HasPrograms as _;
use crate::management::command::reply::Refusal;
use crate::management::command::verb::Call;
use crate::management::managed::Managing as _;
use crate::management::module_catalog::Module;

/// Checks that nothing of another user begins to run what the caller brings as a module: an administrator could do all of it himself, but what only `root` may,
/// whom no rule binds. Called under
/// the lock of changes.
///
/// # Errors
/// RUNS_FOR_OTHERS, with the first that does.
pub(super) fn check(call: &Call<'_>, module: &str) -> Result<(), Refusal> {
    let (own, is_admin) = (call.owner(), is_admin(call));
    let is_root = |owner: &Option<Owner>| owner.as_ref().is_some_and(|owner| *owner.name == *ROOT);
    let is_others = |owner: &Option<Owner>| own.is_none() || *owner != own;
    let mut others = users(call, module)
        .into_iter()
        .filter(|(_, owner)| is_others(owner) && (!is_admin || is_root(owner)));
    let Some((first, owner)) = others.next() else { return Ok(()) };
    let who = if is_root(&owner) { "root alone" } else { "an administrator" };
    let whose = owner.map_or("the broker".to_owned(), |owner| format!("'{}'", owner.name));
    let more = match others.count() {
        0 => String::new(),
        count => format!(" and {count} more"),
    };
    let message =
        format!("{first}{more} runs module '{module}' with the rights of {whose}, so {who} puts code there.");
    Err(Refusal::new("RUNS_FOR_OTHERS", message))
}

/// Whether a module's configuration may be taken over by the caller. What nobody owns any more is not everybody's.
pub(super) fn is_own(call: &Call<'_>, module: &Module) -> bool {
    call.identity.is_root() || (module.owner.is_some() && module.owner == call.owner())
}

fn is_admin(call: &Call<'_>) -> bool {
    let account = call.identity.user.as_ref().and_then(|user| call.tenant.users.account(user));
    account.is_some_and(|account| account.is_admin())
}

/// Assets and routes that run a module, for people, with their owners. What an Action calls runs in the name of its own.
fn users(call: &Call<'_>, module: &str) -> Vec<(String, Option<Owner>)> {
    let assets = &call.tenant.managed().assets;
    let instance = |name: Arc<str>| Some((format!("Asset '{name}'"), assets.instance(&name)?.owner));
    let definitions = call.tenant.programs().guests.users_of_module(module);
    let definition = |user: &Arc<Definition>| match user.kind() {
        DefinitionKind::Route => Some((format!("Route '{}'", user.name()), user.owner().cloned())),
        DefinitionKind::Action
        | DefinitionKind::Rule
        | DefinitionKind::Model
        | DefinitionKind::Module
        | DefinitionKind::Theme
        | DefinitionKind::Panel => None,
    };
    assets
        .of_package(module)
        .into_iter()
        .filter_map(instance)
        .chain(definitions.iter().filter_map(definition))
        .collect()
}
