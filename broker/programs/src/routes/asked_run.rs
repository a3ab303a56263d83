//! Runs of a guest that somebody asks for: where time stands still, none comes by itself.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

/// End of a run at the latest.
#[derive(Clone, Debug)]
pub struct RunBounds {
    /// Time of the machine after which the guest is told that there is other work; at most
    /// [`ROUTE_RUN_TIME`](crate::limits::ROUTE_RUN_TIME).
    pub time: Duration,
    /// Number of messages after which it is told so; `None`: the time alone.
    pub brings: Option<u64>,
    /// Set when it is enough for another reason.
    pub is_enough: Arc<AtomicBool>,
}

/// Result of a probe: the guest's answer about the far side, which may be empty, or the reason why
/// the far side was not reached.
pub(crate) type Probed = Result<String, String>;

/// Channel on which an open instance reports the result of a probe. Later callers share it.
pub(crate) type AskedProbe = SyncSender<Probed>;

/// Run that waits for an instance.
#[derive(Debug)]
pub struct AskedRun {
    pub(crate) bounds: RunBounds,
    /// Outcome: the time after which it wants to run again, or the reason of a failure that the
    /// connection has outlived, or that it does not run. Ends by which it has not are told as those
    /// of any call.
    pub(crate) outcome: SyncSender<Result<Duration, String>>,
}
