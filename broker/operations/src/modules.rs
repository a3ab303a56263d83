//! Uploaded modules of a tenant: WebAssembly components that run like Actions, or that routes run.
//! Commands reference §14.
//!
//! A module is a definition of kind `Module` in the registry, deployed through the same code as
//! LoT. The catalog keeps the data that the registry has no place for. The bytes of a module only
//! give a [hint]: the facts may name a trigger, and the manifest asks for grants. Every capability
//! was [granted](super::module_catalog::grants).
//!
//! Invariant: a module is in the [catalog](super::module_catalog) exactly while its definition is
//! in the registry. Not here: the commands (`command::modules`).

mod hint;
pub(crate) mod signature;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use lot_facts::{Facts, Kind, TopicFact, Trigger};
use lotmq_changes::table::Table;
use lotmq_changes::{Batch, ModuleRow, Op, QuarantineRow};
use lotmq_definitions::{DefinitionKind, Installed, NewDefinition, Origin, State};
use lotmq_host::limits::{ROUTE_TIME, RULE_TIME};
use lotmq_host::{Capability, GuestLimits, RunnerState, World, imports_of_upload};
use serde::Deserialize as _;
use serde_json::{Value, json};
use tracing::{error, warn};

use crate::components;
use crate::limits::MODULES_BYTES_MAX;
use crate::managed::Managing as _;
use crate::module_catalog::grants::{self, GrantSet, NamedGrant};
use crate::module_catalog::{LostModule, Module, ModuleOptions, Said};
use lotmq_core::tenant::Tenant;
use lotmq_process::restoring::Restoring;
use lotmq_programs::HasPrograms as _;
use lotmq_programs::auth_modules::AuthModuleCode;
use lotmq_programs::compile::{CodeToCome, Loader};
use lotmq_programs::late_code::{self, LateDefinition};
use lotmq_programs::policies::Policies;
use lotmq_programs::route_modules::RouteModule;
use lotmq_programs::rules::RuleModuleCode;
use lotmq_programs::{CompiledDefinition, DeployError, ExecutorCode, Hosting, authority};

use hint::HintRefusal;

/// Worlds of which modules are kept.
const WORLDS: [World; 4] = World::OF_UPLOADS;

/// Module that was installed.
#[derive(Debug)]
pub(crate) struct InstalledModule {
    pub(crate) installed: Installed,
    /// Exports that nobody calls.
    pub(crate) further_exports: Vec<String>,
    /// Why the trigger that its facts name does not start it.
    pub(crate) refused_trigger: Option<HintRefusal>,
    /// Whether the version before, if there was one, is kept.
    pub(crate) is_former_kept: bool,
}

/// Module with its native code, which can be installed.
pub struct CompiledModule {
    pub(crate) module: Module,
    /// Bytes of its component, where they are to be stored with it.
    uploaded: Option<Bytes>,
    definition: CompiledDefinition,
    further_exports: Vec<String>,
    /// Reason why the trigger that its facts name does not start it.
    pub refused_trigger: Option<HintRefusal>,
}

impl CompiledModule {
    /// One of a world that no message starts.
    fn started_by_nothing(
        module: Module,
        definition: CompiledDefinition,
        further_exports: Vec<String>,
    ) -> Self {
        Self { module, uploaded: None, definition, further_exports, refused_trigger: None }
    }

    /// Has the guests know what it asks for, for advice.
    fn with_asked_grants(self) -> Self {
        let asked = self.module.said.asked.iter().flatten();
        let asked = asked.map(|grant| (grant.capability, grant.name.clone())).collect();
        Self { definition: self.definition.asking_for(asked), ..self }
    }

    /// Has its component stored with it.
    pub(crate) fn with_uploaded(self, component: Bytes) -> Self {
        Self { uploaded: Some(component), ..self }
    }

    /// Returns its definition for the registry, with the code.
    pub fn into_definition(self) -> CompiledDefinition {
        self.definition
    }
}

/// Makes native code of a module that is stored, within policies.
///
/// # Errors
/// [`DeployError`].
pub(crate) fn compile_stored(
    (tenant, hosting): (&Tenant, &Hosting),
    module: Module,
    policies: &Policies,
) -> Result<CompiledModule, DeployError> {
    let component = components::read(&*hosting.archive, tenant.id, &module)?;
    compile(hosting.loader_of(tenant), module, &component, policies)
}

/// Describes a module of a start whose native code comes later.
///
/// # Errors
/// [`DeployError`], for what can be known without compiling.
fn without_code(
    module: Module,
    component: &[u8],
    policies: &Policies,
) -> Result<CompiledModule, DeployError> {
    let module = Module { said: Said::of(&module, component), ..module };
    let imports = imports_of_upload(component, module.world)?;
    let is_disabled = module.options.is_disabled;
    if module.world == World::Action {
        let reads = imports.iter().any(|it| it.contains("topic-store"));
        let (mut facts, refused_trigger) = facts(&module, component, reads);
        let to_come = CodeToCome::Executor { restricted: policies.narrow_trigger(&mut facts) };
        let definition =
            CompiledDefinition::without_code(new_definition(&module, facts), to_come, is_disabled);
        let further_exports = Vec::new();
        let compiled =
            CompiledModule { module, uploaded: None, definition, further_exports, refused_trigger };
        return Ok(compiled.with_asked_grants());
    }
    let mut facts = Facts::new(Kind::Action, &*module.name);
    if module.world == World::Rule {
        facts.reads = topics(&module.options.granted(), Capability::ReadTopic);
    }
    let new = new_definition(&module, facts);
    let definition = CompiledDefinition::without_code(new, CodeToCome::Named, is_disabled);
    Ok(CompiledModule::started_by_nothing(module, definition, Vec::new()).with_asked_grants())
}

/// Makes native code of a module, within policies, and learns what its component says of itself.
///
/// # Errors
/// [`DeployError`].
pub fn compile(
    loader: Loader<'_>,
    module: Module,
    component: &[u8],
    policies: &Policies,
) -> Result<CompiledModule, DeployError> {
    let module = Module { said: Said::of(&module, component), ..module };
    let compiled = compile_world(loader, module, component, policies)?;
    Ok(compiled.with_asked_grants())
}

fn compile_world(
    loader: Loader<'_>,
    module: Module,
    component: &[u8],
    policies: &Policies,
) -> Result<CompiledModule, DeployError> {
    let loader = loader.counting_for((DefinitionKind::Module, &module.name), module.owner.as_ref());
    let granted = module.options.granted();
    let config = module.options.config.as_ref().map(|config| config.to_string().into());
    let grants = policies.grants(grants::for_host(&granted, config));
    let limits = policies.limits(limits(&module));
    if module.world == World::Route {
        let guest = loader.route_module(component, &grants, limits)?;
        let further_exports = guest.further_exports().to_vec();
        let places = grants::names(&granted, Capability::Connect).map(Into::into).collect();
        let (policies, routes) = (policies.clone(), module.said.routes.clone());
        let code = RouteModule { guest, routes, grants, places, limits, policies };
        let new = new_definition(&module, Facts::new(Kind::Action, &*module.name));
        let definition = CompiledDefinition::of_route_module(code, new, module.options.is_disabled);
        return Ok(CompiledModule::started_by_nothing(module, definition, further_exports));
    }
    if module.world == World::Rule {
        let guest = loader.rule_module(component, &grants, limits)?;
        let further_exports = guest.further_exports().to_vec();
        let code = RuleModuleCode { guest, grants, limits };
        let mut facts = Facts::new(Kind::Action, &*module.name);
        // So that what it reads has last values.
        facts.reads = topics(&granted, Capability::ReadTopic);
        let new = new_definition(&module, facts);
        let definition = CompiledDefinition::of_rule_module(code, new, module.options.is_disabled);
        return Ok(CompiledModule::started_by_nothing(module, definition, further_exports));
    }
    if module.world == World::Auth {
        let guest = loader.auth_module(component, &grants, limits)?;
        let further_exports = guest.further_exports().to_vec();
        let places = grants::names(&granted, Capability::Connect).map(Into::into).collect();
        let code = AuthModuleCode { guest, grants, places, limits };
        let new = new_definition(&module, Facts::new(Kind::Action, &*module.name));
        let definition = CompiledDefinition::of_auth_module(code, new, module.options.is_disabled);
        return Ok(CompiledModule::started_by_nothing(module, definition, further_exports));
    }
    let guest = loader.module(component, &grants, limits)?;
    let further_exports = guest.further_exports().to_vec();
    let (mut facts, refused_trigger) =
        facts(&module, component, guest.imports().iter().any(|it| it.contains("topic-store")));
    let restricted = policies.narrow_trigger(&mut facts);
    let new = new_definition(&module, facts);
    let code = ExecutorCode { guest, grants, limits, restricted };
    let definition = CompiledDefinition::of_module(code, new, module.options.is_disabled);
    Ok(CompiledModule { module, uploaded: None, definition, further_exports, refused_trigger })
}

/// Installs a module and replaces the one of its name. Adds its durable changes to `batch`.
///
/// # Errors
/// [`DeployError`]; the former module runs on.
pub(crate) fn install(
    tenant: &Arc<Tenant>,
    hosting: &Arc<Hosting>,
    compiled: CompiledModule,
    batch: &mut Batch,
) -> Result<InstalledModule, DeployError> {
    let CompiledModule { module, uploaded, definition, further_exports, refused_trigger } = compiled;
    let installed = lotmq_programs::install(tenant, hosting, definition, batch)?;
    let row = row(tenant, &module);
    batch.push(match uploaded {
        Some(component) => Op::PutModule { row: &row, component },
        None => Op::ChangeModule(&row),
    });
    let module = Arc::new(module);
    let modules = &tenant.managed().modules;
    let before = modules.get(&module.name);
    modules.insert(Arc::clone(&module));
    let is_kept = before.is_none_or(|before| keep(tenant, &module, before, batch));
    Ok(InstalledModule { installed, further_exports, refused_trigger, is_former_kept: is_kept })
}

/// Replaces the configuration of a module; the version before it stays the same. Adds its durable
/// changes to `batch`.
///
/// # Errors
/// [`DeployError`]; the former module runs on.
pub(crate) fn reconfigure(
    tenant: &Arc<Tenant>,
    hosting: &Arc<Hosting>,
    compiled: CompiledModule,
    batch: &mut Batch,
) -> Result<(), DeployError> {
    let CompiledModule { module, definition, .. } = compiled;
    lotmq_programs::install(tenant, hosting, definition, batch)?;
    batch.push(Op::ChangeModule(&row(tenant, &module)));
    tenant.managed().modules.insert(Arc::new(module));
    Ok(())
}

/// Keeps the version before a module where the bytes of all suffice for that; otherwise none is
/// kept.
fn keep(tenant: &Tenant, module: &Module, before: Arc<Module>, batch: &mut Batch) -> bool {
    let modules = &tenant.managed().modules;
    let others: usize = modules.bytes_besides(&module.name).iter().map(|(_, bytes)| bytes).sum();
    let fits = others + module.component_bytes + before.component_bytes <= MODULES_BYTES_MAX;
    if fits {
        batch.push(Op::ChangeModule(&ModuleRow { is_former: true, ..row(tenant, &before) }));
    } else {
        batch.push(Op::DeleteModule { tenant: tenant.id, name: &module.name, is_former: true });
    }
    modules.keep(&module.name, fits.then_some(before));
    fits
}

fn new_definition(module: &Module, facts: Facts) -> NewDefinition {
    let installed_at = i64::try_from(module.installed_at_ms).ok();
    NewDefinition {
        kind: DefinitionKind::Module,
        name: Arc::clone(&module.name),
        source: "".into(),
        origin: Origin::AdHoc,
        lines_before: 0,
        owner: module.owner.clone(),
        facts: Arc::new(facts),
        installed_at: installed_at.and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or_default(),
        order: None,
    }
}

/// Switches a module off or on, and stores that.
pub(crate) fn switch(
    tenant: &Arc<Tenant>,
    hosting: &Arc<Hosting>,
    module: &Module,
    is_disabled: bool,
    batch: &mut Batch,
) {
    set_disabled(tenant, hosting, &module.name, is_disabled);
    let options = ModuleOptions { is_disabled, ..module.options.clone() };
    let module = Module { options, ..module.clone() };
    batch.push(Op::ChangeModule(&row(tenant, &module)));
    tenant.managed().modules.insert(Arc::new(module));
}

/// Switches what runs under the name of a module off or on. One that is switched on begins at once,
/// as if it had never trapped.
pub(crate) fn set_disabled(tenant: &Arc<Tenant>, hosting: &Arc<Hosting>, name: &str, is_disabled: bool) {
    let now = hosting.definitions_now();
    let changed = {
        let mut registry = tenant.programs().guests.registry.write();
        registry.set_disabled(DefinitionKind::Module, name, is_disabled, now)
    };
    if let Ok(changed) = changed {
        tenant.programs().guests.settle(tenant, hosting, &changed);
    }
    tenant.programs().guests.module_changed(name);
    if !is_disabled && let Some((_, figures)) = tenant.programs().guests.route_modules.get(name) {
        figures.forget_traps();
    }
    if !is_disabled && let Some(figures) = tenant.programs().guests.deciding_modules.rules.figures(name) {
        figures.forget_traps();
    }
    if !is_disabled && let Some(runner) = runner(tenant, name) {
        runner.enable();
    }
}

/// Adds to `batch` that the modules of `user` belong to nobody, with the versions before that are
/// kept.
pub(crate) fn store_without_owner(tenant: &Tenant, user: &str, batch: &mut Batch) {
    let modules = &tenant.managed().modules;
    for (kept, is_former) in [(modules.all(), false), (modules.all_former(), true)] {
        for module in without_owner(kept, user) {
            batch.push(Op::ChangeModule(&ModuleRow { is_former, ..row(tenant, &module) }));
        }
    }
}

/// Takes the owner off the modules of `user`; for their definitions that is `Guests::disown`.
pub(crate) fn disown(tenant: &Tenant, user: &str) {
    let modules = &tenant.managed().modules;
    for module in without_owner(modules.all(), user) {
        modules.insert(Arc::new(module));
    }
    for module in without_owner(modules.all_former(), user) {
        modules.keep(&Arc::clone(&module.name), Some(Arc::new(module)));
    }
}

/// Those of `modules` that belong to a user, without their owner.
fn without_owner(modules: Vec<Arc<Module>>, user: &str) -> impl Iterator<Item = Module> {
    let is_his = |module: &Arc<Module>| module.owner.as_ref().is_some_and(|owner| *owner.name == *user);
    modules.into_iter().filter(is_his).map(|module| Module { owner: None, ..(*module).clone() })
}

fn runner(tenant: &Tenant, name: &str) -> Option<Arc<lotmq_host::Runner>> {
    let definition = tenant.programs().guests.registry.read().get(DefinitionKind::Module, name).cloned()?;
    tenant.programs().guests.runner(definition.id)
}

/// State of the definition of a module.
fn registry_state(tenant: &Tenant, name: &str) -> Option<State> {
    let registry = tenant.programs().guests.registry.read();
    registry.state(registry.get(DefinitionKind::Module, name)?.id)
}

/// Calls and traps of a module, and whether it has failed.
fn figures(tenant: &Tenant, name: &str) -> (u64, u64, bool) {
    let guests = &tenant.programs().guests;
    if registry_state(tenant, name) == Some(State::Error) {
        return (0, 0, true);
    }
    if let Some((_, figures)) = guests.route_modules.get(name) {
        return (figures.calls.load(Relaxed), figures.traps.load(Relaxed), figures.have_failed());
    }
    if let Some(figures) = guests.deciding_modules.rules.figures(name) {
        return (figures.calls.load(Relaxed), figures.traps.load(Relaxed), figures.have_failed());
    }
    runner(tenant, name).map_or((0, 0, false), |runner| {
        let has_failed = matches!(runner.state(), RunnerState::Failed(_));
        (runner.metrics().runs, runner.metrics().traps, has_failed)
    })
}

/// Errors of a module, of all its versions, and of the routes that it runs.
fn errors(tenant: &Tenant, name: &str) -> u64 {
    let guests = &tenant.programs().guests;
    let own = guests.registry.read().get(DefinitionKind::Module, name).cloned();
    let users = guests.users_of_module(name).into_iter().filter(|user| user.kind() == DefinitionKind::Route);
    own.into_iter().chain(users).map(|of| of.activity.errors_of_all_versions()).sum()
}

/// Messages that would have started a module while it was disabled.
fn missed(tenant: &Tenant, name: &str) -> u64 {
    let registry = tenant.programs().guests.registry.read();
    registry.get(DefinitionKind::Module, name).map_or(0, |definition| definition.activity.missed())
}

/// Returns the grants that a module asks for and could have, but was not granted.
pub(crate) fn not_granted(module: &Module, granted: &GrantSet) -> GrantSet {
    let asked = module.said.asked.iter().flatten();
    let missing = asked.filter(|it| grants::is_available(module.world, it) && !grants::covers(granted, it));
    missing.cloned().collect()
}

/// Data of `-moduleInfo`, and payload of `Modules/<name>`.
pub(crate) fn info(tenant: &Tenant, module: &Module) -> Value {
    let guests = &tenant.programs().guests;
    let (calls, traps, has_failed) = figures(tenant, &module.name);
    let used_by: Vec<Value> = guests
        .users_of_module(&module.name)
        .iter()
        .map(|user| json!({ "type": user.kind().title(), "name": &**user.name() }))
        .collect();
    let state = match (module.options.is_disabled, has_failed) {
        (true, _) => "disabled",
        (false, _) if registry_state(tenant, &module.name) == Some(State::Compiling) => "compiling",
        (false, true) => "failed",
        (false, false) => "enabled",
    };
    let former = tenant.managed().modules.former(&module.name);
    let former = former.map(|former| {
        json!({
            "version": former.options.version,
            "sha256": data_encoding::HEXLOWER.encode(&former.hash),
            "bytes": former.component_bytes,
            "installedUtc": lotmq_process::clock::utc_text(former.installed_at_ms),
        })
    });
    json!({
        "name": &*module.name,
        "tenant": &*tenant.name,
        "world": module.world.name(),
        "version": module.options.version,
        "sha256": data_encoding::HEXLOWER.encode(&module.hash),
        "bytes": module.component_bytes,
        "state": state,
        "installedUtc": lotmq_process::clock::utc_text(module.installed_at_ms),
        "owner": module.owner.as_ref().map(|owner| &*owner.name),
        "usedBy": used_by,
        "former": former,
        "signedBy": module.options.signed_by,
        "asked": module.said.asked.clone().unwrap_or_default(),
        "granted": module.options.granted(),
        "notGranted": not_granted(module, &module.options.granted()),
        "calls": calls,
        "traps": traps,
        "errors": errors(tenant, &module.name),
        "missed": missed(tenant, &module.name),
    })
}

/// Data of `-moduleInfo` about a module that the start could not restore.
pub(crate) fn lost_info(tenant: &Tenant, lost: &LostModule) -> Value {
    json!({
        "name": &*lost.name,
        "tenant": &*tenant.name,
        "world": lost.world,
        "state": "damaged",
        "owner": lost.owner.as_ref().map(|owner| &*owner.name),
        "reason": lost.reason,
    })
}

/// Notes the modules of these tenants whose rows are damaged and were put aside, unless they were
/// added again. After [`restore`].
pub fn note_quarantined(tenants: &[Arc<Tenant>], rows: &[QuarantineRow]) {
    for row in rows.iter().filter(|row| row.table == Table::Modules.name()) {
        let Some((id, name)) = row.key.split_first_chunk::<4>() else { continue };
        let Ok(name) = std::str::from_utf8(name) else { continue };
        let is_former = name.ends_with('\0');
        let of = tenants.iter().find(|tenant| tenant.id.0 == u32::from_be_bytes(*id));
        if let Some(tenant) = of.filter(|_| !is_former) {
            tenant.managed().modules.lose(LostModule {
                name: name.into(),
                world: None,
                owner: None,
                reason: row.reason.clone(),
                found_at_ms: row.found_at_ms,
                is_stored: false,
            });
        }
    }
}

/// Whether a stored module is one that definitions need from the first moment: routes run it, or
/// rules ask it what a route may publish.
pub fn is_under_definitions(row: &ModuleRow) -> bool {
    [World::Route, World::Rule].iter().any(|world| row.world == world.name())
}

/// Installs the stored modules, whose components are in memory one at a time. One that does not
/// load any more does nothing, is listed as damaged, and stays in the store.
pub fn restore(hosting: &Arc<Hosting>, tenants: &[Arc<Tenant>], rows: Vec<ModuleRow>, restoring: &Restoring) {
    for row in rows {
        restoring.begins("module", &row.name);
        let Some(tenant) = tenants.iter().find(|tenant| tenant.id == row.tenant) else { continue };
        let left_out = |reason: &dyn std::fmt::Display| {
            error!(tenant = &*tenant.name, definition = row.name, kind = "module", %reason, "definition not restored");
            if !row.is_former {
                tenant.managed().modules.lose(LostModule {
                    name: row.name.as_str().into(),
                    world: Some(row.world.clone()),
                    owner: authority::owner(&tenant.users, &row.owner),
                    reason: reason.to_string(),
                    found_at_ms: hosting.started_ms,
                    is_stored: true,
                });
            }
        };
        let (options, unknown) = match stored_options(&row.options) {
            Ok(options) => options,
            Err(error) => {
                left_out(&error);
                continue;
            }
        };
        let Some(world) = WORLDS.into_iter().find(|world| world.name() == row.world) else {
            left_out(&format_args!("this broker runs no modules of world '{}'", row.world));
            continue;
        };
        for error in unknown {
            warn!(tenant = &*tenant.name, definition = row.name, kind = "module", %error, "grant not restored");
        }
        let module = Module {
            name: row.name.as_str().into(),
            world,
            options,
            hash: row.hash,
            component_bytes: usize::try_from(row.component_bytes).unwrap_or(usize::MAX),
            said: Said::default(),
            owner: authority::owner(&tenant.users, &row.owner),
            installed_at_ms: row.changed_at_ms,
        };
        if row.is_former {
            tenant.managed().modules.keep(&row.name, Some(Arc::new(module)));
            continue;
        }
        let policies = tenant.managed().assets.policies(&row.name);
        let options = ModuleOptions {
            is_disabled: module.options.is_disabled || !policies.autostart.0,
            ..module.options.clone()
        };
        let module = Module { options, ..module };
        match restore_one((tenant, hosting), module, policies) {
            Ok(InstalledModule { refused_trigger: Some(trigger), .. }) => {
                warn!(tenant = &*tenant.name, definition = row.name, kind = "module", %trigger, "module is not started by what it names");
            }
            Ok(_) => {}
            Err(reason) => left_out(&reason),
        }
    }
}

/// Installs a stored module, without native code where that is to be compiled behind the listeners.
///
/// # Errors
/// [`DeployError`].
fn restore_one(
    (tenant, hosting): (&Arc<Tenant>, &Arc<Hosting>),
    module: Module,
    policies: Policies,
) -> Result<InstalledModule, DeployError> {
    let component = components::read(&*hosting.archive, tenant.id, &module)?;
    // It is stored already: what installing would write is dropped.
    let batch = &mut Batch::new();
    if !hosting.cold_start.defers(&hosting.engine, &component) {
        let compiled = compile(hosting.loader_of(tenant), module, &component, &policies)?;
        return install(tenant, hosting, compiled, batch);
    }
    let described = without_code(module.clone(), &component, &policies)?;
    let installed = install(tenant, hosting, described, batch)?;
    let definition = Arc::clone(&installed.installed.definition);
    let waiting = LateDefinition { hosting: Arc::clone(hosting), tenant: Arc::clone(tenant), definition };
    let (tenant, order) = (Arc::clone(tenant), (module.world == World::Rule, component.len()));
    // The component is read again when its turn has come, so that all of them are not in memory at
    // once.
    late_code::add(waiting, order, move |hosting, tier, is_wanted| {
        let component = components::read(&*hosting.archive, tenant.id, &module)?;
        let loader = Loader { tier, ..hosting.loader_of_stored(&tenant).while_wanted(is_wanted) };
        compile(loader, module.clone(), &component, &policies).map(CompiledModule::into_definition)
    });
    Ok(installed)
}

/// Options as stored, without the grants that cannot be read; with what is wrong with each of
/// those.
fn stored_options(text: &str) -> serde_json::Result<(ModuleOptions, Vec<serde_json::Error>)> {
    let mut options: Value = serde_json::from_str(text)?;
    let mut unknown = Vec::new();
    if let Some(granted) = options.get_mut("granted").and_then(Value::as_array_mut) {
        granted.retain(|grant| NamedGrant::deserialize(grant).map_err(|error| unknown.push(error)).is_ok());
    }
    Ok((serde_json::from_value(options)?, unknown))
}

fn row(tenant: &Tenant, module: &Module) -> ModuleRow {
    ModuleRow {
        tenant: tenant.id,
        name: module.name.as_ref().into(),
        is_former: false,
        world: module.world.name().to_owned(),
        options: serde_json::to_string(&module.options).expect("options are strings, numbers and JSON"),
        hash: module.hash,
        component_bytes: module.component_bytes as u64,
        owner: module.owner.as_ref().map(|owner| owner.name.as_ref().to_owned()).unwrap_or_default(),
        origin: "command".to_owned(),
        order: module.installed_at_ms,
        changed_at_ms: module.installed_at_ms,
    }
}

/// Topics that were granted, as facts have them.
fn topics(granted: &GrantSet, capability: Capability) -> Vec<TopicFact> {
    let fact =
        |filter: &str| if filter == "#" { TopicFact::Any } else { TopicFact::Pattern(filter.to_owned()) };
    grants::names(granted, capability).map(fact).collect()
}

/// Facts for the registry: the trigger, and as topics those that were granted; and why a hinted
/// trigger is not among them.
fn facts(module: &Module, component: &[u8], reads: bool) -> (Facts, Option<HintRefusal>) {
    let options = &module.options;
    let granted = options.granted();
    let mut facts = Facts::new(Kind::Action, &*module.name);
    facts.writes = topics(&granted, Capability::WriteTopic);
    if reads {
        facts.reads = topics(&granted, Capability::ReadTopic);
        facts.keeps.clone_from(&facts.writes);
    }
    let (hinted, refused) = match options.on.is_empty().then(|| hint::trigger(component, &granted)) {
        None => (None, None),
        Some(Ok(hinted)) => (hinted, None),
        Some(Err(refusal)) => (None, Some(refusal)),
    };
    let on =
        if options.on.is_empty() { options.topics.clone().unwrap_or_default() } else { options.on.clone() };
    facts.trigger = hinted.or_else(|| (!on.is_empty()).then_some(Trigger::Topic { filters: on }));
    (facts, refused)
}

/// Limits of a module without policies.
pub(crate) fn limits(module: &Module) -> GuestLimits {
    let defaults = match module.world {
        World::Route => GuestLimits { time: ROUTE_TIME, ..GuestLimits::default() },
        World::Rule => GuestLimits { time: RULE_TIME, ..GuestLimits::default() },
        World::Action | World::Model | World::Auth => GuestLimits::default(),
    };
    let options = &module.options;
    GuestLimits {
        memory_bytes: options.memory_mib.map_or(defaults.memory_bytes, |mib| mib << 20),
        time: options.time_ms.map_or(defaults.time, Duration::from_millis),
        ..defaults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_grant_that_cannot_be_read_takes_nothing_else_with_it() {
        let text =
            r#"{"version":"1","on":["z"],"granted":["read:$share/g/a","state","future:x",7,"write:a"]}"#;
        let (options, unknown) = stored_options(text).unwrap();
        let granted = options.granted().iter().map(NamedGrant::to_string).collect::<Vec<_>>();
        assert_eq!(
            (&*granted, &*options.version, &*options.on),
            (&["write:a".into(), "state".into()][..], "1", &["z".into()][..])
        );
        let unknown = unknown.iter().map(serde_json::Error::to_string).collect::<Vec<_>>();
        for (error, part) in
            unknown.iter().zip(["'read:$share/g/a' is not a grant", "'future:x'", "invalid type: integer"])
        {
            assert!(error.contains(part), "{error}");
        }
        assert_eq!(unknown.len(), 3);
        assert_eq!(stored_options("{}").unwrap().0.granted, None);
        assert!(stored_options("[").is_err());
    }

    #[test]
    fn module_trigger_is_its_on_filters_or_else_its_topics() {
        let module = |options: ModuleOptions| Module {
            world: World::Action,
            name: "m".into(),
            options,
            hash: [0; 32],
            component_bytes: 0,
            said: Said::default(),
            owner: None,
            installed_at_ms: 0,
        };
        let filters = |module: &Module| match facts(module, &[], true).0.trigger {
            Some(Trigger::Topic { filters }) => filters,
            _ => Vec::new(),
        };
        assert!(filters(&module(ModuleOptions::default())).is_empty());
        let topics = Some(vec!["a/#".to_owned()]);
        let touched = module(ModuleOptions { topics: topics.clone(), ..ModuleOptions::default() });
        assert_eq!(filters(&touched), ["a/#"]);
        let told = module(ModuleOptions { topics, on: vec!["a/in".into()], ..ModuleOptions::default() });
        assert_eq!(filters(&told), ["a/in"]);
        assert_eq!(facts(&told, &[], true).0.reads, [TopicFact::Pattern("a/#".into())]);
        assert!(facts(&told, &[], false).0.reads.is_empty());
    }
}
