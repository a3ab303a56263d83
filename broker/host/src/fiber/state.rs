//! Host state of one instance that waits, and the services of the broker for it.

use super::{
    dial::LOOKUPS_MAX,
    endpoint::Endpoint,
    folder::RouteFolder,
    http::{HttpEvent, InstanceHttp},
    http_server::InstanceServers,
    serial::SerialLine,
    work::HostWork,
};
use crate::{
    Grants, GuestId, LogLevel, MetricChange, RunContext, Services, Severity,
    deadline::Stopped,
    memory::{Memory, SocketSums},
};
use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;
use wasmtime::component::ResourceTable;

/// Place where a guest listens.
#[derive(Clone, Copy, Debug)]
pub struct ListeningPlace<'a> {
    /// Name of its endpoint.
    pub endpoint: &'a str,
    /// Address of this machine.
    pub address: SocketAddr,
    /// Kind of traffic at that place.
    pub reception: Reception,
}

/// Traffic that a listening guest receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reception {
    /// Connections, which it accepts itself.
    Connections,
    /// Datagrams.
    Datagrams,
    /// Requests of HTTP, which the host reads.
    Http {
        /// Whether the host speaks TLS there.
        has_tls: bool,
    },
}

/// Services of the broker for guests that wait, besides [`Services`].
pub trait FiberServices: Services {
    /// Why guests reach nothing at all; `None` where that depends on the place. Asked before a name
    /// is looked up.
    fn refuses_network(&self) -> Option<String> {
        None
    }

    /// Returns the reason why the operator lets no guest connect to an address; `None` if it is
    /// allowed. The host asks for each connection, with the resolved address.
    fn refuses_address(&self, address: IpAddr) -> Option<String>;

    /// Why no guest may connect to a port of an address, for whatever reason.
    fn refuses_place(&self, place: SocketAddr) -> Option<String> {
        self.refuses_address(place.ip())
    }

    /// Returns the reason why the operator lets no guest listen at an address of this machine;
    /// `None` if it is allowed.
    fn refuses_listening(&self, address: IpAddr) -> Option<String>;

    /// Returns the address at which a guest listens instead of an address of this machine.
    fn listens_in_place_of(&self, address: SocketAddr) -> SocketAddr {
        address
    }

    /// A guest has begun to listen.
    fn listens(&self, _run: &RunContext, _listening: ListeningPlace<'_>) {}

    /// Returns the reason why the operator lets no guest open a serial port, by the path of its
    /// device; `None` if it is allowed.
    fn refuses_serial_port(&self, device: &str) -> Option<String>;

    /// Whether a guest is a bridge to other brokers, which may lead back to this one.
    fn is_bridge(&self, _run: &RunContext) -> bool {
        false
    }

    /// Whether guests act for an administrator, by the current rights. Administrators may exceed
    /// the bound of sockets. The host asks only when no sockets are left.
    fn acts_for_administrator(&self) -> bool {
        false
    }

    /// A guest says that something went wrong.
    fn report(&self, run: &RunContext, severity: Severity, code: &str, message: &str);

    /// A guest changes a counter or gauge, whose name was checked. False when the definition has
    /// too many.
    fn measure(&self, run: &RunContext, name: &str, change: MetricChange) -> bool;

    /// Something happened in the exchanges of a guest with HTTP servers.
    fn note_http(&self, run: &RunContext, event: HttpEvent);

    /// The system has dropped so many datagrams for a guest, because its socket had no room for
    /// them.
    fn lost_datagrams(&self, run: &RunContext, count: u64);

    /// A guest writes a line to the log.
    fn log(&self, run: &RunContext, level: LogLevel, text: &str);
}

/// Places outside of the broker that an instance has, by name.
#[derive(Default)]
pub(crate) struct Places {
    pub(crate) endpoints: Arc<HashMap<String, Endpoint>>,
    pub(crate) folders: Arc<HashMap<String, RouteFolder>>,
    pub(crate) serial_lines: Arc<HashMap<String, SerialLine>>,
}

/// Host state of one instance that waits.
pub(crate) struct FiberState {
    /// First field, dropped first: requests without an answer then learn that the instance has
    /// ended.
    pub(super) servers: InstanceServers,
    pub(super) services: Arc<dyn FiberServices>,
    pub(crate) grants: Arc<Grants>,
    pub(crate) run: RunContext,
    pub(super) endpoints: Arc<HashMap<String, Endpoint>>,
    pub(super) folders: Arc<HashMap<String, RouteFolder>>,
    pub(super) serial_lines: Arc<HashMap<String, SerialLine>>,
    pub(super) work: HostWork,
    pub(super) table: ResourceTable,
    /// Connections, sockets, listeners and serial ports that are open.
    pub(super) sockets: u32,
    /// Connections among them with a zstd stream.
    pub(super) zstd_streams: u32,
    /// Files and listings that are open.
    pub(super) files: u32,
    /// Signals that it has.
    pub(super) signals: u32,
    pub(super) http: InstanceHttp,
    pub(super) lookups: Arc<Semaphore>,
    pub(super) memory: Memory,
    pub(super) socket_sums: SocketSums,
    /// The last line of the call, if it is of level error.
    pub(super) last_words: Option<String>,
    clock: GuestClock,
}

/// Time that the guest itself has run within a call.
struct GuestClock {
    began: Instant,
    budget: Duration,
    spent: Duration,
    /// Since when it runs; `None` while it waits.
    since: Option<Instant>,
}

impl FiberState {
    pub(crate) fn new(
        services: Arc<dyn FiberServices>,
        grants: Arc<Grants>,
        definition: GuestId,
        Places { endpoints, folders, serial_lines }: Places,
        (memory, socket_sums): (Memory, &SocketSums),
    ) -> Self {
        FiberState {
            servers: InstanceServers::default(),
            services,
            grants,
            run: RunContext::new(definition),
            endpoints,
            folders,
            serial_lines,
            work: HostWork::default(),
            table: ResourceTable::new(),
            sockets: 0,
            zstd_streams: 0,
            files: 0,
            signals: 0,
            http: InstanceHttp::default(),
            lookups: Arc::new(Semaphore::new(LOOKUPS_MAX)),
            memory,
            socket_sums: socket_sums.clone(),
            last_words: None,
            clock: GuestClock::begin(Duration::ZERO),
        }
    }

    /// A call begins, with so much time.
    pub(super) fn begin(&mut self, budget: Duration) {
        self.last_words = None;
        self.clock = GuestClock::begin(budget);
    }

    /// A tick: `Err` when the guest has used up its time.
    pub(super) fn tick(&mut self) -> Result<(), Stopped> {
        self.clock.note();
        if self.clock.spent > self.clock.budget { Err(Stopped::Time(self.clock.budget)) } else { Ok(()) }
    }

    /// The guest has waited for so long for what did not come.
    pub(super) fn has_waited<T: Default>(&self, time: Duration) -> T {
        self.services.ambient().waited(time);
        T::default()
    }

    /// Does something for which the guest waits: that time is not the guest's.
    pub(crate) async fn waits<T>(&mut self, work: impl AsyncFnOnce(&mut Self) -> T) -> T {
        self.clock.note();
        self.clock.since = None;
        let done = work(self).await;
        self.clock.since = Some(Instant::now());
        done
    }

    /// Whether the guest itself has run for most of the call until now, and waited for little.
    pub(super) fn has_computed(&self) -> bool {
        let clock = &self.clock;
        let own = clock.spent + clock.since.map_or(Duration::ZERO, |since| since.elapsed());
        own > clock.began.elapsed() / 2
    }
}

impl GuestClock {
    fn begin(budget: Duration) -> Self {
        let began = Instant::now();
        GuestClock { began, budget, spent: Duration::ZERO, since: Some(began) }
    }

    /// Notes how long the guest has run until now.
    fn note(&mut self) {
        let now = Instant::now();
        if let Some(since) = self.since.replace(now) {
            self.spent += now.saturating_duration_since(since);
        }
    }
}
