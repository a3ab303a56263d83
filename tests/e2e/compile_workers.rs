//! Compilation in worker processes: one that never ends is ended, by whoever asked for it or by its
//! bounds, and holds up nobody else.
//!
//! Workers are found as child processes of the broker. Each bomb compiles for longer than any test
//! waits.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lotmq_client::{Client, ConnectOptions, Publication, QoS};
use lotmq_test_support::{Broker, BrokerOptions, WAIT_MAX, eventually};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::options;

const COMMAND: &str = "$SYS/Coreflux/Command";

/// Calls whose results are on the operand stack at the same time. The compiler takes minutes for as
/// many.
const ENDLESS: usize = 200_000;

/// As many as take some seconds.
const LONG: usize = 6_000;

/// An unsigned number as WebAssembly writes it.
pub(crate) fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(number & 0x7f).unwrap();
        number >>= 7;
        bytes.push(if number > 0 { low | 0x80 } else { low });
        if number == 0 {
            return bytes;
        }
    }
}

pub(crate) fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [&[id], leb(content.len()).as_slice(), content].concat()
}

/// The example guest, with a core module whose one function keeps the results of so many calls
/// alive.
fn bomb(calls: usize) -> Vec<u8> {
    let small: &[u8] = &[0, 0x41, 1, 0x0b];
    let mut large = vec![0];
    large.extend([0x10, 0].repeat(calls));
    large.extend(vec![0x6a; calls - 1]);
    large.push(0x0b);
    let code = [vec![2], leb(small.len()), small.to_vec(), leb(large.len()), large];
    let module = [
        b"\0asm\x01\0\0\0".to_vec(),
        section(1, &[1, 0x60, 0, 1, 0x7f]),
        section(3, &[2, 0, 0]),
        section(10, &code.concat()),
    ];
    let mut component = STANDARD.decode(crate::modules::scale()).unwrap();
    component.extend(section(1, &module.concat()));
    component
}

fn add(name: &str, component: &[u8]) -> String {
    format!("-addModule {name} -world action wasm64:{}", STANDARD.encode(component))
}

/// A broker with its own code, so that nothing is found in a cache, and users who may add modules.
fn broker(options: BrokerOptions, users: &[&str]) -> Broker {
    let broker = options.own_code().start();
    let is_one = users.iter().map(|user| format!("USER IS \"{user}\"")).collect::<Vec<_>>().join(" OR ");
    for user in users {
        broker.command_ok(&format!("-addUser {user} pw"));
    }
    for scope in ["CommandCall", "ModuleManagementCreation", "PublishSys"] {
        broker.command_ok(&format!(
            "-addRule DEFINE RULE Of{scope} WITH PRIORITY 5 FOR {scope}\n    IF {is_one} THEN\n        ALLOW\n"
        ));
    }
    broker
}

/// A connection that gives commands and hears their replies.
fn commander(broker: &Broker, user: &str) -> Client {
    let mut client = broker.connect(&ConnectOptions::v5(format!("of {user}")).user(user, "pw"));
    client.subscribe_to("$SYS/Coreflux/Command/Output", QoS::AtLeastOnce).unwrap();
    client
}

fn give(client: &mut Client, command: &str) {
    let command = Publication::new(COMMAND, command).qos(QoS::AtLeastOnce);
    assert!(!client.publish(&command).unwrap().is_failure());
}

fn reply(client: &mut Client) -> Value {
    let message = client.receive(8 * WAIT_MAX).unwrap().expect("a reply");
    serde_json::from_str(&message.text()).unwrap()
}

fn code(reply: &Value) -> &str {
    reply["errors"][0]["code"].as_str().unwrap_or_default()
}

/// Process numbers of the workers of a broker.
pub(crate) fn workers(broker: &Broker) -> Vec<u32> {
    let of_broker = |entry: &Path| {
        let pid: u32 = entry.file_name()?.to_str()?.parse().ok()?;
        let stat = fs::read_to_string(entry.join("stat")).ok()?;
        let mut fields = stat.rsplit_once(") ")?.1.split(' ');
        let is_alive = fields.next()? != "Z";
        let parent: u32 = fields.next()?.parse().ok()?;
        // Until the program has begun, the process has everything of its parent.
        let has_begun = fs::read_to_string(entry.join("cmdline")).ok()?.contains("compile-worker");
        (is_alive && has_begun && parent == broker.process_id()).then_some(pid)
    };
    let entries = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    entries.filter_map(|entry| of_broker(&entry.path())).collect()
}

/// Waits until so many workers run, and returns them.
pub(crate) fn wait_for_workers(broker: &Broker, count: usize) -> Vec<u32> {
    let deadline = Instant::now() + WAIT_MAX;
    loop {
        let workers = workers(broker);
        if workers.len() == count {
            return workers;
        }
        assert!(Instant::now() < deadline, "{} workers, not {count}", workers.len());
        sleep(Duration::from_millis(5));
    }
}

/// Kills a worker, as the kernel does when the machine has no memory left.
pub(crate) fn kill(worker: u32) {
    let worker = rustix::process::Pid::from_raw(i32::try_from(worker).unwrap()).unwrap();
    rustix::process::kill_process(worker, rustix::process::Signal::KILL).unwrap();
}

/// Uploads in one part and returns the number of the upload.
fn upload(client: &mut Client, name: &str, component: &[u8]) -> String {
    let digest: String = Sha256::digest(component).iter().map(|byte| format!("{byte:02x}")).collect();
    give(client, &format!("-addModule {name} -world action -size {} -sha256 {digest}", component.len()));
    let data = reply(client)["data"].clone();
    let (topic, part) = (data["topic"].as_str().unwrap(), data["chunkSize"].as_u64().unwrap());
    for (number, bytes) in component.chunks(usize::try_from(part).unwrap()).enumerate() {
        client.publish(&Publication::new(format!("{topic}/{number}"), bytes).qos(QoS::AtLeastOnce)).unwrap();
    }
    data["uploadId"].as_str().unwrap().to_owned()
}

#[test]
fn cancelled_upload_ends_its_worker_and_holds_up_nobody_meanwhile() {
    let broker = broker(options(), &["eve", "ann"]);
    let mut eve = commander(&broker, "eve");
    let before = broker.resident_bytes();
    let id = upload(&mut eve, "bomb", &bomb(ENDLESS));
    let worker = wait_for_workers(&broker, 1)[0];
    // It has nothing open but its pipes, no variables, and does not outlive the broker.
    // The broker's starter may have left further pipes open, and the system's loader opens
    // libraries before the program begins.
    eventually("the worker has nothing open but pipes", || {
        let open = fs::read_dir(format!("/proc/{worker}/fd")).unwrap().filter_map(Result::ok);
        let mut open = open.filter_map(|entry| fs::read_link(entry.path()).ok());
        let is_harmless = |file: &str| file.starts_with("pipe:") || file == "/dev/null";
        open.all(|file| file.to_str().is_some_and(is_harmless)).then_some(())
    });
    assert!(fs::read(format!("/proc/{worker}/environ")).unwrap().is_empty());

    let mut ann = commander(&broker, "ann");
    give(&mut ann, &add("anns", &bomb(2)));
    assert_eq!(reply(&mut ann)["success"], true, "another user installs");
    broker.command_ok(&add("roots", &bomb(3)));
    assert_eq!(workers(&broker), [worker], "it compiles still");
    let status = broker.command_ok("-brokerStatus");
    assert_eq!(status.data()["compiling"][0]["owner"], "eve", "{status:?}");

    give(&mut eve, &format!("-cancelModuleUpload {id}"));
    // The command is answered at once, the upload when its worker has ended.
    let replies = [reply(&mut eve), reply(&mut eve)];
    assert!(replies.iter().any(|reply| code(reply) == "UPLOAD_CANCELLED"), "{replies:?}");
    wait_for_workers(&broker, 0);
    assert!(broker.resident_bytes() < before + (64 << 20), "{} {before}", broker.resident_bytes());
    // The place is free again at once.
    give(&mut eve, &add("good", &bomb(4)));
    assert_eq!(reply(&mut eve)["success"], true);
}

#[test]
fn administrators_install_while_users_hold_all_other_places() {
    let broker = broker(options(), &["eve", "mallory", "ann"]);
    for user in ["eve", "mallory"] {
        // Those of one user wait for each other.
        for name in ["first", "second", "third"] {
            let mut client = broker.connect(&ConnectOptions::v5(format!("{user} {name}")).user(user, "pw"));
            give(&mut client, &add(&format!("{user}{name}"), &bomb(ENDLESS)));
        }
    }
    wait_for_workers(&broker, 2);
    broker.command_ok(&add("roots", &bomb(3)));
    // A program that is large enough for a worker does not wait for modules.
    let lines = "    PUBLISH TOPIC \"o/\" + PAYLOAD WITH PAYLOAD + \"x\"\n".repeat(600);
    broker.command_ok(&format!("-addAction DEFINE ACTION Large\nON TOPIC \"i\" DO\n{lines}"));
    assert_eq!(workers(&broker).len(), 2);
    broker.command_ok("-removeUser mallory");
    wait_for_workers(&broker, 1);
    let mut ann = commander(&broker, "ann");
    give(&mut ann, &add("anns", &bomb(2)));
    assert_eq!(reply(&mut ann)["success"], true, "the place of a removed user is free");
}

#[test]
fn module_whose_code_is_cached_waits_for_no_worker() {
    let broker = broker(options(), &["eve", "mallory", "ann"]);
    let mut ann = commander(&broker, "ann");
    give(&mut ann, &add("first", &bomb(5)));
    assert_eq!(reply(&mut ann)["success"], true);
    for user in ["eve", "mallory"] {
        give(&mut commander(&broker, user), &add(user, &bomb(ENDLESS)));
    }
    let compiling = wait_for_workers(&broker, 2);
    give(&mut ann, &add("second", &bomb(5)));
    let replied = reply(&mut ann);
    assert_eq!(replied["success"], true, "{replied}");
    // Its stored bytes are looked up in parts.
    give(&mut ann, "-grantModule second -grant read:q/#");
    let replied = reply(&mut ann);
    assert_eq!(replied["success"], true, "{replied}");
    assert_eq!(workers(&broker), compiling, "both places are still taken");
}

#[test]
fn compilation_ends_when_its_user_is_removed() {
    let broker = broker(options(), &["eve"]);
    let mut eve = commander(&broker, "eve");
    give(&mut eve, &add("bomb", &bomb(ENDLESS)));
    wait_for_workers(&broker, 1);
    broker.command_ok("-removeUser eve");
    wait_for_workers(&broker, 0);
}

#[test]
fn compilation_ends_with_the_broker() {
    for is_killed in [false, true] {
        let mut broker = broker(options(), &["eve"]);
        let mut eve = commander(&broker, "eve");
        give(&mut eve, &add("bomb", &bomb(ENDLESS)));
        let worker = wait_for_workers(&broker, 1)[0];
        if is_killed {
            broker.kill();
        } else {
            broker.stop();
        }
        let deadline = Instant::now() + WAIT_MAX;
        while Path::new(&format!("/proc/{worker}/exe")).exists() {
            assert!(Instant::now() < deadline, "the worker outlives its broker");
            sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn compilation_beyond_its_bounds_of_time_or_memory_is_refused_with_the_bound() {
    for (variable, value, expected, figure) in [
        ("LOTMQ_MODULES_COMPILE_TIME_SEC", "1", "COMPILE_TIMEOUT", "more than 1 s of processor time"),
        ("LOTMQ_MODULES_COMPILE_MEMORY", "67108864", "COMPILE_MEMORY", "more than 64 MiB"),
    ] {
        let broker = broker(options().variable(variable, value), &["eve"]);
        let mut eve = commander(&broker, "eve");
        give(&mut eve, &add("bomb", &bomb(ENDLESS)));
        let refused = reply(&mut eve);
        assert_eq!(code(&refused), expected, "{refused}");
        assert!(refused["message"].as_str().unwrap().contains(figure), "{refused}");
        assert!(workers(&broker).is_empty());
        give(&mut eve, &add("good", &bomb(2)));
        assert_eq!(reply(&mut eve)["success"], true, "the next one is compiled");
    }
}

#[test]
fn worker_that_is_killed_from_outside_fails_its_command_and_no_other() {
    let broker = broker(options(), &["eve"]);
    let mut eve = commander(&broker, "eve");
    give(&mut eve, &add("bomb", &bomb(ENDLESS)));
    kill(wait_for_workers(&broker, 1)[0]);
    let refused = reply(&mut eve);
    assert_eq!(code(&refused), "COMPILE_FAILED", "{refused}");
    assert!(refused["message"].as_str().unwrap().contains("signal 9"), "{refused}");
    give(&mut eve, &add("good", &bomb(LONG)));
    assert_eq!(reply(&mut eve)["success"], true);
}

/// Nobody but the broker gives a worker jobs; whatever comes, it ends with an error and without a
/// panic.
#[test]
fn worker_that_reads_garbage_ends_with_an_error() {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    let own = std::process::id().to_string();
    for (arguments, input) in [
        (vec![], &b""[..]),
        (vec!["1", "2"], b""),
        (vec![own.as_str(), "60", "1073741824"], b""),
        (vec![own.as_str(), "60", "1073741824"], b"garbage garbage garbage garbage"),
        (
            vec![own.as_str(), "60", "1073741824"],
            b"LQC1\x01\0\0\0\0\0\0\x04\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff",
        ),
        (vec!["999999999", "60", "1073741824"], b""),
    ] {
        let mut command = Command::new(crate::LOTMQ);
        command.arg("compile-worker").args(&arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let _ = child.stdin.take().unwrap().write_all(input);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?} {said}");
        assert!(output.stdout.is_empty());
        assert!(said.starts_with("compile worker: ") && said.lines().count() == 1, "{said}");
    }
}
