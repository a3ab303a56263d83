//! `ON CONNECT`, `ON DISCONNECT` and `ON SUBSCRIBE`: Actions that subscribe to events of Clients.
//! LoT reference §7.6.
//!
//! The server asks [`Hooks::is_empty`] and its like once per change of the registry, so that
//! nothing is spent when no Action defines a hook.

use std::sync::Arc;

use lot_facts::Trigger;
use lotmq_router::{filter_matches, parse_shared};

use crate::definition::{Definition, DefinitionId};

/// The armed hooks of a tenant, each list in the order of deployment.
#[derive(Debug, Default, Clone)]
pub struct Hooks {
    connect: Vec<Arc<Definition>>,
    disconnect: Vec<Arc<Definition>>,
    subscribe: Vec<Arc<Definition>>,
}

impl Hooks {
    /// Whether there is no hook of any kind.
    pub fn is_empty(&self) -> bool {
        self.connect.is_empty() && self.disconnect.is_empty() && self.subscribe.is_empty()
    }

    /// Definitions with `ON CONNECT`; run after a successful CONNACK.
    pub fn connect(&self) -> &[Arc<Definition>] {
        &self.connect
    }

    /// Definitions with `ON DISCONNECT`; run when a network session ends for any reason.
    pub fn disconnect(&self) -> &[Arc<Definition>] {
        &self.disconnect
    }

    /// Whether there is a definition with `ON SUBSCRIBE`.
    pub fn has_subscribe(&self) -> bool {
        !self.subscribe.is_empty()
    }

    /// Definitions whose `ON SUBSCRIBE` pattern matches a granted filter as if that were a topic:
    /// its wildcards are plain text. No pattern matches all. Of `$share/<group>/<filter>` the part
    /// after the group is matched, as rules do.
    pub fn subscribe<'a>(&'a self, filter: &'a str) -> impl Iterator<Item = &'a Arc<Definition>> {
        let inner = match parse_shared(filter) {
            Ok(Some(shared)) => shared.filter,
            _ => filter,
        };
        self.subscribe.iter().filter(move |definition| match definition.trigger() {
            Some(Trigger::Subscribe { pattern: Some(pattern) }) => filter_matches(pattern, inner),
            _ => true,
        })
    }

    /// Arms the definition if its trigger is a hook.
    pub(crate) fn arm(&mut self, definition: &Arc<Definition>) {
        let Some(list) = definition.trigger().and_then(|trigger| self.list_of(trigger)) else { return };
        let at = list.partition_point(|other| other.id < definition.id);
        list.insert(at, Arc::clone(definition));
    }

    /// Forgets the definition.
    pub(crate) fn disarm(&mut self, id: DefinitionId) {
        for list in [&mut self.connect, &mut self.disconnect, &mut self.subscribe] {
            list.retain(|definition| definition.id != id);
        }
    }

    fn list_of(&mut self, trigger: &Trigger) -> Option<&mut Vec<Arc<Definition>>> {
        match trigger {
            Trigger::Connect => Some(&mut self.connect),
            Trigger::Disconnect => Some(&mut self.disconnect),
            Trigger::Subscribe { .. } => Some(&mut self.subscribe),
            Trigger::Topic { .. }
            | Trigger::Change { .. }
            | Trigger::Silence { .. }
            | Trigger::Window { .. }
            | Trigger::Every { .. }
            | Trigger::Calendar { .. }
            | Trigger::Once(_)
            | Trigger::Start => None,
        }
    }
}
