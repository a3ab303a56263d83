//! Downloads from a broker whose disk is full or fails: the files of a project, a backup, the
//! records of the audit.

use std::collections::BTreeSet;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lotmq_client::{Client, ConnectOptions, Publication, QoS};
use lotmq_test_support::{Broker, Program, WAIT_MAX, eventually};
use serde_json::Value;

use crate::disk::Sick;
use crate::projects::zip;
use crate::small_disk::SmallDisk;
use crate::{LOTMQ, options};

/// Files that do not compress to nothing.
fn archive() -> Vec<u8> {
    let noise: Vec<u8> = (0..300_000_u32).flat_map(|n| n.wrapping_mul(0x9e37_79b9).to_le_bytes()).collect();
    zip(&[("noise.bin", &noise)])
}

fn fill_with_something(broker: &Broker, archive: &[u8]) {
    assert!(broker.command(&format!("-addProject zip64:{} plant", STANDARD.encode(archive))).success());
    broker.command_ok("-addUser bob s3cret-pump");
}

/// Runs a command as `root`, and returns the bytes that it sends to a topic and its reply.
fn ask(client: &mut Client, topic: &str, command: &str) -> (Vec<u8>, Value) {
    for filter in [topic, "$SYS/Coreflux/Command/Output"] {
        assert!(!client.subscribe_to(filter, QoS::AtLeastOnce).unwrap().is_failure());
    }
    let request = format!("{}-{command}", client.client_id()).replace(' ', "-");
    let text = format!("{command} -requestId {request}");
    client.publish(&Publication::new("$SYS/Coreflux/Command", text).qos(QoS::AtLeastOnce)).unwrap();
    let mut sent = Vec::new();
    loop {
        let message = client.receive(WAIT_MAX).unwrap().expect("a reply comes");
        if message.topic == topic {
            sent.extend_from_slice(&message.payload);
            continue;
        }
        let reply: Value = serde_json::from_slice(&message.payload).unwrap();
        if reply["requestId"] == *request {
            return (sent, reply);
        }
    }
}

fn project(client: &mut Client) -> (Vec<u8>, Value) {
    ask(client, "$SYS/Coreflux/Projects/plant/download", "-getProject plant")
}

fn backup(client: &mut Client) -> (Vec<u8>, Value) {
    ask(client, "$SYS/Coreflux/Backup/b/download", "-backup b -retained -sessions")
}

fn code(reply: &Value) -> &str {
    reply["errors"][0]["code"].as_str().unwrap_or_default()
}

/// Whether everything is handed out, and the records are in the file of this name.
fn hands_out_all(broker: &Broker, archive: &[u8], file: &str) {
    let mut root = broker.root(file);
    let (files, reply) = project(&mut root);
    assert_eq!(code(&reply), "", "{reply}");
    assert!(STANDARD.decode(files).unwrap() == archive, "byte for byte");
    let (chunks, reply) = backup(&mut root);
    assert_eq!(code(&reply), "", "{reply}");
    assert!(chunks.starts_with(br#"{"seq":1,"#));
    let reply = broker.command(&format!("-decryptAudit |{file}"));
    assert_eq!(reply.code(), "", "{reply:?}");
    let text = std::fs::read_to_string(broker.data().join("files/default").join(file)).unwrap();
    assert!(text.contains(r#""verb":"addUser","target":"bob""#), "{text}");
}

#[test]
fn downloads_succeed_while_the_disk_fails() {
    let archive = archive();
    for state in ["full", "read-only", "write-eio", "sync-eio"] {
        let mut sick = Sick::new();
        fill_with_something(&sick.broker, &archive);
        sick.becomes(state);
        assert!(!sick.broker.command("-setEnv FOUND=out").success(), "{state}");
        // The store is opened again every now and then meanwhile, which none of them may stand in
        // the way of.
        for round in 0..4 {
            hands_out_all(&sick.broker, &archive, &format!("{state}-{round}.jsonl"));
        }
        sick.heals();
        sick.wait_until_healthy();
        sick.broker.command_ok("-addUser ada lovelace-1815");
        sick.broker.kill();
        sick.broker.start_again();
        assert_eq!(sick.broker.command_ok("-auditStatus").data()["intact"], true, "{state}");
        hands_out_all(&sick.broker, &archive, &format!("{state}-after.jsonl"));
    }
}

/// The reader gets an error, and takes no thread from others. A user has two threads that wait, and
/// here are twice as many commands. Some therefore wait for the 20 s of others, too.
#[test]
fn downloads_fail_during_a_disk_hang_and_other_commands_succeed() {
    let archive = archive();
    let sick = Sick::new();
    fill_with_something(&sick.broker, &archive);
    let mut waiting = sick.broker.root("waiting");
    sick.becomes("hang");
    waiting
        .publish(&Publication::new("$SYS/Coreflux/Command", "-setEnv SITE=1").qos(QoS::AtLeastOnce))
        .unwrap();
    let asked: Vec<_> = (0..4)
        .map(|number| {
            let mut root = sick.broker.root(&format!("root-{number}"));
            std::thread::spawn(move || if number == 0 { backup(&mut root).1 } else { project(&mut root).1 })
        })
        .collect();
    for reply in asked {
        let reply = reply.join().unwrap();
        assert_eq!(code(&reply), "STORE_FAILED", "{reply}");
        let message = reply["message"].as_str().unwrap();
        let is_told =
            message.contains("the disk has not answered for 20 s") || message.contains("wait for the disk");
        assert!(is_told, "{message}");
    }
    assert_eq!(sick.broker.command("-listUsers").0["success"], true);
    sick.heals();
    eventually("the store answers", || {
        code(&project(&mut sick.broker.root("later")).1).is_empty().then_some(())
    });
    hands_out_all(&sick.broker, &archive, "after.jsonl");
}

#[test]
fn full_disk_is_reported_and_commands_succeed_once_space_is_free() {
    let Some(disk) = SmallDisk::with_megabytes(160) else { return };
    let archive = archive();
    let mut broker = options().data(&disk.path().join("data")).start();
    fill_with_something(&broker, &archive);
    // Something for each file to be written that is more than what a block has left.
    hands_out_all(&broker, &archive, "before.jsonl");
    let filler = disk.fill();
    // The file has room for some; commands are not held back from the reserve, as clients are.
    let upload = format!("-addProject zip64:{} filling", STANDARD.encode(&archive));
    let codes = (0..200).map(|number| broker.command(&format!("{upload}-{number}")).code().to_owned());
    assert_eq!(codes.into_iter().find(|code| !code.is_empty()).as_deref(), Some("NO_SPACE"));
    eventually("the store says so", || (broker.http("/health").status == 503).then_some(()));
    for round in 0..4 {
        let mut root = broker.root("root");
        let (files, reply) = project(&mut root);
        assert_eq!(code(&reply), "", "{reply}");
        assert!(STANDARD.decode(files).unwrap() == archive, "byte for byte");
        let (chunks, reply) = backup(&mut root);
        assert_eq!((code(&reply), chunks.len()), ("NO_SPACE", 0), "{reply}");
        assert_eq!(reply["message"], "Not enough space for it: 0 bytes are free.");
        let reply = broker.command(&format!("-decryptAudit |round-{round}.jsonl"));
        assert_eq!(reply.code(), "NO_SPACE", "{reply:?}");
        let left: Vec<_> = std::fs::read_dir(broker.data().join("files/default"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left, ["before.jsonl"], "no half file is left");
    }
    std::fs::remove_file(filler).unwrap();
    eventually("the store works", || (broker.http("/health").status == 200).then_some(()));
    broker.command_ok("-addUser ada lovelace-1815");
    hands_out_all(&broker, &archive, "round-0.jsonl");
    broker.kill();
    broker.start_again();
    assert_eq!(broker.command_ok("-auditStatus").data()["intact"], true);
    hands_out_all(&broker, &archive, "after.jsonl");
    let users = broker.command_ok("-listUsers").data().to_string();
    assert!(users.contains("bob") && users.contains("ada"), "{users}");
}

/// The bound for all sessions is larger than this disk, so shares refer to the space that exists.
#[test]
fn nobody_fills_a_small_disk_with_what_waits_for_him() {
    const BYTES: usize = 16 << 10;
    let Some(disk) = SmallDisk::with_megabytes(200) else { return };
    let broker = options().data(&disk.path().join("data")).start();
    let session =
        |name: &str| ConnectOptions::v5(name).user(name, "password").clean_start(false).session_expiry(3_600);
    for name in ["ann", "bob"] {
        broker.command_ok(&format!("-addUser {name} password"));
        let mut client = broker.connect(&session(name));
        client.subscribe_to(name, QoS::AtLeastOnce).unwrap();
        client.disconnect().unwrap();
    }
    let mut publisher = broker.connect(&ConnectOptions::v5("publisher"));
    let mut publish = |topic: &str| {
        let message = Publication::new(topic, vec![b'x'; BYTES]).qos(QoS::AtLeastOnce);
        !publisher.publish(&message).unwrap().is_failure()
    };
    let reached = |limit: &str| broker.metric(&format!("lotmq_limit_reached_total{{limit=\"{limit}\"}}"));
    for _ in 0..200 {
        // Of a look at the disk that comes late, what may be stored until then is used up.
        (0..50).for_each(|_| eventually("the disk is looked at", || publish("ann").then_some(())));
        if reached("stored_queue_bytes").is_some_and(|times| times > 0.0) {
            break;
        }
    }
    assert!(reached("stored_queue_bytes").unwrap() > 0.0, "she has all that there may be");
    assert!((0..100).all(|_| publish("bob")), "there is room for his");
    let mut bob = broker.connect(&session("bob"));
    for number in 0..100 {
        assert!(bob.receive(WAIT_MAX).unwrap().is_some(), "message {number}");
    }
    assert_eq!(reached("disk_reserve_bytes").unwrap_or_default(), 0.0);
}

#[test]
fn a_backup_to_a_full_disk_of_the_one_who_asks_leaves_no_file() {
    let Some(disk) = SmallDisk::new() else { return };
    let broker = options().start();
    fill_with_something(&broker, &archive());
    let file = disk.path().join("b.zip");
    let arguments = ["backup", file.to_str().unwrap(), "-p", &broker.port()];
    let failed = Program::run(LOTMQ, &arguments).unwrap();
    assert_eq!(failed.status.code(), Some(1), "{failed:?}");
    assert!(failed.stderr.contains("bytes, and the disk has"), "{}", failed.stderr);
    assert_eq!(std::fs::read_dir(disk.path()).unwrap().count(), 0, "no half backup is left");
    broker.command_ok("-addUser ada lovelace-1815");
}

/// Cached native code has files, too: the one of this Action is a pipe that nobody writes to, which
/// is what a disk that hangs looks like.
#[test]
fn uploads_go_on_while_the_files_of_cached_code_hang() {
    let broker = options().own_code().start();
    let upload = "-addAction DEFINE ACTION Echo\nON TOPIC \"in\" DO\n    PUBLISH TOPIC \"out\" WITH PAYLOAD";
    let files = || -> BTreeSet<PathBuf> {
        let entries = std::fs::read_dir(broker.data().join("cache")).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    };
    let before = files();
    broker.command_ok(upload);
    let cached = files().difference(&before).next().expect("it is cached").clone();
    std::fs::remove_file(&cached).unwrap();
    Program::run("mkfifo", &[cached.to_str().unwrap()]).unwrap();
    // Code that is in memory needs no file.
    broker.command_ok("-removeAction Echo");
    // More than there are threads for commands.
    std::thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| broker.command_ok(upload));
        }
        broker.command_ok("-listUsers");
    });
    let other = upload.replace("Echo", "Other");
    broker.command_ok(&other);
    let pipe = std::fs::OpenOptions::new().read(true).write(true).open(&cached).unwrap();
    std::fs::remove_file(&cached).unwrap();
    drop(pipe);
    eventually("code is cached again", || {
        broker.command_ok("-removeAction Echo");
        broker.command_ok(upload);
        cached.exists().then_some(())
    });
}
