//! Definitions that a start deploys without native code, because compiling it would keep the
//! listeners closed.
//!
//! Such a definition is armed, listed, and can be removed and replaced. Events wait in its mailbox,
//! a Rule denies, and a Route waits for its guest. The code is put in between two events: large
//! programs without optimisation first, so that all of them run soon, and then optimised, which is
//! also what the cache keeps.
//!
//! A compilation whose worker process was ended from outside says nothing about the program. It is
//! tried again with a back-off, and the definition waits for it. A program that does not compile
//! leaves its definition in error.
//!
//! Invariant: what was removed or replaced meanwhile gets no code.

use std::fmt;
use std::sync::Arc;

use lotmq_core::tenant::Tenant;
use lotmq_definitions::{Definition, DefinitionKind, RunError};
use lotmq_host::Tier;
use lotmq_shares::OwnerKey;
use serde_json::{Value, json};
use tracing::{error, warn};

use super::cold_start::{CompileOrder, DeferredCompile, FailedAttempts, NextStep, Pass};
use super::compile::{CompiledDefinition, DeployError};
use super::{install, records, rules};
use crate::HasPrograms as _;
use crate::hosting::Hosting;
use crate::limits::COMPILING_NAMES_MAX;

/// Definition that waits for its code.
#[derive(Clone)]
pub struct LateDefinition {
    /// Hosting of the definition.
    pub hosting: Arc<Hosting>,
    /// Tenant of the definition.
    pub tenant: Arc<Tenant>,
    /// The definition.
    pub definition: Arc<Definition>,
}

/// Compiles the code of one definition.
type Compile = dyn Fn(&Hosting, Tier, StillWanted<'_>) -> Result<CompiledDefinition, DeployError> + Send;

/// Says whether a definition still waits for its code.
pub(crate) type StillWanted<'a> = &'a (dyn Fn() -> bool + Sync);

/// Code of one definition.
struct DefinitionCode {
    waiting: LateDefinition,
    order: CompileOrder,
    pass: Pass,
    compile: Box<Compile>,
    outcome: Outcome<CompiledDefinition>,
    attempts: FailedAttempts,
}

/// Guest of a type of routes, for one route of this type.
struct RouteTypeCode {
    waiting: LateDefinition,
    kind: &'static str,
    outcome: Outcome<()>,
}

/// Compiled code, or the reason why there is none.
struct Outcome<T>(Result<T, CompileFailure>);

/// Reason why there is no code.
struct CompileFailure {
    reason: String,
    /// Whether the same program may compile at the next attempt.
    is_passing: bool,
}

impl<T> Outcome<T> {
    /// Nothing yet; it stays so where the compiler panics.
    fn none() -> Self {
        Self(Err(CompileFailure { reason: "the compiler ended by a panic".to_owned(), is_passing: false }))
    }

    fn failure(&self) -> Option<&str> {
        self.0.as_ref().err().map(|failure| &*failure.reason)
    }
}

impl From<DeployError> for CompileFailure {
    fn from(error: DeployError) -> Self {
        let is_passing = matches!(&error, DeployError::Load(error) if error.is_passing());
        Self { reason: error.to_string(), is_passing }
    }
}

/// Has the code of a definition compiled; `is_deciding`: it is a rule, or a rule may ask it. Its
/// program has so many bytes.
pub fn add(
    waiting: LateDefinition,
    (is_deciding, bytes): (bool, usize),
    compile: impl Fn(&Hosting, Tier, StillWanted<'_>) -> Result<CompiledDefinition, DeployError> + Send + 'static,
) {
    let hosting = Arc::clone(&waiting.hosting);
    let code = DefinitionCode {
        waiting,
        order: CompileOrder::of(is_deciding, bytes),
        pass: hosting.cold_start.first_pass(bytes),
        compile: Box::new(compile),
        outcome: Outcome::none(),
        attempts: FailedAttempts::default(),
    };
    hosting.cold_start.push(Box::new(code));
}

/// Has the guest of a type compiled for a route.
pub(super) fn add_route(waiting: LateDefinition, kind: &'static str) {
    let hosting = Arc::clone(&waiting.hosting);
    hosting.cold_start.push(Box::new(RouteTypeCode { waiting, kind, outcome: Outcome::none() }));
}

impl LateDefinition {
    /// Whether it still waits.
    fn is_compiling(&self) -> bool {
        let registry = self.tenant.programs().guests.registry.read();
        registry.is_compiling(self.definition.id, self.definition.version)
    }

    /// Whether it still waits for the code of this pass.
    fn is_wanted(&self, pass: Pass) -> bool {
        match pass {
            Pass::Only | Pass::First => self.is_compiling(),
            Pass::Second => self.is_in_force(),
        }
    }

    /// Whether its version is still in force.
    fn is_in_force(&self) -> bool {
        let registry = self.tenant.programs().guests.registry.read();
        let known = registry.by_id(self.definition.id);
        known.is_some_and(|known| known.version == self.definition.version)
    }

    fn owner(&self) -> OwnerKey {
        OwnerKey { tenant: self.tenant.number, quota_key: self.definition.quota_key() }
    }

    /// Gives it up, and records why.
    fn fails(&self, reason: &str) {
        let Self { hosting, tenant, definition } = self;
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
            records::record_at(&hosting.core, tenant, definition, &error, (now, 0));
        }
    }

    fn complete(&self, pass: Pass, compiled: CompiledDefinition) {
        let Self { hosting, tenant, definition } = self;
        if let Err(error) = install::complete(tenant, hosting, (definition, pass), compiled.code) {
            warn!(tenant = &*tenant.name, definition = &**definition.name(), %error, "native code not put in");
        }
    }
}

impl DefinitionCode {
    /// Returns the next attempt after a failure that may pass.
    fn again(self, reason: String) -> NextStep {
        let failures = self.attempts.failures.saturating_add(1);
        let definition = &**self.waiting.definition.name();
        warn!(
            tenant = &*self.waiting.tenant.name,
            definition, failures, reason, "compilation failed; it is tried again"
        );
        let attempts = FailedAttempts { failures, reason };
        NextStep::Retry(Box::new(Self { outcome: Outcome::none(), attempts, ..self }))
    }

    /// Returns the second pass after the first, and nothing after others.
    fn next_pass(self) -> NextStep {
        if self.pass != Pass::First {
            return NextStep::Done;
        }
        let (order, pass) = (CompileOrder::Running, Pass::Second);
        let (outcome, attempts) = (Outcome::none(), FailedAttempts::default());
        NextStep::Optimise(Box::new(Self { order, pass, outcome, attempts, ..self }))
    }
}

impl DeferredCompile for DefinitionCode {
    fn owner(&self) -> OwnerKey {
        self.waiting.owner()
    }

    fn order(&self) -> CompileOrder {
        self.order
    }

    fn attempts(&self) -> &FailedAttempts {
        &self.attempts
    }

    fn is_wanted(&self) -> bool {
        self.waiting.is_wanted(self.pass)
    }

    fn name(&self) -> String {
        self.waiting.definition.name().as_ref().to_owned()
    }

    fn pass(&self) -> Pass {
        self.pass
    }

    fn compile(&mut self) {
        let Self { waiting, pass, compile, .. } = &*self;
        let compiled = compile(&waiting.hosting, pass.tier(), &|| waiting.is_wanted(*pass));
        self.outcome = Outcome(compiled.map_err(CompileFailure::from));
    }

    fn failure(&self) -> Option<&str> {
        self.outcome.failure()
    }

    fn put_in(mut self: Box<Self>) -> NextStep {
        match std::mem::replace(&mut self.outcome, Outcome::none()).0 {
            Ok(compiled) => self.waiting.complete(self.pass, compiled),
            Err(CompileFailure { reason, is_passing: true }) => return self.again(reason),
            Err(CompileFailure { reason, .. }) if self.pass == Pass::Second => {
                let definition = &**self.waiting.definition.name();
                warn!(
                    tenant = &*self.waiting.tenant.name,
                    definition, reason, "program not optimised; it runs as it is"
                );
            }
            Err(CompileFailure { reason, .. }) => {
                self.waiting.fails(&reason);
                return NextStep::Done;
            }
        }
        self.next_pass()
    }
}

impl DeferredCompile for RouteTypeCode {
    fn owner(&self) -> OwnerKey {
        self.waiting.owner()
    }

    fn order(&self) -> CompileOrder {
        CompileOrder::Large
    }

    fn attempts(&self) -> &FailedAttempts {
        // It is compiled in this process, which nobody ends from outside.
        const { &FailedAttempts { failures: 0, reason: String::new() } }
    }

    fn is_wanted(&self) -> bool {
        self.waiting.is_compiling()
    }

    fn name(&self) -> String {
        self.waiting.definition.name().as_ref().to_owned()
    }

    fn pass(&self) -> Pass {
        Pass::Only
    }

    fn compile(&mut self) {
        let hosting = &self.waiting.hosting;
        let compiled = hosting.route_types.guest(&hosting.engine, self.kind);
        self.outcome = Outcome(compiled.map(drop).map_err(|refusal| DeployError::from(refusal).into()));
    }

    fn failure(&self) -> Option<&str> {
        self.outcome.failure()
    }

    fn put_in(self: Box<Self>) -> NextStep {
        match &self.outcome.0 {
            Ok(()) => install::complete_route(&self.waiting.tenant, &self.waiting.definition),
            Err(CompileFailure { reason, .. }) => self.waiting.fails(reason),
        }
        NextStep::Done
    }
}

/// Definitions whose code is still being compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compiling {
    /// Number of them.
    pub left: usize,
    /// Number of stored definitions and modules.
    pub all: usize,
    /// Names of the first.
    pub names: Vec<String>,
    /// Those whose last attempt has failed, with their names: the first of them.
    pub(crate) retries: Vec<(String, FailedAttempts)>,
}

impl Compiling {
    /// Returns the definitions that are still being compiled; `None` when nothing is. Cost:
    /// O(definitions) while anything is.
    pub fn now(hosting: &Hosting) -> Option<Self> {
        let all = hosting.cold_start.all()?;
        let (mut left, mut names) = (0, Vec::new());
        for tenant in hosting.tenants.all().iter() {
            for definition in tenant.programs().guests.registry.read().compiling() {
                left += 1;
                if names.len() < COMPILING_NAMES_MAX {
                    names.push(definition.name().as_ref().to_owned());
                }
            }
        }
        let retries = hosting.cold_start.retries(COMPILING_NAMES_MAX);
        (left > 0).then_some(Self { left, all, names, retries })
    }
}

impl Compiling {
    /// Form of it in `/health` and `-brokerStatus`.
    pub fn to_json(&self) -> Value {
        let Self { left, all, names, retries } = self;
        let mut told = json!({ "left": left, "all": all, "names": names });
        if !retries.is_empty() {
            let row = |(name, of): &(String, FailedAttempts)| json!({ "name": name, "failures": of.failures, "reason": of.reason });
            told["retries"] = retries.iter().map(row).collect();
        }
        told
    }
}

impl fmt::Display for Compiling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "compiling {} of {}: {}", self.left, self.all, self.names.join(", "))?;
        match self.left.saturating_sub(self.names.len()) {
            0 => {}
            more => write!(f, " and {more} more")?,
        }
        for (name, FailedAttempts { failures, reason }) in &self.retries {
            write!(f, "; {name} has failed {failures} times and is tried again: {reason}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
