//! Scripts through the real interpreter, whose native code all tests share: one of them makes it,
//! under a lock, in the target directory.

use crate::support::{
    Broker, PythonCall, StandingStill, engine, executor_with, owned, spec, until_all_have_woken,
};
use lotmq_host::{
    ComponentSource, Engine, EngineOptions, Executor, ExecutorOptions, FinishedRun, RunOutput, Runner,
    RunnerSpec, Services, Sink, Trap, TrapKind, Value, World,
    python::{Called, Python, PythonError, Script},
};
use lotmq_pulse::Pulses;
use parking_lot::Mutex;
use std::{
    fs,
    path::Path,
    sync::{
        Arc, LazyLock,
        mpsc::{Receiver, Sender, channel},
    },
};

fn python() -> &'static Python {
    static PYTHON: LazyLock<(Engine, Python)> = LazyLock::new(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python-code");
        fs::create_dir_all(&dir).unwrap();
        let options =
            EngineOptions { instances_max: 64, cache_dir: Some(dir.clone()), ..EngineOptions::default() };
        let lock = fs::File::create(dir.join("lock")).unwrap();
        lock.lock().unwrap();
        let engine = Engine::new(&options).unwrap();
        let python = Python::new(&engine);
        // A build without optimisation makes the code for longer than a call waits.
        while matches!(Script::load(&python, "", 0), Err(PythonError::Preparing)) {}
        lock.unlock().unwrap();
        (engine, python)
    });
    &PYTHON.1
}

fn script(source: &str) -> Script {
    Script::load(python(), source, 0).unwrap().0
}

/// Results of calls, one after the other; an error as its words.
fn call(script: &Script, function: &str, arguments: &[Value]) -> String {
    script.call(function, arguments).result.unwrap_or_else(|error| error.to_string())
}

fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

fn json(value: &str) -> Value {
    Value::Json(value.to_owned())
}

#[test]
fn the_example_of_the_reference_gives_its_result() {
    let source = "# Script Name: Stat\ndef avg(a, b):\n    return {\"avg\": (float(a) + float(b)) / 2}\n";
    let (script, functions, output) = Script::load(python(), source, 0).unwrap();
    assert_eq!((functions.as_str(), output.as_str()), ("[\"avg\"]", ""));
    assert_eq!(call(&script, "avg", &[Value::Integer(1), Value::Integer(4)]), "{\"avg\":2.5}");
    assert_eq!(call(&script, "avg", &[text("1"), text("4")]), "{\"avg\":2.5}");
}

#[test]
fn arguments_keep_their_kind_and_results_are_compact_json() {
    let script = script(
        "def kind(value):\n    return type(value).__name__ + ' ' + repr(value)\n\
         def same(value):\n    return value\n\
         def made(number):\n    return [None, True, 'é', {'a': (1, 2.0, float('nan'))}, {}, [], 1e300, 2**70, '\"', '\\ud800', b'x' and 1.5, 77.0][number]\n",
    );
    for (value, kind, same) in [
        (Value::Empty, "NoneType None", "null"),
        (Value::Null, "NoneType None", "null"),
        (Value::Boolean(true), "bool True", "true"),
        (Value::Integer(-3), "int -3", "-3"),
        (Value::Integer(i64::MAX), "int 9223372036854775807", "9223372036854775807"),
        (Value::Double(2.0), "float 2.0", "2"),
        (Value::Double(0.1), "float 0.1", "0.1"),
        (text("25"), "str '25'", "25"),
        (text("{\"a\":1}"), "str '{\"a\":1}'", "{\"a\":1}"),
        (json("{\"a\":[1,2.5]}"), "dict {'a': [1, 2.5]}", "{\"a\":[1,2.5]}"),
        (json("[]"), "list []", "[]"),
        (Value::Time(1_000), "int 1000", "1000"),
    ] {
        assert_eq!(call(&script, "kind", std::slice::from_ref(&value)), kind);
        assert_eq!(call(&script, "same", &[value]), same);
    }
    assert_eq!(call(&script, "kind", &[Value::Bytes(vec![255, 0])]), r"bytes b'\xff\x00'");
    let results = [
        "null",
        "true",
        "é",
        "{\"a\":[1,2,null]}",
        "{}",
        "[]",
        "1e+300",
        "1180591620717411303424",
        "\"",
        "?",
        "1.5",
        "77",
    ];
    for (number, expected) in (0..).zip(results) {
        assert_eq!(call(&script, "made", &[Value::Integer(number)]), expected);
    }
}

#[test]
fn the_modules_of_the_reference_work_and_others_are_refused_by_name() {
    let script = script(
        "import math, statistics, random, json, datetime, time, struct, collections, re, csv, hashlib, base64, io\n\
         from collections import abc\n\
         def run(code):\n    return eval(code)\n\
         def load(name):\n    return __import__(name).__name__\n",
    );
    for (code, expected) in [
        ("math.sqrt(2)", "1.4142135623730951"),
        ("statistics.median([1, 2, 9])", "2"),
        ("round(statistics.stdev([1, 2, 4]), 3)", "1.528"),
        ("json.loads('{\"a\": [1]}')", "{\"a\":[1]}"),
        ("datetime.datetime(2026, 1, 2).isoformat()", "2026-01-02T00:00:00"),
        ("datetime.datetime.strptime('2026-01-02', '%Y-%m-%d').year", "2026"),
        ("datetime.datetime.now(datetime.timezone.utc).year >= 2025", "true"),
        ("time.time() > 1.7e9 and time.monotonic() >= 0", "true"),
        ("struct.unpack('>H', b'\\x01\\x02')[0]", "258"),
        ("collections.Counter('aab').most_common(1)", "[[\"a\",2]]"),
        ("re.findall(r'(\\d+)', 'a1b22')", "[\"1\",\"22\"]"),
        ("list(csv.reader(['a,\"b,c\"']))", "[[\"a\",\"b,c\"]]"),
        ("hashlib.sha256(b'abc').hexdigest()[:8]", "ba7816bf"),
        ("hashlib.md5(b'').hexdigest()[:8]", "d41d8cd9"),
        ("base64.b64encode(b'lot').decode()", "bG90"),
        ("random.randint(3, 3)", "3"),
    ] {
        assert_eq!(call(&script, "run", &[text(code)]), expected, "{code}");
    }
    for name in
        ["os", "subprocess", "socket", "http", "importlib", "http.client", "sys", "ctypes", "wit_world"]
    {
        let expected =
            format!("ImportError: module '{name}' is not available to scripts (line 6 of the script)");
        assert_eq!(call(&script, "load", &[text(name)]), expected);
    }
    assert_eq!(
        call(&script, "run", &[text("open('/etc/passwd')")]),
        "PermissionError: scripts have no files (line 4 of the script)"
    );
}

#[test]
fn errors_name_the_line_of_the_script() {
    let script = script("def f(x):\n    return g(x)\ndef g(x):\n    y = 1\n    return y / x\n\nz = 3\n");
    for (function, argument, expected) in [
        ("f", Value::Integer(0), "ZeroDivisionError: division by zero (line 5 of the script)"),
        (
            "f",
            text("a"),
            "TypeError: unsupported operand type(s) for /: 'int' and 'str' (line 5 of the script)",
        ),
        ("h", Value::Null, "NameError: the script has no function 'h'"),
        ("z", Value::Null, "NameError: the script has no function 'z'"),
    ] {
        assert_eq!(call(&script, function, &[argument]), expected);
    }
    assert_eq!(call(&script, "f", &[Value::Integer(2)]), "0.5");
    for (source, message, line) in [
        ("def f(:\n    pass", "SyntaxError: invalid syntax", 1),
        ("x = 1\nimport os\n", "ImportError: module 'os' is not available to scripts", 2),
        ("x = 1\n  y = 2\n", "IndentationError: unexpected indent", 2),
        ("\n\nraise SystemExit(3)", "SystemExit: 3", 3),
    ] {
        let refused = Script::load(python(), source, 0).unwrap_err();
        assert_eq!(refused, PythonError::Raised { message: message.to_owned(), line }, "{source}");
    }
}

#[test]
fn globals_live_from_call_to_call_and_no_other_script_sees_them() {
    let source = "n = 0\ndef next():\n    global n\n    n += 1\n    return n\n\
                  def spoil():\n    import json\n    json.dumps = None\n    return 'done'\n\
                  def dump():\n    import json\n    return json.dumps([1])\n";
    let (one, other) = (script(source), script(source));
    let counts: Vec<_> = [&one, &one, &other, &one].map(|script| call(script, "next", &[])).into();
    assert_eq!(counts, ["1", "2", "1", "3"]);
    assert_eq!((call(&one, "spoil", &[]), call(&other, "dump", &[])), ("done".into(), "[1]".into()));
}

#[test]
fn script_output_is_returned_truncated() {
    let (script, _, output) =
        Script::load(python(), "print('hello')\ndef f(n):\n    print('x' * n)\n    1 / (n - 1)\n", 0)
            .unwrap();
    assert_eq!(output, "hello\n");
    let called = script.call("f", &[Value::Integer(1)]);
    assert_eq!(called.output, "x\n");
    assert!(called.result.is_err());
    assert_eq!(script.call("f", &[Value::Integer(1_000_000)]).output.len(), 16 * 1024);
}

#[test]
fn every_instance_draws_random_numbers_of_its_own() {
    let source = "import random, uuid\nfirst = random.random()\n\
                  def both():\n    return [first, random.random(), str(uuid.uuid4())]\n";
    let results: std::collections::HashSet<_> = (0..3).map(|_| call(&script(source), "both", &[])).collect();
    assert_eq!(results.len(), 3);
}

#[test]
fn a_script_that_goes_too_far_is_stopped_and_begins_anew() {
    let script = script(
        "n = 0\n\
         def count():\n    global n\n    n += 1\n    return n\n\
         def forever():\n    while True:\n        pass\n\
         def hog():\n    return len('x' * 200_000_000)\n\
         def hoard():\n    kept = []\n    while True:\n        kept.append('x' * 1_000_000 + str(len(kept)))\n\
         def dive(n):\n    return dive(n + 1)\n\
         def nested():\n    import json\n    return json.loads('[' * 100_000)\n",
    );
    assert_eq!(call(&script, "count", &[]), "1");
    for function in ["hog", "hoard"] {
        assert!(call(&script, function, &[]).starts_with("MemoryError"), "{function}");
    }
    assert!(call(&script, "dive", &[Value::Integer(0)]).starts_with("RecursionError"));
    assert_eq!(call(&script, "count", &[]), "2");
    assert_eq!(call(&script, "nested", &[]), "the script was stopped: the guest recursed too deep");
    assert_eq!(call(&script, "count", &[]), "1");
    let stopped = script.call("forever", &[]).result.unwrap_err();
    assert!(matches!(&stopped, PythonError::Stopped(trap) if trap.kind == TrapKind::Time), "{stopped}");
    assert_eq!(stopped.to_string(), "the script was stopped: it took longer than 5 s");
    assert_eq!(call(&script, "count", &[]), "1");
}

#[test]
fn script_clocks_and_random_numbers_come_from_the_given_ambient() {
    let source = "import time, random\nfrom datetime import datetime, timezone\ndef see(seconds):\n    began = time.monotonic()\n    \
                  time.sleep(seconds)\n    now = datetime.now(timezone.utc).isoformat()\n    \
                  return [time.time_ns(), now, time.monotonic() - began, random.random(), hash('x')]\n";
    let still = python().clone().with_ambient(Arc::new(StandingStill));
    let see = |script: &Script, seconds| call(script, "see", &[Value::Double(seconds)]);
    let first = Script::load(&still, source, 0).unwrap().0;
    let slept = see(&first, 1.5);
    assert!(
        slept.starts_with("[1700000001500000005,\"2023-11-14T22:13:21.500000+00:00\",1.5,"),
        "its own clock has gone on: {slept}"
    );
    let again = see(&first, 0.0);
    let expected = "[1700000000000000005,\"2023-11-14T22:13:20+00:00\",0,";
    assert!(again.starts_with(expected), "and nobody else's: {again}");
    let second = Script::load(&still, source, 0).unwrap().0;
    assert_eq!(see(&second, 1.5), slept, "everything is the same once more");
    // As where the clocks go on.
    let stopped = call(&first, "see", &[Value::Integer(3600)]);
    assert_eq!(stopped, "the script was stopped: it took longer than 5 s");
}

#[test]
fn a_script_may_sleep_for_as_long_as_it_may_run() {
    let source = "import time\nn = 0\ndef nap(seconds):\n    global n\n    n += 1\n    before = time.monotonic()\n    \
                  time.sleep(seconds)\n    return [n, time.monotonic() - before >= seconds]\n";
    let script = script(source);
    for (seconds, expected) in [(0.0, "[1,true]"), (0.001, "[2,true]"), (0.05, "[3,true]")] {
        assert_eq!(call(&script, "nap", &[Value::Double(seconds)]), expected);
    }
    // As any call that takes too long; what it was told has no word of the engine's in it.
    let stopped = call(&script, "nap", &[Value::Integer(3600)]);
    assert_eq!(stopped, "the script was stopped: it took longer than 5 s");
    assert_eq!(call(&script, "nap", &[Value::Integer(0)]), "[1,true]");
}

#[test]
fn scripts_that_sleep_hold_up_no_others() {
    let quick = script("def one():\n    return 1\n");
    let asleep = std::sync::atomic::AtomicUsize::new(0);
    let (sender, receiver) = channel();
    std::thread::scope(|scope| {
        // More than there are places.
        for _ in 0..6 {
            let (asleep, sender) = (&asleep, sender.clone());
            scope.spawn(move || {
                let script = script("import time\ndef nap():\n    time.sleep(4)\n");
                asleep.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                sender.send(()).unwrap();
                assert_eq!(call(&script, "nap", &[]), "null");
                asleep.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
            });
        }
        (0..6).for_each(|_| receiver.recv().unwrap());
        assert_eq!(call(&quick, "one", &[]), "1");
        assert!(asleep.load(std::sync::atomic::Ordering::SeqCst) > 0, "it waited until all had slept");
    });
}

#[test]
fn runs_that_wait_for_scripts_hold_up_nobody_else_and_keep_their_order() {
    let calling = "CALL PYTHON \"S.f\" WITH (PAYLOAD) RETURN AS {r}";
    runs_that_wait_hold_up_nobody_else(calling, |waiting| Broker {
        python: Some(Box::new(move |_, arguments| {
            let result = Ok(waiting.wait(arguments));
            Called { result, output: String::new() }
        })),
        ..Broker::default()
    });
}

#[test]
fn runs_that_wait_for_rows_hold_up_nobody_else_and_keep_their_order() {
    let asking = "SET \"r\" WITH GET MODEL \"M\" FROM \"R\" WHERE c EQUALS PAYLOAD";
    runs_that_wait_hold_up_nobody_else(asking, |waiting| Broker {
        rows: Some(Box::new(move |query| Value::Json(waiting.wait(query.parameters)))),
        ..Broker::default()
    });
}

/// Callee that reports its start and then waits until the test lets it go on.
struct Waiting {
    began: Mutex<Sender<()>>,
    go_on: Mutex<Receiver<()>>,
}

impl Waiting {
    fn wait(&self, values: &[Value]) -> String {
        self.began.lock().send(()).unwrap();
        self.go_on.lock().recv().unwrap();
        format!("[{values:?}]")
    }
}

/// Runs an action that waits in `statement` on an executor with one thread, beside another one.
fn runs_that_wait_hold_up_nobody_else(statement: &str, broker: impl FnOnce(Waiting) -> Broker) {
    let source = format!(
        "DEFINE ACTION Calls\nON TOPIC \"in\" DO\n    {statement}\n    PUBLISH TOPIC \"out\" WITH {{r}}\n\
         DEFINE ACTION Other\nON TOPIC \"in\" DO\n    PUBLISH TOPIC \"out\" WITH PAYLOAD\n"
    );
    let options = lot_to_wasm::CompileOptions { form: lot_to_wasm::Form::Standalone, ..Default::default() };
    let compiled = lot_to_wasm::compile(&source, &options);
    let [calls, other] = <[_; 2]>::try_from(compiled.entities).unwrap().map(|entity| {
        let component = entity.output.unwrap().component;
        engine().compile(&component, World::Action, ComponentSource::Compiler).unwrap()
    });
    let pulses = Pulses::default();
    let options = ExecutorOptions { threads: 1, pulses: pulses.clone(), ..ExecutorOptions::default() };
    let (executor, seen) = executor_with(options);
    let ((began, has_begun), (go_on, waits)) = (channel(), channel());
    let broker = broker(Waiting { began: Mutex::new(began), go_on: Mutex::new(waits) });
    let services: Arc<dyn Services> = Arc::new(broker);
    let calls = executor.add(RunnerSpec { services, ..spec(1, calls) });
    let other = executor.add(spec(2, other));
    for round in 0..3 {
        for number in 0..2 {
            calls.post(owned("in", format!("{round}{number}").as_bytes()), 0, 0).unwrap();
        }
        for number in 0..2 {
            has_begun.recv().unwrap();
            other.post(owned("in", b"x"), 0, 0).unwrap();
            assert_eq!(seen.recv().unwrap().published, [("out".to_owned(), b"x".to_vec())]);
            go_on.send(()).unwrap();
            let expected = format!("[[Text(\"{round}{number}\")]]").into_bytes();
            assert_eq!(seen.recv().unwrap().published, [("out".to_owned(), expected)]);
        }
    }
    // The one that stood in meanwhile is not needed now.
    until_all_have_woken(&pulses, 2);
}

/// Sink that records the reports of a thread and its scripts, in order.
struct Told(Sender<&'static str>);

impl Sink for Told {
    fn run_finished(&mut self, _run: FinishedRun<'_>, _output: &RunOutput) {
        self.0.send("a run").unwrap();
    }
    fn start_failed(&mut self, _runner: &Arc<Runner>, trap: &Trap) {
        panic!("{trap}");
    }
    fn turn_finished(&mut self) {
        self.0.send("goes out").unwrap();
    }
}

#[test]
fn output_of_finished_runs_is_sent_before_a_run_waits() {
    let source = "DEFINE ACTION Calls\nON TOPIC \"in\" DO\n    IF PAYLOAD == \"wait\" THEN\n        CALL PYTHON \"S.f\" RETURN AS {r}\n    PUBLISH TOPIC \"out\" WITH PAYLOAD\n";
    let options = lot_to_wasm::CompileOptions { form: lot_to_wasm::Form::Standalone, ..Default::default() };
    let [entity] = <[_; 1]>::try_from(lot_to_wasm::compile(source, &options).entities).unwrap();
    let component = entity.output.unwrap().component;
    let guest = engine().compile(&component, World::Action, ComponentSource::Compiler).unwrap();
    let ((tell, told), (go_on, waits)) = (channel(), channel::<()>());
    let (of_sink, of_script, waits) = (Mutex::new(tell.clone()), Mutex::new(tell), Mutex::new(waits));
    let python: PythonCall = Box::new(move |_, _| {
        of_script.lock().send("a script").unwrap();
        waits.lock().recv().unwrap();
        Called { result: Ok(String::new()), output: String::new() }
    });
    let options = ExecutorOptions { threads: 1, ..ExecutorOptions::default() };
    let executor = Executor::start(options, move |_| Box::new(Told(of_sink.lock().clone()))).unwrap();
    let services: Arc<dyn Services> = Arc::new(Broker { python: Some(python), ..Broker::default() });
    let calls = executor.add(RunnerSpec { services, ..spec(1, guest) });
    for payload in ["wait", "no", "wait"] {
        calls.post(owned("in", payload.as_bytes()), 0, 0).unwrap();
    }
    let before_a_script = || told.iter().take_while(|what| *what != "a script").collect::<Vec<_>>();
    assert_eq!(before_a_script(), ["goes out"]);
    go_on.send(()).unwrap();
    // The first wait holds the other two back, so that they are taken in one turn, unless it was so
    // long that the turn ends with it.
    let seen = before_a_script();
    assert_eq!(seen.iter().filter(|what| **what == "a run").count(), 2, "{seen:?}");
    assert_eq!(seen.last(), Some(&"goes out"), "{seen:?}");
    go_on.send(()).unwrap();
    drop(executor);
}
