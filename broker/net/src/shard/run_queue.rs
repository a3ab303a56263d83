//! Run queue of the processor: for how long the thread of a shard was ready to run, and another one
//! ran.
//!
//! Linux counts it for each thread, in `schedstat`. Without that file a thread never waits, as far
//! as is known.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

/// Longest content: three numbers.
const BYTES_MAX: usize = 96;

/// Waits of one thread on the run queue.
pub(super) struct SchedStat {
    file: Option<File>,
    /// Time that the thread had waited at the last look.
    waited: Duration,
}

impl SchedStat {
    /// Waits of the calling thread.
    pub(super) fn of_this_thread() -> Self {
        let mut own = Self { file: File::open("/proc/thread-self/schedstat").ok(), waited: Duration::ZERO };
        own.look();
        own
    }

    /// Time for which the thread has waited since the last look. Costs a system call.
    pub(super) fn look(&mut self) -> Duration {
        let mut bytes = [0; BYTES_MAX];
        let read = self.file.as_ref().and_then(|file| file.read_at(&mut bytes, 0).ok());
        let waited = read.and_then(|len| waited(bytes.get(..len)?)).unwrap_or(self.waited);
        waited.saturating_sub(std::mem::replace(&mut self.waited, waited))
    }
}

/// Second of the three numbers: nanoseconds on the run queue.
fn waited(schedstat: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(schedstat).ok()?;
    Some(Duration::from_nanos(text.split_ascii_whitespace().nth(1)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_on_the_run_queue_is_the_second_number() {
        let of = |text: &str| waited(text.as_bytes());
        assert_eq!(of("1200 3500000 17\n"), Some(Duration::from_micros(3500)));
        for text in ["", "12", "12 x 3", "12 -5 3"] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
