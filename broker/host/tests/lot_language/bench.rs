//! A broker as small as the language needs: programs are deployed, messages go in, messages come
//! out.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use lot_facts::Trigger;
use lot_to_wasm::{Compat, CompileOptions, Form, lower};
use lotmq_codec::{Properties, PropertyPlace, PropertyValue};
use lotmq_host::{
    ActionInstance, Argument, BorrowedMessage, Client, ComponentSource, Departure, Effect, Engine,
    EngineOptions, Event, Executor, ExecutorOptions, FinishedRun, Grants, Guest, GuestId, GuestLimits,
    MailboxOptions, ModelInstance, NestedCall, Qos, RowQuery, RowsError, RunContext, RunError, RunOutcome,
    RunOutput, Runner, RunnerSpec, Services, Severity, Sink, Subscription, Trap, Value, World,
};
use parking_lot::Mutex;

/// The wall clock of every test: 2026-01-15T10:30:00.123Z.
pub(crate) const NOW_MS: i64 = 1_768_473_000_123;

/// One engine for the whole test binary, as in the broker.
pub(crate) fn engine() -> &'static Engine {
    static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
        let core_modules = vec![("rt".to_owned(), lower::RUNTIME.into())];
        let shells = [
            (World::Action, lower::World::Action),
            (World::Model, lower::World::Model),
            (World::Rule, lower::World::Rule),
        ]
        .map(|(world, of)| (world, lower::shell(of).into()))
        .into();
        // Each test is a process, and all have the same runtime and shells.
        let cache_dir = Some(Path::new(env!("CARGO_TARGET_TMPDIR")).join("lot-code"));
        let options = EngineOptions::default();
        Engine::new(&EngineOptions { instances_max: 512, cache_dir, core_modules, shells, ..options })
            .unwrap()
    });
    &ENGINE
}

/// The usual limits, but for the time: it is not what is tested here, and a machine may be slow.
fn limits() -> GuestLimits {
    GuestLimits { time: Duration::from_secs(60), ..GuestLimits::default() }
}

/// Compiles every entity of a text to a guest that can run.
fn guests(source: &str, form: Form, compat: Compat) -> Vec<(String, lot_facts::Facts, Guest)> {
    let compilation =
        lot_to_wasm::compile(source, &CompileOptions { form, compat, ..CompileOptions::default() });
    let problems = compilation.all_diagnostics();
    assert!(compilation.succeeded(), "{source}\n{problems:#?}");
    let origin = match form {
        Form::Linked => ComponentSource::Compiler,
        Form::Standalone => ComponentSource::Upload,
    };
    let load = |entity: lot_to_wasm::Entity| {
        let output = entity.output.unwrap();
        let world = if output.facts.kind == lot_facts::Kind::Model { World::Model } else { World::Action };
        // Models in the standalone form are for tools; nobody may upload them.
        let guest = engine().compile(&output.component, world, origin).unwrap();
        (entity.name, output.facts, guest)
    };
    compilation.entities.into_iter().map(load).collect()
}

/// State of the broker that guests read, and the effects that they have written.
#[derive(Default)]
pub(crate) struct State {
    /// Last values, kept ones included.
    pub(crate) topics: Mutex<BTreeMap<String, Vec<u8>>>,
    pub(crate) retained: Mutex<BTreeMap<String, Vec<u8>>>,
    environment: Mutex<BTreeMap<String, String>>,
    secrets: Mutex<BTreeMap<String, String>>,
    callees: Mutex<BTreeMap<String, Arc<Runner>>>,
    models: Mutex<BTreeMap<String, Arc<Runner>>>,
    random: Mutex<u64>,
    /// Topics of the events of routes.
    pub(crate) events: Mutex<Vec<String>>,
    /// Answer of the only route, `Db`: JSON, or nothing.
    rows: Mutex<String>,
    /// Queries to the route, each with the values that columns are compared with.
    asked: Mutex<Vec<String>>,
}

impl State {
    /// Something that others may call or publish.
    pub(crate) fn know(&self, is_model: bool, name: String, runner: Arc<Runner>) {
        let known = if is_model { &self.models } else { &self.callees };
        known.lock().insert(name, runner);
    }

    /// Undoes [`State::know`]: definitions know their state, which would keep both alive.
    pub(crate) fn forget_definitions(&self) {
        self.models.lock().clear();
        self.callees.lock().clear();
    }
}

impl Services for State {
    fn topic_value(&self, _run: &RunContext, topic: &str, value: &mut Vec<u8>) -> bool {
        let found =
            self.topics.lock().get(topic).cloned().or_else(|| self.retained.lock().get(topic).cloned());
        value.extend(found.iter().flatten());
        found.is_some()
    }
    fn may_read(&self, _run: &RunContext, _topic: &str) -> bool {
        true
    }
    fn retained_exists(&self, _run: &RunContext, topic: &str) -> bool {
        self.retained.lock().contains_key(topic)
    }
    fn environment(&self, _run: &RunContext, name: &str) -> Option<String> {
        self.environment.lock().get(name).cloned()
    }
    fn set_environment(&self, _run: &RunContext, name: &str, value: Option<&str>) -> bool {
        change(&mut self.environment.lock(), name, value)
    }
    fn secret(&self, _run: &RunContext, name: &str) -> Option<String> {
        self.secrets.lock().get(name).cloned()
    }
    fn set_secret(&self, _run: &RunContext, name: &str, value: Option<&str>) -> bool {
        change(&mut self.secrets.lock(), name, value)
    }
    fn may_publish_system(&self, _run: &RunContext, topic: &str) -> bool {
        self.events.lock().iter().any(|event| event == topic)
    }
    fn call_action(
        &self,
        call: NestedCall<'_>,
        name: &str,
        inputs: &[Argument],
    ) -> Result<Vec<Value>, RunError> {
        let callee = self.callees.lock().get(name).cloned();
        let callee = callee.ok_or_else(|| RunError::new("CALL_UNKNOWN", format!("no action '{name}'")))?;
        callee.call_nested(call, inputs)
    }
    fn build_model(
        &self,
        call: NestedCall<'_>,
        name: &str,
        assignments: &[Argument],
    ) -> Result<ModelInstance, RunError> {
        let model = self.models.lock().get(name).cloned();
        let model = model.ok_or_else(|| RunError::new("MODEL_NOT_FOUND", format!("no model '{name}'")))?;
        Ok(ModelInstance::from_values(model.call_nested(call, assignments)?).unwrap())
    }
    fn select_rows(&self, _run: &RunContext, query: &RowQuery<'_>) -> Result<Value, RowsError> {
        if query.route != "Db" {
            return Err(RowsError::unknown(query.route));
        }
        self.asked.lock().push(format!("{} {:?}", query.query, query.parameters));
        let rows = self.rows.lock().clone();
        Ok(if rows.is_empty() { Value::Null } else { Value::Json(rows) })
    }
    fn monotonic_ms(&self) -> u64 {
        500
    }
    fn now_ms(&self) -> i64 {
        NOW_MS
    }
    fn utc_offset_seconds(&self, at_ms: i64) -> i32 {
        // Nepal had 05:30 until 1986.
        if at_ms < 504_901_800_000 { 19_800 } else { 20_700 }
    }
    fn random(&self) -> u64 {
        let mut random = self.random.lock();
        *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *random
    }
}

/// Shows the properties of a published message, in the order in which they are encoded.
fn show_properties(properties: &[u8]) -> String {
    let list = Properties::from_raw(properties, PropertyPlace::PublishFromServer).unwrap();
    let shown = list.iter().map(|(id, value)| match value {
        PropertyValue::Binary(data) => format!(" [{id:?} {}]", String::from_utf8_lossy(data)),
        PropertyValue::Utf8(text) => format!(" [{id:?} {text}]"),
        PropertyValue::Utf8Pair(name, value) => format!(" [{name}: {value}]"),
        PropertyValue::FourByte(number) => format!(" [{id:?} {number}]"),
        other @ (PropertyValue::Byte(_) | PropertyValue::TwoByte(_) | PropertyValue::VarInt(_)) => {
            format!(" [{id:?} {other:?}]")
        }
    });
    shown.collect()
}

fn change(store: &mut BTreeMap<String, String>, name: &str, value: Option<&str>) -> bool {
    match value {
        Some(value) => store.insert(name.to_owned(), value.to_owned()),
        None => store.remove(name),
    };
    true
}

/// Nobody listens to the executor: it is here only because callees belong to one.
pub(crate) struct Deaf;

impl Sink for Deaf {
    fn run_finished(&mut self, _run: FinishedRun<'_>, _output: &RunOutput) {}
    fn start_failed(&mut self, _runner: &Arc<Runner>, _trap: &Trap) {}
    fn turn_finished(&mut self) {}
}

/// A deployed Action.
struct Deployed {
    trigger: Option<Trigger>,
    /// Filter of the messages of clients that a Model splits.
    reception: Option<String>,
    instance: ActionInstance,
    /// Payloads that ON CHANGE has seen, by topic.
    seen: BTreeMap<String, Vec<u8>>,
}

/// The broker.
pub(crate) struct Bench {
    state: Arc<State>,
    executor: Executor,
    deployed: Vec<Deployed>,
    published: Vec<String>,
    reports: Vec<String>,
    messages: Vec<String>,
    failures: Vec<RunError>,
}

impl Bench {
    /// A broker with the Actions of a text.
    pub(crate) fn new(source: &str) -> Bench {
        Bench::with_form(source, Form::Linked)
    }

    pub(crate) fn with_form(source: &str, form: Form) -> Bench {
        Bench::made(source, form, Compat::default())
    }

    /// A broker that reads the language with these switches.
    pub(crate) fn compatible(source: &str, compat: Compat) -> Bench {
        Bench::made(source, Form::Linked, compat)
    }

    fn made(source: &str, form: Form, compat: Compat) -> Bench {
        let options = ExecutorOptions { threads: 1, ..ExecutorOptions::default() };
        let mut bench = Bench {
            state: Arc::default(),
            executor: Executor::start(options, |_| Box::new(Deaf)).unwrap(),
            deployed: Vec::new(),
            published: Vec::new(),
            reports: Vec::new(),
            messages: Vec::new(),
            failures: Vec::new(),
        };
        bench.deploy(source, form, compat);
        bench
    }

    fn deploy(&mut self, source: &str, form: Form, compat: Compat) {
        for (name, facts, guest) in guests(source, form, compat) {
            let is_model = facts.kind == lot_facts::Kind::Model;
            let grants = Arc::new(if is_model { Grants::model() } else { Grants::action() });
            let services: Arc<dyn Services> = self.state.clone();
            let instance = guest.instance(services.clone(), grants.clone(), limits()).unwrap();
            if facts.callable.is_some() || is_model {
                let callee = self.executor.add(RunnerSpec {
                    id: GuestId(100),
                    name: name.as_str().into(),
                    tenant: 0,
                    guest,
                    services,
                    grants,
                    limits: limits(),
                    mailbox: MailboxOptions::default(),
                    is_pure: false,
                });
                self.state.know(is_model, name, callee);
            }
            let (trigger, reception) = (facts.trigger, facts.reception);
            self.deployed.push(Deployed { trigger, reception, instance, seen: BTreeMap::new() });
        }
    }

    /// A client publishes a message; all that follows from it happens before this returns.
    pub(crate) fn send(&mut self, topic: &str, payload: impl AsRef<[u8]>) -> &mut Bench {
        let mut waiting = VecDeque::from([(topic.to_owned(), payload.as_ref().to_vec())]);
        let mut client_id = "c1";
        while let Some((topic, payload)) = waiting.pop_front() {
            self.state.topics.lock().insert(topic.clone(), payload.clone());
            for index in 0..self.deployed.len() {
                if self.deployed[index].takes(&topic, &payload) {
                    let message = BorrowedMessage { client_id, ..BorrowedMessage::new(&topic, &payload) };
                    waiting.extend(self.run(index, &Event::Message(message)));
                }
            }
            client_id = "";
        }
        self
    }

    /// A client publishes a message with all that it says to the first definition; what follows
    /// from what that publishes does not happen.
    pub(crate) fn send_message(&mut self, message: BorrowedMessage<'_>) -> &mut Bench {
        self.run(0, &Event::Message(message));
        self
    }

    /// How a run of the first definition goes that has no more than a slice of its thread.
    pub(crate) fn send_in_slice(&mut self, topic: &str, payload: &[u8]) -> RunOutcome {
        let message = BorrowedMessage { client_id: "c", ..BorrowedMessage::new(topic, payload) };
        let run = RunContext::new(GuestId(1));
        self.deployed[0].instance.run_sliced(&Event::Message(message), run, &mut RunOutput::new())
    }

    /// Sets the answer of the route `Db`: JSON text, or nothing.
    pub(crate) fn rows(&mut self, rows: &str) -> &mut Bench {
        rows.clone_into(&mut self.state.rows.lock());
        self
    }

    /// Takes the queries to the route `Db` since the last call.
    pub(crate) fn asked(&mut self) -> Vec<String> {
        std::mem::take(&mut self.state.asked.lock())
    }

    /// Something other than a message happens, to every Action that it triggers.
    pub(crate) fn happen(&mut self, event: &Event<'_>) -> &mut Bench {
        for index in 0..self.deployed.len() {
            if self.deployed[index].reacts_to(event) {
                for (topic, payload) in self.run(index, event) {
                    self.send(&topic, payload);
                }
            }
        }
        self
    }

    /// Calls the first Action by name, as `-runAction` does.
    pub(crate) fn call(&mut self, inputs: &[Argument]) -> RunOutcome {
        let mut output = RunOutput::new();
        let event = Event::Call { inputs, trigger: None };
        let run = RunContext::new(GuestId(1));
        let outcome = self.deployed[0].instance.run(&event, run, &mut output);
        self.take(&output);
        outcome
    }

    fn run(&mut self, index: usize, event: &Event<'_>) -> Vec<(String, Vec<u8>)> {
        let mut output = RunOutput::new();
        let run = RunContext::new(GuestId(1 + index as u64));
        match self.deployed[index].instance.run(event, run, &mut output) {
            RunOutcome::Done(outputs) => assert_eq!(outputs, []),
            RunOutcome::Failed(error) => self.failures.push(error),
            other @ (RunOutcome::Trapped(_) | RunOutcome::SliceExpired) => panic!("{other:?}"),
        }
        self.take(&output)
    }

    /// Carries out what a run wrote; returns what it published.
    fn take(&mut self, output: &RunOutput) -> Vec<(String, Vec<u8>)> {
        let mut published = Vec::new();
        for (_, effect) in output.effects() {
            match effect {
                Effect::Publish { topic, payload, qos, retain, properties, .. } => {
                    let mut line = format!("{topic}={}", show(payload));
                    if qos != Qos::AtMostOnce {
                        line += if qos == Qos::AtLeastOnce { " AtLeastOnce" } else { " ExactlyOnce" };
                    }
                    if retain {
                        line += " retain";
                        self.state.retained.lock().insert(topic.to_owned(), payload.to_vec());
                    }
                    line += &show_properties(properties);
                    self.published.push(line);
                    published.push((topic.to_owned(), payload.to_vec()));
                }
                Effect::Keep { topic, payload } => {
                    self.state.topics.lock().insert(topic.to_owned(), payload.to_vec());
                }
                Effect::Forget { topic } => {
                    self.state.topics.lock().remove(topic);
                }
                Effect::Report { severity, code, message, line, column } => {
                    let severity = if severity == Severity::Error { "error" } else { "warning" };
                    self.reports.push(format!("{severity} {code} {line}:{column}"));
                    self.messages.push(message.to_owned());
                }
                Effect::Log { .. } | Effect::Metric { .. } => {
                    unreachable!("no statement writes to the log or has figures")
                }
            }
        }
        published
    }

    /// Takes the messages that Actions have published since the last call, as `topic=payload`.
    pub(crate) fn published(&mut self) -> Vec<String> {
        std::mem::take(&mut self.published)
    }

    /// Takes the reports of Actions since the last call, as `severity code line:column`.
    pub(crate) fn reports(&mut self) -> Vec<String> {
        std::mem::take(&mut self.reports)
    }

    /// The texts of what Actions have reported since the last time.
    pub(crate) fn messages(&mut self) -> Vec<String> {
        std::mem::take(&mut self.messages)
    }

    /// How runs have failed since the last time.
    pub(crate) fn failures(&mut self) -> Vec<RunError> {
        std::mem::take(&mut self.failures)
    }

    /// The last value of a topic.
    pub(crate) fn value(&self, topic: &str) -> Option<String> {
        self.state.topics.lock().get(topic).map(|value| show(value))
    }

    /// The last value of a topic, byte by byte.
    pub(crate) fn bytes(&self, topic: &str) -> Option<Vec<u8>> {
        self.state.topics.lock().get(topic).cloned()
    }

    /// There is a route with this event.
    pub(crate) fn add_event(&mut self, route: &str, event: &str) {
        self.state.events.lock().push(format!("$SYS/Coreflux/Routes/{route}/Events/{event}"));
    }

    /// Sets a secret as a user does.
    pub(crate) fn set_secret(&mut self, name: &str, value: &str) -> &mut Bench {
        self.state.secrets.lock().insert(name.to_owned(), value.to_owned());
        self
    }

    /// A secret.
    pub(crate) fn secret(&self, name: &str) -> Option<String> {
        self.state.secrets.lock().get(name).cloned()
    }

    /// An environment value.
    pub(crate) fn environment(&self, name: &str) -> Option<String> {
        self.state.environment.lock().get(name).cloned()
    }

    /// A client leaves a retained message.
    pub(crate) fn retain(&mut self, topic: &str, payload: &str) -> &mut Bench {
        self.state.retained.lock().insert(topic.to_owned(), payload.as_bytes().to_vec());
        self
    }
}

impl Deployed {
    fn takes(&mut self, topic: &str, payload: &[u8]) -> bool {
        if self.reception.as_ref().is_some_and(|filter| filter_matches(filter, topic)) {
            return true;
        }
        let Some(trigger) = &self.trigger else { return false };
        if !trigger.filters().iter().any(|filter| filter_matches(filter, topic)) {
            return false;
        }
        if matches!(trigger, Trigger::Change { .. }) {
            return self
                .seen
                .insert(topic.to_owned(), payload.to_vec())
                .is_none_or(|before| before != payload);
        }
        true
    }

    fn reacts_to(&self, event: &Event<'_>) -> bool {
        match (&self.trigger, event) {
            (Some(Trigger::Start), Event::Start)
            | (Some(Trigger::Connect), Event::Connected(_))
            | (Some(Trigger::Disconnect), Event::Disconnected(_))
            | (Some(Trigger::Every { .. } | Trigger::Calendar { .. } | Trigger::Once(_)), Event::Timer) => {
                true
            }
            (Some(Trigger::Subscribe { pattern }), Event::Subscribed(subscription)) => {
                pattern.as_ref().is_none_or(|pattern| filter_matches(pattern, subscription.filter))
            }
            _ => false,
        }
    }
}

/// A client of the life-cycle tests.
pub(crate) fn client<'a>(client_id: &'a str, user: Option<&'a str>) -> Client<'a> {
    Client { client_id, user, endpoint: "10.0.0.9:5123", clean_start: true }
}

/// It goes away.
pub(crate) fn departure<'a>(client_id: &'a str, reason: &'a str) -> Departure<'a> {
    Departure { client: client(client_id, None), reason }
}

/// It subscribes.
pub(crate) fn subscription<'a>(client_id: &'a str, filter: &'a str, qos: u8) -> Subscription<'a> {
    Subscription { client: client(client_id, None), filter, qos }
}

/// An Action `ON TOPIC "in"` with these lines as its body.
pub(crate) fn on_in(body: &str) -> String {
    action("ON TOPIC \"in\" DO", body)
}

/// An Action with a trigger line and the lines of a body.
pub(crate) fn action(trigger: &str, body: &str) -> String {
    let mut source = format!("DEFINE ACTION Test\n{trigger}\n");
    for line in body.lines() {
        source += &format!("    {line}\n");
    }
    source
}

/// Runs a body `ON TOPIC "in"` for one message and compares what comes out.
pub(crate) fn check(body: &str, payload: &str, expected: &[&str]) {
    let mut bench = Bench::new(&on_in(body));
    assert_eq!(
        bench.send("in", payload).published(),
        expected,
        "{body}\nwith {payload:?}, {:?}",
        bench.reports()
    );
}

fn show(payload: &[u8]) -> String {
    String::from_utf8_lossy(payload).into_owned()
}

/// A plain statement of MQTT's matching; the broker's is in `router`.
pub(crate) fn filter_matches(filter: &str, topic: &str) -> bool {
    let (filter, topic): (Vec<&str>, Vec<&str>) = (filter.split('/').collect(), topic.split('/').collect());
    for (index, level) in filter.iter().enumerate() {
        match (*level, topic.get(index)) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (level, Some(found)) if level == *found => {}
            _ => return false,
        }
    }
    filter.len() == topic.len()
}
