//! Work of a task on a thread of routes since it last ended its turn, so that it ends a long one
//! and others have theirs.
//!
//! Counted is what was really done, in bytes as values of placeholders are: what was copied, and
//! what took as long.

use std::cell::Cell;

use tokio::task::yield_now;

use crate::limits::ROUTE_TURN_WORK_MAX;

/// Work of a task since it last ended its turn.
#[derive(Default)]
pub(super) struct TurnWork(Cell<usize>);

impl TurnWork {
    /// Counts work that was done.
    pub(super) fn count(&self, work: usize) {
        self.0.set(self.0.get().saturating_add(work));
    }

    /// Whether there was enough for one turn.
    pub(super) fn is_enough(&self) -> bool {
        self.0.get() >= ROUTE_TURN_WORK_MAX
    }

    /// Ends the turn, if there was enough work for one.
    pub(super) async fn end_turn_if_enough(&self) {
        if self.is_enough() {
            self.0.set(0);
            yield_now().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    #[test]
    fn a_turn_ends_when_there_was_enough_work() {
        let work = TurnWork::default();
        let mut context = Context::from_waker(Waker::noop());
        let mut ends = || pin!(work.end_turn_if_enough()).poll(&mut context).is_pending();
        let mut ended = Vec::new();
        for more in [0, ROUTE_TURN_WORK_MAX - 1, 1, ROUTE_TURN_WORK_MAX - 1, usize::MAX, 0] {
            work.count(more);
            ended.push(ends());
        }
        assert_eq!(ended, [false, false, true, false, true, false]);
    }
}
