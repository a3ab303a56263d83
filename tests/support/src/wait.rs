//! Waiting with an end.

use std::time::{Duration, Instant};

/// Longest time that anything in a test is waited for. Generous, because test machines are busy; a
/// passing test never waits it out.
pub const WAIT_MAX: Duration = Duration::from_secs(30);

/// Asks until `condition` gives a value, for things that send no event, such as the memory of a
/// process.
///
/// # Panics
/// When it gave none within [`WAIT_MAX`], or the seconds of `LOTMQ_PATIENCE`, for millions of
/// messages; the text says `what`.
pub fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let seconds = std::env::var("LOTMQ_PATIENCE").ok().and_then(|text| text.parse().ok());
    let patience = seconds.map_or(WAIT_MAX, Duration::from_secs);
    let deadline = Instant::now() + patience;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "not within {} s: {what}", patience.as_secs());
        std::thread::sleep(Duration::from_millis(20));
    }
}
