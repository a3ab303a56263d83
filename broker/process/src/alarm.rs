//! Alarm of a thread that works by the clock: it sleeps until the next time, and others wake it
//! before that.

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// Alarm of one thread.
#[derive(Default)]
pub struct Alarm {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    is_woken: bool,
    is_stopping: bool,
}

impl Alarm {
    /// Ends the thread's sleep, or its next one.
    pub fn wake(&self) {
        self.state.lock().is_woken = true;
        self.changed.notify_one();
    }

    /// Ends the thread's sleep for good.
    pub fn stop(&self) {
        self.state.lock().is_stopping = true;
        self.changed.notify_one();
    }

    /// Sleeps; false when it is time to stop.
    pub fn sleep(&self, time: Duration) -> bool {
        let mut state = self.state.lock();
        let deadline = Instant::now() + time;
        while !state.is_woken && !state.is_stopping {
            if self.changed.wait_until(&mut state, deadline).timed_out() {
                break;
            }
        }
        state.is_woken = false;
        !state.is_stopping
    }
}
