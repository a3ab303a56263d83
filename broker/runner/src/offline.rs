//! A broker without clients: registry, guests and last values, one run after the other, with a clock that stands still.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, bail};
use jiff::{Timestamp, tz::TimeZone};
use lot_to_wasm::lower::{self, RUNTIME, RUNTIME_IMPORT, shell};
use lotmq_definitions::{Caching, DefinitionKind, Now, OnExisting, Registry, RegistryOptions};
use lotmq_host::limits::HOPS_MAX;
use lotmq_host::route::{Arrival, RouteServices};
use lotmq_host::{
    AfterTraps, Argument, Definition, DefinitionId, DefinitionSpec, Effect, Engine, EngineOptions, Executor,
    ExecutorOptions, FinishedRun, GuestLimits, MailboxOptions, OwnedEvent, OwnedMessage, Qos, RunOutcome,
    RunOutput, Services, Severity, Sink, Trap, Value, World,
};
use lotmq_server::{Refused, StandaloneRoute, value_of_json};
use lotmq_terminal::output::note;
use serde_json::Value as Json;

use crate::program::{Compiled, Program};
use crate::routes::{Brought, ForRoute, Routes, client_id};
use crate::services::{OfflineServices, locked};

/// Longest time that one run may take with everything around it; the host's own limit is far below.
const RUN_TIMEOUT: Duration = Duration::from_secs(30);

/// Something to tell the user.
pub(crate) enum Happening<'a> {
    /// A message was published.
    Published { action: &'a str, topic: &'a str, payload: &'a [u8], retain: bool },
    /// A called action ended with outputs.
    Returned { action: &'a str, outputs: String },
    /// Something went wrong.
    Reported { action: &'a str, is_error: bool, place: String, text: String },
}

/// The program, ready to receive messages.
pub(crate) struct Offline {
    registry: Registry,
    guests: HashMap<u64, Arc<Definition>>,
    services: Arc<OfflineServices>,
    finished: Receiver<Finished>,
    waiting: VecDeque<Waiting>,
    /// Runs that timers have started.
    timers_fired: u64,
    now: Now,
    executor: Executor,
}

/// What is to be done next.
enum Waiting {
    /// A definition runs, so many runs after the message that came from outside.
    Run(DefinitionId, OwnedEvent, u8),
    /// A route gets a message.
    Route(ForRoute),
}

/// A run that has ended, with its own copy of the effects.
struct Finished {
    hops: u8,
    id: DefinitionId,
    outcome: RunOutcome,
    effects: Vec<(DefinitionId, OwnedEffect)>,
}

/// An effect that outlives the buffer of its run.
enum OwnedEffect {
    Publish { topic: String, payload: Vec<u8>, retain: bool },
    Keep { topic: String, payload: Vec<u8> },
    Forget { topic: String },
    Report { is_error: bool, place: String, text: String },
}

impl From<Effect<'_>> for OwnedEffect {
    fn from(effect: Effect<'_>) -> Self {
        match effect {
            Effect::Publish { topic, payload, retain, .. } => {
                Self::Publish { topic: topic.to_owned(), payload: payload.to_vec(), retain }
            }
            Effect::Keep { topic, payload } => {
                Self::Keep { topic: topic.to_owned(), payload: payload.to_vec() }
            }
            Effect::Forget { topic } => Self::Forget { topic: topic.to_owned() },
            Effect::Report { severity, code, message, line, column } => Self::Report {
                is_error: severity == Severity::Error,
                place: place(line, column),
                text: format!("{message} ({code})"),
            },
        }
    }
}

/// When and where a program starts.
pub struct Start {
    /// Wall clock at the start.
    pub wall: Timestamp,
    /// Zone of calendars.
    pub zone: TimeZone,
}

impl Start {
    /// Now, in the zone of this machine.
    #[must_use]
    pub fn here_and_now() -> Self {
        Self::here_at(Timestamp::now())
    }

    /// At a given time, in the zone of this machine.
    #[must_use]
    pub fn here_at(wall: Timestamp) -> Self {
        Self { wall, zone: TimeZone::system() }
    }
}

/// Engine that compiles and runs the programs. Making it takes a moment.
///
/// # Errors
/// When there is no room for guests.
pub fn engine() -> anyhow::Result<Engine> {
    Ok(Engine::new(&EngineOptions {
        instances_max: 64,
        core_modules: vec![(RUNTIME_IMPORT.to_owned(), RUNTIME.into())],
        shells: [(World::Action, lower::World::Action), (World::Model, lower::World::Model)]
            .map(|(world, of)| (world, shell(of).into()))
            .into(),
        ..EngineOptions::default()
    })?)
}

struct ToMainThread(Sender<Finished>);

impl Sink for ToMainThread {
    fn run_finished(&mut self, run: FinishedRun<'_>, output: &RunOutput) {
        let effects = output.effects().map(|(writer, effect)| (writer.definition, effect.into())).collect();
        let finished = Finished { hops: run.hops, id: run.definition.id(), outcome: run.outcome, effects };
        // Nobody listens any more only when the program ends.
        let _ = self.0.send(finished);
    }

    fn start_failed(&mut self, definition: &Arc<Definition>, trap: &Trap) {
        let outcome = RunOutcome::Trapped(trap.clone());
        // As above.
        let _ = self.0.send(Finished { hops: 0, id: definition.id(), outcome, effects: Vec::new() });
    }

    fn turn_finished(&mut self) {}
}

impl Offline {
    /// Loads a program; `ON START` definitions wait for the first [`Offline::settle`].
    pub(crate) fn start(program: &Program, Start { wall, zone }: Start) -> anyhow::Result<Self> {
        let (sender, finished) = channel();
        let sender = Mutex::new(sender);
        let executor =
            Executor::start(ExecutorOptions { threads: 1, ..ExecutorOptions::default() }, move |_| {
                Box::new(ToMainThread(locked(&sender).clone()))
            })?;
        let mut registry = Registry::new(RegistryOptions::new(zone));
        let scripts = program.scripts();
        let (values, routes) = (Arc::clone(registry.values()), Routes::new()?);
        let services = Arc::new(OfflineServices::new(values, scripts, routes, wall.as_millisecond()));
        let now = Now { elapsed: Duration::ZERO, wall };
        for name in program.script_names() {
            registry.set_script(name, true, now);
        }
        let mut offline = Self {
            registry,
            guests: HashMap::new(),
            services,
            finished,
            waiting: VecDeque::new(),
            timers_fired: 0,
            now,
            executor,
        };
        for definition in &program.definitions {
            offline.load(definition)?;
        }
        offline.tell_what_is_lacking();
        let starts = offline.registry.finish_loading();
        let run =
            |id: lotmq_definitions::DefinitionId| Waiting::Run(DefinitionId(id.0), OwnedEvent::Start, 0);
        offline.waiting.extend(starts.iter().map(|start| run(start.id)));
        Ok(offline)
    }

    fn load(&mut self, compiled: &Compiled) -> anyhow::Result<()> {
        let new = compiled.installed_at(self.now.wall);
        let installed = self.registry.install(new, OnExisting::Replace, self.now)?;
        let id = installed.definition.id.0;
        if let Some(kind) = compiled.route.clone() {
            let services = Arc::clone(&self.services) as Arc<dyn RouteServices>;
            let route = StandaloneRoute::new(DefinitionId(id), kind, compiled.facts().clone(), services);
            route.into_iter().for_each(|route| self.services.routes.add(route));
        }
        for store in &compiled.facts().stores {
            self.services.routes.add_table(compiled.name(), store);
        }
        let Some(guest) = compiled.guest.clone() else { return Ok(()) };
        let definition = self.executor.add(DefinitionSpec {
            id: DefinitionId(id),
            tenant: 0,
            guest,
            services: Arc::clone(&self.services) as Arc<dyn Services>,
            grants: Arc::new(compiled.grants()),
            limits: GuestLimits::default(),
            mailbox: MailboxOptions::default(),
            after_traps: AfterTraps::Restart,
            is_pure: false,
        });
        let is_model = compiled.kind() == DefinitionKind::Model;
        let known = if is_model { &self.services.models } else { &self.services.actions };
        locked(known).insert(compiled.name().to_owned(), Arc::clone(&definition));
        self.guests.insert(id, definition);
        Ok(())
    }

    /// Names what does nothing here: what waits for something that the program does not have, and what only a broker asks.
    fn tell_what_is_lacking(&self) {
        for waiting in self.registry.pending_status() {
            let kind = waiting.kind.title().to_ascii_lowercase();
            let (name, missing) = (waiting.name, waiting.missing.join(", "));
            note(&format!("warning: {kind} {name} waits for {missing}, which the program does not have"));
        }
        for rule in self.registry.list(DefinitionKind::Rule) {
            let name = rule.name();
            note(&format!("warning: rule {name} is not asked: only a broker has clients to ask about"));
        }
        for route in self.registry.list(DefinitionKind::Route) {
            let name = route.name();
            if !self.services.routes.has(name) {
                note(&format!("warning: route {name} does nothing: this build does not run its type"));
            }
        }
    }

    /// A message arrives from outside.
    pub(crate) fn publish(&mut self, topic: &str, payload: &[u8]) {
        self.route(topic, payload, "lotmq-run", false, 0);
    }

    /// Whether nothing is left to be done.
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    /// A retained message that was there before: it is read, and triggers nothing.
    pub(crate) fn retain(&mut self, topic: &str, payload: &[u8]) {
        locked(&self.services.retained).insert(topic.to_owned(), payload.to_vec());
    }

    /// Calls an action with these inputs.
    pub(crate) fn call(&mut self, name: &str, inputs: Json) -> anyhow::Result<()> {
        let Json::Object(inputs) = inputs else { bail!("inputs of --call are not a JSON object") };
        let found = self.registry.get(DefinitionKind::Action, name);
        let id = DefinitionId(found.with_context(|| format!("Action '{name}' not found."))?.id.0);
        let inputs =
            inputs.into_iter().map(|(name, value)| Argument { name, value: value_of_json(value) }).collect();
        self.waiting.push_back(Waiting::Run(id, OwnedEvent::Call { inputs, trigger: None }, 0));
        Ok(())
    }

    /// Lets time pass until the next timer, at most `limit`; `None` when no timer is left within it.
    pub(crate) fn pass_time(&mut self, limit: Duration) -> Option<Duration> {
        let step = self.registry.next_timeout(self.now).filter(|step| *step <= limit)?;
        let wall = self.now.wall.checked_add(step).ok()?;
        self.now = Now { elapsed: self.now.elapsed + step, wall };
        self.services.now_ms.store(wall.as_millisecond(), Ordering::Relaxed);
        let mut due = Vec::new();
        self.registry.due(self.now, &mut due);
        let run =
            |id: lotmq_definitions::DefinitionId| Waiting::Run(DefinitionId(id.0), OwnedEvent::Timer, 0);
        self.timers_fired += due.len() as u64;
        self.waiting.extend(due.iter().map(|timer| run(timer.id)));
        Some(step)
    }

    /// How many runs timers have started.
    pub(crate) fn timers_fired(&self) -> u64 {
        self.timers_fired
    }

    /// How long it is until the next timer.
    pub(crate) fn next_timer(&self) -> Option<Duration> {
        self.registry.next_timeout(self.now)
    }

    /// The clock on the wall.
    pub(crate) fn wall(&self) -> Timestamp {
        self.now.wall
    }

    /// Lets time pass in which no timer is due.
    pub(crate) fn stand(&mut self, time: Duration) {
        let Ok(wall) = self.now.wall.checked_add(time) else { return };
        self.now = Now { elapsed: self.now.elapsed + time, wall };
        self.services.now_ms.store(wall.as_millisecond(), Ordering::Relaxed);
    }

    /// Gives a topic a last value, which triggers nothing.
    pub(crate) fn keep(&mut self, topic: &str, payload: &[u8]) -> anyhow::Result<()> {
        Ok(self.registry.values().keep(topic, payload)?)
    }

    /// The last value of a topic.
    pub(crate) fn value(&self, topic: &str) -> Option<Vec<u8>> {
        self.registry.values().read(topic, |value| value.map(<[u8]>::to_vec))
    }

    pub(crate) fn set_environment(&mut self, name: &str, value: &str) {
        locked(&self.services.environment).insert(name.to_owned(), Some(value.to_owned()));
    }

    pub(crate) fn set_secret(&mut self, name: &str, value: &str) {
        locked(&self.services.secrets).insert(name.to_owned(), value.to_owned());
    }

    /// Runs until nothing is left to run.
    pub(crate) fn settle(
        &mut self,
        tell: &mut dyn FnMut(Happening<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        while let Some(next) = self.waiting.pop_front() {
            let (id, event, hops) = match next {
                Waiting::Run(id, event, hops) => (id, event, hops),
                Waiting::Route(for_route) => {
                    self.hand_to_route(&for_route, tell)?;
                    continue;
                }
            };
            let Some(guest) = self.guests.get(&id.0) else { continue };
            guest.post(event, hops, 0)?;
            let finished = self.finished.recv_timeout(RUN_TIMEOUT).context("a run did not end")?;
            self.take_effects(&finished, tell)?;
        }
        Ok(())
    }

    /// A route takes a message; what it publishes goes its way.
    fn hand_to_route(
        &mut self,
        for_route: &ForRoute,
        tell: &mut dyn FnMut(Happening<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let (name, hops) = (for_route.route.as_str(), for_route.hops.saturating_add(1));
        let delivered = self.services.routes.deliver(for_route, self.now.wall);
        let report =
            |is_error, text| Happening::Reported { action: name, is_error, place: String::new(), text };
        for brought in self.services.routes.take_brought() {
            match brought {
                Brought::Message(Arrival { topic, payload, retain, .. }) => {
                    tell(Happening::Published { action: name, topic: &topic, payload: &payload, retain })?;
                    self.route(&topic, &payload, &client_id(name), retain, hops);
                }
                Brought::Report { is_error, text } => tell(report(is_error, text))?,
            }
        }
        match delivered {
            Ok(stores) => self.waiting.extend(stores.into_iter().map(Waiting::Route)),
            Err(Refused { reason, told }) => {
                tell(report(true, reason))?;
                if let Some((topic, payload)) = told {
                    let (payload, retain) = (payload.as_bytes(), false);
                    tell(Happening::Published { action: name, topic: &topic, payload, retain })?;
                    self.route(&topic, payload, &client_id(name), retain, hops);
                }
            }
        }
        Ok(())
    }

    fn take_effects(
        &mut self,
        finished: &Finished,
        tell: &mut dyn FnMut(Happening<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        for (id, effect) in &finished.effects {
            let action = self.name(*id);
            match effect {
                OwnedEffect::Publish { topic, payload, .. } if StandaloneRoute::named_by(topic).is_some() => {
                    self.route(topic, payload, "", false, finished.hops.saturating_add(1));
                }
                OwnedEffect::Publish { topic, payload, retain } => {
                    tell(Happening::Published { action: &action, topic, payload, retain: *retain })?;
                    self.route(topic, payload, "", *retain, finished.hops.saturating_add(1));
                }
                OwnedEffect::Keep { topic, payload } => self.registry.values().keep(topic, payload)?,
                OwnedEffect::Forget { topic } => self.registry.values().forget(topic),
                OwnedEffect::Report { is_error, place, text } => tell(Happening::Reported {
                    action: &action,
                    is_error: *is_error,
                    place: place.clone(),
                    text: text.clone(),
                })?,
            }
        }
        let action = self.name(finished.id);
        match &finished.outcome {
            RunOutcome::Done(outputs) if outputs.is_empty() => Ok(()),
            RunOutcome::Done(outputs) => tell(Happening::Returned {
                action: &action,
                outputs: outputs.iter().map(show).collect::<Vec<_>>().join(", "),
            }),
            RunOutcome::Failed(error) => tell(Happening::Reported {
                action: &action,
                is_error: true,
                place: place(error.line, error.column),
                text: format!("{} ({})", error.message, error.code),
            }),
            RunOutcome::Trapped(trap) => tell(Happening::Reported {
                action: &action,
                is_error: true,
                place: String::new(),
                text: format!("{} ({})", trap.message, trap.kind.code()),
            }),
            RunOutcome::SliceExpired => bail!("an executor run has no slice"),
        }
    }

    fn name(&self, id: DefinitionId) -> String {
        let found = self.registry.by_id(lotmq_definitions::DefinitionId(id.0));
        found.map(|definition| definition.name().to_string()).unwrap_or_default()
    }

    /// A message takes its way: to the route that its topic names, else to last value, retained, triggers, routes with events for it.
    fn route(&mut self, topic: &str, payload: &[u8], client_id: &str, retain: bool, hops: u8) {
        if let Some(for_route) = self.services.routes.by_name(topic, payload, hops) {
            self.waiting.push_back(Waiting::Route(for_route));
            return;
        }
        let values = self.registry.values();
        match self.registry.caching(topic) {
            Caching::Store if retain && payload.is_empty() => values.clear(topic),
            Caching::Store => values.publish(topic, payload),
            Caching::Clear => values.clear(topic),
            Caching::Skip => {}
        }
        if retain && payload.is_empty() {
            locked(&self.services.retained).remove(topic);
        } else if retain {
            locked(&self.services.retained).insert(topic.to_owned(), payload.to_vec());
        }
        if hops > HOPS_MAX {
            note(&format!("warning: `{topic}` triggers nothing: more than {HOPS_MAX} hops"));
            return;
        }
        let mut matching = Vec::new();
        self.registry.matches(topic, &mut matching);
        let message = Arc::new(OwnedMessage {
            topic: topic.into(),
            payload: payload.to_vec().into(),
            qos: Qos::AtMostOnce,
            retain,
            client_id: client_id.into(),
            lease: None,
        });
        for definition in matching.iter().filter(|definition| definition.fires(topic, payload)) {
            let event = OwnedEvent::Message(Arc::clone(&message));
            self.waiting.push_back(Waiting::Run(DefinitionId(definition.id.0), event, hops));
        }
        self.waiting.extend(self.services.routes.arrived(&message, hops).into_iter().map(Waiting::Route));
    }
}

impl Drop for Offline {
    /// Lets the definitions go, which know the services that know them; their instances would stay otherwise.
    fn drop(&mut self) {
        locked(&self.services.actions).clear();
        locked(&self.services.models).clear();
        self.services.routes.clear();
    }
}

fn place(line: u32, column: u32) -> String {
    if line == 0 { String::new() } else { format!(":{line}:{column}") }
}

fn show(value: &Value) -> String {
    match value {
        Value::Empty => "empty".to_owned(),
        Value::Null => "null".to_owned(),
        Value::Boolean(value) => value.to_string(),
        Value::Integer(value) => value.to_string(),
        Value::Double(value) => value.to_string(),
        Value::Text(text) | Value::Json(text) => text.clone(),
        Value::Bytes(bytes) => format!("{} bytes", bytes.len()),
        Value::Time(ms) => {
            Timestamp::from_millisecond(*ms).map_or_else(|_| ms.to_string(), |time| time.to_string())
        }
    }
}
