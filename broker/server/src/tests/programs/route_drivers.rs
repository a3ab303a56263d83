//! Routes of a real broker, with a real guest and real sockets.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lot_to_wasm::limits::TAKERS_MAX;
use lotmq_client::{Client, ConnectOptions, Publication, QoS};

use crate::testing::{PATIENCE, Running, connect, receive};
use lotmq_programs::HasPrograms as _;
use lotmq_programs::limits::ROUTE_THREADS_MAX;

/// The guest `route-echo`: a line for each message, both ways.
const ECHO: &[u8] = include_bytes!("../../../../../sdk/examples/route-echo/prebuilt/route-echo.wasm");

const AT_HOME: &[(&str, &str)] =
    &[("LOTMQ_ROUTES_ALLOW_LOOPBACK", "true"), ("LOTMQ_ROUTES_LISTEN_NETWORKS", "127.0.0.0/8")];

/// A broker that has the guest as a module.
fn broker(settings: &[(&str, &str)]) -> Running {
    let running = Running::start_with(&[settings, &[("LOTMQ_MODULES_ALLOW_UNSTABLE", "true")]].concat());
    add_module(&running);
    running
}

fn add_module(running: &Running) {
    let net = "127.0.0.1:*,plc:*";
    command(running, &format!("-addModule echo -world route -net {net} wasm64:{}", STANDARD.encode(ECHO)));
}

fn root(running: &Running, id: &str) -> Client {
    connect(running.address(), &ConnectOptions::v5(id).user("root", "coreflux"))
}

/// Gives a command, which succeeds.
fn command(running: &Running, command: &str) {
    let mut commander = root(running, "commander");
    commander.subscribe_to("$SYS/Coreflux/Command/Output", QoS::AtLeastOnce).unwrap();
    commander.publish(&Publication::new("$SYS/Coreflux/Command", command).qos(QoS::AtLeastOnce)).unwrap();
    let reply = receive(&mut commander).1;
    assert!(!reply.contains("\"success\":false"), "{reply}");
}

/// Deploys a route with these settings of its endpoint; who sees what it brings.
fn deploy(running: &Running, settings: &str) -> Client {
    let mut watcher = root(running, "watcher");
    watcher.subscribe_to("echo/in", QoS::AtLeastOnce).unwrap();
    command(
        running,
        &format!(
            "-addRoute DEFINE ROUTE Line WITH TYPE WASM\n    ADD WASM_CONFIG\n        WITH MODULE \"echo\"\n    ADD ECHO_CONFIG\n{settings}    ADD EVENT Out\n        WITH SOURCE_TOPIC \"out\"\n        WITH DESTINATION_TOPIC \"echo/in\"\n"
        ),
    );
    watcher
}

fn at(address: SocketAddr) -> String {
    format!("        WITH HOST \"{}\"\n        WITH PORT {}\n", address.ip(), address.port())
}

/// Waits until the route's last error is so.
fn wait_for_error(running: &Running, part: &str) {
    let tenant = running.server.broker.hosting.tenants.default_tenant();
    let route = tenant.programs().guests.route("Line").unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let now = running.server.broker.hosting.definitions_now().wall;
        let status = route.status().to_json(("Line", "WASM"), &route.runner_facts(), now).to_string();
        if status.contains(part) {
            return;
        }
        assert!(Instant::now() < deadline, "{status}");
        std::thread::yield_now();
    }
}

fn publish(client: &mut Client, payload: &str) {
    client.publish(&Publication::new("out", payload).qos(QoS::AtLeastOnce)).unwrap();
}

fn line(reader: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

#[test]
fn a_guest_runs_and_takes_messages_by_turns_and_is_opened_again_when_the_other_side_ends() {
    let far = TcpListener::bind("127.0.0.1:0").unwrap();
    let running = broker(AT_HOME);
    let mut watcher = deploy(&running, &at(far.local_addr().unwrap()));
    let mut sender = running.client("sender");
    for round in 0..2 {
        let (mut stream, _) = far.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"hello\n").unwrap();
        assert_eq!(receive(&mut watcher).1, "hello", "it runs");
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        for number in 0..100 {
            publish(&mut sender, &number.to_string());
            stream.write_all(format!("line {number}\n").as_bytes()).unwrap();
        }
        for number in 0..100 {
            assert_eq!(line(&mut reader), number.to_string(), "round {round}");
            assert_eq!(receive(&mut watcher).1, format!("line {number}"), "round {round}");
        }
    }
    running.server.stop();
}

#[test]
fn a_route_that_listens_is_connected_to() {
    // A port that is free now; nobody else of this machine is likely to want it.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let running = broker(AT_HOME);
    let settings = format!("        WITH LISTEN \"{free}\"\n        WITH HOW \"listen\"\n");
    let mut watcher = deploy(&running, &settings);
    let deadline = Instant::now() + PATIENCE;
    let mut stream = loop {
        match TcpStream::connect(free) {
            Ok(stream) => break stream,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
    };
    stream.write_all(b"from outside\n").unwrap();
    assert_eq!(receive(&mut watcher).1, "from outside");
    publish(&mut running.client("sender"), "answer");
    assert_eq!(line(&mut BufReader::new(stream)), "answer");
    running.server.stop();
}

/// Next datagram, and who sent it.
fn datagram(far: &UdpSocket) -> (String, SocketAddr) {
    let mut bytes = [0; 100];
    let (length, from) = far.recv_from(&mut bytes).unwrap();
    (String::from_utf8_lossy(&bytes[..length]).trim_end().to_owned(), from)
}

#[test]
fn an_instance_that_says_that_its_far_side_is_away_stays_and_is_asked_again() {
    let far = UdpSocket::bind("127.0.0.1:0").unwrap();
    far.set_read_timeout(Some(PATIENCE)).unwrap();
    let running = broker(AT_HOME);
    let how = "        WITH HOW \"udp acknowledged\"\n";
    let mut watcher = deploy(&running, &(at(far.local_addr().unwrap()) + how));
    let mut sender = running.client("sender");
    publish(&mut sender, "1");
    let (first, from) = datagram(&far);
    assert_eq!(first, "1");
    wait_for_error(&running, "no acknowledgement in time");
    wait_for_error(&running, "\"connection\":\"Reconnecting\"");
    publish(&mut sender, "2");
    // It is asked again, and runs meanwhile: what it brings shows that the far side is there.
    assert_eq!(datagram(&far).0, "1", "the same again");
    far.send_to(b"hello\n", from).unwrap();
    assert_eq!(receive(&mut watcher).1, "hello");
    wait_for_error(&running, "\"connection\":\"Connected\"");
    // Some of these are of attempts before.
    let mut order = Vec::new();
    while !order.contains(&"1".to_owned()) || order.last().is_some_and(|last| last != "2") {
        let (text, of) = datagram(&far);
        assert_eq!(of, from, "the same socket");
        if text != "+hello" {
            far.send_to(format!("+{text}\n").as_bytes(), from).unwrap();
            order.push(text);
        }
    }
    wait_for_error(&running, "\"succeeded\":2");
    wait_for_error(&running, "\"lastErrorIsOver\":true");
    let tenant = running.server.broker.hosting.tenants.default_tenant();
    let status = tenant.programs().guests.route("Line").unwrap().status();
    assert_eq!(status.deliveries.reconnects, 0);
    assert_eq!(status.done(), (2, 0));
    running.server.stop();
}

#[test]
fn datagrams_that_find_no_room_are_counted() {
    // A port that is free now; nobody else of this machine is likely to want it.
    let free = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let running = broker(AT_HOME);
    let settings = format!("        WITH LISTEN \"{free}\"\n        WITH HOW \"listen udp\"\n");
    deploy(&running, &settings);
    wait_for_error(&running, "\"connection\":\"Connected\"");
    // Its guest has a second's work with that, and takes no datagrams meanwhile.
    publish(&mut running.client("sender"), "work");
    wait_for_error(&running, "\"messages\":{\"total\":1");
    let far = UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..4_000 {
        far.send_to(&[b'x'; 8_000], free).unwrap();
    }
    wait_for_error(&running, "\"succeeded\":1");
    let tenant = running.server.broker.hosting.tenants.default_tenant();
    let route = tenant.programs().guests.route("Line").unwrap();
    let deadline = Instant::now() + PATIENCE;
    // Of what it still takes each tells what was dropped before.
    while route.status().deliveries.lost_datagrams == 0 {
        assert!(Instant::now() < deadline, "nothing is counted");
        far.send_to(b"more\n", free).unwrap();
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(route.status().deliveries.lost_datagrams <= 4_000);
    running.server.stop();
}

#[test]
fn message_ingested_at_shutdown_is_delivered_after_restart() {
    let far = TcpListener::bind("127.0.0.1:0").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let settings = [AT_HOME, &[("LOTMQ_MODULES_ALLOW_UNSTABLE", "true")]].concat();
    let running = Running::start_on(dir.path(), "os", &settings);
    add_module(&running);
    let absent = ConnectOptions::v5("absent").clean_start(false).session_expiry(3_600);
    let mut receiver = connect(running.address(), &absent);
    receiver.subscribe_to("echo/in", QoS::AtLeastOnce).unwrap();
    drop(receiver);
    let how = "        WITH HOW \"farewell\"\n";
    let mut watcher = deploy(&running, &(at(far.local_addr().unwrap()) + how));
    let (stream, _) = far.accept().unwrap();
    wait_for_error(&running, "\"connection\":\"Connected\"");
    running.server.stop();
    assert_eq!(receive(&mut watcher).1, "farewell", "who is connected gets it before the goodbye");
    drop(stream);
    let running = Running::start_on(dir.path(), "os", &settings);
    assert_eq!(receive(&mut connect(running.address(), &absent)).1, "farewell");
    let tenant = running.server.broker.hosting.tenants.default_tenant();
    assert!(tenant.programs().guests.route("Line").unwrap().status().last_error().is_none());
    running.server.stop();
}

#[test]
fn address_not_allowed_by_the_operator_stops_the_route_with_an_error() {
    let far = TcpListener::bind("127.0.0.1:0").unwrap();
    let running = broker(&[]);
    deploy(&running, &at(far.local_addr().unwrap()));
    wait_for_error(&running, "127.0.0.1 is this machine, and routes.allow_loopback is not set");
    deploy(&running, "        WITH LISTEN \"127.0.0.1:5020\"\n        WITH HOW \"listen\"\n");
    wait_for_error(&running, " ECHO_CONFIG: LISTEN: 127.0.0.1 is none of routes.listen_networks\"");
    deploy(&running, "        WITH HOST \"plc\"\n");
    wait_for_error(&running, "ECHO_CONFIG: PORT is not set");
    running.server.stop();
}

/// A broker with promised runs and a route that answers, whose driver panics on a payload, so many
/// times; who sees the answers.
fn panicking(payload: &'static [u8], times: u32) -> (Running, Client) {
    let running = Running::start_with(&[("LOTMQ_LOT_DURABLE_TRIGGERS", "true")]);
    let source = "-addRoute DEFINE ROUTE Line WITH TYPE LOOPBACK\n    ADD EVENT Out\n        WITH SOURCE_TOPIC \"out\"\n        WITH DESTINATION_TOPIC \"answer\"\n        WITH QOS 1\n";
    command(&running, source);
    let mut watcher = root(&running, "watcher");
    watcher.subscribe_to("answer", QoS::AtLeastOnce).unwrap();
    let tenant = running.server.broker.hosting.tenants.default_tenant();
    *tenant.programs().guests.route("Line").unwrap().planted.lock() = Some((payload, times));
    (running, watcher)
}

#[test]
fn a_panic_of_the_driver_costs_no_message_and_keeps_the_order() {
    let (running, mut watcher) = panicking(b"3", 1);
    let mut sender = running.client("sender");
    for number in 0..6 {
        publish(&mut sender, &number.to_string());
    }
    for number in 0..6 {
        assert_eq!(receive(&mut watcher).1, number.to_string());
    }
    wait_for_error(&running, "its driver ended by a panic");
    running.server.stop();
}

#[test]
fn a_message_on_which_the_driver_always_panics_does_not_stop_the_others() {
    let (running, mut watcher) = panicking(b"bad", u32::MAX);
    let mut sender = running.client("sender");
    publish(&mut sender, "bad");
    wait_for_error(&running, "its driver ended by a panic");
    publish(&mut sender, "good");
    assert_eq!(receive(&mut watcher).1, "good");
    wait_for_error(&running, "\"failed\":1");
    running.server.stop();
}

/// Messages that a route of type `LOOPBACK` has done: delivered or rejected.
fn done_of(running: &Running, name: &str) -> u64 {
    let tenant = running.server.broker.hosting.tenants.default_tenant();
    let route = tenant.programs().guests.route(name).unwrap();
    let now = running.server.broker.hosting.definitions_now().wall;
    let status = route.status().to_json((name, "LOOPBACK"), &route.runner_facts(), now);
    ["succeeded", "failed"].iter().map(|what| status["messages"][what].as_u64().unwrap()).sum()
}

/// Deploys a route of type `LOOPBACK` with one event, which takes messages of a topic that is
/// called as it.
fn deploy_loopback(running: &Running, name: &str, sections: &str, settings: &str) {
    let source = format!(
        "-addRoute DEFINE ROUTE {name} WITH TYPE LOOPBACK\n{sections}    ADD EVENT Out\n        WITH SOURCE_TOPIC \"{name}\"\n{settings}"
    );
    command(running, &source);
}

#[test]
fn a_route_that_does_much_for_each_message_of_a_batch_leaves_others_their_turns() {
    const MESSAGES: u64 = 300;
    const REJECTS: &str = "    ADD LOOPBACK_CONFIG\n        WITH FAIL \"reject\"\n";
    let payloads = |count| "{payload}".repeat(count);
    let stores = "    STORE Nowhere WITH TABLE_NAME \"t\"\n".repeat(300);
    for (what, sections, settings) in [
        ("values", "", format!("        WITH FAIL \"{}\"\n", payloads(8_800))),
        ("reports", REJECTS, format!("        WITH ERROR_TOPIC \"{}\"\n", payloads(7_800))),
        ("rows of other routes", "", stores),
    ] {
        let running = Running::start("os");
        deploy_loopback(&running, "Dear", sections, &settings);
        // The next one has its driver on the same thread.
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(ROUTE_THREADS_MAX);
        (1..threads).for_each(|other| deploy_loopback(&running, &format!("Other{other}"), "", ""));
        deploy_loopback(&running, "Quick", "", "        WITH DESTINATION_TOPIC \"answer\"\n");
        let mut watcher = root(&running, "watcher");
        watcher.subscribe_to("answer", QoS::AtLeastOnce).unwrap();
        let mut sender = running.client("sender");
        for _ in 0..MESSAGES {
            sender.publish(&Publication::new("Dear", vec![b'z'; 1000])).unwrap();
        }
        sender.publish(&Publication::new("Quick", "x").qos(QoS::AtLeastOnce)).unwrap();
        let answer = watcher.receive(Duration::from_mins(2)).unwrap().expect("an answer comes");
        assert_eq!(answer.topic, "answer");
        let done = done_of(&running, "Dear");
        assert!(done < MESSAGES, "{what}: all {done} messages were done before the answer");
        running.server.stop();
    }
}

#[test]
fn message_reaches_a_bounded_number_of_events_and_the_others_are_reported() {
    const EVENTS: usize = TAKERS_MAX + 2;
    for mode in ["memory", "disk"] {
        let running = Running::start("os");
        let config = format!("    ADD ROUTE_CONFIG\n        WITH BUFFER_MODE \"{mode}\"\n");
        // Filters that are not the same, of which the compiler does not know that one message has
        // them all.
        let filters = ["many/#", "many/+"].into_iter().cycle().take(EVENTS).enumerate();
        let event = |(number, filter)| {
            format!(
                "    ADD EVENT E{number}\n        WITH SOURCE_TOPIC \"{filter}\"\n        WITH DESTINATION_TOPIC \"done/{number}\"\n"
            )
        };
        let events: String = filters.map(event).collect();
        command(&running, &format!("-addRoute DEFINE ROUTE Many WITH TYPE LOOPBACK\n{config}{events}"));
        let mut watcher = root(&running, "watcher");
        watcher.subscribe_to("done/+", QoS::AtLeastOnce).unwrap();
        watcher.subscribe_to("$SYS/Coreflux/Routes/Many/Error", QoS::AtLeastOnce).unwrap();
        let mut sender = running.client("sender");
        sender.publish(&Publication::new("many/a", "0123456789").qos(QoS::AtLeastOnce)).unwrap();
        let (mut done, mut told) = (Vec::new(), String::new());
        while done.len() < TAKERS_MAX || told.is_empty() {
            match receive(&mut watcher) {
                (topic, _) if topic.starts_with("done/") => done.push(topic),
                (_, record) => told = record,
            }
        }
        let expected: Vec<String> = (0..TAKERS_MAX).map(|number| format!("done/{number}")).collect();
        assert_eq!(done, expected, "{mode}");
        assert!(told.contains("\"ROUTE_TAKERS\""), "{mode}: {told}");
        let text = "of 66 events, mappings and tags that take this message of ";
        assert!(told.contains(text) && told.contains("the first 64 get it"), "{mode}: {told}");
        let deadline = Instant::now() + PATIENCE;
        while done_of(&running, "Many") < EVENTS as u64 {
            assert!(Instant::now() < deadline, "{mode}: the others count as failed");
            std::thread::yield_now();
        }
        running.server.stop();
    }
}
