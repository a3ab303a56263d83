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
use crate::limits::ROUTE_PROBES_MAX as PROBES_MAX;
use lotmq_core::tenant::Tenant;

/// Handle of the threads of routes.
#[derive(Default)]
pub struct Routes {
    /// Time stands still: nothing that fails is tried again, because nothing would have changed,
    /// and what stands is told to nobody.
    pub(crate) is_at_once: bool,
    /// Why guests reach no network at all; `None` where the configuration decides.
    pub(crate) network_refused: Option<&'static str>,
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
pub struct Orders {
    pub tasks: mpsc::UnboundedReceiver<Order>,
    pub probes: mpsc::Receiver<Order>,
}

/// Order to one of the threads.
pub struct Order {
    pub(crate) tenant: Arc<Tenant>,
    pub(crate) route: Arc<RouteRunner>,
    pub(crate) task: Task,
}

/// Task for a thread of routes.
pub(crate) enum Task {
    /// To drive the instance of this number until it has no place any more.
    Drive(usize),
    /// To publish how it stands, until its end.
    Tell,
    /// To try whether the far side can be reached, and to send the result.
    Probe(AskedProbe),
}

impl Orders {
    /// Next order; `None` when the broker is stopping.
    pub(crate) async fn next(&mut self) -> Option<Order> {
        tokio::select! {
            biased;
            task = self.tasks.recv() => task,
            Some(probe) = self.probes.recv() => Some(probe),
        }
    }
}

impl Routes {
    /// Creates routes with a stepped clock; `network_refused`: why guests have no network.
    pub fn at_once(network_refused: Option<&'static str>) -> Self {
        Self { is_at_once: true, network_refused, ..Self::default() }
    }

    /// Lets guests reach a port of this machine, whatever they reach else.
    pub fn open_far_port(&self, port: u16) {
        self.far_ports.lock().insert(port);
    }

    /// Whether a place is a server that is there for the guests alone.
    pub(crate) fn is_far_port(&self, place: SocketAddr) -> bool {
        place.ip() == Ipv4Addr::LOCALHOST && self.far_ports.lock().contains(&place.port())
    }

    /// Whether an address has such servers.
    pub(crate) fn has_far_ports(&self, address: IpAddr) -> bool {
        address == Ipv4Addr::LOCALHOST && !self.far_ports.lock().is_empty()
    }

    /// Lets a route listen, for clients that it alone has.
    pub fn open_to_clients(&self, route: &str) {
        self.served.lock().entry(route.to_owned()).or_default();
    }

    /// Whether a route has such clients.
    pub(crate) fn is_open_to_clients(&self, route: &str) -> bool {
        self.served.lock().contains_key(route)
    }

    /// Whether any route has.
    pub(crate) fn has_clients(&self) -> bool {
        !self.served.lock().is_empty()
    }

    /// Notes where a route listens, if it has such clients.
    pub(crate) fn note_listening(&self, route: &str, listening: &ListeningPlace<'_>) {
        if let Some(places) = self.served.lock().get_mut(route) {
            let ListeningPlace { endpoint, address, reception } = *listening;
            places.insert(endpoint.to_owned(), ClientPlace { address, reception });
        }
    }

    /// Returns the places at which a route has begun to listen for its clients.
    pub fn served_places(&self, route: &str) -> ClientPlaces {
        self.served.lock().get(route).cloned().unwrap_or_default()
    }

    /// Starts a driver of a route; not when the broker is stopping.
    pub fn drive(&self, tenant: &Arc<Tenant>, route: &Arc<RouteRunner>, instance: usize) {
        self.task((tenant, route), Task::Drive(instance), &self.drivers);
    }

    /// Lets the standing of a new route be told; not where time stands still.
    pub(crate) fn tell(&self, tenant: &Arc<Tenant>, route: &Arc<RouteRunner>) {
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
    pub fn probe(&self, tenant: &Arc<Tenant>, route: &Arc<RouteRunner>) -> Receiver<Probed> {
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
    pub fn open(&self) -> Orders {
        let (task_sender, tasks) = mpsc::unbounded_channel();
        let (probe_sender, probes) = mpsc::channel(PROBES_MAX);
        self.threads.lock().push(RouteThread { tasks: task_sender, probes: probe_sender });
        Orders { tasks, probes }
    }

    /// Ends the threads, which have the guests close before; calls that are under way for too long
    /// are given up.
    pub fn stop(&self) {
        self.threads.lock().clear();
    }
}
