//! Interface of crate `operations`, which is above the guests.

use std::sync::{Arc, Weak};

use lotmq_auth::Identity;
use lotmq_definitions::Definition;

use super::HasPrograms as _;
use super::pending_triggers::hand_to_route;
use lotmq_core::tenant::Tenant;
use lotmq_core::tenant::system_topics::COMMAND_TOPIC;
use lotmq_core::turn::Turn;

/// Management above the guests, as they call it. No message that goes its usual way does.
pub trait GuestBrokerHooks: Send + Sync {
    /// Takes a command that a run has given. False when nothing comes of it.
    fn command_of_guest(&self, turn: &mut Turn, command: GuestCommand<'_>) -> bool;
}

/// Command that a run has given, in the name of the owner of its definition.
pub struct GuestCommand<'a> {
    /// Tenant of the definition.
    pub tenant: &'a Arc<Tenant>,
    /// Definition whose run gave the command.
    pub definition: &'a Definition,
    /// Identity of the owner of the definition.
    pub owner: Identity,
    /// Text of the command.
    pub payload: &'a [u8],
    /// Hops of the message that would tell it.
    pub hops: u8,
}

/// Handles a message that a run of a guest published below `$SYS`; the host has checked the
/// permission. A command is given in the name of the owner of the definition; one that has none
/// gives no commands. False when nothing comes of it.
pub(super) fn published_to_tree(
    turn: &mut Turn,
    tenant: &Arc<Tenant>,
    (definition, owner): (&Definition, Option<Identity>),
    (topic, payload): (&str, &[u8]),
    hops: u8,
) -> bool {
    let guests = &tenant.programs().guests;
    if topic != COMMAND_TOPIC {
        let for_route = guests.for_event(topic, payload, Arc::default(), hops);
        let Some(for_route) = for_route.or_else(|| guests.for_table(topic, payload, hops)) else {
            return false;
        };
        hand_to_route(turn, tenant, for_route);
        return true;
    }
    let Some(owner) = owner else { return false };
    let Some(hooks) = guests.broker_hooks.get().and_then(Weak::upgrade) else { return false };
    hooks.command_of_guest(turn, GuestCommand { tenant, definition, owner, payload, hops })
}
