//! Waits of what a route brings: until the store, or the outboxes of other routes, have room for
//! it.
//!
//! They are no silence of the far side, so they do not count in the time that a call of a guest may
//! take; and they are told, since nothing is brought meanwhile.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Time from which on a wait is told.
const TOLD_FROM: Duration = Duration::from_secs(2);

/// Waits of one route, with all its instances.
#[derive(Debug, Default)]
pub(crate) struct IngestWaits(Mutex<Waits>);

#[derive(Debug, Default)]
struct Waits {
    /// Number of those that wait.
    count: usize,
    /// Since when there are any.
    since: Option<Instant>,
    /// Time for which there were any, before.
    before: Duration,
    why: &'static str,
}

/// A wait; it ends with this.
#[derive(Debug)]
pub(crate) struct IngestWait<'a>(&'a IngestWaits);

impl IngestWaits {
    /// Begins one, because of `why`, a clause for people.
    pub(crate) fn begin(&self, why: &'static str) -> IngestWait<'_> {
        let mut waits = self.0.lock();
        waits.count += 1;
        waits.since.get_or_insert_with(Instant::now);
        waits.why = why;
        IngestWait(self)
    }

    /// Time for which there have been any so far.
    pub(crate) fn total(&self) -> Duration {
        let waits = self.0.lock();
        waits.before + waits.since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Why there is one that has lasted for long.
    pub(crate) fn long_wait(&self) -> Option<&'static str> {
        let waits = self.0.lock();
        waits.since.filter(|since| since.elapsed() >= TOLD_FROM).map(|_| waits.why)
    }
}

impl Drop for IngestWait<'_> {
    fn drop(&mut self) {
        let mut waits = self.0.0.lock();
        waits.count -= 1;
        if waits.count == 0
            && let Some(since) = waits.since.take()
        {
            waits.before += since.elapsed();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_waits_at_once_count_once() {
        let waits = IngestWaits::default();
        assert_eq!((waits.total(), waits.long_wait()), (Duration::ZERO, None));
        let (first, second) = (waits.begin("a"), waits.begin("b"));
        drop(first);
        std::thread::sleep(Duration::from_millis(5));
        let during = waits.total();
        assert!(during >= Duration::from_millis(5));
        waits.0.lock().since = Instant::now().checked_sub(TOLD_FROM);
        assert_eq!(waits.long_wait(), Some("b"));
        drop(second);
        let after = waits.total();
        assert!(after >= TOLD_FROM && waits.long_wait().is_none());
        assert_eq!(waits.total(), after, "it has ended");
    }
}
