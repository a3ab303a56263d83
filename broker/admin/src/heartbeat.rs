//! Signs of life, as `/health` tells of them: which threads stand still.

use std::time::{Duration, Instant};

use lotmq_process::limits::HEARTBEAT_PATIENCE;
use lotmq_process::watchdog::Watchdog;

/// Period at which threads that seem to stand still are looked at again.
const LOOK_PAUSE: Duration = Duration::from_millis(50);

/// Threads that stand still, in words. Those that seem to have [`HEARTBEAT_PATIENCE`] to go on: a
/// process that was stopped for a while goes on whole.
pub(super) async fn silent(watchdog: &Watchdog) -> Option<String> {
    let deadline = Instant::now() + HEARTBEAT_PATIENCE;
    loop {
        let now = Instant::now();
        let silent = watchdog.silent(now);
        if silent.is_none() || now >= deadline {
            return silent;
        }
        tokio::time::sleep(LOOK_PAUSE).await;
    }
}
