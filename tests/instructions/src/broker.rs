//! One shard of a broker, driven by hand: the real core, connections within the process, and a
//! clock that stands still.
//!
//! The clock never moves, hash tables have fixed seeds, and one thread does all the work, so that
//! the same scenario executes the same instructions each time. Nothing here opens a socket.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use anyhow::Result;
use lotmq_auth::{AnonymousLogin, Directory, DirectoryOptions, PasswordCost, Rulebook};
use lotmq_changes::{Log, TenantId};
use lotmq_config::{Config, DataDirectory, Sources};
use lotmq_core::clock::Clock;
use lotmq_core::connection::refused::Refusals;
use lotmq_core::connection::{Connection, ListenerTerms};
use lotmq_core::limits::AddressRates;
use lotmq_core::message::Message;
use lotmq_core::owner::in_memory::{InMemory, Wire};
use lotmq_core::owner::open::OpenConnections;
use lotmq_core::owner::step;
use lotmq_core::tenant::Tenant;
use lotmq_core::tenant::client::Client;
use lotmq_core::tenant::triggers::{TenantHooks, Triggers};
use lotmq_core::turn::Turn;
use lotmq_core::turn::broker_hooks::GuestRunner;
use lotmq_core::turn::context::TurnContext;
use lotmq_core::turn::home::Home;
use lotmq_core::{BrokerHooks, Core, Entropy, Hashing};
use lotmq_definitions::Caching;
use lotmq_session::Time;
use lotmq_store::{Durability, Store, StoreOptions};
use parking_lot::Mutex;

use crate::hooks::NoHooks;
use crate::rules::{Judge, rules};

/// Clock that always shows the same moment.
#[derive(Debug)]
struct StoppedClock;

/// Wall clock of a run, in milliseconds since 1970.
const WALL_MS: u64 = 1_700_000_000_000;

impl Clock for StoppedClock {
    fn elapsed(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn wall(&self) -> Duration {
        Duration::from_millis(WALL_MS)
    }

    fn lifetime_ms(&self) -> u64 {
        WALL_MS
    }

    fn thread_cpu(&self) -> Duration {
        Duration::ZERO
    }

    fn pause(&self, _: Duration) {}

    fn wall_of(&self, lifetime_ms: u64) -> u64 {
        lifetime_ms
    }

    fn note_wall(&self) -> i64 {
        0
    }
}

/// Tenant without definitions.
struct NoDefinitions;

impl TenantHooks for NoDefinitions {
    fn triggers(&self, _: &Tenant, _: &str) -> (Option<Box<dyn Triggers>>, bool) {
        (None, true)
    }

    fn caching(&self, _: &str) -> Caching {
        Caching::Skip
    }

    fn remember(&self, _: Caching, _: &Message) {}
}

/// Runner without guests.
struct NoGuests;

impl GuestRunner for NoGuests {
    fn of_thread(&self) -> Box<dyn Any> {
        Box::new(())
    }

    fn has_work(&self, _: &Turn) -> bool {
        false
    }

    fn is_full(&self, _: &Turn) -> bool {
        false
    }

    fn hold_back(&self, _: &mut Turn, _: &Arc<Connection>, _: &Client, _: &Context<'_>) -> bool {
        false
    }

    fn start(&self, _: &mut Turn) {}

    fn post(&self, _: &mut Turn) {}

    fn turn_ended(&self, _: &mut Turn) -> bool {
        false
    }
}

/// Flag that a task is to run again.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// ConnectionPlace of a connection in [`Broker`].
pub(crate) type ConnectionPlace = usize;

struct Open {
    connection: Arc<Connection>,
    wire: Arc<Mutex<Wire>>,
    woken: Arc<Woken>,
    waker: Waker,
    is_ended: bool,
}

/// Broker with one shard.
pub(crate) struct Broker {
    core: Arc<Core>,
    tenant: Arc<Tenant>,
    terms: Arc<ListenerTerms>,
    home: Arc<Home>,
    turn: Turn,
    connections: OpenConnections<InMemory>,
    open: Vec<Open>,
    made: u32,
    _hooks: Arc<dyn BrokerHooks>,
    _dir: tempfile::TempDir,
}

impl Broker {
    /// Starts a broker whose rules judge like this.
    pub(crate) fn start(judge: Judge) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let config = Config::load(Sources {
            data: DataDirectory { path: dir.path().into(), origin: "run", user_cache: None },
            ..Sources::default()
        })?;
        let options =
            StoreOptions { durability: Durability::None, ..StoreOptions::new(dir.path().to_path_buf()) };
        let (store, _) = Store::open(options, Box::new(|_| {}))?;
        let ids = Arc::clone(store.ids());
        let log = (Arc::new(store) as Arc<dyn Log>, ids);
        let options = DirectoryOptions { cost: PasswordCost::TEST, ..DirectoryOptions::default() };
        let users = Arc::new(Directory::new(options)?);
        let permissions = Arc::new(Rulebook::new(Arc::clone(&users)).without_delivery());
        permissions.put(rules(judge));
        let id = (TenantId::DEFAULT, 0);
        let tenant = Arc::new(Tenant::new(id, "default", users, permissions, Box::new(NoDefinitions)));
        let entropy = Entropy { random: |_| false, hashing: Hashing::fixed(7) };
        let core = Arc::new(Core::new(&config, log, Arc::new(StoppedClock), entropy));
        let context = Arc::new(TurnContext::new(Arc::clone(&core), &NoGuests));
        let hooks: Arc<dyn BrokerHooks> = Arc::new(NoHooks);
        // Nobody else sets it.
        let _ = context.broker_hooks.set(Arc::downgrade(&hooks));
        let terms = Arc::new(ListenerTerms {
            name: "mqtt",
            number: core.figures.listener("mqtt"),
            core: Arc::clone(&core),
            limits: config.limits.for_all(),
            reached: core.limits.add("mqtt"),
            anonymous: AnonymousLogin::FromEverywhere,
            login_chain: Arc::default(),
            refusals: Refusals::default(),
            login_rates: AddressRates::default(),
            is_encrypted: false,
        });
        let home = Arc::new(Home::new(0));
        let turn = Turn::new(context, Some(Arc::clone(&home)));
        Ok(Self {
            core,
            tenant,
            terms,
            home,
            turn,
            connections: OpenConnections::new(),
            open: Vec::new(),
            made: 0,
            _hooks: hooks,
            _dir: dir,
        })
    }

    /// Accepts a connection.
    pub(crate) fn accept(&mut self) -> ConnectionPlace {
        let place = self.connections.reserve();
        let wire = Arc::new(Mutex::new(Wire::default()));
        wire.lock().has_room(usize::MAX);
        let transport = InMemory::new(&wire, &self.tenant);
        self.made += 1;
        let home = (self.home.number, place);
        let connection = Arc::new(Connection::new(self.made, home, Arc::clone(&self.terms), transport));
        let first_look = self.core.clock.now().plus(self.terms.connect_timeout());
        self.enter(&connection, first_look);
        let woken = Arc::<Woken>::default();
        let waker = Waker::from(Arc::clone(&woken));
        woken.0.store(true, Ordering::Relaxed);
        let connection: Arc<Connection> = connection;
        self.open.push(Open { connection, wire, woken, waker, is_ended: false });
        self.open.len() - 1
    }

    fn enter(&mut self, connection: &Arc<Connection<InMemory>>, first_look: Time) {
        self.connections.enter(connection, first_look, &mut self.turn);
    }

    /// Lets bytes arrive at a connection.
    pub(crate) fn arrive(&mut self, place: ConnectionPlace, bytes: &[u8]) {
        let open = &self.open[place];
        open.wire.lock().arrive(bytes);
        open.woken.0.store(true, Ordering::Relaxed);
    }

    /// Takes the bytes that the broker has written to a connection.
    pub(crate) fn take(&mut self, place: ConnectionPlace) -> Vec<u8> {
        let mut wire = self.open[place].wire.lock();
        wire.has_room(usize::MAX);
        std::mem::take(&mut wire.written)
    }

    /// Whether the broker has closed a connection.
    pub(crate) fn is_closed(&self, place: ConnectionPlace) -> bool {
        self.open[place].wire.lock().is_closed
    }

    /// Forgets a connection that has ended, which is the one that was accepted last.
    pub(crate) fn forget_last(&mut self) {
        self.open.pop();
    }

    /// Takes turns until no connection has work left; instructions are not counted.
    pub(crate) fn settle(&mut self) {
        self.take_turns();
    }

    /// Takes turns until no connection has work left. Callgrind collects the instructions of this
    /// function and of all that it calls, by its name.
    #[inline(never)]
    pub(crate) fn counted_turns(&mut self) {
        self.take_turns();
    }

    #[inline(always)]
    fn take_turns(&mut self) {
        loop {
            for open in &mut self.open {
                if !open.is_ended && open.woken.0.swap(false, Ordering::Relaxed) {
                    let cx = &mut Context::from_waker(&open.waker);
                    let driven = step::drive::<InMemory>(&open.connection, &mut self.turn, cx);
                    open.is_ended = driven.is_ready();
                    if open.is_ended {
                        self.connections.release(open.connection.place);
                    }
                }
            }
            self.turn.flush();
            let next = self.connections.begin_turn(&mut self.turn, Duration::from_secs(1));
            next.look.into_iter().for_each(Waker::wake);
            let is_woken =
                self.open.iter().any(|open| !open.is_ended && open.woken.0.load(Ordering::Relaxed));
            if !next.is_due && !is_woken {
                return;
            }
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // Sessions and connections refer to each other.
        self.tenant.forget_clients();
    }
}
