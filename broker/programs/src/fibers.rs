//! Services of the broker for guests that wait: routes.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use lotmq_config::Routes;
use lotmq_core::tenant::Tenant;
use lotmq_definitions::RunError as DefinitionError;
use lotmq_host::fiber::{FiberServices, HttpEvent, ListeningPlace};
use lotmq_host::{LogLevel, MetricChange, RunContext, Severity};

use super::guest_id::definition_id;
use super::records;
use super::rights::is_of_administrator;
use super::route_types;
use super::routes::Routes as Drivers;
use super::services::TenantServices;
use crate::HasPrograms as _;
use lotmq_process::clock::definitions_now;
use lotmq_process::this_turn;

impl FiberServices for TenantServices {
    fn log(&self, run: &RunContext, level: LogLevel, text: &str) {
        if let Some((tenant, definition)) = self.definition(run) {
            this_turn::with(|turn| {
                turn.tick();
                records::tell_line(turn, &tenant, &definition, (level, text));
                turn.flush();
            });
        }
    }

    fn measure(&self, run: &RunContext, name: &str, change: MetricChange) -> bool {
        let Some((tenant, definition)) = self.definition(run) else { return false };
        tenant.programs().guests.metrics.change(&definition, name, change).is_ok()
    }

    fn lost_datagrams(&self, run: &RunContext, count: u64) {
        let Some(tenant) = self.tenant.upgrade() else { return };
        if let Some(route) = tenant.programs().guests.route_by_id(definition_id(run.definition)) {
            route.loses_datagrams(count);
        }
    }

    fn note_http(&self, run: &RunContext, event: HttpEvent) {
        let Some(tenant) = self.tenant.upgrade() else { return };
        if let Some(route) = tenant.programs().guests.route_by_id(definition_id(run.definition)) {
            route.note(|figures| figures.http.note(event));
        }
    }

    fn refuses_network(&self) -> Option<String> {
        let has_far = |routes: &Drivers| routes.has_far_ports(Ipv4Addr::LOCALHOST.into());
        self.refuses(has_far, |_, _| None)
    }

    fn refuses_address(&self, address: IpAddr) -> Option<String> {
        let has_far = |routes: &Drivers| routes.has_far_ports(address);
        self.refuses(has_far, |routes, tenant| routes.refuses_address(tenant, address))
    }

    fn refuses_place(&self, place: SocketAddr) -> Option<String> {
        let is_far = |routes: &Drivers| routes.is_far_port(place);
        self.refuses(is_far, |routes, tenant| routes.refuses_address(tenant, place.ip()))
    }

    fn refuses_listening(&self, address: IpAddr) -> Option<String> {
        self.refuses(Drivers::has_clients, |routes, tenant| routes.refuses_listening(tenant, address))
    }

    fn listens_in_place_of(&self, address: SocketAddr) -> SocketAddr {
        let hosting = self.hosting.upgrade();
        let is_elsewhere = hosting.is_some_and(|hosting| hosting.routes.network_refused.is_some());
        if is_elsewhere { SocketAddr::from((Ipv4Addr::LOCALHOST, 0)) } else { address }
    }

    fn listens(&self, run: &RunContext, listening: ListeningPlace<'_>) {
        if let (Some(hosting), Some((_, definition))) = (self.hosting.upgrade(), self.definition(run)) {
            hosting.routes.note_listening(definition.name(), &listening);
        }
    }

    fn refuses_serial_port(&self, device: &str) -> Option<String> {
        self.refuses(|_| false, |routes, tenant| routes.refuses_serial_port(tenant, device))
    }

    fn is_bridge(&self, run: &RunContext) -> bool {
        let route = |tenant: Arc<Tenant>| tenant.programs().guests.route_by_id(definition_id(run.definition));
        let route = self.tenant.upgrade().and_then(route);
        route.is_some_and(|route| route_types::is_bridge(&route.version().said().kind))
    }

    fn acts_for_administrator(&self) -> bool {
        let tenant = self.tenant.upgrade();
        tenant.is_some_and(|tenant| is_of_administrator(&tenant, self.owner.as_ref()))
    }

    fn report(&self, run: &RunContext, severity: Severity, code: &str, message: &str) {
        let Some((tenant, definition)) = self.definition(run) else { return };
        let error = DefinitionError { code, message, ..DefinitionError::default() };
        // The status of a route is kept apart from the records of its definition.
        if let Some(route) = tenant.programs().guests.route_by_id(definition.id) {
            let text = format!("{} ({code})", tenant.programs().variables.masked_text(message));
            let now = definitions_now(&*this_turn::with(|turn| Arc::clone(&turn.core)).clock).wall;
            route.update(|status| status.reported(&text, now));
        }
        this_turn::with(|turn| match severity {
            Severity::Warning => {
                turn.core.counters.guest_warnings.add(1);
                turn.tick();
                records::warn(turn, &tenant, &definition, &error);
                turn.flush();
            }
            Severity::Error => records::record(turn, &tenant, &definition, &error, 0),
        });
    }
}

impl TenantServices {
    /// Why something is refused to the routes of this tenant: where there is no network, all but
    /// what is there for them alone, else what the operator says.
    fn refuses(
        &self,
        is_theirs: impl FnOnce(&Drivers) -> bool,
        asked: impl FnOnce(&Routes, &str) -> Option<String>,
    ) -> Option<String> {
        match (self.hosting.upgrade(), self.tenant.upgrade()) {
            (Some(hosting), Some(tenant)) => match hosting.routes.network_refused {
                Some(_) if is_theirs(&hosting.routes) => None,
                Some(reason) => Some(reason.to_owned()),
                None => asked(&hosting.config.routes, &tenant.name),
            },
            _ => Some("the broker ends".to_owned()),
        }
    }
}
