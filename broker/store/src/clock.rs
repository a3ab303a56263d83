//! Clock of a store: the machine's, or one that the caller drives in steps.
//!
//! Not here: threads that stand still (`lotmq_pulse`), which are always those of the machine.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Clock of a store: time since some start, which never runs backwards.
#[derive(Clone)]
pub(crate) enum Clock {
    /// That of the machine, since this moment.
    Machine(Instant),
    /// Time that this function returns.
    Given(Arc<dyn Fn() -> Duration + Send + Sync>),
}

impl Clock {
    /// The clock of the machine.
    pub(crate) fn of_machine() -> Self {
        Self::Machine(Instant::now())
    }

    pub(crate) fn now(&self) -> Duration {
        match self {
            Self::Machine(start) => start.elapsed(),
            Self::Given(now) => now(),
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&self.now()).finish()
    }
}
