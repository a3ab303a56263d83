//! `-addModule`, `-removeModule`, `-listModules`, `-moduleInfo`, `-enableModule`, `-disableModule`,
//! `-rollbackModule`; `-grantModule` is in [`granting`]. Commands reference §14.

use std::sync::Arc;

use lotmq_auth::Scope;
use lotmq_changes::Batch;
use lotmq_definitions::{Definition, DefinitionKind};
use lotmq_host::World;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::add_entity::refused;
use super::argument::{FORCE, VerbArgument, file, option, switch, word, words};
use super::assets;
use super::dependents::left_without_module;
use super::ownership::Removal;
use super::reply::{Done, EntityType, Refusal, missing_argument};
use super::share::check_share;
use super::verb::{Call, Effect, Permission, Verb, Work};
use crate::asset_catalog::AssetRecord;
use crate::components;
use crate::limits::{MODULE_GRANTS_MAX, MODULES_BYTES_MAX, MODULES_MAX};
use crate::managed::Managing as _;
use crate::module_catalog::grants::{self, GrantSet};
use crate::module_catalog::{Module, ModuleOptions, Said, route_description};
use crate::modules::{self, CompiledModule, InstalledModule, signature};
use compiling::ComponentPlace;
use foreign_assets::StoppedAssets;
use lotmq_codes::Code;
use lotmq_programs::Guests;
use lotmq_programs::HasPrograms as _;
use lotmq_programs::policies::Policies;
use lotmq_programs::refused_routes;
use lotmq_programs::route_drivers::asset_configuration;
use options::{
    MODULE_NAME_RULE, ModuleRequest, Replacing, component, granted, is_module_name, may_install, own_tenant,
    read_options, truncated, world_of,
};

pub(super) mod authority;
pub(super) mod compiling;
pub(super) mod download;
mod foreign_assets;
pub(super) mod granting;
pub(super) mod instances;
pub mod local;
pub(super) mod options;
pub(super) mod parts;

/// Name of the option that names a tenant.
const TENANT_OPTION: &str = "-tenant";

/// Option that names the caller's own tenant.
const TENANT: VerbArgument = option(TENANT_OPTION, "t").loose().repeated().with_form("[-tenant t]");

/// Words of `-addModule`, whose options depend on one another.
const ALL_WORDS: &str = "words";

pub(super) static ADD: Verb = Verb {
    name: "addModule",
    arguments: &[
        word("name"),
        option("-world", "action|rule|route|auth").required(),
        option("-on", "\"a/#,b/+\""),
        option("-topics", "\"a/#\""),
        option("-grant", "\"kind:name\"").repeated(),
        switch("-grantAll"),
        option("-net", "\"host:port\""),
        option("-version", "v"),
        option("-sha256", "hex"),
        option("-memory", "MiB"),
        option("-time", "ms"),
        option("-config", "json").secret(),
        switch("-keepConfig"),
        option("-sig", "ed25519:base64"),
        switch("-replace"),
        FORCE,
        switch("-disabled"),
        TENANT.hidden(),
        option("-size", "bytes").hidden(),
        file("wasm64:<base64>").with_form("wasm64:<base64>|-size <bytes>"),
        words(ALL_WORDS),
    ],
    permission: Permission::Scope(Scope::ModuleManagementCreation),
    effect: Effect::Stores,
    work: Work::CompilesModule,
    summary: "Installs a WebAssembly component. -on names the topics that start it, -topics those that it may touch, -grant what else it \
              may do, -grantAll all that it asks for. -replace puts it in the place of the one of that name, of another user with -force only. With -size and -sha256 in place of wasm64: the component \
              comes in parts.",
    example: "-addModule scale -world action -on raw/# wasm64:AGFzbQ0AAQA=",
    execute: add,
};

pub(super) static REMOVE: Verb = Verb {
    name: "removeModule",
    arguments: &[word("name"), TENANT, FORCE],
    permission: Permission::Scope(Scope::ModuleManagementRemove),
    effect: Effect::Stores,
    work: Work::Answers,
    summary: "Removes a module; one of another user, or that a definition uses, with -force only.",
    example: "-removeModule scale",
    execute: remove,
};

pub(super) static LIST: Verb = Verb {
    name: "listModules",
    arguments: &[TENANT],
    permission: Permission::CommandCall,
    effect: Effect::TellsWhatIsStored,
    work: Work::Answers,
    summary: "Lists modules.",
    example: "-listModules",
    execute: list,
};

pub(super) static INFO: Verb = Verb {
    name: "moduleInfo",
    arguments: &[word("name"), TENANT],
    permission: Permission::CommandCall,
    effect: Effect::TellsWhatIsStored,
    work: Work::Answers,
    summary: "Tells digest, state and figures of a module.",
    example: "-moduleInfo scale",
    execute: info,
};

pub(super) static ENABLE: Verb = Verb {
    name: "enableModule",
    arguments: &[word("name"), FORCE],
    permission: Permission::Scope(Scope::ModuleManagementCreation),
    effect: Effect::Stores,
    work: Work::CompilesModule,
    summary: "Lets a module run, and one that pauses after traps at once; one of another user with -force only.",
    example: "-enableModule scale",
    execute: |call| set_disabled(call, false),
};

pub(super) static ROLLBACK: Verb = Verb {
    name: "rollbackModule",
    arguments: &[word("name"), FORCE],
    permission: Permission::Scope(Scope::ModuleManagementCreation),
    effect: Effect::Stores,
    work: Work::CompilesModule,
    summary: "Puts the version before in the place of a module, which is the version before then; one of another user with -force only.",
    example: "-rollbackModule scale",
    execute: rollback,
};

pub(super) static DISABLE: Verb = Verb {
    name: "disableModule",
    arguments: &[word("name"), FORCE],
    permission: Permission::Scope(Scope::ModuleManagementCreation),
    effect: Effect::Stores,
    work: Work::Answers,
    summary: "Keeps a module from running; one of another user with -force only.",
    example: "-disableModule scale",
    execute: |call| set_disabled(call, true),
};

/// Installs a module, or begins its upload in parts. The command of an upload comes here again with
/// the bytes.
fn add(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let mut words = call.values.all(ALL_WORDS);
    let name = words.next().ok_or_else(|| missing_argument(call.verb, "name"))?;
    call.about(EntityType::Module, name);
    if !is_module_name(name) {
        let message = format!("Module name '{}' is invalid: {MODULE_NAME_RULE}.", truncated(name));
        return Err(Refusal::new(Code::ModuleNameInvalid, message));
    }
    let mut asked = read_options(call.verb, words)?;
    asked.tenant.as_deref().map_or(Ok(()), |tenant| own_tenant(call, tenant))?;
    let world = world_of(call, &asked)?;
    asked.check(world)?;
    let bytes = match &call.job.upload {
        Some(received) => received.bytes.clone(),
        None if asked.is_in_parts() => return parts::begin(call, name, world, &asked),
        None => component(call, &asked)?.into(),
    };
    let hash: [u8; 32] = Sha256::digest(&bytes).into();
    if let Some(expected) =
        asked.sha256.as_deref().filter(|expected| **expected != data_encoding::HEXLOWER.encode(&hash))
    {
        let message = format!("Expected sha256 {expected}, got {}.", data_encoding::HEXLOWER.encode(&hash));
        return Err(Refusal::new(Code::HashMismatch, message));
    }
    call.details = Some(json!({ "sha256": data_encoding::HEXLOWER.encode(&hash), "bytes": bytes.len() }));
    asked.options.signed_by = signed_by(call, &bytes, asked.options.signature.as_deref())?;
    let manifest = grants::manifest(&bytes).map_err(|error| {
        Refusal::new(Code::ManifestInvalid, format!("The manifest of the module cannot be used: {error}."))
    })?;
    check_description(name, world, &bytes)?;
    let schema = manifest.as_ref().and_then(|manifest| manifest.configuration.as_ref());
    if asked.keeps_config {
        keep_config(call, name, &mut asked, (world, schema));
    }
    asked.options.config = configured(world, schema, asked.options.config.take())?;
    let manifest: Option<GrantSet> = manifest.map(|manifest| manifest.asks.into_iter().collect());
    let (granted, mut warnings) = granted(world, &asked, manifest.as_ref());
    for (_, warning) in warnings.iter_mut().filter(|(code, _)| *code == Code::NotGranted) {
        let missing = manifest.iter().flatten().filter(|wanted| !grants::covers(&granted, wanted));
        let then = if world == World::Rule { " Rules that ask it deny wherever it wants that." } else { "" };
        warning.push_str(&format!("{then} {}", granting::hint(name, missing)));
    }
    asked.warnings.extend(warnings);
    if granted.len() > MODULE_GRANTS_MAX {
        let message = format!("{} grants are too many, limit {MODULE_GRANTS_MAX}.", granted.len());
        return Err(Refusal::new(Code::GrantInvalid, message));
    }
    asked.options.granted = Some(granted);
    let module = Module {
        name: name.into(),
        world,
        options: asked.options,
        hash,
        component_bytes: bytes.len(),
        said: Said::default(),
        owner: call.owner(),
        installed_at_ms: call.core.clock.wall_ms(),
    };
    check_place(call, (name, world, module.component_bytes), asked.replacing)?;
    let of_command = (module, ComponentPlace::Uploaded(bytes));
    let policies = policies(call, name);
    let compiled = compiling::compile(call, of_command, policies.clone())?;
    let done = install_and_tell(call, (compiled, policies, None), asked.replacing, None)?;
    Ok(asked.warnings.iter().fold(done, |done, (code, warning)| done.with_warning(*code, warning)))
}

/// Checks that the description of the routes of a module can be used, if it has one.
fn check_description(name: &str, world: World, component: &[u8]) -> Result<(), Refusal> {
    route_description::of_component(name, world, component).map(drop).map_err(|error| {
        Refusal::new(
            Code::ManifestInvalid,
            format!("The description of the module's routes cannot be used: {error}."),
        )
    })
}

/// Takes over the configuration of the module that is replaced, and warns if the command has
/// another one. A configuration of another owner is not taken over, as in a rollback.
fn keep_config(
    call: &Call<'_>,
    name: &str,
    asked: &mut ModuleRequest,
    (world, schema): (World, Option<&Value>),
) {
    let Some(module) = call.tenant.managed().modules.get(name) else { return };
    let Some(config) = module.options.config.clone() else { return };
    if !authority::is_own(call, &module) {
        let warning = "The configuration that was there is that of another owner and was not kept.";
        asked.warnings.push((Code::ConfigNotKept, warning.to_owned()));
        return;
    }
    let Some(given) = asked.options.config.replace(config.clone()) else { return };
    // One that its schema refuses is another one.
    let given = configured(world, schema, Some(given.clone())).ok().flatten().unwrap_or(given);
    let kept = configured(world, schema, Some(config.clone())).ok().flatten().unwrap_or(config);
    if given != kept {
        let warning = "The configuration that was there was kept, not that of the command; lotmq guest deploy --config, or -config without -keepConfig, changes it.";
        asked.warnings.push((Code::ConfigKept, warning.to_owned()));
    }
}

/// The configuration of a module with the defaults of its schema, where it has one.
fn configured(world: World, schema: Option<&Value>, config: Option<Value>) -> Result<Option<Value>, Refusal> {
    let Some(schema) = schema else { return Ok(config) };
    // The settings of a route are laid over that of its module.
    let is_part = world == World::Route;
    let is_given = config.is_some();
    // Without a configuration the guest gets an empty one, which has to be valid, too.
    let config = config.unwrap_or_else(|| json!({}));
    let checked = asset_configuration::checked(&schema.to_string(), config, is_part);
    checked.map(|config| is_given.then_some(config)).map_err(|reason| {
        Refusal::new(Code::ConfigInvalid, format!("The configuration is not valid: {reason}."))
    })
}

/// Key that signed the bytes of a module; `None` where they are not signed and need not be.
fn signed_by(call: &Call<'_>, bytes: &[u8], signature: Option<&str>) -> Result<Option<String>, Refusal> {
    signature::check(&call.hosting.config.modules, bytes, signature)
        .map_err(|reason| Refusal::new(reason.code(), reason.to_string()))
}

/// The same of a module that is stored, whose component is read only where there is a signature to
/// be checked.
fn stored_signed_by(call: &Call<'_>, module: &Module) -> Result<Option<String>, Refusal> {
    let signature = module.options.signature.as_deref();
    if signature.is_none() {
        return signed_by(call, &[], None);
    }
    // One of the few that may be in memory at once.
    let _place = call.compile_for().module_place().map_err(|error| refused(error.into()))?;
    let (archive, tenant, module) = (Arc::clone(&call.hosting.archive), call.tenant.id, module.clone());
    let component = call.run_blocking(move || components::read(&*archive, tenant, &module))??;
    signed_by(call, &component, signature)
}

/// Policies of a module that this command adds, or puts into the place of another one.
fn policies(call: &Call<'_>, name: &str) -> Policies {
    call.tenant.managed().assets.policies(name).claimed_by(call.owner().as_ref())
}

/// Installs a module and answers with `what` was done with it, where it is not just there or in the
/// place of another, what it is now and what is to be known of it.
fn install_and_tell(
    call: &mut Call<'_>,
    compiled: ModuleToInstall<'_>,
    replacing: Replacing,
    what: Option<&str>,
) -> Result<Done, Refusal> {
    let (name, world) = (Arc::clone(&compiled.0.module.name), compiled.0.module.world);
    let (installed, former, stopped) = install(call, compiled, replacing)?;
    let what = what.unwrap_or(if former.is_some() { "replaced" } else { "added" });
    let mut done = tell(call, &name, what)?;
    if let Some(former) = former {
        done = done.with_member("changes", changes(call, &former));
        if former.owner != call.owner() {
            let whose = former.owner.as_ref().map_or("the broker", |owner| &*owner.name);
            let warning =
                format!("The module was that of '{whose}' and is yours now; its state begins anew.");
            done = done.with_warning(Code::OwnerChanged, &warning);
        }
    }
    if !installed.is_former_kept {
        let warning = "The version before is not kept: there is no room for both.";
        done = done.with_warning(Code::FormerNotKept, warning);
    }
    if let Some(refusal) = installed.refused_trigger {
        let warning = format!("The module wants to be started by {refusal}.");
        done = done.with_warning(Code::TriggerNotGranted, &warning);
    }
    for warning in &installed.installed.warnings {
        done = done.with_warning(Code::from(warning), &warning.to_string());
    }
    for (route, reason) in refused_routes::of_module(&call.tenant.programs().guests, &name) {
        let warning = format!("Route '{}' does not run with it, and stands still: {reason}.", route.name());
        done = done.with_warning(Code::RouteSettingsInvalid, &warning);
    }
    done = tell_not_asked(done, call, &name, world);
    for (instance, reason) in instances::follow(call, &name) {
        let warning = format!("Asset '{instance}' runs the version before: {reason}");
        done = done.with_warning(Code::InstanceNotFollowed, &warning);
    }
    done = stopped.tell(call, &name, done);
    for export in installed.further_exports {
        let warning = format!("Export '{export}' is not part of world '{}' and is ignored.", world.name());
        done = done.with_warning(Code::ExportIgnored, &warning);
    }
    Ok(done)
}

/// Adds that no login asks a module, where no list of login modules names it.
fn tell_not_asked(done: Done, call: &Call<'_>, name: &str, world: World) -> Done {
    let is_asked = call.tenant.number == 0 && call.hosting.config.login_guest_names().contains(&name);
    if world != World::Auth || is_asked {
        return done;
    }
    let warning = format!(
        "No login asks module '{name}': auth.modules of the configuration does not list it, nor does auth_modules of a listener."
    );
    done.with_warning(Code::NotAskedYet, &warning)
}

/// Returns the grants requested and granted now, and their changes by a replacement.
fn changes(call: &Call<'_>, former: &Module) -> Value {
    let change = |before: &GrantSet, after: &GrantSet| {
        let added: Vec<_> = after.difference(before).collect();
        let removed: Vec<_> = before.difference(after).collect();
        json!({ "now": after, "added": added, "removed": removed })
    };
    let now = call.tenant.managed().modules.get(&former.name);
    let of = |module: &Module| (module.said.asked.clone().unwrap_or_default(), module.options.granted());
    let (before, after) = (of(former), now.as_deref().map(of).unwrap_or_default());
    json!({ "asked": change(&before.0, &after.0), "granted": change(&before.1, &after.1) })
}

/// Module with the policies that it was compiled within, and the one that is rolled back to.
type ModuleToInstall<'m> = (CompiledModule, Policies, Option<&'m Arc<Module>>);

/// Installs a module, or one that was kept and is rolled back to; returns with it the one in whose
/// place it is.
fn install(
    call: &mut Call<'_>,
    (compiled, policies, rolled_back): ModuleToInstall<'_>,
    replacing: Replacing,
) -> Result<(InstalledModule, Option<Arc<Module>>, StoppedAssets), Refusal> {
    let name = Arc::clone(&compiled.module.name);
    let _changes = call.commands.changes.lock();
    call.check_current()?;
    let Module { world, component_bytes, .. } = &compiled.module;
    let known = check_place(call, (&name, *world, *component_bytes), replacing)?;
    check_route_type(call, &compiled.module)?;
    let kept = call.tenant.managed().modules.former(&name);
    if rolled_back.is_some_and(|rolled_back| !kept.is_some_and(|kept| Arc::ptr_eq(&kept, rolled_back))) {
        let message = format!("Module '{name}' has changed meanwhile. Roll it back again.");
        return Err(Refusal::new(Code::Busy, message));
    }
    // An administrator may have bounded it while it was compiled.
    if self::policies(call, &name) != policies {
        let message = format!("Policies of module '{name}' have changed meanwhile. Try again.");
        return Err(Refusal::new(Code::Busy, message));
    }
    if call.job.upload.as_ref().is_some_and(|upload| !upload.ending.installs()) {
        return Err(parts::cancelled(call));
    }
    let mut batch = Batch::new();
    let stopped = foreign_assets::stop(call, &name, &mut batch);
    let installed = match modules::install(call.tenant, call.hosting, compiled, &mut batch) {
        Ok(installed) => installed,
        Err(error) => {
            stopped.undo(call);
            return Err(refused(error));
        }
    };
    let assets = &call.tenant.managed().assets;
    if policies != assets.policies(&name) {
        assets.put(call.tenant.id, &name, AssetRecord { policies, instance: None }, &mut batch);
    }
    if installed.installed.replaced.as_deref().is_some_and(has_error) {
        call.changed(format!("{}/Error", topic(&name)), Vec::new());
    }
    call.commit(batch)?;
    Ok((installed, known, stopped))
}

/// Checks that a module may be put in its place; returns the one that is there. Called without the
/// lock of changes, and again with it.
fn check_place(
    call: &Call<'_>,
    (name, world, bytes_of_new): (&str, World, usize),
    Replacing { replaces, is_forced }: Replacing,
) -> Result<Option<Arc<Module>>, Refusal> {
    if call.tenant.managed().assets.instance(name).is_some() {
        let message = format!("'{name}' is the name of an installed asset. Choose another name.");
        return Err(Refusal::new(Code::ModuleExists, message));
    }
    authority::check(call, name)?;
    let known = call.tenant.managed().modules.get(name);
    if known.is_some() && !replaces {
        return Err(Refusal::new(
            Code::ModuleExists,
            format!("Module '{name}' already exists. Use -replace."),
        ));
    }
    if let Some(other) = known.as_deref().filter(|known| known.world != world) {
        let other = other.world.name();
        let message = format!("Module '{name}' is of world '{other}'. Remove it first.");
        return Err(Refusal::new(Code::WorldMismatch, message));
    }
    if let Some(known) = known.as_deref() {
        let taken = Removal { is_forced };
        taken.check(call, DefinitionKind::Module.title(), [(name.to_owned(), known.owner.clone())])?;
    }
    let modules = &call.tenant.managed().modules;
    let (count, of_others) = (modules.count(), modules.bytes_besides(name));
    let bytes: usize = of_others.iter().map(|(_, bytes)| bytes).sum();
    let tenant = &call.tenant.name;
    if known.is_none() && count >= MODULES_MAX {
        let message = format!("Tenant '{tenant}' already stores {MODULES_MAX} modules.");
        return Err(Refusal::new(Code::QuotaExceeded, message));
    }
    if bytes + bytes_of_new > MODULES_BYTES_MAX {
        let message =
            format!("Tenant '{tenant}' already stores {bytes} bytes of modules, limit {MODULES_BYTES_MAX}.");
        return Err(Refusal::new(Code::QuotaExceeded, message));
    }
    // A replacement of the user's own module that is not larger needs no more of their share.
    let own = known.as_deref().filter(|known| known.owner == call.owner());
    if own.is_none() {
        let owners = modules.owners_besides(name).into_iter().map(|owner| (owner, 1));
        check_share(call, ("modules", MODULES_MAX), owners, 1)?;
    }
    if own.is_none_or(|own| own.component_bytes < bytes_of_new) {
        check_share(call, ("bytes of modules", MODULES_BYTES_MAX), of_others.into_iter(), bytes_of_new)?;
    }
    Ok(known)
}

/// Checks that no other module describes the type of routes of a module: commands find a template
/// by the name of its type.
fn check_route_type(call: &Call<'_>, module: &Module) -> Result<(), Refusal> {
    let Some(kind) = module.said.routes.as_deref() else { return Ok(()) };
    let Some(other) = call.tenant.managed().modules.describes(&kind.name, &module.name) else {
        return Ok(());
    };
    let message = format!(
        "The module describes routes of type {}, as module '{}' does. Rename the type, or remove that module.",
        kind.name, other.name
    );
    Err(Refusal::new(Code::ManifestInvalid, message))
}

fn remove(call: &mut Call<'_>) -> Result<Done, Refusal> {
    check_tenants(call)?;
    let (removal, name) = (Removal::of(call), call.text("name"));
    call.about(EntityType::Module, name);
    let mut batch = Batch::new();
    let _changes = call.commands.changes.lock();
    let Some(module) = call.tenant.managed().modules.get(name) else { return remove_lost(call, &removal) };
    let owner = module.owner.clone();
    removal.check_definitions(call, DefinitionKind::Module, [name])?;
    check_unused(call, name, removal.is_forced)?;
    instances::remove(call, name, &removal, &mut batch)?;
    let removed = Guests::remove(call.tenant, call.hosting, DefinitionKind::Module, name, &mut batch)
        .map_err(|_| not_found(name))?;
    call.tenant.managed().modules.remove(name);
    call.tenant.managed().assets.remove(call.tenant.id, name, owner.as_ref(), &mut batch);
    for is_former in [false, true] {
        batch.push(lotmq_changes::Op::DeleteModule { tenant: call.tenant.id, name, is_former });
    }
    if has_error(&removed.definition) {
        call.changed(format!("$SYS/Coreflux/Modules/{name}/Error"), Vec::new());
    }
    call.changed(topic(name), Vec::new());
    let needed_by = left_without_module(call, name);
    call.commit(batch)?;
    let done = Done::new(format!("Module '{name}' removed successfully!"));
    Ok(Done { warnings: needed_by.into_iter().collect(), ..done })
}

/// Removes the row of a module that the start could not restore. Called with the lock of changes.
fn remove_lost(call: &mut Call<'_>, removal: &Removal) -> Result<Done, Refusal> {
    let name = call.text("name");
    let managed = call.tenant.managed();
    let lost = managed.modules.lost(name).filter(|lost| lost.is_stored).ok_or_else(|| not_found(name))?;
    removal.check(call, DefinitionKind::Module.title(), [(name.to_owned(), lost.owner.clone())])?;
    let mut batch = Batch::new();
    managed.modules.remove(name);
    managed.assets.remove(call.tenant.id, name, lost.owner.as_ref(), &mut batch);
    for is_former in [false, true] {
        batch.push(lotmq_changes::Op::DeleteModule { tenant: call.tenant.id, name, is_former });
    }
    call.commit(batch)?;
    Ok(Done::new(format!("Module '{name}', which was damaged, removed successfully!")))
}

/// Checks that no definition names a module, or that it does not matter.
fn check_unused(call: &Call<'_>, name: &str, is_forced: bool) -> Result<(), Refusal> {
    let users = call.tenant.programs().guests.users_of_module(name);
    match &users[..] {
        [user, ..] if !is_forced => {
            let more = match users.len() {
                1 => String::new(),
                count => format!(" and {} more", count - 1),
            };
            let (kind, user) = (user.kind().key(), user.name());
            let message = format!("Module '{name}' is used by {kind} '{user}'{more}. Use -force.");
            Err(Refusal::new(Code::InUse, message))
        }
        _ => Ok(()),
    }
}

fn list(call: &mut Call<'_>) -> Result<Done, Refusal> {
    check_tenants(call)?;
    let all = call.tenant.managed().modules.all();
    let lost = call.tenant.managed().modules.all_lost();
    let lost = lost.iter().map(|lost| modules::lost_info(call.tenant, lost));
    let rows: Vec<Value> = all.iter().map(|module| modules::info(call.tenant, module)).chain(lost).collect();
    let message = match rows.len() {
        0 => "No modules registered.".to_owned(),
        count => format!("{count} module(s)."),
    };
    Ok(Done::new(message).with_data(rows))
}

fn info(call: &mut Call<'_>) -> Result<Done, Refusal> {
    check_tenants(call)?;
    let name = call.text("name");
    call.about(EntityType::Module, name);
    if let Some(lost) = call.tenant.managed().modules.lost(name) {
        let told = modules::lost_info(call.tenant, &lost);
        return Ok(Done::new(format!("Module '{name}' is damaged: {}.", lost.reason)).with_data(told));
    }
    let module = call.tenant.managed().modules.get(name).ok_or_else(|| not_found(name))?;
    let mut told = modules::info(call.tenant, &module);
    if let Some(config) = &module.options.config {
        told["configurationBytes"] = config.to_string().len().into();
        if Permission::Scope(Scope::AssetManagementUpdate).admits(call.tenant, call.identity) {
            let schema = assets::package::of_module(call, &module, &module.name).schema;
            told["configuration"] = asset_configuration::masked(&schema, config);
        }
    }
    let done = Done::new(format!("Module '{name}'.")).with_data(told);
    Ok(tell_not_asked(done, call, name, module.world))
}

fn set_disabled(call: &mut Call<'_>, is_disabled: bool) -> Result<Done, Refusal> {
    let (switched, name) = (Removal::of(call), call.text("name"));
    call.about(EntityType::Module, name);
    let mut batch = Batch::new();
    {
        let _changes = call.commands.changes.lock();
        let module = call.tenant.managed().modules.get(name).ok_or_else(|| not_found(name))?;
        switched.check_definitions(call, DefinitionKind::Module, [name])?;
        modules::switch(call.tenant, call.hosting, &module, is_disabled, &mut batch);
        call.commit(batch)?;
    }
    tell(call, name, if is_disabled { "disabled" } else { "enabled" })
}

fn rollback(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let (asked, name) = (Removal::of(call), call.text("name"));
    call.about(EntityType::Module, name);
    let modules = &call.tenant.managed().modules;
    let present = modules.get(name).ok_or_else(|| not_found(name))?;
    asked.check_definitions(call, DefinitionKind::Module, [name])?;
    may_install(call, present.world)?;
    let former = modules.former(name).ok_or_else(|| {
        Refusal::new(Code::NoFormerVersion, format!("Module '{name}' has no version before."))
    })?;
    call.details = Some(
        json!({ "sha256": data_encoding::HEXLOWER.encode(&former.hash), "bytes": former.component_bytes }),
    );
    let signed_by = stored_signed_by(call, &former)?;
    // The user who rolls back gets no configuration of another owner: it may hold passwords, which
    // the module that reads it may reveal.
    let config = former.options.config.clone().filter(|_| authority::is_own(call, &former));
    let what = if config == former.options.config {
        "rolled back"
    } else {
        "rolled back without the -config of its former owner"
    };
    let module = Module {
        options: ModuleOptions { signed_by, config, ..former.options.clone() },
        owner: call.owner(),
        installed_at_ms: call.core.clock.wall_ms(),
        ..(*former).clone()
    };
    let policies = policies(call, name);
    let compiled = compiling::compile(call, (module, ComponentPlace::Stored), policies.clone())?;
    let replacing = Replacing { replaces: true, is_forced: asked.is_forced };
    install_and_tell(call, (compiled, policies, Some(&former)), replacing, Some(what))
}

/// Refuses tenants that are not the caller's own.
fn check_tenants(call: &Call<'_>) -> Result<(), Refusal> {
    call.values.all(TENANT_OPTION).try_for_each(|tenant| own_tenant(call, tenant))
}

/// Publishes the present state of a module and answers with it.
fn tell(call: &mut Call<'_>, name: &str, what: &str) -> Result<Done, Refusal> {
    let module = call.tenant.managed().modules.get(name).ok_or_else(|| not_found(name))?;
    let info = modules::info(call.tenant, &module);
    call.changed(topic(name), info.to_string());
    Ok(Done::new(format!("Module '{name}' {what} successfully!")).with_data(info))
}

fn topic(name: &str) -> String {
    format!("$SYS/Coreflux/Modules/{name}")
}

fn not_found(name: &str) -> Refusal {
    Refusal::new(Code::ModuleNotFound, format!("Module '{name}' not found."))
}

/// Whether an error record of the definition was published.
fn has_error(definition: &Definition) -> bool {
    definition.activity.last_error().is_some()
}
