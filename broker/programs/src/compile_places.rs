//! Places for compile workers: how many run at once, and whose turn it is.
//!
//! One owner has at most one place. One place is kept for administrators, so that they can always
//! install. Owners who wait take [turns](OwnerTurns). One place is too few for a part of a sum.
//! Invariant: a place is given back when its worker has ended,
//! also one that was killed.

use std::time::{Duration, Instant};

use lotmq_pulse::while_away;
use lotmq_shares::{OwnerKey, OwnerTurns};
use parking_lot::{Condvar, Mutex};

/// Period at which a waiting thread checks whether its result is still wanted.
const LOOK_PAUSE: Duration = Duration::from_millis(50);

/// Owner of a compilation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompileOwner {
    /// Tenant and quota key of the owner.
    pub owner: OwnerKey,
    /// Rank of the owner.
    pub rank: Rank,
}

/// Rank of an owner, which decides how many places it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rank {
    /// One place, and none of the last one.
    User,
    /// One place.
    Administrator,
    /// The broker itself, for what it has stored: all places but the last one.
    Broker,
}

impl CompileOwner {
    /// The broker itself.
    pub(crate) fn broker() -> Self {
        Self { owner: OwnerKey::default(), rank: Rank::Broker }
    }
}

/// Places for compile workers.
#[derive(Debug)]
pub(crate) struct CompilePlaces {
    max: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    held: Vec<Held>,
    waiting: OwnerTurns<Waiting>,
    next_ticket: u64,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    ticket: u64,
    asker: CompileOwner,
    since: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    ticket: u64,
    rank: Rank,
}

/// One place; dropping it gives it back.
#[derive(Debug)]
pub struct CompilePlace<'a> {
    places: &'a CompilePlaces,
    ticket: u64,
}

/// Place that is taken, for the status.
#[derive(Clone, Copy, Debug)]
pub struct TakenPlace {
    /// Owner of the compilation that has the place.
    pub asker: CompileOwner,
    /// How long it has been taken.
    pub time: Duration,
}

/// Error: nobody wants the result any more.
#[derive(Debug)]
pub(crate) struct Unwanted;

impl CompilePlaces {
    /// So many places, of which the last one is kept for administrators.
    pub(crate) fn new(max: usize) -> Self {
        Self { max, state: Mutex::default(), changed: Condvar::new() }
    }

    /// Waits for a place while `is_wanted` says yes. It is asked every 50 ms.
    ///
    /// # Errors
    /// [`Unwanted`].
    pub(crate) fn take(
        &self,
        asker: CompileOwner,
        is_wanted: &mut dyn FnMut() -> bool,
    ) -> Result<CompilePlace<'_>, Unwanted> {
        let mut state = self.state.lock();
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        state.waiting.push(asker.owner, Waiting { ticket, rank: asker.rank });
        loop {
            // A change that lets this one begin may let others begin, too.
            if state.give(self.max) {
                self.changed.notify_all();
            }
            if state.held.iter().any(|held| held.ticket == ticket) {
                return Ok(CompilePlace { places: self, ticket });
            }
            if !is_wanted() {
                state.waiting.retain(asker.owner, |waiting| waiting.ticket != ticket);
                return Err(Unwanted);
            }
            // The threads that compile are watched, not those that wait for them.
            while_away(Instant::now, || self.changed.wait_for(&mut state, LOOK_PAUSE));
        }
    }

    /// Places that are taken.
    pub(crate) fn taken(&self) -> Vec<TakenPlace> {
        let state = self.state.lock();
        state.held.iter().map(|held| TakenPlace { asker: held.asker, time: held.since.elapsed() }).collect()
    }
}

impl State {
    /// Gives free places to those whose turn it is; returns whether anybody got one.
    fn give(&mut self, max: usize) -> bool {
        let before = self.held.len();
        while let Some((asker, ticket)) = self.next(max) {
            self.held.push(Held { ticket, asker, since: Instant::now() });
        }
        self.held.len() > before
    }

    fn next(&mut self, max: usize) -> Option<(CompileOwner, u64)> {
        let Self { held, waiting, .. } = self;
        let of_others = held.iter().filter(|held| held.asker.rank != Rank::Administrator).count();
        waiting.take(|owner, line| {
            let rank = line.front()?.rank;
            // One place is never that of anybody else.
            let is_free = held.len() < max && (rank == Rank::Administrator || of_others + 1 < max);
            let has_one = held.iter().any(|held| held.asker.owner == owner);
            let may = is_free && (!has_one || rank == Rank::Broker);
            let waiting = may.then(|| line.pop_front())??;
            Some((CompileOwner { owner, rank }, waiting.ticket))
        })
    }
}

impl Drop for CompilePlace<'_> {
    fn drop(&mut self) {
        let mut state = self.places.state.lock();
        state.held.retain(|held| held.ticket != self.ticket);
        state.give(self.places.max);
        self.places.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use super::*;

    fn user(quota_key: u64) -> CompileOwner {
        CompileOwner { owner: OwnerKey { tenant: 1, quota_key }, rank: Rank::User }
    }

    fn root() -> CompileOwner {
        CompileOwner { rank: Rank::Administrator, ..user(99) }
    }

    /// A place, if one is free at once.
    fn at_once(places: &CompilePlaces, asker: CompileOwner) -> Option<CompilePlace<'_>> {
        places.take(asker, &mut || false).ok()
    }

    #[test]
    fn an_owner_has_one_place_and_the_last_one_is_for_administrators() {
        let places = CompilePlaces::new(3);
        let first = at_once(&places, user(1));
        assert!(first.is_some());
        assert!(at_once(&places, user(1)).is_none(), "one owner, one place");
        let second = at_once(&places, user(2));
        assert!(second.is_some());
        assert!(at_once(&places, user(3)).is_none(), "the last place is kept");
        let third = at_once(&places, root());
        assert!(third.is_some());
        assert!(at_once(&places, root()).is_none(), "all places are taken");
        assert_eq!(places.taken().len(), 3);
        drop(first);
        assert!(at_once(&places, user(3)).is_some());
        drop((second, third));
        assert!(places.taken().is_empty());
        assert!(places.state.lock().waiting.is_empty(), "whoever gave up does not wait");
    }

    #[test]
    fn the_broker_takes_all_places_but_that_of_administrators() {
        let places = CompilePlaces::new(3);
        let held: Vec<_> = (0..3).map_while(|_| at_once(&places, CompileOwner::broker())).collect();
        assert_eq!(held.len(), 2);
        assert!(at_once(&places, user(1)).is_none(), "the last place is kept from users as well");
        assert!(at_once(&places, root()).is_some());
    }

    #[test]
    fn owners_who_wait_take_turns() {
        let places = CompilePlaces::new(2);
        let held = at_once(&places, user(9));
        let order = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for (number, quota_key) in [1, 1, 1, 2].into_iter().enumerate() {
                let (places, order) = (&places, &order);
                scope.spawn(move || {
                    let place = places.take(user(quota_key), &mut || true);
                    order.lock().push(quota_key);
                    drop(place);
                });
                while places.state.lock().next_ticket < 2 + number as u64 {
                    std::thread::yield_now();
                }
            }
            drop(held);
        });
        let order = order.into_inner();
        assert!(order[..2].contains(&2), "{order:?}");
    }

    #[test]
    fn cancelled_compilation_stops_waiting_for_a_slot() {
        let places = CompilePlaces::new(2);
        let held = at_once(&places, user(1));
        let (is_wanted, looks) = (AtomicBool::new(true), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let look = &mut || {
                    looks.fetch_add(1, Ordering::SeqCst);
                    is_wanted.load(Ordering::SeqCst)
                };
                places.take(user(2), look).is_err()
            });
            while looks.load(Ordering::SeqCst) == 0 {
                std::thread::yield_now();
            }
            is_wanted.store(false, Ordering::SeqCst);
            assert!(waiting.join().unwrap());
        });
        drop(held);
        assert!(at_once(&places, user(2)).is_some());
    }

    /// However long others compile before it: those are watched.
    #[test]
    fn a_thread_that_waits_for_a_place_does_not_count_as_hanging() {
        const PATIENCE: Duration = Duration::from_secs(1);
        let (places, pulses) = (CompilePlaces::new(2), lotmq_pulse::Heartbeats::default());
        let held = at_once(&places, user(1));
        let pulse = pulses.add("waits", PATIENCE);
        let later = || Instant::now() + 100 * PATIENCE;
        let is_wanted = AtomicBool::new(true);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                pulse.install();
                pulse.begins(Instant::now());
                let place = places.take(user(2), &mut || is_wanted.load(Ordering::SeqCst));
                drop(place);
            });
            while places.changed.notify_all() == 0 {
                std::thread::yield_now();
            }
            assert!(pulses.silent(later()).is_empty());
            drop(held);
        });
        assert_eq!(pulses.silent(later()).len(), 1, "it works again");
    }
}
