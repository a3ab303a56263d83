//! Installation of compiled definitions, and their removal: the second half of deploying one, which
//! is the change.
//!
//! Every kind takes the same steps: into the registry, to what runs it, into the batch for the
//! store, and then everybody hears of it. Nothing has changed when the registry refuses; what was
//! there runs on. The first half is [`compile`](super::compile).

use std::sync::Arc;

use lotmq_auth::Rule;
use lotmq_changes::{Batch, DefinitionRow, Op};
use lotmq_definitions::{
    Changed, Definition, DefinitionKind, Installed, NewDefinition, NotFound, Now, Owner, Removed, ValueKeeper,
};
use lotmq_host::{Acting, CompilingSpec, Executor, Grants, MailboxOptions, OwnedEvent, RunnerSpec};
use tracing::warn;

use super::cold_start::Pass;
use super::compile::{Code, CodeToCome, CompiledDefinition, CompiledProgram, DeployError, ExecutorCode};
use super::guest_id::guest_id;
use super::policy_enforcement::PolicyTopics;
use super::routes::RouteCode;
use super::scripts::{CompiledScript, ScriptError};
use super::services::TenantServices;
use super::{Guests, authority, outboxes, rights, rules};
use crate::HasPrograms as _;
use crate::hosting::Hosting;
use lotmq_core::tenant::Tenant;

/// Installs a definition, puts it in force, and rebuilds the models that are made of it. Adds the
/// changes for the store to `batch`.
///
/// # Errors
/// [`DeployError`]; nothing has changed then.
pub fn install(
    tenant: &Arc<Tenant>,
    hosting: &Arc<Hosting>,
    compiled: CompiledDefinition,
    batch: &mut Batch,
) -> Result<Installed, DeployError> {
    let installed = install_alone(tenant, hosting, compiled, batch)?;
    if installed.definition.kind() == DefinitionKind::Model {
        Guests::rebuild_models(tenant, hosting, installed.definition.name());
    }
    Ok(installed)
}

impl CompiledProgram {
    /// Installs a definition or a script; returns `None` for a script. Adds the changes for the
    /// store to `batch`.
    ///
    /// # Errors
    /// [`DeployError`]; nothing has changed then.
    pub fn install(
        self,
        tenant: &Arc<Tenant>,
        hosting: &Arc<Hosting>,
        batch: &mut Batch,
    ) -> Result<Option<Installed>, DeployError> {
        match self {
            CompiledProgram::Definition(compiled) => install(tenant, hosting, *compiled, batch).map(Some),
            CompiledProgram::Script(compiled) => {
                install_script(tenant, hosting, *compiled, batch)?;
                Ok(None)
            }
        }
    }
}

/// Installs a script or replaces the one of that name. Arms the definitions that waited for it and
/// adds the changes for the store to `batch`.
///
/// # Errors
/// If there are too many scripts, or another user owns it; nothing has changed then.
pub fn install_script(
    tenant: &Tenant,
    hosting: &Hosting,
    compiled: CompiledScript,
    batch: &mut Batch,
) -> Result<(), ScriptError> {
    let name = compiled.name.clone();
    tenant.programs().scripts.install(tenant, compiled, batch)?;
    Guests::script_is_there(tenant, hosting, &name, true);
    Ok(())
}

/// Installs a definition as [`install`] does, and leaves models alone that are made of it.
///
/// # Errors
/// As [`install`].
pub(super) fn install_alone(
    tenant: &Arc<Tenant>,
    hosting: &Arc<Hosting>,
    compiled: CompiledDefinition,
    batch: &mut Batch,
) -> Result<Installed, DeployError> {
    let is_never_run = match &compiled.code {
        Code::View | Code::AuthModule(_) => true,
        Code::Compiling(to_come) => matches!(**to_come, CodeToCome::Named),
        Code::Executor(_) | Code::Route(_) | Code::RouteModule(_) | Code::Rule(_) | Code::RuleModule(_) => {
            false
        }
    };
    let is_for_routes = matches!(compiled.code, Code::RouteModule(_));
    let (installed, rule) = put(tenant, hosting, compiled, batch)?;
    let guests = &tenant.programs().guests;
    if let Some(rule) = rule {
        tenant.permissions.put(vec![rule]);
        guests.rights_changed(tenant);
    }
    guests.end_taken_over(tenant, hosting, &installed, batch);
    if is_for_routes {
        guests.module_changed(installed.definition.name());
    }
    // No message leads to a Panel, a Theme or a module for logins: the routes of topics stay as
    // they are.
    if !is_never_run {
        guests.settle(tenant, hosting, &installed.changed);
    }
    Ok(installed)
}

/// Puts a definition into the registry, to what runs it, and into `batch`. A Rule takes part in
/// decisions once what is returned with it is [`put`](lotmq_auth::Rulebook::put) into the rulebook.
///
/// # Errors
/// As [`install`].
pub fn put(
    tenant: &Arc<Tenant>,
    hosting: &Arc<Hosting>,
    compiled: CompiledDefinition,
    batch: &mut Batch,
) -> Result<(Installed, Option<Rule>), DeployError> {
    check_share(tenant, &compiled.new)?;
    let guests = &tenant.programs().guests;
    // Held until the definition has its runner, so that no executor ends meanwhile.
    let executor = compiled.code.needs_executor().then(|| hosting.executor.lock());
    let executor = executor.as_deref().map(|executor| executor.as_ref().ok_or(DeployError::Stopping));
    let executor = executor.transpose()?;
    let now = hosting.definitions_now();
    let mut registry = guests.registry.write();
    let installed = registry.install(compiled.new, compiled.existing, now)?;
    guests.clear_taken_over(tenant, &installed, registry.is_loading(), batch);
    let definition = &installed.definition;
    // Before anybody can see it.
    if compiled.is_disabled {
        let known = registry.set_disabled(definition.kind(), definition.name(), true, now);
        debug_assert!(known.is_ok(), "it was installed");
    }
    if compiled.code.is_to_come() {
        registry.set_compiling(definition.id);
    }
    match definition.kind() {
        DefinitionKind::Module => tenant.programs().manifests.put(definition.name(), compiled.asked),
        DefinitionKind::Route => {
            guests.route_orders.claim(tenant.id, definition.name(), definition.owner(), batch);
        }
        DefinitionKind::Action
        | DefinitionKind::Model
        | DefinitionKind::Rule
        | DefinitionKind::Panel
        | DefinitionKind::Theme => {}
    }
    let rule = put_code(tenant, (hosting, now), executor, definition, compiled.code);
    if let Some(row) = row(tenant, definition) {
        batch.push(Op::PutDefinition(&row));
    }
    Ok((installed, rule))
}

/// Puts the code of a definition to what runs it; what is returned is its part of the rulebook.
fn put_code(
    tenant: &Arc<Tenant>,
    (hosting, now): (&Arc<Hosting>, Now),
    executor: Option<&Executor>,
    definition: &Arc<Definition>,
    code: Code,
) -> Option<Rule> {
    const NO_EXECUTOR: &str = "it is there for what it runs";
    let guests = &tenant.programs().guests;
    match code {
        Code::Executor(code) => arm(tenant, hosting, executor.expect(NO_EXECUTOR), definition, *code),
        Code::Route(code) => outboxes::arm(tenant, (hosting, now.wall), definition, code),
        Code::RouteModule(module) => guests.route_modules.put(definition.name(), *module),
        Code::RuleModule(code) => guests.deciding_modules.rules.put(tenant, hosting, definition, *code),
        Code::Rule(guest) => return Some(rules::of_guest(tenant, hosting, definition, guest)),
        Code::Compiling(to_come) => match *to_come {
            CodeToCome::Executor { restricted } => {
                arm_without_code(tenant, hosting, executor.expect(NO_EXECUTOR), definition, restricted);
            }
            CodeToCome::Rule => {
                let facts = definition.facts().rule.clone();
                return Some(rules::substitute(definition.name(), facts));
            }
            CodeToCome::Named => {}
        },
        Code::AuthModule(code) => guests.deciding_modules.logins.put(definition, *code),
        Code::View => {}
    }
    None
}

/// Puts native code into a definition of a start: the first, or optimised code in the place of
/// that. Nothing happens where it was removed or replaced meanwhile. The caller holds the lock of
/// changes.
///
/// # Errors
/// [`DeployError::Stopping`].
pub(super) fn complete(
    tenant: &Arc<Tenant>,
    hosting: &Arc<Hosting>,
    (waiting, pass): (&Definition, Pass),
    code: Code,
) -> Result<(), DeployError> {
    let guests = &tenant.programs().guests;
    let executor = code.needs_executor().then(|| hosting.executor.lock());
    let executor = executor.as_deref().map(|executor| executor.as_ref().ok_or(DeployError::Stopping));
    let executor = executor.transpose()?;
    let mut registry = guests.registry.write();
    if pass != Pass::Second && !registry.set_compiled(waiting.id, waiting.version) {
        return Ok(());
    }
    let known = registry.by_id(waiting.id).filter(|known| known.version == waiting.version).cloned();
    let Some(definition) = known else { return Ok(()) };
    let now = hosting.definitions_now();
    let rule = put_code(tenant, (hosting, now), executor, &definition, code);
    drop(registry);
    if let Some(rule) = rule {
        tenant.permissions.put(vec![rule]);
        guests.rights_changed(tenant);
    }
    if definition.kind() == DefinitionKind::Module {
        guests.module_changed(definition.name());
    }
    Ok(())
}

/// Has a route of a start work with the guest of its type, which has been compiled. The caller
/// holds the lock of changes.
pub(super) fn complete_route(tenant: &Tenant, waiting: &Definition) {
    let guests = &tenant.programs().guests;
    if guests.registry.write().set_compiled(waiting.id, waiting.version) {
        guests.reopen_route(waiting.id);
    }
}

/// Stops a definition of a start whose native code cannot be made, and drops what waits for it.
/// False where it was removed or replaced meanwhile. The caller holds the lock of changes.
pub(super) fn give_up(tenant: &Tenant, hosting: &Hosting, waiting: &Definition, reason: &str) -> bool {
    let guests = &tenant.programs().guests;
    let now = hosting.definitions_now();
    let version = (waiting.id, waiting.version);
    let Some(changed) = guests.registry.write().set_not_compiled(version, reason, now) else { return false };
    let runner = guests.runners.write().remove(&waiting.id);
    hosting.core.counters.guest_events_dropped.add(runner.map_or(0, |runner| runner.close()) as u64);
    guests.waiting.removed(waiting.id);
    guests.module_changed(waiting.name());
    guests.settle(tenant, hosting, &changed);
    true
}

/// Rejects a definition that exceeds the quota of its owner, unless the owner is an administrator.
fn check_share(tenant: &Tenant, new: &NewDefinition) -> Result<(), DeployError> {
    // Rules are asked without the lock, for they may look at definitions.
    let Err(refused) = tenant.programs().guests.registry.read().check_share(new) else { return Ok(()) };
    let identity = new.owner.as_ref().and_then(|owner| authority::identity(&tenant.users, owner));
    if identity.is_some_and(|identity| tenant.is_administrator(&identity)) {
        return Ok(());
    }
    Err(refused.into())
}

/// Gives a definition its runner; the mailbox of a former version goes on with the new code, unless
/// it was somebody else's.
fn arm(
    tenant: &Arc<Tenant>,
    hosting: &Arc<Hosting>,
    executor: &Executor,
    definition: &Arc<Definition>,
    code: ExecutorCode,
) {
    let ExecutorCode { guest, grants, limits, restricted } = code;
    if definition.kind() == DefinitionKind::Module {
        tenant.programs().restricted.put(definition, restricted);
    }
    let is_pure = definition.facts().is_pure();
    let services = Arc::new(TenantServices::new(tenant, hosting, definition));
    let acting = Acting { version: definition.version, account: definition.shared_account() };
    let grants = Arc::new(Grants { acting, ..grants });
    let mut runners = tenant.programs().guests.runners.write();
    if let Some(runner) = runners.get(&definition.id) {
        runner.replace(guest, services, grants, limits, is_pure);
        return;
    }
    let runner = executor.add(RunnerSpec {
        id: guest_id(tenant, definition.id),
        name: Arc::clone(definition.name()),
        tenant: tenant.number,
        guest,
        services,
        grants,
        limits,
        mailbox: MailboxOptions::default(),
        is_pure,
    });
    runners.insert(definition.id, runner);
}

/// Gives a definition the mailbox in which events wait until its code is there.
fn arm_without_code(
    tenant: &Tenant,
    hosting: &Hosting,
    executor: &Executor,
    definition: &Arc<Definition>,
    restricted: Option<PolicyTopics>,
) {
    if definition.kind() == DefinitionKind::Module {
        tenant.programs().restricted.put(definition, restricted);
    }
    let spec = CompilingSpec {
        id: guest_id(tenant, definition.id),
        name: Arc::clone(definition.name()),
        tenant: tenant.number,
        account: definition.account(),
        mailbox: MailboxOptions::default(),
    };
    let runner = executor.add_compiling(spec, &hosting.engine);
    tenant.programs().guests.runners.write().insert(definition.id, runner);
}

impl Code {
    /// Whether the executor runs it.
    fn needs_executor(&self) -> bool {
        match self {
            Code::Executor(_) => true,
            Code::Compiling(to_come) => matches!(**to_come, CodeToCome::Executor { .. }),
            Code::Route(_)
            | Code::RouteModule(_)
            | Code::Rule(_)
            | Code::RuleModule(_)
            | Code::View
            | Code::AuthModule(_) => false,
        }
    }

    /// Whether it is still being compiled.
    fn is_to_come(&self) -> bool {
        match self {
            Code::Compiling(_) => true,
            Code::Route(RouteCode::Own(guest)) => guest.get().is_none(),
            Code::Route(RouteCode::Module(_))
            | Code::Executor(_)
            | Code::RouteModule(_)
            | Code::Rule(_)
            | Code::RuleModule(_)
            | Code::View
            | Code::AuthModule(_) => false,
        }
    }
}

impl Guests {
    /// Removes the state of a definition that an installation took over from another owner, before
    /// the new code runs.
    fn clear_taken_over(&self, tenant: &Tenant, installed: &Installed, is_loading: bool, batch: &mut Batch) {
        let id = installed.definition.id;
        if installed.replaced.is_some() {
            self.kept_errors.forget(&self.values, &installed.definition);
        }
        if let Some(taken_over) = installed.replaced.as_deref().filter(|former| former.id != id) {
            outboxes::forget(tenant, self, taken_over, batch);
            self.clear_state(tenant, taken_over, batch);
            self.metrics.clear(taken_over.id);
            self.lines.history.clear(taken_over.id);
        }
        if installed.definition.kind() != DefinitionKind::Model {
            return;
        }
        match installed.replaced.as_deref() {
            // Clears the memory of every keeper: the former owner may be a removed user with the
            // name of the new one.
            Some(former) if former.id != id => self.clear_memory(tenant, former.name(), |_| true, batch),
            // At a start that was done before, of what is known to be others' (`kept_claims`).
            None if is_loading => {}
            Some(_) => {}
            None => {
                let owner = ValueKeeper::of(&installed.definition).user;
                self.clear_memory(tenant, installed.definition.name(), |user| user != owner, batch);
            }
        }
    }

    /// Removes the memory that models of this name keep for the chosen owners. The memory outlives
    /// its model and belongs to the user who kept it as long as that user exists.
    fn clear_memory(
        &self,
        tenant: &Tenant,
        model: &str,
        is_chosen: impl Fn(Option<&Owner>) -> bool,
        batch: &mut Batch,
    ) {
        let memory = rights::memory_of_model(model);
        self.clear_chosen(tenant, |topic, user| topic.starts_with(&memory) && is_chosen(user), batch);
    }

    /// Removes the memory that removed models kept for a removed user. The next user of that name
    /// is another person. Existing models lose their owner, and their memory goes with them.
    pub fn clear_memory_of_removed(&self, tenant: &Tenant, user: &str, batch: &mut Batch) {
        let registry = self.registry.read();
        let is_left = |topic: &str| {
            rights::model_of_memory(topic)
                .is_some_and(|model| registry.get(DefinitionKind::Model, model).is_none())
        };
        let is_his = |keeper: Option<&Owner>| keeper.is_some_and(|keeper| *keeper.name == *user);
        self.clear_chosen(tenant, |topic, keeper| is_his(keeper) && is_left(topic), batch);
    }

    fn clear_chosen(
        &self,
        tenant: &Tenant,
        is_chosen: impl Fn(&str, Option<&Owner>) -> bool,
        batch: &mut Batch,
    ) {
        // Changes on their way to the store come before the batch.
        let mut cleared = self.saving.lock();
        let mut topics = Vec::new();
        self.values.each_kept(|topic, kept| {
            if is_chosen(topic, kept.keeper.user) {
                topics.push(topic.to_owned());
            }
        });
        self.clear(tenant, topics, &mut cleared, batch);
    }

    /// Removes the state of a definition, for good with `batch`: the next definition of its name,
    /// perhaps another user's, must not find it after a crash either.
    fn clear_state(&self, tenant: &Tenant, definition: &Definition, batch: &mut Batch) {
        // Changes on their way to the store come before the batch.
        let mut cleared = self.saving.lock();
        let topics = self.states.clear(&self.values, definition);
        self.clear(tenant, topics, &mut cleared, batch);
    }

    /// Removes kept values; `cleared` are those whose removal goes to the store with a batch.
    fn clear(&self, tenant: &Tenant, topics: Vec<String>, cleared: &mut Vec<String>, batch: &mut Batch) {
        for topic in &topics {
            self.values.forget(topic);
            batch.push(Op::DeleteKeep { tenant: tenant.id, topic });
        }
        cleared.extend(topics);
    }

    /// Notes that a batch is with the store: what took the place of a state since it was
    /// [cleared](Self::clear_state) is written once more, behind it.
    pub fn batch_appended(&self) {
        let cleared = std::mem::take(&mut *self.saving.lock());
        if !cleared.is_empty() {
            self.values.save_again(cleared);
        }
    }

    /// Ends the runner that an installation took over from another owner. Waiting events were meant
    /// for the former owner's definition and came under the former owner's rights.
    pub(super) fn end_taken_over(
        &self,
        tenant: &Tenant,
        hosting: &Hosting,
        installed: &Installed,
        batch: &mut Batch,
    ) {
        let id = installed.definition.id;
        let Some(taken_over) = installed.replaced.as_deref().filter(|former| former.id != id) else { return };
        let dropped = self.end(tenant, taken_over, batch);
        if dropped > 0 {
            hosting.core.counters.guest_events_dropped.add(dropped);
            let definition = &**taken_over.name();
            warn!(
                definition,
                dropped, "events that waited were dropped: another user has taken the definition over"
            );
        }
    }

    /// Ends the runner of a definition that is not in the registry any more; returns the number of
    /// events that waited for it.
    fn end(&self, tenant: &Tenant, definition: &Definition, batch: &mut Batch) -> u64 {
        let runner = self.runners.write().remove(&definition.id);
        let route = self.routes.write().remove(&definition.id);
        for session in
            route.iter().flat_map(|route| [route.outbox_session(), route.dead_letters.session()]).flatten()
        {
            batch.push(Op::DeleteSession { tenant: tenant.id, session });
        }
        let waited = runner.map_or(0, |runner| runner.close()) as u64;
        self.waiting.removed(definition.id);
        waited + route.map_or(0, |route| route.close())
    }

    /// Removes a definition; what waits for it is dropped.
    ///
    /// # Errors
    /// [`NotFound`].
    pub fn remove(
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
        if kind == DefinitionKind::Rule {
            guests.rights_changed(tenant);
        }
        outboxes::forget(tenant, guests, &removed.definition, batch);
        if kind == DefinitionKind::Route {
            guests.route_orders.forget(tenant.id, name, removed.definition.owner(), batch);
        }
        guests.end(tenant, &removed.definition, batch);
        guests.clear_state(tenant, &removed.definition, batch);
        if kind == DefinitionKind::Model && removed.definition.owner().is_none() {
            guests.clear_memory(tenant, name, |_| true, batch);
        }
        guests.kept_errors.forget(&guests.values, &removed.definition);
        guests.metrics.clear(removed.definition.id);
        guests.lines.history.clear(removed.definition.id);
        if kind == DefinitionKind::Module {
            guests.route_modules.remove(name);
            guests.deciding_modules.rules.remove(name);
            guests.deciding_modules.logins.remove(name);
            tenant.programs().manifests.remove(name);
            tenant.programs().restricted.remove(name);
            guests.module_changed(name);
        } else {
            batch.push(Op::DeleteDefinition { tenant: tenant.id, kind: kind.key(), name });
        }
        guests.settle(tenant, hosting, &removed.changed);
        Ok(removed)
    }

    /// Adds to `batch` that the definitions of `user` belong to nobody.
    pub fn store_without_owner(&self, tenant: &Tenant, user: &str, batch: &mut Batch) {
        for definition in self.registry.read().of_owner(user) {
            if let Some(row) = row(tenant, definition) {
                batch.push(Op::PutDefinition(&DefinitionRow { owner: String::new(), ..row }));
            }
        }
    }

    /// Removes the owner from the definitions of `user`, so that they do not pass to the next user
    /// of that name. Reopens the user's routes, because they were opened with the user's rights.
    pub fn disown(&self, user: &str) {
        let definitions: Vec<_> = self.registry.read().of_owner(user).cloned().collect();
        definitions.iter().for_each(|definition| definition.disown());
        let routes = self.routes.read();
        let of_user = definitions.iter().filter_map(|definition| routes.get(&definition.id));
        of_user.for_each(|route| route.reopen());
    }

    /// Arms definitions that waited for a script, or makes those that call it wait.
    pub fn script_is_there(tenant: &Tenant, hosting: &Hosting, name: &str, is_there: bool) {
        let now = hosting.definitions_now();
        let changed = tenant.programs().guests.registry.write().set_script(name, is_there, now);
        tenant.programs().guests.settle(tenant, hosting, &changed);
    }

    /// Makes a change visible to the rest of the broker: routes, timers, `ON START`.
    pub fn settle(&self, tenant: &Tenant, hosting: &Hosting, changed: &Changed) {
        tenant.routes_changed();
        hosting.housekeeping.wake();
        self.post(&changed.starts, &OwnedEvent::Start);
    }
}

/// Stored form of a definition; `None` of a module, whose bytes have a table of their own.
pub fn row(tenant: &Tenant, definition: &Definition) -> Option<DefinitionRow> {
    let deployed = &definition.deployed;
    (deployed.kind != DefinitionKind::Module).then(|| DefinitionRow {
        tenant: tenant.id,
        kind: deployed.kind.key().into(),
        name: deployed.name.as_ref().into(),
        source: deployed.source.as_ref().into(),
        owner: definition.owner().map(|owner| owner.name.as_ref().to_owned()).unwrap_or_default(),
        origin: deployed.origin.to_stored(deployed.lines_before),
        order: definition.order,
        changed_at_ms: u64::try_from(deployed.installed_at.as_millisecond()).unwrap_or_default(),
        state: state(definition),
    })
}

/// Data to store beside the text of a definition: the state of a Panel, or the facts of a Rule. The
/// facts describe the Rule when its text no longer compiles.
fn state(definition: &Definition) -> Vec<u8> {
    let facts = definition.facts();
    let of_view = facts.view.as_ref().map(|view| serde_json::to_vec(&view.state));
    let state = of_view.or_else(|| facts.rule.as_ref().map(serde_json::to_vec));
    state.map(|state| state.expect("states and facts have string keys")).unwrap_or_default()
}
