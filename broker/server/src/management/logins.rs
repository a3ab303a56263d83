//! Logins: the threads on which passwords are checked, apart from everything that serves messages.
//!
//! Each check takes a core for about 20 ms, so many bad logins at once wait for one another and for nobody else: those that wait take turns by address
//! and by user ([`fair_queue`]). The threads get what the others leave of the processor: somebody who guesses passwords keeps them busy all the time.
//!
//! Invariants: every check that was given is run, or given up, exactly once. Not here: who has to wait before a password is looked at at all (`lotmq_auth`).

mod check;
mod fair_queue;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use lotmq_auth::Source;
use lotmq_pulse::{Pulse, Pulses};
use parking_lot::{Condvar, Mutex};
use tracing::{error, warn};

pub(crate) use check::check;
use fair_queue::FairQueue;

use crate::limits::ROUND_SILENCE_MAX;

/// Check of a password.
pub(crate) struct Check {
    /// Runs it.
    pub(crate) run: Box<dyn FnOnce() + Send>,
    /// Reports that it was not run to its end.
    pub(crate) give_up: Box<dyn FnOnce(GivenUp) + Send>,
}

/// Reason why a check was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GivenUp {
    /// Too many wait, and most of them are of its address or its user.
    Displaced,
    /// It ended by a panic.
    Panicked,
}

/// Waiting checks, and the threads that run them, which end when this is dropped.
pub(crate) struct Logins(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    waiting: FairQueue<Source, u64, Check>,
    is_over: bool,
}

impl Logins {
    /// Starts `threads` threads for `waiting_max` checks.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub(crate) fn start(threads: usize, waiting_max: usize, pulses: &Pulses) -> std::io::Result<Self> {
        let state = Mutex::new(State { waiting: FairQueue::new(waiting_max), is_over: false });
        let shared = Arc::new(Shared { state, changed: Condvar::new() });
        for number in 0..threads {
            let shared = Arc::clone(&shared);
            let pulse = pulses.add(format!("password thread {number}"), ROUND_SILENCE_MAX);
            std::thread::Builder::new()
                .name(format!("login-{number}"))
                .spawn(move || work(&shared, &pulse))?;
        }
        Ok(Self(shared))
    }

    /// Queues a check for one of the threads. It comes from `source` and names a user, given by a hash and whether the user exists.
    pub(crate) fn add(&self, source: Source, user: (u64, bool), check: Check) {
        let displaced = self.0.state.lock().waiting.push(source, user, check);
        self.0.changed.notify_one();
        if let Some(check) = displaced {
            (check.give_up)(GivenUp::Displaced);
        }
    }

    /// Number of waiting checks.
    pub(crate) fn waiting(&self) -> usize {
        self.0.state.lock().waiting.len()
    }
}

impl Drop for Logins {
    fn drop(&mut self) {
        self.0.state.lock().is_over = true;
        self.0.changed.notify_all();
    }
}

/// Niceness of the threads, for a tenth of the share of a thread that serves messages. With less, nobody could log in on a machine whose cores are all busy.
const NICE: i32 = 10;

fn work(shared: &Shared, pulse: &Pulse) {
    // On Linux this is that of the calling thread; lowering it is always allowed.
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        warn!(%error, "passwords are checked with the same priority as everything else");
    }
    while let Some(Check { run, give_up }) = next(shared, pulse) {
        pulse.begins(Instant::now());
        if catch_unwind(AssertUnwindSafe(run)).is_err() {
            error!("the check of a password ended by a panic");
            give_up(GivenUp::Panicked);
        }
    }
}

/// Waits for the next check; `None` when there are no more and will be none.
fn next(shared: &Shared, pulse: &Pulse) -> Option<Check> {
    let mut state = shared.state.lock();
    loop {
        if let Some(check) = state.waiting.pop() {
            return Some(check);
        }
        if state.is_over {
            return None;
        }
        shared.changed.wait_until(&mut state, pulse.waits_one_beat(Instant::now()));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel, sync_channel};

    use super::*;

    fn check(run: impl FnOnce() + Send + 'static, sender: &Sender<String>) -> Check {
        let sender = sender.clone();
        Check { run: Box::new(run), give_up: Box::new(move |why| sender.send(format!("{why:?}")).unwrap()) }
    }

    fn source(number: u8) -> Source {
        Source::of([192, 0, 2, number].into())
    }

    #[test]
    fn a_panic_in_a_check_is_told_and_ends_nothing_else() {
        let logins = Logins::start(1, 10, &Pulses::default()).unwrap();
        let (sender, receiver) = channel();
        logins.add(source(1), (1, true), check(|| panic!("on purpose"), &sender));
        let checked = sender.clone();
        logins.add(source(2), (2, true), check(move || checked.send("checked".to_owned()).unwrap(), &sender));
        drop(sender);
        drop(logins);
        assert_eq!(receiver.iter().collect::<Vec<_>>(), ["Panicked", "checked"]);
    }

    #[test]
    fn a_check_from_elsewhere_is_not_behind_a_flood_and_takes_its_place() {
        let logins = Logins::start(1, 100, &Pulses::default()).unwrap();
        let (sender, receiver) = channel();
        let (begun, has_begun) = sync_channel(0);
        let (go, may_go) = sync_channel::<()>(0);
        let hold = move || {
            begun.send(()).unwrap();
            may_go.recv().unwrap();
        };
        logins.add(source(1), (0, true), check(hold, &sender));
        has_begun.recv().unwrap();
        let say = |text: &str| {
            let (said, text) = (sender.clone(), text.to_owned());
            check(move || said.send(text).unwrap(), &sender)
        };
        (0..150).for_each(|n| logins.add(source(1), (n, false), say("flood")));
        assert_eq!(logins.waiting(), 100);
        logins.add(source(2), (7_777, true), say("other"));
        assert_eq!(logins.waiting(), 100);
        go.send(()).unwrap();
        drop((logins, sender));
        let heard: Vec<String> = receiver.iter().collect();
        let run: Vec<_> = heard.iter().filter(|text| *text != "Displaced").collect();
        assert_eq!((heard.len() - run.len(), run.len()), (51, 100));
        let place = run.iter().position(|text| *text == "other").unwrap();
        assert!(place <= 3, "{place}");
    }
}
