//! Progress of durable changes: in a thread's turn, with the store, or on the disk.
//!
//! A change is made in memory first and is handed to the store when the turn that holds it ends.
//! Until then it has no ticket, and changes that another thread hands over may overtake it. So a
//! thread that changes the stored state of a session marks the session with the [`Stamp`] of its
//! turn, under the same lock. A thread that takes the session over, or answers that there is
//! nothing to change, checks the mark. Its answer may rest on a change that is not on the disk.
//!
//! Invariants: the changes of a session reach the store in the order in which they were made,
//! whichever threads made them. A stamped turn ends, at the latest with its thread. Not here: work
//! that waits for a ticket (`turn::release`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;
use std::time::Duration;

use lotmq_changes::{Log, Ticket};
use parking_lot::{Mutex, RwLock};
use tracing::warn;

use crate::clock::Clock;
use crate::fault::{Fault, is_planted};

/// Bits of a stamp that number the turns of a thread; the others number the thread.
const TURN_BITS: u32 = 48;

/// Pause between two checks by a thread without connections whether another thread's turn has
/// ended, and for how long. A turn lasts milliseconds; only one that the store takes nothing of
/// lasts longer, and then everything waits.
const TURN_PAUSE: Duration = Duration::from_millis(1);
const TURN_PAUSES_MAX: u32 = 5_000;

/// Stamp: names a turn of a thread. The default names none: nothing was ever changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp(u64);

impl Stamp {
    fn new(thread: u16, turn: u64) -> Self {
        Self(u64::from(thread) << TURN_BITS | turn)
    }

    fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Number of the thread.
    pub(crate) fn thread(self) -> u16 {
        u16::try_from(self.0 >> TURN_BITS).expect("16 bits")
    }

    fn turn(self) -> u64 {
        self.0 & ((1 << TURN_BITS) - 1)
    }
}

/// Stamp of the newest durable change of something.
#[derive(Debug, Default)]
pub struct Mark(AtomicU64);

impl Mark {
    /// Sets the stamp. Call with the lock held under which the change is made.
    pub fn set(&self, stamp: Stamp) {
        self.0.store(stamp.0, Ordering::Relaxed);
    }

    /// The stamp of the newest change.
    pub fn get(&self) -> Stamp {
        Stamp(self.0.load(Ordering::Relaxed))
    }
}

/// Progress of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// No ticket: its turn has not ended.
    InTurn,
    /// It is with the store and, as far as known, not on the disk.
    OnItsWay,
    /// On the disk.
    OnDisk,
}

/// Turns of all threads that route.
#[derive(Default)]
pub struct Turns {
    threads: RwLock<Vec<Arc<Thread>>>,
    /// Slots of threads that have ended.
    free: Arc<Mutex<Vec<u16>>>,
}

/// Turns of one thread as the others see them.
#[derive(Default)]
struct Thread(Mutex<State>);

#[derive(Default)]
struct State {
    /// Number of the turn that has not ended.
    turn: u64,
    /// The last batch of a stamped turn.
    last: Option<Ticket>,
    /// Wakers of connections that wait for the end of the turn.
    waiting: Vec<Waker>,
}

impl Turns {
    /// Enters a thread, which gets a seat.
    pub fn enter(&self) -> Seat {
        let mut threads = self.threads.write();
        let number = self.free.lock().pop().unwrap_or_else(|| {
            threads.push(Arc::default());
            u16::try_from(threads.len() - 1).expect("a broker has few threads")
        });
        let thread = Arc::clone(&threads[usize::from(number)]);
        // The first turn of all is not 0, which is no stamp.
        let turn = thread.end(None);
        Seat {
            thread,
            number,
            stamp: Stamp::new(number, turn),
            is_stamped: false,
            free: Arc::clone(&self.free),
        }
    }

    /// Progress of the change with this stamp. One that failed is on the disk when a later one of
    /// its thread is, unless the store has given some up.
    pub fn standing(&self, stamp: Stamp, log: &dyn Log) -> Standing {
        if stamp.is_none() {
            return Standing::OnDisk;
        }
        let thread = self.thread(stamp);
        let state = thread.0.lock();
        if state.turn <= stamp.turn() {
            return Standing::InTurn;
        }
        let Some(last) = state.last else { return Standing::OnDisk };
        drop(state);
        match log.settled(last) {
            Some(Ok(())) if !log.has_lost() => Standing::OnDisk,
            _ => Standing::OnItsWay,
        }
    }

    /// Wakes `waker` when the turn of the stamp has ended. False when it has already.
    pub(crate) fn wake_at_end(&self, stamp: Stamp, waker: Waker) -> bool {
        let thread = self.thread(stamp);
        let mut state = thread.0.lock();
        let is_in_turn = state.turn <= stamp.turn();
        if is_in_turn {
            state.waiting.push(waker);
        }
        is_in_turn
    }

    /// Whether the turn of the stamp has ended: what it has for Clients is with their sessions.
    pub(crate) fn has_ended(&self, stamp: Stamp) -> bool {
        self.thread(stamp).0.lock().turn > stamp.turn()
    }

    /// Blocks until the turn of the stamp has ended; not for shards. False when that takes too
    /// long.
    pub fn await_end(&self, stamp: Stamp, clock: &dyn Clock) -> bool {
        let thread = self.thread(stamp);
        for _ in 0..TURN_PAUSES_MAX {
            if thread.0.lock().turn > stamp.turn() {
                return true;
            }
            clock.pause(TURN_PAUSE);
        }
        warn!("a turn of another thread does not end, its changes may be stored behind later ones");
        false
    }

    fn thread(&self, stamp: Stamp) -> Arc<Thread> {
        Arc::clone(&self.threads.read()[usize::from(stamp.thread())])
    }
}

impl Thread {
    /// Ends the turn under way; the number of the next one.
    fn end(&self, ticket: Option<Ticket>) -> u64 {
        let (turn, waiting) = {
            let mut state = self.0.lock();
            state.turn += 1;
            state.last = ticket.or(state.last);
            (state.turn, std::mem::take(&mut state.waiting))
        };
        waiting.into_iter().for_each(Waker::wake);
        turn
    }
}

/// Seat of a thread among the turns.
pub struct Seat {
    thread: Arc<Thread>,
    number: u16,
    stamp: Stamp,
    is_stamped: bool,
    free: Arc<Mutex<Vec<u16>>>,
}

impl Seat {
    /// The stamp of a change that is made now.
    pub fn stamp(&mut self) -> Stamp {
        self.is_stamped = true;
        self.stamp
    }

    /// The stamp of the turn under way, which nothing need carry.
    pub(crate) fn current(&self) -> Stamp {
        self.stamp
    }

    /// Whether changes of this turn carry its stamp.
    pub(crate) fn is_stamped(&self) -> bool {
        self.is_stamped
    }

    /// Whether a change with this stamp is in the turn of another thread.
    pub(crate) fn is_overtaking(&self, stamp: Stamp, turns: &Turns, log: &dyn Log) -> bool {
        let is_of_other = !stamp.is_none() && stamp.thread() != self.number;
        is_of_other && !is_planted(Fault::ChangeOvertakes) && turns.standing(stamp, log) == Standing::InTurn
    }

    /// Notes that the changes so far are with the store, as this batch, or that there were none.
    pub(crate) fn handed_over(&mut self, ticket: Option<Ticket>) {
        if std::mem::take(&mut self.is_stamped) {
            self.stamp = Stamp::new(self.number, self.thread.end(ticket));
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.thread.end(None);
        self.free.lock().push(self.number);
    }
}

/// Stamps of the newest changes of several things together, one for each thread.
#[derive(Debug, Default)]
pub struct Stamps(Vec<Stamp>);

impl Stamps {
    pub(crate) fn note(&mut self, stamp: Stamp) {
        match self.0.iter_mut().find(|known| known.thread() == stamp.thread()) {
            Some(known) => *known = stamp,
            None => self.0.push(stamp),
        }
    }

    /// Forgets stamps that are on the disk. True when all are.
    pub(crate) fn are_on_disk(&mut self, turns: &Turns, log: &dyn Log) -> bool {
        self.unstored(turns, log).is_empty()
    }

    /// Stamps that are not on the disk; the others are forgotten.
    pub(crate) fn unstored(&mut self, turns: &Turns, log: &dyn Log) -> &[Stamp] {
        self.0.retain(|stamp| turns.standing(*stamp, log) != Standing::OnDisk);
        &self.0
    }

    /// One stamp that is not on the disk, preferably one in a thread's unfinished turn.
    pub fn newest(&mut self, turns: &Turns, log: &dyn Log) -> Stamp {
        self.are_on_disk(turns, log);
        let in_turn = self.0.iter().find(|stamp| turns.standing(**stamp, log) == Standing::InTurn);
        in_turn.or(self.0.first()).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
