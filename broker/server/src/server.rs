//! Start and stop of the broker.
//!
//! A start opens the store, restores tenants, starts guests with their `ON START`, then opens
//! sockets. Slow code may compile after that (`cold_start`). A stop goes in reverse.

mod cold_start;
pub mod embedded;
mod follower;
mod housekeeping;
pub(crate) mod in_process;
mod limits;
mod login_members;
mod losses;
pub(crate) mod metrics;
mod observed_broker;
pub(crate) mod offline_password;
pub mod preflight;
mod restart;
mod restore;
pub(crate) mod signals;
mod snapshot_socket;
mod storage_watch;
mod tokens;
pub mod warm;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use lot_to_wasm::lower::World as LotWorld;
use lotmq_admin::{Admin, AdminSetup};
use lotmq_auth::PasswordCost;
use lotmq_changes::{Log, LogArchive, MetaRow, Recovered, RestoreScope, StoreError};
use lotmq_config::{self, Carrier, Config, ListenerPlan, Secret};
use lotmq_host::python::Python;
use lotmq_host::{
    Ambient, Engine, EngineError, EngineOptions, Executor, ExecutorOptions, Machine, Sink, World,
};
use lotmq_pulse::Heartbeats;
use lotmq_store::{Committed, OnCommit, OpenError, Store, StoreOptions};
use parking_lot::Mutex;
use tracing::{error, info, warn};

pub use self::follower::{ContentsError, apply_changes, stored_contents};
use self::observed_broker::AdminView;
use self::restart::Former;
use self::signals::{Awaited, Signals};
use self::snapshot_socket::SnapshotSocket;
use lotmq_core::clock::Clock;
use lotmq_core::tenant::Tenants;
use lotmq_core::turn::context::TurnContext;
use lotmq_core::{BrokerHooks, Core, Entropy, Hashing};
use lotmq_net::Net;
use lotmq_net::certificates::{CertificateError, ListenerTls};
use lotmq_net::listener::{Listener, ListenerSetup};
use lotmq_net::listening_socket::{self, ListenAddress, ListeningSocket};
use lotmq_net::not_opened::{self, NotOpened};
#[cfg(feature = "quic")]
use lotmq_net::quic::{self, Quic, QuicListener};
use lotmq_net::shard::{self, Seats, Shard, ShardThreads};
use lotmq_operations::accounts::{self, AccountsError};
use lotmq_operations::audit;
use lotmq_operations::backup::{Backups, RestoreReport};
use lotmq_operations::broker::Broker;
use lotmq_operations::command;
use lotmq_operations::command_queue::Commands;
use lotmq_operations::exposure::Exposure;
use lotmq_operations::logins::{LoginPace, Logins};
use lotmq_operations::logs::Logs;
use lotmq_operations::logs::client_lines::ClientLines;
use lotmq_operations::managed::Managing as _;
use lotmq_operations::sys;
use lotmq_operations::system_state::Sys;
use lotmq_operations::uploads::Uploads;
use lotmq_process::alarm::Alarm;
use lotmq_process::clock::SystemClock;
use lotmq_process::descriptors::Descriptors;
use lotmq_process::lifetimes::Anchor;
use lotmq_process::machine;
use lotmq_process::mappings;
use lotmq_process::service_manager::ServiceManager;
use lotmq_process::time_zone::LocalZone;
use lotmq_process::watchdog::Watchdog;
use lotmq_programs::HasPrograms as _;
use lotmq_programs::cold_start::ColdStart;
use lotmq_programs::compile_workers::CompileWorkers;
use lotmq_programs::interrupted_runs::{self, InterruptedRuns};
use lotmq_programs::route_drivers;
use lotmq_programs::route_types::RouteTypes;
use lotmq_programs::routes::Routes;
use lotmq_programs::{GuestBrokerHooks, GuestSink, Hosting, ThreadGuests};

/// Threads that check passwords. The patient one keeps a free core busy with 50 checks a second.
const LOGIN_THREADS: [LoginPace; 2] = [LoginPace::Patient, LoginPace::Prompt];

/// Name of the listener of the health port.
const HEALTH: &str = "health";

/// Time that a stop waits for commands that are under way.
const WORKERS_PATIENCE: Duration = Duration::from_secs(10);
/// Period at which it looks.
const WORKERS_PAUSE: Duration = Duration::from_millis(2);

/// Reason why the broker did not start. Each renders as one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Another process has the data directory.
    #[error("Data directory '{}' is in use by process {}.", dir.display(), pid.map_or_else(|| "unknown".to_owned(), |pid| pid.to_string()))]
    DataInUse {
        /// The directory.
        dir: PathBuf,
        /// The process, where it is known.
        pid: Option<u32>,
    },
    /// The store could not be opened.
    #[error(transparent)]
    Store(OpenError),
    /// The store is damaged and cannot be opened as it is.
    #[error(
        "{error}. Nothing was changed. `lotmq store check --data '{0}'` says more; to go on, move '{1}' away and restore a backup with \
         `lotmq store import FILE --data '{0}'`",
        directory(path), path.display()
    )]
    Damaged {
        /// The database file.
        path: PathBuf,
        /// Error of the store.
        error: OpenError,
    },
    /// There is a store, and the configuration would leave it aside.
    #[error(
        "Data directory '{}' holds a store, which `store.durability = none` does not open: sessions, users and passwords would be those of a new broker. \
         Choose another directory with --data, or remove '{}'.",
        directory(path), path.display()
    )]
    StoreLeftAside {
        /// The database file.
        path: PathBuf,
    },
    /// A thread could not be started.
    #[error("a thread could not be started: {0}")]
    Thread(#[from] std::io::Error),
    /// The engine for guests could not be started.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The rows of a first start could not be written.
    #[error("first start: {0}")]
    FirstStart(#[from] StoreError),
    /// The audit cannot be continued.
    #[error("the audit cannot be read: {0}")]
    Audit(StoreError),
    /// Passwords cannot be hashed.
    #[error(transparent)]
    Password(#[from] lotmq_auth::PasswordError),
    /// The password that was given for `root` of new data cannot be used.
    #[error("{0}")]
    RootPassword(String),
    /// The MQTT listener could not be opened, or none where clients look for one.
    #[error("no MQTT listener could be opened: {0}")]
    NoListener(String),
    /// Two listeners of the configuration were given one port.
    #[error("{0}")]
    PortTwice(String),
    /// A listener with TLS has no usable certificate. Those without TLS are no substitute.
    #[error("listener {listener}: {reason}")]
    Certificate {
        /// As in the configuration: `mqtts`.
        listener: &'static str,
        /// The file and its error.
        reason: String,
    },
    /// A file with keys of tokens cannot be used.
    #[error("`{setting}`: {reason}")]
    Tokens {
        /// Key of the configuration.
        setting: &'static str,
        /// The file and its error.
        reason: String,
    },
}

impl From<OpenError> for StartError {
    fn from(error: OpenError) -> Self {
        if let OpenError::Corrupted { path, .. } = &error {
            return Self::Damaged { path: path.clone(), error };
        }
        if let OpenError::InUse { dir, pid } = error {
            Self::DataInUse { dir, pid }
        } else {
            Self::Store(error)
        }
    }
}

impl From<AccountsError> for StartError {
    fn from(error: AccountsError) -> Self {
        match error {
            AccountsError::Password(error) => error.into(),
            AccountsError::RootPasswordTooShort { .. } | AccountsError::RootPasswordIsDefault => {
                Self::RootPassword(error.to_string())
            }
            AccountsError::Store(error) => error.into(),
        }
    }
}

/// Directory of a file, for command lines.
fn directory(path: &Path) -> String {
    path.parent().map(|directory| directory.display().to_string()).unwrap_or_default()
}

/// A running broker. Dropping it without [`Server::stop`] leaves its threads running.
pub struct Server {
    pub(crate) broker: Arc<Broker>,
    threads: ShardThreads,
    housekeeper: JoinHandle<()>,
    /// Threads of commands and of the `$SYS` tree.
    workers: Vec<JoinHandle<()>>,
    routes: Vec<JoinHandle<()>>,
    /// Threads that compile what the start has left without native code.
    cold_start: Vec<JoinHandle<()>>,
    /// `None` without a listener of QUIC.
    #[cfg(feature = "quic")]
    quic: Option<Quic>,
    /// `None` where the health port could not be opened.
    admin: Option<Admin>,
    /// `None` without a store on a disk, or where the socket could not be opened.
    snapshots: Option<SnapshotSocket>,
    addresses: Vec<(&'static str, ListenAddress)>,
}

impl Server {
    /// Opens the store, restores its content and starts to listen. Logs listeners that cannot be
    /// opened; see `not_opened`.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(config: &Config) -> Result<Self, StartError> {
        Self::start_after(config, Former::default())
    }

    /// As [`Server::start`], for a broker that has run in this process before.
    pub(crate) fn start_after(config: &Config, former: Former) -> Result<Self, StartError> {
        let config = &machine::fitted(config);
        let path = config.store_path();
        if config.store.durability == lotmq_config::Durability::None && path.exists() {
            return Err(StartError::StoreLeftAside { path });
        }
        preflight::check(config)?;
        for preflight::RefusedAtStart { key, reason } in preflight::missing_folders(config) {
            warn!(key, reason, "a folder for routes cannot be used");
        }
        let listeners = Arc::new(OnceLock::new());
        let watchdog = Arc::<Watchdog>::default();
        let options = StoreOptions { is_start: true, ..store_options(config, &watchdog.pulses) };
        let (store, recovered) = Store::open(options, on_commit(&listeners))?;
        losses::tell_quarantined(&recovered.quarantined);
        let report = former.report.clone().or_else(|| restart::interrupted(&recovered));
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let (shards, seats) = shard::prepare(cores, &watchdog.pulses);
        let surroundings = Surroundings::of_machine(config, shards, watchdog, report, &recovered.meta)?;
        let (broker, recovered) = assemble(config, store, surroundings, recovered)?;
        // Nobody else sets it.
        let _ = listeners.set(Arc::downgrade(&broker.net));
        Self::run(config, broker, recovered, seats, &former)
    }

    fn run(
        config: &Config,
        broker: Arc<Broker>,
        mut recovered: Recovered,
        seats: Seats,
        former: &Former,
    ) -> Result<Self, StartError> {
        audit::started(
            &broker.hosting,
            &broker.hosting.tenants.default_tenant().managed().audit,
            &recovered.meta,
        );
        broker.logs.restore(&recovered.settings);
        let of_sinks = Arc::clone(&broker.hosting);
        let sink = move |_| Box::new(GuestSink::new(&of_sinks)) as Box<dyn Sink>;
        let options =
            ExecutorOptions { pulses: broker.hosting.watchdog.pulses.clone(), ..ExecutorOptions::default() };
        *broker.hosting.executor.lock() = Some(Executor::start(options, sink)?);
        let orders = route_drivers::open(&broker.hosting);
        let unfinished = restore::restore(&broker, RestoreScope::Everything, &mut recovered)?;
        // Last, when all receivers of their messages exist.
        let mut routes = route_drivers::start(&broker.hosting, orders)?;
        routes.extend(login_members::start(&broker)?);
        let interrupted_runs = Arc::new(InterruptedRuns::default());
        let housekeeper = housekeeping::start(&broker, &interrupted_runs)?;
        let mut workers = command::start(&broker)?;
        workers.push(sys::start(&broker, command::expire_uploads)?);
        lotmq_programs::run_starts(&broker.hosting);
        interrupted_runs::start_again(&broker.hosting, &interrupted_runs, unfinished);
        let threads = seats.start(&broker.net)?;
        let mut server = Self {
            broker,
            threads,
            housekeeper,
            workers,
            routes,
            cold_start: Vec::new(),
            #[cfg(feature = "quic")]
            quic: None,
            admin: None,
            snapshots: None,
            addresses: Vec::new(),
        };
        let begun = server.listen(config, former).and_then(|()| Ok(cold_start::start(&server.broker)?));
        match begun {
            Ok(threads) => {
                restart::started_well(&*server.broker.hosting.archive);
                let snapshots = SnapshotSocket::start(config, &server.broker.hosting.archive);
                Ok(Self { cold_start: threads, snapshots, ..server })
            }
            Err(error) => {
                server.stop();
                Err(error)
            }
        }
    }

    fn listen(&mut self, config: &Config, former: &Former) -> Result<(), StartError> {
        for plan in config.listeners() {
            if let Carrier::Quic { idle_timeout } = plan.carrier {
                self.listen_to_quic(config, &plan, idle_timeout, former)?;
                continue;
            }
            match self.listener(config, &plan) {
                Ok(listener) => self.open(config, &Arc::new(listener), &plan, former),
                Err(error) => return Err(unusable(&plan, &error)),
            }
        }
        let opened: Vec<&str> = self.addresses.iter().map(|(name, _)| *name).collect();
        if let Some(reasons) = not_opened::fatal(config, &opened, &self.broker.net.not_opened.lock()) {
            return Err(StartError::NoListener(reasons));
        }
        self.serve_health(config, former)
    }

    /// Notes that a listener, or one of its addresses, is not served.
    fn not_opened(&self, refused: NotOpened) {
        error!(listener = refused.listener, reason = refused.reason, "listener not opened");
        self.broker.net.not_opened.lock().push(refused);
    }

    /// Makes a listener as planned, with its certificates.
    pub(crate) fn listener(
        &self,
        config: &Config,
        plan: &ListenerPlan,
    ) -> Result<Listener, CertificateError> {
        let tls = self.certificates(config, plan)?;
        Ok(self.listener_with(tls, plan))
    }

    /// Loads the certificates of a listener with TLS, which are watched from now on.
    fn certificates(
        &self,
        config: &Config,
        plan: &ListenerPlan,
    ) -> Result<Option<Arc<ListenerTls>>, CertificateError> {
        let tls = preflight::certificates(config, plan)?.map(Arc::new);
        tls.iter().for_each(|tls| self.broker.net.certificates.add(tls));
        Ok(tls)
    }

    fn listener_with(&self, tls: Option<Arc<ListenerTls>>, plan: &ListenerPlan) -> Listener {
        let tenant = self.broker.hosting.tenants.default_tenant();
        let anonymous = self.broker.core.settings.anonymous;
        let login_chain = Arc::new(login_members::chain(&self.broker.login_members, plan));
        Listener::new(&self.broker.net, ListenerSetup { plan, anonymous, login_chain, tenant, tls })
    }

    fn open(&mut self, config: &Config, listener: &Arc<Listener>, plan: &ListenerPlan, former: &Former) {
        let network = plan.addresses.iter().map(|&address| {
            let address = former.address(plan.name, address);
            let opened = listening_socket::bind(address).map(ListeningSocket::Tcp);
            opened.map_err(|error| (preflight::refusal(config, plan.name, address, &error), error.kind()))
        });
        let unix = if let Carrier::Unix(unix) = &plan.carrier { unix.as_ref() } else { None };
        let unix = unix.into_iter().map(|unix| {
            let opened = listening_socket::bind_unix(&unix.path, unix.mode);
            opened.map_err(|error| (listening_socket::unix_refusal(&unix.path, &error), error.kind()))
        });
        for opened in network.chain(unix) {
            let opened = opened.and_then(|socket| match socket.address() {
                Ok(address) => Ok((address, socket)),
                Err(error) => Err((error.to_string(), error.kind())),
            });
            match opened {
                Ok((address, socket)) => {
                    self.addresses.push((plan.name, address));
                    self.broker.net.serve(listener, socket);
                }
                Err((reason, kind)) => {
                    self.not_opened(NotOpened::for_clients(plan.name, reason, kind));
                }
            }
        }
    }

    #[cfg(feature = "quic")]
    fn listen_to_quic(
        &mut self,
        config: &Config,
        plan: &ListenerPlan,
        idle_timeout: Duration,
        former: &Former,
    ) -> Result<(), StartError> {
        let tls = match self.certificates(config, plan) {
            Ok(tls) => tls.expect("the plan of QUIC has a certificate"),
            Err(error) => return Err(unusable(plan, &error)),
        };
        // The listener itself has no layers: QUIC has its own TLS.
        let listener = Arc::new(self.listener_with(None, plan));
        let mut opened = Vec::new();
        for &address in &plan.addresses {
            let address = former.address(plan.name, address);
            match quic::bind(address).and_then(|socket| Ok((socket.local_addr()?, socket))) {
                Ok((address, socket)) => {
                    self.addresses.push((plan.name, ListenAddress::Network(address)));
                    let (listener, tls) = (Arc::clone(&listener), Arc::clone(&tls));
                    opened.push(QuicListener { listener, tls, idle_timeout, socket });
                }
                Err(error) => {
                    let reason = preflight::refusal(config, plan.name, address, &error);
                    self.not_opened(NotOpened::for_clients(plan.name, reason, error.kind()));
                }
            }
        }
        if !opened.is_empty() {
            self.quic = Some(Quic::start(opened, &self.broker.hosting.watchdog.pulses)?);
        }
        Ok(())
    }

    #[cfg(not(feature = "quic"))]
    #[allow(clippy::unnecessary_wraps, reason = "the signature of the one with QUIC")]
    fn listen_to_quic(
        &mut self,
        _: &Config,
        plan: &ListenerPlan,
        _: Duration,
        _: &Former,
    ) -> Result<(), StartError> {
        let reason = "this build has no QUIC".to_owned();
        self.not_opened(NotOpened { listener: plan.name, reason, is_missed: true });
        Ok(())
    }

    /// Opens the health port, after the listeners. The broker works without it if that fails.
    fn serve_health(&mut self, config: &Config, former: &Former) -> Result<(), StartError> {
        let mut sockets = Vec::new();
        for address in config.health_addresses() {
            let opened = listening_socket::bind(former.address(HEALTH, address));
            match opened.and_then(|socket| Ok((socket.local_addr()?, socket))) {
                Ok((address, socket)) => {
                    self.addresses.push((HEALTH, ListenAddress::Network(address)));
                    sockets.push(socket);
                }
                Err(error) => {
                    let reason = preflight::refusal(config, HEALTH, address, &error);
                    self.not_opened(NotOpened { listener: HEALTH, reason, is_missed: false });
                }
            }
        }
        // One of QUIC has a pair of Unix sockets.
        let is_quic = |plan: &ListenerPlan| matches!(plan.carrier, Carrier::Quic { .. });
        let per_connection = if config.listeners().iter().any(is_quic) { 2 } else { 1 };
        let shared = self.broker.net.descriptors.get_or_init(|| Descriptors::share_out(per_connection));
        self.broker.logins.hold_to(self.broker.net.logins_waiting_max() as usize);
        self.broker.hosting.engine.bound_accepted(shared.accepted_connections.into());
        self.broker.hosting.engine.bound_opened(shared.opened_sockets.into());
        if !sockets.is_empty() {
            let setup = AdminSetup {
                connections_max: shared.http_connections as usize,
                hosts: config.admin.hosts.clone(),
                is_public: config.admin.bind.is_some(),
                watchdog: Arc::clone(&self.broker.hosting.watchdog),
            };
            self.admin = Some(Admin::start(Arc::new(AdminView(Arc::clone(&self.broker))), sockets, setup)?);
        }
        Ok(())
    }

    /// The listeners with the addresses that they have.
    pub fn addresses(&self) -> &[(&'static str, ListenAddress)] {
        &self.addresses
    }

    /// Returns one line of advice for an operator at a terminal, about public access.
    #[must_use]
    pub fn advice(&self) -> Option<&'static str> {
        let tenant = self.broker.hosting.tenants.default_tenant();
        Exposure::of(&self.broker.hosting.config, &tenant).advice()
    }

    /// Whether `root` has this password, which may be the one that was made for it. Hashes it.
    #[must_use]
    pub fn is_password_of_root(&self, password: &Secret) -> bool {
        let root = self.broker.hosting.tenants.default_tenant().users.account(lotmq_auth::ROOT);
        root.is_some_and(|root| root.credential.verify(password.reveal().as_bytes()))
    }

    /// Waits for SIGTERM or SIGINT, then stops. SIGHUP reloads certificates and calls `on_hang_up`,
    /// which must not block. Restarts for the restore of a backup. Reports its readiness, signs of
    /// life and stop to the service manager (`NOTIFY_SOCKET`).
    ///
    /// # Errors
    /// [`StartError`] when it starts neither on the restored store nor on the former one.
    pub fn wait(mut self, mut signals: Signals, on_hang_up: &dyn Fn()) -> Result<(), StartError> {
        let manager = ServiceManager::of_environment();
        manager.ready();
        while signals.wait(&self, &manager, on_hang_up) == Awaited::Restart {
            if let Some(staged) = self.broker.backups.take() {
                manager.restores();
                self = self.restart_on(staged)?;
                manager.ready();
            }
        }
        manager.stopping();
        self.stop();
        Ok(())
    }

    /// Makes the housekeeper read changed certificates again.
    pub fn reread_certificates(&self) {
        self.broker.net.certificates.request_check();
        self.broker.hosting.housekeeping.wake();
    }

    /// Closes all connections, ends runs, writes waiting changes and closes the store.
    pub fn stop(self) {
        info!("stopping");
        self.broker.hosting.cold_start.stop();
        self.broker.hosting.compile_workers.stop();
        if let Some(snapshots) = self.snapshots {
            snapshots.stop();
        }
        self.broker.core.ended_runs.stop();
        if let Some(admin) = self.admin {
            admin.stop();
        }
        // Before the shards, which report to route guests that their last messages are stored.
        self.broker.hosting.routes.stop();
        self.broker.login_guests.stop();
        // The thread itself has reported a panic.
        self.routes.into_iter().for_each(|thread| drop(thread.join()));
        for shard in &self.broker.net.shards {
            shard.stop();
        }
        self.threads.join();
        #[cfg(feature = "quic")]
        if let Some(quic) = self.quic {
            quic.stop();
        }
        self.broker.commands.stop();
        self.broker.sys.stop();
        let deadline = Instant::now() + WORKERS_PATIENCE;
        while Instant::now() < deadline && !self.workers.iter().all(JoinHandle::is_finished) {
            std::thread::sleep(WORKERS_PAUSE);
        }
        for worker in self.workers {
            if worker.is_finished() {
                let _ = worker.join();
            } else {
                // Nothing of it is stored, and nobody was told that it is done.
                warn!("a command is still under way and is given up");
            }
        }
        cold_start::join(self.cold_start);
        self.broker.hosting.python.close();
        losses::tell_lost(&self.broker);
        drop(self.broker.hosting.executor.lock().take());
        self.broker.hosting.housekeeping.stop();
        // The thread itself has reported a panic.
        let _ = self.housekeeper.join();
        for tenant in self.broker.hosting.tenants.all().iter() {
            let now_ms = self.broker.core.clock.wall_ms();
            tenant.managed().audit.close(
                &*self.broker.core.log,
                &self.broker.core.counters,
                now_ms,
                &tenant.name,
            );
            tenant.forget_clients();
        }
        self.broker.core.log.close();
        info!("stopped");
    }
}

pub(crate) fn store_options(config: &Config, pulses: &Heartbeats) -> StoreOptions {
    let durability = match config.store.durability {
        lotmq_config::Durability::Fsync => lotmq_store::Durability::Fsync,
        lotmq_config::Durability::Os => lotmq_store::Durability::Os,
        lotmq_config::Durability::None => lotmq_store::Durability::None,
    };
    let queues = lotmq_changes::RecoveredQueues::Sent;
    let linger = Duration::from_millis(config.store.linger_ms.into());
    let limits = lotmq_store::Limits { linger, ..lotmq_store::Limits::default() };
    StoreOptions {
        durability,
        queues,
        limits,
        pulses: pulses.clone(),
        ..StoreOptions::new(&config.data.path)
    }
}

/// Tells the shards of commits, as soon as there are shards.
fn on_commit(net: &Arc<OnceLock<Weak<Net>>>) -> OnCommit {
    let net = Arc::clone(net);
    Box::new(move |_: Committed| {
        if let Some(net) = net.get().and_then(Weak::upgrade) {
            net.committed();
        }
    })
}

/// Environment of a broker besides its configuration and its store.
pub(crate) struct Surroundings {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Entropy,
    /// Local time: of calendars, and as guests see it.
    pub(crate) zone: TimeZone,
    pub(crate) password_cost: PasswordCost,
    pub(crate) engine: Engine,
    pub(crate) python: Python,
    /// Clocks and chance of guests.
    pub(crate) ambient: Arc<dyn Ambient>,
    pub(crate) shards: Vec<Arc<Shard>>,
    pub(crate) routes: Routes,
    pub(crate) watchdog: Arc<Watchdog>,
    /// Result of the restore before this start.
    pub(crate) report: Option<RestoreReport>,
}

impl Surroundings {
    /// Those of a broker that has listeners.
    fn of_machine(
        config: &Config,
        shards: Vec<Arc<Shard>>,
        watchdog: Arc<Watchdog>,
        report: Option<RestoreReport>,
        facts: &[MetaRow],
    ) -> Result<Self, StartError> {
        let engine = engine(config, &watchdog.pulses)?;
        mappings::report(&engine, limits::WORKING_THREADS_MAX);
        Ok(Self {
            clock: Arc::new(SystemClock::resuming(Anchor::stored(facts))),
            entropy: entropy(),
            zone: LocalZone::logged().zone,
            password_cost: accounts::password_cost(&config.auth),
            python: Python::new(&engine),
            ambient: Arc::new(Machine::start()),
            engine,
            shards,
            routes: Routes::default(),
            watchdog,
            report,
        })
    }
}

/// Makes a broker in which nothing runs yet, of what its store held.
///
/// # Errors
/// See [`StartError`].
pub(crate) fn assemble(
    config: &Config,
    store: Store,
    surroundings: Surroundings,
    mut recovered: Recovered,
) -> Result<(Arc<Broker>, Recovered), StartError> {
    let tenants = restore::tenants(&store, &mut recovered, config, &surroundings)?;
    let Surroundings {
        clock, entropy, zone, engine, python, ambient, shards, routes, watchdog, report, ..
    } = surroundings;
    let tenants = Arc::new(Tenants::new(tenants));
    let housekeeping = Arc::new(Alarm::default());
    let store = Arc::new(store);
    let ids = Arc::clone(store.ids());
    let (log, archive) = (Arc::clone(&store) as Arc<dyn Log>, store as Arc<dyn LogArchive>);
    let broker_number = Hosting::random_number(&entropy, clock.wall_ms());
    let core = Arc::new(Core::new(config, (log, ids), clock, entropy));
    let context = Arc::new(TurnContext::new(Arc::clone(&core), &ThreadGuests));
    let hosting = Hosting {
        started_ms: core.clock.wall_ms(),
        core: Arc::clone(&core),
        config: config.clone(),
        broker_number,
        context: Arc::clone(&context),
        archive,
        tenants: Arc::clone(&tenants),
        watchdog: Arc::clone(&watchdog),
        housekeeping: Arc::clone(&housekeeping),
        compile_workers: CompileWorkers::new(config, engine.worker_memory()),
        engine,
        cold_start: ColdStart::default(),
        python,
        ambient,
        zone,
        executor: Mutex::new(None),
        routes,
        route_types: RouteTypes::default(),
    };
    let (login_members, login_guests) = login_members::configured(config)?;
    let logins = Logins::start(&LOGIN_THREADS, config.limits.logins_waiting as usize, &watchdog.pulses)?;
    let broker = Broker {
        core,
        net: Arc::new(Net::new(context, tenants, watchdog, shards, config.broker.placement)),
        hosting: Arc::new(hosting),
        client_lines: ClientLines::default(),
        logins,
        login_members,
        login_guests,
        logs: Logs::start(housekeeping),
        commands: Commands::default(),
        backups: Backups::new(report),
        uploads: Uploads::default(),
        sys: Sys::default(),
        quarantined: recovered.quarantined.clone(),
    };
    let broker = Arc::new(broker);
    let hooks: Arc<dyn BrokerHooks> = Arc::<Broker>::clone(&broker);
    // Nobody else sets it.
    let _ = broker.hosting.context.broker_hooks.set(Arc::downgrade(&hooks));
    let hooks: Arc<dyn GuestBrokerHooks> = Arc::<Broker>::clone(&broker);
    for tenant in broker.hosting.tenants.all().iter() {
        let guests = &tenant.programs().guests;
        let _ = guests.broker_hooks.set(Arc::downgrade(&hooks));
        let housekeeping = Arc::clone(&broker.hosting.housekeeping);
        guests.values.tell_saver(move || housekeeping.wake());
    }
    Ok((broker, recovered))
}

/// Makes the engine of guests, with the parts that all compiled programs share.
fn engine(config: &Config, pulses: &Heartbeats) -> Result<Engine, EngineError> {
    let is_durable = config.store.durability != lotmq_config::Durability::None;
    Engine::new(&EngineOptions {
        cache_dir: is_durable.then(|| config.data.path.join("cache")),
        shared_cache_dir: config.data.user_cache.clone(),
        all_memory_bytes_max: machine::guests_memory(&config.limits),
        code_mappings_max: Some(config.limits.code_mappings).filter(|max| *max > 0),
        code_bytes_max: machine::code_memory(&config.limits),
        pulses: pulses.clone(),
        ..lot_engine()
    })
}

/// Options of an engine for LoT: the runtime, and a shell for each world that it compiles to.
pub(crate) fn lot_engine() -> EngineOptions {
    let worlds =
        [(World::Action, LotWorld::Action), (World::Model, LotWorld::Model), (World::Rule, LotWorld::Rule)];
    let shell = |(world, of): (World, LotWorld)| (world, lot_to_wasm::lower::shell(of).into());
    EngineOptions {
        core_modules: vec![(
            lot_to_wasm::lower::RUNTIME_IMPORT.to_owned(),
            lot_to_wasm::lower::RUNTIME.into(),
        )],
        shells: worlds.into_iter().map(shell).collect(),
        ..EngineOptions::default()
    }
}

fn entropy() -> Entropy {
    let mut entropy = [0; 8];
    // Without it, where the process lies in memory still makes its hashes its own.
    let _ = getrandom::fill(&mut entropy);
    Entropy {
        random: |bytes| getrandom::fill(bytes).is_ok(),
        hashing: Hashing::random(u64::from_ne_bytes(entropy)),
    }
}

fn unusable(plan: &ListenerPlan, error: &CertificateError) -> StartError {
    StartError::Certificate { listener: plan.name, reason: error.to_string() }
}
