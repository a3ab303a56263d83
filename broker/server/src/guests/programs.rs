//! Programs of a tenant: its deployed definitions and scripts, and the values and secrets that they
//! use.
//!
//! The core has them behind [`TenantHooks`](lotmq_core::tenant::triggers::TenantHooks) and calls
//! them for what messages start (`events`); guests get them from their tenant ([`HasPrograms`]).

use std::any::Any;
use std::sync::Arc;

use parking_lot::Mutex;

use super::asked_grants::Manifests;
use super::policed::PolicedModules;
use super::relay::RelaysInUse;
use super::scripts::Scripts;
use super::told_in_turn::ToldInTurn;
use super::variables::Variables;
use super::withheld::Withheld;
use super::{Guests, TriggeredDefinition};
use lotmq_core::tenant::Tenant;

/// Programs of one tenant.
pub(crate) struct Programs {
    pub(crate) guests: Arc<Guests>,
    pub(crate) scripts: Scripts,
    pub(crate) variables: Variables,
    /// Modules that policies keep from messages.
    pub(crate) policed: PolicedModules,
    /// Grants that modules ask for.
    pub(crate) manifests: Manifests,
    /// Relays of owners of definitions.
    relays: Mutex<RelaysInUse>,
    /// Turns of the definitions that are told of silences, and of those that are told of windows.
    pub(super) silences_told: ToldInTurn,
    pub(super) windows_told: ToldInTurn,
    /// Messages that rules withhold from subscribers.
    pub(super) withheld: Withheld,
    /// State that the management above keeps for the tenant; guests do not look into it.
    pub(crate) above: Box<dyn Any + Send + Sync>,
}

impl Programs {
    /// Programs of a tenant that has none yet, with these values and secrets, and the management's
    /// state.
    pub(crate) fn new(guests: Guests, variables: Variables, above: Box<dyn Any + Send + Sync>) -> Self {
        Self {
            guests: Arc::new(guests),
            scripts: Scripts::default(),
            variables,
            policed: PolicedModules::default(),
            manifests: Manifests::default(),
            relays: Mutex::default(),
            silences_told: ToldInTurn::default(),
            windows_told: ToldInTurn::default(),
            withheld: Withheld::default(),
            above,
        }
    }

    /// Returns the definitions and routes that messages on `topic` start, permitted or not.
    pub(crate) fn triggers(&self, topic: &str) -> Box<[Arc<TriggeredDefinition>]> {
        self.guests.triggers(topic, &self.relays)
    }
}

/// Access from a tenant to its programs.
pub(crate) trait HasPrograms {
    fn programs(&self) -> &Programs;
}

impl HasPrograms for Tenant {
    fn programs(&self) -> &Programs {
        let hooks: &dyn Any = &*self.hooks;
        hooks.downcast_ref().expect("every tenant is made with its programs")
    }
}
