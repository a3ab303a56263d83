//! Watchdog over the threads and tasks without which the broker does not work: `/health` reports
//! one that ends by a panic or stands still.
//!
//! Failures of one Client, login, route, command or run are contained where they happen. The
//! watchdog ignores them.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lotmq_pulse::{Pulse, Pulses, Silence, limits};
use parking_lot::Mutex;
use tokio::runtime::{Builder, Runtime};
use tracing::error;

/// Watchdog over all these threads and tasks.
#[derive(Default)]
pub struct Watchdog {
    /// Signs of life of each thread.
    pub pulses: Pulses,
    /// Names of tasks that have ended by a panic.
    ended_by_panic: Mutex<Vec<&'static str>>,
}

impl Watchdog {
    /// The first thread or task that has ended by a panic.
    pub fn ended(&self) -> Option<&'static str> {
        self.ended_by_panic.lock().first().copied()
    }

    /// Returns a description of what does not work now: a task that has ended by a panic, or
    /// threads that stand still.
    pub fn missed(&self, now: Instant) -> Option<String> {
        if let Some(name) = self.ended() {
            return Some(format!("{name} has ended by a panic"));
        }
        self.silent(now)
    }

    /// Threads that stand still at this time, in words.
    pub fn silent(&self, now: Instant) -> Option<String> {
        let silent = self.pulses.silent(now);
        (!silent.is_empty()).then(|| silent.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
    }
}

/// Runtime of a thread of tasks, which tells when they are at work and when the thread waits. With
/// [`beat`] among them it never waits for long.
///
/// # Errors
/// When the system gives none.
pub fn runtime(pulse: &Arc<Pulse>) -> io::Result<Runtime> {
    let (waits, wakes) = (Arc::clone(pulse), Arc::clone(pulse));
    Builder::new_current_thread()
        .enable_all()
        .on_thread_park(move || {
            waits.waits_one_beat(Instant::now());
        })
        .on_thread_unpark(move || wakes.begins(Instant::now()))
        .build()
}

/// Gives signs of life for the thread of this task, for ever.
pub async fn beat(pulse: Arc<Pulse>) {
    let mut interval = tokio::time::interval(limits::BEAT_PERIOD);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        interval.tick().await;
        pulse.begins(Instant::now());
    }
}

/// Threads that stand still, for the log: not everybody asks for the health, and the thread that
/// would answer may be one of them.
#[derive(Default)]
pub struct StillThreads {
    told: Vec<String>,
    looked_at: Option<Instant>,
}

/// Time between two looks behind which it was the whole process that stood, such as by SIGSTOP, a
/// debugger, or a machine that slept: threads have had no time for a sign of life.
const PROCESS_STOOD: Duration = Duration::from_secs(5);

impl StillThreads {
    /// Logs those that have not been logged since they stand still. True when there is any. After a
    /// time in which the process stood, only from the next look on.
    pub fn tell(&mut self, now: Instant, silent: &[Silence]) -> bool {
        let looked_at = self.looked_at.replace(now);
        if looked_at.is_some_and(|at| now.saturating_duration_since(at) >= PROCESS_STOOD) {
            return false;
        }
        let is_new = |silence: &&Silence| !self.told.contains(&silence.name);
        let fresh: Vec<&Silence> = silent.iter().filter(is_new).collect();
        for silence in &fresh {
            error!(thread = silence.name, seconds = silence.time.as_secs(), "a thread stands still");
        }
        let has_fresh = !fresh.is_empty();
        self.told = silent.iter().map(|silence| silence.name.clone()).collect();
        has_fresh
    }
}

/// Guard that such a thread or task keeps as long as it works; dropped in a panic it tells the
/// watchdog.
pub struct Watched {
    watchdog: Arc<Watchdog>,
    name: &'static str,
}

impl Watched {
    /// Guard of the thread or task `name`.
    pub fn new(watchdog: &Arc<Watchdog>, name: &'static str) -> Self {
        Self { watchdog: Arc::clone(watchdog), name }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let thread = std::thread::current().name().unwrap_or_default().to_owned();
            error!(thread, task = self.name, "ended by a panic; the broker must be started again");
            self.watchdog.ended_by_panic.lock().push(self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::limits::ROUND_SILENCE_MAX;

    /// Waits until a thread is at a piece of work for too long, or is not, judged as if it were
    /// `later` than now.
    fn until_silent(watchdog: &Watchdog, later: Duration, is_silent: bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let silent = watchdog.pulses.silent(Instant::now() + later);
            if silent.iter().any(|silence| !silence.is_waiting) == is_silent {
                return;
            }
            assert!(Instant::now() < deadline, "{silent:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn a_thread_of_tasks_of_which_one_blocks_is_missed() {
        // Longer than a thread that gets round is without a beat.
        const LONG: Duration = Duration::from_secs(3);
        let watchdog = Watchdog::default();
        let pulse = watchdog.pulses.add("a thread of tasks", ROUND_SILENCE_MAX);
        let (go, may_go) = mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime = runtime(&pulse).unwrap();
            runtime.spawn(beat(pulse));
            runtime.block_on(async {
                // Long enough for the thread to wait.
                tokio::time::sleep(Duration::from_millis(100)).await;
                let _ = may_go.recv();
                tokio::time::sleep(Duration::from_millis(100)).await;
                let _ = may_go.recv();
            });
        });
        until_silent(&watchdog, ROUND_SILENCE_MAX, true);
        until_silent(&watchdog, ROUND_SILENCE_MAX - LONG, true);
        go.send(()).unwrap();
        until_silent(&watchdog, ROUND_SILENCE_MAX - LONG, false);
        drop(go);
        thread.join().unwrap();
    }

    #[test]
    fn stalled_thread_is_reported_once_per_stall() {
        let silence =
            |name: &str| Silence { name: name.to_owned(), time: ROUND_SILENCE_MAX, is_waiting: false };
        let [one, other] = ["one", "other"].map(silence);
        let mut still = StillThreads::default();
        let at = Instant::now();
        assert!(!still.tell(at, &[]));
        assert!(still.tell(at, std::slice::from_ref(&one)));
        assert!(!still.tell(at, std::slice::from_ref(&one)));
        assert!(still.tell(at, &[one.clone(), other.clone()]));
        assert!(!still.tell(at, &[other]));
        assert!(still.tell(at, &[one]), "it went on meanwhile");
    }

    #[test]
    fn threads_are_not_reported_after_the_whole_process_was_suspended() {
        let silence = Silence { name: "one".to_owned(), time: ROUND_SILENCE_MAX, is_waiting: false };
        let (mut still, began) = (StillThreads::default(), Instant::now());
        assert!(!still.tell(began, &[]));
        let resumed = began + ROUND_SILENCE_MAX;
        assert!(!still.tell(resumed, std::slice::from_ref(&silence)));
        // One that stands still all the same is told at the next look.
        assert!(still.tell(resumed + Duration::from_millis(500), &[silence]));
    }

    #[test]
    fn watchdog_records_only_tasks_that_ended_by_a_panic() {
        let watchdog = &Arc::<Watchdog>::default();
        drop(Watched::new(watchdog, "ends well"));
        let watched = Watched::new(watchdog, "ends badly");
        let thread = std::thread::spawn(move || {
            let _watched = watched;
            panic!("on purpose");
        });
        thread.join().unwrap_err();
        assert_eq!(*watchdog.ended_by_panic.lock(), ["ends badly"]);
    }
}
