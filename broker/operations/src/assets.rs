//! Assets of a tenant: deployed routes, uploaded modules, and installed instances of modules; how
//! each stands, and what makes instances run. Commands reference §13.1.
//!
//! A route and an uploaded module are assets without being installed. An instance is a further
//! definition of kind `Module` with the bytes of its package, a name, a configuration and policies
//! of its own.
//!
//! Invariant: an instance has a [record](super::asset_catalog) exactly while its definition is in
//! the registry, or its package could not be restored; it may do what its package was granted, at
//! most. Not here: the commands (`command::assets`).

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use lotmq_changes::Batch;
use lotmq_definitions::{Definition, DefinitionKind, Owner, State};
use lotmq_host::{RunnerState, World};
use serde_json::{Value, json};
use tracing::{error, warn};

use crate::asset_catalog::{AssetRecord, InstanceRecord};
use crate::managed::Managing as _;
use crate::module_catalog::{Module, ModuleOptions};
use crate::modules::{self, CompiledModule};
use lotmq_core::tenant::Tenant;
use lotmq_process::clock::utc_text;
use lotmq_programs::HasPrograms as _;
use lotmq_programs::asset_names::{self, OF_ROUTE};
use lotmq_programs::policies::Policies;
use lotmq_programs::route_modules::named;
use lotmq_programs::routes::status::Connection;
use lotmq_programs::{DeployError, Hosting};

/// Kind of an asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AssetKind {
    Route,
    /// Uploaded module.
    Module,
    /// Installed instance of a module.
    Instance,
}

impl AssetKind {
    fn word(self) -> &'static str {
        match self {
            Self::Route => "route",
            Self::Module => "module",
            Self::Instance => "instance",
        }
    }
}

/// Asset, by its name and that of its definition.
#[derive(Clone, Debug)]
pub(crate) struct Asset {
    pub(crate) kind: AssetKind,
    /// Name as an asset; see [`asset_names`].
    pub(crate) name: String,
    /// Name of the route or the module.
    pub(crate) definition: Arc<str>,
}

impl Asset {
    /// Finds an asset by its name.
    pub(crate) fn find(tenant: &Tenant, name: &str) -> Option<Asset> {
        let guests = &tenant.programs().guests;
        let route = name.strip_prefix(OF_ROUTE).unwrap_or(name);
        let known = |kind, name: &str| {
            let registry = guests.registry.read();
            registry.get(kind, name).map(|known| Arc::clone(known.name()))
        };
        if let Some(module) = known(DefinitionKind::Module, name) {
            return Some(Self::of_module(tenant, module));
        }
        if tenant.managed().assets.instance(name).is_some() {
            // Its package could not be restored.
            return Some(Asset { kind: AssetKind::Instance, name: name.to_owned(), definition: name.into() });
        }
        let definition = known(DefinitionKind::Route, route)?;
        Some(Asset { kind: AssetKind::Route, name: asset_names::of_route(guests, &definition), definition })
    }

    fn of_module(tenant: &Tenant, definition: Arc<str>) -> Asset {
        let is_instance = tenant.managed().assets.instance(&definition).is_some();
        let kind = if is_instance { AssetKind::Instance } else { AssetKind::Module };
        Asset { kind, name: definition.as_ref().to_owned(), definition }
    }

    /// All assets: modules and instances by name, then routes in the order of their deployment.
    pub(crate) fn all(tenant: &Tenant) -> Vec<Asset> {
        let guests = &tenant.programs().guests;
        let names = |kind| -> Vec<Arc<str>> {
            let registry = guests.registry.read();
            registry.list(kind).map(|known| Arc::clone(known.name())).collect()
        };
        let mut modules = names(DefinitionKind::Module);
        modules.extend(tenant.managed().assets.instances().into_iter().map(|(name, _)| name));
        modules.sort_unstable();
        modules.dedup();
        let modules = modules.into_iter().map(|name| Self::of_module(tenant, name));
        let routes = names(DefinitionKind::Route).into_iter().map(|name| Asset {
            kind: AssetKind::Route,
            name: asset_names::of_route(guests, &name),
            definition: name,
        });
        modules.chain(routes).collect()
    }

    /// Kind of its definition.
    pub(crate) fn definition_kind(&self) -> DefinitionKind {
        match self.kind {
            AssetKind::Route => DefinitionKind::Route,
            AssetKind::Module | AssetKind::Instance => DefinitionKind::Module,
        }
    }

    /// Topic of its status.
    pub(crate) fn topic(&self) -> String {
        asset_names::topic_of(&self.name)
    }

    /// Definition that it is.
    pub(crate) fn known(&self, tenant: &Tenant) -> Option<Arc<Definition>> {
        let registry = tenant.programs().guests.registry.read();
        registry.get(self.definition_kind(), &self.definition).cloned()
    }

    /// Policies of the asset.
    pub(crate) fn policies(&self, tenant: &Tenant) -> Policies {
        match self.kind {
            AssetKind::Route => tenant.programs().guests.route_orders.get(&self.definition).policies.clone(),
            AssetKind::Module | AssetKind::Instance => {
                let assets = &tenant.managed().assets;
                assets.get(&self.definition).map(|record| assets.effective(&record)).unwrap_or_default()
            }
        }
    }

    /// Module whose bytes it runs; `None` of a route.
    pub(crate) fn package(&self, tenant: &Tenant) -> Option<Arc<Module>> {
        let managed = tenant.managed();
        match self.kind {
            AssetKind::Route => None,
            AssetKind::Module => managed.modules.get(&self.definition),
            AssetKind::Instance => managed.modules.get(&managed.assets.instance(&self.definition)?.package),
        }
    }

    fn status(&self, tenant: &Tenant) -> AssetStatus {
        match self.kind {
            AssetKind::Route => self.of_route(tenant),
            AssetKind::Module | AssetKind::Instance => self.of_code(tenant),
        }
    }

    /// Name of what it runs: a module, or a type of routes.
    pub(crate) fn package_name(&self, tenant: &Tenant) -> String {
        self.status(tenant).package
    }

    /// The user whose it is: of a route, or of what runs its code.
    pub(crate) fn owner(&self, tenant: &Tenant) -> Option<Owner> {
        self.known(tenant)?.owner().cloned()
    }

    /// Status: data of `-list`, and payload of its topic.
    pub(crate) fn info(&self, tenant: &Tenant, now_ms: u64) -> Value {
        let status = self.status(tenant);
        let seen_ms = tenant.managed().assets.sees(&self.name, status.state, now_ms);
        // Assets that report no time get the time at which their state was first seen.
        let since_ms = status.since_ms.unwrap_or(seen_ms);
        let mut info = json!({
            "name": self.name,
            "package": status.package,
            "version": status.version,
            "world": status.world,
            "kind": self.kind.word(),
            "state": status.state,
            "since": utc_text(since_ms),
            "restarts": status.restarts,
            "lastError": status.last_error,
            "lastErrorIsOver": status.last_error_is_over,
            "policies": self.policies(tenant).without_kept(),
        });
        if status.refused_by_policy > 0 {
            info["refusedByPolicy"] = status.refused_by_policy.into();
        }
        info
    }

    /// Whether it runs, and nothing is known to be wrong with it: who orders it to run has nothing
    /// done.
    pub(crate) fn runs_well(&self, tenant: &Tenant) -> bool {
        let is_well = match self.kind {
            AssetKind::Route => {
                let route = tenant.programs().guests.route(&self.definition);
                route.is_some_and(|route| route.status().trouble().is_none())
            }
            AssetKind::Module | AssetKind::Instance => true,
        };
        is_well && self.status(tenant).state == "running"
    }

    fn of_route(&self, tenant: &Tenant) -> AssetStatus {
        let guests = &tenant.programs().guests;
        let known = self.known(tenant);
        let facts = known.as_ref().and_then(|known| known.facts().route.as_deref());
        let module = facts.and_then(named);
        let (package, version) = match module {
            Some(module) => (module.to_owned(), version_of(tenant, module)),
            None => {
                let kind = facts.map(|route| route.kind.clone()).unwrap_or_default();
                (kind, env!("CARGO_PKG_VERSION").to_owned())
            }
        };
        let world = World::Route.name();
        let status = |state, restarts, last_error| AssetStatus {
            package: package.clone(),
            version: version.clone(),
            world,
            state,
            since_ms: None,
            restarts,
            last_error,
            last_error_is_over: false,
            refused_by_policy: 0,
        };
        let Some(route) = guests.route(&self.definition) else {
            let is_stopped = guests.route_orders.get(&self.definition).is_stopped;
            let reason = known.and_then(|known| last_error(&known));
            return status(if is_stopped { "stopped" } else { "failed" }, 0, reason);
        };
        let stands = route.status();
        let state = match stands.connection() {
            _ if stands.is_stopped() => "stopped",
            _ if route.stands_still() => "failed",
            Connection::Connected => "running",
            Connection::Connecting | Connection::Reconnecting | Connection::Disconnected => "starting",
        };
        let last_error = stands.last_error().map(str::to_owned);
        let refused_by_policy = stands.deliveries.refused_by_policy;
        AssetStatus {
            refused_by_policy,
            since_ms: u64::try_from(stands.since().as_millisecond()).ok(),
            last_error_is_over: stands.last_error_is_over(),
            ..status(state, stands.deliveries.restarts, last_error)
        }
    }

    fn of_code(&self, tenant: &Tenant) -> AssetStatus {
        let guests = &tenant.programs().guests;
        let instance = tenant.managed().assets.instance(&self.definition);
        let package = instance.as_ref().map_or(&self.definition, |instance| &instance.package);
        let module = tenant.managed().modules.get(package);
        let known = self.known(tenant);
        let (restarts, has_failed) = match guests.route_modules.get(&self.definition) {
            Some((_, figures)) => (figures.traps.load(Relaxed), figures.have_failed()),
            None => match guests.deciding_modules.rules.figures(&self.definition) {
                Some(figures) => (figures.traps.load(Relaxed), figures.have_failed()),
                None => (0, false),
            },
        };
        let runner = known.as_ref().and_then(|known| guests.runner(known.id));
        let (restarts, running) = match runner.as_ref().map(|runner| (runner.metrics().traps, runner.state()))
        {
            Some((traps, RunnerState::Failed(_) | RunnerState::Closed)) => (traps, "failed"),
            Some((traps, RunnerState::Compiling | RunnerState::Pausing(_))) => (traps, "starting"),
            Some((traps, RunnerState::Enabled)) => (traps, "running"),
            None if has_failed => (restarts, "failed"),
            None => (restarts, "running"),
        };
        let state = match &known {
            None => "failed",
            Some(known) => match guests.registry.read().state(known.id) {
                Some(State::Disabled) => "stopped",
                Some(State::Compiling) => "starting",
                Some(State::Error) => "failed",
                Some(State::Running | State::Pending) | None => running,
            },
        };
        AssetStatus {
            package: package.as_ref().to_owned(),
            version: module.as_ref().map(|module| module.options.version.clone()).unwrap_or_default(),
            world: module.as_ref().map_or("", |module| module.world.name()),
            state,
            since_ms: None,
            restarts,
            last_error_is_over: false,
            last_error: match &known {
                None => Some(format!("module '{package}' could not be restored")),
                Some(known) => last_error(known),
            },
            refused_by_policy: tenant.programs().restricted.refused(&self.definition),
        }
    }
}

/// How an asset stands.
struct AssetStatus {
    package: String,
    version: String,
    world: &'static str,
    state: &'static str,
    /// Since when, where that is known.
    since_ms: Option<u64>,
    restarts: u64,
    last_error: Option<String>,
    last_error_is_over: bool,
    /// Messages that its policies refused.
    refused_by_policy: u64,
}

fn last_error(definition: &Definition) -> Option<String> {
    definition.activity.last_error().map(|error| error.message)
}

/// Version of a module, or of the one that an instance is of.
fn version_of(tenant: &Tenant, name: &str) -> String {
    let managed = tenant.managed();
    let instance = managed.assets.instance(name);
    let module = managed.modules.get(instance.as_ref().map_or(name, |instance| &instance.package));
    module.map(|module| module.options.version.clone()).unwrap_or_default()
}

/// Instance of a module as a module of its own: what its package was granted, with the instance's
/// name, configuration and owner.
pub(crate) fn as_module(package: &Module, name: &str, instance: &InstanceRecord) -> Module {
    Module {
        name: name.into(),
        options: ModuleOptions {
            is_disabled: instance.is_stopped,
            config: instance.config.clone(),
            ..package.options.clone()
        },
        owner: instance.owner.clone(),
        installed_at_ms: instance.installed_at_ms,
        ..package.clone()
    }
}

/// Makes native code of an instance.
///
/// # Errors
/// [`DeployError`].
pub(crate) fn compile(
    (tenant, hosting): (&Tenant, &Hosting),
    package: &Module,
    name: &str,
    record: &AssetRecord,
) -> Result<CompiledModule, DeployError> {
    let module = match &record.instance {
        Some(instance) => as_module(package, name, instance),
        None => package.clone(),
    };
    modules::compile_stored((tenant, hosting), module, &tenant.managed().assets.effective(record))
}

/// Puts an asset that is a module or an instance of one to work, or in the place of what has its
/// name.
///
/// # Errors
/// [`DeployError`]; what was there runs on.
pub(crate) fn arm(
    tenant: &Arc<Tenant>,
    hosting: &Arc<Hosting>,
    compiled: CompiledModule,
    batch: &mut Batch,
) -> Result<(), DeployError> {
    lotmq_programs::install(tenant, hosting, compiled.into_definition(), batch).map(drop)
}

/// Starts the installed instances of modules, at a start. The stored data of an instance stays,
/// even if the instance fails.
pub fn restore(hosting: &Arc<Hosting>, tenants: &[Arc<Tenant>]) {
    for tenant in tenants {
        for (name, record) in tenant.managed().assets.instances() {
            let is_there =
                tenant.programs().guests.registry.read().get(DefinitionKind::Module, &name).is_some();
            let package = record.instance.as_ref().map(|instance| &instance.package);
            let package = package.and_then(|package| tenant.managed().modules.get(package));
            let Some(package) = package.filter(|_| !is_there) else { continue };
            let compiled = compile((tenant, hosting), &package, &name, &record);
            // It is stored already: what installing would write is dropped.
            let armed = compiled.and_then(|compiled| arm(tenant, hosting, compiled, &mut Batch::new()));
            if let Err(reason) = armed {
                error!(tenant = &*tenant.name, definition = &*name, kind = "asset", %reason, "definition not restored");
            }
        }
    }
}

/// Tells of instances whose package is not there, once all was restored.
pub fn tell_lost(tenants: &[Arc<Tenant>]) {
    for tenant in tenants {
        for (name, _) in tenant.managed().assets.instances() {
            if tenant.programs().guests.registry.read().get(DefinitionKind::Module, &name).is_none() {
                warn!(
                    tenant = &*tenant.name,
                    definition = &*name,
                    kind = "asset",
                    "asset without its module"
                );
            }
        }
    }
}
