//! Relaying of messages from the relay of an owner to the mailboxes of the definitions that they
//! start. An executor thread does it when the owner has a turn, which its run queue decides.

use std::sync::Arc;

use lotmq_host::{OwnedEvent, PostError};

use super::effects::events_not_taken;
use super::firing::{Cause, Fires, fires};
use super::relay::{OwnerRelay, RelayedMessage, Shed};
use super::{Starts, TriggeredDefinition};
use crate::limits::{RELAY_POSTS_PER_CLOCK, RELAY_TURN_TIME};
use lotmq_core::tenant::Tenant;
use lotmq_core::turn::Turn;

/// Hands on what waits in a relay, for a bounded time, and tells what it has shed. Whether
/// something is left.
pub fn hand_on(relay: &OwnerRelay, turn: &mut Turn, tenant: &Arc<Tenant>) -> bool {
    let until = turn.core.clock.elapsed() + RELAY_TURN_TIME;
    let mut posts = 0_usize;
    loop {
        let (shed, next) = relay.next();
        shed.iter().for_each(|shed| tell(turn, tenant, shed));
        let Some(mut relayed) = next else { return false };
        while let Some(trigger) = relayed.next_trigger() {
            hand_to(&trigger, &relayed, turn, tenant);
            posts += 1;
            if posts.is_multiple_of(RELAY_POSTS_PER_CLOCK) && turn.core.clock.elapsed() >= until {
                relay.put_back(relayed);
                return true;
            }
        }
    }
}

fn tell(turn: &mut Turn, tenant: &Arc<Tenant>, shed: &Shed) {
    let Shed { triggers, first: (topic, payload), waited, count } = shed;
    let error = PostError::Full { messages: *waited };
    for trigger in triggers.iter() {
        events_not_taken(turn, tenant, &trigger.definition, (&error, *count), (topic, payload));
    }
}

/// Hands a message to one definition, if it starts it.
fn hand_to(trigger: &TriggeredDefinition, relayed: &RelayedMessage, turn: &mut Turn, tenant: &Arc<Tenant>) {
    let RelayedMessage { message, origin, hops, .. } = relayed;
    let Starts::Guest(runner) = &trigger.starts else { return };
    let cause = Cause {
        topic: &message.topic,
        payload: &message.payload,
        is_of_guest: message.client_id.is_empty(),
        origin: *origin,
        received_ms: message.received_ms,
    };
    let fires = if relayed.has_fired { Fires::AsItIs } else { fires(tenant, trigger, &cause) };
    let message = match fires {
        Fires::No => return,
        Fires::AsItIs => Arc::clone(message),
        Fires::With(figures) => Arc::new(message.of_window(figures)),
    };
    if let Err(error) = runner.post(OwnedEvent::Message(Arc::clone(&message)), *hops, 0) {
        let (topic, payload) = (&*message.topic, &*message.payload);
        events_not_taken(turn, tenant, &trigger.definition, (&error, 1), (topic, payload));
    }
}
