//! Start and stop of the broker.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::thread::JoinHandle;

use lotmq_auth::AnonymousLogin;
use lotmq_host::{Engine, EngineOptions, Executor, ExecutorOptions, Sink};
use lotmq_session::{OnFull, SessionExpiry};
use lotmq_store::{Durability, OpenError, Store, StoreError, StoreOptions};

use parking_lot::Mutex;

use crate::absences::Absences;
use crate::broker::{Broker, Settings, Tenants};
use crate::clock::Clock;
use crate::commits::Commits;
use crate::counters::Counters;
use crate::guests::{self, GuestSink};
use crate::housekeeping::{self, Housekeeping};
use crate::logins::Logins;
use crate::net::listener::{self, Listener};
use crate::net::shard::{self, ShardThreads};
use crate::numbers::Numbers;
use crate::recover;

/// What to start (temporary until Config).
pub struct Boot {
    /// Data directory.
    pub data: PathBuf,
    /// Addresses.
    pub listen: Vec<SocketAddr>,
    /// Durability.
    pub durability: Durability,
    /// Shards; 0 = cores.
    pub shards: usize,
}

/// Why the broker did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The store could not be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// Threads or sockets could not be had.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The engine for guests could not be started.
    #[error(transparent)]
    Engine(#[from] lotmq_host::EngineError),
    /// What the first start must write was not written.
    #[error("first start: {0}")]
    FirstStart(#[from] StoreError),
    /// Passwords cannot be hashed.
    #[error(transparent)]
    Password(#[from] lotmq_auth::PasswordError),
}

/// A running broker.
pub struct Server {
    broker: Arc<Broker>,
    threads: ShardThreads,
    housekeeper: JoinHandle<()>,
    addresses: Vec<(&'static str, SocketAddr)>,
}

impl Server {
    /// Opens the store, restores what it holds and starts to listen.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(boot: &Boot) -> Result<Self, StartError> {
        let commits = Arc::new(Commits::default());
        let news = Arc::new(std::sync::OnceLock::<std::sync::Weak<Broker>>::new());
        let on_commit = {
            let (commits, news) = (Arc::clone(&commits), Arc::clone(&news));
            Box::new(move |committed| {
                commits.report(&committed);
                if let Some(broker) = news.get().and_then(std::sync::Weak::upgrade) {
                    broker.committed();
                }
            })
        };
        let options = StoreOptions { durability: boot.durability, ..StoreOptions::new(&boot.data) };
        let (store, mut recovered) = Store::open(options, on_commit)?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let count = if boot.shards == 0 { cores } else { boot.shards };
        let (shards, seats) = shard::prepare(count);
        let engine = Engine::new(&EngineOptions {
            cache_dir: (boot.durability != Durability::None).then(|| boot.data.join("cache")),
            core_modules: vec![("rt".to_owned(), lot_to_wasm::lower::RUNTIME.into())],
            ..EngineOptions::default()
        })?;
        let clock = Clock::new();
        let tenants = recover::tenants(&store, &mut recovered, &boot.data, None, clock.wall_ms())?;
        let broker = Arc::new(Broker {
            settings: Settings {
                session_expiry_max: SessionExpiry::from_seconds(30 * 24 * 3600),
                queue_messages_max: 1_000_000,
                queue_bytes_max: 1 << 30,
                on_full: OnFull::Drop,
            },
            clock,
            store,
            commits,
            shards,
            tenants: Tenants::new(tenants),
            counters: Counters::default(),
            numbers: Numbers::default(),
            absences: Absences::default(),
            logins: Logins::start(1)?,
            housekeeping: Housekeeping::default(),
            engine,
            executor: Mutex::new(None),
            connections: AtomicUsize::new(0),
        });
        let _ = news.set(Arc::downgrade(&broker));
        recover::sessions(&broker, recovered.sessions);
        recover::retained(&broker.tenants.all(), recovered.retained);
        recover::keeps(&broker.tenants.all(), recovered.keeps);
        let executor = Executor::start(ExecutorOptions::default(), |_| {
            Box::new(GuestSink::new(&broker)) as Box<dyn Sink>
        })?;
        *broker.executor.lock() = Some(executor);
        guests::definitions(&broker.tenants.default_tenant(), &broker, recovered.definitions);
        let housekeeper = housekeeping::start(&broker)?;
        guests::run_starts(&broker);
        let threads = seats.start(&broker)?;
        let mut addresses = Vec::new();
        for address in &boot.listen {
            let socket = listener::bind(*address)?;
            addresses.push(("mqtt", socket.local_addr()?));
            let listener = Arc::new(Listener {
                name: "mqtt",
                broker: Arc::clone(&broker),
                tenant: broker.tenants.default_tenant(),
                packet_bytes_max: 16 << 20,
                anonymous: AnonymousLogin::FromLoopback,
            });
            broker.shards[0].listen(listener, socket);
        }
        Ok(Self { broker, threads, housekeeper, addresses })
    }

    /// The listeners with the addresses that they have.
    pub fn addresses(&self) -> &[(&'static str, SocketAddr)] {
        &self.addresses
    }

    /// Closes all connections and the store.
    pub fn stop(self) {
        for shard in &self.broker.shards {
            shard.stop();
        }
        self.threads.join();
        drop(self.broker.executor.lock().take());
        self.broker.housekeeping.stop();
        // A panic there has been reported by the thread itself.
        let _ = self.housekeeper.join();
        self.broker.store.close();
    }
}
