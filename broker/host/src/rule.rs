//! Rules: guests that decide what a client may do. They run on the calling thread, because an
//! answer takes some microseconds.
//!
//! A rule changes nothing but its own state and figures. It sees only its question, its [`Subject`]
//! and last values. It returns the values that it read beside its verdict. So the caller can
//! remember the verdict for as long as those reads would give the same.
//!
//! Invariants: an instance that trapped is never entered again; a call takes at most
//! [`RULE_TIME`](crate::limits::RULE_TIME) of processor time. Not here: the order of rules,
//! remembered verdicts, and the denial when a rule fails (`auth`).

use crate::{
    BorrowedMessage, Compiler, ComponentSource, Engine, Grants, GuestId, GuestLimits, LoadError, RunContext,
    RunError, RunOutput, Services, TopicGrant, Trap, World,
    bindings::rule::{RuleExports, RuleExportsPre},
    deadline::Deadline,
    engine::CodeShare,
    instance::{new_store, start_failed},
    limits::{RULE_MEMORY_BYTES, RULE_TIME},
    memory::{Memory, OF_RULES},
    state::RunState,
    texts::{GRANT_MISSING, not_granted},
    ticker::{Pace, Ticker},
    trap::StoppedRun,
    validate::{RULE_MODULES, is_ours},
};
use std::{fmt, sync::Arc};
use wasmtime::Store;

pub use crate::services::question::{ModuleQuestion, Read, Request, Subject, Verdict};

/// Context of a question, beyond its [`Request`].
#[derive(Clone, Copy, Debug, Default)]
pub struct About<'a> {
    /// The message that a client wants to publish, where it is known. Its topic and payload are
    /// those of the request.
    pub message: Option<BorrowedMessage<'a>>,
    /// MQTT version that the client speaks, as in CONNECT.
    pub protocol_version: Option<u8>,
}

/// Outcome of a question to a rule.
#[derive(Clone, Debug, PartialEq)]
pub enum RuleOutcome {
    /// An answer.
    Said(Verdict),
    /// An error of the guest's own. The instance lives on.
    Failed(RunError),
    /// It was stopped by force: the instance must be dropped.
    Trapped(Trap),
}

/// A compiled component of the world `rule`. Clones share the code.
#[derive(Clone)]
pub struct RuleGuest {
    engine: Engine,
    pre: RuleExportsPre<RunState>,
    asks_for_message: bool,
    asks_modules: bool,
    imports: Arc<[String]>,
    further_exports: Arc<[String]>,
    _code: CodeShare,
}

impl fmt::Debug for RuleGuest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RuleGuest").finish_non_exhaustive()
    }
}

impl RuleGuest {
    /// Checks and compiles a component, or a core module of our own compiler; see
    /// [`Engine::compile`].
    ///
    /// # Errors
    /// When it is not one, or does not fit the world.
    pub fn compile<'a>(
        compiler: impl Into<Compiler<'a>>,
        binary: &[u8],
        source: ComponentSource,
    ) -> Result<RuleGuest, LoadError> {
        let compiler = compiler.into();
        let (pre, summary, code) = compiler.prepare(binary, World::Rule, source)?;
        let imports = |interface| summary.imports.iter().any(|import| is_ours(import, &[interface]));
        let asks_modules = imports(RULE_MODULES);
        // A module may ask for it.
        let asks_for_message = asks_modules || imports("current-message");
        let pre = RuleExportsPre::new(pre).map_err(|error| LoadError::world_mismatch(World::Rule, &error))?;
        let (imports, further_exports) = (summary.imports.into(), summary.further_exports.into());
        Ok(RuleGuest {
            engine: compiler.engine.clone(),
            pre,
            asks_for_message,
            asks_modules,
            imports,
            further_exports,
            _code: code,
        })
    }

    /// Interfaces that it imports.
    pub fn imports(&self) -> &[String] {
        &self.imports
    }

    /// Exports that the world does not have, which nobody calls.
    pub fn further_exports(&self) -> &[String] {
        &self.further_exports
    }

    /// Makes an instance of a rule of our own compiler, which may read all topics and keep state:
    /// some 10 µs.
    ///
    /// # Errors
    /// When no instance is free, or its start code fails.
    pub fn instance(&self, services: Arc<dyn Services>) -> Result<RuleInstance, Trap> {
        self.instance_with(
            services,
            Arc::new(grants()),
            &GuestLimits { time: RULE_TIME, ..GuestLimits::default() },
        )
    }

    /// Makes an instance with these grants, and of these limits those of time and memory, as far as
    /// a rule has so much.
    ///
    /// # Errors
    /// As [`RuleGuest::instance`].
    pub fn instance_with(
        &self,
        services: Arc<dyn Services>,
        grants: Arc<Grants>,
        limits: &GuestLimits,
    ) -> Result<RuleInstance, Trap> {
        let memory_bytes = limits.memory_bytes.min(RULE_MEMORY_BYTES).min(self.engine.memory_bytes_max());
        let limits = GuestLimits {
            memory_bytes,
            time: limits.time.min(RULE_TIME),
            writes: 0,
            write_bytes: 0,
            ..GuestLimits::default()
        };
        let memory = Memory::new(memory_bytes, OF_RULES, self.engine.memory_of_rules())?;
        let state = RunState::of_rule(
            services,
            grants,
            (memory, self.engine.patterns_of_rules()),
            self.asks_for_message,
        );
        let mut store = new_store(&self.engine, state, limits.time);
        match self.pre.instantiate(&mut store) {
            Ok(exports) => {
                let ticker = self.engine.ticker().clone();
                let asks_modules = self.asks_modules;
                Ok(RuleInstance { store, exports, ticker, limits, asks_modules, is_poisoned: false })
            }
            Err(error) => Err(start_failed(&error, &store, &limits)),
        }
    }
}

/// All topics to read, and its own state.
fn grants() -> Grants {
    let read = TopicGrant::Filters(Box::new(["#".into(), "$SYS/#".into()]));
    Grants { read, state: true, ..Grants::default() }
}

/// One live instance of a rule; runs on one thread at a time.
pub struct RuleInstance {
    store: Store<RunState>,
    exports: RuleExports,
    ticker: Ticker,
    limits: GuestLimits,
    asks_modules: bool,
    is_poisoned: bool,
}

impl fmt::Debug for RuleInstance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RuleInstance").field("is_poisoned", &self.is_poisoned).finish_non_exhaustive()
    }
}

impl RuleInstance {
    /// Asks the rule. `output` is cleared first and then holds its reports. `subject` is the asking
    /// user, `None` for an anonymous client.
    pub fn check(
        &mut self,
        (request, about): (&Request, About<'_>),
        subject: Option<Arc<dyn Subject>>,
        run: RunContext,
        output: &mut RunOutput,
    ) -> RuleOutcome {
        self.enter((request, about), subject, (run, Deadline::new(self.limits.time)), output)
    }

    /// Asks a module the question of a rule; `run` is that of the module's definition.
    pub fn check_for_rule(
        &mut self,
        question: &ModuleQuestion<'_>,
        definition: GuestId,
        output: &mut RunOutput,
    ) -> RuleOutcome {
        let run = RunContext { definition, hops: question.hops, depth: question.depth };
        let about = About { message: question.message, protocol_version: question.protocol_version };
        let deadline = question.deadline.within(self.limits.time);
        self.enter((question.request, about), question.subject.clone(), (run, deadline), output)
    }

    fn enter(
        &mut self,
        (request, about): (&Request, About<'_>),
        subject: Option<Arc<dyn Subject>>,
        (run, deadline): (RunContext, Deadline),
        output: &mut RunOutput,
    ) -> RuleOutcome {
        output.begin(&self.limits);
        if self.is_poisoned {
            return RuleOutcome::Trapped(Trap::stopped_before());
        }
        self.ticker.run_begins(Pace::Fine);
        let state = self.store.data_mut();
        // Without its topic: reads of that topic are not reads of the message.
        let message = about.message.map(|message| BorrowedMessage { topic: "", payload: &[], ..message });
        state.begin(run, deadline, message.as_ref(), output);
        state.question = self.asks_modules.then(|| Arc::new(request.clone()));
        state.subject = subject;
        state.protocol_version = about.protocol_version;
        self.store.set_epoch_deadline(1);
        let handler = self.exports.lotmq_guest_rule_handler();
        let called = handler.call_check(&mut self.store, request);
        let state = self.store.data_mut();
        state.subject = None;
        state.question = None;
        let asked = request
            .topic
            .as_deref()
            .map(|topic| BorrowedMessage::new(topic, request.payload.as_deref().unwrap_or_default()));
        let missing = state.missing();
        state.end(asked.as_ref(), output);
        match called {
            // The verdict is worthless, because the rule could not see everything that it looked
            // at.
            Ok(Ok(_)) if !missing.is_empty() => {
                RuleOutcome::Failed(RunError::new(GRANT_MISSING, not_granted(&missing[..1])))
            }
            Ok(Ok(verdict)) => RuleOutcome::Said(verdict),
            Ok(Err(error)) => RuleOutcome::Failed(self.store.data().ended_with(error.into(), &missing)),
            Err(error) => {
                self.is_poisoned = true;
                let run = StoppedRun {
                    memory_refused: self.store.data().memory_refused(),
                    memory_bytes_max: self.limits.memory_bytes,
                    last_words: output.last_words(),
                };
                RuleOutcome::Trapped(crate::trap::explain(&error, &run))
            }
        }
    }

    /// Takes the values that the rule read since the last call, in order.
    pub fn take_reads(&mut self) -> Vec<Read> {
        self.store.data_mut().take_reads()
    }

    /// Whether a trap has ended its life.
    pub fn is_poisoned(&self) -> bool {
        self.is_poisoned
    }
}
