//! The ledger of commits: which tickets are settled, and how.
//!
//! Written by the writer thread alone, before it tells anybody; read by every thread that
//! acknowledges. While no ticket is in doubt it is read without a lock.
//!
//! Invariant: a ticket whose group failed is never called committed, however long nobody asks about
//! it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lotmq_changes::{CommitError, StoreError, Ticket};
use parking_lot::{Condvar, Mutex};

use crate::limits::FAILED_RANGES_MAX;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct Outcomes {
    /// Tickets up to here are settled. Written under the lock.
    through: AtomicU64,
    /// The last ticket that failed; later ones that are settled are committed. Written before
    /// `through`.
    failed_through: AtomicU64,
    state: Mutex<Failures>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Failures {
    /// Ranges of failed tickets, first and last, ascending.
    ranges: VecDeque<(u64, u64, CommitError)>,
    /// Tickets up to here are too old to tell.
    forgotten: u64,
    is_ended: bool,
}

impl Outcomes {
    pub(crate) fn committed(&self, through: Ticket) {
        let state = self.state.lock();
        self.through.store(through.number(), Ordering::Release);
        drop(state);
        self.changed.notify_all();
    }

    /// Marks the tickets after the last report as failed. Consecutive failures for the same reason
    /// share one entry.
    pub(crate) fn failed(&self, through: Ticket, error: CommitError) {
        let mut state = self.state.lock();
        let first = self.through.load(Ordering::Relaxed) + 1;
        match state.ranges.back_mut() {
            Some((_, last, known)) if *last + 1 == first && known.kind == error.kind => {
                *last = through.number()
            }
            Some(_) | None => state.ranges.push_back((first, through.number(), error)),
        }
        if state.ranges.len() > FAILED_RANGES_MAX
            && let Some((_, last, _)) = state.ranges.pop_front()
        {
            state.forgotten = last;
        }
        self.failed_through.store(through.number(), Ordering::Relaxed);
        self.through.store(through.number(), Ordering::Release);
        drop(state);
        self.changed.notify_all();
    }

    /// Nothing will be settled any more.
    pub(crate) fn end(&self) {
        self.state.lock().is_ended = true;
        self.changed.notify_all();
    }

    /// Returns the result of a ticket; `None` while it is under way.
    pub(crate) fn settled(&self, ticket: Ticket) -> Option<Result<(), StoreError>> {
        if ticket.number() > self.through.load(Ordering::Acquire) {
            return None;
        }
        // The ticket before the first stands for nothing.
        if ticket.number() == 0 || ticket.number() > self.failed_through.load(Ordering::Relaxed) {
            return Some(Ok(()));
        }
        Some(self.state.lock().of(ticket))
    }

    /// As [`Outcomes::wait`], as long as some ticket is settled every now and then.
    pub(crate) fn wait_for(&self, ticket: Ticket, patience: Duration) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        while self.through.load(Ordering::Acquire) < ticket.number() {
            if state.is_ended {
                return Err(StoreError::Closed);
            }
            let before = self.through.load(Ordering::Relaxed);
            let is_late = self.changed.wait_for(&mut state, patience).timed_out();
            if is_late && self.through.load(Ordering::Relaxed) == before {
                return Err(StoreError::Hangs { waited: patience });
            }
        }
        state.of(ticket)
    }

    pub(crate) fn wait(&self, ticket: Ticket) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        while self.through.load(Ordering::Acquire) < ticket.number() {
            if state.is_ended {
                return Err(StoreError::Closed);
            }
            self.changed.wait(&mut state);
        }
        state.of(ticket)
    }
}

impl Failures {
    /// Returns the result of a settled ticket.
    fn of(&self, ticket: Ticket) -> Result<(), StoreError> {
        let failed =
            self.ranges.iter().rev().find(|(first, last, _)| (*first..=*last).contains(&ticket.number()));
        match failed {
            Some((_, _, error)) => Err(StoreError::CommitFailed(error.clone())),
            None if ticket.number() <= self.forgotten => Err(StoreError::OutcomeForgotten(ticket)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lotmq_changes::CommitErrorKind;

    fn error(kind: CommitErrorKind) -> CommitError {
        CommitError { kind, detail: "injected".into() }
    }

    #[test]
    fn exactly_the_tickets_of_a_failed_group_fail() {
        let outcomes = Outcomes::default();
        assert!(outcomes.settled(Ticket::numbered(1)).is_none());
        assert!(outcomes.settled(Ticket::numbered(0)).unwrap().is_ok(), "nothing was appended yet");
        outcomes.committed(Ticket::numbered(3));
        outcomes.failed(Ticket::numbered(5), error(CommitErrorKind::Io));
        outcomes.committed(Ticket::numbered(9));
        for (ticket, is_ok) in [(1, true), (3, true), (4, false), (5, false), (6, true), (9, true)] {
            assert_eq!(outcomes.wait(Ticket::numbered(ticket)).is_ok(), is_ok, "ticket {ticket}");
            assert_eq!(outcomes.settled(Ticket::numbered(ticket)).unwrap().is_ok(), is_ok, "ticket {ticket}");
        }
        assert!(outcomes.settled(Ticket::numbered(10)).is_none());
        outcomes.end();
        assert!(matches!(outcomes.wait(Ticket::numbered(10)), Err(StoreError::Closed)));
    }

    #[test]
    fn wait_continues_while_the_store_makes_progress() {
        const PATIENCE: Duration = Duration::from_millis(500);
        let outcomes = Outcomes::default();
        outcomes.committed(Ticket::numbered(1));
        assert!(outcomes.wait_for(Ticket::numbered(1), Duration::ZERO).is_ok());
        let hangs = outcomes.wait_for(Ticket::numbered(2), Duration::from_millis(1));
        assert!(matches!(hangs, Err(StoreError::Hangs { .. })), "{hangs:?}");
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| outcomes.wait_for(Ticket::numbered(20), PATIENCE));
            for number in 2..=20 {
                std::thread::sleep(PATIENCE / 10);
                outcomes.committed(Ticket::numbered(number));
            }
            assert!(waiting.join().unwrap().is_ok(), "longer than that in all");
        });
        outcomes.end();
        assert!(matches!(outcomes.wait_for(Ticket::numbered(21), PATIENCE), Err(StoreError::Closed)));
    }

    #[test]
    fn a_failure_that_is_no_longer_remembered_is_never_called_a_success() {
        let outcomes = Outcomes::default();
        for number in 1..=FAILED_RANGES_MAX as u64 + 1 {
            outcomes.failed(Ticket::numbered(number * 2 - 1), error(CommitErrorKind::Io));
            outcomes.committed(Ticket::numbered(number * 2));
        }
        let is_forgotten = |outcome: Result<(), StoreError>| matches!(outcome, Err(StoreError::OutcomeForgotten(ticket)) if ticket.number() == 1);
        assert!(is_forgotten(outcomes.wait(Ticket::numbered(1))));
        assert!(is_forgotten(outcomes.settled(Ticket::numbered(1)).unwrap()));
        assert!(matches!(outcomes.wait(Ticket::numbered(3)), Err(StoreError::CommitFailed(_))));
        assert!(outcomes.wait(Ticket::numbered(4)).is_ok());
    }

    #[test]
    fn a_disk_that_fails_for_long_takes_one_place_in_the_memory_of_failures() {
        let outcomes = Outcomes::default();
        for number in 1..=3 * FAILED_RANGES_MAX as u64 {
            outcomes.failed(Ticket::numbered(number), error(CommitErrorKind::NoSpace));
        }
        outcomes.failed(Ticket::numbered(4 * FAILED_RANGES_MAX as u64), error(CommitErrorKind::Io));
        for (ticket, kind) in [
            (1, CommitErrorKind::NoSpace),
            (3 * FAILED_RANGES_MAX as u64, CommitErrorKind::NoSpace),
            (3 * FAILED_RANGES_MAX as u64 + 1, CommitErrorKind::Io),
        ] {
            let Some(Err(StoreError::CommitFailed(error))) = outcomes.settled(Ticket::numbered(ticket))
            else {
                panic!("ticket {ticket} has failed");
            };
            assert_eq!(error.kind, kind, "ticket {ticket}");
        }
        assert_eq!(outcomes.state.lock().ranges.len(), 2);
    }
}
