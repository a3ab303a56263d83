//! The thread of routes: one runtime on which every route has its driver, and a turn for what they publish.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{LocalSet, spawn_local};

use super::driver::Driver;
use super::runner::RouteRunner;
use crate::broker::Broker;
use crate::net::turn::Turn;
use crate::tenant::Tenant;
use crate::vital::Vital;

/// How often a route tells how it stands when nothing changes.
const STATUS_PERIOD: Duration = Duration::from_secs(30);

/// At most five times a second when much does.
const STATUS_PAUSE: Duration = Duration::from_millis(200);

/// Native stack of the thread; guests run on fibers of their own.
const STACK_BYTES: usize = 2 << 20;

/// The thread, as others speak to it. As many orders wait as there are deploys and probes.
#[derive(Default)]
pub(crate) struct Routes {
    orders: Mutex<Option<UnboundedSender<Order>>>,
}

struct Order {
    tenant: Arc<Tenant>,
    route: Arc<RouteRunner>,
    /// To try the connection; `None` to drive the route until its end.
    probe: Option<SyncSender<Result<(), String>>>,
}

impl Routes {
    /// Has a new route driven. Not when the broker is stopping.
    pub(super) fn drive(&self, tenant: &Arc<Tenant>, route: &Arc<RouteRunner>) {
        self.order(tenant, route, None);
    }

    /// Has the connection of a route tried. The receiver finds nobody at the other end when the broker is stopping.
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
        if let Some(orders) = &*self.orders.lock() {
            // It fails only when the thread has ended, with which the broker does.
            let _ = orders.send(Order { tenant: Arc::clone(tenant), route: Arc::clone(route), probe });
        }
    }

    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives none.
    pub(crate) fn start(broker: &Arc<Broker>) -> std::io::Result<JoinHandle<()>> {
        let (sender, orders) = unbounded_channel();
        *broker.routes.orders.lock() = Some(sender);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let broker = Arc::clone(broker);
        std::thread::Builder::new().name("routes".to_owned()).stack_size(STACK_BYTES).spawn(move || {
            Turn::install(Arc::clone(&broker), None);
            let tasks = LocalSet::new();
            tasks.block_on(&runtime, serve(broker, orders));
            // Guests publish when they are dropped as little as anybody else does.
            drop(tasks);
            Turn::uninstall();
        })
    }

    /// Ends the thread: calls under way are given up.
    pub(crate) fn stop(&self) {
        self.orders.lock().take();
    }
}

async fn serve(broker: Arc<Broker>, mut orders: UnboundedReceiver<Order>) {
    let _vital = Vital::new(&broker, "the thread of routes");
    while let Some(Order { tenant, route, probe }) = orders.recv().await {
        let driver =
            Driver { broker: Arc::clone(&broker), tenant: Arc::clone(&tenant), route: Arc::clone(&route) };
        match probe {
            Some(answer) => drop(spawn_local(async move {
                // Whoever asked may have gone.
                let _ = answer.try_send(driver.probe().await);
            })),
            None => {
                spawn_local(tell(Arc::clone(&broker), tenant, route));
                spawn_local(driver.drive());
            }
        }
    }
}

/// Publishes how a route stands, on change and every 30 seconds (routes reference §3.1).
async fn tell(broker: Arc<Broker>, tenant: Arc<Tenant>, route: Arc<RouteRunner>) {
    while let Some((_, version)) = route.current() {
        let definition = &version.definition;
        let now = broker.clock.definitions_now().wall;
        let status = route.standing().to_json(definition.name(), &version.said().kind, now).to_string();
        let topic = format!("{}/status", definition.sys_topic());
        Turn::with(|turn| {
            turn.tick();
            crate::sys::publish(turn, &tenant, &topic, status.as_bytes(), false);
            turn.flush();
        });
        drop(version);
        tokio::time::sleep(STATUS_PAUSE).await;
        // Nothing needs to have happened.
        let _ = tokio::time::timeout(STATUS_PERIOD, route.stands.notified()).await;
    }
}
