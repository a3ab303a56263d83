//! Starts without cached native code: the broker serves clients while it compiles, and nothing that
//! was promised is lost.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lotmq_client::{Client, ConnectOptions, Publication, QoS};
use lotmq_test_support::{Broker, BrokerOptions, Program, WAIT_MAX, eventually};
use serde_json::Value;

use crate::compile_workers::{kill, wait_for_workers, workers};
use crate::module_routes::Standing;
use crate::outbox::ECHO;
use crate::rule_modules::{GUARD, GUARDED};
use crate::{LOTMQ, next, options};

/// Bytes of code that take some seconds to compile in a debug build.
const SLOW_BYTES: usize = 1 << 20;

/// Functions that they are.
const FUNCTIONS: usize = 16;

const QUICK: &str =
    "-addAction DEFINE ACTION Quick\nON TOPIC \"quick\" DO\n    PUBLISH TOPIC \"quick/out\" WITH PAYLOAD\n";

/// Number of bytes in LEB128.
fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(number & 0x7f).unwrap();
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

/// Section or function body with its length in front.
fn sized(content: &[u8]) -> Vec<u8> {
    [&leb(content.len()), content].concat()
}

/// Core module whose functions are long chains of arithmetic on their parameter.
fn heavy_module() -> Vec<u8> {
    // local.get 0, i32.mul, i32.const 77, i32.xor
    const STEP: &[u8] = &[0x20, 0, 0x6c, 0x41, 0xcd, 0, 0x73];
    let mut body = vec![0, 0x20, 0];
    while body.len() < SLOW_BYTES / FUNCTIONS {
        body.extend_from_slice(STEP);
    }
    body.push(0x0b);
    let count = leb(FUNCTIONS);
    let types = sized(&[1, 0x60, 1, 0x7f, 1, 0x7f]);
    let functions = sized(&[&count[..], &[0; FUNCTIONS]].concat());
    let code = sized(&[count, sized(&body).repeat(FUNCTIONS)].concat());
    [b"\0asm\x01\0\0\0", &[1][..], &types, &[3], &functions, &[10], &code].concat()
}

/// Guest that takes seconds to compile: a component with a core module that nobody instantiates.
pub(crate) fn slow(guest: &[u8]) -> String {
    let component = STANDARD.decode(crate::modules::component(guest)).unwrap();
    STANDARD.encode([component, vec![1], sized(&heavy_module())].concat())
}

pub(crate) fn cold() -> BrokerOptions {
    options().own_code().variable("LOTMQ_MODULES_ALLOW_UNSTABLE", "true")
}

/// Broker with native code of its own, of which some can be forgotten.
pub(crate) struct Cold {
    pub(crate) broker: Broker,
    /// Files of the code that every broker has.
    of_parts: BTreeSet<PathBuf>,
}

impl Cold {
    pub(crate) fn start(options: BrokerOptions) -> Self {
        let broker = options.start();
        let of_parts = code(&broker);
        Self { broker, of_parts }
    }

    /// Forgets the code of what was deployed.
    pub(crate) fn forget_code(&self) {
        for file in code(&self.broker).difference(&self.of_parts) {
            fs::remove_file(file).unwrap();
        }
    }

    /// Starts again without the code of what was deployed.
    fn start_again(&mut self) {
        self.forget_code();
        self.broker.start_again();
    }

    /// Adds what takes long to compile.
    pub(crate) fn add(&self, command: &str) {
        let reply = self.broker.slow_command(command);
        assert!(reply.success(), "{reply:?}");
    }

    fn stop_and_start_again(&mut self) {
        assert!(self.broker.stop().success());
        self.start_again();
    }

    /// Status of `/health`, and what it says.
    pub(crate) fn health(&self) -> (u16, Value) {
        let health = self.broker.http("/health");
        (health.status, serde_json::from_str(&health.body).unwrap())
    }

    /// Shows that this definition alone is still being compiled.
    #[track_caller]
    fn is_compiling(&self, name: &str) {
        let (status, told) = self.health();
        assert_eq!((status, &told["status"]), (503, &"starting".into()), "{told}");
        let reason = told["reason"].as_str().unwrap();
        assert!(reason.starts_with("compiling 1 of ") && reason.ends_with(&format!(": {name}")), "{told}");
    }

    fn until_compiled(&self) {
        let patience = 4 * WAIT_MAX;
        let deadline = std::time::Instant::now() + patience;
        while self.health().0 != 200 {
            assert!(std::time::Instant::now() < deadline, "{:?}", self.health());
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

/// Files of native code.
fn code(broker: &Broker) -> BTreeSet<PathBuf> {
    let files = fs::read_dir(broker.data().join("cache")).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "native")).collect()
}

pub(crate) fn add_scale(component: &str) -> String {
    format!("-addModule scale -world action -on raw/# -grantAll wasm64:{component}")
}

fn publish(client: &mut Client, topic: &str, payload: &str) -> bool {
    !client.publish(&Publication::new(topic, payload).qos(QoS::AtLeastOnce)).unwrap().is_failure()
}

#[test]
fn messages_for_a_module_that_is_still_compiled_wait_and_all_else_works() {
    let mut cold = Cold::start(cold());
    cold.broker.command_ok(QUICK);
    cold.add(&add_scale(&slow(crate::modules::SCALE)));
    cold.stop_and_start_again();
    cold.is_compiling("scale");
    assert_eq!(cold.broker.metric("lotmq_definitions_compiling"), Some(1.0));
    let mut client = cold.broker.client("");
    client.subscribe_to("scaled/#", QoS::AtLeastOnce).unwrap();
    client.subscribe_to("quick/out", QoS::AtLeastOnce).unwrap();
    for payload in ["21", "22", "23"] {
        assert!(publish(&mut client, "raw/s1", payload));
    }
    assert!(publish(&mut client, "quick", "now"));
    assert_eq!(next(&mut client), "quick/out=now");
    assert_eq!(cold.broker.command_ok("-moduleInfo scale").data()["state"], "compiling");
    let status = Program::start(LOTMQ, &["status", "-p", &cold.broker.port()]).unwrap().wait();
    let told = status.stdout;
    assert!(told.contains(" is starting, up ") && told.contains("\n  1 of 5: scale"), "{told}");
    cold.is_compiling("scale");
    let scaled: Vec<String> = (0..3)
        .map(|_| client.receive(4 * WAIT_MAX).unwrap().expect("it is compiled in the end").text())
        .collect();
    cold.until_compiled();
    assert_eq!(cold.broker.metric("lotmq_definitions_compiling"), Some(0.0));
    // As ever, and nothing came twice.
    for (payload, expected) in ["21", "22", "23"].into_iter().zip(scaled) {
        assert!(publish(&mut client, "raw/s1", payload));
        assert_eq!(client.receive(WAIT_MAX).unwrap().unwrap().text(), expected);
    }
    assert_eq!(cold.broker.command_ok("-moduleInfo scale").data()["state"], "enabled");
}

#[test]
fn a_rule_denies_until_the_module_that_it_asks_is_compiled() {
    let mut cold = Cold::start(cold());
    let guard = slow(GUARD);
    cold.add(&format!("-addModule guard -world rule -grantAll wasm64:{guard}"));
    cold.broker.command_ok(GUARDED);
    cold.stop_and_start_again();
    cold.is_compiling("guard");
    let mut one = cold.broker.connect(&ConnectOptions::v5("one"));
    assert!(!publish(&mut one, "plant/a", "x"));
    cold.is_compiling("guard");
    cold.until_compiled();
    assert!(publish(&mut one, "plant/a", "x"));
}

#[test]
fn kill_during_compilation_loses_no_durable_run_and_stop_is_not_delayed() {
    let mut cold = Cold::start(cold().variable("LOTMQ_LOT_DURABLE_TRIGGERS", "true"));
    cold.add(&add_scale(&slow(crate::modules::SCALE)));
    cold.stop_and_start_again();
    let session = ConnectOptions::v5("session").clean_start(false).session_expiry(3_600);
    let mut client = cold.broker.connect(&session);
    client.subscribe_to("scaled/#", QoS::AtLeastOnce).unwrap();
    assert!(publish(&mut client, "raw/s1", "21"));
    cold.is_compiling("scale");
    cold.broker.kill();
    cold.start_again();
    cold.is_compiling("scale");
    cold.stop_and_start_again();
    cold.is_compiling("scale");
    let mut client = cold.broker.connect(&session);
    let first = client.receive(4 * WAIT_MAX).unwrap().expect("the run that was promised").text();
    assert!(publish(&mut client, "raw/s1", "21"));
    assert_eq!(client.receive(WAIT_MAX).unwrap().unwrap().text(), first);
}

#[test]
fn removed_or_replaced_module_never_runs_its_former_code() {
    let mut cold = Cold::start(cold());
    let slow = slow(crate::modules::SCALE);
    cold.add(&add_scale(&slow));
    cold.stop_and_start_again();
    cold.is_compiling("scale");
    let mut client = cold.broker.client("");
    client.subscribe_to("scaled/#", QoS::AtLeastOnce).unwrap();
    assert!(publish(&mut client, "raw/s1", "21"));
    cold.broker.command_ok(&(add_scale(&crate::modules::scale()) + " -replace"));
    assert_eq!(cold.health().0, 200, "nothing waits for the former code");
    let waited = client.receive(WAIT_MAX).unwrap().expect("what waited goes to the new code").text();
    assert!(publish(&mut client, "raw/s1", "21"));
    assert_eq!(client.receive(WAIT_MAX).unwrap().unwrap().text(), waited);

    cold.add(&(add_scale(&slow) + " -replace"));
    cold.stop_and_start_again();
    cold.is_compiling("scale");
    cold.broker.command_ok("-removeModule scale -force");
    assert_eq!(cold.health().0, 200);
    assert_eq!(cold.broker.command("-moduleInfo scale").code(), "MODULE_NOT_FOUND");
}

/// The kernel ends a worker first when the machine has no memory left.
#[test]
fn a_worker_that_is_killed_is_started_again_and_what_waits_is_delivered() {
    let mut cold = Cold::start(cold());
    cold.add(&add_scale(&slow(crate::modules::SCALE)));
    cold.stop_and_start_again();
    let mut client = cold.broker.client("");
    client.subscribe_to("scaled/#", QoS::AtLeastOnce).unwrap();
    assert!(publish(&mut client, "raw/s1", "21"));
    kill(wait_for_workers(&cold.broker, 1)[0]);
    let told = eventually("health says what has failed", || {
        let (status, told) = cold.health();
        (told["compiling"]["retries"][0]["name"] == "scale").then(|| {
            assert_eq!(status, 503, "{told}");
            told
        })
    });
    let reason = told["reason"].as_str().unwrap();
    assert!(
        reason.contains("scale has failed 1 times and is tried again: ") && reason.contains("signal 9"),
        "{told}"
    );
    // The pause before the next try doubles with each failure: on a busy machine the first one is
    // over before the program has asked.
    eventually("the status says what has failed", || {
        workers(&cold.broker).into_iter().for_each(kill);
        let status = Program::run(LOTMQ, &["status", "-p", &cold.broker.port()]).unwrap();
        status.stdout.contains("scale has failed ").then_some(())
    });
    assert_eq!(cold.broker.command_ok("-moduleInfo scale").data()["state"], "compiling");
    cold.broker.log().expect("compilation failed; it is tried again");
    client.receive(4 * WAIT_MAX).unwrap().expect("what waited is delivered");
    cold.until_compiled();
}

#[test]
fn the_worker_of_a_removed_definition_ends() {
    let mut cold = Cold::start(cold());
    cold.add(&add_scale(&slow(crate::modules::SCALE)));
    cold.stop_and_start_again();
    wait_for_workers(&cold.broker, 1);
    cold.broker.command_ok("-removeModule scale -force");
    wait_for_workers(&cold.broker, 0);
    assert_eq!(cold.health().0, 200);
}

#[test]
fn a_call_of_what_is_still_compiled_says_so() {
    let mut cold = Cold::start(cold());
    cold.add(&add_scale(&slow(crate::modules::SCALE)));
    let calls = "-addAction DEFINE ACTION Calls\nON TOPIC \"in\" DO\n    CALL MODULE \"scale\"\n";
    cold.broker.command_ok(calls);
    cold.stop_and_start_again();
    cold.is_compiling("scale");
    let reply = cold.broker.command("-runAction Calls");
    assert!(reply.message().contains("module 'scale' is still being compiled"), "{reply:?}");
}

#[test]
fn a_route_waits_for_its_module_and_is_not_red_meanwhile() {
    let mut cold = Cold::start(cold().variable("LOTMQ_ROUTES_ALLOW_LOOPBACK", "true"));
    let module = slow(ECHO);
    cold.add(&format!("-addModule echo -world route -grant endpoint:127.0.0.1:* wasm64:{module}"));
    let nobody = "127.0.0.1:7".parse().unwrap();
    cold.broker.command_ok(&crate::outbox::route(nobody, &[]));
    cold.stop_and_start_again();
    let route = eventually("the route waits for its guest", || {
        let rows = cold.broker.command_ok("-listRoutes").data().clone();
        let waits = rows[0]["reason"] == "its guest is still being compiled";
        waits.then(|| rows[0].clone())
    });
    assert_eq!((&route["health"], &route["connection"]), (&"Yellow".into(), &"Connecting".into()), "{route}");
    cold.is_compiling("echo");
    cold.until_compiled();
    Standing::of(&cold.broker).says("nothing listens there");
}
