//! Claim of a login to the place of its connection, among all that may be open.

use std::sync::Arc;

use crate::shares::Share;

/// Claim of a login to the place of its connection.
pub struct PlaceClaim<'a> {
    /// Share of the owner in whose number of connections it is to count.
    pub share: Arc<Share>,
    /// Whether an administrator has logged in, who is held to no bound.
    pub is_administrator: &'a dyn Fn() -> bool,
    /// Whether another connection of the owner ends because this one takes over its session.
    pub takes_over: &'a dyn Fn() -> bool,
}
