//! Turns of the definitions that the thread of the timers tells of silences and windows: one round
//! tells so much and no more, and the next one goes on behind it.
//!
//! Not `lotmq_shares::FairTurns`: nothing is queued. It is a cursor in the sorted list of
//! definitions.
//!
//! All else that is due by the clock waits for a round: Clients that have not been heard, Wills,
//! sessions that end.

use lotmq_definitions::DefinitionId;
use parking_lot::Mutex;

use crate::limits::REPORTS_PER_ROUND;

/// Round-robin cursor: the definition at which the next round begins.
pub(crate) struct RoundRobin(Mutex<DefinitionId>);

impl Default for RoundRobin {
    fn default() -> Self {
        Self(Mutex::new(DefinitionId(0)))
    }
}

/// Result of a round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoundResult {
    /// Runs that were started.
    pub started: usize,
    /// Whether more is due.
    pub is_behind: bool,
}

impl RoundRobin {
    /// Runs one round: lets each watch report its due events, in the order of definitions. `tell`
    /// gets a bound and returns the number of reports and of started runs. A watch that reaches the
    /// end of the round is first in the next one.
    pub(crate) fn round<T>(
        &self,
        watches: &[T],
        definition: impl Fn(&T) -> DefinitionId,
        mut tell: impl FnMut(&T, usize) -> (usize, usize),
    ) -> RoundResult {
        let first = *self.0.lock();
        let begin = watches.partition_point(|watch| definition(watch) < first);
        let (mut left, mut started) = (REPORTS_PER_ROUND, 0);
        let (before, behind) = watches.split_at(begin);
        for watch in behind.iter().chain(before) {
            if left == 0 {
                *self.0.lock() = definition(watch);
                return RoundResult { started, is_behind: true };
            }
            let (done, runs) = tell(watch, left);
            left = left.saturating_sub(done);
            started += runs;
        }
        // Of the last one there may be more, which begins the next round as well as another.
        RoundResult { started, is_behind: left == 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_bounded_and_everybody_has_a_turn() {
        let turns = RoundRobin::default();
        let due = std::cell::RefCell::new([1_000_usize; 5]);
        let mut rounds = 0;
        let mut first_told = [0; 5];
        while due.borrow().iter().any(|due| *due > 0) {
            rounds += 1;
            let told = turns.round(
                &[0_u64, 1, 2, 3, 4],
                |id| DefinitionId(*id),
                |id, most| {
                    let due = &mut due.borrow_mut()[usize::try_from(*id).unwrap()];
                    let done = (*due).min(most);
                    *due -= done;
                    if done > 0 && first_told[usize::try_from(*id).unwrap()] == 0 {
                        first_told[usize::try_from(*id).unwrap()] = rounds;
                    }
                    (done, done)
                },
            );
            assert!(told.started <= REPORTS_PER_ROUND, "{told:?}");
        }
        assert!(rounds <= 5_000_usize.div_ceil(REPORTS_PER_ROUND) + 1, "{rounds}");
        assert_eq!(first_told, [1, 2, 3, 4, 5]);
        assert_eq!(turns.round(&[0_u64], |id| DefinitionId(*id), |_, _| (0, 0)), RoundResult::default());
    }

    #[test]
    fn one_alone_goes_on_in_the_next_round() {
        let turns = RoundRobin::default();
        let told = turns.round(&[7_u64], |id| DefinitionId(*id), |_, most| (most, 3));
        assert_eq!(told, RoundResult { started: 3, is_behind: true });
    }
}
