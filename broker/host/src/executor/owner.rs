//! Owner in whose name definitions run. Threads, stand-in threads and the places of Python are
//! shared out between owners, so that the definitions of one owner do not block those of others.

use std::cell::Cell;

/// In whose name a definition runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct RunOwner {
    pub(crate) tenant: u32,
    /// Payer of its user's account; 0 for nobody.
    pub(crate) account: u64,
}

thread_local! {
    /// Owner of the definition that this thread runs.
    static RUNS_FOR: Cell<RunOwner> = const { Cell::new(RunOwner { tenant: 0, account: 0 }) };
}

impl RunOwner {
    /// In whose name the calling thread runs something; of a thread that is no executor's, nobody.
    pub(crate) fn of_thread() -> RunOwner {
        RUNS_FOR.get()
    }

    /// Makes the calling thread run for this owner from now on.
    pub(super) fn begins(self) {
        RUNS_FOR.set(self);
    }
}
