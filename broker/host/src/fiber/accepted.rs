//! Places of connections that guests have accepted by listeners of their own: of all guests together there are as many as the broker has file descriptors for, of which
//! those of one owner have at most a part of what others leave. Beyond that a newcomer is turned away, and its guest goes on with those that it has.

use lotmq_shares::{AccountShares, NoShare};
use std::sync::Arc;

/// Place of one connection.
#[derive(Debug)]
pub(super) struct AcceptedPlace {
    account: u64,
    all: Arc<AccountShares>,
}

impl AcceptedPlace {
    /// For a guest that acts for this account.
    pub(super) fn take(account: u64, all: &Arc<AccountShares>) -> Result<Self, NoShare> {
        all.take(account, 1)?;
        Ok(Self { account, all: Arc::clone(all) })
    }
}

impl Drop for AcceptedPlace {
    fn drop(&mut self) {
        self.all.give_back(self.account, 1);
    }
}

/// What is told of a connection that was turned away.
pub(super) fn turned_away(reason: NoShare) -> String {
    let (whose, max) = match reason {
        NoShare::Owner { max } => ("those that the guests of this owner have accepted are", max),
        NoShare::All { max } => ("those that all guests have accepted are", max),
    };
    format!("a connection was closed as it came: {whose} the {max} that there may be")
}
