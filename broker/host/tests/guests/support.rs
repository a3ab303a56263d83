//! Makes components from WebAssembly text, and a broker's side for them to talk to.

use lotmq_host::{
    Ambient, Argument, BorrowedMessage, ComponentSource, Effect, Engine, EngineOptions, Event, FinishedRun,
    Grants, Guest, GuestId, GuestLimits, Machine, MailboxOptions, NestedCall, OwnedEvent, OwnedMessage,
    RowQuery, RowsError, RunContext, RunError, RunOutcome, RunOutput, RunWait, Runner, RunnerSpec, Services,
    Sink, StateRefused, Trap, Value, World, away, python::Called,
};
use lotmq_pulse::{
    Pulses,
    limits::{BEAT_PERIOD, WAKING_LATENESS_MAX},
};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::{
        Arc, LazyLock,
        mpsc::{self, Receiver, Sender},
    },
    time::{Duration, Instant},
};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

/// Parts of a hand-made guest. It has memory, a bump allocator that grows, its imports, and
/// handlers that do nothing unless `on_message`, `on_event` or `call` say otherwise. A handler
/// returns a pointer to its result; the one at 16 is `ok`.
#[derive(Clone, Copy, Default)]
pub(crate) struct Text<'a> {
    pub(crate) more: &'a str,
    pub(crate) on_message: &'a str,
    pub(crate) on_event: &'a str,
    pub(crate) call: &'a str,
}

/// Publishes the payload to the topic given at 64 (length at 60).
pub(crate) const PUBLISH_PAYLOAD: &str = r#"
    (call $publish (i32.const 64) (i32.load (i32.const 60)) (local.get $payload) (local.get $payload_len)
        (i32.const 0) (i32.const 0) (i32.const 32))"#;

impl Text<'_> {
    pub(crate) fn core(&self) -> String {
        let Text { more, on_message, on_event, call } = self;
        format!(
            r#"(module
  (import "lotmq:guest/messages@0.2.0" "publish" (func $publish (param i32 i32 i32 i32 i32 i32 i32)))
  (import "lotmq:guest/topic-store@0.2.0" "get" (func $get (param i32 i32 i32)))
  (import "lotmq:guest/environment@0.2.0" "get" (func $env (param i32 i32 i32)))
  (import "lotmq:guest/environment@0.2.0" "get-secret" (func $secret (param i32 i32 i32)))
  (import "lotmq:guest/actions@0.2.0" "call" (func $call_action (param i32 i32 i32 i32 i32)))
  (import "lotmq:guest/diagnostics@0.2.0" "report" (func $report (param i32 i32 i32 i32 i32 i32 i32)))
  (memory (export "memory") 1)
  (global $heap (mut i32) (i32.const 8192))
  (data (i32.const 60) "\03\00\00\00out")
  (data (i32.const 80) "callee")
  (data (i32.const 96) "$SYS/x")
  (data (i32.const 112) "a/+/b")
  (func $realloc (export "cabi_realloc") (param $old i32) (param $old_len i32) (param $align i32) (param $len i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
    (global.set $heap (i32.add (local.get $at) (local.get $len)))
    (if (i32.gt_u (global.get $heap) (i32.mul (memory.size) (i32.const 65536)))
      (then (if (i32.eq (memory.grow (i32.add (i32.div_u (local.get $len) (i32.const 65536)) (i32.const 1))) (i32.const -1))
        (then unreachable))))
    (local.get $at))
  {more}
  (func (export "lotmq:guest/action-handler@0.2.0#on-message")
    (param $topic i32) (param $topic_len i32) (param $payload i32) (param $payload_len i32)
    (param $qos i32) (param $retain i32) (param $client i32) (param $client_len i32) (result i32)
    (local $i i32)
    {on_message}
    (global.set $heap (i32.const 8192))
    (i32.const 16))
  (func (export "lotmq:guest/action-handler@0.2.0#on-event")
    (param $kind i32) (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
    {on_event}
    (global.set $heap (i32.const 8192))
    (i32.const 16))
  (func (export "lotmq:guest/action-handler@0.2.0#call")
    (param $inputs i32) (param $inputs_len i32) (param i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
    {call}
    (i32.const 16))
)"#
        )
    }

    pub(crate) fn component(&self) -> Vec<u8> {
        component(&self.core(), "action")
    }

    pub(crate) fn guest(&self) -> Guest {
        engine().compile(&self.component(), World::Action, ComponentSource::Upload).unwrap()
    }
}

/// Wraps a core module (text or binary) as a component of a world.
pub(crate) fn component(core: &str, world: &str) -> Vec<u8> {
    wrap(wat::parse_str(core).unwrap(), world)
}

fn wrap(core: Vec<u8>, world: &str) -> Vec<u8> {
    wrap_with(core, world, &[])
}

/// Wraps a core module whose world is in the last of these additional packages, or in our own when
/// there are none.
pub(crate) fn wrap_with(core: Vec<u8>, world: &str, packages: &[&str]) -> Vec<u8> {
    wrap_of(&contract_folder(), core, world, packages)
}

/// Folder of the contract.
pub(crate) fn contract_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit/guest")
}

/// As [`wrap_with`], with the contract of a folder.
pub(crate) fn wrap_of(folder: &Path, mut core: Vec<u8>, world: &str, packages: &[&str]) -> Vec<u8> {
    let mut resolve = wit_parser::Resolve { all_features: true, ..wit_parser::Resolve::default() };
    let (mut package, _) = resolve.push_dir(folder).unwrap();
    for (number, text) in packages.iter().enumerate() {
        package = resolve.push_str(format!("{number}.wit"), text).unwrap();
    }
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    embed_component_metadata(&mut core, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().module(&core).unwrap().validate(true).encode().unwrap()
}

/// The prebuilt core module of a guest of this repository, as a component.
pub(crate) fn wrapped(folder: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder);
    let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
    let core = std::fs::read(folder.join("prebuilt").join(format!("{name}.wasm"))).unwrap();
    ComponentEncoder::default().module(&core).unwrap().validate(true).encode().unwrap()
}

/// One engine for the whole test binary, as in the broker.
pub(crate) fn engine() -> &'static Engine {
    static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
        // Each test is a process, and many have the same guest.
        let cache_dir = Some(Path::new(env!("CARGO_TARGET_TMPDIR")).join("guest-code"));
        Engine::new(&EngineOptions { instances_max: 256, cache_dir, ..EngineOptions::default() }).unwrap()
    });
    &ENGINE
}

/// The broker's side.
#[derive(Default)]
pub(crate) struct Broker {
    pub(crate) topics: Mutex<HashMap<String, Vec<u8>>>,
    /// State of the only definition.
    pub(crate) state: Mutex<BTreeMap<String, Vec<u8>>>,
    pub(crate) callees: Mutex<HashMap<String, Arc<Runner>>>,
    pub(crate) deepest: Mutex<u8>,
    /// Function that answers calls of scripts; without it there are no scripts.
    pub(crate) python: Option<PythonCall>,
    /// Function that answers queries; without it there are no routes.
    pub(crate) rows: Option<RowsCall>,
    /// Called when a guest asks for an environment value.
    pub(crate) asked: Option<Box<dyn Fn() + Send + Sync>>,
    /// Clocks and chance; without it those of the machine.
    pub(crate) ambient: Option<StandingStill>,
}

/// Clocks that stand still, and chance that always says the same.
#[derive(Clone, Copy)]
pub(crate) struct StandingStill;

impl Ambient for StandingStill {
    fn wall(&self) -> Duration {
        Duration::new(1_700_000_000, 5)
    }
    fn monotonic(&self) -> Duration {
        Duration::from_secs(60)
    }
    fn random(&self) -> u64 {
        7
    }
    fn sleep(&self, _: Duration) {}
}

pub(crate) type RowsCall = Box<dyn Fn(&RowQuery<'_>) -> Value + Send + Sync>;

pub(crate) type PythonCall = Box<dyn Fn(&str, &[Value]) -> Called + Send + Sync>;

impl Services for Broker {
    fn topic_value(&self, _run: &RunContext, topic: &str, value: &mut Vec<u8>) -> bool {
        self.topics.lock().get(topic).is_some_and(|found| {
            value.extend_from_slice(found);
            true
        })
    }
    fn may_read(&self, _run: &RunContext, _topic: &str) -> bool {
        true
    }
    fn retained_exists(&self, _run: &RunContext, _topic: &str) -> bool {
        false
    }
    fn environment(&self, _run: &RunContext, name: &str) -> Option<String> {
        if let Some(asked) = &self.asked {
            asked();
        }
        Some(format!("value of {name}"))
    }
    fn set_environment(&self, _run: &RunContext, _name: &str, _value: Option<&str>) -> bool {
        true
    }
    fn secret(&self, _run: &RunContext, name: &str) -> Option<String> {
        Some(format!("secret {name}"))
    }
    fn set_secret(&self, _run: &RunContext, _name: &str, _value: Option<&str>) -> bool {
        true
    }
    fn state(&self, _run: &RunContext, key: &str) -> Option<Vec<u8>> {
        self.state.lock().get(key).cloned()
    }
    fn set_state(&self, _run: &RunContext, key: &str, value: Option<&[u8]>) -> Result<(), StateRefused> {
        let mut state = self.state.lock();
        match value {
            Some(_) if state.len() >= 2 && !state.contains_key(key) => return Err(StateRefused::Full),
            Some(value) => drop(state.insert(key.to_owned(), value.to_vec())),
            None => drop(state.remove(key)),
        }
        Ok(())
    }
    fn state_keys(&self, _run: &RunContext) -> Vec<String> {
        self.state.lock().keys().cloned().collect()
    }
    fn call_action(
        &self,
        call: NestedCall<'_>,
        name: &str,
        inputs: &[Argument],
    ) -> Result<Vec<Value>, RunError> {
        let mut deepest = self.deepest.lock();
        *deepest = call.run.depth.max(*deepest);
        drop(deepest);
        let callee = self.callees.lock().get(name).cloned();
        let callee = callee.ok_or_else(|| RunError::new("CALL_UNKNOWN", format!("no action '{name}'")))?;
        callee.call_nested(call, inputs)
    }
    fn call_module(
        &self,
        _: NestedCall<'_>,
        name: &str,
        inputs: &[Argument],
    ) -> Result<Vec<Value>, RunError> {
        let inputs: Vec<String> =
            inputs.iter().map(|input| format!("{}={:?}", input.name, input.value)).collect();
        Ok(vec![Value::Text(format!("{name}({})", inputs.join(", ")))])
    }
    fn call_python(&self, _run: &RunContext, function: &str, arguments: &[Value]) -> Called {
        away(RunWait::Script, || {
            self.python.as_ref().map_or_else(|| Called::unknown(function), |call| call(function, arguments))
        })
    }
    fn select_rows(&self, _run: &RunContext, query: &RowQuery<'_>) -> Result<Value, RowsError> {
        away(RunWait::Route, || {
            self.rows.as_ref().map_or_else(|| Err(RowsError::unknown(query.route)), |ask| Ok(ask(query)))
        })
    }
    fn ambient(&self) -> &dyn Ambient {
        self.ambient.as_ref().map_or(Machine::here(), |ambient| ambient)
    }
    fn monotonic_ms(&self) -> u64 {
        500
    }
    fn now_ms(&self) -> i64 {
        1_000
    }
}

/// Record of a sink about one run.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) definition: GuestId,
    pub(crate) tag: u64,
    pub(crate) outcome: RunOutcome,
    pub(crate) published: Vec<(String, Vec<u8>)>,
}

pub(crate) struct Collector(pub(crate) Sender<Seen>);

impl Sink for Collector {
    fn run_finished(&mut self, run: FinishedRun<'_>, output: &RunOutput) {
        let seen = Seen {
            definition: run.runner.id(),
            tag: run.tag,
            outcome: run.outcome.clone(),
            published: published(output),
        };
        self.0.send(seen).ok();
    }
    fn start_failed(&mut self, runner: &Arc<Runner>, trap: &Trap) {
        let seen = Seen {
            definition: runner.id(),
            tag: u64::MAX,
            outcome: RunOutcome::Trapped(trap.clone()),
            published: Vec::new(),
        };
        self.0.send(seen).ok();
    }
    fn turn_finished(&mut self) {}
}

pub(crate) fn published(output: &RunOutput) -> Vec<(String, Vec<u8>)> {
    output
        .effects()
        .filter_map(|(_, effect)| match effect {
            Effect::Publish { topic, payload, .. } => Some((topic.to_owned(), payload.to_vec())),
            _ => None,
        })
        .collect()
}

/// An executor with so many threads, and what its sinks saw.
pub(crate) fn executor(threads: usize) -> (lotmq_host::Executor, Receiver<Seen>) {
    executor_with(lotmq_host::ExecutorOptions { threads, ..lotmq_host::ExecutorOptions::default() })
}

/// An executor with these options, and what its sinks saw.
pub(crate) fn executor_with(options: lotmq_host::ExecutorOptions) -> (lotmq_host::Executor, Receiver<Seen>) {
    let (sender, receiver) = mpsc::channel();
    let executor =
        lotmq_host::Executor::start(options, move |_| Box::new(Collector(sender.clone()))).unwrap();
    (executor, receiver)
}

/// Waits until each of so many threads without work has woken by itself, and thereby shown that it
/// could do some.
pub(crate) fn until_all_have_woken(pulses: &Pulses, threads: usize) {
    // Beyond the waits that they tell now, and what a thread may be late.
    let beyond = || Instant::now() + BEAT_PERIOD + WAKING_LATENESS_MAX + Duration::from_secs(1);
    let mut at = beyond();
    while pulses.silent(at).len() != threads {
        std::thread::yield_now();
        at = beyond();
    }
    while !pulses.silent(at).is_empty() {
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub(crate) fn spec(id: u64, guest: Guest) -> RunnerSpec {
    RunnerSpec {
        id: GuestId(id),
        name: format!("guest-{id}").into(),
        tenant: 0,
        guest,
        services: Arc::new(Broker::default()),
        grants: Arc::new(Grants::action()),
        limits: GuestLimits::default(),
        mailbox: MailboxOptions::default(),
        is_pure: false,
    }
}

pub(crate) fn message<'a>(topic: &'a str, payload: &'a [u8]) -> Event<'a> {
    Event::Message(BorrowedMessage { client_id: "c1", ..BorrowedMessage::new(topic, payload) })
}

pub(crate) fn owned(topic: &str, payload: &[u8]) -> OwnedEvent {
    let message = OwnedMessage::new(topic, payload.to_vec());
    OwnedEvent::Message(Arc::new(OwnedMessage { client_id: "c1".into(), ..message }))
}

/// Runs a guest once with all grants of an Action.
pub(crate) fn run_once(text: Text<'_>, event: &Event<'_>) -> (RunOutcome, RunOutput) {
    let mut output = RunOutput::new();
    let services: Arc<dyn Services> = Arc::new(Broker::default());
    let mut instance =
        text.guest().instance(services, Arc::new(Grants::action()), GuestLimits::default()).unwrap();
    let outcome = instance.run(event, RunContext::new(GuestId(1)), &mut output);
    (outcome, output)
}
