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

/// Effect of a message on a definition.
pub(super) enum Fires {
    /// Nothing.
    No,
    /// A run with the message as it is.
    AsItIs,
    /// A run with this payload: figures of the window that it closes.
    With(Vec<u8>),
}

/// Returns the effect of a message. `ON CHANGE` ignores a repeated payload, and `ON WINDOW` may
/// wait for more messages.
pub(super) fn fires(tenant: &Arc<Tenant>, trigger: &TriggeredDefinition, cause: &Cause<'_>) -> Fires {
    let Cause { topic, payload, is_of_guest, origin, received_ms } = *cause;
    // Models that split JSON ignore messages of guests. A route does not get its own messages back.
    if (trigger.is_for_clients && is_of_guest) || origin.is_some_and(|id| id == trigger.definition.id) {
        return Fires::No;
    }
    if let Some(window) = &trigger.window {
        let closed = windows::closed_with(tenant, window, (topic, payload), received_ms);
        return closed.map_or(Fires::No, Fires::With);
    }
    if trigger.definition.fires(topic, payload) { Fires::AsItIs } else { Fires::No }
}
