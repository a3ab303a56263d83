//! Orders to the thread of routes: to drive one that was deployed, or to probe one.
//!
//! Invariant: few orders wait, and whoever gives one waits until there is room, or until the broker stops.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::runner::RouteRunner;
use crate::limits::ROUTE_ORDERS_MAX as ORDERS_MAX;
use lotmq_core::tenant::Tenant;

/// Handle of the thread of routes.
#[derive(Default)]
pub(crate) struct Routes {
    /// Time stands still: nothing that fails is tried again, because nothing would have changed, and what stands is told to nobody.
    pub(in crate::guests) is_at_once: bool,
    orders: Mutex<Option<mpsc::Sender<Order>>>,
}

/// Order to the thread of routes.
pub(in crate::guests) struct Order {
    pub(in crate::guests) tenant: Arc<Tenant>,
    pub(in crate::guests) route: Arc<RouteRunner>,
    /// Where to send the result of a probe; `None` to drive the route until its end.
    pub(in crate::guests) probe: Option<SyncSender<Result<(), String>>>,
}

impl Routes {
    /// Where time stands still.
    pub(crate) fn at_once() -> Self {
        Self { is_at_once: true, orders: Mutex::default() }
    }

    /// Starts the driver of a new route; not when the broker is stopping. Like [`Routes::probe`] not to be called on a runtime: it waits while many orders do.
    pub(super) fn drive(&self, tenant: &Arc<Tenant>, route: &Arc<RouteRunner>) {
        self.order(tenant, route, None);
    }

    /// Probes the connection of a route. The receiver is disconnected when the broker is stopping.
    pub(super) fn probe(
        &self,
        tenant: &Arc<Tenant>,
        route: &Arc<RouteRunner>,
    ) -> Receiver<Result<(), String>> {
        let (answer, answered) = sync_channel(1);
        self.order(tenant, route, Some(answer));
        answered
    }

    fn order(
        &self,
        tenant: &Arc<Tenant>,
        route: &Arc<RouteRunner>,
        probe: Option<SyncSender<Result<(), String>>>,
    ) {
        let Some(orders) = self.orders.lock().clone() else { return };
        // It fails only when the thread has ended, with which the broker does.
        let _ = orders.blocking_send(Order { tenant: Arc::clone(tenant), route: Arc::clone(route), probe });
    }

    /// Takes orders from now on.
    pub(in crate::guests) fn open(&self) -> mpsc::Receiver<Order> {
        let (sender, orders) = mpsc::channel(ORDERS_MAX);
        *self.orders.lock() = Some(sender);
        orders
    }

    /// Ends the thread: calls under way are given up.
    pub(crate) fn stop(&self) {
        self.orders.lock().take();
    }
}

#[cfg(test)]
mod tests {
    use lotmq_client::{ConnectOptions, Publication, QoS};

    use super::*;
    use crate::guests::HasPrograms as _;
    use crate::testing::{Running, connect, receive};

    #[test]
    fn who_deploys_more_routes_than_the_thread_takes_waits_and_none_is_lost() {
        const DEPLOYS: usize = 3 * ORDERS_MAX;
        let running = Running::start("none");
        let broker = Arc::clone(&running.server.broker);
        let mut root = connect(running.address(), &ConnectOptions::v5("root").user("root", "coreflux"));
        root.subscribe_to("$SYS/Coreflux/Command/Output", QoS::AtLeastOnce).unwrap();
        let source = "-addRoute DEFINE ROUTE R WITH TYPE LOOPBACK\n    ADD EVENT \"e\"\n        WITH SOURCE_TOPIC \"h\"\n";
        root.publish(&Publication::new("$SYS/Coreflux/Command", source).qos(QoS::AtLeastOnce)).unwrap();
        receive(&mut root);
        let tenant = broker.tenants.default_tenant();
        let route = tenant.programs().guests.route("R").unwrap();
        // A thread that takes nothing.
        let (sender, mut orders) = mpsc::channel(ORDERS_MAX);
        let routes = Routes { is_at_once: false, orders: Mutex::new(Some(sender)) };
        std::thread::scope(|scope| {
            let deploying = scope.spawn(|| (0..DEPLOYS).for_each(|_| routes.drive(&tenant, &route)));
            while orders.len() < ORDERS_MAX {
                std::thread::yield_now();
            }
            assert!(!deploying.is_finished());
            // Nobody who stops the broker waits for it.
            routes.stop();
            let mut taken = 0;
            while orders.blocking_recv().is_some() {
                taken += 1;
            }
            assert!(taken > ORDERS_MAX, "{taken}: the one that waited is there, too");
        });
        running.server.stop();
    }
}
