//! One life of a broker: the real core on the real store, with two threads that serve Clients and
//! one that keeps house, all of them run by hand.
//!
//! Every thread is a [`Turn`], and everything that a thread would be woken for is a [`Task`] that
//! waits until the world runs it, in whatever order. The world sees what a machine does through
//! [`Wire`]s alone. Dropping a machine is a crash.

mod handover;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use lotmq_auth::{AnonymousLogin, Directory, DirectoryOptions, PasswordCost, Rulebook};
use lotmq_changes::{Ids, Log, Recovered, RecoveredQueues, RestoreScope, SessionId, TenantId};
use lotmq_config::Config;
use lotmq_core::client::{delayed, housekeeping};
use lotmq_core::connection::refused::Refusals;
use lotmq_core::connection::{Connection, ListenerTerms};
use lotmq_core::limits::AddressRates;
use lotmq_core::owner::in_memory::{InMemory, Wire};
use lotmq_core::owner::open::OpenConnections;
use lotmq_core::owner::step;
use lotmq_core::tenant::Tenant;
use lotmq_core::turn::Turn;
use lotmq_core::turn::context::TurnContext;
use lotmq_core::turn::home::Home;
use lotmq_core::turn::next::Next;
use lotmq_core::{BrokerHooks, Core, Entropy, Hashing, restore};
use lotmq_disk::Disk;
use lotmq_store::{KeySource, Limits, Note, OnCommit, Stepper, Store, StoreOptions, Surroundings};
use parking_lot::Mutex;

use crate::clock::{BrokerClock, WorldTime};
use crate::fenced_log::FencedLog;
use crate::guests::{self, Guests, Relaying, Relays};
use crate::surface::{Ended, Everybody, Surface};

/// Number of a connection.
pub(crate) type ConnectionId = u32;

/// Threads that serve Clients.
const SHARDS: u16 = 2;

/// The thread that serves a connection.
pub(crate) fn shard_of(id: ConnectionId) -> u16 {
    (id % ConnectionId::from(SHARDS)) as u16
}

/// How long after the clock was read last each thread reads it again.
const TICK: Duration = lotmq_core::turn::timers::TICK;

/// Something that a thread of the broker has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Task {
    /// The owner of a connection looks at it.
    Connection(ConnectionId),
    /// A shard ends its turn.
    Flush(u16),
    /// A shard looks at its sockets.
    Look(u16),
    /// A shard hears of a commit.
    Commits(u16),
    /// The first shard takes over what waits for a batch of another thread.
    Releases,
    /// A tick has passed for a shard.
    Tick(u16),
    /// The store commits a group.
    Store,
    /// Posted runs of guests.
    Guests,
    /// Work that is due by the clock.
    Housekeeping,
}

/// The tasks that wait.
#[derive(Clone, Default)]
pub(crate) struct Tasks(Arc<Mutex<BTreeSet<Task>>>);

impl Tasks {
    pub(crate) fn call(&self, task: Task) {
        self.0.lock().insert(task);
    }

    fn waker(&self, task: Task) -> Waker {
        Waker::from(Arc::new(Call { tasks: self.clone(), task }))
    }
}

struct Call {
    tasks: Tasks,
    task: Task,
}

impl Wake for Call {
    fn wake(self: Arc<Self>) {
        self.tasks.call(self.task);
    }
}

/// A thread that serves Clients.
struct Shard {
    home: Arc<Home>,
    turn: Turn,
    connections: OpenConnections<InMemory>,
    /// To be woken when it has looked at its sockets.
    look: Option<Waker>,
    ticked: Duration,
    tasks: Tasks,
}

impl Shard {
    fn new(context: &Arc<TurnContext>, home: Arc<Home>, tasks: &Tasks, now: Duration) -> Self {
        let mut turn = Turn::new(Arc::clone(context), Some(Arc::clone(&home)));
        turn.await_work(&tasks.waker(Task::Flush(home.number)));
        let connections = OpenConnections::new();
        Self { home, turn, connections, look: None, ticked: now, tasks: tasks.clone() }
    }

    /// Ends the turn.
    fn flush(&mut self, now: Duration) {
        let Self { turn, connections, look, tasks, home, .. } = self;
        turn.flush();
        let Next { is_due, look: wanted } = connections.begin_turn(turn, now);
        if let Some(waker) = wanted {
            *look = Some(waker);
            tasks.call(Task::Look(home.number));
        }
        if is_due {
            tasks.call(Task::Flush(home.number));
        } else {
            turn.await_work(&tasks.waker(Task::Flush(home.number)));
        }
    }
}

thread_local! {
    /// The other threads while one that serves no Clients works, which may wait for them.
    static OTHERS: RefCell<(Vec<Shard>, Option<Arc<Stepper>>)> = const { RefCell::new((Vec::new(), None)) };
}

/// Lets the other threads end their turns, and the store commit what they have handed over.
pub(crate) fn others_go_on(now: Duration) {
    OTHERS.with_borrow_mut(|(shards, stepper)| {
        shards.iter_mut().for_each(|shard| shard.flush(now));
        if let Some(stepper) = stepper {
            stepper.step();
        }
    });
}

struct Open {
    connection: Arc<Connection<InMemory>>,
    wire: Arc<Mutex<Wire>>,
    waker: Waker,
}

/// Threads and tasks of the owner that hears of commits.
type CommitListener = (Vec<Arc<Home>>, Tasks);

/// Log that all owners of the sessions write to, one after the other.
#[derive(Clone)]
struct SharedLog {
    store: Arc<Store>,
    stepper: Arc<Stepper>,
    listener: Arc<Mutex<CommitListener>>,
}

impl SharedLog {
    /// Opens the log on a disk.
    fn open(time: &Arc<WorldTime>, disk: &Disk) -> Result<(Self, Recovered), String> {
        let listener = Arc::new(Mutex::new(CommitListener::default()));
        let to_call = Arc::clone(&listener);
        let on_commit = Box::new(move |_| {
            let listener = to_call.lock();
            let (homes, tasks) = &*listener;
            for home in homes.iter().filter(|home| home.waits_for_commit()) {
                tasks.call(Task::Commits(home.number));
            }
        });
        let (store, stepper, recovered) = open(time, disk, on_commit)?;
        Ok((Self { store: Arc::new(store), stepper: Arc::new(stepper), listener }, recovered))
    }
}

/// Parts of a machine that its surroundings give.
struct MachineParts {
    surface: Arc<Surface>,
    shared: SharedLog,
    rows: Recovered,
    ids: Arc<Ids>,
    /// Scopes that are restored, one after the other.
    scopes: Vec<RestoreScope>,
}

/// Settings of all machines of a run.
#[derive(Clone)]
pub(crate) struct MachineSettings {
    pub(crate) config: Config,
    pub(crate) guests: Guests,
    /// Messages that the mailbox of a definition takes.
    pub(crate) mailbox_max: usize,
}

/// See the module's documentation.
pub(crate) struct Machine {
    settings: MachineSettings,
    /// Whether another machine owns the sessions now.
    is_former: bool,
    time: Arc<WorldTime>,
    core: Arc<Core>,
    tenant: Arc<Tenant>,
    terms: Arc<ListenerTerms>,
    surface: Arc<Surface>,
    shards: Vec<Shard>,
    keeper: Turn,
    /// The thread of posted guests.
    executor: Turn,
    kept_house: Duration,
    log: Arc<FencedLog>,
    shared: SharedLog,
    /// Session of promised runs.
    promised: Option<SessionId>,
    /// Kept values that a former life has left: topics, and which one.
    found: BTreeMap<String, u32>,
    connections: BTreeMap<ConnectionId, Open>,
}

impl Machine {
    /// Makes an empty store on a disk, as a broker does at its first start under another name: no
    /// power cut finds half of it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn format(time: &Arc<WorldTime>, disk: &Disk) -> Result<(), String> {
        let (store, _stepper, _) = open(time, disk, Box::new(|_| {}))?;
        store.close();
        Ok(())
    }

    /// Starts a broker on a disk.
    ///
    /// # Errors
    /// When the store cannot be opened.
    pub(crate) fn start(
        time: &Arc<WorldTime>,
        disk: &Disk,
        settings: &MachineSettings,
    ) -> Result<Self, String> {
        let surface = Arc::new(Surface::default());
        guests::begin(&surface.tasks, settings.mailbox_max);
        let (shared, rows) = SharedLog::open(time, disk)?;
        let ids = Arc::clone(shared.store.ids());
        let scopes = vec![RestoreScope::Everything];
        Self::begin(time, settings, MachineParts { surface, shared, rows, ids, scopes })
    }

    /// Makes a broker on an open log.
    fn begin(time: &Arc<WorldTime>, settings: &MachineSettings, parts: MachineParts) -> Result<Self, String> {
        let MachineParts { surface, shared, mut rows, ids, scopes } = parts;
        let MachineSettings { config, guests, .. } = settings;
        let homes: Vec<_> = (0..SHARDS).map(|number| Arc::new(Home::new(number))).collect();
        *shared.listener.lock() = (homes.clone(), surface.tasks.clone());
        let promised = (*guests == Guests::Promised)
            .then(|| guests::durable_session(&shared.store, &ids, &mut rows.sessions))
            .transpose()?;
        let tenant = Arc::new(tenant(Relaying { promised, are_there: *guests != Guests::None })?);
        let entropy = Entropy { random: |_| false, hashing: Hashing::fixed(7) };
        let found = guests::restore(&rows.keeps);
        let log = Arc::new(FencedLog::new(&shared.store));
        let core_log = (Arc::<FencedLog>::clone(&log) as Arc<dyn Log>, ids);
        let core = Arc::new(Core::new(config, core_log, Arc::new(BrokerClock::starts(time)), entropy));
        let context = Arc::new(TurnContext::new(Arc::clone(&core), &Relays));
        let hooks: Arc<dyn BrokerHooks> = Arc::<Surface>::clone(&surface);
        // Nobody else sets it.
        let _ = context.broker_hooks.set(Arc::downgrade(&hooks));
        for scope in scopes {
            restore::restore(&context, &[Arc::clone(&tenant)], &mut rows.take(scope));
        }
        let now = time.now();
        let shards = homes.into_iter().map(|home| Shard::new(&context, home, &surface.tasks, now)).collect();
        surface.tasks.call(Task::Housekeeping);
        let mut machine = Self {
            settings: settings.clone(),
            is_former: false,
            time: Arc::clone(time),
            terms: Arc::new(terms(config, &core)),
            core,
            tenant,
            surface,
            shards,
            keeper: Turn::new(Arc::clone(&context), None),
            executor: Turn::new(context, None),
            kept_house: now,
            log,
            shared,
            promised,
            found,
            connections: BTreeMap::new(),
        };
        if let Some(session) = promised {
            let runs = &machine.core.ended_runs;
            guests::start_again(&machine.shared.store, runs, (&machine.tenant, session))?;
            // Before the first Client, so that nothing newer comes in front of it.
            while guests::are_posted() {
                machine.run(Task::Guests);
            }
        }
        Ok(machine)
    }

    /// A connection comes.
    pub(crate) fn accept(&mut self, id: ConnectionId) {
        let shard = &mut self.shards[usize::from(shard_of(id))];
        let place = shard.connections.reserve();
        let wire = Arc::new(Mutex::new(Wire::default()));
        let socket = InMemory::new(&wire, &self.tenant);
        let home = (shard.home.number, place);
        let connection = Arc::new(Connection::new(id, home, Arc::clone(&self.terms), socket));
        let first_look = self.core.clock.now().plus(self.terms.connect_timeout());
        shard.connections.enter(&connection, first_look, &mut shard.turn);
        let waker = self.surface.tasks.waker(Task::Connection(id));
        self.connections.insert(id, Open { connection, wire, waker });
        self.surface.tasks.call(Task::Connection(id));
    }

    /// Returns the wire between both ends of an open connection.
    pub(crate) fn wire(&self, id: ConnectionId) -> Option<&Mutex<Wire>> {
        self.connections.get(&id).map(|open| &*open.wire)
    }

    /// Connections that are open.
    pub(crate) fn open(&self) -> Vec<ConnectionId> {
        self.connections.keys().copied().collect()
    }

    /// Connections of Clients that have ended.
    pub(crate) fn take_ended(&self) -> Vec<Ended> {
        std::mem::take(&mut self.surface.ended.lock())
    }

    /// Why CONNECT packets were refused.
    pub(crate) fn take_refused(&self) -> Vec<String> {
        std::mem::take(&mut self.surface.refused.lock())
    }

    /// Ticks that have passed.
    pub(crate) fn ticks(&self) -> Vec<Task> {
        let now = self.time.now();
        let passed = self.shards.iter().filter(|shard| now >= shard.ticked + TICK);
        passed.map(|shard| Task::Tick(shard.home.number)).collect()
    }

    /// Returns the tasks that may be done now.
    pub(crate) fn tasks(&self) -> Vec<Task> {
        let now = self.time.now();
        let mut tasks: Vec<Task> = self.surface.tasks.0.lock().iter().copied().collect();
        tasks.extend(self.ticks());
        let is_due = self.shared.stepper.next_due().is_some_and(|due| due <= now);
        if self.shared.stepper.has_work() || is_due {
            tasks.push(Task::Store);
        }
        if now >= self.kept_house + Duration::from_millis(500) && !tasks.contains(&Task::Housekeeping) {
            tasks.push(Task::Housekeeping);
        }
        tasks
    }

    /// Whether something is on its way to the disk.
    pub(crate) fn is_storing(&self) -> bool {
        self.shared.stepper.has_work()
    }

    /// Whether its store has failed and has not recovered yet.
    pub(crate) fn has_failed(&self) -> bool {
        self.core.store_failure().is_some()
    }

    /// Whether its store has given up changes that it could not make.
    pub(crate) fn has_lost(&self) -> bool {
        self.core.log.has_lost()
    }

    /// Kept values that it has found at its start: the topic, and which one.
    pub(crate) fn found(&self) -> &BTreeMap<String, u32> {
        &self.found
    }

    /// Messages that are stored for runs.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) fn durable_left(&self) -> Result<usize, String> {
        self.promised.map_or(Ok(0), |session| guests::left(&self.shared.store, session))
    }

    /// Does one of them.
    pub(crate) fn run(&mut self, task: Task) {
        self.surface.tasks.0.lock().remove(&task);
        self.work(task);
        guests::saves_settled(&*self.core.log);
    }

    fn work(&mut self, task: Task) {
        match task {
            Task::Connection(id) => self.drive(id),
            Task::Flush(shard) => self.shards[usize::from(shard)].flush(self.time.now()),
            Task::Look(shard) => {
                self.shards[usize::from(shard)].look.take().into_iter().for_each(Waker::wake)
            }
            Task::Commits(shard) => {
                let turn = &mut self.shards[usize::from(shard)].turn;
                turn.tick();
                turn.commits_settled();
            }
            Task::Releases => {
                let all = std::mem::take(&mut *self.surface.releases.lock());
                let turn = &mut self.shards[0].turn;
                for (ticket, releases) in all {
                    turn.time_shares.others_work();
                    turn.release_when_committed(ticket, releases);
                }
            }
            Task::Tick(shard) => {
                let Shard { connections, turn, ticked, .. } = &mut self.shards[usize::from(shard)];
                *ticked = self.time.now();
                connections.time_passed(turn, &[Arc::clone(&self.tenant)]);
            }
            Task::Store => {
                self.shared.stepper.step();
            }
            Task::Guests => self.beside_shards(|machine| {
                machine.executor.tick();
                guests::work(&mut machine.executor);
                machine.executor.flush();
            }),
            Task::Housekeeping => {
                self.kept_house = self.time.now();
                self.beside_shards(Self::work_by_the_clock);
            }
        }
    }

    fn drive(&mut self, id: ConnectionId) {
        let Some(Open { connection, waker, .. }) = self.connections.get(&id) else { return };
        let shard = &mut self.shards[usize::from(connection.home)];
        let place = connection.place;
        let connection: Arc<Connection> = Arc::<Connection<InMemory>>::clone(connection);
        let driven = step::drive::<InMemory>(&connection, &mut shard.turn, &mut Context::from_waker(waker));
        if driven.is_ready() {
            shard.connections.release(place);
        }
    }

    /// Takes off a connection that the broker has closed and whose last bytes were taken.
    pub(crate) fn forget(&mut self, id: ConnectionId) {
        self.connections.remove(&id);
    }

    /// Works on a thread without Clients, which may wait for the others.
    fn beside_shards(&mut self, work: impl FnOnce(&mut Self)) {
        OTHERS.set((std::mem::take(&mut self.shards), Some(Arc::clone(&self.shared.stepper))));
        work(self);
        (self.shards, _) = OTHERS.take();
    }

    fn work_by_the_clock(&mut self) {
        let turn = &mut self.keeper;
        turn.tick();
        let is_behind = housekeeping::expire(turn);
        let ends_more = housekeeping::drain(turn);
        let is_late = delayed::publish_due(turn);
        self.tenant.remove_expired(turn);
        // While the store takes nothing they stay where they are, newest only.
        let takes = self.core.store_failure().is_none() && !self.core.log.is_congested(0);
        if takes && guests::has_unsaved() {
            guests::save(&*self.core.log, turn.wall_ms());
        }
        turn.flush();
        if is_behind || ends_more || is_late {
            self.surface.tasks.call(Task::Housekeeping);
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Guests are those of the present owner.
        if !self.is_former {
            guests::end();
        }
        // Objects that refer to each other in circles would never be freed, and a run has many
        // lives.
        self.tenant.forget_clients();
    }
}

/// Makes the tenant that all Clients belong to.
fn tenant(relaying: Relaying) -> Result<Tenant, String> {
    // Nobody guesses passwords here, and at the usual cost the simulation would do little else.
    let options = DirectoryOptions { cost: PasswordCost::TEST, ..DirectoryOptions::default() };
    let users = Arc::new(Directory::new(options).map_err(|error| error.to_string())?);
    let permissions = Arc::new(Rulebook::new(Arc::clone(&users)).without_delivery());
    permissions.put(Everybody::rules());
    Ok(Tenant::new((TenantId::DEFAULT, 0), "default", users, permissions, Box::new(relaying)))
}

fn terms(config: &Config, core: &Arc<Core>) -> ListenerTerms {
    ListenerTerms {
        name: "mqtt",
        number: core.figures.listener("mqtt"),
        core: Arc::clone(core),
        limits: config.limits.for_all(),
        reached: core.limits.add("mqtt"),
        anonymous: AnonymousLogin::FromEverywhere,
        login_chain: Arc::default(),
        refusals: Refusals::default(),
        login_rates: AddressRates::default(),
        is_encrypted: false,
    }
}

fn open(
    time: &Arc<WorldTime>,
    disk: &Disk,
    on_commit: OnCommit,
) -> Result<(Store, Stepper, Recovered), String> {
    let time = Arc::clone(time);
    let surroundings = Surroundings {
        now: Arc::new(move || time.now()),
        // Nothing of a simulation is secret.
        random: Box::new(|bytes| bytes.fill(7)),
        note: Box::new(NoteOn(disk.clone())),
    };
    let opened = Store::open_stepped(store_options(), Box::new(disk.opener()), on_commit, surroundings);
    opened.map_err(|error| error.to_string())
}

/// Note that one life of a broker leaves for the next, on a disk in the simulation.
#[derive(Debug)]
struct NoteOn(Disk);

impl Note for NoteOn {
    fn is_there(&self) -> bool {
        self.0.has_note()
    }

    fn set(&self, is_there: bool) -> std::io::Result<()> {
        self.0.set_note(is_there);
        Ok(())
    }
}

fn store_options() -> StoreOptions {
    StoreOptions {
        cache_bytes: 256 * 1024,
        secret_key: KeySource::Key([7; 32]),
        queues: RecoveredQueues::Sent,
        // Little slack, so that the log is cleaned too.
        limits: Limits { log_slack_bytes: 16 * 1024, ..Limits::default() },
        ..StoreOptions::new("unused")
    }
}

#[cfg(test)]
mod tests;
