//! Modules of world `auth`: their code, what an instance may do and use, and what one does to
//! Clients that it has let in.
//!
//! No login asks one in this build, so it has let in nobody but the Clients of a case, which the
//! witness knows.

use std::collections::HashMap;
use std::sync::Arc;

use lotmq_codec::ReasonCode;
use lotmq_core::tenant::Tenant;
use lotmq_definitions::Definition;
use lotmq_host::auth::{AuthGuest, AuthServices, AuthSpec, Principal, Selector};
use lotmq_host::fiber::Endpoint;
use lotmq_host::{Grants, GuestLimits, RunContext};

use super::guest_id::guest_id;
use super::hosting::Hosting;
use super::recorder::LoginEvent;
use super::route_drivers::login_endpoints::{NoLoginEndpoints, login_endpoints};
use super::services::TenantServices;
use crate::HasPrograms as _;

/// Code of a module for logins, with what it may do and use.
#[derive(Clone)]
pub struct AuthModuleCode {
    /// Native code of the module.
    pub guest: AuthGuest,
    /// Grants of the module.
    pub grants: Grants,
    /// Places that it may connect to and listen at, as `host:port`; see
    /// [`reaches`](super::grant_intersection::reaches).
    pub places: Box<[Box<str>]>,
    /// Limits of an instance.
    pub limits: GuestLimits,
}

impl AuthModuleCode {
    /// Builds the specification of an instance: its grants, endpoints and limits.
    pub fn spec(
        &self,
        (tenant, hosting): (&Arc<Tenant>, &Arc<Hosting>),
        definition: &Definition,
    ) -> Result<AuthSpec, NoLoginEndpoints> {
        let config = self.grants.config.as_deref();
        let granted = (&**definition.name(), &*self.places);
        let endpoints: HashMap<String, Endpoint> =
            login_endpoints(config, granted, (&hosting.config, &tenant.name))?;
        Ok(AuthSpec {
            id: guest_id(tenant, definition.id),
            services: Arc::new(TenantServices::new(tenant, hosting, definition)),
            grants: Arc::new(self.grants.clone()),
            endpoints: Arc::new(endpoints),
            limits: self.limits,
        })
    }
}

impl AuthServices for TenantServices {
    fn revoke(
        &self,
        run: &RunContext,
        whom: &Selector,
        reason_code: ReasonCode,
        reason: Option<&str>,
    ) -> u32 {
        let (whom, reason) = (whom.clone(), reason.map(str::to_owned));
        self.intervene(run, LoginEvent::Revoked { whom, reason_code: reason_code as u8, reason })
    }

    fn update(&self, run: &RunContext, whom: &Selector, principal: &Principal) -> u32 {
        self.intervene(run, LoginEvent::Updated { whom: whom.clone(), principal: principal.clone() })
    }
}

impl TenantServices {
    fn intervene(&self, run: &RunContext, event: LoginEvent) -> u32 {
        let Some((tenant, definition)) = self.definition(run) else { return 0 };
        let recorder = tenant.programs().guests.recorder.get();
        recorder.map_or(0, |recorder| recorder.sees_intervention(definition.name(), event))
    }
}
