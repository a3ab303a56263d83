//! Runs guests: WebAssembly components of the package `lotmq:guest`, each in its own sandbox with
//! its own limits.
//!
//! ```text
//! bytes --Engine::compile--> Guest --Executor::add--> Runner --post / InlineRuns::run--> ActionInstance::run
//!                                                                        effects + outcome --> Sink
//! ```
//!
//! Start with [`Engine`] and [`Executor`]. What a guest may ask of the broker is [`Services`]; what
//! it wrote is in [`RunOutput`].
//!
//! Invariants: a guest is never entered again after a trap; runs of one definition never overlap
//! and keep the order of its mailbox; every bound is in [`limits`]; `unsafe` is only in
//! `cache::native`, `heap` and in generated bindings. Not here: triggers, last values, who may
//! deploy what (`definitions`, `server`).

#[macro_use]
mod package;

mod ambient;
pub mod auth;
mod batch;
mod bindings;
mod bounds;
mod cache;
mod complexity;
mod deadline;
mod engine;
mod executor;
pub mod fiber;
mod first_look;
mod functions;
mod fuzz;
mod grants;
mod guest;
mod heap;
mod inert;
mod instance;
pub mod limits;
mod mailbox_room;
mod memory;
mod outcome;
mod output;
mod packed;
mod patterns;
mod properties;
pub mod python;
pub mod route;
pub mod rule;
mod sections;
mod services;
mod stack;
mod state;
mod texts;
mod ticker;
mod trap;
mod trap_standing;
mod types;
mod validate;

pub use ambient::{Ambient, Machine};
pub use batch::MessageBatch;
pub use bounds::MessageBounds;
pub use cache::CACHE_KEY_FILE;
pub use cache::native::Artifact;
pub use complexity::TooComplex;
pub use engine::{
    BinaryKind, CodeAccount, CodeBound, CodeUse, CompileBudget, CompileElsewhere, CompileJob, Compiler,
    Engine, EngineError, EngineOptions, MAIN_MODULE, Pool, PoolKind, Tier, WORKER_COMMAND, WorkerCharge,
    WorkerMemory, WorkerUsage, compile_in_worker, worker_main,
};
pub use executor::{
    BatchRuns, CompilingSpec, Errand, Executor, ExecutorOptions, FinishedRun, Inline, InlineRuns,
    MESSAGE_PAUSED, MailboxOptions, PostError, Posted, RunWait, Runner, RunnerMetrics, RunnerSpec,
    RunnerStarts, RunnerState, Sink, WhenFull, away,
};
#[doc(hidden)]
pub use fuzz::fuzz_component;
pub use grants::{Acting, Authority, Capability, Grants, NameGrant, TopicGrant, ValueGrant};
pub use guest::Guest;
pub use heap::trim as give_memory_back;
pub use instance::ActionInstance;
pub use limits::GuestLimits;
pub use mailbox_room::MailboxRoom;
pub use outcome::{RunOutcome, Trap, TrapKind};
pub use output::{Effect, GuestId, LogLevel, MetricChange, RunOutput, Severity, Writer};
pub use packed::unpack;
pub use sections::custom_sections;
pub use services::{
    ModelInstance, NestedCall, RowQuery, RowsError, RunContext, Services, StateRefused, TooManyTopics,
};
pub use stack::register_stack;
pub use texts::{
    COMPILING, CUT_MARK, GAVE_UP, GRANT_MISSING, RUN_CODES, is_run_code, owner_told, wanted_grant,
};
pub use trap_standing::{AfterTrap, TrapStanding};
pub use types::{
    Argument, BorrowedMessage, Client, Departure, Event, Lease, MessageExtras, OwnedClient, OwnedEvent,
    OwnedMessage, Qos, RunError, Subscription, Value,
};
pub use validate::{ComponentSource, LoadError, World, check_upload, imports_of_upload, world_by_exports};
