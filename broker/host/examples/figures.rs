//! Figures of the host alone, on this machine: `cargo run --release -p lotmq-host --example figures`.
//!
//! Runs per second of a small action (match is the server's; run and one publish are here), inline and through the executor; time to
//! compile, to fetch from the cache, to instantiate; memory per loaded action. Best of several; other load on the machine shows.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a program for people")]

use lotmq_host::{
    Argument, DefinitionId, DefinitionSpec, Engine, EngineOptions, Event, Executor, ExecutorOptions,
    FinishedRun, Grants, Guest, GuestLimits, Inline, MailboxOptions, Message, NestedCall, Origin, OwnedEvent,
    OwnedMessage, Qos, RunContext, RunError, RunOutput, Services, Sink, Trap, Value, World,
};
use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

/// The smallest useful action, as a compiler would make it: publishes its payload to a fixed topic; one allocator that is reset per run.
const ACTION: &str = r#"(module
  (import "lotmq:guest/messages@0.1.0" "publish" (func $publish (param i32 i32 i32 i32 i32 i32 i32)))
  (memory (export "memory") 1)
  (global $heap (mut i32) (i32.const 8192))
  (data (i32.const 64) "out/topic")
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
    (global.set $heap (i32.add (local.get $at) (local.get 3)))
    (local.get $at))
  (func (export "lotmq:guest/action-handler@0.1.0#on-message")
    (param $topic i32) (param i32) (param $payload i32) (param $payload_len i32) (param i32 i32 i32 i32) (result i32)
    (call $publish (i32.const 64) (i32.const 9) (local.get $payload) (local.get $payload_len)
        (i32.const 0) (i32.const 0) (i32.const 32))
    (global.set $heap (i32.const 8192))
    (i32.const 16))
  (func (export "lotmq:guest/action-handler@0.1.0#on-event")
    (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) (i32.const 16))
  (func (export "lotmq:guest/action-handler@0.1.0#call")
    (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) unreachable))"#;

struct Nobody;

impl Services for Nobody {
    fn topic_value(&self, _: &RunContext, _: &str, _: &mut Vec<u8>) -> bool {
        false
    }
    fn retained_exists(&self, _: &RunContext, _: &str) -> bool {
        false
    }
    fn environment(&self, _: &RunContext, _: &str) -> Option<String> {
        None
    }
    fn set_environment(&self, _: &RunContext, _: &str, _: Option<&str>) -> bool {
        false
    }
    fn secret(&self, _: &RunContext, _: &str) -> Option<String> {
        None
    }
    fn set_secret(&self, _: &RunContext, _: &str, _: Option<&str>) -> bool {
        false
    }
    fn call_action(&self, _: NestedCall<'_>, _: &str, _: &[Argument]) -> Result<Vec<Value>, RunError> {
        Ok(Vec::new())
    }
    fn now_ms(&self) -> i64 {
        0
    }
}

struct Counter(Arc<AtomicU64>);

impl Sink for Counter {
    fn run_finished(&mut self, _: FinishedRun<'_>, output: &RunOutput) {
        self.0.fetch_add(output.effects().count() as u64, Ordering::Relaxed);
    }
    fn start_failed(&mut self, _: &Arc<lotmq_host::Definition>, trap: &Trap) {
        println!("does not start: {trap}");
    }
    fn turn_finished(&mut self) {}
}

fn main() {
    let component = component(ACTION);
    println!("component {} bytes", component.len());
    let dir = tempfile::tempdir().unwrap();
    let options = EngineOptions { cache_dir: Some(dir.path().to_owned()), ..EngineOptions::default() };
    let engine = Engine::new(&options).unwrap();
    println!("{:?}", engine.pool());
    let guest = compile_times(&engine, &component);
    instantiate(&guest);
    let executor_options = ExecutorOptions { instance_idle: Duration::from_millis(200), threads: 1 };
    let runs = Arc::new(AtomicU64::new(0));
    let executor = Executor::start(executor_options, |_| Box::new(Counter(runs.clone()))).unwrap();
    instance_runs(&guest);
    inline_runs(&executor, &guest);
    executor_runs(&executor, &guest, &runs);
    let native =
        fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).max();
    println!("native code with its tables {} bytes", native.unwrap());
    memory(&engine, &executor, &runs);
}

fn best(rounds: usize, mut work: impl FnMut()) -> Duration {
    (0..rounds)
        .map(|_| {
            let began = Instant::now();
            work();
            began.elapsed()
        })
        .min()
        .unwrap()
}

fn compile_times(engine: &Engine, component: &[u8]) -> Guest {
    let mut number = 0_u32;
    let compile = best(5, || {
        number += 1;
        engine.compile(&variant(component, number), World::Action, Origin::Compiler).unwrap();
    });
    let fetch = best(20, || {
        engine.compile(&variant(component, 1), World::Action, Origin::Compiler).unwrap();
    });
    println!("compile {compile:?}, from the cache {fetch:?}");
    engine.compile(component, World::Action, Origin::Compiler).unwrap()
}

fn instantiate(guest: &Guest) {
    const COUNT: u32 = 1000;
    let (services, grants): (Arc<dyn Services>, _) = (Arc::new(Nobody), Arc::new(Grants::action()));
    let time = best(5, || {
        for _ in 0..COUNT {
            guest.instance(services.clone(), grants.clone(), GuestLimits::default()).unwrap();
        }
    });
    println!("instantiate and drop {:?}", time / COUNT);
}

fn event(payload: &[u8]) -> Event<'_> {
    Event::Message(Message {
        topic: "in/topic",
        payload,
        qos: Qos::AtMostOnce,
        retain: false,
        client_id: "c",
    })
}

fn instance_runs(guest: &Guest) {
    const RUNS: u32 = 200_000;
    let grants = Arc::new(Grants::action());
    let mut instance = guest.instance(Arc::new(Nobody), grants, GuestLimits::default()).unwrap();
    let mut output = RunOutput::new();
    for bytes in [16, 256, 4096] {
        let payload = vec![7; bytes];
        let time = best(5, || {
            for _ in 0..RUNS {
                instance.run(&event(&payload), RunContext::new(DefinitionId(1)), &mut output);
            }
        });
        println!("run with one publish, {bytes} B: {:?} ({:.0}/s)", time / RUNS, per_second(RUNS, time));
    }
}

fn inline_runs(executor: &Executor, guest: &Guest) {
    const RUNS: u32 = 200_000;
    let definition = executor.add(spec(1, guest.clone()));
    let mut output = RunOutput::new();
    let mut given_up = 0;
    let time = best(5, || {
        for _ in 0..RUNS {
            let ran = definition.run_inline(&event(b"0123456789abcdef"), 0, &mut output);
            given_up += u32::from(ran == Inline::Post);
        }
    });
    println!("inline run: {:?} ({:.0}/s), {given_up} given up", time / RUNS, per_second(RUNS, time));
}

fn executor_runs(executor: &Executor, guest: &Guest, runs: &AtomicU64) {
    const RUNS: u32 = 10_000;
    let definition = executor.add(spec(2, guest.clone()));
    let message = posted();
    let time = best(10, || {
        let until = runs.load(Ordering::Relaxed) + u64::from(RUNS);
        for _ in 0..RUNS {
            definition.post(message.clone(), 0, 0).unwrap();
        }
        while runs.load(Ordering::Relaxed) < until {
            thread::yield_now();
        }
    });
    println!("posted run, one executor thread: {:?} ({:.0}/s)", time / RUNS, per_second(RUNS, time));
    println!("  {:?}", definition.metrics());
}

/// Loads a thousand different actions, runs each once, waits until their instances are gone.
fn memory(engine: &Engine, executor: &Executor, runs: &AtomicU64) {
    const COUNT: u32 = 1000;
    let component = component(ACTION);
    // As after a restart: the code comes from the cache, the compiler's own memory does not count.
    for number in 0..COUNT {
        engine.compile(&variant(&component, 1_000 + number), World::Action, Origin::Compiler).unwrap();
    }
    let before = resident_kib();
    let definitions: Vec<_> = (0..COUNT)
        .map(|number| {
            let bytes = variant(&component, 1_000 + number);
            let guest = engine.compile(&bytes, World::Action, Origin::Compiler).unwrap();
            executor.add(spec(u64::from(number), guest))
        })
        .collect();
    let loaded = resident_kib();
    let until = runs.load(Ordering::Relaxed) + u64::from(COUNT);
    for definition in &definitions {
        definition.post(posted(), 0, 0).unwrap();
    }
    while runs.load(Ordering::Relaxed) < until || executor.warm_definitions() > 0 {
        thread::sleep(Duration::from_millis(20));
    }
    let idle = resident_kib();
    println!(
        "{COUNT} actions: {:.1} KiB each when loaded, {:.1} KiB each when run once and idle",
        f64::from(loaded - before) / f64::from(COUNT),
        f64::from(idle - before) / f64::from(COUNT)
    );
}

fn spec(id: u64, guest: Guest) -> DefinitionSpec {
    DefinitionSpec {
        id: DefinitionId(id),
        tenant: 0,
        guest,
        services: Arc::new(Nobody),
        grants: Arc::new(Grants::action()),
        limits: GuestLimits::default(),
        mailbox: MailboxOptions::default(),
        after_traps: lotmq_host::AfterTraps::Restart,
    }
}

fn posted() -> OwnedEvent {
    OwnedEvent::Message(Arc::new(OwnedMessage {
        topic: "in/topic".into(),
        payload: b"0123456789abcdef".to_vec().into(),
        qos: Qos::AtMostOnce,
        retain: false,
        client_id: "c".into(),
    }))
}

fn per_second(count: u32, time: Duration) -> f64 {
    f64::from(count) / time.as_secs_f64()
}

fn component(text: &str) -> Vec<u8> {
    let mut core = wat::parse_str(text).unwrap();
    let mut resolve = wit_parser::Resolve::default();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit/guest");
    let (package, _) = resolve.push_dir(&folder).unwrap();
    let world = resolve.select_world(&[package], Some("action")).unwrap();
    embed_component_metadata(&mut core, &resolve, world, StringEncoding::UTF8, false).unwrap();
    ComponentEncoder::default().module(&core).unwrap().encode().unwrap()
}

/// The same component with another custom section at its end: other bytes, so that nothing is shared.
fn variant(component: &[u8], number: u32) -> Vec<u8> {
    let mut bytes = component.to_vec();
    bytes.extend_from_slice(&[0, 6, 1, b'n']);
    bytes.extend_from_slice(&number.to_le_bytes());
    bytes
}

fn resident_kib() -> i32 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
