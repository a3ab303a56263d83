//! Routes that are not connected, in a program that is run or tested: what would have gone to the
//! other side is shown, and goes nowhere.
//!
//! Invariant: nothing is opened for such a route, neither its guest nor what it names: no address
//! is looked up, no file and no serial port touched.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use lotmq_host::RunContext;
use lotmq_host::fiber::Endpoint;

use super::{Driver, Ended};
use crate::HasPrograms as _;
use crate::guest_id::guest_id;
use crate::recorder::{Forwarded, RunEvent};
use crate::route_drivers::template::OfRoute;
use crate::route_types;
use crate::routes::driver_slot::Work;
use crate::routes::version::{RouteCode, Version};
use crate::services::TenantServices;

/// Reason why a type whose other side is the disk is not connected.
pub(super) const NO_DISK: &str = "nothing is written to the disk";

impl Driver {
    /// Reason why the route is not connected; `None` where it is: in a broker, and where it has no
    /// other side, or one that is there for it alone.
    pub(super) async fn why_unconnected(
        &self,
        version: &Version,
        services: &Arc<TenantServices>,
    ) -> Option<String> {
        let kind = &version.said().kind;
        if !self.is_at_once() || matches!(version.code, RouteCode::Module(_)) || !route_types::has_far(kind) {
            return None;
        }
        let reason = if route_types::is_of_disk(kind) {
            NO_DISK
        } else {
            let reason = self.hosting.routes.network_refused?;
            if self.has_others_here(version, services).await {
                return None;
            }
            reason
        };
        Some(format!("Route {} is not connected here: {reason}", version.definition.name()))
    }

    /// Whether the route connects to a server that is there for it alone, or listens for clients
    /// that it alone has.
    async fn has_others_here(&self, version: &Version, services: &Arc<TenantServices>) -> bool {
        let has_clients = self.hosting.routes.is_open_to_clients(version.definition.name());
        if !has_clients && !self.hosting.routes.has_far_ports(Ipv4Addr::LOCALHOST.into()) {
            return false;
        }
        let names = OfRoute(services, RunContext::new(guest_id(&self.tenant, version.definition.id)));
        let Ok((_, spec, _)) = self.code(version, &[], services, &names).await else { return false };
        let is_far = |endpoint: &Endpoint| {
            let host = if endpoint.host.eq_ignore_ascii_case("localhost") {
                Ok(IpAddr::V4(Ipv4Addr::LOCALHOST))
            } else {
                endpoint.host.parse()
            };
            host.is_ok_and(|host| self.hosting.routes.is_far_port(SocketAddr::new(host, endpoint.port)))
        };
        spec.endpoints.values().any(|endpoint| (has_clients && endpoint.listens) || is_far(endpoint))
    }

    /// Takes what is for the route, in the order in which it came, and shows it to the witness.
    pub(super) async fn serve_unconnected(&self, number: u64, version: &Version, reason: &str) -> Ended {
        // In the lanes of several instances messages would lose their order.
        if !self.slot.is_alone(number) {
            return Ended::Changed;
        }
        let name = version.definition.name();
        let sees = |event| {
            if let Some(recorder) = self.tenant.programs().guests.recorder.get() {
                recorder.sees(name, event);
            }
        };
        sees(RunEvent::Unconnected(reason.to_owned()));
        self.slot.connected(number, self.now());
        while let Some(work) = self.slot.next_work(number).await {
            match work {
                Work::Batch(mut batch) => {
                    while let Some(post) = batch.first() {
                        sees(RunEvent::Forwarded(Forwarded {
                            to: post.to.described(),
                            topic: post.message.topic.to_string(),
                            payload: post.message.payload.to_vec(),
                        }));
                        batch.done();
                    }
                }
                Work::Question(question) => question.answer(Err(reason.to_owned())),
                // Nobody waits for it any more where it is not taken.
                Work::Run(run) => drop(run.outcome.try_send(Err(reason.to_owned()))),
                Work::Probe(asker) => drop(asker.try_send(Err(reason.to_owned()))),
            }
        }
        Ended::Changed
    }
}
