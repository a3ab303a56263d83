//! Modules of world `rule`: asked by Rules that say `IF MODULE "name"`, on the thread that asks the
//! Rule.
//!
//! A Rule names its module; which code that is, is found out at each question. A module decides
//! nothing by itself: where it stands among the rules, for which scope and which topics, says the
//! Rule that asks it. It fails closed: whatever keeps it from saying something is an error of that
//! Rule, which then denies.
//!
//! Invariant: a module that traps costs the threads that ask it a bounded time: five runs within a
//! minute, and then one for each pause.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use lotmq_core::tenant::Tenant;
use lotmq_definitions::Definition;
use lotmq_host::limits::FAILED_AFTER_TRAPS;
use lotmq_host::rule::{ModuleQuestion, RuleGuest, RuleInstance, RuleOutcome, Verdict};
use lotmq_host::{
    AfterTrap, Grants, GuestLimits, RunError, RunOutput, Services, Trap, TrapBreaker, TrapKind,
};
use parking_lot::{Mutex, RwLock};
use tracing::{info, warn};

use super::asked::{AskedDefinition, AskedPlace, of_error, of_trap};
use crate::HasPrograms as _;
use crate::guest_id::guest_id;
use crate::hosting::Hosting;

/// Code of a module of world `rule`, with what it may do and use.
#[derive(Clone)]
pub struct RuleModuleCode {
    /// Native code of the module.
    pub guest: RuleGuest,
    /// Grants of the module.
    pub grants: Grants,
    /// Limits of a run.
    pub limits: GuestLimits,
}

/// Module of world `rule`.
struct RuleModule {
    asked: AskedDefinition,
    guest: RuleGuest,
    grants: Arc<Grants>,
    limits: GuestLimits,
    figures: Arc<RuleModuleFigures>,
}

/// Counts of a module of world `rule`, of all its versions, and how it stands.
#[derive(Default)]
pub struct RuleModuleFigures {
    pub calls: AtomicU64,
    pub traps: AtomicU64,
    breaker: Mutex<TrapBreaker>,
}

impl RuleModuleFigures {
    /// Whether it has failed: five traps within a minute, and it has said nothing since then; or
    /// one, where it does not begin again by itself.
    pub fn have_failed(&self) -> bool {
        self.breaker.lock().has_failed()
    }

    /// Forgets its traps.
    pub fn forget_traps(&self) {
        *self.breaker.lock() = TrapBreaker::default();
    }
}

/// Modules of world `rule` of a tenant, by name.
#[derive(Default)]
pub struct RuleModules(RwLock<BTreeMap<Arc<str>, Arc<RuleModule>>>);

impl RuleModules {
    /// Counts of a module.
    pub fn figures(&self, name: &str) -> Option<Arc<RuleModuleFigures>> {
        self.0.read().get(name).map(|module| Arc::clone(&module.figures))
    }

    /// Puts a module in the place of the one of its name, whose figures go on.
    pub(crate) fn put(
        &self,
        tenant: &Arc<Tenant>,
        hosting: &Arc<Hosting>,
        definition: &Arc<Definition>,
        code: RuleModuleCode,
    ) {
        let RuleModuleCode { guest, grants, limits } = code;
        let mut modules = self.0.write();
        let figures = modules.get(definition.name()).map(|module| Arc::clone(&module.figures));
        let figures = figures.unwrap_or_default();
        figures.forget_traps();
        let asked = AskedDefinition::new(tenant, hosting, definition);
        let module = RuleModule { asked, guest, grants: Arc::new(grants), limits, figures };
        modules.insert(Arc::clone(definition.name()), Arc::new(module));
    }

    pub(crate) fn remove(&self, name: &str) {
        self.0.write().remove(name);
    }

    /// Has a module say what it thinks of a question.
    ///
    /// # Errors
    /// Why it says nothing.
    pub(crate) fn ask(
        &self,
        tenant: &Tenant,
        question: &ModuleQuestion<'_>,
        name: &str,
    ) -> Result<Verdict, RunError> {
        tenant.programs().guests.module_in_use(name)?;
        let module = self.0.read().get(name).cloned();
        let module = module.ok_or_else(|| {
            RunError::new("MODULE_WORLD", format!("module '{name}' is not of world 'rule'"))
        })?;
        if !module.figures.breaker.lock().may_be_asked(Instant::now()) {
            let message =
                format!("module '{name}' has failed: it trapped {FAILED_AFTER_TRAPS} times, and pauses");
            return Err(RunError::new("MODULE_FAILED", message));
        }
        module.ask(tenant, question)
    }
}

impl RuleModule {
    fn ask(&self, tenant: &Tenant, question: &ModuleQuestion<'_>) -> Result<Verdict, RunError> {
        let idle = &tenant.programs().guests.idle_rules;
        let place =
            AskedPlace { topic: question.request.topic.as_deref(), client_id: &question.request.client_id };
        self.figures.calls.fetch_add(1, Ordering::Relaxed);
        let made = || -> Result<RuleInstance, Trap> {
            let services = Arc::clone(&self.asked.services) as Arc<dyn Services>;
            self.guest.instance_with(services, Arc::clone(&self.grants), &self.limits)
        };
        let mut instance = match idle.take(self.asked.key).map_or_else(made, Ok) {
            Ok(instance) => instance,
            Err(trap) => return Err(self.trapped(tenant, place, trap)),
        };
        let mut output = RunOutput::new();
        let definition = guest_id(tenant, self.asked.definition.id);
        let outcome = instance.check_for_rule(question, definition, &mut output);
        // The reads do not matter, because nothing caches the answer.
        drop(instance.take_reads());
        self.asked.definition.activity.run_ended(self.asked.now());
        self.asked.carry_out(tenant, place, &output);
        let said = match outcome {
            RuleOutcome::Said(verdict) => Ok(verdict),
            RuleOutcome::Failed(found) => {
                self.asked.failed(place, of_error(&found));
                Err(found)
            }
            RuleOutcome::Trapped(trap) => return Err(self.trapped(tenant, place, trap)),
        };
        if self.figures.breaker.lock().ended_well() {
            let (tenant, definition) = (&*tenant.name, &**self.asked.definition.name());
            info!(tenant, definition, kind = "module", "module of world rule is asked again");
        }
        idle.put(self.asked.key, instance);
        said
    }

    /// Counts a trap, and tells of it.
    /// Writes to the log what a trap led to.
    fn tell(&self, tenant: &Tenant, after: AfterTrap, trap: TrapKind) {
        let (tenant, definition) = (&*tenant.name, &**self.asked.definition.name());
        match after {
            AfterTrap::GoesOn => {}
            AfterTrap::Failed(pause) => warn!(
                tenant,
                definition,
                kind = "module",
                code = trap.code(),
                pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
                "module has failed: rules that ask it deny until it is tried again"
            ),
            AfterTrap::StaysDown => warn!(
                tenant,
                definition,
                kind = "module",
                code = trap.code(),
                "module has failed: rules that ask it deny until somebody starts it"
            ),
        }
    }

    fn trapped(&self, tenant: &Tenant, place: AskedPlace<'_>, trap: Trap) -> RunError {
        self.figures.traps.fetch_add(1, Ordering::Relaxed);
        self.asked.failed(place, of_trap(&trap));
        // A lack of memory in the pool is not the module's fault.
        if trap.kind != TrapKind::Pool {
            let mut breaker = self.figures.breaker.lock();
            let after = match self.limits.restarts {
                true => breaker.trapped(Instant::now()),
                false => breaker.stays_down(),
            };
            drop(breaker);
            self.tell(tenant, after, trap.kind);
        }
        trap.into()
    }
}
