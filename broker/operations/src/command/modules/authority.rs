//! Authority over code that runs with the rights of others: configurations, and modules, which run
//! for the users who have assets or routes of them. `may_install` is asked first about users who
//! give rules their code.

use std::iter;
use std::sync::Arc;

use lotmq_auth::ROOT;
use lotmq_definitions::{DefinitionKind, Owner};

use crate::assets::AssetKind;
use crate::command::reply::Refusal;
use crate::command::verb::Call;
use crate::managed::Managing as _;
use crate::module_catalog::Module;
use lotmq_codes::Code;
use lotmq_programs::HasPrograms as _;

/// Checks that nothing of another user begins to run what the caller brings as a module. The owner
/// of a module is not refused: assets of others are [stopped](super::foreign_assets) instead, so
/// that nobody keeps a version in use by installing it. Called under the lock of changes.
///
/// # Errors
/// RUNS_FOR_OTHERS, with the first that does.
pub(in crate::command) fn check(call: &Call<'_>, module: &str) -> Result<(), Refusal> {
    if is_owner(call, module) {
        return Ok(());
    }
    let instances = call.tenant.managed().assets.of_package(module).into_iter();
    let instances = instances.filter_map(|name| {
        let owner = call.tenant.managed().assets.instance(&name)?.owner;
        Some((format!("Asset '{name}'"), owner))
    });
    let users = instances.chain(all_routes(call, module).map(|(name, owner)| (of_route(&name), owner)));
    check_users(call, users, |users, whose, who| {
        format!("{users} runs module '{module}' with the rights of {whose}, so {who} puts code there.")
    })
}

/// Whether there is a module of this name, which is the caller's own.
fn is_owner(call: &Call<'_>, module: &str) -> bool {
    let known = call.tenant.managed().modules.get(module);
    known.is_some_and(|known| known.owner.is_some() && known.owner == call.owner())
}

/// Checks that the caller grants a module something: its owner does, and who may put code there.
///
/// # Errors
/// RUNS_FOR_OTHERS, with the first that runs it.
pub(super) fn check_grants(call: &Call<'_>, (name, module): (&str, &Module)) -> Result<(), Refusal> {
    if is_owner(call, name) {
        return Ok(());
    }
    check(call, name)?;
    check_settings(call, (name, Some(name)), module.owner.as_ref(), "grants")
}

/// Assets of users for whom the caller does not decide that run a module: instances, and routes
/// that name it or an instance of it.
pub(super) fn foreign(call: &Call<'_>, module: &str) -> Vec<(AssetKind, Arc<str>, Option<Owner>)> {
    let assets = &call.tenant.managed().assets;
    let instances = assets.of_package(module).into_iter().filter_map(|name| {
        let owner = assets.instance(&name)?.owner;
        Some((AssetKind::Instance, name, owner))
    });
    let routes = all_routes(call, module).map(|(name, owner)| (AssetKind::Route, name, owner));
    let users = instances.chain(routes);
    users.filter(|(_, _, owner)| !may_decide(call, owner.as_ref())).collect()
}

/// Checks that the caller may decide what an asset of `owner` does with the owner's rights. The
/// same holds for owners of routes that run it as a `module`. `sets` names the change in messages.
///
/// # Errors
/// RUNS_FOR_OTHERS, with the first that does.
pub(in crate::command) fn check_settings(
    call: &Call<'_>,
    (asset, module): (&str, Option<&str>),
    owner: Option<&Owner>,
    sets: &str,
) -> Result<(), Refusal> {
    let itself = (format!("Asset '{asset}'"), owner.cloned());
    let routes = module.into_iter().flat_map(|module| routes(call, module));
    let users = iter::once(itself).chain(routes.map(|(name, owner)| (of_route(&name), owner)));
    check_users(call, users, |users, whose, who| {
        format!("{users} runs with the rights of {whose}, so {who} sets the {sets} of asset '{asset}'.")
    })
}

/// Refuses what is done with the rights of others than the caller may decide for; `told` says it of
/// those who run it, whose rights they are, and who may do it.
fn check_users(
    call: &Call<'_>,
    users: impl Iterator<Item = (String, Option<Owner>)>,
    told: impl Fn(&str, &str, &str) -> String,
) -> Result<(), Refusal> {
    let mut others = users.filter(|(_, owner)| !may_decide(call, owner.as_ref()));
    let Some((first, owner)) = others.next() else { return Ok(()) };
    let who = if owner.as_ref().is_some_and(is_root) { "root alone" } else { "an administrator" };
    let whose = owner.map_or("the broker".to_owned(), |owner| format!("'{}'", owner.name));
    let first = match others.count() {
        0 => first,
        count => format!("{first} and {count} more"),
    };
    Err(Refusal::new(Code::RunsForOthers, told(&first, &whose, who)))
}

/// Whether the caller may decide about the use of an owner's rights. Users may for their own, and
/// administrators for all but `root`, whom no rule binds. An administrator could do it anyway.
fn may_decide(call: &Call<'_>, owner: Option<&Owner>) -> bool {
    let own = call.owner();
    (own.is_some() && owner == own.as_ref()) || (is_admin(call) && !owner.is_some_and(is_root))
}

fn is_root(owner: &Owner) -> bool {
    *owner.name == *ROOT
}

/// Whether the caller may take over a module's configuration. Without an owner, only `root` may.
pub(super) fn is_own(call: &Call<'_>, module: &Module) -> bool {
    call.identity.is_root() || (module.owner.is_some() && module.owner == call.owner())
}

/// Whether the caller is an administrator by their account.
pub(in crate::command) fn is_admin(call: &Call<'_>) -> bool {
    let account = call.tenant.users.account_of(call.identity);
    account.is_some_and(|account| account.is_admin())
}

/// A route in a message.
fn of_route(name: &str) -> String {
    format!("Route '{name}'")
}

/// Routes that run a module or an instance of it, with their owners.
fn all_routes(call: &Call<'_>, module: &str) -> impl Iterator<Item = (Arc<str>, Option<Owner>)> {
    let instances = call.tenant.managed().assets.of_package(module);
    routes(call, module).chain(instances.into_iter().flat_map(|name| routes(call, &name)))
}

/// Returns the routes that run a module of this name, with their owners. A module that an Action
/// calls runs in the name of the module's own owner.
fn routes(call: &Call<'_>, module: &str) -> impl Iterator<Item = (Arc<str>, Option<Owner>)> + use<> {
    let users = call.tenant.programs().guests.users_of_module(module);
    users.into_iter().filter_map(|user| match user.kind() {
        DefinitionKind::Route => Some((Arc::clone(user.name()), user.owner().cloned())),
        DefinitionKind::Action
        | DefinitionKind::Rule
        | DefinitionKind::Model
        | DefinitionKind::Module
        | DefinitionKind::Theme
        | DefinitionKind::Panel => None,
    })
}
