//! `-backup`, `-restoreBackup`, `lotmq backup`, `lotmq restore`: under load, into another broker,
//! refused, killed in the middle.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lotmq_client::{
    Client, ClientError, ConnectOptions, PropertyId, PropertyValue, ProtocolVersion, Publication, QoS,
    ReasonCode,
};
use lotmq_test_support::{Broker, Finished, Program, Reply, WAIT_MAX};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::disk::Sick;
use crate::small_disk::SmallDisk;
use crate::{LOTMQ, broker, options};

/// Options that leave only the configuration in a backup.
const CONFIGURATION: [&str; 2] = ["--without-retained", "--without-sessions"];

const ACTION: &str =
    "-addAction DEFINE ACTION Echo\nON TOPIC \"in/+\" DO\n    PUBLISH TOPIC \"out\" WITH PAYLOAD";

/// Runs `lotmq backup` or `lotmq restore` as the root of a new broker.
fn run(verb: &str, broker: &Broker, file: &Path, options: &[&str]) -> Finished {
    let (port, file) = (broker.port(), file.to_str().unwrap());
    Program::run(LOTMQ, &[&[verb, file, "-p", &port], options].concat()).unwrap()
}

pub(crate) fn run_ok(verb: &str, broker: &Broker, file: &Path, options: &[&str]) -> String {
    let finished = run(verb, broker, file, options);
    assert_eq!(finished.status.code(), Some(0), "{verb}: {}", finished.stderr);
    finished.stdout
}

fn durable(client_id: &str) -> ConnectOptions {
    ConnectOptions::new(client_id).version(ProtocolVersion::V5).session_expiry(3600).clean_start(false)
}

fn zip64(file: &Path) -> String {
    format!("-restoreBackup zip64:{}", STANDARD.encode(std::fs::read(file).unwrap()))
}

/// Waits until the broker has closed the connection; the reason of its DISCONNECT.
fn end_of(client: &mut Client) -> ReasonCode {
    loop {
        match client.receive(WAIT_MAX) {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the connection does not end"),
            Err(ClientError::Disconnected { reason, .. }) => return reason,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Restores by the command and waits until the broker is back.
fn restore(broker: &Broker, file: &Path) -> Reply {
    let mut client = broker.connect(&durable("restorer").user("root", "coreflux"));
    let reply = broker.command_ok(&zip64(file));
    assert_eq!(end_of(&mut client), ReasonCode::ServerShuttingDown);
    until_back(broker);
    reply
}

pub(crate) fn until_back(broker: &Broker) {
    lotmq_test_support::eventually("the broker is back", || {
        Client::connect(broker.address(), &ConnectOptions::new("").user("root", "coreflux")).ok()
    });
}

fn state(broker: &Broker) -> Value {
    broker.command_ok("-restoreBackup").data()["state"].clone()
}

fn environment(broker: &Broker) -> String {
    broker.command_ok("-listEnv").data().to_string()
}

/// Returns the numbers that an offline session has received so far.
fn queue(broker: &Broker, client_id: &str) -> Vec<u64> {
    let mut client = broker.connect(&durable(client_id));
    assert!(client.session_present());
    client.publish(&Publication::new("load/end", "end").qos(QoS::AtLeastOnce)).unwrap();
    let mut found = Vec::new();
    loop {
        let message = client.receive(WAIT_MAX).unwrap().expect("the end comes");
        match message.text().parse() {
            Ok(number) => found.push(number),
            Err(_) => return found,
        }
    }
}

/// Sets the flag when it is dropped.
struct OnDrop<'a>(&'a AtomicBool);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

#[test]
fn a_backup_under_load_has_what_was_acknowledged_before_and_serves_in_another_broker() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("load.zip");
    let source = broker();
    source.command_ok(ACTION);
    source.command_ok("-setEnv SITE=north");
    source.command_ok("-addUser bob s3cret");
    source.command_ok("-setSecret TOKEN=hidden");
    let mut sleeper = source.connect(&durable("sleeper"));
    sleeper.subscribe_to("load/#", QoS::AtLeastOnce).unwrap();
    sleeper.disconnect().unwrap();
    let mut client = source.client("r");
    client.publish(&Publication::new("kept", "7").retained().qos(QoS::AtLeastOnce)).unwrap();
    let (acknowledged, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    let before = std::thread::scope(|scope| {
        // Also when an assertion below fails: the scope waits for the publisher.
        let over = OnDrop(&is_over);
        scope.spawn(|| {
            let mut publisher = source.client("p");
            for number in 1_u64.. {
                let message = Publication::new("load/n", number.to_string()).qos(QoS::AtLeastOnce);
                publisher.publish(&message).unwrap();
                acknowledged.store(number, SeqCst);
                if is_over.load(SeqCst) {
                    return;
                }
            }
        });
        let at_least = |number: u64| {
            lotmq_test_support::eventually("messages are acknowledged", || {
                (acknowledged.load(SeqCst) >= number).then_some(())
            });
        };
        at_least(200);
        let before = acknowledged.load(SeqCst);
        let told = run_ok("backup", &source, &file, &[]);
        assert!(told.contains("load.zip: ") && told.contains("sessions with what waits"), "{told}");
        at_least(acknowledged.load(SeqCst) + 50);
        drop(over);
        before
    });
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    let target = broker();
    let mut watcher = target.client("watcher");
    let said = run_ok("restore", &target, &file, &["--yes"]);
    assert!(said.contains("is good") && said.contains("A backup was restored at"), "{said}");
    assert!(said.contains("does not open these secrets: TOKEN"), "{said}");
    watcher.receive(WAIT_MAX).unwrap_err();
    let queued = queue(&target, "sleeper");
    assert!(queued.len() as u64 >= before, "{} messages, {before} were acknowledged", queued.len());
    assert!(queued.iter().copied().eq(1..=queued.len() as u64), "in order, none missing, none twice");
    assert!(environment(&target).contains("north"));
    target.connect(&ConnectOptions::new("bob").user("bob", "s3cret"));
    let mut client = target.client("c");
    client.subscribe_to("kept", QoS::AtMostOnce).unwrap();
    assert_eq!(client.receive(WAIT_MAX).unwrap().unwrap().text(), "7");
    client.subscribe_to("out", QoS::AtMostOnce).unwrap();
    client.publish(&Publication::new("in/1", "hello")).unwrap();
    assert_eq!(client.receive(WAIT_MAX).unwrap().unwrap().text(), "hello");

    // The same file of a stopped broker's folder.
    let data = place.path().join("offline");
    let arguments = ["store", "import", file.to_str().unwrap(), "--data", data.to_str().unwrap()];
    assert_eq!(Program::run(LOTMQ, &arguments).unwrap().status.code(), Some(0));
    assert!(environment(&options().data(&data).start()).contains("north"));
}

#[test]
fn a_restore_replaces_what_is_in_the_backup_and_keeps_the_rest() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("b.zip");
    let mut broker = broker();
    broker.command_ok("-setEnv SITE=old");
    let mut sleeper = broker.connect(&durable("sleeper"));
    sleeper.subscribe_to("load/#", QoS::AtLeastOnce).unwrap();
    sleeper.disconnect().unwrap();
    run_ok("backup", &broker, &file, &CONFIGURATION);
    broker.command_ok("-setEnv SITE=new");
    let mut client = broker.client("c");
    for number in 1..=3 {
        let message = Publication::new("load/n", number.to_string()).qos(QoS::AtLeastOnce).retained();
        client.publish(&message).unwrap();
    }
    let reply = restore(&broker, &file);
    assert_eq!(reply.data()["kept"], json!(["retained", "sessions"]));
    assert_eq!(reply.data()["parts"], json!(["configuration", "secrets"]));
    assert!(environment(&broker).contains("old"));
    assert_eq!(queue(&broker, "sleeper"), [1, 2, 3]);
    let mut client = broker.client("c");
    client.subscribe_to("load/n", QoS::AtMostOnce).unwrap();
    assert_eq!(client.receive(WAIT_MAX).unwrap().unwrap().text(), "3");
    assert_eq!(state(&broker), "restored");
    assert_eq!(broker.http("/health").status, 200);
    assert!(broker.data().join("lotmq.redb.before-restore").exists());
    assert!(!broker.data().join("lotmq.redb.restore").exists());
    for round in 0..3 {
        broker.command_ok(&format!("-setEnv SITE=round{round}"));
        restore(&broker, &file);
        assert!(environment(&broker).contains("old"));
    }
    broker.kill();
    broker.start_again();
    assert!(environment(&broker).contains("old"));
    assert_eq!(state(&broker), "none");
}

#[test]
fn a_backup_has_the_errors_of_the_last_moments() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("errors.zip");
    let broker = broker();
    let last_error = |name: &str| {
        let reply = broker.command_ok(&format!("-lotDiagnostic action {name}"));
        reply.data()["lastError"]["code"].as_str().map(str::to_owned)
    };
    let mut sender = broker.client("sender");
    // The first one is stored soon, those after it only every ten minutes.
    for name in ["First", "Second"] {
        broker.command_ok(&format!(
            "-addAction DEFINE ACTION {name}\nON TOPIC \"{name}\" DO\n    PUBLISH TOPIC \"out\" WITH 1 / PAYLOAD"
        ));
        sender.publish(&Publication::new(name, "0").qos(QoS::AtLeastOnce)).unwrap();
        lotmq_test_support::eventually("the error", || last_error(name));
    }
    run_ok("backup", &broker, &file, &[]);
    restore(&broker, &file);
    assert_eq!(["First", "Second"].map(last_error), [(); 2].map(|()| Some("LOT602".to_owned())));
}

#[test]
fn bad_backup_is_rejected_without_interrupting_clients() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("b.zip");
    let broker = broker();
    run_ok("backup", &broker, &file, &[]);
    let good = std::fs::read(&file).unwrap();
    let mut watcher = broker.client("watcher");
    broker.command_ok("-setEnv SITE=stays");
    let middle = good.len() / 2;
    // Inside the stream of the store. Times in the headers of members are not looked at.
    let mut flipped = good.clone();
    flipped[good.len() / 4] ^= 1;
    for (bytes, codes) in [
        (b"hello".to_vec(), ["BACKUP_FOREIGN"].as_slice()),
        (good[..middle].to_vec(), &["BACKUP_FOREIGN"]),
        (flipped, &["BACKUP_DAMAGED", "BACKUP_FOREIGN"]),
    ] {
        let reply = broker.command(&format!("-restoreBackup zip64:{}", STANDARD.encode(bytes)));
        assert!(codes.contains(&reply.code()), "{reply:?}");
    }
    assert_eq!(broker.command("-restoreBackup zip64:%").code(), "BASE64_INVALID");
    assert_eq!(broker.command("-restoreBackup x.zip").code(), "ARGUMENT_INVALID");
    watcher.ping().unwrap();
    assert!(environment(&broker).contains("stays"));
    assert!(!broker.data().join("lotmq.redb.restore").exists());
    let again = run("backup", &broker, &file, &[]);
    assert!(again.stderr.contains("is not overwritten"), "{}", again.stderr);
    std::fs::write(&file, "x").unwrap();
    assert_eq!(run("restore", &broker, &file, &["-y"]).status.code(), Some(1));
    let memory = options().variable("LOTMQ_STORE_DURABILITY", "none").start();
    std::fs::write(&file, &good).unwrap();
    let unasked = run("restore", &broker, &file, &[]);
    assert_eq!(unasked.status.code(), Some(1), "{}", unasked.stdout);
    let asks = format!("what the broker at 127.0.0.1:{} has of users and passwords, ", broker.port());
    assert!(unasked.stderr.contains(&asks), "{}", unasked.stderr);
    assert!(unasked.stderr.contains("Nothing was changed; --yes goes on"), "{}", unasked.stderr);
    assert!(environment(&broker).contains("stays"));
    assert_eq!(memory.command(&zip64(&file)).code(), "STORE_IN_MEMORY");
    run_ok("backup", &memory, &place.path().join("memory.zip"), &["--without-retained"]);
}

#[test]
fn a_backup_is_for_root_who_is_subscribed_and_for_nobody_else() {
    let broker = broker();
    assert_eq!(broker.command("-backup b").code(), "NOT_SUBSCRIBED");
    for name in ["../b", ".b", "a/b", "a+b", &"a".repeat(65)] {
        assert_eq!(broker.command(&format!("-backup {name}")).code(), "BACKUP_NAME_INVALID", "{name}");
    }
    assert_eq!(broker.command("-backup b -everything").code(), "ARGUMENT_INVALID");
    assert_eq!(broker.command("-backup b c").code(), "TOO_MANY_ARGUMENTS");
    broker.command_ok("-addUser eve s3cret");
    broker.command_ok("-changeUserSettings eve AllowedSystemConfiguration true");
    let mut eve = broker.connect(&ConnectOptions::new("eve").user("eve", "s3cret"));
    eve.subscribe_to("$SYS/#", QoS::AtLeastOnce).unwrap();
    eve.publish(&Publication::new("$SYS/Coreflux/Command", "-backup b -requestId e")).unwrap();
    let denied = loop {
        let message = eve.receive(WAIT_MAX).unwrap().unwrap();
        if message.topic.ends_with("/Output") {
            break message.text();
        }
    };
    assert!(denied.contains("PERMISSION_DENIED"), "{denied}");

    // A client that takes small packets gets many of them; eve, who may read the tree, gets none.
    let small = ConnectOptions::new("small").user("root", "coreflux").version(ProtocolVersion::V5);
    let small = small.property(PropertyId::MaximumPacketSize, PropertyValue::FourByte(2048));
    let mut root = broker.connect(&ConnectOptions { max_packet_size: 2048, ..small });
    root.subscribe_to("$SYS/Coreflux/Backup/+/download", QoS::AtLeastOnce).unwrap();
    root.subscribe_to("$SYS/Coreflux/Command/Output", QoS::AtLeastOnce).unwrap();
    root.publish(&Publication::new("$SYS/Coreflux/Command", "-backup b -requestId r")).unwrap();
    let mut zip = Vec::new();
    let reply = loop {
        let message = root.receive(WAIT_MAX).unwrap().unwrap();
        let value: Value = serde_json::from_slice(&message.payload).unwrap();
        if message.topic.ends_with("/Output") {
            break value;
        }
        assert_eq!(message.topic, "$SYS/Coreflux/Backup/b/download");
        zip.extend(STANDARD.decode(value["data"].as_str().unwrap()).unwrap());
    };
    assert_eq!(
        (reply["success"].as_bool(), reply["data"]["bytes"].as_u64()),
        (Some(true), Some(zip.len() as u64))
    );
    assert!(reply["data"]["chunks"].as_u64() > Some(1), "{reply}");
    assert!(reply["data"]["tables"]["users"]["rows"].as_u64() == Some(2), "{reply}");
    eve.ping().unwrap();
    while let Some(message) = eve.receive(Duration::ZERO).unwrap() {
        assert!(!message.topic.contains("/Backup/"), "{}", message.topic);
    }
}

#[test]
fn kill_9_during_a_restore_leaves_the_old_store_or_the_new_one() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("b.zip");
    let source = broker();
    source.command_ok("-setEnv SITE=restored");
    run_ok("backup", &source, &file, &CONFIGURATION);
    for (point, expected, told) in [
        ("staged", "present", "none"),
        ("kept", "present", "none"),
        ("linked", "present", "none"),
        ("renamed", "restored", "none"),
        // The end of a start on the new store may be a panic, so the next one takes the old store.
        ("started", "present", "failed"),
    ] {
        let data = place.path().join(point);
        let mut faulty =
            options().data(&data).variable("LOTMQ_STORE_FAULT", &format!("kill-at-{point}")).start();
        faulty.command_ok("-setEnv SITE=present");
        let mut sleeper = faulty.connect(&durable("sleeper"));
        sleeper.subscribe_to("load/#", QoS::AtLeastOnce).unwrap();
        sleeper.disconnect().unwrap();
        faulty.client("c").publish(&Publication::new("load/n", "1").qos(QoS::AtLeastOnce)).unwrap();
        let mut root = faulty.root("r");
        let command = Publication::new("$SYS/Coreflux/Command", zip64(&file)).qos(QoS::AtLeastOnce);
        // It may not be acknowledged any more.
        let _ = root.publish(&command);
        assert_eq!(faulty.wait_for_end().code(), None, "{point}: it was killed");
        let broker = options().data(&data).start();
        assert!(environment(&broker).contains(expected), "{point}");
        assert_eq!(queue(&broker, "sleeper"), [1], "{point}");
        assert_eq!(state(&broker), told, "{point}");
        for left in ["lotmq.redb.restore", "lotmq.redb.restored"] {
            assert!(!data.join(left).exists(), "{point}: {left}");
        }
    }
}

#[test]
fn a_restored_store_that_cannot_be_opened_gives_way_to_the_former_one() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("b.zip");
    let broker = options().variable("LOTMQ_STORE_FAULT", "spoil-restored").start();
    broker.command_ok("-setEnv SITE=old");
    run_ok("backup", &broker, &file, &[]);
    broker.command_ok("-setEnv SITE=new");
    let finished = run("restore", &broker, &file, &["-y"]);
    assert_eq!(finished.status.code(), Some(1), "{}", finished.stderr);
    assert!(finished.stdout.contains("The last restore failed, nothing has changed"), "{}", finished.stdout);
    assert!(environment(&broker).contains("new"));
    assert_eq!(state(&broker), "failed");
}

/// Gives a command and returns its code; empty when it was done.
fn code_of(client: &mut Client, command: &str) -> String {
    let request = client.client_id().to_owned();
    client.subscribe_to("$SYS/Coreflux/#", QoS::AtLeastOnce).unwrap();
    let payload = format!("{command} -requestId {request}");
    client.publish(&Publication::new("$SYS/Coreflux/Command", payload).qos(QoS::AtLeastOnce)).unwrap();
    loop {
        let message = client.receive(WAIT_MAX).unwrap().unwrap();
        if !message.topic.ends_with("/Output") {
            continue;
        }
        let reply: Value = serde_json::from_slice(&message.payload).unwrap();
        if reply["requestId"] == *request {
            return reply["errors"][0]["code"].as_str().unwrap_or_default().to_owned();
        }
    }
}

#[test]
fn one_backup_or_restore_at_a_time() {
    let sick = Sick::new();
    let broker = &sick.broker;
    let mut keeper = broker.connect(&durable("keeper"));
    keeper.subscribe_to("q", QoS::AtLeastOnce).unwrap();
    let mut publisher = broker.client("publisher");
    // The store's thread waits for the disk, and who wants to read the store waits for the thread.
    sick.becomes("hang");
    publisher.send_publish(&Publication::new("q", "1").qos(QoS::AtLeastOnce)).unwrap();
    let (sender, codes) = std::sync::mpsc::channel();
    let mut threads = Vec::new();
    for client_id in ["one", "two"] {
        let mut root = broker.root(client_id);
        let sender = sender.clone();
        threads.push(std::thread::spawn(move || {
            sender.send(code_of(&mut root, &format!("-backup {client_id}")))
        }));
    }
    assert_eq!(codes.recv_timeout(WAIT_MAX).unwrap(), "BUSY", "whoever comes second");
    assert_eq!(broker.command("-restoreBackup zip64:AAAA").code(), "BUSY");
    sick.heals();
    assert_eq!(codes.recv_timeout(WAIT_MAX).unwrap(), "", "the first one gets its backup");
    for thread in threads {
        thread.join().unwrap().unwrap();
    }
    assert_eq!(code_of(&mut broker.root("three"), "-backup three"), "", "the next one may begin");
}

#[test]
fn without_space_neither_a_backup_nor_a_restore_begins() {
    let Some(disk) = SmallDisk::with_megabytes(64) else { return };
    let source = broker();
    let file = tempfile::tempdir().unwrap();
    let file = file.path().join("b.zip");
    run_ok("backup", &source, &file, &[]);
    let full = options().data(&disk.path().join("data")).start();
    full.command_ok("-setEnv SITE=north");
    // A backup leaves 64 MiB free, which this disk never had.
    assert_eq!(code_of(&mut full.root("r"), "-backup b"), "NO_SPACE");
    let refused = run("backup", &full, &file.with_extension("2"), &[]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(refused.stderr.contains("bytes are free"), "{}", refused.stderr);
    assert!(!file.with_extension("2").exists(), "no half backup is left");
    let reply = full.command(&zip64(&file));
    assert_eq!(reply.code(), "NO_SPACE", "{reply:?}");
    assert!(environment(&full).contains("north"), "nothing has changed");
    let left: Vec<_> =
        std::fs::read_dir(full.data()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name == "lotmq.redb.restore"), "{left:?}");
}

#[test]
fn a_backup_that_no_packet_holds_is_restored_in_parts() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("large.zip");
    let broker = options().variable("LOTMQ_LISTENER_MQTT_MAX_PACKET_SIZE", "65536").start();
    let mut client = broker.root("noise");
    // Nothing that shrinks.
    let mut digest = vec![7; 32];
    for number in 0..10 {
        let mut noise = Vec::new();
        while noise.len() < 30_000 {
            digest = Sha256::digest(&digest).to_vec();
            noise.extend_from_slice(&digest);
        }
        let noise = Publication::new(format!("noise/{number}"), noise).qos(QoS::AtLeastOnce).retained();
        client.publish(&noise).unwrap();
    }
    broker.command_ok("-setEnv BEFORE=1");
    let port = broker.port();
    let tool = |arguments: &[&str]| Program::run(LOTMQ, &[arguments, &["-p", &port]].concat()).unwrap();
    let name = file.to_str().unwrap();
    let taken = tool(&["backup", name]);
    assert!(taken.status.success() && std::fs::metadata(&file).unwrap().len() > 200_000, "{taken:?}");
    broker.command_ok("-setEnv BEFORE=2");
    let refused = broker.command("-restoreBackup part:2/2 zip64:AAAA");
    assert_eq!(refused.code(), "BACKUP_PART");
    let restored = tool(&["restore", name, "--yes"]);
    assert!(restored.status.success(), "{restored:?}");
    assert!(environment(&broker).contains("\"1\""), "{}", environment(&broker));
}
