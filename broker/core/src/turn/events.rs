//! Socket events of a shard: whether the runtime has looked for them lately.
//!
//! The runtime looks when it has nothing else to do, and otherwise once in 61 tasks that it has
//! run. A client that always sends could have nearly as many turns alone, a second in which no
//! other is heard. So when the turns since the last look have taken long, no connection is read
//! before the next look.
//!
//! The thread registers a waker that the runtime wakes after a look, and learns of the look by
//! that.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};
use std::time::Duration;

use crate::limits::READS_TIME_MAX;

/// Socket events of a shard.
#[derive(Default)]
pub struct Events {
    look: Arc<Look>,
    /// End of the first turn since the last look, as far as that is known.
    since: Option<Duration>,
    is_awaited: bool,
}

/// A look that the runtime owes.
#[derive(Default)]
struct Look {
    has_been: AtomicBool,
}

impl Wake for Look {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.has_been.store(true, Ordering::Relaxed);
    }
}

impl Events {
    /// A turn ended at this time of any clock that is always the same. With a waker, a look is
    /// awaited from now on that is to wake it. Cost: O(1).
    pub fn turn_ended(&mut self, now: Duration) -> Option<Waker> {
        if self.are_awaited() {
            return None;
        }
        let since = *self.since.get_or_insert(now);
        self.is_awaited = now.saturating_sub(since) >= READS_TIME_MAX;
        self.is_awaited.then(|| Waker::from(Arc::clone(&self.look)))
    }

    /// Notes that the runtime has looked, because it had nothing else to do.
    pub(crate) fn have_come(&mut self) {
        self.since = None;
    }

    /// Whether reading waits until the runtime has looked.
    pub(crate) fn are_awaited(&mut self) -> bool {
        if self.is_awaited && self.look.has_been.swap(false, Ordering::Relaxed) {
            (self.is_awaited, self.since) = (false, None);
        }
        self.is_awaited
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_is_awaited_when_turns_have_taken_long() {
        const STEP: Duration = Duration::from_millis(1);
        let mut events = Events::default();
        let mut now = Duration::ZERO;
        for _ in 0..3 {
            let (mut turns, mut looks) = (0, None);
            while !events.are_awaited() {
                looks = events.turn_ended(now);
                now += STEP;
                turns += 1;
            }
            assert_eq!(turns, READS_TIME_MAX.as_millis() + 1);
            assert!(events.turn_ended(now + READS_TIME_MAX).is_none());
            assert!(events.are_awaited(), "however many turns there are");
            looks.unwrap().wake();
            assert!(!events.are_awaited());
        }
    }
}
