//! Programs of a tenant: its deployed definitions and scripts, and the values and secrets that they use.
//!
//! The core has them behind [`TenantHooks`] and calls them for what messages start; guests get them from their tenant ([`HasPrograms`]).

use std::any::Any;
use std::sync::Arc;

use lotmq_definitions::Caching;

use super::scripts::Scripts;
use super::variables::Variables;
use super::{Guests, triggers};
use lotmq_core::routing::message::Message;
use lotmq_core::tenant::Tenant;
use lotmq_core::triggers::{TenantHooks, Triggers};

/// Programs of one tenant.
pub(crate) struct Programs {
    pub(crate) guests: Arc<Guests>,
    pub(crate) scripts: Scripts,
    pub(crate) variables: Variables,
    /// State that the management above keeps for the tenant; guests do not look into it.
    pub(crate) above: Box<dyn Any + Send + Sync>,
}

impl Programs {
    /// Programs of a tenant that has none yet, with these values and secrets, and the management's state.
    pub(crate) fn new(guests: Guests, variables: Variables, above: Box<dyn Any + Send + Sync>) -> Self {
        Self { guests: Arc::new(guests), scripts: Scripts::default(), variables, above }
    }
}

impl TenantHooks for Programs {
    fn triggers(&self, tenant: &Tenant, topic: &str) -> (Option<Box<dyn Triggers>>, bool) {
        triggers(tenant, topic)
    }

    fn caching(&self, topic: &str) -> Caching {
        self.guests.caching(topic)
    }

    fn remember(&self, caching: Caching, message: &Message) {
        self.guests.remember(caching, message);
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
