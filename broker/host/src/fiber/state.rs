//! Host state of one instance that waits.

use super::{
    dial::LOOKUPS_MAX, endpoint::Endpoint, folder::RouteFolder, handles::HandleTable, http::InstanceHttp,
    http_server::InstanceServers, serial::SerialLine, services::FiberServices, work::HostWork,
};
use crate::{
    Grants, GuestId, RunContext,
    deadline::Stopped,
    memory::{Memory, SocketSums},
};
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;

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
    pub(super) table: HandleTable,
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
            table: HandleTable::default(),
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
