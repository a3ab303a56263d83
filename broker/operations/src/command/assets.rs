//! `-install`, `-uninstall`, `-uninstall-multiple`, and the forms of both with a token. Commands
//! reference §13.1.

pub(super) mod listing;
pub(super) mod package;
pub(super) mod running;
pub(super) mod settings;

use std::sync::Arc;

use lot_nearest::nearest_name;
use lotmq_auth::Scope;
use lotmq_changes::Batch;
use lotmq_definitions::DefinitionKind;
use serde_json::{Value, json};

use super::add_entity::refused;
use super::argument::{FORCE, option, word};
use super::modules::compiling::{self, ComponentPlace};
use super::modules::options::{MODULE_NAME_RULE, is_module_name, may_install};
use super::modules::{authority, instances};
use super::ownership::Removal;
use super::reply::{Done, EntityType, Refusal, WITHHELD};
use super::share::check_share;
use super::verb::{Call, Effect, Permission, Verb, Work};
use crate::asset_catalog::{AssetRecord, InstanceRecord};
use crate::assets::{self, Asset, AssetKind};
use crate::command_queue::reply::ReplyData;
use crate::limits::ASSETS_MAX;
use crate::managed::Managing as _;
use crate::module_catalog::Module;
use lotmq_codes::Code;
use lotmq_programs::HasPrograms as _;
use lotmq_programs::route_types;

pub(super) static INSTALL: Verb = Verb {
    name: "install",
    arguments: &[word("module"), word("version").optional(), option(NAME, "<name>")],
    permission: Permission::Scope(Scope::AssetManagementCreation),
    effect: Effect::Stores,
    work: Work::CompilesModule,
    summary: "Makes a further instance of a module, stopped, with its default configuration. Short form: -I.",
    example: "-install scale -name scale-2",
    execute: |call| install(call, false),
};

pub(super) static INSTALL_WITH_TOKEN: Verb = Verb {
    name: "installWithToken",
    arguments: &[word("module"), word("token").secret(), word("version").optional(), option(NAME, "<name>")],
    permission: Permission::Scope(Scope::AssetManagementCreation),
    effect: Effect::Stores,
    work: Work::CompilesModule,
    summary: "Does what -install does; no token is needed, and it is ignored.",
    example: "-installWithToken scale abc -name scale-2",
    execute: |call| install(call, true),
};

pub(super) static UNINSTALL: Verb = Verb {
    name: "uninstall",
    arguments: &[word("asset"), FORCE],
    permission: Permission::Scope(Scope::AssetManagementRemove),
    effect: Effect::Stores,
    work: Work::Answers,
    summary: "Stops and removes an installed asset; one of another user, or that a definition uses, with -force only. Short form: -U.",
    example: "-uninstall scale-2",
    execute: |call| uninstall(call, false),
};

pub(super) static UNINSTALL_WITH_TOKEN: Verb = Verb {
    name: "uninstallWithToken",
    arguments: &[word("asset"), word("token").secret(), FORCE],
    permission: Permission::Scope(Scope::AssetManagementRemove),
    effect: Effect::Stores,
    work: Work::Answers,
    summary: "Does what -uninstall does; no token is needed, and it is ignored.",
    example: "-uninstallWithToken scale-2 abc",
    execute: |call| uninstall(call, true),
};

pub(super) static UNINSTALL_MULTIPLE: Verb = Verb {
    name: "uninstallMultiple",
    arguments: &[word("asset").repeated(), FORCE],
    permission: Permission::Scope(Scope::AssetManagementRemove),
    effect: Effect::Stores,
    work: Work::Answers,
    summary: "Stops and removes several installed assets, each on its own.",
    example: "-uninstallMultiple scale-2 scale-3",
    execute: uninstall_multiple,
};

/// Option that names an instance.
const NAME: &str = "-name";

fn install(call: &mut Call<'_>, has_token: bool) -> Result<Done, Refusal> {
    let package = module(call, call.text("module"))?;
    if let Some(version) = call.values.get("version") {
        check_version(&package, version)?;
    }
    may_install(call, package.world)?;
    let name = match call.values.get(NAME) {
        Some(name) => name.to_owned(),
        None => free_name(call, &package.name),
    };
    call.about(EntityType::Asset, &name);
    check_name(call, &name)?;
    let config = Some(package::defaults(call, &package)).filter(|config| !config.is_null());
    let instance = InstanceRecord {
        package: Arc::clone(&package.name),
        is_stopped: true,
        config,
        owner: call.owner(),
        installed_at_ms: call.core.clock.wall_ms(),
    };
    // Bounds that an administrator has set for an asset of this name and owner.
    let policies = call.tenant.managed().assets.policies(&name).claimed_by(instance.owner.as_ref());
    let record = AssetRecord { instance: Some(instance), policies };
    put(call, &name, record, None)?;
    let done = tell(call, &name, &format!("Asset '{name}' installed successfully!"))?;
    Ok(if has_token { ignored_token(done) } else { done })
}

fn ignored_token(done: Done) -> Done {
    done.with_warning(Code::TokenIgnored, "No token is needed. It was ignored.")
}

/// Module of which an instance is wanted.
fn module(call: &Call<'_>, name: &str) -> Result<Arc<Module>, Refusal> {
    if let Some(module) = call.tenant.managed().modules.get(name) {
        return Ok(module);
    }
    if let Some(shipped) = route_types::shipped().find(|shipped| shipped.name.eq_ignore_ascii_case(name)) {
        let kind = &shipped.name;
        let message =
            format!("'{kind}' needs no installation: each route of this type is an asset, by its own name.");
        let refusal = Refusal::new(Code::NothingToInstall, message);
        return Err(
            refusal.with_suggestion(format!("-routeCode {kind} gives a text to begin with for -addRoute"))
        );
    }
    if let Some(asset) = Asset::find(call.tenant, name) {
        let message = match asset.kind {
            AssetKind::Route => format!("'{name}' is a route, which needs no installation."),
            AssetKind::Module | AssetKind::Instance => format!("'{name}' is installed already."),
        };
        return Err(Refusal::new(Code::NothingToInstall, message));
    }
    let modules = call.tenant.managed().modules.all();
    let names = modules
        .iter()
        .map(|module| &*module.name)
        .chain(route_types::shipped().map(|shipped| &*shipped.name));
    let refusal = Refusal::not_found(format!("There is no module '{name}'."));
    Err(match nearest_name(name, names) {
        Some(near) => refusal.with_suggestion(format!("did you mean '{near}'? -listAvailable lists all")),
        None => refusal.with_suggestion("-listAvailable lists what can be installed".to_owned()),
    })
}

fn check_version(package: &Module, version: &str) -> Result<(), Refusal> {
    let (name, present) = (&package.name, &package.options.version);
    if version == present {
        return Ok(());
    }
    let message = match present.is_empty() {
        true => format!("Module '{name}' has no version, so it is not '{version}'."),
        false => format!("Module '{name}' has version '{present}', not '{version}'."),
    };
    Err(Refusal::new(Code::VersionNotFound, message))
}

/// The first name for an instance that nothing has: the module itself is the first.
fn free_name(call: &Call<'_>, package: &str) -> String {
    let mut number = 2_u64;
    loop {
        let end = format!("-{number}");
        let start = package.len().min(64 - end.len());
        let name = format!("{}{end}", &package[..start]);
        if check_name(call, &name).is_ok() {
            return name;
        }
        number += 1;
    }
}

/// Checks that an instance can have a name.
fn check_name(call: &Call<'_>, name: &str) -> Result<(), Refusal> {
    if !is_module_name(name) {
        let refusal = Refusal::new(Code::AssetNameInvalid, format!("Asset name '{name}' is invalid."));
        return Err(refusal.with_suggestion(MODULE_NAME_RULE.to_owned()));
    }
    let registry = call.tenant.programs().guests.registry.read();
    let is_taken = [DefinitionKind::Module, DefinitionKind::Route]
        .into_iter()
        .any(|kind| registry.get(kind, name).is_some());
    if is_taken || call.tenant.managed().assets.instance(name).is_some() {
        return Err(Refusal::new(
            Code::AssetExists,
            format!("An asset with the name '{name}' already exists."),
        ));
    }
    Ok(())
}

/// Compiles an instance as a record has it, and puts it to work in the place of what was there
/// `before`, if anything was: its name, which may have been another one, and its record.
fn put(
    call: &mut Call<'_>,
    name: &str,
    record: AssetRecord,
    before: Option<(&str, &Arc<AssetRecord>)>,
) -> Result<(), Refusal> {
    let managed = call.tenant.managed();
    let instance = record.instance.as_ref().ok_or_else(|| not_found(call, name))?;
    let package =
        managed.modules.get(&instance.package).ok_or_else(|| without_module(name, &instance.package))?;
    let of_instance = assets::as_module(&package, name, instance);
    let policies = managed.assets.effective(&record);
    let compiled = compiling::compile(call, (of_instance, ComponentPlace::Stored), policies.clone())?;
    let _changes = call.commands.changes.lock();
    call.check_current()?;
    // Repeats under the lock of changes the checks that were made without it.
    let is_package = managed.modules.get(&package.name).is_some_and(|now| Arc::ptr_eq(&now, &package));
    let is_before = before.is_none_or(|(former, before)| {
        managed.assets.get(former).is_some_and(|now| Arc::ptr_eq(&now, before))
    });
    if !is_package || !is_before || managed.assets.effective(&record) != policies {
        return Err(changed_meanwhile(name));
    }
    if before.is_none_or(|(former, _)| former != name) {
        check_name(call, name)?;
        // A route may wait for a module of this name.
        authority::check(call, name)?;
    }
    if before.is_none() && managed.assets.instances().len() >= ASSETS_MAX {
        let message = format!("Tenant '{}' already has {ASSETS_MAX} installed assets.", call.tenant.name);
        return Err(Refusal::new(Code::QuotaExceeded, message));
    }
    if before.is_none() {
        let instances = managed.assets.instances();
        let owners = instances.iter().map(|(_, it)| it.instance.as_ref().and_then(|it| it.owner.clone()));
        check_share(call, ("installed assets", ASSETS_MAX), owners.map(|owner| (owner, 1)), 1)?;
    }
    let mut batch = Batch::new();
    assets::arm(call.tenant, call.hosting, compiled, &mut batch).map_err(refused)?;
    managed.assets.put(call.tenant.id, name, record, &mut batch);
    if let Some((former, _)) = before.filter(|(former, _)| *former != name) {
        instances::moved(call, former, &mut batch);
    }
    call.commit(batch)
}

fn changed_meanwhile(name: &str) -> Refusal {
    Refusal::new(Code::Conflict, format!("Asset '{name}' was changed meanwhile. Try again."))
}

fn without_module(name: &str, package: &str) -> Refusal {
    Refusal::new(Code::ModuleNotFound, format!("Module '{package}' of asset '{name}' is not there."))
}

fn uninstall(call: &mut Call<'_>, has_token: bool) -> Result<Done, Refusal> {
    let (removal, name) = (Removal::of(call), call.text("asset"));
    call.about(EntityType::Asset, name);
    uninstall_one(call, &removal, name)?;
    let done = Done::new(format!("Asset '{name}' uninstalled successfully!"));
    Ok(if has_token { ignored_token(done) } else { done })
}

fn uninstall_multiple(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let removal = Removal::of(call);
    let (mut rows, mut errors): (Vec<Value>, Vec<Value>) = (Vec::new(), Vec::new());
    for name in call.values.all("asset") {
        match uninstall_one(call, &removal, name) {
            Ok(()) => rows.push(json!({ "name": name, "success": true })),
            Err(refusal) => {
                rows.push(json!({ "name": name, "success": false, "code": refusal.code() }));
                errors.push(json!({ "message": refusal.message, "code": refusal.code() }));
            }
        }
    }
    let (all, failed) = (rows.len(), errors.len());
    let message = format!("{} of {all} asset(s) uninstalled.", all - failed);
    match failed {
        0 => Ok(Done::new(message).with_data(rows)),
        _ => Err(Refusal { message, errors, data: ReplyData::Table(rows), ..Refusal::default() }),
    }
}

fn uninstall_one(call: &mut Call<'_>, removal: &Removal, name: &str) -> Result<(), Refusal> {
    let asset = find(call, name)?;
    let way_out = match asset.kind {
        AssetKind::Instance => None,
        AssetKind::Module => Some(format!("-removeModule {name}")),
        AssetKind::Route => Some(format!("-removeRoute {}", asset.definition)),
    };
    if let Some(way_out) = way_out {
        let message =
            format!("Asset '{name}' was not installed, but is there by itself. {way_out} removes it.");
        return Err(Refusal::new(Code::NotInstalled, message).with_suggestion(way_out));
    }
    let mut batch = Batch::new();
    let _changes = call.commands.changes.lock();
    removal.check_definitions(call, DefinitionKind::Module, [name])?;
    check_unused(call, name, removal.is_forced)?;
    instances::remove_one(call, name, &mut batch);
    call.commit(batch)
}

/// Checks that no definition names an installed asset, or that it does not matter.
fn check_unused(call: &Call<'_>, name: &str, is_forced: bool) -> Result<(), Refusal> {
    let users = call.tenant.programs().guests.users_of_module(name);
    match users.first().filter(|_| !is_forced) {
        Some(user) => {
            let (kind, user) = (user.kind().key(), user.name());
            let message = format!("Asset '{name}' is used by {kind} '{user}'. Use -force.");
            Err(Refusal::new(Code::InUse, message))
        }
        None => Ok(()),
    }
}

/// Finds an asset.
fn find(call: &Call<'_>, name: &str) -> Result<Asset, Refusal> {
    Asset::find(call.tenant, name).ok_or_else(|| not_found(call, name))
}

fn not_found(call: &Call<'_>, name: &str) -> Refusal {
    let all = Asset::all(call.tenant);
    let near = nearest_name(name, all.iter().map(|asset| &asset.name));
    let refusal = Refusal::not_found(format!("Asset '{name}' not found."));
    match near {
        Some(near) => refusal.with_suggestion(format!("did you mean '{near}'? -list lists all")),
        None => refusal.with_suggestion("-list lists all assets".to_owned()),
    }
}

/// Publishes the status of an asset and answers with it.
fn tell(call: &mut Call<'_>, name: &str, message: &str) -> Result<Done, Refusal> {
    let asset = find(call, name)?;
    let info = asset.info(call.tenant, call.core.clock.wall_ms());
    let text = info.to_string();
    call.tenant.managed().assets.tells(&asset.name, &text);
    call.changed(asset.topic(), text);
    Ok(Done::new(message).with_data(masked_status(call, &asset, info)))
}

/// Status of an asset, as the asker may know it: its last error may quote messages.
fn masked_status(call: &Call<'_>, asset: &Asset, mut info: Value) -> Value {
    if !info["lastError"].is_null() && !call.may_see_messages(asset.owner(call.tenant).as_ref()) {
        info["lastError"] = WITHHELD.into();
    }
    info
}
