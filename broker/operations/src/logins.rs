//! Logins: the threads on which passwords are checked, apart from everything that serves messages.
//!
//! Each check takes a core for about 20 ms, so many bad logins at once wait for one another and
//! delay nobody else. Waiting logins take turns by address and by user ([`fair_queue`]). Every
//! second turn goes to a login from a place where its user has logged in before.
//!
//! A patient thread gets the processor time that others leave: a password guesser keeps it busy all
//! the time. On a machine whose cores are all busy, a check there takes ten times as long as at the
//! usual priority. So a prompt thread has the usual priority, and rests nine times as long as each
//! check has computed.
//!
//! Invariants: every check that was given is run, or given up, exactly once. Not here: who has to
//! wait before a password is looked at at all (`lotmq_auth`).

pub mod ban_rows;
mod check;
mod fair_queue;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use lotmq_auth::{LoginOrigin, Source};
use lotmq_pulse::{Heartbeat, Heartbeats};
use parking_lot::{Condvar, Mutex, MutexGuard};
use tracing::{error, warn};

pub(crate) use check::check;
use fair_queue::FairQueue;

use lotmq_process::clock::thread_cpu;
use lotmq_process::limits::ROUND_SILENCE_MAX;

/// Check of a password.
pub struct Check {
    /// Runs it.
    pub run: Box<dyn FnOnce() + Send>,
    /// Reports that it was not run to its end.
    pub give_up: Box<dyn FnOnce(GivenUp) + Send>,
    /// Whether somebody has failed as its user from where it comes, since it waits.
    pub has_failed: Box<dyn Fn() -> bool + Send>,
}

/// Check that waits, with whose it is.
type Waiting = (LoginOrigin, Check);

/// Reason why a check was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GivenUp {
    /// Too many wait, and most of them are of its address or its user.
    Displaced,
    /// It ended by a panic.
    Panicked,
}

/// Waiting checks, and the threads that run them, which end when this is dropped.
pub struct Logins(Arc<Shared>);

/// Queue of the checks, for those that come back to it.
#[derive(Clone)]
pub struct LoginQueue(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// Those that come from where the user whom they name has logged in before, and all others:
    /// strangers take no place of the former.
    familiar: FairQueue<Source, u64, Waiting>,
    others: FairQueue<Source, u64, Waiting>,
    is_turn_of_others: bool,
    is_over: bool,
}

impl State {
    /// Queues a check; gives the one that finds no place.
    fn put(&mut self, waiting: Waiting) -> Option<Check> {
        let LoginOrigin { source, user, is_known, is_familiar } = waiting.0;
        let queue = if is_familiar { &mut self.familiar } else { &mut self.others };
        queue.push((source.network(), source), (user, is_known), waiting).map(|(_, check)| check)
    }

    /// Takes the check whose turn it is. Those that find no place any more are added to
    /// `displaced`.
    fn take(&mut self, displaced: &mut Vec<Check>) -> Option<Check> {
        let other = if self.is_turn_of_others { self.others.pop() } else { None };
        let taken = other.map(|(_, check)| check).or_else(|| self.take_familiar(displaced));
        let taken = taken.or_else(|| self.others.pop().map(|(_, check)| check));
        // A look that finds nobody is no turn.
        self.is_turn_of_others ^= taken.is_some();
        taken
    }

    /// Takes the next one of those who are familiar. One as whose user somebody has failed
    /// meanwhile is so no more.
    fn take_familiar(&mut self, displaced: &mut Vec<Check>) -> Option<Check> {
        while let Some((origin, check)) = self.familiar.pop() {
            if !(check.has_failed)() {
                return Some(check);
            }
            displaced.extend(self.put((LoginOrigin { is_familiar: false, ..origin }, check)));
        }
        None
    }
}

/// LoginPace of a thread that checks passwords.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginPace {
    /// Works all the time, at a low priority.
    Patient,
    /// Works a tenth of the time, at the usual priority.
    Prompt,
}

impl Logins {
    /// Starts a thread for each pace, for `waiting_max` checks, and for as many from where their
    /// users are known.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub fn start(paces: &[LoginPace], waiting_max: usize, pulses: &Heartbeats) -> std::io::Result<Self> {
        let queue = || FairQueue::new(waiting_max);
        let state = State { familiar: queue(), others: queue(), is_turn_of_others: false, is_over: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        for (number, &pace) in paces.iter().enumerate() {
            let shared = Arc::clone(&shared);
            let pulse = pulses.add(format!("password thread {number}"), ROUND_SILENCE_MAX);
            std::thread::Builder::new()
                .name(format!("login-{number}"))
                .spawn(move || work(&shared, pace, &pulse))?;
        }
        Ok(Self(shared))
    }

    /// Has room for so many checks from now on, and for as many from where their users are known.
    pub fn hold_to(&self, waiting_max: usize) {
        let State { familiar, others, .. } = &mut *self.0.state.lock();
        familiar.hold_to(waiting_max);
        others.hold_to(waiting_max);
    }

    /// Queues a check for one of the threads.
    pub fn add(&self, origin: LoginOrigin, check: Check) {
        self.queue().add(origin, check);
    }

    /// The queue, which may outlive the threads.
    pub fn queue(&self) -> LoginQueue {
        LoginQueue(Arc::clone(&self.0))
    }

    /// Number of waiting checks.
    pub fn waiting(&self) -> usize {
        let state = self.0.state.lock();
        state.familiar.len() + state.others.len()
    }
}

impl LoginQueue {
    /// Queues a check for one of the threads. Behind their end nothing comes of it.
    pub fn add(&self, origin: LoginOrigin, check: Check) {
        let displaced = {
            let mut state = self.0.state.lock();
            if state.is_over {
                return;
            }
            state.put((origin, check))
        };
        // A thread that rests takes nothing.
        self.0.changed.notify_all();
        if let Some(check) = displaced {
            (check.give_up)(GivenUp::Displaced);
        }
    }
}

impl Drop for Logins {
    fn drop(&mut self) {
        self.0.state.lock().is_over = true;
        self.0.changed.notify_all();
    }
}

/// Niceness of a patient thread, for a tenth of the share of a thread that serves messages. With
/// less, nobody could log in on a machine whose cores are all busy.
const NICE: i32 = 10;

/// Rest of a prompt thread, in processor times of the check before. So it takes a tenth of a core
/// at most, as a patient thread does on a busy one.
const REST: u32 = 9;

fn work(shared: &Shared, pace: LoginPace, pulse: &Heartbeat) {
    // On Linux this is that of the calling thread; lowering it is always allowed.
    if pace == LoginPace::Patient
        && let Err(error) = rustix::process::setpriority_process(None, NICE)
    {
        warn!(%error, "passwords are checked with the same priority as everything else");
    }
    let mut rests_until = Instant::now();
    while let Some(Check { run, give_up, .. }) = next(shared, rests_until, pulse) {
        pulse.begins(Instant::now());
        let before = thread_cpu();
        if catch_unwind(AssertUnwindSafe(run)).is_err() {
            error!("the check of a password ended by a panic");
            give_up(GivenUp::Panicked);
        }
        if pace == LoginPace::Prompt {
            rests_until = Instant::now() + thread_cpu().saturating_sub(before) * REST;
        }
    }
}

/// Waits for the next check, and for the end of a rest; `None` when there are no more and will be
/// none.
fn next(shared: &Shared, rests_until: Instant, pulse: &Heartbeat) -> Option<Check> {
    let mut state = shared.state.lock();
    loop {
        let mut displaced = Vec::new();
        let now = Instant::now();
        let is_resting = now < rests_until && !state.is_over;
        let check = if is_resting { None } else { state.take(&mut displaced) };
        if !displaced.is_empty() {
            MutexGuard::unlocked(&mut state, || {
                displaced.into_iter().for_each(|check| (check.give_up)(GivenUp::Displaced));
            });
        }
        if check.is_some() {
            return check;
        }
        if state.is_over {
            return None;
        }
        let beat = pulse.waits_one_beat(Instant::now());
        shared.changed.wait_until(&mut state, if is_resting { beat.min(rests_until) } else { beat });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel, sync_channel};
    use std::time::Duration;

    use super::*;

    fn check(run: impl FnOnce() + Send + 'static, sender: &Sender<String>) -> Check {
        let sender = sender.clone();
        let give_up = move |why| sender.send(format!("{why:?}")).unwrap();
        Check { run: Box::new(run), give_up: Box::new(give_up), has_failed: Box::new(|| false) }
    }

    fn origin(number: u8, user: u64) -> LoginOrigin {
        let source = Source::of([192, 0, 2, number].into());
        LoginOrigin { source, user, is_known: true, is_familiar: false }
    }

    #[test]
    fn panic_in_a_login_check_is_reported_and_other_checks_continue() {
        let logins = Logins::start(&[LoginPace::Patient], 10, &Heartbeats::default()).unwrap();
        let (sender, receiver) = channel();
        logins.add(origin(1, 1), check(|| panic!("on purpose"), &sender));
        let checked = sender.clone();
        logins.add(origin(2, 2), check(move || checked.send("checked".to_owned()).unwrap(), &sender));
        drop(sender);
        drop(logins);
        assert_eq!(receiver.iter().collect::<Vec<_>>(), ["Panicked", "checked"]);
    }

    #[test]
    fn prompt_thread_rests_nine_times_as_long_as_its_check_has_computed() {
        let logins = Logins::start(&[LoginPace::Prompt], 10, &Heartbeats::default()).unwrap();
        let (sender, receiver) = channel();
        let (ended, ends) = channel();
        let compute = move || {
            let begun = thread_cpu();
            while thread_cpu().saturating_sub(begun) < Duration::from_millis(20) {}
            ended.send(Instant::now()).unwrap();
        };
        logins.add(origin(1, 1), check(compute.clone(), &sender));
        logins.add(origin(2, 2), check(compute, &sender));
        let first = ends.recv().unwrap();
        assert!(ends.recv().unwrap() - first >= Duration::from_millis(180 + 20));
        drop((logins, sender));
        assert_eq!(receiver.iter().count(), 0);
    }

    #[test]
    fn check_at_the_usual_priority_passes_one_that_takes_long() {
        let paces = [LoginPace::Patient, LoginPace::Prompt];
        let logins = Logins::start(&paces, 10, &Heartbeats::default()).unwrap();
        let (sender, receiver) = channel();
        let (go, may_go) = sync_channel::<()>(0);
        logins.add(origin(1, 1), check(move || may_go.recv().unwrap(), &sender));
        let checked = sender.clone();
        logins.add(origin(2, 2), check(move || checked.send("checked".to_owned()).unwrap(), &sender));
        assert_eq!(receiver.recv().unwrap(), "checked");
        go.send(()).unwrap();
    }

    #[test]
    fn a_check_from_elsewhere_is_not_behind_a_flood_and_takes_its_place() {
        let logins = Logins::start(&[LoginPace::Patient], 100, &Heartbeats::default()).unwrap();
        let (sender, receiver) = channel();
        let (begun, has_begun) = sync_channel(0);
        let (go, may_go) = sync_channel::<()>(0);
        let hold = move || {
            begun.send(()).unwrap();
            may_go.recv().unwrap();
        };
        logins.add(origin(1, 0), check(hold, &sender));
        has_begun.recv().unwrap();
        let say = |text: &str| {
            let (said, text) = (sender.clone(), text.to_owned());
            check(move || said.send(text).unwrap(), &sender)
        };
        let made_up = |n| LoginOrigin { is_known: false, ..origin(1, n) };
        (0..150).for_each(|n| logins.add(made_up(n), say("flood")));
        assert_eq!(logins.waiting(), 100);
        logins.add(origin(2, 7_777), say("other"));
        assert_eq!(logins.waiting(), 100);
        logins.add(LoginOrigin { is_familiar: true, ..origin(3, 7) }, say("familiar"));
        assert_eq!(logins.waiting(), 101, "he takes nobody's place, and nobody his");
        for user in 100..130 {
            let guess = Check { has_failed: Box::new(|| true), ..say("guess") };
            logins.add(LoginOrigin { is_familiar: true, ..origin(4, user) }, guess);
        }
        logins.add(LoginOrigin { is_familiar: true, ..origin(4, 9) }, say("neighbour"));
        go.send(()).unwrap();
        drop((logins, sender));
        let heard: Vec<String> = receiver.iter().collect();
        let run: Vec<_> = heard.iter().filter(|text| *text != "Displaced").collect();
        assert_eq!((heard.len() - run.len(), run.len()), (79, 104), "guesses that are moved need places");
        let place = |wanted: &str| run.iter().position(|text| *text == wanted).unwrap();
        assert!(place("other") <= 7, "{}", place("other"));
        assert!(place("familiar") <= 1, "{}", place("familiar"));
        assert!(
            place("neighbour") <= 3,
            "behind nobody who guesses from his address: {}",
            place("neighbour")
        );
    }
}
