//! `lotmq pub` and `lotmq sub`: what they say of refusals, properties of MQTT 5.0, JSON for people,
//! connections that are lost.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use lotmq_client::{ConnectOptions, PropertyId, PropertyValue, Publication, QoS};
use lotmq_test_support::{
    Broker, Finished, Program, WAIT_MAX, eventually, free_address, free_port, wait_for_port,
};
use serde_json::{Value, json};

use crate::bridge::mosquitto;
use crate::deploy_questions::AtTerminal;
use crate::{LOTMQ, broker, next, options, send, watch};

const LOCKED: &str = "DEFINE RULE Locked WITH PRIORITY 100 FOR Publish TO TOPIC \"valve/#\"\n    DENY\n";

fn publish(broker: &Broker, more: &[&str]) -> Finished {
    let port = broker.port();
    let all: Vec<&str> = ["pub", "-p", &port].iter().chain(more).copied().collect();
    Program::run(LOTMQ, &all).unwrap()
}

/// `lotmq sub` that has subscribed.
fn subscriber(broker: &Broker, more: &[&str]) -> Program {
    let port = broker.port();
    let all: Vec<&str> = ["sub", "-p", &port, "-d"].iter().chain(more).copied().collect();
    let program = Program::start(LOTMQ, &all).unwrap();
    program.stderr.expect("subscribed to");
    program
}

#[test]
fn closed_output_pipe_ends_sub_and_watch() {
    let broker = broker();
    let port = broker.port();
    for arguments in [&["sub", "-t", "silent"][..], &["watch"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        let mut waiting =
            Command::new(LOTMQ).args(arguments).args(["-p", &port]).stdout(writer).spawn().unwrap();
        broker.wait_until_metric_is("lotmq_connections", 1.0);
        assert!(waiting.try_wait().unwrap().is_none(), "{arguments:?}");
        drop(reader);
        let ended = eventually("it ends", || waiting.try_wait().unwrap());
        assert_eq!(ended.code(), Some(0), "{arguments:?}");
        broker.wait_until_metric_is("lotmq_connections", 0.0);
    }
}

#[test]
fn pub_notes_when_a_rejection_cannot_be_reported() {
    let broker = broker();
    broker.command_ok(&format!("-addRule {LOCKED}"));
    let told = |more: &[&str]| {
        let finished = publish(&broker, &[&["-t", "valve/1", "-m", "open"], more].concat());
        (finished.status.code(), finished.stderr)
    };
    let (code, stderr) = told(&["-q", "1"]);
    assert_eq!(
        (code, stderr.as_str()),
        (Some(1), "error: the broker refused the message: not authorized (0x87)")
    );
    for (more, hint) in [
        (&["--repeat", "3"][..], "at QoS 0 a broker cannot say whether it refused a message (-q 1 asks"),
        (&["-V", "311", "-q", "1"], "before MQTT 5.0 a broker cannot say whether it refused a message"),
    ] {
        let port = broker.port();
        let arguments = [&["pub", "-p", &port, "-t", "valve/1", "-m", "open"], more].concat();
        let (code, text) = AtTerminal::start(&arguments).all();
        assert_eq!(code, Some(0), "{text}");
        assert!(text.starts_with("note: sent; ") && text.contains(hint), "{text}");
        assert_eq!(text.lines().count(), 1, "once, however many messages there are: {text}");
        assert_eq!(
            AtTerminal::start(&[&arguments[..], &["--quiet"]].concat()).all(),
            (Some(0), String::new())
        );
        assert_eq!(told(more), (Some(0), String::new()), "no terminal is there");
    }
    let heard = publish(&broker, &["-t", "free", "-m", "x", "-q", "1"]);
    assert_eq!((heard.status.code(), heard.stderr.as_str()), (Some(0), ""), "who was answered needs no hint");
}

#[test]
fn message_properties_are_sent_and_printed() {
    let broker = broker();
    let mut watcher = broker.connect(&ConnectOptions::v5("watcher"));
    watcher.subscribe_to("orders/#", QoS::AtLeastOnce).unwrap();
    let format = "%t|%p|%C|%D|%E|%F|%P|%R|%S";
    let shown = subscriber(
        &broker,
        &["-t", "orders/#", "-C", "1", "-F", format, "-D", "subscribe", "subscription-identifier", "9"],
    );
    let lines = subscriber(&broker, &["-t", "orders/#", "-C", "1", "-F", "%j"]);
    let given = [
        ["content-type", "application/json"],
        ["response-topic", "answers/7"],
        ["correlation-data", "c-7"],
        ["message-expiry-interval", "60"],
        ["payload-format-indicator", "1"],
    ];
    let properties = given.iter().flat_map(|pair| ["-D", "publish", pair[0], pair[1]]);
    let pair =
        ["-D", "publish", "user-property", "shift", "early", "-D", "PUBLISH", "user-property", "n", "-1"];
    let all: Vec<&str> =
        ["-t", "orders/1", "-m", r#"{"n":1}"#].into_iter().chain(properties).chain(pair).collect();
    publish(&broker, &all).output();
    let message = watcher.receive(WAIT_MAX).unwrap().unwrap();
    let got = message.properties();
    assert_eq!((got.content_type(), got.response_topic()), (Some("application/json"), Some("answers/7")));
    assert_eq!(got.correlation_data(), Some(&b"c-7"[..]));
    assert!(got.payload_is_utf8() && got.message_expiry_interval().is_some());
    assert_eq!(got.user_properties().collect::<Vec<_>>(), [("shift", "early"), ("n", "-1")]);
    let shown = shown.wait();
    let line = r#"orders/1|{"n":1}|application/json|c-7|60|1|shift:early n:-1|answers/7|9"#;
    assert_eq!(shown.output(), line);
    let object: Value = serde_json::from_str(lines.wait().output()).unwrap();
    let expected = json!({
        "payload-format-indicator": 1,
        "message-expiry-interval": 60,
        "content-type": "application/json",
        "response-topic": "answers/7",
        "correlation-data": "c-7",
        "user-properties": {"shift": "early", "n": "-1"},
    });
    assert_eq!((&object["properties"], &object["payload"]), (&expected, &json!({"n": 1})));
}

#[test]
fn properties_of_connections_and_wills_are_sent() {
    let broker = broker();
    let mut watcher = broker.connect(&ConnectOptions::v5("watcher"));
    watcher.subscribe_to("wills/#", QoS::AtLeastOnce).unwrap();
    let mut dying = subscriber(
        &broker,
        &[
            "-t",
            "x",
            "--will-topic",
            "wills/me",
            "-D",
            "will",
            "content-type",
            "text/plain",
            "-D",
            "connect",
            "session-expiry-interval",
            "60",
            "-i",
            "kept",
        ],
    );
    dying.kill();
    // The Will comes when the session ends, or after its own delay, which is none.
    let message = watcher.receive(WAIT_MAX).unwrap().unwrap();
    assert_eq!(message.properties().content_type(), Some("text/plain"));
    let again = ConnectOptions::v5("kept").clean_start(false);
    assert!(broker.connect(&again).session_present(), "the session outlives its connection");
}

#[test]
fn properties_that_cannot_be_given_are_refused_by_name() {
    for (tool, more, told) in [
        (
            "pub",
            &["puback", "reason-string", "x"][..],
            "`puback` cannot be given properties; these can: connect",
        ),
        (
            "pub",
            &["publish", "colour", "red"],
            "`colour` is no property; PUBLISH from a client takes payload-",
        ),
        ("pub", &["publish", "maximum-qos", "1"], "`maximum-qos` cannot be given to PUBLISH"),
        ("pub", &["publish", "response-topic", "a/#"], "response topic"),
        ("pub", &["publish", "content-type"], "3 values required by '--property"),
        ("pub", &["subscribe", "user-property", "a", "b"], "lotmq pub sends no SUBSCRIBE"),
        ("sub", &["publish", "content-type", "a"], "lotmq sub sends no PUBLISH"),
        ("sub", &["will", "content-type", "a"], "-D will needs a will; give --will-topic"),
        ("sub", &["connect", "session-expiry-interval", "1", "-x", "2"], "-x and -D connect session-expiry"),
        ("sub", &["connect", "user-property", "a", "b", "-V", "311"], "-D needs version 5"),
    ] {
        let common: &[&str] = if tool == "pub" { &["-m", "x"] } else { &[] };
        let refused = Program::run(LOTMQ, &[&[tool, "-t", "a", "-D"], more, common].concat()).unwrap();
        assert_eq!(refused.status.code(), Some(2), "{more:?}: {}", refused.stderr);
        assert!(refused.stderr.contains(told), "{more:?}: {}", refused.stderr);
    }
}

#[test]
fn the_json_of_a_message_is_that_of_mosquitto_sub() {
    let broker = broker();
    let port = broker.port();
    let mut client = broker.connect(&ConnectOptions::v5("sender"));
    let message = Publication::new("t", "a \"text\"")
        .qos(QoS::AtLeastOnce)
        .retained()
        .property(PropertyId::ContentType, PropertyValue::Utf8("text/plain"))
        .property(PropertyId::CorrelationData, PropertyValue::Binary(b"abc"))
        .property(PropertyId::UserProperty, PropertyValue::Utf8Pair("k", "v"));
    client.publish(&message).unwrap();
    let arguments = ["-p", &port, "-t", "t", "-q", "1", "-V", "5", "-C", "1", "-F", "%j"];
    let object = |finished: Finished| {
        let mut object: Value = serde_json::from_str(finished.output()).unwrap();
        object["tst"].take();
        object
    };
    let ours = object(Program::run(LOTMQ, &[&["sub"], &arguments[..]].concat()).unwrap());
    let Some(theirs) = Program::run("mosquitto_sub", &arguments) else { return };
    assert_eq!(ours, object(theirs));
}

#[test]
fn json_is_printed_for_people() {
    let broker = broker();
    publish(&broker, &["-t", "a", "-r", "-m", r#"{"b":[1,{"c":12345678901234567890123}],"a":{}}"#]);
    let port = broker.port();
    let shown = |more: &[&str]| {
        let all = [&["sub", "-p", &port, "-t", "a", "-C", "1", "--pretty"], more].concat();
        Program::run(LOTMQ, &all).unwrap().output().to_owned()
    };
    let pretty =
        "{\n  \"b\": [\n    1,\n    {\n      \"c\": 12345678901234567890123\n    }\n  ],\n  \"a\": {}\n}";
    assert_eq!(shown(&[]), pretty);
    assert_eq!(shown(&["-v"]), format!("a {pretty}"));
    assert!(shown(&["-F", "%j"]).contains("\n  \"topic\": \"a\","));
    publish(&broker, &["-t", "a", "-r", "-m", "no {JSON}"]);
    assert_eq!(shown(&[]), "no {JSON}");
}

#[test]
fn sub_comes_back_when_the_broker_does() {
    let address = free_address();
    let mut broker = options().listen(&address.to_string()).start();
    let watcher = subscriber(&broker, &["-t", "a/#", "-C", "3", "-v"]);
    let named = subscriber(&broker, &["-t", "a/#", "-C", "3", "-c", "-i", "kept", "-V", "311"]);
    publish(&broker, &["-t", "a/1", "-m", "one", "-q", "1"]).output();
    for watcher in [&watcher, &named] {
        watcher.stdout.expect("one");
    }
    for (round, payload) in ["two", "three"].into_iter().enumerate() {
        if round == 0 {
            broker.kill();
        } else {
            broker.stop();
        }
        for watcher in [&watcher, &named] {
            watcher
                .stderr
                .wait_for("a line about the loss", |line| line.contains("; connecting again").then_some(()));
        }
        broker.start_again();
        let count = |program: &Program| program.stderr.text().matches("connected again").count();
        for watcher in [&watcher, &named] {
            eventually("a new connection", || (count(watcher) > round).then_some(()));
        }
        // The first has a session of its own again, and its subscription with it.
        let subscribed = || watcher.stderr.text().matches("subscribed to `a/#`").count() > round + 1;
        eventually("the subscription", || subscribed().then_some(()));
        publish(&broker, &["-t", "a/2", "-m", payload, "-q", "1"]).output();
    }
    assert_eq!(watcher.wait().output(), "a/1 one\na/2 two\na/2 three");
    let named = named.wait();
    assert_eq!(named.output(), "one\ntwo\nthree");
    assert_eq!(named.stderr.matches("subscribed to").count(), 1, "a kept session has its subscriptions");
}

#[test]
fn lines_go_on_when_the_broker_comes_back() {
    let address = free_address();
    let mut broker = options().listen(&address.to_string()).start();
    let port = broker.port();
    for qos in ["1", "2"] {
        let watcher = subscriber(&broker, &["-t", "lines", "-q", qos, "-c", "-i", "kept"]);
        let arguments = ["pub", "-p", &port, "-t", "lines", "-q", qos, "-l"];
        let (program, mut lines) = Program::start_with_open_input(LOTMQ, &arguments).unwrap();
        let mut write = |line: &str| writeln!(lines, "{line}").unwrap();
        ["1", "2"].into_iter().for_each(&mut write);
        watcher.stdout.expect("2");
        broker.kill();
        (3..40).for_each(|line| write(&line.to_string()));
        let told = |line: &str| line.contains("; connecting again").then_some(());
        program.stderr.wait_for("a line about the loss", told);
        broker.start_again();
        write("end");
        drop(lines);
        let finished = program.wait();
        assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
        watcher.stdout.expect("end");
        let text = watcher.stdout.text();
        let mut expected = (1..40).map(|line| line.to_string()).chain(["end".to_owned()]).collect::<Vec<_>>();
        let mut heard: Vec<&str> = text.lines().collect();
        heard.sort_unstable();
        heard.dedup();
        expected.sort_unstable();
        assert_eq!(heard, expected, "each at least once: {text}");
        publish(&broker, &["-t", "lines", "-n"]);
    }
}

#[test]
fn rejected_line_is_reported_and_later_lines_are_sent() {
    let broker = options().variable("LOTMQ_LIMITS_MAX_PACKET_SIZE", "100000").start();
    let watcher = subscriber(&broker, &["-t", "lines", "-q", "1", "-C", "2"]);
    let port = broker.port();
    let arguments = ["pub", "-p", &port, "-q", "1", "-l", "-t"];
    let lines = format!("one\n{}\nthree\n", "x".repeat(200_000));
    let finished =
        Program::start_with_input(LOTMQ, &[&arguments[..], &["lines"]].concat(), &lines).unwrap().wait();
    assert_eq!(finished.status.code(), Some(1), "{}", finished.stderr);
    let told: Vec<&str> = finished.stderr.lines().collect();
    assert!(told[0].starts_with("error: line 2: the message makes a packet of 2000"), "{told:?}");
    assert_eq!(told[1..], ["error: 1 of 3 lines were refused"]);
    assert_eq!(watcher.wait().output(), "one\nthree");

    let rule = "DEFINE RULE Closed WITH PRIORITY 100 FOR Publish TO TOPIC \"closed\"\n    DENY\n";
    broker.command_ok(&format!("-addRule {rule}"));
    let finished =
        Program::start_with_input(LOTMQ, &[&arguments[..], &["closed"]].concat(), "a\nb\n").unwrap().wait();
    assert_eq!(finished.status.code(), Some(1), "{}", finished.stderr);
    for told in
        ["line 1: the broker refused the message: ", "line 2: the broker", "2 of 2 lines were refused"]
    {
        assert!(finished.stderr.contains(told), "{}", finished.stderr);
    }
}

#[test]
fn lines_that_end_every_connection_are_given_up() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port().to_string();
    // It takes a connection, and ends it when something is published.
    std::thread::spawn(move || {
        for peer in server.incoming() {
            let mut peer = peer.unwrap();
            let _ = peer.read(&mut [0; 1000]);
            let _ = peer.write_all(&[0x20, 3, 0, 0, 0]);
            let _ = peer.read(&mut [0; 1000]);
        }
    });
    let arguments = ["pub", "-p", &port, "-t", "a", "-q", "1", "-l", "-V", "5"];
    let finished = Program::start_with_input(LOTMQ, &arguments, "x\ny\n").unwrap().wait();
    assert_eq!(finished.status.code(), Some(3), "{}", finished.stderr);
    assert!(finished.stderr.contains("0 lines were acknowledged, "), "{}", finished.stderr);
}

/// Takes a client of 3.1.1.
fn welcomed(server: &TcpListener) -> TcpStream {
    let (mut peer, _) = server.accept().unwrap();
    peer.set_read_timeout(Some(WAIT_MAX)).unwrap();
    let connect = packet(&mut peer);
    assert_eq!(connect[0], 0x10);
    peer.write_all(&[0x20, 2, 0, 0]).unwrap();
    peer
}

/// A packet of fewer than 128 bytes.
fn packet(peer: &mut TcpStream) -> Vec<u8> {
    let mut packet = vec![0; 2];
    peer.read_exact(&mut packet).unwrap();
    let length = usize::from(packet[1]);
    packet.resize(2 + length, 0);
    peer.read_exact(&mut packet[2..]).unwrap();
    packet
}

/// A server that answers, and a client that has nothing to say: it says that it is alive, and does
/// not say again what was acknowledged.
#[test]
fn the_connection_of_lines_is_served_while_none_comes() {
    const PING: [u8; 2] = [0xC0, 0];
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port().to_string();
    let arguments = ["pub", "-p", &port, "-V", "311", "-k", "1", "-q", "1", "-t", "a", "-l"];
    let (program, mut lines) = Program::start_with_open_input(LOTMQ, &arguments).unwrap();
    let mut peer = welcomed(&server);
    let acknowledged = |peer: &mut TcpStream, payload: &[u8]| {
        let publish = packet(peer);
        assert_eq!((publish[0], &publish[7..]), (0x32, payload));
        peer.write_all(&[0x40, 2, publish[5], publish[6]]).unwrap();
    };
    writeln!(lines, "one").unwrap();
    acknowledged(&mut peer, b"one");
    for _ in 0..2 {
        assert_eq!(packet(&mut peer), PING);
        peer.write_all(&[0xD0, 0]).unwrap();
    }
    drop(peer);
    let mut peer = welcomed(&server);
    assert_eq!(packet(&mut peer), PING, "not the line that was acknowledged");
    peer.write_all(&[0xD0, 0]).unwrap();
    writeln!(lines, "two").unwrap();
    acknowledged(&mut peer, b"two");
    drop(lines);
    assert_eq!(packet(&mut peer), [0xE0, 0]);
    let finished = program.wait();
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
}

#[test]
fn a_connection_is_served_between_repeats() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port().to_string();
    let more = ["-k", "1", "-t", "a", "-m", "x", "--repeat", "2", "--repeat-delay", "1.5"];
    let program = Program::start(LOTMQ, &[&["pub", "-p", &port, "-V", "311"], &more[..]].concat()).unwrap();
    let mut peer = welcomed(&server);
    let mut types = Vec::new();
    for _ in 0..4 {
        let packet = packet(&mut peer);
        if packet[0] == 0xC0 {
            peer.write_all(&[0xD0, 0]).unwrap();
        }
        types.push(packet[0]);
    }
    assert_eq!(types, [0x30, 0xC0, 0x30, 0xE0]);
    assert_eq!(program.wait().status.code(), Some(0));
}

#[test]
fn rejected_line_is_reported_before_the_next_line() {
    let broker = broker();
    broker.command_ok(&format!("-addRule {LOCKED}"));
    let arguments = ["pub", "-p", &broker.port(), "-q", "1", "-t", "valve/1", "-l"];
    let (program, mut lines) = Program::start_with_open_input(LOTMQ, &arguments).unwrap();
    writeln!(lines, "open").unwrap();
    program.stderr.expect("line 1: the broker refused the message: not authorized (0x87)");
    drop(lines);
    assert_eq!(program.wait().status.code(), Some(1));
}

#[test]
fn pub_succeeds_if_the_broker_closes_after_the_last_acknowledgement() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port().to_string();
    // It acknowledges and is gone: with something unread, so that the system says so at once.
    std::thread::spawn(move || {
        for peer in server.incoming() {
            let mut peer = peer.unwrap();
            let mut connect = [0; 2];
            peer.read_exact(&mut connect).unwrap();
            peer.read_exact(&mut vec![0; connect[1].into()]).unwrap();
            peer.write_all(&[0x20, 2, 0, 0]).unwrap();
            let mut publish = [0; 7];
            if peer.read_exact(&mut publish).is_ok() {
                let _ = peer.write_all(&[0x40, 2, publish[5], publish[6]]);
            }
        }
    });
    for (qos, code) in [("1", 0), ("0", 3)] {
        let arguments = ["pub", "-p", &port, "-V", "311", "-t", "a", "-q", qos, "-l"];
        let (program, mut lines) = Program::start_with_open_input(LOTMQ, &arguments).unwrap();
        writeln!(lines, "{}", "x".repeat(100)).unwrap();
        // Time for the server to be gone, where that is not waited for.
        std::thread::sleep(std::time::Duration::from_millis(300));
        drop(lines);
        let finished = program.wait();
        assert_eq!(finished.status.code(), Some(code), "QoS {qos}: {}", finished.stderr);
    }
}

#[test]
fn sub_does_not_come_back_where_that_changes_nothing() {
    let mut broker = broker();
    let first = subscriber(&broker, &["-t", "a", "-i", "same"]);
    let second = subscriber(&broker, &["-t", "a", "-i", "same", "-W", "1.5"]);
    let first = first.wait();
    assert_eq!(first.status.code(), Some(3));
    assert!(
        first.stderr.contains("error: the server ended the connection: session taken over"),
        "{}",
        first.stderr
    );
    broker.kill();
    let second = second.wait();
    assert_eq!(second.status.code(), Some(27), "-W counts while there is no broker: {}", second.stderr);
    // The first connection has one attempt.
    let never = Program::run(LOTMQ, &["sub", "-p", &broker.port(), "-t", "a"]).unwrap();
    assert_eq!(never.status.code(), Some(3), "{}", never.stderr);
}

#[test]
fn a_refused_filter_does_not_end_the_others() {
    let broker = broker();
    let watcher = subscriber(&broker, &["-t", "$SYS/Coreflux/Version", "-t", "a", "-C", "1"]);
    watcher.stderr.expect("refused the subscription to `$SYS/Coreflux/Version`");
    watcher.stderr.expect("subscribed to `a`");
    publish(&broker, &["-t", "a", "-m", "one", "-q", "1"]).output();
    let finished = watcher.wait();
    assert_eq!((finished.stdout.as_str(), finished.status.code()), ("one", Some(1)));
}

#[test]
fn the_tools_speak_5_0_with_other_brokers_and_come_back_to_them() {
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port().to_string());
    let file = folder.path().join("mosquitto.conf");
    std::fs::write(&file, format!("listener {port} 127.0.0.1\nallow_anonymous true\n")).unwrap();
    let Some(mut other) = mosquitto(&file) else { return };
    wait_for_port(port.parse().unwrap());
    let format = ["-F", "%p %C", "-C", "2", "-t", "a", "-d"];
    let watcher = Program::start(LOTMQ, &[&["sub", "-p", &port], &format[..]].concat()).unwrap();
    watcher.stderr.expect("subscribed to `a`");
    let publish = |payload: &str| {
        let arguments =
            ["pub", "-p", &port, "-q", "1", "-t", "a", "-m", payload, "-D", "publish", "content-type"];
        Program::run(LOTMQ, &[&arguments[..], &["text/plain"]].concat()).unwrap().output();
    };
    publish("one");
    watcher.stdout.expect("one text/plain");
    other.kill();
    watcher.stderr.expect("; connecting again");
    let _other = mosquitto(&file);
    let subscribed = || watcher.stderr.text().matches("subscribed to `a`").count() > 1;
    eventually("the subscription", || subscribed().then_some(()));
    publish("two");
    assert_eq!(watcher.wait().output(), "one text/plain\ntwo text/plain");
}

#[test]
fn sub_leaves_a_broker_that_answers_no_more() {
    let broker = broker();
    let watcher = subscriber(&broker, &["-t", "a", "-C", "1", "-k", "1"]);
    let process = broker.process_id().to_string();
    let signal = |name: &str| Program::run("kill", &[name, &process]).unwrap().output().to_owned();
    signal("-STOP");
    watcher.stderr.expect("no PINGRESP within 1 s; connecting again");
    signal("-CONT");
    watcher.stderr.expect("connected again");
    let subscribed = || watcher.stderr.text().matches("subscribed to `a`").count() > 1;
    eventually("the subscription", || subscribed().then_some(()));
    publish(&broker, &["-t", "a", "-m", "one", "-q", "1"]).output();
    assert_eq!(watcher.wait().output(), "one");
}

#[test]
fn a_signal_ends_sub_with_a_goodbye_and_without_its_will() {
    let broker = broker();
    let mut watcher = watch(&broker, "gone");
    let will = ["-t", "a", "--will-topic", "gone", "--will-payload", "lost"];
    for signal in ["TERM", "INT"] {
        let sub = subscriber(&broker, &will);
        let kill = format!("kill -{signal} {}", sub.process_id());
        Program::run("sh", &["-c", &kill]).unwrap().output();
        assert_eq!(sub.wait().status.code(), Some(0), "{signal}");
        send(&broker, "gone", "by somebody else");
        assert_eq!(next(&mut watcher), "gone=by somebody else", "{signal}");
    }
}

#[test]
fn failed_tools_disconnect_cleanly_without_a_will() {
    let broker = broker();
    let port = broker.port();
    broker.command_ok(&format!("-addRule {LOCKED}"));
    broker.command_ok(
        "-addRule DEFINE RULE Hidden WITH PRIORITY 100 FOR Subscribe TO TOPIC \"hidden/#\"\n    DENY\n",
    );
    let mut watcher = watch(&broker, "gone");
    for (arguments, code) in [
        (&["sub", "-t", "hidden/a"][..], 1),
        (&["request", "-t", "valve/1", "-m", "x"], 1),
        (&["request", "-t", "a", "-m", "x", "-e", "hidden/a"], 1),
        (&["request", "-t", "a", "-m", "x", "-W", "0.1"], 27),
    ] {
        let will = ["-p", &port, "--will-topic", "gone", "--will-payload", "lost"];
        let finished = Program::run(LOTMQ, &[arguments, &will[..]].concat()).unwrap();
        assert_eq!(finished.status.code(), Some(code), "{arguments:?}: {}", finished.stderr);
        send(&broker, "gone", "by somebody else");
        assert_eq!(next(&mut watcher), "gone=by somebody else", "{arguments:?}");
    }
}
