//! Limits of connections, addresses and rates, through real sockets; those of packets are in
//! `tests/conformance/mqtt_limits.rs`.

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use lotmq_client::{Client, ConnectOptions, Endpoint, Publication, QoS, ReasonCode};
use lotmq_test_support::{Broker, WAIT_MAX, eventually};
use socket2::{Domain, Socket, Type};

use crate::backup::{run_ok, until_back};
use crate::{options, projects};

/// CONNECT of 3.1.1 with the identifier `ab`.
const CONNECT: &[u8] = b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02ab";

/// How often a limit of a listener was reached.
fn reached(broker: &Broker, limit: &str, listener: &str) -> f64 {
    let name = format!("lotmq_limit_reached_total{{limit=\"{limit}\",listener=\"{listener}\"}}");
    broker.metric(&name).unwrap_or_else(|| panic!("no counter {name}"))
}

/// Opens a connection that begins with these bytes and answers whether it was let in: CONNACK says
/// so.
fn open(port: u16, bytes: &[u8]) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
    // The broker may have closed already.
    let _ = stream.write_all(bytes);
    let mut answer = [0; 4];
    (stream.read_exact(&mut answer).is_ok() && answer[3] == 0).then_some(stream)
}

#[test]
fn connections_are_bounded_by_listener_and_in_all() {
    let broker = options()
        .variable("LOTMQ_LIMITS_CONNECTIONS", "4")
        .variable("LOTMQ_LISTENER_MQTT_CONNECTIONS", "2")
        .variable("LOTMQ_LISTENER_WS_PORT", "0")
        .variable("LOTMQ_LISTENER_WS_BIND", "127.0.0.1")
        .start();
    let mqtt = broker.address().port();
    let endpoint = Endpoint::tcp("127.0.0.1", broker.port_of("ws")).websocket("/mqtt");
    let over_ws = |id: &str| Client::connect_at(&endpoint, &ConnectOptions::new(id));
    let first = open(mqtt, &id(b'1')).expect("there is room");
    let _second = open(mqtt, &id(b'2')).expect("there is room");
    assert!(open(mqtt, &id(b'3')).is_none(), "the listener takes two");
    assert_eq!(reached(&broker, "connections", "mqtt"), 1.0);
    // Of four places, three are for clients without a user.
    let root = ConnectOptions::new("w2").user("root", "coreflux");
    let _others = [over_ws("w1").unwrap(), Client::connect_at(&endpoint, &root).unwrap()];
    assert!(over_ws("w3").is_err(), "the broker takes four");
    assert_eq!(reached(&broker, "connections", "ws"), 1.0);
    broker.log().expect("limit reached");
    drop(first);
    let root = ConnectOptions::new("w4").user("root", "coreflux");
    eventually("a place is free", || Client::connect_at(&endpoint, &root).ok());
}

/// CONNECT with an identifier of its own.
fn id(last: u8) -> Vec<u8> {
    let mut connect = CONNECT.to_vec();
    *connect.last_mut().unwrap() = last;
    connect
}

#[test]
fn new_connections_per_second_are_bounded() {
    let broker = options().variable("LOTMQ_LIMITS_CONNECTIONS_PER_SEC", "1").start();
    let port = broker.address().port();
    let let_in = (0..20).filter(|number| open(port, &id(b'a' + number)).is_some()).count();
    assert!((1..20).contains(&let_in), "{let_in}: one at once, then one each second");
    let refused = f64::from(u32::try_from(20 - let_in).unwrap());
    assert_eq!(reached(&broker, "connections_per_sec", "mqtt"), refused);
    // The log has a line a second at most.
    let lines = broker.log().text().lines().filter(|line| line.contains("limit reached")).count();
    assert!(lines <= let_in + 1, "{lines} lines");
    eventually("the rate is kept again", || open(port, &id(b'z')));
}

fn from(address: &str, last: u8) -> Vec<u8> {
    let family = if address.contains(':') { "TCP6" } else { "TCP4" };
    let own = if address.contains(':') { "::1" } else { "10.0.0.2" };
    [format!("PROXY {family} {address} {own} 4711 1883\r\n").into_bytes(), id(last)].concat()
}

#[test]
fn one_address_has_so_many_connections() {
    let broker = options()
        .variable("LOTMQ_ANONYMOUS", "true")
        .variable("LOTMQ_LISTENER_MQTT_PROXY_PROTOCOL", "true")
        .variable("LOTMQ_LIMITS_CONNECTIONS_PER_ADDRESS", "2")
        .variable("LOTMQ_LISTENER_WS_PORT", "0")
        .variable("LOTMQ_LISTENER_WS_BIND", "127.0.0.1")
        .variable("LOTMQ_LISTENER_WS_CONNECTIONS_PER_ADDRESS", "0")
        .variable("LOTMQ_LISTENER_WS_CONNECTIONS_PER_SEC_PER_ADDRESS", "1")
        .start();
    let port = broker.address().port();
    let first = open(port, &from("192.0.2.7", b'1')).expect("there is room");
    let _second = open(port, &from("192.0.2.7", b'2')).expect("there is room");
    assert!(open(port, &from("192.0.2.7", b'3')).is_none(), "the address has two");
    let _other = open(port, &from("192.0.2.8", b'4')).expect("another address");
    // Of IPv6 the first 64 bits count.
    let _six = open(port, &from("2001:db8:1:2::1", b'5')).expect("there is room");
    let _six = open(port, &from("2001:db8:1:2:9::2", b'6')).expect("there is room");
    assert!(open(port, &from("2001:db8:1:2:ffff::3", b'7')).is_none(), "the network has two");
    let _six = open(port, &from("2001:db8:1:3::1", b'8')).expect("another network");
    broker.wait_for_metric(
        "lotmq_limit_reached_total{limit=\"connections_per_address\",listener=\"mqtt\"}",
        2.0,
    );
    broker.log().expect("limit reached");
    let log = broker.log().text();
    let mut told = log.lines().filter(|line| line.contains("limit reached"));
    assert!(told.all(|line| line.contains("peer=192.0.2.7") || line.contains("peer=[2001:db8")), "{log}");
    drop(first);
    eventually("the place is free again", || open(port, &from("192.0.2.7", b'9')));
    // Without a proxy it is the address of the socket.
    let endpoint = Endpoint::tcp("127.0.0.1", broker.port_of("ws")).websocket("/mqtt");
    let over_ws = || Client::connect_at(&endpoint, &ConnectOptions::new("")).ok();
    let let_in = (0..10).filter(|_| over_ws().is_some()).count();
    assert!((1..10).contains(&let_in), "{let_in}");
    assert!(reached(&broker, "connections_per_sec_per_address", "ws") >= 1.0);
}

#[test]
fn publisher_above_the_rate_limit_is_throttled_without_loss() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("mqtt.sock");
    let broker = options()
        .variable("LOTMQ_LISTENER_MQTT_MESSAGES_PER_SEC", "100")
        .variable("LOTMQ_LISTENER_UNIX_PATH", socket.to_str().unwrap())
        .variable("LOTMQ_LISTENER_UNIX_BYTES_PER_SEC", "1000")
        .start();
    let mut subscriber = broker.client("subscriber");
    subscriber.subscribe_to("t", QoS::AtMostOnce).unwrap();
    // It rests for longer than its Keep Alive lets it be silent.
    let mut fast = broker.connect(&ConnectOptions { keep_alive: 1, ..ConnectOptions::new("fast") });
    for number in 0..300 {
        fast.send_publish(&Publication::new("t", number.to_string())).unwrap();
    }
    let numbers: Vec<String> =
        (0..300).map(|_| subscriber.receive(WAIT_MAX).unwrap().expect("nothing is lost").text()).collect();
    assert!(numbers.iter().enumerate().all(|(at, text)| *text == at.to_string()));
    fast.ping().unwrap();
    assert!(reached(&broker, "messages_per_sec", "mqtt") >= 1.0);
    assert_eq!(reached(&broker, "bytes_per_sec", "mqtt"), 0.0);
    // The other listener bounds bytes, of all packets.
    let mut heavy = Client::connect_at(&Endpoint::unix(&socket), &ConnectOptions::new("heavy")).unwrap();
    heavy.publish(&Publication::new("t", vec![b'x'; 2500]).qos(QoS::AtLeastOnce)).unwrap();
    heavy.ping().unwrap();
    assert_eq!(subscriber.receive(WAIT_MAX).unwrap().unwrap().payload.len(), 2500);
    assert!(reached(&broker, "bytes_per_sec", "unix") >= 1.0);
    assert_eq!(reached(&broker, "messages_per_sec", "unix"), 0.0);
}

#[test]
fn rate_limit_applies_to_packets_sent_in_one_write() {
    let broker = options().variable("LOTMQ_LIMITS_MESSAGES_PER_SEC", "1").start();
    let mut subscriber = broker.client("subscriber");
    subscriber.subscribe_to("t", QoS::AtMostOnce).unwrap();
    let mut fast = open(broker.address().port(), &id(b'f')).unwrap();
    fast.write_all(&b"\x30\x03\x00\x01t".repeat(20)).unwrap();
    subscriber.receive(WAIT_MAX).unwrap().expect("the first one");
    subscriber.receive(WAIT_MAX).unwrap().expect("the one that is allowed to be owed");
    let received = broker.metric("lotmq_publish_received_total").unwrap();
    assert!(received < 10.0, "{received} of 20: the others wait");
}

#[test]
fn unfinished_connects_are_bounded_in_bytes() {
    let broker = options().variable("LOTMQ_LISTENER_MQTT_HALF_OPEN_BYTES", "100000").start();
    // 60,012 bytes are announced.
    let head = [&b"\x10\xec\xd4\x03\x00\x04MQTT\x04\x02\x00\x3c\xea\x60"[..], &[b'x'; 59_000]].concat();
    let port = broker.address().port();
    let unfinished = || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.write_all(&head).unwrap();
        stream
    };
    let both = [unfinished(), unfinished()];
    broker.wait_for_metric("lotmq_limit_reached_total{limit=\"half_open_bytes\",listener=\"mqtt\"}", 1.0);
    // One is closed, the other one goes on.
    let let_in = both.map(|mut stream| {
        let _ = stream.write_all(&[b'x'; 1000]);
        stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).is_ok()
    });
    assert_eq!(let_in.iter().filter(|is_in| **is_in).count(), 1);
    // A client that sends all at once is not concerned.
    let _third = unfinished();
    assert!(open(port, &id(b'3')).is_some());
}

#[test]
fn connect_is_bounded_as_other_packets_are() {
    let broker = options().variable("LOTMQ_LIMITS_MAX_PACKET_SIZE", "1024").start();
    let port = broker.address().port();
    assert!(open(port, &id(b'1')).is_some());
    let header = b"\x10\x81\x08\x00\x04MQTT\x04\x02\x00\x3c";
    assert!(open(port, header).is_none(), "1028 bytes are announced; it is closed before they have come");
}

#[test]
fn memory_of_all_guests_together_is_bounded() {
    let broker = options().variable("LOTMQ_LIMITS_GUESTS_MEMORY", "8388608").start();
    broker.command_ok(
        "-addAction DEFINE ACTION Swell\nON TOPIC \"swell\" DO\n    PUBLISH TOPIC \"swollen\" WITH REPLACE \"a\" WITH \"bbbbbbbbbbbbbbbb\" IN PAYLOAD\n",
    );
    let mut errors = broker.root("errors");
    errors.subscribe_to("$SYS/Coreflux/Actions/Swell/Error", QoS::AtMostOnce).unwrap();
    let mut client = broker.client("client");
    client.subscribe_to("swollen", QoS::AtMostOnce).unwrap();
    client.publish(&Publication::new("swell", "aa")).unwrap();
    assert_eq!(client.receive(WAIT_MAX).unwrap().unwrap().payload.len(), 32);
    // One instance could have what this needs.
    client.publish(&Publication::new("swell", vec![b'a'; 1_500_000])).unwrap();
    let error = errors.receive(WAIT_MAX).unwrap().expect("the run ends with an error").text();
    let words =
        "the guests of its owner need more than 6144 KiB of memory, their part of what all guests have";
    assert!(error.contains("GUEST_MEMORY") && error.contains(words), "{error}");
    assert!(broker.metric("lotmq_limit_reached_total{limit=\"guests_memory\"}").unwrap() >= 1.0);
    assert!(broker.metric("lotmq_guests_memory_bytes").unwrap() <= 8_388_608.0);
}

#[test]
fn of_the_disk_a_reserve_is_kept_for_commands() {
    // More than any machine has.
    let broker = options().variable("LOTMQ_LIMITS_DISK_RESERVE_BYTES", "1125899906842624").start();
    broker.log().expect("the disk is full but for its reserve");
    let lasting = ConnectOptions::v5("lasting").clean_start(false).session_expiry(60);
    let refused = Client::connect(broker.address(), &lasting).unwrap_err();
    assert!(refused.to_string().contains("reserve of administrators"), "{refused}");
    let mut client = broker.connect(&ConnectOptions::v5("passing"));
    client.subscribe_to("t", QoS::AtLeastOnce).unwrap();
    client.publish(&Publication::new("t", "x").qos(QoS::AtLeastOnce)).unwrap();
    assert_eq!(client.receive(WAIT_MAX).unwrap().unwrap().text(), "x");
    let mut retained = Publication::new("t", "x").qos(QoS::AtLeastOnce);
    retained.retain = true;
    assert!(client.publish(&retained).unwrap().is_failure());
    // The broker takes messages that free space, because the reserve is for them. This includes an
    // exchange of QoS 2.
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let freed = client.publish(&Publication::new("freed", "").qos(qos).retained()).unwrap();
        assert!(!freed.is_failure(), "{qos:?}: {freed}");
    }
    broker.command_ok("-addUser ann pw");
    broker.connect(&lasting.user("root", "coreflux")).disconnect().unwrap();
    broker.command_ok("-endSession lasting");
    let health = broker.http("/health");
    assert_eq!(health.status, 503, "nobody who watches it may think that all is stored");
    assert!(health.body.contains("reserve of administrators"), "{}", health.body);
}

fn user(name: &str) -> ConnectOptions {
    ConnectOptions::v5(name).user(name, "password").clean_start(false).session_expiry(3_600)
}

/// One user has sessions that take up what is stored for all, being away or not reading. Messages
/// for others are stored all the same.
#[test]
fn nobody_takes_up_what_may_be_stored_for_all() {
    let broker = options()
        .variable("LOTMQ_LIMITS_STORED_QUEUE_BYTES", "8388608")
        .variable("LOTMQ_LIMITS_OUTPUT_BYTES", "65536")
        .start();
    for name in ["ann", "bob"] {
        broker.command_ok(&format!("-addUser {name} password"));
    }
    let mut publisher = broker.connect(&ConnectOptions::v5("publisher"));
    let mut publish = |topic: &str, bytes: usize| {
        let publication = Publication::new(topic, "x".repeat(bytes)).qos(QoS::AtLeastOnce);
        assert!(!publisher.publish(&publication).unwrap().is_failure(), "{topic}");
    };
    let mut bob = broker.connect(&user("bob"));
    bob.subscribe_to("bob", QoS::AtLeastOnce).unwrap();
    bob.disconnect().unwrap();
    let refused =
        || broker.metric("lotmq_limit_reached_total{limit=\"stored_queue_bytes\"}").unwrap_or_default();
    for is_away in [true, false] {
        let mut ann = broker.connect(&user("ann"));
        ann.subscribe_to("ann", QoS::AtLeastOnce).unwrap();
        let stays = if is_away {
            ann.disconnect().unwrap();
            None
        } else {
            Some(ann)
        };
        let before = refused();
        // Slowly enough for a look at what there is, twice a second.
        eventually("she has her part", || {
            publish("ann", 100_000);
            thread::sleep(Duration::from_millis(25));
            (refused() > before).then_some(())
        });
        for _ in 0..3 {
            publish("bob", 1_000);
        }
        let mut bob = broker.connect(&user("bob"));
        for _ in 0..3 {
            assert_eq!(bob.receive(WAIT_MAX).unwrap().expect("it was stored").text().len(), 1_000);
        }
        bob.disconnect().unwrap();
        drop(stays);
        broker.command_ok("-endSession ann ann");
        broker.wait_until_metric_is("lotmq_store_deliveries", 0.0);
    }
}

/// With `reject`, publishers hear of messages that cannot be kept. No acknowledged message is
/// missing when the space for stored messages is used up.
#[test]
fn full_stored_queue_rejects_publishers_when_on_full_is_reject() {
    let broker = options()
        .variable("LOTMQ_LIMITS_STORED_QUEUE_BYTES", "8388608")
        .variable("LOTMQ_LIMITS_ON_FULL", "reject")
        .start();
    for name in ["ann", "bob"] {
        broker.command_ok(&format!("-addUser {name} password"));
    }
    let subscribe = |name: &str, filter: &str| {
        let mut client = broker.connect(&user(name));
        client.subscribe_to(filter, QoS::AtLeastOnce).unwrap();
        client.disconnect().unwrap();
    };
    subscribe("ann", "ann");
    subscribe("ann", "$share/g/both");
    subscribe("bob", "$share/g/both");
    let mut publisher = broker.connect(&ConnectOptions::v5("publisher"));
    let mut publish = |topic: &str, bytes: usize| {
        publisher.publish(&Publication::new(topic, "x".repeat(bytes)).qos(QoS::AtLeastOnce)).unwrap()
    };
    let mut kept = 0;
    let refusal = eventually("she has her part", || {
        let reason = publish("ann", 100_000);
        kept += usize::from(!reason.is_failure());
        thread::sleep(Duration::from_millis(25));
        reason.is_failure().then_some(reason)
    });
    assert_eq!(refusal, ReasonCode::QuotaExceeded);
    assert!(broker.metric("lotmq_limit_reached_total{limit=\"stored_queue_bytes\"}").unwrap() > 0.0);
    // In a group, the member that has room gets the message.
    (0..10).for_each(|number| assert!(!publish("both", 1_000).is_failure(), "{number}"));
    // Before 5.0 nothing is said but the end of the connection.
    let mut old = broker.client("old");
    assert!(old.publish(&Publication::new("ann", "x").qos(QoS::AtLeastOnce)).is_err());
    assert_eq!(broker.metric("lotmq_queue_full_dropped_total"), Some(0.0));
    for (name, count) in [("ann", kept), ("bob", 10)] {
        let mut client = broker.connect(&user(name));
        (0..count).for_each(|number| {
            client.receive(WAIT_MAX).unwrap().unwrap_or_else(|| panic!("{name} lacks {number} of {count}"));
        });
    }
}

/// The values and projects of a tenant have configurable bounds. The error names the exceeded
/// bound, and a metric counts it.
#[test]
fn a_tenant_keeps_so_many_values_and_projects_and_no_more() {
    let broker = options()
        .variable("LOTMQ_LIMITS_VARIABLES", "2")
        .variable("LOTMQ_LIMITS_VARIABLE_BYTES", "2000")
        .variable("LOTMQ_LIMITS_PROJECTS", "2")
        .variable("LOTMQ_LIMITS_PROJECT_BYTES", "2000")
        .start();
    let reached = |limit: &str| broker.metric(&format!("lotmq_limit_reached_total{{limit=\"{limit}\"}}"));
    let refused = |command: &str, message: &str| {
        let reply = broker.command(command);
        assert_eq!((reply.code(), reply.message()), ("QUOTA_EXCEEDED", message), "{command:.40}");
    };
    let long = "v".repeat(1_500);
    for verb in ["setEnv", "setSecret"] {
        broker.command_ok(&format!("-{verb} A={long}"));
        refused(&format!("-{verb} B={long}"), "All of them would take more than 2000 bytes.");
        broker.command_ok(&format!("-{verb} B=1"));
        refused(&format!("-{verb} C=1"), "There are already 2.");
        broker.command_ok(&format!("-{verb} A=short"));
        broker.command_ok(&format!("-{verb} B={long}"));
    }
    assert_eq!((reached("variables"), reached("variable_bytes")), (Some(2.0), Some(2.0)));
    let archive = |bytes: usize| {
        // Bytes that do not compress.
        let noise: Vec<u8> =
            (0..bytes as u64).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
        projects::zip(&[("README.md", &noise)])
    };
    let upload = |name: &str, bytes: usize| projects::upload(&broker, name, &archive(bytes), "");
    assert!(upload("one", 10).success());
    let reply = upload("large", 100_000);
    assert_eq!(
        (reply.code(), reply.message()),
        ("QUOTA_EXCEEDED", "All projects would take more than 2000 bytes."),
    );
    assert!(upload("two", 10).success());
    let reply = upload("three", 10);
    assert_eq!((reply.code(), reply.message()), ("QUOTA_EXCEEDED", "There are already 2 projects."));
    assert_eq!((reached("projects"), reached("project_bytes")), (Some(1.0), Some(1.0)));
}

/// Clients without a user, and a single one, fill what they may; others retain messages all the
/// same, also after a restart.
#[test]
fn nobody_takes_up_what_may_be_retained_for_all() {
    let mut broker = options().variable("LOTMQ_LIMITS_RETAINED_MESSAGES", "64").start();
    broker.command_ok("-addUser ann password");
    let fill = |broker: &Broker, options: &ConnectOptions, prefix: &str| {
        let mut client = broker.connect(options);
        let retains = |number: &usize| {
            let publication =
                Publication::new(format!("{prefix}/{number}"), "1").qos(QoS::AtLeastOnce).retained();
            !client.publish(&publication).unwrap().is_failure()
        };
        (0..100).take_while(retains).count()
    };
    assert_eq!(fill(&broker, &ConnectOptions::v5("stranger"), "a"), 48);
    assert_eq!(fill(&broker, &ConnectOptions::v5("another"), "b"), 0, "strangers are one");
    assert_eq!(fill(&broker, &user("ann"), "c"), 12);
    broker.kill();
    broker.start_again();
    assert_eq!(fill(&broker, &ConnectOptions::v5("stranger"), "d"), 0);
    assert_eq!(fill(&broker, &user("ann"), "e"), 0);
    assert_eq!(fill(&broker, &ConnectOptions::v5("root").user("root", "coreflux"), "f"), 3);
}

/// Covers a name that is given again, a restart, and a restored backup.
#[test]
fn retained_messages_of_a_removed_user_do_not_count_for_a_namesake() {
    let folder = tempfile::tempdir().unwrap();
    let mut broker = options().variable("LOTMQ_LIMITS_RETAINED_MESSAGES", "64").start();
    broker.command_ok("-addUser ann password");
    let send = |broker: &Broker, prefix: &str, payload: &str| {
        let mut ann = broker.connect(&user("ann"));
        let retains = |number: &usize| {
            let message = Publication::new(format!("{prefix}/{number}"), payload).qos(QoS::AtLeastOnce);
            !ann.publish(&message.retained()).unwrap().is_failure()
        };
        (0..60).take_while(retains).count()
    };
    assert_eq!(send(&broker, "former", "1"), 48);
    broker.command_ok("-removeUser ann");
    broker.command_ok("-addUser ann password");
    assert_eq!(send(&broker, "later", "1"), 12, "three quarters of what is left");
    broker.kill();
    broker.start_again();
    send(&broker, "later", "");
    assert_eq!(send(&broker, "later", "1"), 12);
    broker.command_ok("-changeUserPassword ann password");
    let backup = folder.path().join("backup.zip");
    run_ok("backup", &broker, &backup, &[]);
    let restored = options().variable("LOTMQ_LIMITS_RETAINED_MESSAGES", "64").start();
    run_ok("restore", &restored, &backup, &["--yes"]);
    until_back(&restored);
    assert_eq!(send(&restored, "more", "1"), 0);
    send(&restored, "later", "");
    assert_eq!(send(&restored, "later", "1"), 12);
}

/// The same of what programs keep.
#[test]
fn kept_values_of_a_removed_user_do_not_count_for_a_namesake() {
    const LARGE: usize = 4 << 20;
    let mut broker = options().start();
    let come = |broker: &Broker, option: &str, place: &str| {
        broker.command_ok("-addUser ann password");
        broker.command_ok("-changeUserSettings ann AllowedSystemConfiguration true");
        let action = format!(
            "-addAction {option}DEFINE ACTION Of{place}\nON TOPIC \"{place}/+\" DO\n    KEEP TOPIC \"kept/{place}/+\" WITH PAYLOAD\n    PUBLISH TOPIC \"out\" WITH \"kept\"\n"
        );
        assert!(broker.command_as(("ann", "password"), &action).success());
    };
    let keep = |broker: &Broker, place: &str, count: usize| {
        let mut root = broker.root("watcher");
        root.subscribe_to("out", QoS::AtLeastOnce).unwrap();
        for number in 0..count {
            let message = Publication::new(format!("{place}/{number}"), "x".repeat(LARGE));
            root.publish(&message.qos(QoS::AtLeastOnce)).unwrap();
            root.receive(WAIT_MAX).unwrap().unwrap();
        }
        let listed = broker.command_ok(&format!("-listKept kept/{place}/#"));
        listed.data().as_array().unwrap().len()
    };
    come(&broker, "", "former");
    let fits = (192 << 20) / (LARGE + 200);
    assert_eq!(keep(&broker, "former", fits + 1), fits);
    broker.command_ok("-removeUser ann");
    come(&broker, "", "later");
    assert_eq!(keep(&broker, "later", 5), 5);
    broker.stop();
    broker.start_again();
    assert_eq!(keep(&broker, "later", 8), 8);
}

/// The Actions of one user keep all the memory that they get. Those of another one run all the
/// same.
#[test]
fn nobodys_programs_take_up_the_memory_of_all() {
    let broker = options().variable("LOTMQ_LIMITS_GUESTS_MEMORY", "67108864").start();
    for name in ["ann", "bob"] {
        broker.command_ok(&format!("-addUser {name} password"));
        broker.command_ok(&format!("-changeUserSettings {name} AllowedSystemConfiguration true"));
    }
    let grow = |name: &str, doublings: u32| {
        format!(
            "-addAction DEFINE ACTION {name}\nON TOPIC \"grow/{name}\" DO\n    SET \"t\" WITH \"0123456789abcdef\"\n    SET \"i\" WITH 0\n    LOOP\n        SET \"t\" WITH {{t}} + {{t}}\n        \
             SET \"i\" WITH {{i}} + 1\n    UNTIL {{i}} == {doublings}\n    PUBLISH TOPIC \"grown\" WITH \"{name}\"\n"
        )
    };
    let hungry: Vec<String> = (0..8).map(|number| format!("Hungry{number}")).collect();
    for name in &hungry {
        let added = broker.command_as(("ann", "password"), &grow(name, 19));
        assert!(added.success(), "{added:?}");
    }
    assert!(broker.command_as(("bob", "password"), &grow("Modest", 10)).success());
    let mut root = broker.root("watcher");
    root.subscribe_to("$SYS/Coreflux/Actions/+/Error", QoS::AtLeastOnce).unwrap();
    root.subscribe_to("grown", QoS::AtLeastOnce).unwrap();
    for name in &hungry {
        root.publish(&Publication::new(format!("grow/{name}"), "1").qos(QoS::AtLeastOnce)).unwrap();
    }
    let mut said = Vec::new();
    while !said.iter().any(|text: &String| text.contains("the guests of its owner")) {
        said.push(root.receive(WAIT_MAX).unwrap().unwrap_or_else(|| panic!("{said:?}")).text());
    }
    root.publish(&Publication::new("grow/Modest", "1").qos(QoS::AtLeastOnce)).unwrap();
    while said.last().is_none_or(|text| text != "Modest") {
        said.push(root.receive(WAIT_MAX).unwrap().unwrap_or_else(|| panic!("{said:?}")).text());
    }
}

/// The Actions of one user keep all that they may. Those of another one keep something all the
/// same, errors survive, and whose it is is known after a kill.
#[test]
fn nobodys_programs_take_up_all_that_a_tenant_keeps() {
    const LARGE: usize = 4 << 20;
    let mut broker = options().start();
    for name in ["ann", "bob"] {
        broker.command_ok(&format!("-addUser {name} password"));
        broker.command_ok(&format!("-changeUserSettings {name} AllowedSystemConfiguration true"));
        let action = format!(
            "-addAction DEFINE ACTION Of{name}\nON TOPIC \"{name}/+\" DO\n    PUBLISH TOPIC \"out\" WITH \"{name}\"\n    KEEP TOPIC \"kept/{name}/+\" WITH PAYLOAD\n"
        );
        assert!(broker.command_as((name, "password"), &action).success());
    }
    let mut root = broker.root("watcher");
    root.subscribe_to("$SYS/Coreflux/Actions/+/Error", QoS::AtLeastOnce).unwrap();
    root.subscribe_to("out", QoS::AtLeastOnce).unwrap();
    let large = "x".repeat(LARGE);
    let fits = (192 << 20) / (LARGE + 200);
    let mut said = Vec::new();
    for number in 0..=fits {
        let message = Publication::new(format!("ann/{number}"), large.clone());
        root.publish(&message.qos(QoS::AtLeastOnce)).unwrap();
        said.push(root.receive(WAIT_MAX).unwrap().unwrap().text());
    }
    while !said.iter().any(|text| text.contains("KEEP_LIMIT")) {
        said.push(root.receive(WAIT_MAX).unwrap().unwrap_or_else(|| panic!("{said:?}")).text());
    }
    let refused = said.iter().find(|text| text.contains("KEEP_LIMIT")).unwrap();
    let reason = "those of user 'ann' have the 201326592 bytes that others leave to him";
    assert!(refused.contains(reason), "{refused}");
    root.publish(&Publication::new("bob/1", large).qos(QoS::AtLeastOnce)).unwrap();
    while said.last().is_none_or(|text| text != "bob") {
        said.push(root.receive(WAIT_MAX).unwrap().unwrap_or_else(|| panic!("{said:?}")).text());
    }
    let users = |broker: &Broker| {
        let listed = broker.command_ok("-listKept kept/#");
        let rows = listed.data().as_array().unwrap().iter();
        let mut users: Vec<String> = rows.map(|row| row["user"].to_string()).collect();
        users.sort();
        users
    };
    let mut expected = vec!["\"ann\"".to_owned(); fits];
    expected.push("\"bob\"".to_owned());
    eventually("what bob keeps", || (users(&broker) == expected).then_some(()));
    broker.stop();
    broker.start_again();
    assert_eq!(users(&broker), expected);
    let listed = broker.command_ok("-listKept").0.to_string();
    assert!(listed.contains("$LOT/Error/action/Ofann/"), "{listed}");
    let mut root = broker.root("watcher");
    root.subscribe_to("$SYS/Coreflux/Actions/+/Error", QoS::AtLeastOnce).unwrap();
    assert!(root.receive(WAIT_MAX).unwrap().unwrap().text().contains("KEEP_LIMIT"));
}

/// Opens a connection from this loopback address, which sends nothing.
fn idle_from(source: &str, port: u16) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let source: SocketAddr = format!("{source}:0").parse().unwrap();
    socket.bind(&source.into()).unwrap();
    socket.connect(&SocketAddr::from(([127, 0, 0, 1], port)).into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
    stream
}

/// Whether a connection is answered when it sends CONNECT.
fn is_let_in(mut stream: &TcpStream, last: u8) -> bool {
    let _ = stream.write_all(&id(last));
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).is_ok() && answer[3] == 0
}

#[test]
fn idle_connections_of_one_address_give_way_to_those_of_others() {
    let broker = options()
        .variable("LOTMQ_LIMITS_HALF_OPEN", "20")
        .variable("LOTMQ_LIMITS_CONNECT_TIMEOUT_SEC", "3600")
        .start();
    let port = broker.address().port();
    // As many as may be, those to spare, and more that find no place.
    let crowd: Vec<TcpStream> = (0..60).map(|_| idle_from("127.0.0.2", port)).collect();
    broker.wait_for_metric("lotmq_limit_reached_total{limit=\"half_open\",listener=\"mqtt\"}", 32.0);
    let left_out = reached(&broker, "half_open", "mqtt");
    for last in b'a'..=b'j' {
        assert!(is_let_in(&idle_from("127.0.0.3", port), last), "another address has fewer");
    }
    assert_eq!(broker.command_ok("-listUsers").code(), "");
    let gave_way = eventually("some have given way", || {
        let count = reached(&broker, "half_open", "mqtt");
        (count > left_out).then_some(count)
    });
    assert!(gave_way <= left_out + 12.0, "one for each newcomer at most: {gave_way}");
    // The oldest was closed, the youngest that was let in was not.
    assert!(!is_let_in(&crowd[0], b'k'));
    assert!(is_let_in(&crowd[19], b'l'));
    // An address with as many connections as others keeps them.
    let others: Vec<TcpStream> = (0..40).map(|_| idle_from("127.0.0.3", port)).collect();
    assert!(is_let_in(&others[0], b'm'));
    assert!(is_let_in(&crowd[18], b'n'));
}

/// At two listeners, a thousand connections of a few addresses that say nothing, and then guesses
/// whose passwords wait.
#[test]
fn silent_connections_leave_room_for_logins() {
    let broker = options()
        .variable("LOTMQ_LIMITS_CONNECTIONS", "200")
        .variable("LOTMQ_LIMITS_CONNECT_TIMEOUT_SEC", "3600")
        .variable("LOTMQ_LISTENER_WS_PORT", "0")
        .variable("LOTMQ_LISTENER_WS_BIND", "127.0.0.1")
        .start();
    broker.command_ok("-addUser ann password");
    let ports = [broker.address().port(), broker.port_of("ws")];
    let crowd = || -> Vec<TcpStream> {
        (0..1_000)
            .map(|number| idle_from(&format!("127.0.0.{}", 2 + number % 4), ports[number / 4 % 2]))
            .collect()
    };
    let _silent = crowd();
    eventually("those beyond a quarter are closed", || {
        let open = broker.metric("lotmq_connections")?;
        (open <= 60.0).then_some(())
    });
    let connect = |source: &str, name: &str, password: &str| {
        let mut stream = idle_from(source, ports[0]);
        let mut packet = Vec::new();
        ConnectOptions::new("").user(name, password).encode(&mut packet).unwrap();
        let _ = stream.write_all(&packet);
        stream
    };
    let enters = |source: &str, name: &str, password: &str| {
        let mut stream = connect(source, name, password);
        let mut answer = [0; 4];
        (stream.read_exact(&mut answer).is_ok() && answer[3] == 0).then_some(stream)
    };
    let log_in = || {
        for (source, name, password) in [
            ("127.0.0.9", "ann", "password"),
            ("127.0.0.10", "root", "coreflux"),
            ("127.0.0.11", "ann", "password"),
        ] {
            // Those who gave way have their places until they are closed.
            eventually(&format!("{name} is let in from {source}"), || enters(source, name, password));
        }
    };
    log_in();
    let _guesses: Vec<TcpStream> =
        (0..400).map(|n| connect("127.0.0.3", &format!("no-{n}"), "guess")).collect();
    let waiting = broker.metric("lotmq_logins_waiting").unwrap();
    assert!(waiting <= 25.0, "an eighth waits: {waiting}");
    log_in();
    let _neighbours: Vec<TcpStream> = (0..100).map(|n| idle_from("127.0.0.12", ports[n % 2])).collect();
    eventually("an administrator is let in beside others of his address", || {
        enters("127.0.0.12", "root", "coreflux")
    });
}

#[test]
fn an_administrator_gets_in_though_others_of_this_machine_contest_the_spare_places() {
    let broker = options()
        .variable("LOTMQ_LIMITS_CONNECTIONS", "20")
        .variable("LOTMQ_LIMITS_CONNECT_TIMEOUT_SEC", "3600")
        .start();
    let port = broker.address().port();
    // Three quarters are for clients without a user; the others say nothing.
    let enter = |last| {
        let stream = idle_from("127.0.0.2", port);
        assert!(is_let_in(&stream, last));
        stream
    };
    let _crowd: Vec<TcpStream> = (b'a'..).take(15).map(enter).collect();
    let _silent: Vec<TcpStream> = (0..5).map(|_| idle_from("127.0.0.2", port)).collect();
    let is_over = AtomicBool::new(false);
    let tried = AtomicU32::new(0);
    let let_in = thread::scope(|scope| {
        // One that says nothing, and one that says that it is root.
        for is_silent in [true, false] {
            let (is_over, tried) = (&is_over, &tried);
            scope.spawn(move || {
                let mut held = VecDeque::new();
                while !is_over.load(Ordering::Relaxed) {
                    let mut stream = idle_from("127.0.0.2", port);
                    if !is_silent {
                        let mut connect = Vec::new();
                        ConnectOptions::v5("").user("root", "wrong").encode(&mut connect).unwrap();
                        let _ = stream.write_all(&connect);
                        thread::sleep(Duration::from_millis(20));
                    }
                    held.push_back(stream);
                    if held.len() > 500 {
                        held.pop_front();
                    }
                    tried.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(Duration::from_micros(500));
                }
            });
        }
        eventually("they contest the places", || (tried.load(Ordering::Relaxed) > 100).then_some(()));
        let root = ConnectOptions::v5("").user("root", "coreflux");
        // Those before take a place until they have been noticed to be gone, which takes longer on
        // a busy machine.
        let tries = |_: u32| {
            thread::sleep(Duration::from_millis(50));
            Client::connect(broker.address(), &root).is_ok()
        };
        let gets_in = |_: &i32| (0..4).any(tries);
        let let_in = (0..20).filter(gets_in).count();
        is_over.store(true, Ordering::Relaxed);
        let_in
    });
    assert_eq!(let_in, 20, "{} others tried", tried.load(Ordering::Relaxed));
}

/// Topics of the retained messages that a filter matches.
fn retained(broker: &Broker, filter: &str) -> usize {
    let mut reader = broker.client("");
    reader.subscribe_to(filter, QoS::AtMostOnce).unwrap();
    std::iter::from_fn(|| reader.receive(Duration::from_millis(500)).unwrap()).count()
}

#[test]
fn retained_messages_of_programs_count_for_their_owner() {
    let mut broker = options()
        .variable("LOTMQ_LIMITS_RETAINED_MESSAGES", "16")
        .variable("LOTMQ_LOT_COMPAT_KEEP_VISIBLE_RETAINED", "true")
        .start();
    let is_one = "USER IS \"ann\" OR USER IS \"bob\"";
    for scope in ["ActionManagementCreation", "CommandCall"] {
        broker.command_ok(&format!(
            "-addRule DEFINE RULE Of{scope} WITH PRIORITY 5 FOR {scope}\n    IF {is_one} THEN\n        ALLOW\n"
        ));
    }
    for user in ["ann", "bob"] {
        broker.command_ok(&format!("-addUser {user} pw"));
        let action = format!(
            "-addAction DEFINE ACTION Of{user}\nON TOPIC \"{user}/+\" DO\n    KEEP TOPIC \"kept/{user}/\" + TOPIC POSITION 2 WITH PAYLOAD\n    PUBLISH TOPIC \"ran/{user}\" WITH 1\n"
        );
        assert!(broker.command_as((user, "pw"), &action).success(), "{user}");
    }
    let fill = |broker: &Broker, user: &str, count: usize| {
        let mut sender = broker.client("sender");
        sender.subscribe_to(&format!("ran/{user}"), QoS::AtMostOnce).unwrap();
        for number in 0..count {
            let topic = format!("{user}/{number}");
            sender.publish(&Publication::new(topic, "1").qos(QoS::AtLeastOnce)).unwrap();
        }
        for _ in 0..count {
            sender.receive(WAIT_MAX).unwrap().expect("the action has run");
        }
        retained(broker, &format!("kept/{user}/#"))
    };
    assert_eq!(fill(&broker, "ann", 20), 12, "three quarters of what others leave");
    assert_eq!(fill(&broker, "bob", 20), 3);
    broker.kill();
    broker.start_again();
    assert_eq!(fill(&broker, "bob", 20), 3, "whose they are outlives a restart");
    // A removed message frees its share, whoever removes it.
    let mut remover = broker.root("remover");
    for number in 0..8 {
        let empty = Publication::new(format!("kept/ann/{number}"), "").qos(QoS::AtLeastOnce).retained();
        remover.publish(&empty).unwrap();
    }
    assert_eq!(fill(&broker, "bob", 40), 9);
}
