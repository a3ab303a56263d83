//! The clock of running guests: one thread that moves the engine's epoch forward.
//!
//! Invariants: it ticks while guests run and sleeps otherwise; it ends when the engine is gone. If
//! it stands still, nothing ends an endless run; its pulse reports that.

use crate::limits::{TICK_COARSE, TICK_FINE, TICKER_IDLE};
use lotmq_pulse::{Pulse, limits::BEAT_PERIOD};
use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU8, Ordering},
    },
    thread::{self, Thread},
    time::{Duration, Instant},
};
use wasmtime::EngineWeak;

const PARKED: u8 = 0;
const QUIET: u8 = 1;
const COARSE: u8 = 2;
const FINE: u8 = 3;

/// How finely a run needs its time measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// A budget of many milliseconds.
    Coarse,
    /// An inline slice.
    Fine,
}

/// Told of every run; cheap unless the ticker sleeps.
#[derive(Clone, Debug)]
pub(crate) struct Ticker(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Pace that runs asked for since the last tick, or [`PARKED`].
    asked: AtomicU8,
    thread: OnceLock<Thread>,
}

impl Ticker {
    /// Starts the thread, which shows by `pulse` that it gets round while guests run.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(engine: EngineWeak, pulse: Arc<Pulse>) -> std::io::Result<Ticker> {
        Self::start_with(pulse, move || {
            engine.upgrade().is_some_and(|engine| {
                engine.increment_epoch();
                true
            })
        })
    }

    /// Starts a thread that calls `tick` until it returns false.
    fn start_with(
        pulse: Arc<Pulse>,
        mut tick: impl FnMut() -> bool + Send + 'static,
    ) -> std::io::Result<Ticker> {
        let shared = Arc::new(Shared { asked: AtomicU8::new(COARSE), thread: OnceLock::new() });
        let weak = Arc::downgrade(&shared);
        let handle = thread::Builder::new().name("lotmq-ticker".into()).spawn(move || {
            let mut fine_until = Instant::now();
            let mut idle_since = Instant::now();
            while let Some(shared) = weak.upgrade() {
                pulse.begins(Instant::now());
                if !tick() {
                    return;
                }
                let pause = shared.next_pause(&mut fine_until, &mut idle_since);
                drop(shared);
                match pause {
                    Some(pause) => thread::sleep(pause),
                    None => {
                        pulse.waits_one_beat(Instant::now());
                        thread::park_timeout(BEAT_PERIOD);
                    }
                }
            }
        })?;
        shared.thread.set(handle.thread().clone()).ok();
        Ok(Ticker(shared))
    }

    /// A run begins, or goes on after a tick.
    pub(crate) fn run_begins(&self, pace: Pace) {
        let ask = match pace {
            Pace::Coarse => COARSE,
            Pace::Fine => FINE,
        };
        if self.0.asked.load(Ordering::Relaxed) >= ask {
            return;
        }
        if self.0.asked.swap(ask, Ordering::AcqRel) == PARKED
            && let Some(thread) = self.0.thread.get()
        {
            thread.unpark();
        }
    }
}

impl Shared {
    /// How long until the next tick; `None` to sleep until a run begins.
    fn next_pause(&self, fine_until: &mut Instant, idle_since: &mut Instant) -> Option<Duration> {
        let now = Instant::now();
        let asked = self.asked.swap(QUIET, Ordering::AcqRel);
        if asked >= COARSE {
            *idle_since = now;
        }
        if asked == FINE {
            *fine_until = now + TICKER_IDLE;
        }
        let idle = now.saturating_duration_since(*idle_since) > TICKER_IDLE;
        if idle && self.asked.compare_exchange(QUIET, PARKED, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            return None;
        }
        Some(if now < *fine_until { TICK_FINE } else { TICK_COARSE })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use lotmq_pulse::Pulses;

    use super::*;

    #[test]
    fn a_ticker_that_stands_still_is_missed_and_one_that_has_nothing_to_do_is_not() {
        const PATIENCE: Duration = Duration::from_secs(60);
        let pulses = Pulses::default();
        let (go, may_go) = mpsc::channel();
        let pulse = pulses.add("the ticker", PATIENCE);
        // The test releases each tick.
        let ticker = Ticker::start_with(pulse, move || may_go.recv().is_ok()).unwrap();
        let until = |is_missed: bool| loop {
            let silent = pulses.silent(Instant::now() + PATIENCE);
            // A ticker that sleeps is to wake long before that.
            if silent.iter().any(|silence| !silence.is_waiting) == is_missed {
                return;
            }
            thread::yield_now();
        };
        until(true);
        // Nothing runs: in a while it sleeps.
        while ticker.0.asked.load(Ordering::Acquire) != PARKED {
            go.send(()).unwrap();
            thread::sleep(TICK_COARSE);
        }
        until(false);
        ticker.run_begins(Pace::Coarse);
        until(true);
    }
}
