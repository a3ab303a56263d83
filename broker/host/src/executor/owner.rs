//! Owner in whose name a thread runs definitions. Threads, stand-in threads and the places of
//! Python are shared out between owners. So the definitions of one owner do not block others.

use lotmq_shares::OwnerKey;
use std::cell::Cell;

thread_local! {
    /// Owner of the definition that this thread runs.
    static RUNS_FOR: Cell<OwnerKey> = const { Cell::new(OwnerKey { tenant: 0, quota_key: 0 }) };
}

/// In whose name the calling thread runs something; of a thread that is no executor's, nobody.
pub(crate) fn owner_of_thread() -> OwnerKey {
    RUNS_FOR.get()
}

/// Makes the calling thread run for this owner from now on.
pub(super) fn runs_for(owner: OwnerKey) {
    RUNS_FOR.set(owner);
}
