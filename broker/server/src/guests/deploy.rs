//! Deploying and removing definitions: from text or a component to something that runs.
//!
//! The order is: compile, load, store, arm. A definition that does not compile or load changes nothing; what was there runs on.

use std::sync::Arc;

use lot_to_wasm::check::{Callee, Known};
use lotmq_definitions::{
    Changed, Definition, DefinitionKind, InstallError, Installed, NewDefinition, NotFound, OnExisting,
    Removed,
};
use lotmq_host::{
    Acting, AfterTraps, Grants, Guest, GuestLimits, LoadError, MailboxOptions, OwnedEvent, RunnerSpec, World,
};
use lotmq_store::{Batch, DefinitionRow, Op};
use tracing::warn;

use super::prepared::Loader;
use super::services::TenantServices;
use super::sink::host_id;
use super::{Guests, views};
use crate::guests::HasPrograms as _;
use crate::guests::hosting::Hosting;
use lotmq_core::tenant::Tenant;

/// Compiled definition that is to be deployed.
#[derive(Clone)]
pub(crate) struct Deployment {
    pub(crate) new: NewDefinition,
    pub(crate) guest: Guest,
    pub(crate) grants: Grants,
    pub(crate) limits: GuestLimits,
    pub(crate) after_traps: AfterTraps,
    pub(crate) existing: OnExisting,
}

/// Reason why a definition was not deployed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeployError {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Install(#[from] InstallError),
    /// A rule whose scope this broker does not know.
    #[error("the rule has no scope that this broker knows")]
    NoScope,
    /// No guest of this build runs routes of this type (routes reference §1.8).
    #[error("Route type '{kind}' is not available in this build.")]
    RouteType { kind: String },
    #[error("guests are not available: the broker is stopping")]
    Stopping,
}

/// Result of deploying.
pub(crate) type Deployed = Installed;

impl Known for Guests {
    fn action(&self, name: &str) -> Callee {
        let registry = self.registry.read();
        let Some(action) = registry.get(DefinitionKind::Action, name) else { return Callee::Unknown };
        action.facts().callable.clone().map_or(Callee::Triggered, Callee::Callable)
    }

    fn model_source(&self, name: &str) -> Option<Arc<str>> {
        let registry = self.registry.read();
        registry.get(DefinitionKind::Model, name).map(|model| Arc::clone(&model.deployed.source))
    }

    fn route_events(&self, name: &str) -> Option<Vec<String>> {
        let registry = self.registry.read();
        let route = registry.get(DefinitionKind::Route, name)?.facts().route.as_deref()?;
        Some(route.events.iter().map(|event| event.name.clone()).collect())
    }
}

impl Guests {
    /// Loads the component that the LoT compiler made of an Action or Model.
    ///
    /// # Errors
    /// [`DeployError::Load`] when the host refuses it, which is a fault of ours.
    pub(crate) fn load(
        loader: Loader<'_>,
        component: &[u8],
        new: NewDefinition,
        existing: OnExisting,
    ) -> Result<Deployment, DeployError> {
        let (world, grants) = if new.kind == DefinitionKind::Model {
            (World::Model, Grants::model())
        } else {
            (World::Action, Grants::action())
        };
        let _permit = loader.compiles.permit(component.len());
        let guest = loader.engine.compile(component, world, lotmq_host::ComponentSource::Compiler)?;
        Ok(Deployment {
            new,
            guest,
            grants,
            limits: GuestLimits::default(),
            after_traps: AfterTraps::Restart,
            existing,
        })
    }

    /// Arms a definition and gives it a runner; a former version's mailbox goes on with the new code, unless it was somebody else's. What it needs
    /// to survive is added to `batch`.
    ///
    /// # Errors
    /// [`DeployError::Install`]; nothing has changed then.
    pub(crate) fn deploy(
        tenant: &Arc<Tenant>,
        hosting: &Arc<Hosting>,
        deployment: Deployment,
        batch: &mut Batch,
    ) -> Result<Deployed, DeployError> {
        let guests = &tenant.programs().guests;
        let executor = hosting.executor.lock();
        let executor = executor.as_ref().ok_or(DeployError::Stopping)?;
        let mut registry = guests.registry.write();
        let now = hosting.definitions_now();
        let installed = registry.install(deployment.new, deployment.existing, now)?;
        let definition = &installed.definition;
        let is_pure = definition.facts().is_pure();
        let services = Arc::new(TenantServices::new(tenant, hosting, definition));
        let acting = Acting { version: definition.version, account: definition.shared_account() };
        let grants = Arc::new(Grants { acting, ..deployment.grants });
        let mut runners = guests.runners.write();
        match runners.get(&definition.id) {
            Some(runner) => {
                runner.replace(deployment.guest, services, grants, deployment.limits, is_pure);
            }
            None => {
                let runner = executor.add(RunnerSpec {
                    id: host_id(tenant, definition.id),
                    name: Arc::clone(definition.name()),
                    tenant: tenant.number,
                    guest: deployment.guest,
                    services,
                    grants,
                    limits: deployment.limits,
                    mailbox: MailboxOptions::default(),
                    after_traps: deployment.after_traps,
                    is_pure,
                });
                runners.insert(definition.id, runner);
            }
        }
        drop(runners);
        if definition.kind() != DefinitionKind::Module {
            batch.push(Op::PutDefinition(&row(tenant, definition)));
        }
        drop(registry);
        guests.end_taken_over(hosting, &installed);
        guests.settle(tenant, hosting, &installed.changed);
        Ok(installed)
    }

    /// Ends the runner that an installation took over from another owner: waiting events were meant for his definition, and came under his rights.
    pub(super) fn end_taken_over(&self, hosting: &Hosting, installed: &Installed) {
        let id = installed.definition.id;
        let Some(taken_over) = installed.replaced.as_deref().filter(|former| former.id != id) else { return };
        let dropped = self.end(taken_over);
        if dropped > 0 {
            hosting.counters.guest_events_dropped.add(dropped);
            let definition = &**taken_over.name();
            warn!(
                definition,
                dropped, "events that waited were dropped: another user has taken the definition over"
            );
        }
    }

    /// Ends the runner of a definition that is not in the registry any more; returns the number of events that waited for it.
    fn end(&self, definition: &Definition) -> u64 {
        let runner = self.runners.write().remove(&definition.id);
        let route = self.routes.write().remove(&definition.id);
        let waited = route.map_or(0, |route| route.close()) + runner.map_or(0, |runner| runner.close());
        self.waiting.removed(definition.id);
        waited as u64
    }

    /// Removes a definition; what waits for it is dropped.
    ///
    /// # Errors
    /// [`NotFound`].
    pub(crate) fn remove(
        tenant: &Arc<Tenant>,
        hosting: &Arc<Hosting>,
        kind: DefinitionKind,
        name: &str,
        batch: &mut Batch,
    ) -> Result<Removed, NotFound> {
        let guests = &tenant.programs().guests;
        let mut registry = guests.registry.write();
        let removed = registry.remove(kind, name, hosting.definitions_now())?;
        if kind == DefinitionKind::Rule {
            tenant.permissions.remove(name);
        }
        drop(registry);
        guests.end(&removed.definition);
        if kind != DefinitionKind::Module {
            batch.push(Op::DeleteDefinition { tenant: tenant.id, kind: kind_name(kind), name });
        }
        guests.settle(tenant, hosting, &removed.changed);
        Ok(removed)
    }

    /// Adds to `batch` that the definitions of `user` belong to nobody.
    pub(crate) fn store_without_owner(&self, tenant: &Tenant, user: &str, batch: &mut Batch) {
        for definition in self.registry.read().of_owner(user) {
            if let Some(row) = self.stored(tenant, definition) {
                batch.push(Op::PutDefinition(&DefinitionRow { owner: String::new(), ..row }));
            }
        }
    }

    /// Stored form of a definition; `None` for one without a row of its own here, as a module.
    pub(crate) fn stored(&self, tenant: &Tenant, definition: &Definition) -> Option<DefinitionRow> {
        if views::view(definition).is_some() {
            return Some(views::stored(tenant, definition));
        }
        if definition.kind() == DefinitionKind::Module {
            return None;
        }
        let of_rule = definition.facts().rule.as_ref();
        let state = of_rule.and_then(|facts| serde_json::to_vec(facts).ok()).unwrap_or_default();
        Some(DefinitionRow { state, ..row(tenant, definition) })
    }

    /// Takes the owner off the definitions of `user`, so that they do not belong to the next user of that name.
    pub(crate) fn disown(&self, user: &str) {
        self.registry.read().of_owner(user).for_each(|definition| definition.disown());
    }

    /// Arms definitions that waited for a script, or makes those that call it wait.
    pub(crate) fn script_is_there(tenant: &Tenant, hosting: &Hosting, name: &str, is_there: bool) {
        let now = hosting.definitions_now();
        let changed = tenant.programs().guests.registry.write().set_script(name, is_there, now);
        tenant.programs().guests.settle(tenant, hosting, &changed);
    }

    /// Makes a change visible to the rest of the broker: routes, timers, `ON START`.
    pub(crate) fn settle(&self, tenant: &Tenant, hosting: &Hosting, changed: &Changed) {
        tenant.routes_changed();
        hosting.housekeeping.wake();
        self.post(&changed.starts, &OwnedEvent::Start);
    }
}

/// Name of a kind in the store.
pub(crate) fn kind_name(kind: DefinitionKind) -> &'static str {
    match kind {
        DefinitionKind::Action => "action",
        DefinitionKind::Model => "model",
        DefinitionKind::Rule => "rule",
        DefinitionKind::Route => "route",
        DefinitionKind::Module => "module",
        DefinitionKind::Theme => "theme",
        DefinitionKind::Panel => "panel",
    }
}

pub(super) fn row(tenant: &Tenant, definition: &Definition) -> DefinitionRow {
    let deployed = &definition.deployed;
    DefinitionRow {
        tenant: tenant.id,
        kind: kind_name(deployed.kind).into(),
        name: deployed.name.as_ref().into(),
        source: deployed.source.as_ref().into(),
        owner: definition.owner().map(|owner| owner.name.as_ref().to_owned()).unwrap_or_default(),
        origin: serde_json::to_string(&deployed.origin).expect("an origin is text and numbers"),
        order: definition.order,
        changed_at_ms: u64::try_from(deployed.installed_at.as_millisecond()).unwrap_or_default(),
        state: Vec::new(),
    }
}
