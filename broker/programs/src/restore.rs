//! Restoring at a start: stored definitions are deployed again, and `ON START` runs before the
//! first Client.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use lot_facts::{Facts, Kind, RuleFacts};
use lot_to_wasm::diagnostic::{Diagnostic, Severity};
use lot_to_wasm::{CompileOptions, Form, Output};
use lotmq_auth::built_in::built_in;
use lotmq_auth::{Rule, Scope};
use lotmq_changes::{Batch, DefinitionRow, QuarantineRow, SettingRow, StoreError, Ticket};
use lotmq_definitions::{Definition, DefinitionKind, Installed, NewDefinition, OnExisting, Origin, RunError};
use lotmq_host::OwnedEvent;
use tracing::{error, warn};

use super::compile::{CodeToCome, CompiledDefinition, CompiledProgram, Loader};
use super::install::{install, put};
use super::late_code::{self, LateDefinition};
use super::scripts::{self, CompiledScript};
use super::{Guests, RunReport, authority, kept_errors, records, rules, seeds, views};
use crate::HasPrograms as _;
use crate::hosting::Hosting;
use crate::limits::COMMIT_PATIENCE;
use lotmq_core::durable::kept_values;
use lotmq_core::tenant::Tenant;
use lotmq_process::clock::definitions_now;
use lotmq_process::restoring::Restoring;

/// Time that `ON START` may hold the listeners, in all (language reference §7.5).
const START_WAIT: Duration = Duration::from_secs(5);

/// Deploys the definitions of these tenants. One that does not compile any more is in state
/// `error`: it does nothing, can be removed, and stays in the store until then.
pub fn definitions(
    hosting: &Arc<Hosting>,
    tenants: &[Arc<Tenant>],
    rows: Vec<DefinitionRow>,
    (settings, quarantined): (&[SettingRow], &[QuarantineRow]),
    restoring: &Restoring,
) {
    let mut rows: Vec<(DefinitionRow, Arc<Tenant>)> = rows
        .into_iter()
        .filter_map(|row| {
            let tenant = tenants.iter().find(|tenant| tenant.id == row.tenant).cloned()?;
            Some((row, tenant))
        })
        .collect();
    let place = |row: &DefinitionRow| {
        let kind = Kind::LOAD_ORDER.iter().position(|kind| DefinitionKind::from(*kind).key() == row.kind);
        (kind.unwrap_or(usize::MAX), row.order)
    };
    rows.sort_by_key(|(row, _)| place(row));
    let (of_rules, others): (Vec<_>, Vec<_>) =
        rows.into_iter().partition(|(row, _)| row.kind == DefinitionKind::Rule.key());
    // First, because what is installed behind them acts at once: a route has its messages decided
    // on.
    restore_rules(hosting, of_rules, restoring);
    for (row, tenant) in others {
        restoring.begins(&row.kind, &row.name);
        if row.kind == scripts::KIND {
            // Its native code is at hand, or nearly so, when the first run calls.
            hosting.python.prepare();
        }
        if let Err(reason) = restore(&tenant, hosting, &row) {
            error!(
                tenant = &*tenant.name,
                definition = row.name,
                kind = row.kind,
                reason,
                "definition not restored; it does nothing until a text that compiles is deployed under its name"
            );
            install_failed(&tenant, hosting, &row, &reason);
        }
    }
    for tenant in tenants {
        kept_errors::restore(&tenant.programs().guests);
        seeds::plant(tenant, hosting, settings, quarantined);
    }
}

/// Deploys rules, those of a tenant together, because each change of the rulebook costs as much as
/// it has rules.
fn restore_rules(hosting: &Arc<Hosting>, rows: Vec<(DefinitionRow, Arc<Tenant>)>, restoring: &Restoring) {
    let mut rules: Vec<(Arc<Tenant>, Vec<Rule>)> = Vec::new();
    for (row, tenant) in rows {
        restoring.begins(&row.kind, &row.name);
        let rule = restore_rule(&tenant, hosting, &row);
        match rules.iter_mut().find(|(of, _)| Arc::ptr_eq(of, &tenant)) {
            Some((_, of_tenant)) => of_tenant.push(rule),
            None => rules.push((tenant, vec![rule])),
        }
    }
    for (tenant, of_tenant) in rules {
        tenant.permissions.put(of_tenant);
    }
}

/// Deploys a stored definition or script at a start; without native code where that is to be
/// compiled [later](super::late_code).
///
/// # Errors
/// Why it does not compile, or is not taken.
fn restore(tenant: &Arc<Tenant>, hosting: &Arc<Hosting>, row: &DefinitionRow) -> Result<(), String> {
    // It is stored already: what installing would write is dropped.
    let batch = &mut Batch::new();
    if row.kind == scripts::KIND {
        return install_stored(tenant, hosting, row, batch).map(drop);
    }
    let Restorable { definition, later } = restorable(tenant, hosting, row)?;
    let installed = install(tenant, hosting, definition, batch).map_err(|refusal| refusal.to_string())?;
    compile_later(tenant, hosting, &installed.definition, later);
    Ok(())
}

/// Stored definition that can be deployed.
struct Restorable {
    definition: CompiledDefinition,
    /// Code that is compiled after the deployment.
    later: Option<Later>,
}

/// Code that is compiled behind the listeners.
enum Later {
    /// Program of the LoT compiler, with its definition.
    Program(Vec<u8>, NewDefinition),
    /// Guest of a type of routes.
    RouteType(&'static str),
}

/// Compiles a stored definition from its text, and its native code unless that is deferred.
///
/// # Errors
/// Why it does not compile.
fn restorable(tenant: &Tenant, hosting: &Hosting, row: &DefinitionRow) -> Result<Restorable, String> {
    let (program, new) = program(tenant, hosting, row)?;
    let defers = |program: &[u8]| hosting.cold_start.defers(&hosting.engine, program);
    let to_come = match new.facts.kind {
        Kind::Action | Kind::Model if defers(&program) => Some(CodeToCome::Executor { restricted: None }),
        // A fault of a rule is found before its code is compiled.
        Kind::Rule if can_be_deferred(&new) && defers(&program) => Some(CodeToCome::Rule),
        Kind::Route => {
            let kind = new.facts.route.as_deref().map(|route| route.kind.clone()).unwrap_or_default();
            let later = hosting.route_types.later(&kind, defers).map_err(|refusal| refusal.to_string())?;
            if let Some((kind, guest)) = later {
                let definition = CompiledDefinition::of_route(new, guest);
                return Ok(Restorable { definition, later: Some(Later::RouteType(kind)) });
            }
            None
        }
        Kind::Action | Kind::Model | Kind::Rule | Kind::Panel | Kind::Theme => None,
    };
    if let Some(to_come) = to_come {
        let definition = CompiledDefinition::without_code(new.clone(), to_come, false);
        return Ok(Restorable { definition, later: Some(Later::Program(program, new)) });
    }
    let definition =
        CompiledDefinition::of_entity(hosting.loader_of(tenant), &program, new, OnExisting::Replace)
            .map_err(|refusal| refusal.to_string())?;
    Ok(Restorable { definition, later: None })
}

/// Whether nothing is wrong with a rule but, perhaps, its code.
fn can_be_deferred(new: &NewDefinition) -> bool {
    let facts = new.facts.rule.as_ref();
    let is_of_known_scope = facts.is_some_and(|facts| facts.scope.parse::<Scope>().is_ok());
    is_of_known_scope && built_in(&new.name).is_none()
}

/// Has the native code of a deployed definition compiled behind the listeners.
fn compile_later(
    tenant: &Arc<Tenant>,
    hosting: &Arc<Hosting>,
    definition: &Arc<Definition>,
    later: Option<Later>,
) {
    let (hosting, tenant, definition) = (Arc::clone(hosting), Arc::clone(tenant), Arc::clone(definition));
    let is_deciding = definition.kind() == DefinitionKind::Rule;
    let waiting = LateDefinition { hosting, tenant, definition };
    match later {
        None => {}
        Some(Later::RouteType(kind)) => late_code::add_route(waiting, kind),
        Some(Later::Program(program, new)) => {
            let tenant = Arc::clone(&waiting.tenant);
            late_code::add(waiting, (is_deciding, program.len()), move |hosting, tier, is_wanted| {
                let loader = Loader { tier, ..hosting.loader_of_stored(&tenant).while_wanted(is_wanted) };
                CompiledDefinition::of_entity(loader, &program, new.clone(), OnExisting::Replace)
            });
        }
    }
}

/// Compiles a stored definition from its text, as the compiler reads it today, with its native
/// code.
///
/// # Errors
/// Why it does not compile.
pub(super) fn compiled(
    tenant: &Tenant,
    hosting: &Hosting,
    row: &DefinitionRow,
) -> Result<CompiledDefinition, String> {
    let (program, new) = program(tenant, hosting, row)?;
    CompiledDefinition::of_entity(hosting.loader_of(tenant), &program, new, OnExisting::Replace)
        .map_err(|refusal| refusal.to_string())
}

/// Program of a stored definition, as the LoT compiler reads its text today; with its definition.
///
/// # Errors
/// Why it does not compile.
fn program(
    tenant: &Tenant,
    hosting: &Hosting,
    row: &DefinitionRow,
) -> Result<(Vec<u8>, NewDefinition), String> {
    let compat = hosting.compat();
    let options = CompileOptions {
        form: Form::Linked,
        known: &*tenant.programs().guests,
        compat,
        is_stored: true,
        ..CompileOptions::default()
    };
    let mut compilation = lot_to_wasm::compile(&row.source, &options);
    let mut entity = compilation.entities.pop();
    let Some(Output { component, facts }) = entity.as_mut().and_then(|entity| entity.output.take()) else {
        let mut of_entity = entity.iter().flat_map(|entity| &entity.diagnostics);
        let is_error = |it: &&Diagnostic| it.severity == Severity::Error;
        let first =
            of_entity.find(is_error).or_else(|| compilation.diagnostics.iter().find(|it| is_error(it)));
        return Err(first.map_or_else(|| "its text does not compile".to_owned(), compile_failure));
    };
    let new = new_definition(tenant, row, views::restored(facts, row));
    if new.kind.key() != row.kind {
        return Err(format!("its source is that of a {}", new.kind.title()));
    }
    if new.kind == DefinitionKind::Model {
        let parts = new.facts.depends_on.iter().filter(|it| it.kind == Kind::Model);
        for part in parts {
            super::models::may_be_made_of(tenant, (new.owner.as_ref(), new.installed_at), &part.name)?;
        }
    }
    Ok((component, new))
}

/// Why a text does not compile, in one sentence, with what to write instead.
fn compile_failure(first: &Diagnostic) -> String {
    let Diagnostic { code, message, span, suggestions, .. } = first;
    let help = suggestions.first().map(|help| format!("; {help}")).unwrap_or_default();
    format!("its text does not compile with this version: line {}: {message} ({code}){help}", span.start.line)
}

/// Deploys a stored definition or script anew; `None` for a script, which is in no registry.
///
/// # Errors
/// Why it does not compile, or is not taken.
pub fn install_stored(
    tenant: &Arc<Tenant>,
    hosting: &Arc<Hosting>,
    row: &DefinitionRow,
    batch: &mut Batch,
) -> Result<Option<Installed>, String> {
    let compiled = if row.kind == scripts::KIND {
        let owner = authority::owner(&tenant.users, &row.owner);
        CompiledProgram::Script(Box::new(CompiledScript::stored(&hosting.python, row, owner)))
    } else {
        CompiledProgram::Definition(Box::new(compiled(tenant, hosting, row)?))
    };
    compiled.install(tenant, hosting, batch).map_err(|refusal| refusal.to_string())
}

/// Deploys a definition that another process has stored, as a command does. One that does not
/// compile is registered as failed, and a rule denies then.
pub fn apply_definition(tenant: &Arc<Tenant>, hosting: &Arc<Hosting>, row: &DefinitionRow) {
    // It is stored already: what installing would write is dropped.
    let Err(reason) = install_stored(tenant, hosting, row, &mut Batch::new()) else { return };
    error!(
        tenant = &*tenant.name,
        definition = row.name,
        kind = row.kind,
        reason,
        "definition of another process not applied"
    );
    if row.kind == DefinitionKind::Rule.key() {
        tenant.permissions.put(vec![restore_rule(tenant, hosting, row)]);
        tenant.programs().guests.rights_changed(tenant);
    } else {
        install_failed(tenant, hosting, row, &reason);
    }
    tenant.routes_changed();
}

/// Removes a definition or script that another process has removed, as a command does.
pub fn remove_applied(tenant: &Arc<Tenant>, hosting: &Arc<Hosting>, kind: &str, name: &str) {
    if kind == scripts::KIND {
        tenant.programs().scripts.remove(name);
        Guests::script_is_there(tenant, hosting, name, false);
        return;
    }
    let Some(kind) = Kind::LOAD_ORDER.into_iter().map(DefinitionKind::from).find(|it| it.key() == kind)
    else {
        return;
    };
    if let Err(missing) = Guests::remove(tenant, hosting, kind, name, &mut Batch::new()) {
        warn!(tenant = &*tenant.name, definition = name, %missing, "definition was not there to be removed");
    }
}

/// Installs a stored rule; returns what is to be [`put`](lotmq_auth::Rulebook::put) into the
/// rulebook, which denies everything if the rule cannot be restored.
fn restore_rule(tenant: &Arc<Tenant>, hosting: &Arc<Hosting>, row: &DefinitionRow) -> Rule {
    let new = |facts: Facts| new_definition(tenant, row, facts);
    let restored = restorable(tenant, hosting, row).and_then(|Restorable { definition, later }| {
        // It is stored already: what installing would write is dropped.
        let (installed, rule) =
            put(tenant, hosting, definition, &mut Batch::new()).map_err(|refusal| refusal.to_string())?;
        let rule = rule.ok_or_else(|| "it is no rule".to_owned())?;
        if later.is_some() {
            warn!(
                tenant = &*tenant.name,
                definition = row.name,
                kind = "rule",
                "rule is still being compiled; it denies all that it would be asked until then"
            );
        }
        compile_later(tenant, hosting, &installed.definition, later);
        Ok(rule)
    });
    let reason = match restored {
        Ok(rule) => return rule,
        Err(reason) => reason,
    };
    // The store keeps the facts of the rule beside its text.
    let facts = serde_json::from_slice::<RuleFacts>(&row.state).ok();
    let known = facts.filter(|facts| facts.scope.parse::<Scope>().is_ok());
    error!(
        tenant = &*tenant.name,
        definition = row.name,
        kind = "rule",
        reason,
        "rule not restored; it denies all that it would have been asked"
    );
    let mut registry = tenant.programs().guests.registry.write();
    let now = hosting.definitions_now();
    let mut of_lost = Facts::new(Kind::Rule, row.name.as_str());
    of_lost.rule.clone_from(&known);
    if let Ok(installed) = registry.install(new(of_lost), OnExisting::Replace, now) {
        registry.set_failed(installed.definition.id, &reason, now);
        let error = RunError { code: "NOT_RESTORED", message: &reason, ..RunError::default() };
        rules::note(tenant, hosting, &installed.definition, &error);
    }
    rules::substitute(&row.name, known)
}

/// Registers a definition that was not restored, so that it can be seen and removed.
fn install_failed(tenant: &Tenant, hosting: &Hosting, row: &DefinitionRow, reason: &str) {
    let Some(kind) = Kind::LOAD_ORDER.into_iter().find(|kind| DefinitionKind::from(*kind).key() == row.kind)
    else {
        return;
    };
    let new = new_definition(tenant, row, Facts::new(kind, row.name.as_str()));
    let mut registry = tenant.programs().guests.registry.write();
    let now = hosting.definitions_now();
    let Ok(installed) = registry.install(new, OnExisting::Replace, now) else { return };
    registry.set_failed(installed.definition.id, reason, now);
    drop(registry);
    let error = RunError { code: "NOT_RESTORED", message: reason, ..RunError::default() };
    records::record_at(&hosting.core, tenant, &installed.definition, &error, (now.wall, 0));
}

/// Definition from a stored row, with the facts that the compiler finds today.
pub fn new_definition(tenant: &Tenant, row: &DefinitionRow, facts: Facts) -> NewDefinition {
    let installed_at = i64::try_from(row.changed_at_ms).ok();
    let (origin, lines_before) = Origin::from_stored(&row.origin);
    NewDefinition {
        kind: facts.kind.into(),
        name: row.name.as_str().into(),
        source: row.source.as_str().into(),
        origin,
        lines_before,
        owner: authority::owner(&tenant.users, &row.owner),
        facts: Arc::new(facts),
        installed_at: installed_at.and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or_default(),
        order: Some(row.order),
    }
}

/// Run of `ON START` for which the listeners wait.
pub struct AwaitedStart {
    pub tenant: Arc<Tenant>,
    pub definition: Arc<Definition>,
    pub report: Receiver<RunReport>,
}

/// Runs `ON START` of all tenants and waits for it for at most 5 s. A run that has not ended by
/// then gets an error record.
pub fn run_starts(hosting: &Hosting) {
    let mut waiting = Vec::new();
    let now = definitions_now(&*hosting.context.core.clock);
    for tenant in hosting.tenants.all().iter() {
        let starts = tenant.programs().guests.registry.write().finish_loading(now);
        tenant.routes_changed();
        for definition in starts {
            let Some(runner) = tenant.programs().guests.runner(definition.id) else { continue };
            // A run that waits, for others or for its code, does not hold the listeners.
            if definition.facts().effects.suspend || runner.is_compiling() {
                let _ = runner.post(OwnedEvent::Start, 0, 0);
                continue;
            }
            let (sender, receiver) = sync_channel(1);
            let tag = tenant.programs().guests.waiting.add(definition.id, sender);
            if runner.post(OwnedEvent::Start, 0, tag).is_ok() {
                waiting.push(AwaitedStart { tenant: Arc::clone(tenant), definition, report: receiver });
            }
        }
    }
    wait_for_starts(hosting, waiting, START_WAIT);
}

pub fn wait_for_starts(hosting: &Hosting, waiting: Vec<AwaitedStart>, wait: Duration) {
    let deadline = Instant::now() + wait;
    for AwaitedStart { tenant, definition, report } in waiting {
        if report.recv_timeout(deadline.saturating_duration_since(Instant::now())).is_err() {
            let message =
                format!("ON START held the listeners for {} s; it goes on beside them", wait.as_secs());
            warn!(definition = &**definition.name(), "{message}");
            let error = RunError { code: records::START_SLOW, message: &message, ..RunError::default() };
            let now = hosting.definitions_now().wall;
            records::record_at(&hosting.core, &tenant, &definition, &error, (now, 0));
        }
    }
}

/// Most kept values in one group, so that a burst of them does not delay the acknowledgements
/// behind it.
pub const KEPT_PER_GROUP: usize = 1000;

/// Hands kept values that changed since the last call to the store, at most `topics_max` topics, of
/// each the last value only. `None` when nothing has changed.
///
/// # Errors
/// When the store takes nothing.
pub fn save_kept(
    hosting: &Hosting,
    tenant: &Tenant,
    topics_max: usize,
) -> Result<Option<Ticket>, StoreError> {
    let programs = tenant.programs();
    // Until it is with the store: a value that is written by another thread meanwhile must not
    // reach it first.
    let _saving = programs.guests.saving.lock();
    let of_now = (tenant.id, hosting.core.clock.wall_ms());
    kept_values::save(&programs.guests.values, &*hosting.core.log, of_now, topics_max)
}

/// Hands all that runs have kept so far (values, variables and secrets) to the store; false when it
/// takes no more.
pub fn hand_over_kept(hosting: &Hosting, tenant: &Tenant) -> bool {
    loop {
        match save_kept(hosting, tenant, KEPT_PER_GROUP) {
            Ok(None) => return tenant.programs().variables.hand_over(&*hosting.core.log).is_ok(),
            Ok(Some(_)) => {}
            Err(_) => return false,
        }
    }
}

/// Hands all kept values that have changed to the store, waiting for room where there is none; the
/// ticket with which they are durable, if there were any.
///
/// # Errors
/// When they are not stored.
pub fn save_all_kept(hosting: &Hosting, tenant: &Tenant) -> Result<Option<Ticket>, StoreError> {
    let mut last = None;
    loop {
        match save_kept(hosting, tenant, KEPT_PER_GROUP) {
            Ok(None) => return Ok(last),
            Ok(ticket) => last = ticket,
            Err(StoreError::Full { .. }) => {
                hosting.core.log.wait_for(hosting.core.log.last_ticket(), COMMIT_PATIENCE)?;
            }
            Err(error) => return Err(error),
        }
    }
}
