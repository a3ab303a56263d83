//! Programs of a tenant: its deployed definitions and scripts, and the values and secrets that they
//! use.
//!
//! The core has them behind [`TenantHooks`](lotmq_core::tenant::triggers::TenantHooks) and calls
//! them for what messages start (`events`); guests get them from their tenant ([`HasPrograms`]).

mod delivery_denials;

use std::any::Any;
use std::sync::Arc;

use parking_lot::Mutex;

use self::delivery_denials::DeliveryDenials;
use super::asked_grants::Manifests;
use super::policy_enforcement::RestrictedModules;
use super::relay::RelaysInUse;
use super::round_robin::RoundRobin;
use super::scripts::Scripts;
use super::variables::Variables;
use super::{Guests, TriggeredDefinition};
use lotmq_core::tenant::Tenant;

/// Programs of one tenant.
pub struct Programs {
    /// Deployed definitions.
    pub guests: Arc<Guests>,
    /// Deployed Python scripts.
    pub scripts: Scripts,
    /// Environment variables and secrets.
    pub variables: Variables,
    /// Modules that policies keep from messages.
    pub restricted: RestrictedModules,
    /// Grants that modules ask for.
    pub(crate) manifests: Manifests,
    /// Relays of owners of definitions.
    relays: Mutex<RelaysInUse>,
    /// Turns of the definitions that are told of silences, and of those that are told of windows.
    pub(super) silence_rounds: RoundRobin,
    pub(super) window_rounds: RoundRobin,
    /// Messages that rules withhold from subscribers.
    pub(super) delivery_denials: DeliveryDenials,
    /// State that crate `operations` keeps for the tenant; guests do not look into it.
    pub managed: Box<dyn Any + Send + Sync>,
}

impl Programs {
    /// Programs of a tenant that has none yet, with these values and secrets, and the state of
    /// crate `operations`.
    pub fn new(guests: Guests, variables: Variables, managed: Box<dyn Any + Send + Sync>) -> Self {
        Self {
            guests: Arc::new(guests),
            scripts: Scripts::default(),
            variables,
            restricted: RestrictedModules::default(),
            manifests: Manifests::default(),
            relays: Mutex::default(),
            silence_rounds: RoundRobin::default(),
            window_rounds: RoundRobin::default(),
            delivery_denials: DeliveryDenials::default(),
            managed,
        }
    }

    /// Returns the definitions and routes that messages on `topic` start, permitted or not.
    pub fn triggers(&self, topic: &str) -> Box<[Arc<TriggeredDefinition>]> {
        self.guests.triggers(topic, &self.relays)
    }
}

/// Access from a tenant to its programs.
pub trait HasPrograms {
    /// Returns the programs of the tenant.
    fn programs(&self) -> &Programs;
}

impl HasPrograms for Tenant {
    fn programs(&self) -> &Programs {
        let hooks: &dyn Any = &*self.hooks;
        hooks.downcast_ref().expect("every tenant is made with its programs")
    }
}
