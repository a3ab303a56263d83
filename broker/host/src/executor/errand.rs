//! Errands: work that the server has for an owner, and that has its turn among the runs of his
//! definitions.

use std::any::Any;

/// Errand for an owner. The [`Sink`](super::Sink) of the thread whose turn it is carries it out.
pub trait Errand: Any + Send + Sync {
    /// Number of the tenant, and payer of the owner.
    fn owner(&self) -> (u32, u64);

    /// Forgets what is left to do: the executor has ended.
    fn forget(&self);
}
