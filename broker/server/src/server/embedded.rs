//! A broker within another program: the same core, store and guests as that of
//! [`Server`](crate::Server), without listeners, with a store in memory, and with a clock that
//! moves only when its owner lets time pass. It is what `lotmq run` and `lotmq test` run programs
//! in.
//!
//! The owner's thread is the broker's only shard, its housekeeper and its thread of routes; one
//! more thread runs the definitions that do not run in a turn, and the owner waits for it. So what
//! a program does comes in an order that is always the same.
//!
//! Rules apply as in any broker, the three default rules included. Definitions run with the rights
//! of `root`.
//!
//! Invariants: nothing goes on beside a call of the owner, and when [`EmbeddedBroker::settle`]
//! returns nothing is left to be done before time passes. Not here: commands and the `$SYS` tree.

mod admitted;
mod ambient;
mod broker_event;
mod client;
mod clients;
mod embedding;
mod engine;
mod error;
mod logins;
mod module;
mod program;
mod running;
mod served;
mod time;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{Timestamp, tz::TimeZone};
use lotmq_auth::{PasswordCost, ROOT};
use lotmq_changes::Batch;
use lotmq_codec::QoS;
use lotmq_definitions::{DefinitionKind, NewDefinition, OnExisting, Registry, ValueKeeper};
use lotmq_host::python::Python;
use lotmq_host::{Ambient, Argument, Executor, ExecutorOptions, OwnedEvent, Sink};
use lotmq_session::Time;
use lotmq_store::Store;

pub use broker_event::{BrokerEvent, What};
pub use client::{Arriving, ClientIdentity};
pub use embedding::Embedding;
pub use error::EmbeddedError;
pub use logins::NewLogin;
pub use lotmq_programs::routes::{ClientPlace, ClientPlaces};
pub use module::{ComponentOutline, ComponentRequest, EmbeddedModule};
pub use program::EmbeddedProgram;
pub use served::ServedRoute;

use super::{StartError, Surroundings, assemble, housekeeping, store_options};
use ambient::VirtualAmbient;
use broker_event::EventRecorder;
use clients::Clients;
use error::{refused, variable};
use logins::LoginModule;
use lotmq_core::message::{Message, MessageParts};
use lotmq_core::tenant::Tenant;
use lotmq_core::tenant::retain::Keeper;
use lotmq_core::tenant::system_topics::is_system;
use lotmq_core::turn::Turn;
use lotmq_core::turn::internal::encoded;
use lotmq_core::{Entropy, Hashing};
use lotmq_net::shard;
use lotmq_operations::broker::Broker;
use lotmq_process::this_turn;
use lotmq_process::watchdog::Watchdog;
use lotmq_programs::named_modules;
use lotmq_programs::recorder::RunRecorder;
use lotmq_programs::route_drivers::SteppedRoutes;
use lotmq_programs::routes::Routes;
use lotmq_programs::scripts::CompiledScript;
use lotmq_programs::{CompiledDefinition, GuestSink, HasPrograms as _};
use program::ProgramEntity;
use time::VirtualTime;

/// Longest time of the machine that may pass until a run has ended; the host's own limit is far
/// below.
const PATIENCE: Duration = Duration::from_secs(30);

/// Password of users, who say without it who they are.
const PASSWORD: &str = "-";

/// Seed of the hash functions: always the same.
const HASHES: u64 = 1;

/// How often the owner's thread looks whether a run waits for it.
const LOOK: Duration = Duration::from_millis(1);

/// Broker within the process of its owner, who lets messages come and time pass.
pub struct EmbeddedBroker {
    broker: Arc<Broker>,
    tenant: Arc<Tenant>,
    time: VirtualTime,
    recorder: Arc<EventRecorder>,
    clients: Clients,
    /// The Client that messages come from which name none.
    nobody: ClientIdentity,
    /// `None` only while it is dropped.
    routes: Option<SteppedRoutes>,
    /// The turn of the housekeeper.
    keeper: Option<Turn>,
    /// Timers that have fired.
    timers_fired: u64,
    /// Modules for logins that were deployed.
    logins: Vec<LoginModule>,
    /// Servers on this machine in the place of their endpoints, by name: their ports.
    far_endpoints: BTreeMap<String, u16>,
}

impl EmbeddedBroker {
    /// Starts a broker in which nothing is deployed, with its wall clock at `wall` and calendars in
    /// `zone`. The calling thread has no other one.
    ///
    /// # Errors
    /// See [`EmbeddedError`].
    pub fn start(
        embedding: &Embedding,
        program: &EmbeddedProgram,
        (wall, zone): (Timestamp, TimeZone),
    ) -> Result<Self, EmbeddedError> {
        let Embedding { engine, config, rules, network_refused } = embedding;
        let time = VirtualTime::starting(wall);
        let watchdog = Arc::<Watchdog>::default();
        let (store, recovered) = Store::open(store_options(config, &watchdog.pulses), Box::new(|_| {}))
            .map_err(StartError::from)?;
        let (shards, _) = shard::prepare(1, &watchdog.pulses);
        let ambient: Arc<dyn Ambient> = Arc::new(VirtualAmbient::new(time.clone()));
        let python = program.python.clone().unwrap_or_else(|| Python::new(engine));
        let surroundings = Surroundings {
            clock: Arc::new(time.clone()),
            entropy: Entropy { random: |_| false, hashing: Hashing::fixed(HASHES) },
            zone,
            // Nobody logs in.
            password_cost: PasswordCost::TEST,
            engine: engine.clone(),
            python: python.with_ambient(Arc::clone(&ambient)),
            ambient,
            shards,
            routes: Routes::at_once(*network_refused),
            watchdog,
            report: None,
        };
        let (broker, _) = assemble(config, store, surroundings, recovered)?;
        let tenant = broker.hosting.tenants.default_tenant();
        rules.iter().try_for_each(|rule| install(&broker, &tenant, &time, rule))?;
        let of_sinks = Arc::clone(&broker.hosting);
        let sink = move |_| Box::new(GuestSink::new(&of_sinks)) as Box<dyn Sink>;
        let options = ExecutorOptions {
            threads: 1,
            is_stepped: true,
            turn_time_max: Duration::MAX,
            spare_threads_max: 0,
            ..ExecutorOptions::default()
        };
        *broker.hosting.executor.lock() = Some(Executor::start(options, sink).map_err(StartError::from)?);
        let routes = SteppedRoutes::new(&broker.hosting).map_err(StartError::from)?;
        let home = Arc::clone(&broker.net.shards[0].home);
        this_turn::install(Arc::clone(&broker.hosting.context), Some(home));
        let recorder = Arc::new(EventRecorder::default());
        // Nobody else sets it.
        let _ = tenant.programs().guests.recorder.set(Arc::clone(&recorder) as Arc<dyn RunRecorder>);
        let keeper = Turn::new(Arc::clone(&broker.hosting.context), None);
        // Before anything is deployed, which would see them come.
        let mut clients = Clients::connect(&broker, config)?;
        let nobody = ClientIdentity::of(None, None, None);
        clients.arrives(&nobody)?;
        Ok(Self {
            broker,
            tenant,
            time,
            recorder,
            clients,
            nobody,
            routes: Some(routes),
            keeper: Some(keeper),
            timers_fired: 0,
            logins: Vec::new(),
            far_endpoints: BTreeMap::new(),
        })
    }

    /// Deploys a program; its `ON START` runs with the next [`settle`](Self::settle). Returns
    /// warnings for the user.
    ///
    /// # Errors
    /// [`EmbeddedError::Refused`].
    pub fn deploy(&mut self, program: &EmbeddedProgram) -> Result<Vec<String>, EmbeddedError> {
        for (name, text) in &program.scripts {
            self.add_script(name, text)?;
        }
        let mut idle = Vec::new();
        for entity in &program.entities {
            match entity {
                ProgramEntity::Runs(compiled) => {
                    install(&self.broker, &self.tenant, &self.time, compiled)?;
                    let name = &compiled.new.name;
                    self.logins.extend(compiled.auth_module().map(|code| LoginModule::new(name, code)));
                    self.take_orders();
                }
                ProgramEntity::IsKnown(new) => idle.push(self.make_known(new)?),
            }
        }
        let guests = &self.tenant.programs().guests;
        let mut registry = guests.registry.write();
        let mut warnings = program.warnings.clone();
        for waiting in registry.pending_status() {
            let kind = waiting.kind.title().to_ascii_lowercase();
            let (name, missing) = (waiting.name, waiting.missing.join(", "));
            warnings.push(format!("{kind} {name} waits for {missing}, which the program does not have"));
        }
        warnings.append(&mut idle);
        warnings.extend(missing_modules(&registry));
        let starts = registry.finish_loading(self.time.now());
        drop(registry);
        self.tenant.routes_changed();
        guests.post(&starts, &OwnedEvent::Start);
        Ok(warnings)
    }

    fn add_script(&self, name: &str, text: &str) -> Result<(), EmbeddedError> {
        let (tenant, hosting) = (&self.tenant, &self.broker.hosting);
        let script = CompiledScript::known(&hosting.python, name, text);
        lotmq_programs::install_script(tenant, hosting, script, &mut Batch::new())
            .map_err(|error| refused(name, &error))
    }

    /// Lets others name a definition that nothing runs; the warning about it.
    fn make_known(&self, new: &NewDefinition) -> Result<String, EmbeddedError> {
        let now = self.time.now();
        let name = Arc::clone(&new.name);
        let new = NewDefinition { installed_at: now.wall, ..new.clone() };
        let mut registry = self.tenant.programs().guests.registry.write();
        registry.install(new, OnExisting::Replace, now).map_err(|error| refused(&name, &error))?;
        Ok(format!("route {name} does nothing: this build does not run its type"))
    }

    /// Adds a user, whom Clients can be then, with groups and properties; one that is there gets
    /// them, too.
    ///
    /// # Errors
    /// [`EmbeddedError::User`].
    pub fn add_user(
        &mut self,
        name: &str,
        groups: &[String],
        properties: &[(String, String)],
    ) -> Result<(), EmbeddedError> {
        let (users, refused) = (&self.tenant.users, |error| EmbeddedError::user(name, &error));
        if users.account(name).is_none() {
            let credential = users.hash(PASSWORD).map_err(StartError::from)?;
            users.add_user(name, credential).map_err(refused)?;
        }
        for group in groups {
            users.add_to_group(name, group).map_err(refused)?;
        }
        for (property, value) in properties {
            users.change_setting(name, property, value).map_err(refused)?;
        }
        Ok(())
    }

    /// A message arrives from nobody in particular, who is an anonymous Client, see
    /// [`publish_from`](Self::publish_from). Below `$SYS/` it is for a route, and from `root`, or
    /// the broker's own.
    ///
    /// # Errors
    /// As of [`publish_from`](Self::publish_from).
    pub fn publish(&mut self, message: &Arriving<'_>) -> Result<(), EmbeddedError> {
        if self.is_the_brokers(message.topic) {
            this_turn::with(|turn| {
                let (topic, payload) = (message.topic, message.payload);
                if let Some(message) = encoded(turn, topic, payload, QoS::AtMostOnce, false, 0) {
                    turn.publish(&self.tenant, &message);
                }
            });
            return Ok(());
        }
        let root = || ClientIdentity { user: Some(ROOT.to_owned()), ..self.nobody.clone() };
        let from = if is_system(message.topic) { root() } else { self.nobody.clone() };
        self.publish_from(&from, message)
    }

    /// Publishes a message as a Client, and connects the Client first if necessary. An unknown user
    /// has neither groups nor properties. Runs that the message starts happen with the next
    /// [`settle`](Self::settle), at the latest.
    ///
    /// # Errors
    /// [`EmbeddedError::Unencodable`], [`EmbeddedError::Disconnected`], [`EmbeddedError::User`],
    /// and [`EmbeddedError::OfTheBroker`] of a topic below `$SYS/`.
    pub fn publish_from(
        &mut self,
        client: &ClientIdentity,
        message: &Arriving<'_>,
    ) -> Result<(), EmbeddedError> {
        if self.is_the_brokers(message.topic) {
            return Err(EmbeddedError::OfTheBroker { topic: message.topic.to_owned() });
        }
        self.knows(client)?;
        if !self.clients.arrives(client)? {
            self.may_not_connect(client);
            return Ok(());
        }
        self.recorder.arrives(message.topic, message.payload);
        self.clients.publish(client, message).map(drop)
    }

    /// Subscribes a Client to a filter, and connects the Client first if necessary.
    ///
    /// # Errors
    /// As of [`publish_from`](Self::publish_from).
    pub fn subscribe(&mut self, client: &ClientIdentity, filter: &str) -> Result<(), EmbeddedError> {
        self.knows(client)?;
        if !self.clients.subscribe(client, filter)? {
            self.may_not_connect(client);
        }
        Ok(())
    }

    /// Whether what is published on a topic is the broker's own.
    fn is_the_brokers(&self, topic: &str) -> bool {
        is_system(topic) && self.tenant.programs().guests.route_of(topic).is_none()
    }

    fn knows(&mut self, client: &ClientIdentity) -> Result<(), EmbeddedError> {
        match &client.user {
            Some(user) if self.tenant.users.account(user).is_none() => self.add_user(user, &[], &[]),
            _ => Ok(()),
        }
    }

    fn may_not_connect(&self, client: &ClientIdentity) {
        self.recorder.sees_denial(client.denial(&self.tenant));
    }

    /// Whether a message on a topic starts anything.
    #[must_use]
    pub fn starts_anything(&self, topic: &str) -> bool {
        let programs = self.tenant.programs();
        let mut watches = Vec::new();
        programs.guests.registry.read().silence_watches(topic, &mut watches);
        !watches.is_empty()
            || !programs.triggers(topic).is_empty()
            || programs.guests.route_of(topic).is_some()
    }

    /// A retained message that was there before: it is read, and starts nothing.
    pub fn retain(&mut self, topic: &str, payload: &[u8]) {
        let parts = MessageParts {
            topic,
            properties: &[],
            payload,
            qos: QoS::AtMostOnce,
            retain: true,
            expires_at_ms: None,
        };
        this_turn::with(|turn| {
            // A limit would have kept the broker from having it.
            let _ = self.tenant.retain(&Arc::new(Message::new(0, parts)), Keeper::Broker, turn);
        });
    }

    /// Calls an Action, or a module, with inputs.
    ///
    /// # Errors
    /// [`EmbeddedError::UnknownAction`] and [`EmbeddedError::NotTaken`].
    pub fn call(&mut self, name: &str, inputs: Vec<Argument>) -> Result<(), EmbeddedError> {
        let guests = &self.tenant.programs().guests;
        let found = {
            let registry = guests.registry.read();
            let of_kind = |kind| registry.get(kind, name).map(|definition| definition.id);
            of_kind(DefinitionKind::Action).or_else(|| of_kind(DefinitionKind::Module))
        };
        let runner = found.and_then(|id| guests.runner(id));
        let runner = runner.ok_or_else(|| EmbeddedError::UnknownAction(name.to_owned()))?;
        let posted = runner.post(OwnedEvent::Call { inputs, trigger: None }, 0, 0);
        posted
            .map(drop)
            .map_err(|error| EmbeddedError::NotTaken { name: name.to_owned(), reason: error.to_string() })
    }

    /// Gives a topic a last value, which starts nothing.
    ///
    /// # Errors
    /// [`EmbeddedError::Kept`].
    pub fn keep(&mut self, topic: &str, payload: &[u8]) -> Result<(), EmbeddedError> {
        Ok(self.tenant.programs().guests.values.keep(ValueKeeper::NOBODY, topic, payload)?)
    }

    /// The last value of a topic.
    #[must_use]
    pub fn value(&self, topic: &str) -> Option<Vec<u8>> {
        self.tenant.programs().guests.values.read(topic, |value| value.map(<[u8]>::to_vec))
    }

    /// Sets an environment value, as `-setEnv` does.
    ///
    /// # Errors
    /// [`EmbeddedError::Variable`].
    pub fn set_environment(&mut self, name: &str, value: &str) -> Result<(), EmbeddedError> {
        let set = self.tenant.programs().variables.set_environment(&*self.broker.core.log, name, value);
        set.map(drop).map_err(|error| variable(name, &error))
    }

    /// Sets a secret.
    ///
    /// # Errors
    /// [`EmbeddedError::Variable`].
    pub fn set_secret(&mut self, name: &str, value: &str) -> Result<(), EmbeddedError> {
        let set = self.tenant.programs().variables.set_secret(&*self.broker.core.log, name, value);
        set.map(drop).map_err(|error| variable(name, &error))
    }

    /// Lets routes reach a port of this machine, where a server listens that is there for them
    /// alone.
    pub fn open_far_port(&self, port: u16) {
        self.broker.hosting.routes.open_far_port(port);
    }

    /// Lets a route listen, for clients that it alone has: at an address of this machine that
    /// nobody else has, whatever it says, where routes reach no network. Before it is deployed.
    pub fn open_to_clients(&self, route: &str) {
        self.broker.hosting.routes.open_to_clients(route);
    }

    /// Lets time pass until the next timer, at most `limit`, and starts what is due; `None` when no
    /// timer is left within it.
    pub fn pass_time(&mut self, limit: Duration) -> Option<Duration> {
        let step = self.next_timer().filter(|step| *step <= limit)?;
        self.stand(step);
        Some(step)
    }

    /// Lets time pass. A timer that is due in it is late.
    pub fn stand(&mut self, time: Duration) {
        self.time.pass(time);
        self.clients.time_passed();
        let Some(keeper) = &mut self.keeper else { return };
        keeper.tick();
        let due = housekeeping::work_by_the_clock(&self.broker, keeper);
        self.timers_fired += due.started as u64;
        keeper.flush();
    }

    /// How long it is until the next timer, or until a message with a delay is published.
    #[must_use]
    pub fn next_timer(&self) -> Option<Duration> {
        let timer = self.tenant.programs().guests.registry.read().next_timeout(self.time.now());
        let now = Time::from_millis(self.broker.core.clock.lifetime_ms());
        let delayed = self.broker.hosting.context.delayed.next().map(|at| at.since(now));
        [timer, delayed].into_iter().flatten().min()
    }

    /// How many runs timers have started.
    #[must_use]
    pub fn timers_fired(&self) -> u64 {
        self.timers_fired
    }

    /// The clock on the wall.
    #[must_use]
    pub fn wall(&self) -> Timestamp {
        self.time.now().wall
    }

    /// Waits until everything is done that needs no time to pass, except waits of route guests. Due
    /// timers fire when time passes next. Returns the events since the last call, in order.
    ///
    /// # Errors
    /// [`EmbeddedError::Endless`], [`EmbeddedError::EndlessRoutes`] and
    /// [`EmbeddedError::Disconnected`].
    pub fn settle(&mut self) -> Result<Vec<BrokerEvent>, EmbeddedError> {
        loop {
            self.clients.take_turns()?;
            if self.run_definitions()? || self.run_routes()? || self.take_commits() || self.tell_errors() {
                continue;
            }
            return self.recorder.take(&mut self.clients);
        }
    }

    /// Returns the events so far, after [`settle`](Self::settle) or a step has failed.
    ///
    /// # Errors
    /// [`EmbeddedError::TooMuch`].
    pub fn happened(&mut self) -> Result<Vec<BrokerEvent>, EmbeddedError> {
        self.recorder.take(&mut self.clients)
    }

    /// Lets the executor run what it has, with routes answering what is asked of them meanwhile;
    /// whether that was anything. It runs nothing at other times.
    fn run_definitions(&mut self) -> Result<bool, EmbeddedError> {
        if self.with_executor(Executor::is_at_rest) {
            return Ok(false);
        }
        let deadline = Instant::now() + PATIENCE;
        while !self.with_executor(|executor| executor.wait_for_rest(LOOK)) {
            let guests = &self.tenant.programs().guests;
            if guests.routes_are_asked() {
                self.drive_routes(|| !guests.routes_are_asked(), deadline)?;
            }
            if Instant::now() > deadline {
                return Err(EmbeddedError::Endless);
            }
            // A run may wait for what this thread has not handed over.
            self.clients.take_turns()?;
        }
        Ok(true)
    }

    fn with_executor(&self, ask: impl FnOnce(&Executor) -> bool) -> bool {
        self.broker.hosting.executor.lock().as_ref().is_none_or(ask)
    }

    /// Drives the routes until none has anything to do; whether any had.
    fn run_routes(&self) -> Result<bool, EmbeddedError> {
        let guests = &self.tenant.programs().guests;
        if guests.routes_rest() {
            return Ok(false);
        }
        self.drive_routes(|| guests.routes_rest(), Instant::now() + PATIENCE)?;
        Ok(true)
    }

    fn drive_routes(
        &self,
        mut is_over: impl FnMut() -> bool,
        deadline: Instant,
    ) -> Result<(), EmbeddedError> {
        let Some(routes) = &self.routes else { return Ok(()) };
        let mut is_done = false;
        routes.drive_until(|| {
            // A message that a route brings is done when it is stored.
            self.take_commits();
            is_done = is_over();
            is_done || Instant::now() > deadline
        });
        if is_done {
            return Ok(());
        }
        let names = self.tenant.programs().guests.busy_routes();
        Err(EmbeddedError::EndlessRoutes { names, within_sec: PATIENCE.as_secs() })
    }

    /// Lets routes that were deployed begin.
    fn take_orders(&self) {
        if let Some(routes) = self.routes.as_ref().filter(|_| !self.tenant.programs().guests.routes_rest()) {
            let mut began = false;
            routes.drive_until(|| std::mem::replace(&mut began, true));
        }
    }

    /// Does what waited for the store; whether that was anything.
    fn take_commits(&self) -> bool {
        let shard = &self.broker.net.shards[0];
        let has_releases = this_turn::with(|turn| shard.take_releases(turn));
        if !shard.home.waits_for_commit() {
            return has_releases;
        }
        // A store in memory does not fail.
        let _ = self.broker.core.log.wait(self.broker.core.log.last_ticket());
        this_turn::with(|turn| {
            turn.tick();
            turn.commits_settled();
        });
        true
    }

    /// Publishes the records of errors; whether there were any.
    fn tell_errors(&mut self) -> bool {
        let Some(keeper) = self.keeper.as_mut().filter(|_| lotmq_programs::has_errors(&self.tenant)) else {
            return false;
        };
        keeper.tick();
        lotmq_programs::publish_errors(keeper, &self.tenant);
        keeper.flush();
        true
    }
}

fn install(
    broker: &Broker,
    tenant: &Arc<Tenant>,
    time: &VirtualTime,
    compiled: &CompiledDefinition,
) -> Result<(), EmbeddedError> {
    let mut compiled = compiled.clone();
    compiled.new.installed_at = time.now().wall;
    let name = Arc::clone(&compiled.new.name);
    let installed = lotmq_programs::install(tenant, &broker.hosting, compiled, &mut Batch::new());
    installed.map(drop).map_err(|error| refused(&name, &error))
}

/// Says which definitions name modules that are not there.
fn missing_modules(registry: &Registry) -> Vec<String> {
    let kinds = [DefinitionKind::Route, DefinitionKind::Rule, DefinitionKind::Action];
    let mut missing = Vec::new();
    for definition in kinds.into_iter().flat_map(|kind| registry.list(kind)) {
        let named = named_modules::named(definition);
        for name in named.filter(|name| registry.get(DefinitionKind::Module, name).is_none()) {
            let (kind, of) = (definition.kind().title().to_ascii_lowercase(), definition.name());
            missing.push(format!("{kind} {of} names module '{name}', which is not given"));
        }
    }
    missing
}

impl Drop for EmbeddedBroker {
    /// Lets go of what refers to each other in circles: brokers of tests end by the hundred, and
    /// instances with them.
    fn drop(&mut self) {
        self.clients.leave();
        self.logins.clear();
        drop(self.routes.take());
        drop(self.keeper.take());
        this_turn::uninstall();
        drop(self.broker.hosting.executor.lock().take());
        self.tenant.forget_clients();
        self.broker.core.log.close();
    }
}

#[cfg(test)]
mod tests;
