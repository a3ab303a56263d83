//! The definitions of a tenant: their triggers, their dependencies, and the last values that they
//! read.
//!
//! On the path of a message: the server asks the [`Registry`] once per new topic which definitions
//! [match](Registry::matches) and whether the topic is [cached](Registry::caching), and keeps both
//! until the [generation](Registry::generation) changes. Per message it asks [`Definition::fires`]
//! and writes [`LastValues`]. Timers come out of [`Registry::due`] and [`SilenceWatch::due`], hooks
//! out of [`Registry::hooks`].
//!
//! One [`Registry`] per tenant, behind the caller's lock; [`Definition`] and [`LastValues`] are
//! shared and need none. Invariants: no I/O, no clock, no threads: time comes in as [`Now`], the
//! time zone with the options. Not here: compiling, running and restarting guests (`host`), storing
//! definitions (`store`), replies of commands (`server`).
//!
//! Further invariants, with the tests that guard them:
//!
//! - A refused change of the registry changes nothing. A replacement is one step. Tests
//!   `refused_change_changes_nothing`, `replacing_is_atomic_and_keeps_the_id`.
//! - Only topics that a definition reads have a last value, unless `[lot] cache` says otherwise.
//!   The cache is bounded. Tests `only_topics_that_somebody_reads_are_cached`,
//!   `bytes_are_bounded_and_a_giant_evicts_only_itself`.

mod activity;
mod calendar;
mod change;
mod definition;
mod fact_index;
#[cfg(test)]
mod fixture;
mod hooks;
mod last_values;
mod levels;
pub mod limits;
mod linked_slab;
mod now;
mod record;
mod registry;
mod report;
mod schedule;
mod silence;
mod trace;
mod watch_rows;
mod window;

pub use activity::{Activity, SuppressedLine, WarningAt};
pub use definition::{Definition, DefinitionId, DefinitionKind, Need, NewDefinition, Origin, Owner};
pub use hooks::Hooks;
pub use last_values::{CacheFigures, CacheLimits, KeepRefused, KeptSum, KeptValue, LastValues, ValueKeeper};
pub use now::Now;
pub use record::{ErrorRecord, MessageText, RunError, TraceRecord, TraceTiming, TraceTrigger, utc_text};
pub use registry::{
    CacheMode, Caching, Changed, InstallError, Installed, NotFound, OnExisting, Registry, RegistryOptions,
    Removed, State, Warning,
};
pub use report::{DependencyReport, EntityRow, ListingRow, PendingRow, Report};
pub use silence::{Ear, SilenceTrouble, SilenceWatch};
pub use trace::TraceStatus;
pub use watch_rows::watching_action;
pub use window::{ClosedWindow, Sampled, WindowTrouble, WindowWatch};
