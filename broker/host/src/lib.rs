//! Runs guests: WebAssembly components of the package `lotmq:guest`, each in its own sandbox with
//! its own limits.
//!
//! ```text
//! bytes --Engine::compile--> Guest --Executor::add--> Runner
//! Runner --post / InlineRuns::run--> ActionInstance::run --effects + outcome--> Sink
//! ```
//!
//! Start with [`Engine`] and [`Executor`]. A guest calls the broker through [`Services`] and writes
//! its effects to [`RunOutput`].
//!
//! Invariants: a guest is never entered again after a trap; runs of one definition never overlap
//! and keep the order of its mailbox; every bound is in [`limits`]; `unsafe` is only in
//! `cache::native`, `heap` and in generated bindings. Not here: triggers, last values, who may
//! deploy what (`definitions`, `server`).
//!
//! Further invariants, with the tests that guard them:
//!
//! - Runs of one definition keep the order of its mailbox and never overlap. Tests
//!   `order_holds_and_runs_do_not_overlap_on_many_threads`,
//!   `counters_lose_nothing_where_clients_of_several_threads_raise_them`,
//!   `a_chain_of_actions_keeps_the_order_of_each_client`.
//! - Inline runs of an Action that depends only on its message may overlap on several threads. Each
//!   thread has its own instance, and runs keep the order of their thread (`executor/inline.rs`).
//!   Tests `runs_of_pure_definitions_overlap`, `other_runs_do_not_overlap`,
//!   `nothing_overtakes_what_was_posted`.
//! - Runs for many messages in one call (`batch.rs`) have the same effects as runs one by one.
//!   Tests `runs_of_a_batch_do_what_they_do_alone`, `a_run_whose_write_is_refused_is_made_again`,
//!   `generated_programs_do_what_the_reference_says`.
//! - Each host function checks its grant, whatever facts, custom sections and arguments say. The
//!   default grants nothing. Tests `every_host_function_checks_its_grant`,
//!   `nothing_is_granted_by_default`, `an_action_calls_whatever_it_likes`,
//!   `a_rule_calls_whatever_it_likes`.
//! - A guest that traps delays only itself. A message that causes a trap affects only that message.
//!   Tests `a_trap_storm_delays_only_itself`,
//!   `a_message_that_traps_again_and_again_pauses_and_the_others_go_on`.
//! - A component may import its world and the inert WASI set: no sockets, no files, no HTTP. Tests
//!   `unsuitable_component_is_rejected_with_an_error_code`,
//!   `the_inert_set_has_no_sockets_and_no_http`.
//! - Scripts share nothing. A script that exceeds its limits stops alone. Tests
//!   `globals_live_from_call_to_call_and_no_other_script_sees_them`,
//!   `a_script_that_goes_too_far_is_stopped_and_begins_anew`,
//!   `runs_that_wait_for_scripts_hold_up_nobody_else_and_keep_their_order`.
//! - The checked-in guest modules belong to their sources. Test
//!   `prebuilt_modules_belong_to_their_sources`.
//!
//! # Trust
//!
//! - The broker believes facts only from its own compiler in this process
//!   (`ComponentSource::Compiler`). Only that compiler may use the core module `rt`.
//! - Native code comes from the compiler in this process, from a worker process that compiles one
//!   binary and can be killed (`engine/compiler.rs`), or from the cache. Cache files are encrypted
//!   and authenticated with a key of the machine.
//! - State that must survive a trap lives on the host.
//! - Bounded actions (no loop, no call, no wait) run in the turn for at most 500 µs. A longer run
//!   is given up without a trace and posted to its mailbox.

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
mod trap_breaker;
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
    COMPILING, CUT_MARK, GAVE_UP, GRANT_MISSING, RUN_CODES, describe_owner, is_run_code, wanted_grant,
};
pub use trap_breaker::{AfterTrap, TrapBreaker};
pub use types::{
    Argument, BorrowedMessage, Client, Departure, Event, Lease, MessageExtras, OwnedClient, OwnedEvent,
    OwnedMessage, Qos, RunError, SourcePlace, Subscription, Value,
};
pub use validate::{ComponentSource, LoadError, World, check_upload, imports_of_upload, world_by_exports};
