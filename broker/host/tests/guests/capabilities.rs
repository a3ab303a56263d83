//! A guest gets what it was granted, and a component that asks for more is not loaded.

use crate::support::{
    Broker, PUBLISH_PAYLOAD, StandingStill, Text, engine, message, published, run_once, wrap_with,
};
use lotmq_host::{
    ComponentSource, Effect, Grants, GuestId, GuestLimits, LoadError, NameGrant, RunContext, RunOutcome,
    RunOutput, Severity, TopicGrant, ValueGrant, World, limits::FUNCTION_BYTES_MAX,
};
use std::sync::Arc;

/// Runs the guest with these grants and says how many messages it published.
fn published_with(grants: Grants, on_message: &str) -> usize {
    let broker = Broker::default();
    broker.topics.lock().insert("out".into(), b"live".to_vec());
    let guest = Text { on_message, ..Text::default() }.guest();
    let mut instance = guest.instance(Arc::new(broker), Arc::new(grants), GuestLimits::default()).unwrap();
    let mut output = RunOutput::new();
    let outcome = instance.run(&message("in", b"x"), RunContext::new(GuestId(1)), &mut output);
    assert_eq!(outcome, RunOutcome::Done(Vec::new()));
    published(&output).len()
}

/// Publishes when the `option` or `result` at 32 begins with this number.
fn publish_if_found(call: &str, discriminant: u8) -> String {
    format!(
        "{call} (if (i32.eq (i32.load8_u (i32.const 32)) (i32.const {discriminant})) (then {PUBLISH_PAYLOAD}))"
    )
}

#[test]
fn every_host_function_checks_its_grant() {
    let out = || TopicGrant::Filters(Box::new(["out".into()]));
    let write_only = || Grants { write: out(), ..Grants::default() };
    let read = publish_if_found("(call $get (i32.const 64) (i32.const 3) (i32.const 32))", 1);
    let env = publish_if_found("(call $env (i32.const 80) (i32.const 6) (i32.const 32))", 1);
    let secret = publish_if_found("(call $secret (i32.const 80) (i32.const 6) (i32.const 32))", 1);
    let callee = || NameGrant::Names(Box::new(["callee".into()]));
    let reads = || ValueGrant { read: callee(), write: NameGrant::None };
    let writes = || ValueGrant { read: NameGrant::None, write: NameGrant::All };
    for (name, on_message, grants, expected) in [
        ("write", PUBLISH_PAYLOAD, Grants::default(), 0),
        ("write", PUBLISH_PAYLOAD, write_only(), 1),
        ("write", PUBLISH_PAYLOAD, Grants { write: TopicGrant::NotSystem, ..Grants::default() }, 1),
        ("read", &read, write_only(), 0),
        ("read", &read, Grants { read: out(), ..write_only() }, 1),
        ("environment", &env, write_only(), 0),
        ("environment", &env, Grants { environment: reads(), ..write_only() }, 1),
        ("environment", &env, Grants { environment: writes(), ..write_only() }, 0),
        ("secret", &secret, Grants { environment: ValueGrant::all(), ..write_only() }, 0),
        ("secret", &secret, Grants { secrets: reads(), ..write_only() }, 1),
        ("secret", &secret, Grants { secrets: writes(), ..write_only() }, 0),
    ] {
        assert_eq!(published_with(grants.clone(), on_message), expected, "{name} {grants:?}");
    }
}

#[test]
fn scripts_modules_and_rows_need_their_grants() {
    for (statement, grants, refusal) in [
        (
            "CALL PYTHON \"S.f\" RETURN AS {r}",
            Grants { scripts: NameGrant::None, ..Grants::action() },
            "may not call 'S.f'",
        ),
        (
            "CALL MODULE \"m.f\" RETURN AS {r}",
            Grants { modules: NameGrant::None, ..Grants::action() },
            "may not call module 'm'",
        ),
        (
            "SET \"r\" WITH GET MODEL M FROM R",
            Grants { routes: NameGrant::None, ..Grants::action() },
            "may not ask route 'R'",
        ),
    ] {
        let source = format!(
            "DEFINE ACTION A\nON TOPIC \"in\" DO\n    {statement}\n    PUBLISH TOPIC \"out\" WITH {{r}}\n"
        );
        let options =
            lot_to_wasm::CompileOptions { form: lot_to_wasm::Form::Standalone, ..Default::default() };
        let [entity] = <[_; 1]>::try_from(lot_to_wasm::compile(&source, &options).entities).unwrap();
        let component = entity.output.unwrap().component;
        let guest = engine().compile(&component, World::Action, ComponentSource::Upload).unwrap();
        for (grants, is_granted) in [(grants, false), (Grants::action(), true)] {
            let mut instance = guest
                .instance(Arc::new(Broker::default()), Arc::new(grants), GuestLimits::default())
                .unwrap();
            let mut output = RunOutput::new();
            let run = RunContext::new(GuestId(1));
            let outcome = instance.run(&message("in", b"x"), run, &mut output);
            let told = match outcome {
                RunOutcome::Failed(error) => error.message,
                other => format!("{other:?}"),
            };
            assert_eq!(told.contains(refusal), !is_granted, "{told}");
            assert_eq!(published(&output).len(), usize::from(is_granted), "{statement}");
        }
    }
}

#[test]
fn system_topics_and_invalid_ones_are_refused() {
    let publish = |at: u32, len: u32| {
        PUBLISH_PAYLOAD
            .replace("(i32.const 64)", &format!("(i32.const {at})"))
            .replace("(i32.load (i32.const 60))", &format!("(i32.const {len})"))
    };
    for (name, at, len, discriminant) in [("$SYS/x", 96, 6, 1), ("a/+/b", 112, 5, 0), ("empty", 64, 0, 0)] {
        let on_message = format!(
            "{} (if (i32.ne (i32.load16_u (i32.const 32)) (i32.const {})) (then unreachable))",
            publish(at, len),
            1 + 256 * discriminant,
        );
        assert_eq!(published_with(Grants::action(), &on_message), 0, "{name}");
    }
}

#[test]
fn a_read_sees_this_run_then_the_trigger_then_the_broker() {
    let read_and_publish = "(call $get (i32.const 64) (i32.const 3) (i32.const 32))
        (if (i32.load8_u (i32.const 32)) (then (call $publish (i32.const 80) (i32.const 6)
            (i32.load (i32.const 36)) (i32.load (i32.const 40)) (i32.const 0) (i32.const 0) (i32.const 48))))";
    let last = |on_message: &str, topic: &str| {
        let broker = Broker::default();
        broker.topics.lock().insert("out".into(), b"live".to_vec());
        let guest = Text { on_message, ..Text::default() }.guest();
        let mut instance =
            guest.instance(Arc::new(broker), Arc::new(Grants::action()), GuestLimits::default()).unwrap();
        let mut output = RunOutput::new();
        instance.run(&message(topic, b"trigger"), RunContext::new(GuestId(1)), &mut output);
        published(&output).pop().map(|(_, payload)| String::from_utf8(payload).unwrap())
    };
    assert_eq!(last(read_and_publish, "in").as_deref(), Some("live"));
    assert_eq!(last(read_and_publish, "out").as_deref(), Some("trigger"));
    let written = format!(
        "{} {read_and_publish}",
        PUBLISH_PAYLOAD.replace("(local.get $payload_len)", "(i32.const 2)")
    );
    assert_eq!(last(&written, "out").as_deref(), Some("tr"));
}

#[test]
fn an_instance_that_trapped_is_not_entered_again() {
    let guest = Text { on_message: "unreachable", ..Text::default() }.guest();
    let mut instance =
        guest.instance(Arc::new(Broker::default()), Arc::default(), GuestLimits::default()).unwrap();
    let mut output = RunOutput::new();
    for _ in 0..2 {
        let outcome = instance.run(&message("in", b""), RunContext::new(GuestId(1)), &mut output);
        assert!(matches!(outcome, RunOutcome::Trapped(_)));
        assert!(instance.is_poisoned());
    }
}

#[test]
fn run_errors_keep_their_place_in_the_source() {
    // Writes result err{code: "out", message: "callee", line: 3, column: 9} at 200.
    let on_message = "(i32.store (i32.const 200) (i32.const 1))
        (i32.store (i32.const 204) (i32.const 64)) (i32.store (i32.const 208) (i32.const 3))
        (i32.store (i32.const 212) (i32.const 80)) (i32.store (i32.const 216) (i32.const 6))
        (i32.store (i32.const 220) (i32.const 3)) (i32.store (i32.const 224) (i32.const 9))
        (return (i32.const 200))";
    let (outcome, _) = run_once(Text { on_message, ..Text::default() }, &message("in", b""));
    let RunOutcome::Failed(error) = outcome else { panic!("{outcome:?}") };
    assert_eq!(
        (error.code.as_str(), error.message.as_str()),
        ("GUEST_CODE_INVALID", "'out' is no code: callee")
    );
    assert_eq!((error.line, error.column), (3, 9));
}

#[test]
fn codes_of_the_broker_are_handed_on_and_not_made_up() {
    // The error of the call is that of the run.
    let handed_on =
        "(call $call_action (i32.const 80) (i32.const 6) (i32.const 0) (i32.const 0) (i32.const 32))
        (memory.copy (i32.const 200) (i32.const 32) (i32.const 28)) (return (i32.const 200))";
    // Writes err{code, message: "callee"}; reports a warning of the same.
    let made_up = "(i32.store (i32.const 200) (i32.const 1))
        (i32.store (i32.const 204) (i32.const 300)) (i32.store (i32.const 208) (i32.const 14))
        (i32.store (i32.const 212) (i32.const 80)) (i32.store (i32.const 216) (i32.const 6))
        (call $report (i32.const 0) (i32.const 300) (i32.const 14) (i32.const 80) (i32.const 6) (i32.const 0) (i32.const 0))
        (return (i32.const 200))";
    for (on_message, code, text) in [
        (handed_on, "CALL_NOT_ALLOWED", "this definition may not call 'callee'"),
        (made_up, "GUEST_CODE_INVALID", "'MESSAGE_PAUSED' is a code of the broker: callee"),
    ] {
        let guest =
            Text { on_message, more: r#"(data (i32.const 300) "MESSAGE_PAUSED")"#, ..Text::default() };
        let mut instance = guest
            .guest()
            .instance(Arc::new(Broker::default()), Arc::default(), GuestLimits::default())
            .unwrap();
        let mut output = RunOutput::new();
        // Each run starts without the codes of the run before.
        for _ in 0..2 {
            let outcome = instance.run(&message("in", b""), RunContext::new(GuestId(1)), &mut output);
            let RunOutcome::Failed(error) = outcome else { panic!("{outcome:?}") };
            assert_eq!((&*error.code, &*error.message), (code, text));
        }
        let expected =
            Effect::Report { severity: Severity::Warning, code, message: text, line: 0, column: 0 };
        assert!(output.effects().all(|(_, effect)| effect == expected), "{:?}", output.effects().next());
        assert_eq!(output.effects().count(), usize::from(on_message == made_up));
    }
}

fn refusal(bytes: &[u8], world: World, origin: ComponentSource) -> LoadError {
    engine().compile(bytes, world, origin).expect_err("must be refused")
}

#[test]
fn unsuitable_component_is_rejected_with_an_error_code() {
    let core = wat::parse_str("(module)").unwrap();
    let linked = wat::parse_str(r#"(component (import "rt" (core module)))"#).unwrap();
    let sockets =
        wat::parse_str(r#"(component (import "wasi:sockets/tcp@0.2.0" (instance (export "f" (func)))))"#)
            .unwrap();
    let plain = wat::parse_str(r#"(component (import "run" (func)))"#).unwrap();
    let of_contract = |version: &str| {
        let import = format!(r#"(import "lotmq:guest/messages@{version}" (instance (export "f" (func))))"#);
        wat::parse_str(format!("(component {import})")).unwrap()
    };
    let (newer, older) = (of_contract("0.3.0"), of_contract("0.1.0"));
    let empty = wat::parse_str("(component)").unwrap();
    let function = |locals: usize, body: &str| {
        let text = format!("(component (core module (func (local{}) {body})))", " i32".repeat(locals));
        wat::parse_str(text).unwrap()
    };
    let complex = function(10_000, &"(block)".repeat(401));
    let complex_in_all = {
        let one = format!("(func (local{}) {})", " i32".repeat(10_000), "(block)".repeat(400));
        wat::parse_str(format!("(component (core module {}))", one.repeat(26))).unwrap()
    };
    let flowing = function(0, &"(block)".repeat(64_000));
    let looping = function(0, &"(loop)".repeat(9_000));
    let large = {
        let module = wat::parse_str("(module (memory 1025))").unwrap();
        // Section of a core module behind all others; its length has one byte.
        [good_component(), vec![1, u8::try_from(module.len()).unwrap()], module].concat()
    };
    let long = function(0, &"nop ".repeat(FUNCTION_BYTES_MAX + 1));
    let cut_off = &good_component()[..200];
    for (bytes, code, text) in [
        (&core[..], "NOT_A_COMPONENT", "The binary is a core module, a component is required."),
        (&linked, "LINKED_COMPONENT", "The component needs core module 'rt'. Compile it without --linked."),
        (&sockets, "IMPORT_FORBIDDEN", "Import 'wasi:sockets/tcp@0.2.0' is not allowed in world 'action'."),
        (&plain, "IMPORT_FORBIDDEN", "Import 'run' is not allowed in world 'action'."),
        (
            &newer,
            "CONTRACT_VERSION",
            "Import 'lotmq:guest/messages@0.3.0' is of another version of the contract; this one is 0.2: the module needs a newer lotmq, or is to be made again with the SDK of this one.",
        ),
        (
            &older,
            "CONTRACT_VERSION",
            "Import 'lotmq:guest/messages@0.1.0' is of another version of the contract; this one is 0.2: make the module again with its SDK.",
        ),
        (
            &empty,
            "WORLD_MISMATCH",
            "Module does not fit world 'action': export 'lotmq:guest/action-handler@0.2.0' is missing.",
        ),
        (
            &complex,
            "TOO_LARGE",
            "Function 1 has a complexity of 4010000, limit 4000000: locals times blocks.",
        ),
        (
            &complex_in_all,
            "TOO_LARGE",
            "The module has a complexity of 68000000 up to function 17, limit 64000000",
        ),
        (
            &flowing,
            "TOO_LARGE",
            "The control flow of function 1 takes too long to compile: it has 64000 blocks, of which 0 are loops.",
        ),
        (
            &looping,
            "TOO_LARGE",
            "The control flow of function 1 takes too long to compile: it has 9000 blocks, of which 9000 are loops.",
        ),
        (&long, "TOO_LARGE", "Function 1 has 10485"),
        (
            &large,
            "COMPILE_FAILED",
            "A memory of the component begins larger than that of a module may be, whatever -memory says: ",
        ),
        (b"\0asm", "COMPILE_FAILED", "unexpected end-of-file (at offset 0x4)"),
        (b"GIF89a..", "COMPILE_FAILED", "The bytes are no WebAssembly"),
        (cut_off, "COMPILE_FAILED", ""),
    ] {
        let refusal = refusal(bytes, World::Action, ComponentSource::Upload);
        assert_eq!(refusal.code(), code, "{refusal}");
        assert!(refusal.to_string().starts_with(text), "{refusal}");
    }
}

fn good_component() -> Vec<u8> {
    Text { on_message: PUBLISH_PAYLOAD, ..Text::default() }.component()
}

#[test]
fn an_interface_of_another_shape_does_not_fit() {
    let wrong_import = wat::parse_str(
        r#"(component
          (import "lotmq:guest/messages@0.2.0" (instance (export "publish" (func (param "topic" string)))))
          (instance $handler)
          (export "lotmq:guest/action-handler@0.2.0" (instance $handler)))"#,
    )
    .unwrap();
    let refusal = refusal(&wrong_import, World::Action, ComponentSource::Upload);
    assert_eq!(refusal.code(), "WORLD_MISMATCH", "{refusal}");
    let no_functions = wat::parse_str(
        r#"(component (instance $handler) (export "lotmq:guest/action-handler@0.2.0" (instance $handler)))"#,
    )
    .unwrap();
    let refusal = self::refusal(&no_functions, World::Action, ComponentSource::Upload);
    assert_eq!(refusal.code(), "WORLD_MISMATCH", "{refusal}");
}

#[test]
fn further_exports_are_ignored_and_named() {
    assert!(Text::default().guest().further_exports().is_empty());
    let more = r#"(func (export "test:more/more#hello")) (func (export "hi"))"#;
    let world = "package test:more;
        interface more { hello: func(); }
        world wider { include lotmq:guest/action@0.2.0; export more; export hi: func(); }";
    let core = wat::parse_str(Text { more, ..Text::default() }.core()).unwrap();
    let bytes = wrap_with(core, "wider", &[world]);
    let guest = engine().compile(&bytes, World::Action, ComponentSource::Upload).unwrap();
    assert_eq!(guest.world(), World::Action);
    let mut further = guest.further_exports().to_vec();
    further.sort();
    assert_eq!(further, ["hi", "test:more/more"]);
}

/// Imports of a standard library of `wasm32-wasip2`, at another 0.2 version than the list names.
const WASI: [&str; 5] = [
    "package wasi:io@0.2.3;
     interface poll { resource pollable { block: func(); } }
     interface streams {
        use poll.{pollable};
        resource output-stream {
            subscribe: func() -> pollable;
            blocking-write-and-flush: func(contents: list<u8>) -> result;
        }
     }",
    "package wasi:cli@0.2.3;
     interface environment {
        get-environment: func() -> list<tuple<string, string>>;
        something-new: func(name: string) -> option<string>;
     }
     interface exit { exit: func(status: result); }
     interface stdout {
        use wasi:io/streams@0.2.3.{output-stream};
        get-stdout: func() -> output-stream;
     }",
    "package wasi:random@0.2.3;
     interface random { get-random-u64: func() -> u64; }",
    "package wasi:clocks@0.2.3;
     interface wall-clock { record datetime { seconds: u64, nanoseconds: u32 } now: func() -> datetime; }
     interface monotonic-clock {
        use wasi:io/poll@0.2.3.{pollable};
        now: func() -> u64;
        subscribe-duration: func(when: u64) -> pollable;
     }",
    "package test:wasi;
     world uses-wasi {
        include lotmq:guest/action@0.2.0;
        import wasi:cli/environment@0.2.3;
        import wasi:cli/exit@0.2.3;
        import wasi:cli/stdout@0.2.3;
        import wasi:random/random@0.2.3;
        import wasi:clocks/wall-clock@0.2.3;
        import wasi:clocks/monotonic-clock@0.2.3;
     }",
];

/// Runs a guest that imports the inert set; what came of it, and how many messages.
fn run_with_wasi(on_message: &str, ambient: Option<StandingStill>) -> (RunOutcome, usize) {
    let core = Text { on_message, ..Text::default() }.core().replace(
        "  (memory",
        r#"(import "wasi:cli/environment@0.2.3" "get-environment" (func $environment (param i32)))
  (import "wasi:cli/environment@0.2.3" "something-new" (func $new (param i32 i32 i32)))
  (import "wasi:cli/exit@0.2.3" "exit" (func $exit (param i32)))
  (import "wasi:cli/stdout@0.2.3" "get-stdout" (func $stdout (result i32)))
  (import "wasi:io/streams@0.2.3" "[method]output-stream.subscribe" (func $subscribe (param i32) (result i32)))
  (import "wasi:io/poll@0.2.3" "[method]pollable.block" (func $block (param i32)))
  (import "wasi:clocks/monotonic-clock@0.2.3" "subscribe-duration" (func $sleep (param i64) (result i32)))
  (import "wasi:random/random@0.2.3" "get-random-u64" (func $random (result i64)))
  (import "wasi:clocks/wall-clock@0.2.3" "now" (func $wall (param i32)))
  (import "wasi:clocks/monotonic-clock@0.2.3" "now" (func $elapsed (result i64)))
  (memory"#,
    );
    let bytes = wrap_with(wat::parse_str(core).unwrap(), "uses-wasi", &WASI);
    let guest = engine().compile(&bytes, World::Action, ComponentSource::Upload).unwrap();
    let services = Arc::new(Broker { ambient, ..Broker::default() });
    let mut instance = guest.instance(services, Arc::new(Grants::action()), GuestLimits::default()).unwrap();
    let mut output = RunOutput::new();
    let outcome = instance.run(&message("in", b"x"), RunContext::new(GuestId(1)), &mut output);
    (outcome, published(&output).len())
}

#[test]
fn guest_prints_without_blocking_and_sleep_traps_with_a_hint() {
    let prints = format!("(call $block (call $subscribe (call $stdout))) {PUBLISH_PAYLOAD}");
    assert_eq!(run_with_wasi(&prints, None), (RunOutcome::Done(Vec::new()), 1));
    let (slept, _) = run_with_wasi("(drop (call $sleep (i64.const 1)))", None);
    assert!(
        matches!(&slept, RunOutcome::Trapped(trap) if trap.message.contains("a guest cannot sleep")),
        "{slept:?}"
    );
}

#[test]
fn wasi_clocks_and_random_numbers_come_from_the_given_ambient() {
    let is_it = format!(
        "(call $wall (i32.const 32))
         (if (i32.and
                (i32.and (i64.eq (i64.load (i32.const 32)) (i64.const 1700000000)) (i32.eq (i32.load (i32.const 40)) (i32.const 5)))
                (i32.and (i64.eq (call $elapsed) (i64.const 60000000000)) (i64.eq (call $random) (i64.const 7))))
            (then {PUBLISH_PAYLOAD}))"
    );
    assert_eq!(run_with_wasi(&is_it, Some(StandingStill)), (RunOutcome::Done(Vec::new()), 1));
    assert_eq!(run_with_wasi(&is_it, None), (RunOutcome::Done(Vec::new()), 0), "those of the machine");
}

#[test]
fn the_inert_wasi_set_is_there_and_empty() {
    let run = |on_message: &str| run_with_wasi(on_message, None);
    let empty = format!(
        "(call $environment (i32.const 32)) (if (i32.eqz (i32.load (i32.const 36))) (then {PUBLISH_PAYLOAD}))"
    );
    assert_eq!(run(&empty), (RunOutcome::Done(Vec::new()), 1));
    let random = format!("(if (i64.ne (call $random) (call $random)) (then {PUBLISH_PAYLOAD}))");
    assert_eq!(run(&random), (RunOutcome::Done(Vec::new()), 1));
    for (on_message, text) in [
        ("(call $exit (i32.const 0))", "the guest ended itself with exit"),
        (
            "(call $new (i32.const 64) (i32.const 3) (i32.const 32))",
            "wasi:cli/environment@0.2.3#something-new",
        ),
    ] {
        let (outcome, _) = run(on_message);
        let RunOutcome::Trapped(trap) = outcome else { panic!("{outcome:?}") };
        assert!(trap.message.contains(text), "{}", trap.message);
    }
}
