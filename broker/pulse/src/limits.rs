//! Times within which threads show that they live.

use std::time::Duration;

/// Longest wait of a thread that nobody asks for anything before it shows that it could be asked.
///
/// Each wake costs an idle machine some 50 µs, and there are two dozen threads. With
/// [`WAKING_LATENESS_MAX`] it is well below the 60 s after which a service manager takes the broker
/// for dead.
pub const BEAT_PERIOD: Duration = Duration::from_secs(20);

/// How much later than it said a thread may wake, on a busy machine, before it counts as standing
/// still.
pub const WAKING_LATENESS_MAX: Duration = Duration::from_secs(5);
