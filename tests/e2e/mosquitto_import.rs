//! `lotmq import mosquitto`: the same clients get the same answers from both brokers.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;

use lotmq_client::{Client, ConnectOptions, Publication, QoS};
use lotmq_test_support::{Program, WAIT_MAX, eventually, free_port};

use crate::bridge::mosquitto;
use crate::{LOTMQ, options};

const PASSWORD: &str = "s3cret-pump";

/// Users; the empty name is that of a client without one.
const USERS: [&str; 4] = ["ann", "ben", "cy", ""];

const TOPICS: [&str; 9] = [
    "sensors/a",
    "sensors/secret",
    "in/a b",
    "home/ann/light",
    "home/ben/light",
    "dev/client-ann/state",
    "dev/client-ben/state",
    "public/x",
    "other",
];

const ACCESS: &str = "topic read public/#
user ann
topic sensors/#
topic deny sensors/secret
user ben
topic write in/a b
topic read sensors/+
user watcher
topic readwrite #
pattern readwrite home/%u/#
pattern read dev/%c/state
pattern deny home/+/light
pattern readwrite barrier
";

fn connect(address: SocketAddr, user: &str) -> Client {
    let options = ConnectOptions::new(format!("client-{user}"));
    let options = if user.is_empty() { options } else { options.user(user, PASSWORD) };
    Client::connect(address, &options).unwrap_or_else(|error| panic!("{user} at {address}: {error}"))
}

fn publish(client: &mut Client, topic: &str, payload: &str) {
    client.publish(&Publication::new(topic, payload).qos(QoS::AtLeastOnce)).unwrap();
}

/// The messages up to the barrier, as topic and payload.
fn until_barrier(client: &mut Client) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    loop {
        let message = client.receive(WAIT_MAX).unwrap().expect("the barrier comes");
        if message.topic == "barrier" {
            return found;
        }
        found.insert(format!("{} {}", message.topic, message.text()));
    }
}

/// Messages that each user could publish or receive.
fn answers(address: SocketAddr) -> BTreeSet<String> {
    let mut watcher = connect(address, "watcher");
    watcher.subscribe_to("#", QoS::AtLeastOnce).unwrap();
    let mut clients: Vec<(&str, Client)> = USERS.map(|user| (user, connect(address, user))).into();
    for (user, client) in &mut clients {
        TOPICS.iter().for_each(|topic| publish(client, topic, user));
    }
    publish(&mut watcher, "barrier", "");
    let mut all: BTreeSet<String> =
        until_barrier(&mut watcher).into_iter().map(|it| "published ".to_owned() + &it).collect();
    for (_, client) in &mut clients {
        client.subscribe_to("#", QoS::AtLeastOnce).unwrap();
    }
    TOPICS.iter().for_each(|topic| publish(&mut watcher, topic, "read"));
    publish(&mut watcher, "barrier", "");
    for (user, client) in &mut clients {
        all.extend(until_barrier(client).into_iter().map(|it| format!("'{user}' got {it}")));
    }
    all
}

fn run(arguments: &[&str]) {
    let finished = Program::run("mosquitto_passwd", arguments).unwrap();
    assert!(finished.status.success(), "{finished:?}");
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn imported_users_and_rules_answer_as_mosquitto_does() {
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let access = write(folder.path(), "acl", ACCESS);
    let passwords = write(folder.path(), "passwords", "");
    for (user, form) in
        [("ann", "sha512-pbkdf2"), ("ben", "sha512"), ("cy", "sha512-pbkdf2"), ("watcher", "sha512")]
    {
        run(&["-b", "-H", form, &passwords, user, PASSWORD]);
    }
    let conf = format!(
        "listener {port} 127.0.0.1\nallow_anonymous true\npassword_file {passwords}\nacl_file {access}\nuser root\n"
    );
    let conf = write(folder.path(), "mosquitto.conf", &conf);
    let Some(_mosquitto) = mosquitto(Path::new(&conf)) else { return };
    eventually("mosquitto listens", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
    let expected = answers(([127, 0, 0, 1], port).into());
    for part in [
        "published sensors/a ann",
        "'cy' got home/",
        "'' got public/x read",
        "'ann' got dev/client-ann/state read",
    ] {
        let is_there = expected.iter().any(|answer| answer.starts_with(part));
        assert_eq!(is_there, part != "'cy' got home/", "{part} in {expected:?}");
    }

    let finished = Program::run(LOTMQ, &["import", "mosquitto", &conf]).unwrap();
    let printed = finished.output();
    for part in ["USERS\n\nann\nben\ncy\nwatcher", "MosquittoPublishRest", "[listener.mqtt]"] {
        assert!(printed.contains(part), "{part} in\n{printed}");
    }
    assert!(!printed.contains("$7$") && !printed.contains("$6$"), "{printed}");
    let mut broker = options().start();
    let done = Program::run(LOTMQ, &["import", "mosquitto", &conf, "--apply", "-p", &broker.port()]).unwrap();
    assert!(done.output().contains("5 of 5 commands are done"), "{done:?}");
    assert_eq!(answers(broker.address()), expected, "with the hashes of mosquitto");
    broker.stop();
    broker.start_again();
    assert_eq!(answers(broker.address()), expected, "with our own");

    let again =
        Program::run(LOTMQ, &["import", "mosquitto", &conf, "--apply", "-p", &broker.port()]).unwrap();
    assert_eq!(again.status.code(), Some(1), "{again:?}");
    assert!(again.stderr.contains("user ann: error[USER_EXISTS]"), "{again:?}");
    assert_eq!(broker.command("-importUser dora plain").code(), "PASSWORD_INVALID");
    let moved = folder.path().join("moved");
    let output = ["import", "mosquitto", &conf, "--output", moved.to_str().unwrap()];
    assert!(Program::run(LOTMQ, &output).unwrap().output().contains("rules.lot is written"));
    let checked = Program::run(LOTMQ, &["check", moved.join("rules.lot").to_str().unwrap()]).unwrap();
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");
    assert_eq!(Program::run(LOTMQ, &output).unwrap().status.code(), Some(1), "nothing is overwritten");
}
