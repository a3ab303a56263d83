//! `MODBUS_TCP`: units of pymodbus that are read and written, killed and frozen, and a server of
//! the test's own for what no good server does.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use lotmq_client::{Client, ConnectOptions, PropertyId, PropertyValue, Publication, QoS};
use lotmq_test_support::{Program, WAIT_MAX, eventually, free_port, python_with_module, wait_for_port};

use crate::link::Link;
use crate::{Standing, backlog, broker, next, publish_all, roomy, send, watch};

/// A server of pymodbus.
struct Server {
    program: Program,
    port: u16,
}

impl Server {
    /// Starts one; `None` where its package is not installed.
    fn start(port: u16) -> Option<Server> {
        let python = python_with_module("pymodbus")?;
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/connectors/modbus/server.py");
        let program = Program::start(python, &[script, &port.to_string()])?;
        wait_for_port(port);
        Some(Server { program, port })
    }

    /// Waits for a request, as `unit function address count`.
    fn was_asked(&self, request: &str) {
        let found = self.program.stdout.wait_for(request, |line| (line == request).then_some(()));
        found.unwrap_or_else(|| panic!("the server ended: {}", self.program.stderr.text()));
    }

    fn signal(&self, signal: &str) {
        Program::run("kill", &[signal, &self.program.process_id().to_string()]).unwrap();
    }
}

/// A route to a port with settings of its section, and a mapping `M` every 50 ms with tags, each a
/// line of `name setting; setting`.
fn route(port: u16, settings: &str, tags: &str) -> String {
    let mut text = format!(
        "-addRoute DEFINE ROUTE Plc WITH TYPE MODBUS_TCP\n    ADD MODBUS_CONFIG\n        WITH HOST \"127.0.0.1\"\n        WITH PORT {port}\n"
    );
    settings.lines().for_each(|line| text += &format!("        WITH {line}\n"));
    text + &mapping("plc", tags)
}

/// A mapping `M` every 50 ms, published below a topic, with tags.
pub(crate) fn mapping(topic: &str, tags: &str) -> String {
    let mut text = format!(
        "    ADD MAPPING M\n        WITH SOURCE_TOPIC \"{topic}\"\n        WITH EVERY 50 MILLISECONDS\n"
    );
    for tag in tags.lines().map(str::trim) {
        let (name, settings) = tag.split_once(' ').unwrap();
        text += &format!("        ADD TAG {name}\n");
        settings.split("; ").for_each(|line| text += &format!("            WITH {line}\n"));
    }
    text
}

/// The first value of each of so many topics.
pub(crate) fn values(client: &mut Client, topics: usize) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    while values.len() < topics {
        let message = client.receive(WAIT_MAX).unwrap().expect("a value");
        values.entry(message.topic.to_string()).or_insert(message.text());
    }
    values
}

/// Waits for a message, as `topic=payload`.
pub(crate) fn until(client: &mut Client, wanted: &str) {
    while next(client) != wanted {}
}

/// Settings of tags, and the value that each has at the server.
pub(crate) const READ: [(&str, &str); 20] = [
    (r#"ADDRESS "40001"; DATA_TYPE "INT16"; SCALING 0.1"#, "21.5"),
    (r#"ADDRESS "0"; DATA_TYPE "UINT"; SCALING 0.1; OFFSET 3"#, "24.5"),
    (r#"ADDRESS "40002"; DATA_TYPE "INT16""#, "-2"),
    (r#"ADDRESS "40002"; DATA_TYPE "WORD""#, "65534"),
    (r#"ADDRESS "40002"; DATA_TYPE "SINT""#, "-2"),
    (r#"ADDRESS "40002"; DATA_TYPE "BYTE""#, "254"),
    (r#"ADDRESS "40003"; DATA_TYPE "REAL"; DECIMAL_PLACES 0"#, "22"),
    (r#"ADDRESS "40005"; DATA_TYPE "REAL"; BYTE_ORDER "CDAB""#, "21.5"),
    (r#"ADDRESS "40007.3"; DATA_TYPE "BOOL""#, "true"),
    (r#"ADDRESS "40007.2"; DATA_TYPE "BOOL""#, "false"),
    (r#"ADDRESS "40008"; DATA_TYPE "STRING"; LENGTH 6"#, "pump"),
    (r#"ADDRESS "12"; ADDRESS_TYPE "HOLDING_REGISTER"; DATA_TYPE "UDINT""#, "131071"),
    (r#"ADDRESS "40014"; DATA_TYPE "ULINT""#, "18446744073709551615"),
    (r#"ADDRESS "40014"; DATA_TYPE "LINT""#, "-1"),
    (r#"ADDRESS "40001"; DATA_TYPE "INT"; LENGTH 2"#, "[215,-2]"),
    (r#"ADDRESS "00001"; DATA_TYPE "BOOL""#, "true"),
    (r#"ADDRESS "00001"; DATA_TYPE "BOOL"; LENGTH 3"#, "[true,false,true]"),
    (r#"ADDRESS "1"; ADDRESS_TYPE "DISCRETE_INPUT"; DATA_TYPE "BOOL""#, "false"),
    (r#"ADDRESS "30003"; DATA_TYPE "INT""#, "9"),
    (r#"ADDRESS "30003"; DATA_TYPE "INT"; SLAVE_ID 2"#, "9"),
];

#[test]
fn values_of_all_types_are_published() {
    let Some(server) = Server::start(free_port()) else { return };
    let broker = broker();
    let mut watcher = watch(&broker, "plc/#");
    let tags: Vec<String> = READ.iter().enumerate().map(|(at, (tag, _))| format!("t{at} {tag}")).collect();
    broker.command_ok(&route(server.port, "", &tags.join("\n")));
    let values = values(&mut watcher, READ.len());
    for (at, (tag, expected)) in READ.iter().enumerate() {
        assert_eq!(values[&format!("plc/t{at}")], *expected, "{tag}");
    }
    // The route reads neighbouring addresses in one request.
    server.was_asked("1 3 0 17");
}

/// Tags that are written.
pub(crate) const WRITTEN: &str = r#"Word ADDRESS "40021"; DATA_TYPE "INT16"; SCALING 0.1; PUBLISH_MODE "ON_CHANGE"; DESTINATION_TOPIC "write/word"
    Real ADDRESS "40023"; DATA_TYPE "REAL"; BYTE_ORDER "CDAB"; PUBLISH_MODE "ON_CHANGE"; DESTINATION_TOPIC "write/real"
    Bit ADDRESS "40026.4"; DATA_TYPE "BOOL"; PUBLISH_MODE "ON_CHANGE"; DESTINATION_TOPIC "write/bit"
    Name ADDRESS "40031"; DATA_TYPE "STRING"; LENGTH 5; PUBLISH_MODE "ON_CHANGE"; DESTINATION_TOPIC "write/name"
    Coil ADDRESS "00002"; DATA_TYPE "BOOL"; PUBLISH_MODE "ON_CHANGE"; DESTINATION_TOPIC "write/coil"
    Coils ADDRESS "00005"; DATA_TYPE "BOOL"; LENGTH 3; PUBLISH_MODE "ON_CHANGE"; DESTINATION_TOPIC "write/coils""#;

/// Values for these tags: topic, payload, the request at the server, and the published value.
pub(crate) const WRITES: [(&str, &str, &str, &str); 7] = [
    ("word", "-21.5", "1 6 20 0", "plc/Word=-21.5"),
    ("word", r#"{"value":7.06,"by":"x"}"#, "1 6 20 0", "plc/Word=7.1"),
    ("real", "0.1", "1 16 22 2", "plc/Real=0.1"),
    ("bit", "true", "1 6 25 0", "plc/Bit=true"),
    ("name", "valve", "1 16 30 3", "plc/Name=valve"),
    ("coil", "1", "1 5 1 0", "plc/Coil=true"),
    ("coils", "[true,true,false]", "1 15 4 3", "plc/Coils=[true,true,false]"),
];

#[test]
fn values_sent_to_tags_are_written_and_read_back() {
    let Some(server) = Server::start(free_port()) else { return };
    let broker = broker();
    let mut watcher = watch(&broker, "plc/#");
    broker.command_ok(&route(server.port, "", WRITTEN));
    values(&mut watcher, 6);
    for (topic, payload, function, read_back) in WRITES {
        send(&broker, &format!("write/{topic}"), payload);
        until(&mut watcher, read_back);
        server.was_asked(function);
    }
    let mut errors = broker.root("reader of errors");
    errors.subscribe_to("$SYS/Coreflux/Routes/Plc/Error", QoS::AtMostOnce).unwrap();
    for (topic, payload, expected) in [
        ("word", "warm", "tag M/Word is not written: 'warm' is no number"),
        ("word", "3277", "tag M/Word is not written: 3277 is out of the range of INT16"),
        ("coil", "2", "tag M/Coil is not written: '2' is neither true nor false"),
        ("name", "valves", "tag M/Name is not written: a text of 6 bytes, there is room for 5"),
        ("coils", "[true]", "tag M/Coils is not written: 1 values where 3 are wanted"),
    ] {
        send(&broker, &format!("write/{topic}"), payload);
        let told = errors.receive(WAIT_MAX).unwrap().expect("an error").text();
        assert!(told.contains(expected), "{told}");
    }
}

#[test]
fn a_server_that_was_killed_is_read_and_written_again() {
    let Some(mut server) = Server::start(free_port()) else { return };
    let broker = broker();
    let mut watcher = watch(&broker, "plc/#");
    let mut standing = Standing::of(&broker, "Plc");
    broker.command_ok(&route(server.port, "RETRY_DELAY 10", WRITTEN));
    values(&mut watcher, 6);
    server.program.kill();
    let told = standing.until("\"Reconnecting\"");
    assert!(told.contains("nothing listens there"), "{told}");
    assert!(!told.contains("\"lastSuccess\":null"), "what polls bring is success: {told}");
    send(&broker, "write/word", "12.3");
    let port = server.port;
    drop(server);
    let _server = Server::start(port).unwrap();
    until(&mut watcher, "plc/Word=12.3");
    standing.until("\"Connected\"");
}

/// [MQTT-3.3.2-5]: the route drops a command that expired while the device was away. It holds up no
/// other command.
#[test]
fn expired_command_is_not_written() {
    if Server::start(free_port()).is_none() {
        return;
    }
    let (broker, port) = (broker(), free_port());
    let mut watcher = watch(&broker, "plc/#");
    broker.command_ok(&route(port, "RETRY_DELAY 10", WRITTEN));
    let mut publisher = broker.connect(&ConnectOptions::v5("short-lived"));
    for (topic, payload, seconds) in [("write/word", "66.6", 1), ("write/real", "4.5", 1000)] {
        let message = Publication::new(topic, payload)
            .qos(QoS::AtLeastOnce)
            .property(PropertyId::MessageExpiryInterval, PropertyValue::FourByte(seconds));
        publisher.publish(&message).unwrap();
    }
    thread::sleep(Duration::from_millis(1100));
    let _server = Server::start(port).unwrap();
    until(&mut watcher, "plc/Real=4.5");
    assert_eq!(broker.metric("lotmq_route_expired_total"), Some(1.0));
    assert_eq!(broker.metric("lotmq_route_dead_letters_total"), Some(0.0));
    send(&broker, "write/word", "12.3");
    loop {
        let read = next(&mut watcher);
        assert_ne!(read, "plc/Word=66.6");
        if read == "plc/Word=12.3" {
            break;
        }
    }
}

/// After a start of the broker, the other routes get a route's first values. This holds for routes
/// that were added after it.
#[test]
fn the_first_values_after_a_start_reach_the_other_routes() {
    let Some(server) = Server::start(free_port()) else { return };
    let mut broker = broker();
    let mut standing = Standing::of(&broker, "Plc");
    broker.command_ok(&route(
        server.port,
        "",
        r#"T ADDRESS "40001"; DATA_TYPE "INT"; PUBLISH_MODE "ON_CHANGE""#,
    ));
    standing.until("\"Connected\"");
    let nobody = free_port();
    broker.command_ok(&format!(
        "-addRoute DEFINE ROUTE Up WITH TYPE MQTT_BRIDGE\n    ADD SOURCE_CONFIG\n        WITH BROKER SELF\n    ADD DESTINATION_CONFIG\n        \
         WITH BROKER_ADDRESS \"127.0.0.1\"\n        WITH BROKER_PORT \"{nobody}\"\n{}",
        crate::bridge::mapping("All", "plc/#", "plc/#", "out")
    ));
    for _ in 0..3 {
        broker.kill();
        broker.start_again();
        Standing::of(&broker, "Plc").until("\"Connected\"");
        eventually("the value to wait for the bridge", || {
            let figures = broker.http("/metrics").body;
            let waiting = figures
                .lines()
                .find(|line| line.starts_with("lotmq_route_waiting{") && line.contains("\"Up\""));
            waiting.filter(|line| !line.ends_with(" 0")).map(drop)
        });
    }
}

#[test]
fn a_server_that_hangs_is_away_until_it_answers() {
    let Some(server) = Server::start(free_port()) else { return };
    let broker = broker();
    let mut watcher = watch(&broker, "plc/#");
    let mut standing = Standing::of(&broker, "Plc");
    let settings = "READ_TIMEOUT 200\nRETRY_COUNT 1\nRETRY_DELAY 10";
    broker.command_ok(&route(server.port, settings, r#"T ADDRESS "40001"; DATA_TYPE "INT""#));
    until(&mut watcher, "plc/T=215");
    server.signal("-STOP");
    let told = standing.until("\"Reconnecting\"");
    assert!(told.contains("unit 1 does not answer within 200 ms"), "{told}");
    server.signal("-CONT");
    standing.until("\"Connected\"");
    until(&mut watcher, "plc/T=215");
}

#[test]
fn a_slow_device_is_waited_for() {
    let Some(server) = Server::start(free_port()) else { return };
    let link = Link::to(server.port);
    link.slow_down(Duration::from_millis(150));
    let broker = broker();
    let mut watcher = watch(&broker, "plc/#");
    broker.command_ok(&route(link.port, "", r#"T ADDRESS "40001"; DATA_TYPE "INT""#));
    until(&mut watcher, "plc/T=215");
    assert_eq!(broker.metric("lotmq_route_reconnects_total"), Some(0.0));
}

#[test]
fn a_tag_that_the_device_refuses_does_not_keep_back_the_others() {
    let Some(server) = Server::start(free_port()) else { return };
    let broker = broker();
    let mut watcher = watch(&broker, "plc/#");
    let mut standing = Standing::of(&broker, "Plc");
    let mut errors = broker.root("errors");
    errors.subscribe_to("$SYS/Coreflux/Routes/Plc/Error", QoS::AtMostOnce).unwrap();
    let tags = r#"A ADDRESS "999"; DATA_TYPE "INT"
        Bad ADDRESS "1000"; DATA_TYPE "INT"
        C ADDRESS "998"; DATA_TYPE "INT""#;
    broker.command_ok(&route(server.port, "", tags));
    let told = standing.until(r#""tags":{"failing":1"#);
    assert!(told.contains("M/Bad: illegal data address (exception 2)"), "{told}");
    assert!(told.contains("\"Connected\""), "{told}");
    let topics: BTreeSet<String> = values(&mut watcher, 2).into_keys().collect();
    assert_eq!(topics, ["plc/A", "plc/C"].map(str::to_owned).into());
    assert!(told.contains(r#""reasons":{"M/Bad":"illegal data address (exception 2)"}"#), "{told}");
    assert!(told.contains(r#""health":"Yellow""#) && told.contains(r#""lastErrorIsOver":false"#), "{told}");
    let reply = broker.command_ok("-listRoutes");
    assert_eq!(reply.data()[0]["failingTags"], 1, "{reply:?}");
    let reason = "1 tag has no value: M/Bad: illegal data address (exception 2)";
    assert_eq!(reply.data()[0]["reason"], reason, "{reply:?}");
    let shown = Program::run(env!("CARGO_BIN_EXE_lotmq"), &["routes", "-p", &broker.port()]).unwrap().stdout;
    assert!(shown.contains(reason), "{shown}");
    assert_eq!(broker.metric("lotmq_route_failing_tags"), Some(1.0));
    let error = errors.receive(WAIT_MAX).unwrap().expect("it is told once").text();
    assert!(error.contains(r#""code":"ROUTE_TAGS""#) && error.contains(reason), "{error}");
    assert!(errors.receive(Duration::from_secs(1)).unwrap().is_none());
    let log = broker.log().all();
    let lines: Vec<_> = log.iter().filter(|line| line.contains("tags of a route have no value")).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("M/Bad") && !lines[0].contains("illegal"), "{lines:?}");
}

/// A server of the test's own, which answers each request as it is told: by the connection's number
/// and that of the request.
fn fake(answer: impl Fn(usize, usize, &[u8]) -> Vec<u8> + Clone + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let (stream, answer) = (stream.unwrap(), answer.clone());
            thread::spawn(move || converse(stream, |request, frame| answer(number, request, frame)));
        }
    });
    port
}

/// Answers frames until the other side ends.
fn converse(mut stream: TcpStream, answer: impl Fn(usize, &[u8]) -> Vec<u8>) {
    for number in 0.. {
        let mut frame = vec![0; 6];
        if stream.read_exact(&mut frame).is_err() {
            return;
        }
        let mut rest = vec![0; usize::from(u16::from_be_bytes([frame[4], frame[5]]))];
        if stream.read_exact(&mut rest).is_err() {
            return;
        }
        frame.extend(rest);
        if stream.write_all(&answer(number, &frame)).is_err() {
            return;
        }
    }
}

/// The reply to a request for registers that are all 7, or to a write.
fn sevens(frame: &[u8]) -> Vec<u8> {
    if frame[7] > 4 {
        return [&frame[..5], &[6], &frame[6..12]].concat();
    }
    let count = frame[11];
    let header = [frame[0], frame[1], 0, 0, 0, 3 + count * 2, frame[6], frame[7], count * 2];
    [&header[..], &[0, 7].repeat(count.into())].concat()
}

#[test]
fn a_unit_that_is_dead_does_not_hold_up_the_others_behind_its_gateway() {
    let port = fake(|_, _, frame| if frame[6] == 9 { Vec::new() } else { sevens(frame) });
    let broker = broker();
    let mut watcher = watch(&broker, "plc/#");
    let mut standing = Standing::of(&broker, "Plc");
    let tags = r#"Alive ADDRESS "40001"; DATA_TYPE "INT"; DESTINATION_TOPIC "write/alive"
        Dead ADDRESS "40001"; DATA_TYPE "INT"; SLAVE_ID 9; DESTINATION_TOPIC "write/dead""#;
    broker.command_ok(&route(port, "READ_TIMEOUT 100\nRETRY_COUNT 0", tags));
    let told = standing.until("M/Dead");
    assert!(told.contains("M/Dead: unit 9 does not answer within 100 ms"), "{told}");
    assert!(told.contains("\"Connected\""), "{told}");
    for _ in 0..10 {
        assert_eq!(next(&mut watcher), "plc/Alive=7");
    }
    let mut errors = broker.root("reader of errors");
    errors.subscribe_to("$SYS/Coreflux/Routes/Plc/Error", QoS::AtMostOnce).unwrap();
    send(&broker, "write/dead", "1");
    let rejected = |text: String| text.contains("tag M/Dead is not written").then_some(text);
    while rejected(errors.receive(WAIT_MAX).unwrap().expect("an error").text()).is_none() {}
}

#[test]
fn a_device_without_units_is_asked_as_unit_0_or_255() {
    let (sender, asked) = std::sync::mpsc::channel();
    let port = fake(move |_, _, frame| {
        sender.send(frame[6]).unwrap();
        // Some devices answer as unit 0 or 255, whichever unit was asked.
        let mut reply = sevens(frame);
        reply[6] = if frame[6] == 5 { 255 } else { reply[6] };
        reply
    });
    let broker = broker();
    let mut watcher = watch(&broker, "plc/#");
    for unit in [255, 0, 5] {
        let tag = r#"T ADDRESS "40001"; DATA_TYPE "INT""#;
        broker.command_ok(&route(port, &format!("SLAVE_ID {unit}"), tag));
        let mut found = asked.recv_timeout(WAIT_MAX).unwrap();
        // The route that was replaced may ask once more.
        while found != unit {
            found = asked.recv_timeout(WAIT_MAX).unwrap();
        }
        assert_eq!(next(&mut watcher), "plc/T=7", "unit {unit}");
        broker.command_ok("-removeRoute Plc");
    }
}

#[test]
fn a_late_reply_is_never_taken_for_another() {
    // The first request of all is answered behind the time; the second one on the next connection
    // with the first one's reply before its own.
    let port = fake(|connection, request, frame| {
        if (connection, request) == (0, 1) {
            thread::sleep(Duration::from_millis(400));
        }
        let mut late = sevens(frame);
        late[0] ^= 0xFF;
        late.last_mut().into_iter().for_each(|byte| *byte = 99);
        if request % 2 == 1 { [late, sevens(frame)].concat() } else { sevens(frame) }
    });
    let broker = broker();
    let mut watcher = watch(&broker, "plc/#");
    broker.command_ok(&route(
        port,
        "READ_TIMEOUT 200\nRETRY_DELAY 0",
        r#"T ADDRESS "40001"; DATA_TYPE "INT""#,
    ));
    for _ in 0..20 {
        assert_eq!(next(&mut watcher), "plc/T=7");
    }
}

#[test]
fn malformed_reply_is_reported_and_ends_the_connection() {
    for (reply, expected) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "what came is not Modbus"),
        (&[0, 1, 0, 0, 0xFF, 0xFF], "a reply of 65535 bytes came, which Modbus does not have"),
        (&[0, 1, 0, 0, 0, 0], "a reply of 0 bytes came, which Modbus does not have"),
        (&[0, 1, 0, 0, 0, 4, 1, 4, 1, 0], "unit 1 was asked for function 3, and 1 has answered with 4"),
        (&[0, 1, 0, 0, 0, 4, 2, 3, 1, 0], "unit 1 was asked for function 3, and 2 has answered with 3"),
    ] {
        let port = fake(move |_, _, _| reply.to_vec());
        let broker = broker();
        let mut standing = Standing::of(&broker, "Plc");
        broker.command_ok(&route(port, "RETRY_COUNT 0", r#"T ADDRESS "40001"; DATA_TYPE "INT""#));
        let told = standing.until("\"Reconnecting\"");
        assert!(told.contains(expected), "{told}");
    }
}

#[test]
fn ten_thousand_values_are_written_in_their_order() {
    let count = backlog(10_000);
    let (sender, written) = std::sync::mpsc::channel();
    let port = fake(move |_, _, frame| {
        if frame[7] == 6 {
            sender.send(u16::from_be_bytes([frame[10], frame[11]])).unwrap();
        }
        sevens(frame)
    });
    let broker = broker();
    let mut standing = Standing::of(&broker, "Plc");
    let tag = r#"T ADDRESS "40001"; DATA_TYPE "UINT"; DESTINATION_TOPIC "write/t""#;
    broker.command_ok(&roomy(&route(port, "", tag)));
    standing.until("\"Connected\"");
    let value = |number: usize| u16::try_from(number % 50_000).unwrap();
    publish_all(&broker, (0..count).map(|number| ("write/t".to_owned(), value(number).to_string())));
    for number in 0..count {
        assert_eq!(written.recv_timeout(WAIT_MAX), Ok(value(number)));
    }
}

#[test]
fn wrong_settings_are_reported_by_name() {
    let broker = broker();
    let tag = r#"T ADDRESS "40001"; DATA_TYPE "INT""#;
    for (settings, tags, expected) in [
        ("SLAVE_ID 300", tag, "SLAVE_ID is a whole number from 0 to 255"),
        ("BYTE_ORDER \"ACBD\"", tag, "BYTE_ORDER"),
        ("MAX_REGISTERS 126", tag, "MAX_REGISTERS is a whole number from 1 to 125"),
        ("", r#"T ADDRESS "40001""#, "needs DATA_TYPE"),
        ("", r#"T DATA_TYPE "INT""#, "needs ADDRESS"),
        (
            "",
            r#"T ADDRESS "40000"; DATA_TYPE "INT""#,
            "ADDRESS `40000`: numbers of 5 or 6 digits count from 1",
        ),
        ("", r#"T ADDRESS "20001"; DATA_TYPE "INT""#, "a number of 5 or 6 digits begins with 0, 1, 3 or 4"),
        ("", r#"T ADDRESS "4000x"; DATA_TYPE "INT""#, "ADDRESS `4000x`: it is no number, such as 40001"),
        ("", r#"T ADDRESS "-1"; DATA_TYPE "INT""#, "ADDRESS `-1`: it is no number, such as 40001"),
        ("", r#"T ADDRESS "40001.3"; DATA_TYPE "INT16""#, "ADDRESS `40001.3`: a bit is a BOOL and no INT16"),
        ("", r#"T ADDRESS "40001"; DATA_TYPE "STRING""#, "ADDRESS `40001`: a text needs LENGTH"),
        (
            "",
            r#"T ADDRESS "30001"; DATA_TYPE "INT"; DESTINATION_TOPIC "w""#,
            "ADDRESS `30001`: an input cannot be written",
        ),
        ("", r#"T ADDRESS "40001"; DATA_TYPE "INT"; SCALING 0"#, "SCALING is a number other than 0"),
        (
            "",
            r#"T ADDRESS "40001.16"; DATA_TYPE "BOOL""#,
            "ADDRESS `40001.16`: a register has the bits 0 to 15",
        ),
    ] {
        let reply = format!("{:?}", broker.command(&route(502, settings, tags)));
        assert!(reply.contains(expected), "{settings} {tags}: {reply}");
    }
    let mut standing = Standing::of(&broker, "Plc");
    // Nobody is there: a mistake that the text does not say is told all the same.
    broker.command_ok("-setSecret PLACE=40001.3");
    broker.command_ok(&route(free_port(), "", r#"T ADDRESS GET SECRET "PLACE"; DATA_TYPE "INT16""#));
    standing.until("tag M/T: ADDRESS '40001.3': a bit is a BOOL and no INT16");
}
