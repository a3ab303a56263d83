//! The engine: its cache, its pool in a small address space, idle instances, and what a call may
//! cost.

use crate::support::{
    Broker, PUBLISH_PAYLOAD, Text, engine, executor, message, owned, published, spec, wrapped,
};
use lotmq_host::{
    Argument, CodeAccount, CodeBound, Compiler, ComponentSource, Effect, Engine, EngineOptions, Event,
    Grants, Guest, GuestId, GuestLimits, Inline, InlineRuns, LoadError, LogLevel, MetricChange, PoolKind,
    RunContext, RunOutcome, RunOutput, Tier, Value, World,
};
use std::{
    borrow::Cow,
    fs,
    os::unix::fs::MetadataExt as _,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

const GOOD: Text<'_> = Text { on_message: PUBLISH_PAYLOAD, more: "", on_event: "", call: "" };

/// A small engine, so that several of them fit into one test process.
fn small(options: EngineOptions) -> Engine {
    let address_space_bytes = Some(16 << 30);
    Engine::new(&EngineOptions { instances_max: 16, address_space_bytes, ..options }).unwrap()
}

#[test]
fn compiled_code_is_found_again_and_never_trusted_when_changed() {
    let dir = tempfile::tempdir().unwrap();
    let cached =
        || small(EngineOptions { cache_dir: Some(dir.path().to_owned()), ..EngineOptions::default() });
    let good = GOOD.component();
    let load = |engine: &Engine| engine.compile(&good, World::Action, ComponentSource::Upload).unwrap();
    let first = cached();
    load(&first);
    assert_eq!(first.cache_counts(), (0, 1));
    load(&first);
    let second = cached();
    load(&second);
    assert_eq!((first.cache_counts(), second.cache_counts()), ((1, 1), (1, 0)));

    let native = |dir: &tempfile::TempDir| {
        fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| path.extension().is_some_and(|extension| extension == "native"))
            .unwrap()
    };
    let path = native(&dir);
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let third = cached();
    load(&third);
    assert_eq!(third.cache_counts(), (0, 1), "changed code must be compiled anew");

    fs::write(dir.path().join(lotmq_host::CACHE_KEY_FILE), [7; 32]).unwrap();
    let fourth = cached();
    load(&fourth);
    assert_eq!(fourth.cache_counts(), (0, 1), "code of another machine must be compiled anew");
}

/// Baseline code runs in the same engine, stays out of the cache, and makes way for optimised code.
#[test]
fn baseline_code_runs_and_only_optimised_code_is_cached() {
    let dir = tempfile::tempdir().unwrap();
    let engine = small(EngineOptions { cache_dir: Some(dir.path().to_owned()), ..EngineOptions::default() });
    let good = GOOD.component();
    let compile = |tier| {
        let compiler = Compiler { tier, ..Compiler::from(&engine) };
        compiler.compile(&good, World::Action, ComponentSource::Upload).unwrap()
    };
    let baseline = compile(Tier::Baseline);
    runs(&baseline);
    assert!(!engine.is_cached(&good));
    compile(Tier::Optimised);
    assert!(engine.is_cached(&good));
    runs(&compile(Tier::Baseline));
    assert_eq!(engine.cache_counts(), (1, 2), "the cache has better code than was asked for");
}

/// Compiles for this payer.
fn compile_for(engine: &Engine, payer: u64, binary: &[u8], tier: Tier) -> Result<Guest, LoadError> {
    let engine = engine.for_account(CodeAccount { payer, bound: CodeBound::Share });
    Compiler { tier, ..Compiler::from(&engine) }.compile(binary, World::Action, ComponentSource::Upload)
}

#[test]
fn equal_code_is_loaded_once_and_counts_once_for_each_owner() {
    let engine = small(EngineOptions::default());
    let different = Text { more: "(func $unused)", ..GOOD }.component();
    let (good, different) = (GOOD.component(), different);
    let load = |payer, binary: &[u8], tier| compile_for(&engine, payer, binary, tier).unwrap();
    let used = || (engine.code_memory().used, engine.code_mappings().used);
    let first = load(1, &good, Tier::Optimised);
    let (bytes, mappings) = used();
    assert!(bytes > 4_096 && mappings > 0, "{bytes} bytes, {mappings} mappings");
    let further = [load(1, &good, Tier::Optimised), load(1, &good, Tier::Baseline)];
    assert_eq!(used(), (bytes, mappings), "the optimised code serves both");
    let of_other = load(2, &good, Tier::Optimised);
    assert_eq!(used(), (2 * bytes, 2 * mappings));
    further.iter().chain([&of_other]).for_each(runs);
    drop(load(1, &different, Tier::Optimised));
    drop(first);
    assert_eq!(used(), (2 * bytes, 2 * mappings), "one guest is left of each owner");
    drop((further, of_other));
    assert_eq!(used(), (0, 0));
    runs(&load(1, &good, Tier::Optimised));
}

#[test]
fn code_without_memory_for_it_is_refused_with_the_figures() {
    let cache = tempfile::tempdir().unwrap();
    let cache_dir = Some(cache.path().to_owned());
    let with = |code_bytes_max| {
        small(EngineOptions { cache_dir: cache_dir.clone(), code_bytes_max, ..EngineOptions::default() })
    };
    let good = GOOD.component();
    let engine = with(u64::MAX);
    let guest = compile_for(&engine, 1, &good, Tier::Optimised).unwrap();
    let bytes = engine.code_memory().used;
    drop(guest);
    // Three quarters are one byte less than the code needs.
    let engine = with((bytes - 1) / 3 * 4);
    let max = engine.code_memory().max / 4 * 3;
    let refused = compile_for(&engine, 1, &good, Tier::Optimised).unwrap_err();
    assert_eq!(refused, LoadError::NoCodeMemory { needed: bytes, used: 0, max, is_of_owner: true });
    assert_eq!((refused.code(), engine.code_memory().used), ("QUOTA_EXCEEDED", 0));
    assert!(refused.to_string().contains("raise limits.code_memory"), "{refused}");
    assert_eq!(engine.code_mappings().used, 0);
    runs(&Engine::compile(&engine, &good, World::Action, ComponentSource::Upload).unwrap());
}

#[test]
fn the_key_of_the_cache_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    small(EngineOptions { cache_dir: Some(dir.path().to_owned()), ..EngineOptions::default() });
    let key = fs::metadata(dir.path().join(lotmq_host::CACHE_KEY_FILE)).unwrap();
    assert_eq!((key.permissions().mode() & 0o777, key.len()), (0o600, 32));
}

/// Runs one message through an engine of its own.
fn works(engine: &Engine) {
    runs(&engine.compile(&GOOD.component(), World::Action, ComponentSource::Upload).unwrap());
}

fn runs(guest: &Guest) {
    let services = Arc::new(Broker::default());
    let mut instance = guest.instance(services, Arc::new(Grants::action()), GuestLimits::default()).unwrap();
    let mut output = RunOutput::new();
    instance.run(&message("in", b"1"), RunContext::new(GuestId(1)), &mut output);
    assert_eq!(published(&output).len(), 1);
}

/// Only does something when it was started by [`the_pool_fits_a_small_address_space`].
#[test]
fn child_in_a_small_address_space() {
    if std::env::var_os("LOTMQ_TEST_SMALL_ADDRESS_SPACE").is_none() {
        return;
    }
    let engine = Engine::new(&EngineOptions::default()).unwrap();
    assert_eq!(engine.pool().kind, PoolKind::Dense);
    works(&engine);
}

#[test]
fn the_pool_fits_a_small_address_space() {
    for kib in [2_000_000, 8_000_000, 500_000_000] {
        let own = std::env::current_exe().unwrap();
        let script = format!(
            "ulimit -v {kib} && exec '{}' --exact engine::child_in_a_small_address_space",
            own.display()
        );
        let child = Command::new("sh")
            .args(["-c", &script])
            .env("LOTMQ_TEST_SMALL_ADDRESS_SPACE", "1")
            .output()
            .unwrap();
        let text =
            String::from_utf8_lossy(&child.stdout).into_owned() + &String::from_utf8_lossy(&child.stderr);
        assert!(child.status.success() && text.contains("1 passed"), "{kib} KiB: {text}");
    }
}

/// Core modules and shells are shared. A process without a cache directory finds their native code
/// in that of its user. Uploads are not there.
#[test]
fn parts_of_the_engine_are_shared_and_uploads_are_not() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("lotmq");
    let native = |dir: &std::path::Path| -> Vec<_> {
        let files = fs::read_dir(dir).into_iter().flatten().map(|entry| entry.unwrap().path());
        let native = files.filter(|path| path.extension().is_some_and(|extension| extension == "native"));
        native.map(|path| (path.metadata().unwrap().ino(), path)).collect()
    };
    let part = wat::parse_str("(module (func (export \"f\")))").unwrap();
    let options = || EngineOptions {
        shared_cache_dir: Some(dir.clone()),
        core_modules: vec![("part".to_owned(), part.clone().into())],
        ..EngineOptions::default()
    };
    let engine = small(options());
    let made = native(&dir);
    assert_eq!(made.len(), 1);
    engine.compile(&GOOD.component(), World::Action, ComponentSource::Upload).unwrap();
    small(options());
    assert_eq!(native(&dir), made, "it was found, and nothing else was written");
    // A process with its own directory does not use the shared one.
    let own = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    small(EngineOptions {
        cache_dir: Some(own.path().to_owned()),
        shared_cache_dir: Some(other.path().join("lotmq")),
        ..options()
    });
    assert_eq!((native(own.path()).len(), native(other.path()).len()), (1, 0));
}

#[test]
fn an_address_space_without_room_is_said_clearly() {
    let options = EngineOptions { address_space_bytes: Some(100 << 20), ..EngineOptions::default() };
    let text = Engine::new(&options).unwrap_err().to_string();
    assert!(text.starts_with("no room for guests: the process may use 104857600 bytes"), "{text}");
}

#[test]
fn an_exhausted_pool_takes_instances_from_the_idle_ones() {
    let engine = small(EngineOptions::default());
    let slots = u64::from(engine.pool().instances_max);
    let guest = engine.compile(&GOOD.component(), World::Action, ComponentSource::Upload).unwrap();
    let (executor, seen) = executor(1);
    for id in 0..3 * slots {
        let runner = executor.add(spec(id, guest.clone()));
        runner.post(owned("in", b"x"), 0, id).unwrap();
        std::mem::forget(runner);
    }
    for _ in 0..3 * slots {
        let run = seen.recv_timeout(Duration::from_secs(60)).unwrap();
        assert_eq!(run.published.len(), 1, "{run:?}");
    }
}

#[test]
fn idle_definitions_lose_their_instances() {
    let (executor, seen) = executor(1);
    let runners: Vec<_> = (0..50).map(|id| executor.add(spec(id, GOOD.guest()))).collect();
    for runner in &runners {
        runner.post(owned("in", b"x"), 0, 0).unwrap();
        seen.recv_timeout(Duration::from_secs(30)).unwrap();
    }
    assert!(executor.warm_definitions() > 0);
    let began = Instant::now();
    while executor.warm_definitions() > 0 {
        assert!(began.elapsed() < Duration::from_secs(60), "instances are kept");
        std::thread::sleep(Duration::from_millis(50));
    }
    runners[0].post(owned("in", b"y"), 0, 0).unwrap();
    assert_eq!(seen.recv_timeout(Duration::from_secs(30)).unwrap().published.len(), 1);
}

#[test]
fn a_core_module_of_the_engine_serves_our_own_components_only() {
    let rt = wat::parse_str(r#"(module (func (export "f")))"#).unwrap();
    let core_modules = vec![("rt".to_owned(), Cow::Owned(rt))];
    let engine = small(EngineOptions { core_modules, ..EngineOptions::default() });
    // A self-contained component, with the import that the compiler adds in its linked form.
    let linked = wat::parse_str(
        r#"(component
            (import "rt" (core module $rt (export "f" (func))))
            (core instance $i (instantiate $rt))
            (instance $handler)
            (export "lotmq:guest/action-handler@0.2.0" (instance $handler)))"#,
    )
    .unwrap();
    let upload = engine.compile(&linked, World::Action, ComponentSource::Upload).unwrap_err();
    assert_eq!(upload.code(), "LINKED_COMPONENT");
    // Its empty handler is what is refused now, not the import.
    let own = engine.compile(&linked, World::Action, ComponentSource::Compiler).unwrap_err();
    assert_eq!(own.code(), "WORLD_MISMATCH");
    assert!(own.to_string().contains("on-message"), "{own}");
}

#[test]
fn an_inline_run_that_takes_too_long_is_given_up_without_a_trace() {
    let (executor, _seen) = executor(1);
    let on_message = format!("{PUBLISH_PAYLOAD} (loop $again (br $again))");
    let guest = Text { on_message: &on_message, ..Text::default() }.guest();
    let slow = executor.add(spec(1, guest));
    let mut output = RunOutput::new();
    let mut runs = InlineRuns::default();
    assert_eq!(runs.run(&slow, &message("in", b"x"), 0, &mut output), Inline::Post);
    assert!(output.is_empty());
    assert_eq!((slow.metrics().slices_expired, slow.metrics().runs), (1, 0));
    let quick = executor.add(spec(2, GOOD.guest()));
    let outcome = runs.run(&quick, &message("in", b"x"), 0, &mut output);
    assert_eq!(outcome, Inline::Finished(RunOutcome::Done(Vec::new())));
    assert_eq!(published(&output).len(), 1);
}

#[test]
fn the_example_of_the_sdk_runs() {
    let guest = engine()
        .compile(&wrapped("sdk/examples/action-scale"), World::Action, ComponentSource::Upload)
        .unwrap();
    let services = Arc::new(Broker::default());
    let grants = Grants { environment: lotmq_host::ValueGrant::default(), ..Grants::action() };
    let mut instance = guest.instance(services.clone(), Arc::new(grants), GuestLimits::default()).unwrap();
    let mut output = RunOutput::new();
    let run = RunContext::new(GuestId(1));
    assert_eq!(instance.run(&message("raw/t1", b"215"), run, &mut output), RunOutcome::Done(Vec::new()));
    assert_eq!(published(&output), [("scaled/t1".to_owned(), b"21.5".to_vec())]);
    let metrics: Vec<_> = output.effects().map(|(_, effect)| effect).take(2).collect();
    assert_eq!(
        metrics,
        [
            Effect::Metric { name: "readings", change: MetricChange::Add(1) },
            Effect::Metric { name: "last", change: MetricChange::Set(21.5) },
        ]
    );
    let RunOutcome::Failed(error) = instance.run(&message("raw/t1", b"warm"), run, &mut output) else {
        panic!("must fail");
    };
    assert_eq!(error.code, "NOT_A_NUMBER");
    let text = "1 readings could not be read so far";
    let logged: Vec<_> = output.effects().map(|(_, effect)| effect).collect();
    assert_eq!(logged, [Effect::Log { level: LogLevel::Warn, text }]);
    assert_eq!(services.state.lock()["unreadable"], 1_u64.to_le_bytes());
    let inputs = [Argument { name: "raw".into(), value: Value::Integer(30) }];
    let outcome = instance.run(&Event::Call { inputs: &inputs, trigger: None }, run, &mut output);
    assert_eq!(outcome, RunOutcome::Done(vec![Value::Double(3.0)]));
    let configured = Grants { config: Some("2".into()), ..Grants::action() };
    let mut instance = guest.instance(services, Arc::new(configured), GuestLimits::default()).unwrap();
    instance.run(&message("raw/t1", b"4"), run, &mut output);
    assert_eq!(published(&output), [("scaled/t1".to_owned(), b"8".to_vec())]);
}

/// The figure to guard is a ratio of two things measured in one run: 7 to 12 in the dev profile,
/// whose host code is not optimised. The bound is generous, for machines with other load: it finds
/// a call that has become several times dearer, not one that has become twice as dear.
#[test]
fn a_call_costs_no_more_than_so_many_loops() {
    const RUNS: u32 = 20_000;
    let guest = GOOD.guest();
    let services = Arc::new(Broker::default());
    let mut instance = guest.instance(services, Arc::new(Grants::action()), GuestLimits::default()).unwrap();
    let mut output = RunOutput::new();
    let event = message("in", b"0123456789abcdef");
    let run = RunContext::new(GuestId(1));
    let best = |work: &mut dyn FnMut()| {
        (0..7)
            .map(|_| {
                let began = Instant::now();
                work();
                began.elapsed()
            })
            .min()
            .unwrap()
    };
    let calls = best(&mut || {
        for _ in 0..RUNS {
            instance.run(&event, run, &mut output);
        }
    });
    let mut state = 1_u64;
    let native = best(&mut || {
        for _ in 0..RUNS * 100 {
            state = std::hint::black_box(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        }
    });
    let ratio = calls.as_nanos() / native.as_nanos().max(1);
    println!("{:?} per run, {ratio} times 100 steps of a native loop", calls / RUNS);
    assert!(ratio < 30, "a run costs {ratio} times 100 steps of a native loop");
}
