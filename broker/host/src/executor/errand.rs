//! Errands: work of the server for an owner, which takes turns with the runs of the owner's
//! definitions.

use std::any::Any;

/// Errand for an owner. The [`Sink`](super::Sink) of the thread whose turn it is carries it out.
pub trait Errand: Any + Send + Sync {
    /// Number of the tenant, and payer of the owner.
    fn owner(&self) -> (u32, u64);

    /// Discards the remaining work: the executor has ended.
    fn forget(&self);
}
