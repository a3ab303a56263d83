//! Whether a message that a definition hears starts it, and with which payload.
//!
//! Asked once for each message and definition, in the messages' order: `ON CHANGE` and `ON WINDOW`
//! remember it.

use std::sync::Arc;

use lotmq_definitions::DefinitionId;

use super::{TriggeredDefinition, windows};
use lotmq_core::tenant::Tenant;

/// Message that may start a definition.
pub(super) struct Cause<'a> {
    pub(super) topic: &'a str,
    pub(super) payload: &'a [u8],
    /// Whether it comes from a guest or the broker.
    pub(super) is_of_guest: bool,
    /// Route that brought it.
    pub(super) origin: Option<DefinitionId>,
    /// When it was received, in milliseconds since 1970.
    pub(super) received_ms: u64,
}

/// What comes of a message at a definition.
pub(super) enum Fires {
    /// Nothing.
    No,
    /// A run with the message as it is.
    AsItIs,
    /// A run with this payload: figures of the window that it closes.
    With(Vec<u8>),
}

/// What comes of a message: one `ON CHANGE` may have seen its payload before, `ON WINDOW` may wait
/// for more.
pub(super) fn fires(tenant: &Arc<Tenant>, trigger: &TriggeredDefinition, cause: &Cause<'_>) -> Fires {
    let Cause { topic, payload, is_of_guest, origin, received_ms } = *cause;
    // What a guest publishes is not split, and what a route brings does not go back to it.
    if (trigger.is_for_clients && is_of_guest) || origin.is_some_and(|id| id == trigger.definition.id) {
        return Fires::No;
    }
    if let Some(window) = &trigger.window {
        let closed = windows::closed_with(tenant, window, (topic, payload), received_ms);
        return closed.map_or(Fires::No, Fires::With);
    }
    if trigger.definition.fires(topic, payload) { Fires::AsItIs } else { Fires::No }
}
