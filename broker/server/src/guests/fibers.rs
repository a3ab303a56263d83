//! Services of the broker for guests that wait: routes.

use std::net::IpAddr;

use lotmq_definitions::RunError as DefinitionError;
use lotmq_host::fiber::{FiberServices, HttpEvent};
use lotmq_host::{LogLevel, MetricChange, RunContext, Severity};

use super::guest_id::definition_id;
use super::records;
use super::services::TenantServices;
use crate::guests::HasPrograms as _;
use crate::process::this_turn;

impl FiberServices for TenantServices {
    fn log(&self, run: &RunContext, level: LogLevel, text: &str) {
        if let Some((tenant, definition)) = self.definition(run) {
            this_turn::with(|turn| records::tell_line(turn, &tenant, &definition, (level, text)));
        }
    }

    fn measure(&self, run: &RunContext, name: &str, change: MetricChange) -> bool {
        let Some((tenant, definition)) = self.definition(run) else { return false };
        tenant.programs().guests.metrics.change(definition.id, name, change)
    }

    fn note_http(&self, run: &RunContext, event: HttpEvent) {
        let Some(tenant) = self.tenant.upgrade() else { return };
        if let Some(route) = tenant.programs().guests.route_by_id(definition_id(run.definition)) {
            route.note(|figures| figures.http.note(event));
        }
    }

    fn refuses_address(&self, address: IpAddr) -> Option<String> {
        match self.hosting.upgrade() {
            Some(hosting) => hosting.config.routes.refuses_address(address),
            None => Some("the broker ends".to_owned()),
        }
    }

    fn refuses_listening(&self, address: IpAddr) -> Option<String> {
        match self.hosting.upgrade() {
            Some(hosting) => hosting.config.routes.refuses_listening(address),
            None => Some("the broker ends".to_owned()),
        }
    }

    fn report(&self, run: &RunContext, severity: Severity, code: &str, message: &str) {
        let Some((tenant, definition)) = self.definition(run) else { return };
        let error = DefinitionError { code, message, ..DefinitionError::default() };
        this_turn::with(|turn| match severity {
            Severity::Warning => {
                turn.core.counters.guest_warnings.add(1);
                records::note_warning(&tenant, &definition, &error);
            }
            Severity::Error => records::record(turn, &tenant, &definition, &error, 0),
        });
    }
}
