//! What the broker does for the guests of a tenant while they run.

use std::sync::{Arc, Weak};

use lotmq_auth::{Decide as _, Identity, Peer, Question};
use lotmq_definitions::{DefinitionKind, Owner, RunError as DefinitionError};
use lotmq_host::python::Called;
use lotmq_host::route::{Arrival, IngestError, Ingesting, RouteServices};
use lotmq_host::{
    Argument, ModelInstance, NestedCall, Qos, RowQuery, RowsError, RunContext, RunError, Services, Severity,
    Value,
};
use lotmq_store::Store;

use super::effects::OfRoute;
use super::sink::definition_id;
use super::{authority, records};
use crate::broker::Broker;
use crate::net::turn::Turn;
use crate::tenant::Tenant;
use crate::variables::Variables;

/// See the module's documentation.
pub(crate) struct TenantServices {
    pub(crate) broker: Weak<Broker>,
    pub(crate) tenant: Weak<Tenant>,
    /// Whose code runs; `None` for nobody's, and for rules.
    pub(crate) owner: Option<Owner>,
}

impl TenantServices {
    /// For a version of a definition's code that belongs to `owner`.
    pub(crate) fn new(tenant: &Arc<Tenant>, broker: &Arc<Broker>, owner: Option<&Owner>) -> Self {
        TenantServices {
            broker: Arc::downgrade(broker),
            tenant: Arc::downgrade(tenant),
            owner: owner.cloned(),
        }
    }

    fn tenant(&self) -> Option<Arc<Tenant>> {
        self.tenant.upgrade()
    }

    /// Changes a variable or secret. It is durable with the next group; nobody waits for it (language reference §8.2).
    fn change(&self, name: &str, change: impl FnOnce(&Variables, &Store) -> bool) -> bool {
        let (Some(tenant), Some(broker)) = (self.tenant(), self.broker.upgrade()) else { return false };
        let is_changed = change(&tenant.variables, &broker.store);
        if is_changed {
            tenant.guests.variable_changed(name);
        }
        is_changed
    }
}

impl Services for TenantServices {
    fn topic_value(&self, _run: &RunContext, topic: &str, value: &mut Vec<u8>) -> bool {
        let (Some(tenant), Some(broker)) = (self.tenant(), self.broker.upgrade()) else { return false };
        let is_live = tenant.guests.values.read(topic, |live| {
            if let Some(live) = live {
                value.extend_from_slice(live);
            }
            live.is_some()
        });
        if is_live {
            return true;
        }
        let Some(retained) = tenant.retained_payload(topic, broker.clock.wall_ms()) else { return false };
        value.extend_from_slice(&retained);
        true
    }

    fn retained_exists(&self, _run: &RunContext, topic: &str) -> bool {
        let (Some(tenant), Some(broker)) = (self.tenant(), self.broker.upgrade()) else { return false };
        tenant.has_retained(topic, broker.clock.wall_ms())
    }

    fn environment(&self, _run: &RunContext, name: &str) -> Option<String> {
        self.tenant()?.variables.environment(name)
    }

    fn set_environment(&self, _run: &RunContext, name: &str, value: Option<&str>) -> bool {
        self.change(name, |variables, store| match value {
            Some(value) => variables.set_environment(store, name, value).is_ok(),
            None => variables.remove_environment(store, name).is_ok(),
        })
    }

    fn secret(&self, _run: &RunContext, name: &str) -> Option<String> {
        let secret = self.tenant()?.variables.secret(name)?;
        String::from_utf8(secret.to_vec()).ok()
    }

    fn set_secret(&self, _run: &RunContext, name: &str, value: Option<&str>) -> bool {
        self.change(name, |variables, store| match value {
            Some(value) => variables.set_secret(store, name, value).is_ok(),
            None => variables.remove_secret(store, name).is_ok(),
        })
    }

    fn may_publish_system(&self, _run: &RunContext, topic: &str) -> bool {
        let Some(tenant) = self.tenant() else { return false };
        if tenant.guests.leads_to_route(topic) {
            return true;
        }
        // Only commands, and only while the user who deployed this code may give them (language reference §6).
        let owner = self.owner.as_ref().filter(|_| topic == crate::sys::COMMAND_TOPIC);
        let identity = owner.and_then(|owner| authority::identity(&tenant.users, owner));
        identity.is_some_and(|identity| {
            tenant.permissions.decide(&Question::publish(&identity, topic)).is_allowed()
        })
    }

    fn may_publish_model(&self, topic: &str, payload: &[u8]) -> bool {
        let (Some(tenant), Some(broker)) = (self.tenant(), self.broker.upgrade()) else { return false };
        if !broker.settings.model_publish_rules || crate::sys::is_system(topic) {
            return true;
        }
        let nobody = Identity::anonymous("".into(), Peer::Guest);
        let question = Question::publish(&nobody, topic).with_payload(payload);
        tenant.permissions.decide(&question).is_allowed()
    }

    fn call_action(
        &self,
        call: NestedCall<'_>,
        name: &str,
        inputs: &[Argument],
    ) -> Result<Vec<Value>, RunError> {
        let unknown = || RunError::unknown_action(name);
        let tenant = self.tenant().ok_or_else(unknown)?;
        let definition = tenant.guests.registry.read().get(DefinitionKind::Action, name).cloned();
        let definition = definition.ok_or_else(unknown)?;
        let runner = tenant.guests.runner(definition.id).ok_or_else(unknown)?;
        runner.definition.call_nested(call, inputs)
    }

    fn build_model(
        &self,
        call: NestedCall<'_>,
        name: &str,
        assignments: &[Argument],
    ) -> Result<ModelInstance, RunError> {
        let gone = || RunError::unknown_model(name);
        self.tenant().ok_or_else(gone)?.guests.build_model(call, name, assignments)
    }

    fn call_python(&self, _run: &RunContext, function: &str, arguments: &[Value]) -> Called {
        match self.tenant() {
            Some(tenant) => tenant.scripts.call(function, arguments),
            None => Called::unknown(function),
        }
    }

    fn select_rows(&self, _run: &RunContext, query: &RowQuery<'_>) -> Result<Value, RowsError> {
        let (Some(tenant), Some(broker)) = (self.tenant(), self.broker.upgrade()) else {
            return Err(RowsError::unknown(query.route));
        };
        let now = broker.clock.definitions_now().wall;
        drop(broker);
        tenant.guests.select_rows(query, now)
    }

    fn now_ms(&self) -> i64 {
        let now = self.broker.upgrade().map_or(0, |broker| broker.clock.wall_ms());
        i64::try_from(now).unwrap_or(i64::MAX)
    }
}

impl RouteServices for TenantServices {
    fn ingest<'a>(&'a self, run: RunContext, messages: Vec<Arrival>) -> Ingesting<'a> {
        let publish = || {
            let tenant = self.tenant()?;
            let route = definition_id(run.definition);
            let hops = tenant.guests.route_by_id(route)?.hops();
            Turn::with(|turn| {
                turn.tick();
                for Arrival { topic, payload, qos, retain } in &messages {
                    let (topic, retain) = (topic.as_str(), *retain);
                    let message = OfRoute { route, topic, payload, qos: qos_of(*qos), retain, hops };
                    message.publish(turn, &tenant);
                }
                turn.flush();
            });
            Some(())
        };
        let published = publish().ok_or(IngestError::Closed);
        Box::pin(std::future::ready(published))
    }

    fn report(&self, run: &RunContext, severity: Severity, code: &str, message: &str) {
        let Some(tenant) = self.tenant() else { return };
        let found = tenant.guests.registry.read().by_id(definition_id(run.definition)).cloned();
        let Some(definition) = found else { return };
        let error = DefinitionError { code, message, ..DefinitionError::default() };
        Turn::with(|turn| match severity {
            Severity::Warning => {
                turn.broker.counters.guest_warnings.add(1);
                records::note_warning(&tenant, &definition, &error);
            }
            Severity::Error => records::record(turn, &tenant, &definition, &error, 0),
        });
    }
}

fn qos_of(qos: lotmq_host::route::Qos) -> Qos {
    match qos {
        lotmq_host::route::Qos::AtMostOnce => Qos::AtMostOnce,
        lotmq_host::route::Qos::AtLeastOnce => Qos::AtLeastOnce,
        lotmq_host::route::Qos::ExactlyOnce => Qos::ExactlyOnce,
    }
}
