//! mosquitto as a bridge to the broker, with its default notifications.

use std::fmt::Write as _;

use lotmq_client::{Client, ClientError, ConnectOptions, Publication, QoS, Will};
use lotmq_test_support::{Broker, Program, WAIT_MAX, eventually, free_port};

use crate::broker;

/// Debian keeps it where only root's search path looks.
const MOSQUITTO: [&str; 2] = ["mosquitto", "/usr/sbin/mosquitto"];

/// A mosquitto that listens on a port of its own and is a bridge to `broker`; `None` when it is not
/// installed.
fn bridge(broker: &Broker, version: &str, folder: &std::path::Path) -> Option<(Program, u16)> {
    let port = free_port();
    let file = folder.join("mosquitto.conf");
    let mut text = String::new();
    writeln!(text, "listener {port} 127.0.0.1\nallow_anonymous true").unwrap();
    writeln!(text, "connection cloud\naddress 127.0.0.1:{}\nremote_clientid plant.cloud", broker.port())
        .unwrap();
    writeln!(text, "bridge_protocol_version {version}\ntopic up/# out 1\ntopic down/# in 1").unwrap();
    std::fs::write(&file, text).unwrap();
    Some((mosquitto(&file)?, port))
}

/// A mosquitto with this configuration; `None` when it is not installed.
pub(crate) fn mosquitto(file: &std::path::Path) -> Option<Program> {
    let name = MOSQUITTO.into_iter().find(|name| std::process::Command::new(name).arg("-h").output().is_ok());
    Program::start(name.unwrap_or(MOSQUITTO[0]), &["-c", file.to_str().unwrap()])
}

/// The state that a new subscriber is told.
fn state(broker: &Broker) -> Option<String> {
    let mut reader = broker.client("");
    reader.subscribe_to("$SYS/broker/connection/#", QoS::AtMostOnce).unwrap();
    reader.subscribe_to("barrier", QoS::AtMostOnce).unwrap();
    reader.publish(&Publication::new("barrier", "x")).unwrap();
    let message = reader.receive(WAIT_MAX).unwrap().unwrap();
    // One that is not retained has just been published.
    (message.topic != "barrier" && message.retain).then(|| {
        assert_eq!(message.topic, "$SYS/broker/connection/plant.cloud/state");
        message.text()
    })
}

#[test]
fn a_mosquitto_bridge_connects_and_tells_its_state() {
    for version in ["mqttv311", "mqttv50"] {
        let broker = broker();
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(state(&broker), None);
        let Some((mosquitto, port)) = bridge(&broker, version, folder.path()) else { return };
        eventually("the bridge says that it is connected", || state(&broker).filter(|state| state == "1"));
        // Both ways.
        let mut here = broker.client("here");
        here.subscribe_to("up/#", QoS::AtLeastOnce).unwrap();
        let mut there = Client::connect(format!("127.0.0.1:{port}"), &ConnectOptions::new("there")).unwrap();
        there.subscribe_to("down/#", QoS::AtLeastOnce).unwrap();
        eventually("a message crosses the bridge upwards", || {
            there.publish(&Publication::new("up/x", "1").qos(QoS::AtLeastOnce)).unwrap();
            here.receive(std::time::Duration::from_millis(500)).unwrap()
        });
        here.publish(&Publication::new("down/x", "2").qos(QoS::AtLeastOnce)).unwrap();
        assert_eq!(there.receive(WAIT_MAX).unwrap().unwrap().topic, "down/x");
        // Its end is a broken connection: the Will says so, and later subscribers hear of it, too.
        drop(mosquitto);
        eventually("the will says that it is gone", || state(&broker).filter(|state| state == "0"));
    }
}

/// A state may be set only by the bridge that it belongs to, whoever may write below `$SYS`. Other
/// messages of a bridge there have no effect.
#[test]
fn only_the_client_itself_tells_its_state() {
    let broker = broker();
    let topic = "$SYS/broker/connection/plant.cloud/state";
    let say = |client: &mut Client, payload: &str| {
        client.publish(&Publication::new(topic, payload).qos(QoS::AtLeastOnce).retained()).unwrap()
    };
    let mut other = broker.connect(&ConnectOptions::v5("other"));
    assert!(say(&mut other, "1").is_failure());
    let mut root = broker.connect(&ConnectOptions::v5("root").user("root", "coreflux"));
    assert!(!say(&mut root, "1").is_failure(), "it may, and it has no effect");
    assert_eq!(state(&broker), None);
    let mut bridge = broker.connect(&ConnectOptions::v5("plant.cloud"));
    for payload in ["2", "10", "connected"] {
        assert!(!say(&mut bridge, payload).is_failure());
        assert_eq!(state(&broker), None, "{payload}");
    }
    say(&mut bridge, "1");
    assert_eq!(state(&broker).as_deref(), Some("1"));
    say(&mut bridge, "");
    assert_eq!(state(&broker), None);
}

/// Of several users' clients of one identifier, the state is of the one who has set it; strangers
/// push out none but their own.
#[test]
fn the_state_of_a_bridge_is_its_users() {
    let broker = broker();
    for name in ["ann", "bob"] {
        broker.command_ok(&format!("-addUser {name} password"));
    }
    let topic = "$SYS/broker/connection/plant.cloud/state";
    let say = |client: &mut Client, topic: &str, payload: &str| {
        let state = Publication::new(topic, payload).qos(QoS::AtLeastOnce).retained();
        assert!(!client.publish(&state).unwrap().is_failure());
    };
    let told = || {
        let mut reader = broker.client("");
        reader.subscribe_to(topic, QoS::AtMostOnce).unwrap();
        reader.subscribe_to("barrier", QoS::AtMostOnce).unwrap();
        reader.publish(&Publication::new("barrier", "x")).unwrap();
        let message = reader.receive(WAIT_MAX).unwrap().unwrap();
        (message.topic == topic).then(|| message.text())
    };
    let of = |user: &str| ConnectOptions::v5("plant.cloud").user(user, "password");
    let mut stranger = broker.connect(&ConnectOptions::v5("plant.cloud"));
    say(&mut stranger, topic, "0");
    let mut bob = broker.connect(&of("bob"));
    say(&mut bob, topic, "1");
    assert_eq!(told().as_deref(), Some("1"), "a stranger keeps nobody from it");
    let mut ann = broker.connect(&of("ann"));
    for other in [&mut stranger, &mut ann] {
        say(other, topic, "0");
        assert_eq!(told().as_deref(), Some("1"));
        say(other, topic, "");
        assert_eq!(told().as_deref(), Some("1"));
    }
    for number in 0..1_000 {
        let id = format!("stranger{number}");
        let mut another = broker.connect(&ConnectOptions::v5(&id));
        say(&mut another, &format!("$SYS/broker/connection/{id}/state"), "1");
    }
    assert_eq!(told().as_deref(), Some("1"), "theirs gave way");
    bob.disconnect().unwrap();
    eventually("his session has ended", || {
        say(&mut ann, topic, "0");
        (told().as_deref() == Some("0")).then_some(())
    });
}

/// A rule may say otherwise, and then the bridge is told by a code.
#[test]
fn wills_that_are_refused_get_a_code() {
    let broker = broker();
    let connect = |options: ConnectOptions, topic: &str| {
        let will = Will::new(topic, "0");
        Client::connect(broker.address(), &options.will(will)).map(drop)
    };
    for (topic, version_5) in [
        ("$SYS/broker/connection/another/state", 0x90),
        ("$SYS/broker/uptime", 0x90),
        ("$SYS/Coreflux/Command", 0x90),
    ] {
        let refused = connect(ConnectOptions::new("plant.cloud"), topic).unwrap_err();
        assert!(matches!(&refused, ClientError::Refused { .. }), "{topic}: {refused}");
        assert!(refused.to_string().contains("not authorized"), "{topic}: {refused}");
        let refused = connect(ConnectOptions::v5("plant.cloud"), topic).unwrap_err();
        assert!(refused.to_string().contains(&format!("0x{version_5:02X}")), "{topic}: {refused}");
    }
    connect(ConnectOptions::new("plant.cloud"), "$SYS/broker/connection/plant.cloud/state").unwrap();
}
