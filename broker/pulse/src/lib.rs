//! Watchdog that detects stalled threads from the outside.
//!
//! A thread reports when it begins a piece of work and when it waits for more. It is stalled if it
//! is at the same piece for longer than a healthy thread ever takes. It is also stalled if it still
//! waits long after the time at which it announced to wake. A stopped thread looks like an idle
//! one, so an idle thread wakes at least once per [`limits::BEAT_PERIOD`]. The watchdog only reads
//! the reports, so its answer is there at once.
//!
//! ```
//! use std::time::{Duration, Instant};
//!
//! use lotmq_pulse::limits::BEAT_PERIOD;
//!
//! let heartbeats = lotmq_pulse::Heartbeats::default();
//! let heartbeat = heartbeats.add("a worker", Duration::from_secs(5));
//! let now = Instant::now();
//! heartbeat.begins(now);
//! assert!(heartbeats.silent(now).is_empty());
//! let later = now + Duration::from_secs(7);
//! let stalled = heartbeats.silent(later)[0].to_string();
//! assert_eq!(stalled, "a worker has given no sign of life for 7 s");
//! heartbeat.waits_one_beat(later);
//! assert!(heartbeats.silent(later).is_empty());
//! let much_later = later + BEAT_PERIOD + Duration::from_secs(6);
//! let late = heartbeats.silent(much_later)[0].to_string();
//! assert_eq!(late, "a worker should have woken 6 s ago");
//! ```
//!
//! Not here: clocks. The caller passes the time.
//!
//! Further invariants, with the tests that guard them:
//!
//! - The broker notices a stalled thread. Tests
//!   `a_shard_that_stands_still_is_named_and_one_that_is_busy_is_not`,
//!   `threads_without_clients_are_missed`, `a_command_that_stands_still_is_missed`,
//!   `a_thread_of_tasks_of_which_one_blocks_is_missed`,
//!   `the_thread_that_answers_for_all_is_missed`,
//!   `a_ticker_that_stands_still_is_missed_and_one_that_has_nothing_to_do_is_not`,
//!   `stalled_thread_is_reported_once_per_stall`, `a_thread_that_stands_still_is_missed`,
//!   `a_writer_that_stands_still_is_missed`, `a_reader_that_stands_still_is_missed`.

pub mod limits;

use std::cell::RefCell;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use limits::{BEAT_PERIOD, WAKING_LATENESS_MAX};

/// Pulses of the threads of one broker. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Heartbeats(Arc<Mutex<Vec<Weak<Heartbeat>>>>);

/// Pulse of one thread, which is watched for as long as this lives.
#[derive(Debug)]
pub struct Heartbeat {
    name: String,
    /// How long a healthy thread is at one piece of work at most.
    patience: Duration,
    state: Mutex<State>,
}

/// State of a thread, as it has told it.
#[derive(Clone, Copy, Debug)]
enum State {
    /// It waits for as long as no work comes.
    Waits,
    /// It waits for work, and until then at most.
    WaitsUntil(Instant),
    /// It is at the piece of work that it began then.
    WorksSince(Instant),
}

/// Thread that stands still. Renders as a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silence {
    /// Name of the thread.
    pub name: String,
    /// How long it has been at the same piece of work, or should have been awake.
    pub time: Duration,
    /// Whether it waits for work, and should not any more.
    pub is_waiting: bool,
}

thread_local! {
    /// Pulse of this thread, for what is called deep within its work.
    static OWN: RefCell<Option<Arc<Heartbeat>>> = const { RefCell::new(None) };
}

impl Heartbeats {
    /// Watches one more thread: whoever is at one piece of work for `patience` or longer stands
    /// still.
    pub fn add(&self, name: impl Into<String>, patience: Duration) -> Arc<Heartbeat> {
        let pulse = Arc::new(Heartbeat { name: name.into(), patience, state: Mutex::new(State::Waits) });
        let mut all = self.0.lock();
        // As many as threads live: those that have ended leave their places.
        all.retain(|pulse| pulse.strong_count() > 0);
        all.push(Arc::downgrade(&pulse));
        pulse
    }

    /// Threads that stand still, in the order in which they were added.
    #[must_use]
    pub fn silent(&self, now: Instant) -> Vec<Silence> {
        let all = self.0.lock();
        all.iter().filter_map(Weak::upgrade).filter_map(|pulse| pulse.silence(now)).collect()
    }
}

impl Heartbeat {
    /// Makes this the pulse of the calling thread, for [`goes_on`] and [`while_away`].
    pub fn install(self: &Arc<Self>) {
        OWN.set(Some(Arc::clone(self)));
    }

    /// Says that the thread begins a piece of work, or goes on with the next part of it.
    pub fn begins(&self, now: Instant) {
        *self.state.lock() = State::WorksSince(now);
    }

    /// Says that the thread waits for others, who have bounds of their own, or that it ends.
    pub fn waits(&self) {
        *self.state.lock() = State::Waits;
    }

    /// Says that the thread waits for work, and no longer than until then.
    pub fn waits_until(&self, then: Instant) {
        *self.state.lock() = State::WaitsUntil(then);
    }

    /// Says that the thread waits for work, and no longer than [`BEAT_PERIOD`]; returns until when.
    pub fn waits_one_beat(&self, now: Instant) -> Instant {
        let then = now + BEAT_PERIOD;
        self.waits_until(then);
        then
    }

    /// How long the thread has been at what it does now, or should have been awake; nothing while
    /// it may wait.
    #[must_use]
    pub fn time(&self, now: Instant) -> Duration {
        match *self.state.lock() {
            State::WorksSince(then) | State::WaitsUntil(then) => now.saturating_duration_since(then),
            State::Waits => Duration::ZERO,
        }
    }

    fn silence(&self, now: Instant) -> Option<Silence> {
        let (since, patience, is_waiting) = match *self.state.lock() {
            State::Waits => return None,
            State::WaitsUntil(then) => (then, WAKING_LATENESS_MAX, true),
            State::WorksSince(then) => (then, self.patience, false),
        };
        let time = now.saturating_duration_since(since);
        (time >= patience).then(|| Silence { name: self.name.clone(), time, is_waiting })
    }
}

/// Says that the calling thread goes on with the next part of a long piece of work. Nothing, where
/// it has no pulse.
pub fn goes_on(now: Instant) {
    OWN.with_borrow(|own| own.iter().for_each(|pulse| pulse.begins(now)));
}

/// Lets the calling thread wait for others, who have bounds of their own, in the midst of its work.
pub fn while_away<T>(now: impl Fn() -> Instant, wait: impl FnOnce() -> T) -> T {
    OWN.with_borrow(|own| own.iter().for_each(|pulse| pulse.waits()));
    let waited = wait();
    goes_on(now());
    waited
}

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, seconds) = (&self.name, self.time.as_secs());
        match self.is_waiting {
            true => write!(f, "{name} should have woken {seconds} s ago"),
            false => write!(f, "{name} has given no sign of life for {seconds} s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    #[test]
    fn thread_without_progress_for_too_long_is_reported_as_silent() {
        let pulses = Heartbeats::default();
        let (one, other) = (pulses.add("one", PATIENCE), pulses.add("other", 2 * PATIENCE));
        let begin = Instant::now();
        let names = |after: Duration| -> Vec<String> {
            pulses.silent(begin + after).into_iter().map(|silence| silence.name).collect()
        };
        assert!(names(100 * PATIENCE).is_empty(), "neither has begun anything");
        one.begins(begin);
        other.begins(begin);
        assert!(names(PATIENCE - Duration::from_millis(1)).is_empty());
        assert_eq!(names(PATIENCE), ["one"]);
        assert_eq!(names(2 * PATIENCE), ["one", "other"]);
        other.waits_until(begin + PATIENCE);
        assert_eq!(other.time(begin + PATIENCE), Duration::ZERO, "it may wait");
        assert_eq!(other.time(begin + 2 * PATIENCE), PATIENCE, "it should have woken");
        assert_eq!(names(PATIENCE + WAKING_LATENESS_MAX - Duration::from_millis(1)), ["one"]);
        assert_eq!(names(PATIENCE + WAKING_LATENESS_MAX), ["one", "other"], "it should have woken by itself");
        assert_eq!(other.waits_one_beat(begin), begin + BEAT_PERIOD);
        assert_eq!(names(BEAT_PERIOD + WAKING_LATENESS_MAX), ["one", "other"]);
        other.begins(begin);
        one.begins(begin + PATIENCE);
        assert_eq!(names(2 * PATIENCE), ["one", "other"], "silent again");
        other.waits();
        assert_eq!(names(2 * PATIENCE), ["one"]);
        drop(one);
        assert!(names(2 * PATIENCE).is_empty(), "nobody misses a thread that has ended");
        assert!(begin.checked_sub(PATIENCE).is_none_or(|before| other.time(before).is_zero()));
    }

    #[test]
    fn nested_calls_report_progress_for_their_thread() {
        let pulses = Heartbeats::default();
        let pulse = pulses.add("a thread", PATIENCE);
        let begin = Instant::now();
        goes_on(begin);
        assert_eq!(pulse.time(begin + PATIENCE), Duration::ZERO, "of no thread yet");
        pulse.install();
        goes_on(begin);
        assert_eq!(pulse.time(begin + PATIENCE), PATIENCE);
        while_away(|| begin + PATIENCE, || assert!(pulse.time(begin + PATIENCE).is_zero()));
        assert_eq!(pulse.time(begin + 2 * PATIENCE), PATIENCE, "it goes on");
        OWN.take();
    }
}
