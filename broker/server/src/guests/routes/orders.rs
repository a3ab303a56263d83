//! Orders to the threads of routes: to drive an instance of a deployed route, to publish its
//! status, or to probe it.
//!
//! Invariants: at most one order waits for each instance of a route, so a deployment does not wait.
//! It must not wait, because drivers want the locks that it holds. Few probes wait. The caller of a
//! probe waits until there is room, or until the broker stops.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};

use lotmq_host::fiber::{ListeningPlace, Reception};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::asked_run::{AskedProbe, Probed};
use super::runner::RouteRunner;
use crate::guests::limits::ROUTE_PROBES_MAX as PROBES_MAX;
use lotmq_core::tenant::Tenant;

/// Handle of the threads of routes.
#[derive(Default)]
pub(crate) struct Routes {
    /// Time stands still: nothing that fails is tried again, because nothing would have changed,
    /// and what stands is told to nobody.
    pub(in crate::guests) is_at_once: bool,
    /// Why guests reach no network at all; `None` where the configuration decides.
    pub(in crate::guests) network_refused: Option<&'static str>,
    /// Ports of this machine that guests reach all the same: servers that are there for them alone.
    far_ports: Mutex<BTreeSet<u16>>,
    /// Routes that listen all the same, at addresses that nobody else has: they have clients of
    /// their own.
    served: Mutex<BTreeMap<String, ClientPlaces>>,
    threads: Mutex<Vec<RouteThread>>,
    /// Number of drivers: they go round.
    drivers: AtomicUsize,
    /// Number of other orders, which go round by themselves: with those of the same routes in
    /// between, drivers would miss every other thread.
    others: AtomicUsize,
}

/// Places where a route listens, by endpoint.
pub type ClientPlaces = BTreeMap<String, ClientPlace>;

/// Place where a route listens for clients of its own.
#[derive(Clone, Copy, Debug)]
pub struct ClientPlace {
    /// Its address.
    pub address: SocketAddr,
    /// Kind of traffic that clients bring there.
    pub reception: Reception,
}

/// Way to one of the threads.
#[derive(Clone)]
struct RouteThread {
    /// Unbounded, because a deployment holds locks that drivers want and must not wait. Each
    /// instance has one order at most and each route one more, so the quotas of routes and
    /// instances are the bound. The thread only starts a task for each, and so keeps up.
    tasks: mpsc::UnboundedSender<Order>,
    probes: mpsc::Sender<Order>,
}

/// Orders to one of the threads.
pub(crate) struct Orders {
    tasks: mpsc::UnboundedReceiver<Order>,
    probes: mpsc::Receiver<Order>,
}

/// Order to one of the threads.
pub(in crate::guests) struct Order {
    pub(in crate::guests) tenant: Arc<Tenant>,
    pub(in crate::guests) route: Arc<RouteRunner>,
    pub(in crate::guests) task: Task,
}

/// Task for a thread of routes.
pub(in crate::guests) enum Task {
    /// To drive the instance of this number until it has no place any more.
    Drive(usize),
    /// To publish how it stands, until its end.
    Tell,
    /// To try whether the far side can be reached, and to send the result.
    Probe(AskedProbe),
}

impl Orders {
    /// Next order; `None` when the broker is stopping.
    pub(in crate::guests) async fn next(&mut self) -> Option<Order> {
        tokio::select! {
            biased;
            task = self.tasks.recv() => task,
            Some(probe) = self.probes.recv() => Some(probe),
        }
    }
}

impl Routes {
    /// Creates routes with a stepped clock; `network_refused`: why guests have no network.
    pub(crate) fn at_once(network_refused: Option<&'static str>) -> Self {
        Self { is_at_once: true, network_refused, ..Self::default() }
    }

    /// Lets guests reach a port of this machine, whatever they reach else.
    pub(crate) fn open_far_port(&self, port: u16) {
        self.far_ports.lock().insert(port);
    }

    /// Whether a place is a server that is there for the guests alone.
    pub(in crate::guests) fn is_far_port(&self, place: SocketAddr) -> bool {
        place.ip() == Ipv4Addr::LOCALHOST && self.far_ports.lock().contains(&place.port())
    }

    /// Whether an address has such servers.
    pub(in crate::guests) fn has_far_ports(&self, address: IpAddr) -> bool {
        address == Ipv4Addr::LOCALHOST && !self.far_ports.lock().is_empty()
    }

    /// Lets a route listen, for clients that it alone has.
    pub(crate) fn open_to_clients(&self, route: &str) {
        self.served.lock().entry(route.to_owned()).or_default();
    }

    /// Whether a route has such clients.
    pub(in crate::guests) fn is_open_to_clients(&self, route: &str) -> bool {
        self.served.lock().contains_key(route)
    }

    /// Whether any route has.
    pub(in crate::guests) fn has_clients(&self) -> bool {
        !self.served.lock().is_empty()
    }

    /// Notes where a route listens, if it has such clients.
    pub(in crate::guests) fn note_listening(&self, route: &str, listening: &ListeningPlace<'_>) {
        if let Some(places) = self.served.lock().get_mut(route) {
            let ListeningPlace { endpoint, address, reception } = *listening;
            places.insert(endpoint.to_owned(), ClientPlace { address, reception });
        }
    }

    /// Returns the places at which a route has begun to listen for its clients.
    pub(crate) fn served_places(&self, route: &str) -> ClientPlaces {
        self.served.lock().get(route).cloned().unwrap_or_default()
    }

    /// Starts a driver of a route; not when the broker is stopping.
    pub(in crate::guests) fn drive(&self, tenant: &Arc<Tenant>, route: &Arc<RouteRunner>, instance: usize) {
        self.task((tenant, route), Task::Drive(instance), &self.drivers);
    }

    /// Lets the standing of a new route be told; not where time stands still.
    pub(in crate::guests) fn tell(&self, tenant: &Arc<Tenant>, route: &Arc<RouteRunner>) {
        if !self.is_at_once {
            self.task((tenant, route), Task::Tell, &self.others);
        }
    }

    fn task(&self, (tenant, route): (&Arc<Tenant>, &Arc<RouteRunner>), task: Task, given: &AtomicUsize) {
        if let Some(thread) = self.next_thread(given) {
            // It fails only when the thread has ended, with which the broker does.
            let _ = thread.tasks.send(Order { tenant: Arc::clone(tenant), route: Arc::clone(route), task });
        }
    }

    /// Probes the connection of a route. The receiver is disconnected when the broker is stopping.
    /// Not to be called on a runtime: it waits while many probes do.
    pub(super) fn probe(&self, tenant: &Arc<Tenant>, route: &Arc<RouteRunner>) -> Receiver<Probed> {
        let (answer, answered) = sync_channel(1);
        if let Some(thread) = self.next_thread(&self.others) {
            let (tenant, route, task) = (Arc::clone(tenant), Arc::clone(route), Task::Probe(answer));
            // As above.
            let _ = thread.probes.blocking_send(Order { tenant, route, task });
        }
        answered
    }

    fn next_thread(&self, given: &AtomicUsize) -> Option<RouteThread> {
        let threads = self.threads.lock();
        let index = given.fetch_add(1, Ordering::Relaxed).checked_rem(threads.len())?;
        threads.get(index).cloned()
    }

    /// Has one thread more, which takes these orders.
    pub(in crate::guests) fn open(&self) -> Orders {
        let (task_sender, tasks) = mpsc::unbounded_channel();
        let (probe_sender, probes) = mpsc::channel(PROBES_MAX);
        self.threads.lock().push(RouteThread { tasks: task_sender, probes: probe_sender });
        Orders { tasks, probes }
    }

    /// Ends the threads, which have the guests close before; calls that are under way for too long
    /// are given up.
    pub(crate) fn stop(&self) {
        self.threads.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use lotmq_client::{ConnectOptions, Publication, QoS};

    use super::*;
    use crate::guests::HasPrograms as _;
    use crate::testing::{Running, connect, receive};

    #[test]
    fn excess_route_probes_wait_and_none_is_lost() {
        const PROBES: usize = 3 * PROBES_MAX;
        let running = Running::start("os");
        let broker = Arc::clone(&running.server.broker);
        let mut root = connect(running.address(), &ConnectOptions::v5("root").user("root", "coreflux"));
        root.subscribe_to("$SYS/Coreflux/Command/Output", QoS::AtLeastOnce).unwrap();
        let source = "-addRoute DEFINE ROUTE R WITH TYPE LOOPBACK\n    ADD EVENT \"e\"\n        WITH SOURCE_TOPIC \"h\"\n";
        root.publish(&Publication::new("$SYS/Coreflux/Command", source).qos(QoS::AtLeastOnce)).unwrap();
        receive(&mut root);
        let tenant = broker.hosting.tenants.default_tenant();
        let route = tenant.programs().guests.route("R").unwrap();
        let routes = Routes::default();
        // A thread that takes nothing.
        let mut orders = routes.open();
        for instance in 0..PROBES {
            routes.drive(&tenant, &route, instance);
        }
        std::thread::scope(|scope| {
            let probing = scope.spawn(|| (0..PROBES).for_each(|_| drop(routes.probe(&tenant, &route))));
            while orders.probes.len() < PROBES_MAX {
                std::thread::yield_now();
            }
            assert!(!probing.is_finished());
            // Nobody who stops the broker waits for it.
            routes.stop();
            let mut taken = 0;
            while orders.probes.blocking_recv().is_some() {
                taken += 1;
            }
            assert!(taken >= PROBES_MAX, "{taken}: what was handed over is there");
        });
        assert_eq!(orders.tasks.len(), PROBES, "who deploys does not wait");
        running.server.stop();
    }
}
