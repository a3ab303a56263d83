//! `-asset-config-save`, `-asset-config-load`, `-asset-policy-set`, `-asset-name-set`. Commands
//! reference §13.1.

use std::sync::Arc;

use lotmq_auth::Scope;
use lotmq_changes::Batch;
use lotmq_definitions::Owner;
use lotmq_host::limits::ROUTE_TIME;
use lotmq_host::{Capability, GuestLimits, World};
use serde_json::Value;

use super::super::add_entity::refused;
use super::super::argument::{FORCE, json, word};
use super::super::modules::authority;
use super::super::modules::compiling::{self, ComponentPlace};
use super::super::modules::instances;
use super::super::modules::options::may_install;
use super::super::ownership::Removal;
use super::super::reply::{Done, EntityType, Refusal, missing_argument};
use super::super::verb::{Call, Effect, Permission, Verb, Work};
use super::running::give_order;
use super::{changed_meanwhile, check_unused, find, not_found, package, put, tell, without_module};
use crate::asset_catalog::AssetRecord;
use crate::assets::{Asset, AssetKind};
use crate::limits::{
    MODULE_CONFIG_BYTES_MAX, MODULE_GRANTS_MAX, MODULE_MEMORY_MIB_MAX, VERB_SHOWN_CHARS_MAX,
};
use crate::managed::Managing as _;
use crate::module_catalog::grants::{self, NamedGrant};
use crate::module_catalog::{Module, ModuleOptions};
use crate::modules;
use lotmq_codes::Code;
use lotmq_programs::HasPrograms as _;
use lotmq_programs::asset_names::OF_ROUTE;
use lotmq_programs::policies::bound::Bounds;
use lotmq_programs::policies::{Autostart, Policies, Restart};
use lotmq_programs::route_drivers;
use lotmq_programs::route_drivers::asset_configuration;
use lotmq_programs::route_orders::RouteOrder;

pub(in crate::command) static CONFIG_SAVE: Verb = Verb {
    name: "assetConfigSave",
    // The verb itself refuses a command without it, as it names the asset.
    arguments: &[word("asset"), FORCE, json("json").optional().with_form("<json>")],
    permission: Permission::Scope(Scope::AssetManagementUpdate),
    effect: Effect::Stores,
    work: Work::CompilesModule,
    summary: "Checks a configuration by the schema of the package, stores it and has the asset work with it.",
    example: "-assetConfigSave scale 0.5",
    execute: config_save,
};

pub(in crate::command) static CONFIG_LOAD: Verb = Verb {
    name: "assetConfigLoad",
    arguments: &[word("asset")],
    permission: Permission::Scope(Scope::AssetManagementUpdate),
    effect: Effect::TellsWhatIsStored,
    work: Work::Answers,
    summary: "Gives the configuration of an asset; secrets are masked.",
    example: "-assetConfigLoad scale",
    execute: config_load,
};

pub(in crate::command) static POLICY_SET: Verb = Verb {
    name: "assetPolicySet",
    arguments: &[
        word("asset"),
        word("policy").with_form("restart|autostart|memory|time|net|topics"),
        word("value").with_form("<value>|default"),
        FORCE,
    ],
    permission: Permission::Scope(Scope::AssetManagementUpdate),
    effect: Effect::Stores,
    work: Work::CompilesModule,
    summary: "Sets a policy of an asset, which narrows what it may do and use, or takes it back with default.",
    example: "-assetPolicySet scale memory 16",
    execute: policy_set,
};

pub(in crate::command) static NAME_SET: Verb = Verb {
    name: "assetNameSet",
    arguments: &[word("asset"), word("new name"), FORCE],
    permission: Permission::Scope(Scope::AssetManagementUpdate),
    effect: Effect::Stores,
    work: Work::CompilesModule,
    summary: "Gives an installed asset another name; one of another user, or that a definition uses, with -force only.",
    example: "-assetNameSet scale-2 left",
    execute: name_set,
};

fn config_save(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let (removal, name) = (Removal::of(call), call.text("asset"));
    call.about(EntityType::Asset, name);
    let text = call.values.get("json").ok_or_else(|| missing_argument(call.verb, "json"))?;
    if text.len() > MODULE_CONFIG_BYTES_MAX {
        let message = format!("The configuration has {} bytes, limit {MODULE_CONFIG_BYTES_MAX}.", text.len());
        return Err(Refusal::new(Code::TooLarge, message));
    }
    let config: Value = serde_json::from_str(text)
        .map_err(|error| Refusal::new(Code::JsonInvalid, format!("The JSON cannot be read: {error}.")))?;
    let asset = find(call, name)?;
    removal.check_definitions(call, asset.definition_kind(), [&*asset.definition])?;
    let module = module_of(call, &asset)?;
    may_install(call, module.world)?;
    authority::check_settings(call, names(&asset), owner(call, &asset).as_ref(), "configuration")?;
    let config = checked(call, &asset, &module, config)?;
    apply(call, &asset, Some("configuration"), |record, options| {
        let kept = match &mut record.instance {
            Some(instance) => &mut instance.config,
            None => &mut options.config,
        };
        *kept = Some(config);
        Ok(())
    })?;
    tell(call, name, &format!("Configuration of asset '{name}' saved successfully!"))
}

/// Module whose bytes an asset runs.
fn module_of(call: &Call<'_>, asset: &Asset) -> Result<Arc<Module>, Refusal> {
    if asset.kind == AssetKind::Route {
        let message = format!(
            "The configuration of route '{}' is its text. Change it with -addRoute.",
            asset.definition
        );
        return Err(Refusal::new(Code::ConfigOfText, message));
    }
    asset.package(call.tenant).ok_or_else(|| without_module(&asset.name, &asset.definition))
}

/// Checks a configuration by the schema of its package, with what was there before in the place of
/// masks.
fn checked(call: &Call<'_>, asset: &Asset, module: &Module, mut config: Value) -> Result<Value, Refusal> {
    let text = package::of_module(call, module, &asset.definition);
    let before = present(call, asset);
    asset_configuration::unmask(&text.read()?, &mut config, before.as_ref());
    let is_part = module.world == World::Route;
    asset_configuration::checked(&text.schema, config, is_part).map_err(|reason| {
        Refusal::new(Code::ConfigInvalid, format!("The configuration is not valid: {reason}."))
    })
}

/// Configuration that a module or an instance has now.
fn present(call: &Call<'_>, asset: &Asset) -> Option<Value> {
    let managed = call.tenant.managed();
    match managed.assets.instance(&asset.definition) {
        Some(instance) => instance.config,
        None => managed.modules.get(&asset.definition)?.options.config.clone(),
    }
}

/// Name of an asset, and of the module that it is, if it is one: a route may have the name of a
/// module.
fn names(asset: &Asset) -> (&str, Option<&str>) {
    (&asset.name, (asset.kind != AssetKind::Route).then_some(&*asset.definition))
}

/// In whose name an asset runs.
fn owner(call: &Call<'_>, asset: &Asset) -> Option<Owner> {
    let registry = call.tenant.programs().guests.registry.read();
    registry.get(asset.definition_kind(), &asset.definition)?.owner().cloned()
}

/// Changes what is kept of a module or an instance, and has it work with that; gives the policies
/// that it has then. Of what its owner's rights are used for, `sets` says what it is for people.
fn apply(
    call: &mut Call<'_>,
    asset: &Asset,
    sets: Option<&str>,
    change: impl FnOnce(&mut AssetRecord, &mut ModuleOptions) -> Result<(), Refusal>,
) -> Result<Policies, Refusal> {
    let managed = call.tenant.managed();
    let before = managed.assets.get(&asset.definition);
    let mut record = before.as_deref().cloned().unwrap_or_default();
    if let Some(instance) = &record.instance {
        if let Some(sets) = sets {
            authority::check_settings(call, names(asset), instance.owner.as_ref(), sets)?;
        }
        change(&mut record, &mut ModuleOptions::default())?;
        let before = before.ok_or_else(|| not_found(call, &asset.name))?;
        let policies = record.policies.clone();
        put(call, &asset.definition, record, Some((&asset.definition, &before)))?;
        return Ok(policies);
    }
    let module = managed.modules.get(&asset.definition).ok_or_else(|| not_found(call, &asset.name))?;
    if let Some(sets) = sets {
        authority::check_settings(call, names(asset), module.owner.as_ref(), sets)?;
    }
    let mut options = module.options.clone();
    change(&mut record, &mut options)?;
    let policies = record.policies.clone();
    let changed = Module { options, ..(*module).clone() };
    let compiled = compiling::compile(call, (changed, ComponentPlace::Stored), policies.clone())?;
    let _changes = call.commands.changes.lock();
    call.check_current()?;
    if !managed.modules.get(&asset.definition).is_some_and(|now| Arc::ptr_eq(&now, &module)) {
        return Err(changed_meanwhile(&asset.name));
    }
    let mut batch = Batch::new();
    modules::reconfigure(call.tenant, call.hosting, compiled, &mut batch).map_err(refused)?;
    managed.assets.put(call.tenant.id, &asset.definition, record, &mut batch);
    call.commit(batch)?;
    Ok(policies)
}

fn config_load(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let name = call.text("asset");
    call.about(EntityType::Asset, name);
    let asset = find(call, name)?;
    let (schema, config) = match asset.kind {
        AssetKind::Route => {
            let guests = &call.tenant.programs().guests;
            let route = guests.route(&asset.definition).ok_or_else(|| not_found(call, name))?;
            let version = route.version();
            let schema = version.code.described(guests, |described| described.configuration.clone());
            (schema.unwrap_or_default(), route_drivers::settings(version.said()))
        }
        AssetKind::Module | AssetKind::Instance => {
            let module = module_of(call, &asset)?;
            let config = present(call, &asset).unwrap_or_else(|| serde_json::json!({}));
            (package::of_module(call, &module, &asset.definition).schema, config)
        }
    };
    let config = asset_configuration::masked(&schema, &config);
    Ok(Done::new(format!("Configuration of asset '{name}'.")).with_data(config))
}

fn policy_set(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let asked = Removal::of(call);
    let [name, policy, value] = ["asset", "policy", "value"].map(|argument| call.text(argument));
    call.about(EntityType::Asset, name);
    let asset = match find(call, name) {
        Ok(asset) => asset,
        Err(refusal) => return take_back_kept(call, (name, policy, value), refusal),
    };
    asked.check_definitions(call, asset.definition_kind(), [&*asset.definition])?;
    let setter = Setter::of(call, asset.owner(call.tenant).as_ref());
    // Set if the policy narrows the rights that the asset runs with.
    let policy_of_rights = format!("policy '{policy}'");
    let sets = matches!(policy, "net" | "topics").then_some(&*policy_of_rights);
    let mut not_followed = Vec::new();
    let (policies, base) = match asset.kind {
        AssetKind::Route => {
            let mut batch = Batch::new();
            let _changes = call.commands.changes.lock();
            call.check_current()?;
            if let Some(sets) = sets {
                authority::check_settings(call, names(&asset), owner(call, &asset).as_ref(), sets)?;
            }
            let orders = &call.tenant.programs().guests.route_orders;
            let before = orders.get(&asset.definition);
            let policies = setter.changed(before.policies.clone(), &Bounds::default(), (policy, value))?;
            let order = RouteOrder { policies: policies.clone(), is_stopped: before.is_stopped };
            give_order(call, &asset, order, &mut batch);
            call.commit(batch)?;
            (policies, GuestLimits { time: ROUTE_TIME, ..GuestLimits::default() })
        }
        AssetKind::Module | AssetKind::Instance => {
            let module = module_of(call, &asset)?;
            may_install(call, module.world)?;
            let policies = set_of_code(call, (&asset, &module), setter, (policy, value), sets)?;
            if asset.kind == AssetKind::Module && setter != Setter::Narrows {
                not_followed = instances::follow(call, &module.name);
            }
            (policies, modules::limits(&module))
        }
    };
    let mut done = tell(call, name, &format!("Policy '{policy}' of asset '{name}' set successfully!"))?;
    for (instance, reason) in not_followed {
        let warning = format!("Asset '{instance}' runs without the bound of its module: {reason}");
        done = done.with_warning(Code::InstanceNotFollowed, &warning);
    }
    let limits = policies.limits(base);
    let is_idle =
        (policies.memory.is_some() && policy == "memory" && limits.memory_bytes == base.memory_bytes)
            || (policies.time.is_some() && policy == "time" && limits.time == base.time);
    if is_idle {
        let warning = "The asset has no more without this policy, which therefore changes nothing.";
        done = done.with_warning(Code::PolicyWithoutEffect, warning);
    }
    Ok(done)
}

/// Sets a policy of a module or an instance.
fn set_of_code(
    call: &mut Call<'_>,
    (asset, module): (&Asset, &Module),
    setter: Setter,
    asked: (&str, &str),
    sets: Option<&str>,
) -> Result<Policies, Refusal> {
    // The bounds of its module hold for an instance, too.
    let of_package = match asset.kind {
        AssetKind::Instance => call.tenant.managed().assets.policies(&module.name).bounds,
        AssetKind::Module | AssetKind::Route => Bounds::default(),
    };
    apply(call, asset, sets, |record, _| {
        let before = std::mem::take(&mut record.policies);
        record.policies = setter.changed(before, &of_package, asked)?;
        Ok(())
    })
}

/// Person who sets a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Setter {
    /// An administrator, for the asset of somebody else: it is a bound.
    Bounds,
    /// An administrator, for an asset of their own, which no bound holds.
    Frees,
    /// Anybody else, within the bounds.
    Narrows,
}

impl Setter {
    fn of(call: &Call<'_>, owner: Option<&Owner>) -> Self {
        let is_own = owner.is_some() && owner == call.owner().as_ref();
        match (authority::is_admin(call), is_own) {
            (true, false) => Self::Bounds,
            (true, true) => Self::Frees,
            (false, _) => Self::Narrows,
        }
    }

    /// Policies with one changed, of an asset that has the bounds `of_package` besides its own.
    fn changed(
        self,
        before: Policies,
        of_package: &Bounds,
        (policy, value): (&str, &str),
    ) -> Result<Policies, Refusal> {
        let mut after = changed(before.clone(), policy, value)?;
        let asked = after.clone();
        if self != Self::Narrows && value == DEFAULT {
            after.free_kept(policy);
        }
        match self {
            Self::Bounds => after.bounds.take(policy, &asked),
            Self::Frees => after.bounds.take(policy, &Policies::default()),
            Self::Narrows => {
                let is_beyond_own = after.bounds.clone().narrow(&mut after);
                // Of its module only the bound of this policy counts here.
                let mut within = before;
                of_package.narrow(&mut within);
                let is_beyond = is_beyond_own || of_package.narrow(&mut changed(within, policy, value)?);
                if is_beyond && value != DEFAULT {
                    let message = format!(
                        "An administrator has set policy '{policy}' of this asset or of its module. Its owner narrows it and does not widen it."
                    );
                    return Err(Refusal::new(Code::PolicyOfAdministrator, message));
                }
            }
        }
        Ok(after)
    }
}

/// Takes back a bound that stays at the name of an asset that is gone; administrators only.
fn take_back_kept(
    call: &mut Call<'_>,
    (name, policy, value): (&str, &str, &str),
    not_found: Refusal,
) -> Result<Done, Refusal> {
    if value != DEFAULT || !authority::is_admin(call) {
        return Err(not_found);
    }
    let mut batch = Batch::new();
    let _changes = call.commands.changes.lock();
    let (tenant, assets) = (call.tenant.id, &call.tenant.managed().assets);
    let orders = &call.tenant.programs().guests.route_orders;
    let route = name.strip_prefix(OF_ROUTE).unwrap_or(name);
    let of_asset = assets.get(name).map(|record| record.policies.clone());
    let of_route = orders.get(route).policies.clone();
    let before = of_asset.clone().unwrap_or(of_route);
    if !before.are_kept() {
        return Err(not_found);
    }
    // Of a policy that there is not, it says so.
    changed(Policies::default(), policy, value)?;
    match (before.freed(policy), of_asset.is_some()) {
        (policies, true) => assets.leave(tenant, name, policies, &mut batch),
        (Some(policies), false) => {
            orders.put(tenant, route, RouteOrder { policies, is_stopped: false }, &mut batch);
        }
        (None, false) => orders.delete(tenant, route, &mut batch),
    }
    call.commit(batch)?;
    Ok(Done::new(format!("Policy '{policy}' is not kept any more for asset '{name}', which is gone.")))
}

/// Word that takes a policy back.
const DEFAULT: &str = "default";

/// Policies with one changed.
fn changed(mut policies: Policies, policy: &str, value: &str) -> Result<Policies, Refusal> {
    let is_default = value == DEFAULT;
    match policy {
        "restart" => {
            policies.restart = match value {
                "always" => Restart::Always,
                "on-failure" | DEFAULT => Restart::OnFailure,
                "never" => Restart::Never,
                _ => return Err(invalid(policy, "always, on-failure or never", value)),
            }
        }
        "autostart" => {
            policies.autostart = match value {
                "true" | DEFAULT => Autostart(true),
                "false" => Autostart(false),
                _ => return Err(invalid(policy, "true or false", value)),
            }
        }
        "memory" if is_default => policies.memory = None,
        "memory" => policies.memory = Some(number(policy, value, MODULE_MEMORY_MIB_MAX)?),
        "time" if is_default => policies.time = None,
        "time" => {
            let most = usize::try_from(ROUTE_TIME.as_millis()).unwrap_or(usize::MAX);
            policies.time = Some(number(policy, value, most)? as u64);
        }
        "net" if is_default => policies.net = None,
        "net" => policies.net = Some(named(value, place)?),
        "topics" if is_default => policies.topics = None,
        "topics" => policies.topics = Some(named(value, filter)?),
        _ => {
            let message = format!(
                "There is no policy '{}'. Policies are restart, autostart, memory, time, net and topics.",
                truncated(policy)
            );
            return Err(Refusal::new(Code::PolicyUnknown, message));
        }
    }
    Ok(policies)
}

fn invalid(policy: &str, takes: &str, value: &str) -> Refusal {
    let message = format!("Policy '{policy}' takes {takes}, or default, not '{}'.", truncated(value));
    Refusal::new(Code::PolicyInvalid, message)
}

fn truncated(text: &str) -> String {
    text.chars().take(VERB_SHOWN_CHARS_MAX).collect()
}

fn number(policy: &str, value: &str, most: usize) -> Result<usize, Refusal> {
    let number = value.parse().ok().filter(|number| (1..=most).contains(number));
    number.ok_or_else(|| invalid(policy, &format!("a whole number from 1 to {most}"), value))
}

/// Word for a list of nothing.
const NONE: &str = "none";

/// Names with commas between them; `none` of them.
fn named(value: &str, read: fn(&str) -> Result<Box<str>, Refusal>) -> Result<Vec<Box<str>>, Refusal> {
    if value == NONE {
        return Ok(Vec::new());
    }
    let names: Vec<&str> = value.split(',').map(str::trim).collect();
    if names.len() > MODULE_GRANTS_MAX {
        let message = format!("{} names are too many for a policy, limit {MODULE_GRANTS_MAX}.", names.len());
        return Err(Refusal::new(Code::PolicyInvalid, message));
    }
    names.into_iter().map(read).collect()
}

fn place(text: &str) -> Result<Box<str>, Refusal> {
    let grant: Result<NamedGrant, _> = format!("{}:{text}", Capability::Connect.word()).parse();
    let grant = grant.map_err(|_| invalid("net", "places as host:port with commas between them", text))?;
    Ok(grant.name)
}

fn filter(text: &str) -> Result<Box<str>, Refusal> {
    grants::of_topic(text).map_err(|_| invalid("topics", "topic filters with commas between them", text))?;
    Ok(text.into())
}

fn name_set(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let (asked, name, new_name) = (Removal::of(call), call.text("asset"), call.text("new name"));
    call.about(EntityType::Asset, new_name);
    let asset = find(call, name)?;
    let what = match asset.kind {
        AssetKind::Instance => None,
        AssetKind::Route => Some("a route, which has its name from its text"),
        AssetKind::Module => Some("a module, which has its name from -addModule"),
    };
    if let Some(what) = what {
        return Err(Refusal::new(Code::NameFixed, format!("Asset '{name}' is {what}.")));
    }
    super::check_name(call, new_name)?;
    asked.check_definitions(call, asset.definition_kind(), [&*asset.definition])?;
    check_unused(call, name, asked.is_forced)?;
    let before = call.tenant.managed().assets.get(name).ok_or_else(|| not_found(call, name))?;
    let there = call.tenant.managed().assets.policies(new_name);
    let mut record = (*before).clone();
    let owner = record.instance.as_ref().and_then(|instance| instance.owner.as_ref());
    record.policies = record.policies.at_name_of(there, owner);
    put(call, new_name, record, Some((name, &before)))?;
    tell(call, new_name, &format!("Asset '{name}' is called '{new_name}' now."))
}
