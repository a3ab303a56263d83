//! Errands: work of the server for an owner, which takes turns with the runs of the owner's
//! definitions.

use lotmq_shares::OwnerKey;
use std::any::Any;

/// Errand for an owner. The [`Sink`](super::Sink) of the thread whose turn it is carries it out.
pub trait Errand: Any + Send + Sync {
    /// Its owner.
    fn owner(&self) -> OwnerKey;

    /// Discards the remaining work: the executor has ended.
    fn forget(&self);
}
