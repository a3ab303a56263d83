//! Modules of world `auth`: their code, what an instance may do and use, and what one does to
//! Clients that it has let in.
//!
//! Login chains ask them (`asked`), each in a task on a thread of its own (`driver`). In a case of
//! a test, the module has let in the Clients of the case, which the recorder knows.

mod admissions;
mod answers;
pub mod asked;
mod changes;
pub mod driver;
mod queue;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Weak};

use lotmq_codec::ReasonCode;
use lotmq_core::tenant::Tenant;
use lotmq_definitions::Definition;
use lotmq_host::auth::{AuthGuest, AuthServices, AuthSpec, Principal, Selector};
use lotmq_host::fiber::Endpoint;
use lotmq_host::{BorrowedMessage, Grants, GuestLimits, RunContext};

use parking_lot::RwLock;

use self::asked::LoginGuest;
use super::effects::{GuestMessage, Sender};
use super::guest_id::guest_id;
use super::hosting::Hosting;
use super::recorder::LoginEvent;
use super::route_drivers::login_endpoints::{NoLoginEndpoints, login_endpoints};
use super::services::{AdmittedSessions, TenantServices};
use crate::HasPrograms as _;
use lotmq_process::this_turn;

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
    /// Builds the specification of an instance: its grants, endpoints and limits. `guest` is the
    /// member of the login chain that it serves; none in a case of a test.
    pub fn spec(
        &self,
        (tenant, hosting): (&Arc<Tenant>, &Arc<Hosting>),
        definition: &Definition,
        guest: Option<&Arc<LoginGuest>>,
    ) -> Result<AuthSpec, NoLoginEndpoints> {
        let config = self.grants.config.as_deref();
        let granted = (&**definition.name(), &*self.places);
        let endpoints: HashMap<String, Endpoint> =
            login_endpoints(config, granted, (&hosting.config, &tenant.name))?;
        Ok(AuthSpec {
            id: guest_id(tenant, definition.id),
            services: Arc::new(TenantServices::new(tenant, hosting, definition).of_login_guest(guest)),
            grants: Arc::new(self.grants.clone()),
            endpoints: Arc::new(endpoints),
            limits: self.limits,
        })
    }
}

/// Module of world `auth` that is installed.
#[derive(Clone)]
pub struct InstalledAuthModule {
    /// The definition.
    pub definition: Arc<Definition>,
    /// Its code.
    pub code: Arc<AuthModuleCode>,
}

/// Modules of world `auth` of a tenant, by name.
#[derive(Default)]
pub struct AuthModules(RwLock<BTreeMap<Arc<str>, InstalledAuthModule>>);

impl AuthModules {
    /// The module of a name.
    pub fn get(&self, name: &str) -> Option<InstalledAuthModule> {
        self.0.read().get(name).cloned()
    }

    /// Puts a module in the place of the one of its name.
    pub(super) fn put(&self, definition: &Arc<Definition>, code: AuthModuleCode) {
        let module = InstalledAuthModule { definition: Arc::clone(definition), code: Arc::new(code) };
        self.0.write().insert(Arc::clone(definition.name()), module);
    }

    pub(super) fn remove(&self, name: &str) {
        self.0.write().remove(name);
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
        if let Some((tenant, clients)) = self.admitted_sessions() {
            return clients.revoke(&tenant, whom, reason_code, reason);
        }
        let (whom, reason) = (whom.clone(), reason.map(str::to_owned));
        self.intervene(run, LoginEvent::Revoked { whom, reason_code: reason_code as u8, reason })
    }

    fn update(&self, run: &RunContext, whom: &Selector, principal: &Principal) -> u32 {
        if let Some((tenant, clients)) = self.admitted_sessions() {
            return clients.update(&tenant, whom, principal).unwrap_or_else(|reason| {
                self.record_error(run, "AUTH_ANSWER", &format!("its `update` cannot be used: {reason}"));
                0
            });
        }
        self.intervene(run, LoginEvent::Updated { whom: whom.clone(), principal: principal.clone() })
    }

    fn publish(&self, run: &RunContext, message: &BorrowedMessage<'_>, expiry_seconds: Option<u32>) -> bool {
        let Some((tenant, definition)) = self.definition(run) else { return false };
        let BorrowedMessage { topic, payload, qos, retain, properties, .. } = *message;
        let message = GuestMessage { topic, payload, qos, retain, properties, expiry_seconds };
        if let Some(recorder) = tenant.programs().guests.recorder.get() {
            recorder.sees(definition.name(), message.run_event());
        }
        let hops = run.hops.saturating_add(1);
        this_turn::with(|turn| {
            turn.tick();
            let sent =
                message.publish(turn, &tenant, Sender { owner: definition.owner(), origin: None, hops });
            turn.flush();
            sent.is_ok()
        })
    }
}

impl TenantServices {
    /// Names the member of the login chain that the code serves.
    fn of_login_guest(self, guest: Option<&Arc<LoginGuest>>) -> Self {
        let clients = guest.map(|guest| Arc::downgrade(guest) as Weak<dyn AdmittedSessions>);
        Self { admitted_sessions: clients, ..self }
    }

    /// Clients that the code has let in as a member of the login chain, with their tenant.
    fn admitted_sessions(&self) -> Option<(Arc<Tenant>, Arc<dyn AdmittedSessions>)> {
        Some((self.tenant()?, self.admitted_sessions.as_ref()?.upgrade()?))
    }

    fn intervene(&self, run: &RunContext, event: LoginEvent) -> u32 {
        let Some((tenant, definition)) = self.definition(run) else { return 0 };
        let recorder = tenant.programs().guests.recorder.get();
        recorder.map_or(0, |recorder| recorder.sees_intervention(definition.name(), event))
    }
}
