//! Definitions that a start deploys without native code, because compiling it would keep the listeners closed.
//!
//! Such a definition is armed, listed, and can be removed and replaced. Events wait in its mailbox, a Rule denies, and a Route waits for its guest. The
//! threads of `server/cold_start` compile the code behind the open listeners, and put it in between two events: large programs without optimisation first,
//! so that all of them run soon, and then optimised, which is also what the cache keeps.
//!
//! Invariants: before the listeners open, a start compiles programs of at most [`COLD_START_BYTES`] that have no code in the cache. What was removed or
//! replaced meanwhile gets no code.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use lotmq_core::tenant::{Tenant, Tenants};
use lotmq_definitions::{Definition, DefinitionKind, RunError};
use lotmq_host::{Engine, Tier};
use parking_lot::{Condvar, Mutex};
use tracing::{error, warn};

use super::compile::{CompiledDefinition, DeployError};
use super::{install, records, rules};
use crate::guests::HasPrograms as _;
use crate::guests::hosting::Hosting;
use crate::limits::{COLD_START_BYTES, COMPILING_NAMES_MAX, WORKER_PROGRAM_BYTES};

/// What a start compiles behind its listeners, and how far that has come.
pub(crate) struct ColdStart {
    state: Mutex<State>,
    /// Called when a job has ended, and when the broker stops.
    changed: Condvar,
}

struct State {
    /// Stored definitions and modules.
    all: usize,
    /// Bytes of programs that the start may still compile before the listeners open.
    bytes_left: usize,
    jobs: VecDeque<Job>,
    under_way: usize,
    is_stopping: bool,
}

impl Default for ColdStart {
    fn default() -> Self {
        let state = State {
            all: 0,
            bytes_left: COLD_START_BYTES,
            jobs: VecDeque::new(),
            under_way: 0,
            is_stopping: false,
        };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }
}

/// Definition that waits for its code.
#[derive(Clone)]
pub(crate) struct Waiting {
    pub(crate) tenant: Arc<Tenant>,
    pub(crate) definition: Arc<Definition>,
}

/// Compiles the code of one definition.
type Compile = dyn Fn(&Hosting, Tier) -> Result<CompiledDefinition, DeployError> + Send;

/// Code that is to be compiled.
pub(crate) struct Job {
    place: Place,
    work: Work,
}

enum Work {
    Definition(Waiting, Pass, Box<Compile>),
    /// The guest of a type of routes, for all routes of this type.
    RouteType(&'static str, Vec<Waiting>),
}

/// Pass over a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    /// The only one, optimised: the program is small.
    Only,
    /// Without optimisation; an optimised one follows.
    First,
    /// Optimised: the code takes the place of that of the first pass.
    Second,
}

impl Pass {
    fn of(bytes: usize) -> Self {
        if bytes < WORKER_PROGRAM_BYTES { Pass::Only } else { Pass::First }
    }

    fn tier(self) -> Tier {
        match self {
            Pass::First => Tier::Baseline,
            Pass::Only | Pass::Second => Tier::Optimised,
        }
    }
}

/// Place of a job in the order: the smallest comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// Rules, and modules that rules ask: they deny until then.
    Deciding,
    /// Programs that are compiled in a moment.
    Small,
    Large,
    /// Programs that run already, without optimisation.
    Running,
}

impl Place {
    fn of(is_deciding: bool, bytes: usize) -> Self {
        match is_deciding {
            true => Place::Deciding,
            false if bytes < WORKER_PROGRAM_BYTES => Place::Small,
            false => Place::Large,
        }
    }
}

/// Outcome of a job: what is to be put in.
pub(crate) struct Compiled {
    work: CompiledWork,
}

enum CompiledWork {
    Definition(Waiting, Pass, Box<Compile>, Result<Box<CompiledDefinition>, String>),
    RouteType(Vec<Waiting>, Result<(), String>),
}

/// Definitions whose code is still being compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Compiling {
    /// Number of them.
    pub(crate) left: usize,
    /// Number of stored definitions and modules.
    pub(crate) all: usize,
    /// Names of the first.
    pub(crate) names: Vec<String>,
}

impl fmt::Display for Compiling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "compiling {} of {}: {}", self.left, self.all, self.names.join(", "))?;
        match self.left.saturating_sub(self.names.len()) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

impl ColdStart {
    /// Begins a start with so many stored definitions and modules.
    pub(crate) fn begin(&self, all: usize) {
        self.state.lock().all = all;
    }

    /// Whether native code of a program is compiled behind the listeners. A program that is not deferred takes its bytes of the budget, unless its code
    /// is in the cache.
    pub(crate) fn defers(&self, engine: &Engine, program: &[u8]) -> bool {
        if engine.is_cached(program) {
            return false;
        }
        let mut state = self.state.lock();
        match state.bytes_left.checked_sub(program.len()) {
            Some(left) => {
                state.bytes_left = left;
                false
            }
            None => true,
        }
    }

    /// Has the code of a definition compiled; `is_deciding`: it is a rule, or a rule may ask it. Its program has so many bytes.
    pub(crate) fn add(
        &self,
        waiting: Waiting,
        (is_deciding, bytes): (bool, usize),
        compile: impl Fn(&Hosting, Tier) -> Result<CompiledDefinition, DeployError> + Send + 'static,
    ) {
        let work = Work::Definition(waiting, Pass::of(bytes), Box::new(compile));
        self.push(Job { place: Place::of(is_deciding, bytes), work });
    }

    /// Has the guest of a type compiled for a route.
    pub(crate) fn add_route(&self, kind: &'static str, route: Waiting) {
        let mut state = self.state.lock();
        for job in &mut state.jobs {
            if let Work::RouteType(known, routes) = &mut job.work
                && *known == kind
            {
                routes.push(route);
                return;
            }
        }
        drop(state);
        self.push(Job { place: Place::Large, work: Work::RouteType(kind, vec![route]) });
    }

    /// Adds a job behind those of its place; not while the broker stops.
    fn push(&self, job: Job) {
        let mut state = self.state.lock();
        if state.is_stopping {
            return;
        }
        let at = state.jobs.partition_point(|known| known.place <= job.place);
        state.jobs.insert(at, job);
    }

    /// Takes the next job; `None` when there is none left, or the broker stops. [`ended`](Self::ended) follows each.
    pub(crate) fn next(&self) -> Option<Job> {
        let mut state = self.state.lock();
        if state.is_stopping {
            return None;
        }
        let job = state.jobs.pop_front()?;
        state.under_way += 1;
        Some(job)
    }

    /// Notes that a job has ended.
    pub(crate) fn ended(&self) {
        self.state.lock().under_way -= 1;
        self.changed.notify_all();
    }

    /// Whether nothing is left to do, or the broker stops.
    pub(crate) fn is_over(&self) -> bool {
        let state = self.state.lock();
        state.is_over() || state.is_stopping
    }

    /// Waits until [that is so](Self::is_over), or for so long. Whether it is so.
    pub(crate) fn wait_until_over(&self, patience: Duration) -> bool {
        let mut state = self.state.lock();
        let goes_on = |state: &mut State| !state.is_over() && !state.is_stopping;
        !self.changed.wait_while_for(&mut state, goes_on, patience).timed_out()
    }

    /// Ends the work: no further job begins, and what is under way is put in nowhere.
    pub(crate) fn stop(&self) {
        let mut state = self.state.lock();
        state.is_stopping = true;
        state.jobs.clear();
        self.changed.notify_all();
    }

    /// Whether the broker stops.
    pub(crate) fn is_stopping(&self) -> bool {
        self.state.lock().is_stopping
    }

    /// What is still being compiled; `None` when nothing is. Cost: O(definitions) while anything is.
    pub(crate) fn compiling(&self, tenants: &Tenants) -> Option<Compiling> {
        let all = {
            let state = self.state.lock();
            if state.is_over() {
                return None;
            }
            state.all
        };
        let (mut left, mut names) = (0, Vec::new());
        for tenant in tenants.all().iter() {
            for definition in tenant.programs().guests.registry.read().compiling() {
                left += 1;
                if names.len() < COMPILING_NAMES_MAX {
                    names.push(definition.name().as_ref().to_owned());
                }
            }
        }
        (left > 0).then_some(Compiling { left, all, names })
    }
}

impl State {
    fn is_over(&self) -> bool {
        self.jobs.is_empty() && self.under_way == 0
    }
}

impl Waiting {
    /// Whether it still waits.
    fn is_compiling(&self) -> bool {
        let registry = self.tenant.programs().guests.registry.read();
        registry.is_compiling(self.definition.id, self.definition.version)
    }

    /// Whether its version is still in force.
    fn is_in_force(&self) -> bool {
        let registry = self.tenant.programs().guests.registry.read();
        let known = registry.by_id(self.definition.id);
        known.is_some_and(|known| known.version == self.definition.version)
    }

    /// Gives it up, and records why.
    fn fails(&self, hosting: &Hosting, reason: &str) {
        let Self { tenant, definition } = self;
        if !install::give_up(tenant, hosting, definition, reason) {
            return;
        }
        let kind = definition.kind().key();
        error!(
            tenant = &*tenant.name,
            definition = &**definition.name(),
            kind,
            reason,
            "definition not restored; it does nothing until one that compiles is deployed under its name"
        );
        let error = RunError { code: "NOT_RESTORED", message: reason, ..RunError::default() };
        if definition.kind() == DefinitionKind::Rule {
            rules::note(tenant, hosting, definition, &error);
        } else {
            let now = hosting.definitions_now().wall;
            records::record_at(hosting, tenant, definition, &error, (now, 0));
        }
    }
}

impl Job {
    /// Whether anything still waits for it.
    pub(crate) fn is_wanted(&self) -> bool {
        match &self.work {
            Work::Definition(waiting, Pass::Second, _) => waiting.is_in_force(),
            Work::Definition(waiting, Pass::Only | Pass::First, _) => waiting.is_compiling(),
            Work::RouteType(_, routes) => routes.iter().any(Waiting::is_compiling),
        }
    }

    /// Name for the log.
    pub(crate) fn name(&self) -> String {
        match &self.work {
            Work::Definition(waiting, _, _) => waiting.definition.name().as_ref().to_owned(),
            Work::RouteType(kind, _) => format!("the guest of type {kind}"),
        }
    }

    /// Whether the code is optimised.
    pub(crate) fn is_optimised(&self) -> bool {
        !matches!(self.work, Work::Definition(_, Pass::First, _))
    }

    /// Compiles the code, which takes long and changes nothing.
    pub(crate) fn compile(self, hosting: &Hosting) -> Compiled {
        let work = match self.work {
            Work::Definition(waiting, pass, compile) => {
                let compiled = compile(hosting, pass.tier());
                let compiled = compiled.map(Box::new).map_err(|refusal| refusal.to_string());
                CompiledWork::Definition(waiting, pass, compile, compiled)
            }
            Work::RouteType(kind, routes) => {
                let compiled = hosting.route_types.guest(&hosting.engine, kind);
                CompiledWork::RouteType(routes, compiled.map(drop).map_err(|refusal| refusal.to_string()))
            }
        };
        Compiled { work }
    }

    /// Definitions that wait for it.
    pub(crate) fn waiting(&self) -> Vec<Waiting> {
        match &self.work {
            Work::Definition(waiting, _, _) => vec![waiting.clone()],
            Work::RouteType(_, routes) => routes.clone(),
        }
    }
}

/// Gives up definitions whose compilation has ended by a panic. The caller holds the lock of changes.
pub(crate) fn give_up(hosting: &Hosting, waiting: &[Waiting]) {
    waiting.iter().for_each(|waiting| waiting.fails(hosting, "the compiler ended by a panic"));
}

impl Compiled {
    /// Puts the code in. The caller holds the lock of changes.
    pub(crate) fn put_in(self, hosting: &Arc<Hosting>) {
        match self.work {
            CompiledWork::Definition(waiting, pass, compile, Ok(compiled)) => {
                complete(hosting, &waiting, pass, *compiled);
                if pass == Pass::First {
                    let work = Work::Definition(waiting, Pass::Second, compile);
                    hosting.cold_start.push(Job { place: Place::Running, work });
                }
            }
            CompiledWork::Definition(waiting, Pass::Second, _, Err(reason)) => {
                let definition = &**waiting.definition.name();
                warn!(
                    tenant = &*waiting.tenant.name,
                    definition, reason, "program not optimised; it runs as it is"
                );
            }
            CompiledWork::Definition(waiting, Pass::Only | Pass::First, _, Err(reason)) => {
                waiting.fails(hosting, &reason);
            }
            CompiledWork::RouteType(routes, Ok(())) => {
                for route in &routes {
                    let Waiting { tenant, definition } = route;
                    install::complete_route(tenant, definition);
                }
            }
            CompiledWork::RouteType(routes, Err(reason)) => {
                routes.iter().for_each(|route| route.fails(hosting, &reason));
            }
        }
    }
}

fn complete(hosting: &Arc<Hosting>, waiting: &Waiting, pass: Pass, compiled: CompiledDefinition) {
    let Waiting { tenant, definition } = waiting;
    if let Err(error) = install::complete(tenant, hosting, (definition, pass), compiled.code) {
        warn!(tenant = &*tenant.name, definition = &**definition.name(), %error, "native code not put in");
    }
}

#[cfg(test)]
mod tests;
