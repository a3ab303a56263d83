//! Specifications of definitions for an executor, with the state and figures of their runners.

use super::mailbox::MailboxOptions;
use crate::{Grants, Guest, GuestId, GuestLimits, Services, limits::RUN_BUCKETS};
use lotmq_histogram::DurationCounts;
use std::{sync::Arc, time::Duration};

/// Specification of a runner: what an executor needs to know of a definition.
#[derive(Clone)]
pub struct RunnerSpec {
    /// Names it to the server.
    pub id: GuestId,
    /// Names it to people.
    pub name: Arc<str>,
    /// Tenants take turns on the executor.
    pub tenant: u32,
    /// Its code.
    pub guest: Guest,
    /// Services of the broker for it.
    pub services: Arc<dyn Services>,
    /// Rights that it has.
    pub grants: Arc<Grants>,
    /// Limits of a run.
    pub limits: GuestLimits,
    /// Bounds of its mailbox.
    pub mailbox: MailboxOptions,
    /// Whether a run depends on its event alone: the code keeps nothing between runs and reads
    /// nothing that runs change. Inline runs of different threads may overlap then.
    pub is_pure: bool,
}

/// Specification of a runner whose code is still being compiled.
/// [`Runner::replace`](super::Runner::replace) adds the code and the rest of a [`RunnerSpec`].
#[derive(Clone, Debug)]
pub struct CompilingSpec {
    /// Names it to the server.
    pub id: GuestId,
    /// Names it to people.
    pub name: Arc<str>,
    /// Tenants take turns on the executor.
    pub tenant: u32,
    /// Account of its owner; 0 for nobody.
    pub account: u64,
    /// Bounds of its mailbox.
    pub mailbox: MailboxOptions,
}

/// State of a runner, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunnerState {
    /// Its code is still being compiled; events wait in its mailbox.
    Compiling,
    /// Ready for events, or running.
    Enabled,
    /// Pausing after a trap, for so long.
    Pausing(Duration),
    /// Trapping on everything: five times within a minute, and no run has ended otherwise since
    /// then. It is tried again and again, after pauses up to a minute; so long it still pauses.
    Failed(Duration),
    /// Removed.
    Closed,
}

/// Figures of a runner since it was added.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RunnerMetrics {
    /// Runs, nested ones included.
    pub runs: u64,
    /// Runs that ended with an error of the guest's own.
    pub errors: u64,
    /// Runs that were stopped by force.
    pub traps: u64,
    /// Inline runs that took longer than their slice and were posted instead.
    pub slices_expired: u64,
    /// Events that were refused or dropped because the mailbox was full, with the mailbox, or
    /// because their message pauses.
    pub dropped: u64,
    /// Events that wait, without those that an executor has taken out for the turn under way.
    pub waiting: usize,
    /// Mean time of the runs that were measured; one in eight is. `None` before the first.
    pub mean_run_time: Option<Duration>,
    /// Times of those, by [`RUN_BOUNDS`](crate::limits::RUN_BOUNDS).
    pub run_times: DurationCounts<RUN_BUCKETS>,
    /// Time of all runs: of each that was stopped, and for the others the mean of those that were
    /// measured.
    pub time: Duration,
    /// How long the turn of a worker lasts by now that is under way; turns of runs that end are
    /// short.
    pub turn: Duration,
}
