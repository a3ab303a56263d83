//! What management keeps of a tenant: guests, variables, modules, projects, the audit and what it is told of.
//!
//! The core has it behind [`TenantHooks`] and calls it for what messages start; everything of the server gets it from its tenant ([`Managing`]).

use std::any::Any;
use std::sync::Arc;

use lotmq_definitions::Caching;

use crate::audit::Audit;
use crate::denials::Denials;
use crate::guests::scripts::Scripts;
use crate::guests::{Guests, triggers};
use crate::modules::Modules;
use crate::projects::Projects;
use crate::removed_names::RemovedNames;
use crate::sys::{BridgeStates, Counted};
use crate::variables::Variables;
use lotmq_core::routing::message::Message;
use lotmq_core::tenant::Tenant;
use lotmq_core::triggers::{TenantHooks, Triggers};

/// The managed half of a tenant.
pub(crate) struct Managed {
    pub(crate) counted: Counted,
    pub(crate) bridges: BridgeStates,
    pub(crate) variables: Variables,
    pub(crate) modules: Modules,
    pub(crate) scripts: Scripts,
    pub(crate) projects: Projects,
    pub(crate) audit: Audit,
    pub(crate) denials: Denials,
    pub(crate) removed_names: RemovedNames,
    pub(crate) guests: Arc<Guests>,
}

impl Managed {
    pub(crate) fn new(variables: Variables, guests: Guests, audit: Audit) -> Self {
        Self {
            counted: Counted::default(),
            bridges: BridgeStates::default(),
            variables,
            modules: Modules::default(),
            scripts: Scripts::default(),
            projects: Projects::default(),
            audit,
            denials: Denials::default(),
            removed_names: RemovedNames::default(),
            guests: Arc::new(guests),
        }
    }
}

impl TenantHooks for Managed {
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

/// The way from a tenant to its managed half.
pub(crate) trait Managing {
    fn managed(&self) -> &Managed;
}

impl Managing for Tenant {
    fn managed(&self) -> &Managed {
        let hooks: &dyn Any = &*self.hooks;
        hooks.downcast_ref().expect("every tenant is made with its managed half")
    }
}
