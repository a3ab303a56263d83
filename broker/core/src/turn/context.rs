//! Context of turns: what the turns of all threads share on top of the core's state.
//!
//! Not here: the state itself, which also connections and sessions see (`Core`).

use std::sync::{Arc, OnceLock, Weak};

use crate::shared::Core;
use crate::tenant::delayed::DelayedMessages;
use crate::turn::broker_hooks::BrokerHooks;
use crate::turn::broker_hooks::GuestRunner;
use crate::turn::expiry_timers::ExpiryTimers;
use crate::turn::session_drain::SessionDrains;

/// Context that the turns of all threads share.
pub struct TurnContext {
    /// Shared state of the core.
    pub core: Arc<Core>,
    /// The broker above, from its start on.
    pub broker_hooks: OnceLock<Weak<dyn BrokerHooks>>,
    /// Runner of the guests that messages trigger.
    pub guest_runner: &'static dyn GuestRunner,
    /// Expiry timers of Clients that are away.
    pub expiry_timers: ExpiryTimers,
    /// Messages that wait until their delay is over.
    pub delayed: DelayedMessages,
    /// Drains of sessions that have ended.
    pub session_drains: SessionDrains,
}

impl TurnContext {
    /// Context of turns that nothing has happened in.
    pub fn new(core: Arc<Core>, guest_runner: &'static dyn GuestRunner) -> Self {
        let delayed = DelayedMessages::new(&core.settings.limits);
        Self {
            core,
            broker_hooks: OnceLock::new(),
            guest_runner,
            expiry_timers: ExpiryTimers::default(),
            delayed,
            session_drains: SessionDrains::default(),
        }
    }

    /// Calls the broker above; `None` after its end.
    pub fn tell<R>(&self, what: impl FnOnce(&dyn BrokerHooks) -> R) -> Option<R> {
        let hooks = self.broker_hooks.get()?.upgrade()?;
        Some(what(&*hooks))
    }
}
