//! Outboxes of routes: what was acknowledged reaches the far side, whoever is away or ends, in
//! order; and what does not fit is held back or told.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lotmq_client::{Client, ClientError, ConnectOptions, Publication, QoS, ReasonCode};
use lotmq_test_support::{Broker, BrokerOptions, WAIT_MAX, eventually, free_address};
use serde_json::Value;

use crate::{options, send};

/// A guest that has a line for each message, and waits until the far side has it.
pub(crate) const ECHO: &[u8] = include_bytes!("../../sdk/examples/route-echo/prebuilt/route-echo.wasm");

fn at_home() -> BrokerOptions {
    options().variable("LOTMQ_ROUTES_ALLOW_LOOPBACK", "true").variable("LOTMQ_MODULES_ALLOW_UNSTABLE", "true")
}

/// A broker with the module of routes, which may reach any port of this machine.
pub(crate) fn broker() -> Broker {
    let broker = at_home().start();
    add_module(&broker);
    broker
}

pub(crate) fn add_module(broker: &Broker) {
    let module = STANDARD.encode(ECHO);
    broker.command_ok(&format!("-addModule echo -world route -grant endpoint:127.0.0.1:* wasm64:{module}"));
}

/// Text of a route `Line` to a place, with these settings in `ROUTE_CONFIG`.
pub(crate) fn route(far: SocketAddr, settings: &[&str]) -> String {
    let settings: String = settings.iter().map(|setting| format!("        WITH {setting}\n")).collect();
    let config =
        if settings.is_empty() { String::new() } else { format!("    ADD ROUTE_CONFIG\n{settings}") };
    format!(
        "-addRoute DEFINE ROUTE Line WITH TYPE WASM\n    ADD WASM_CONFIG\n        WITH MODULE \"echo\"\n    ADD ECHO_CONFIG\n        WITH HOST \"{}\"\n        WITH PORT {}\n        \
         WITH HOW \"acknowledged\"\n{config}    ADD EVENT Out\n        WITH SOURCE_TOPIC \"out/#\"\n",
        far.ip(),
        far.port()
    )
}

/// The other system: it has lines and acknowledges each. When it is dropped nobody is there any
/// more.
struct FarSide {
    address: SocketAddr,
    lines: Receiver<String>,
    is_over: Arc<AtomicBool>,
    /// The connection of the route.
    link: Arc<Mutex<Option<TcpStream>>>,
    thread: Option<JoinHandle<()>>,
}

impl FarSide {
    fn at(address: SocketAddr) -> FarSide {
        let listener = TcpListener::bind(address).unwrap();
        let (has, lines) = channel();
        let is_over = Arc::new(AtomicBool::new(false));
        let link: Arc<Mutex<Option<TcpStream>>> = Arc::default();
        let (ends, present) = (Arc::clone(&is_over), Arc::clone(&link));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ends.load(Ordering::Relaxed) {
                    return;
                }
                let mut stream: TcpStream = stream.unwrap();
                *present.lock().unwrap() = Some(stream.try_clone().unwrap());
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                loop {
                    let mut text = String::new();
                    // The end of a process may be a reset.
                    let len = reader.read_line(&mut text).unwrap_or_default();
                    if len == 0 || ends.load(Ordering::Relaxed) || !text.ends_with('\n') {
                        break;
                    }
                    if has.send(text.trim_end().to_owned()).is_err() {
                        return;
                    }
                    if stream.write_all(format!("+{text}").as_bytes()).is_err() {
                        break;
                    }
                }
            }
        });
        FarSide { address, lines, is_over, link, thread: Some(thread) }
    }

    /// Ends the connection of the route, whatever is on its way.
    fn cut(&self) {
        if let Some(stream) = self.link.lock().unwrap().take() {
            // It may have ended already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn next(&self) -> String {
        self.lines.recv_timeout(WAIT_MAX).expect("a line")
    }

    /// Takes so many lines, of which none may be there twice.
    fn take(&self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.next()).collect()
    }
}

impl Drop for FarSide {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.cut();
        // It may be waiting for a connection.
        let _ = TcpStream::connect(self.address);
        self.thread.take().expect("it is dropped once").join().unwrap();
    }
}

fn publish(client: &mut Client, topic: &str, payload: &str) {
    client.publish(&Publication::new(topic, payload).qos(QoS::AtLeastOnce)).unwrap();
}

/// Publishes with QoS 0.
fn send_once(broker: &Broker, topic: &str, payload: &str) {
    let mut client = broker.client("sender");
    client.publish(&Publication::new(topic, payload)).unwrap();
    client.disconnect().unwrap();
}

/// Publishes with QoS 1 and waits for the acknowledgement of each.
fn publish_all(broker: &Broker, topic: &str, payloads: impl Iterator<Item = String>) {
    let mut client = broker.client("publisher");
    payloads.for_each(|payload| publish(&mut client, topic, &payload));
    client.disconnect().unwrap();
}

fn standing(broker: &Broker) -> Value {
    broker.command_ok("-listRoutes").data()[0].clone()
}

fn numbered(numbers: std::ops::Range<usize>) -> impl Iterator<Item = String> {
    numbers.map(|number| format!("{number:05}"))
}

#[test]
fn acknowledged_messages_are_delivered_in_order_and_once_after_kill_9() {
    let mut broker = broker();
    let address = free_address();
    broker.command_ok(&route(address, &[]));
    publish_all(&broker, "out/a", numbered(0..50));
    broker.kill();
    broker.start_again();
    publish_all(&broker, "out/a", numbered(50..100));
    broker.wait_until_metric_is("lotmq_route_waiting", 100.0);
    let far = FarSide::at(address);
    assert_eq!(far.take(100), numbered(0..100).collect::<Vec<_>>());
    broker.wait_until_metric_is("lotmq_route_outbox_bytes", 0.0);
    // The route does not deliver a message again.
    broker.stop();
    broker.start_again();
    publish_all(&broker, "out/a", numbered(100..101));
    assert_eq!(far.next(), "00100");
}

#[test]
fn an_outbox_that_is_full_says_so_where_people_look() {
    let broker = broker();
    let address = free_address();
    broker.command_ok(&route(address, &["BUFFER_MAX_BYTES 2000", "OVERLOAD_POLICY lossless"]));
    publish_all(&broker, "out/a", (0..2).map(|_| "x".repeat(970)));
    let mut held = broker.client("held back");
    held.send_publish(&Publication::new("out/a", "y").qos(QoS::AtLeastOnce)).unwrap();
    eventually("it is told", || {
        let row = standing(&broker);
        let reason = row["reason"].as_str().unwrap_or_default().to_owned();
        let bytes = row["waitingBytes"].as_u64().unwrap();
        let grouped = format!("{},{:03}", bytes / 1000, bytes % 1000);
        reason.starts_with(&format!("outbox full ({grouped} of 2,000 bytes): what comes waits")).then_some(())
    });
    assert_eq!(standing(&broker)["waitingBytesMax"], 2000);
    assert_eq!(broker.metric("lotmq_route_waiting_max_bytes"), Some(2000.0));
    broker.wait_for_metric("lotmq_route_outbox_full_total", 1.0);
    eventually("it is in the log", || {
        broker.log().text().contains("of 2,000 bytes): what comes waits").then_some(())
    });
    let far = FarSide::at(address);
    assert_eq!(far.take(3).len(), 3);
    eventually("there is room", || standing(&broker)["reason"].is_null().then_some(()));
}

#[test]
fn due_messages_wait_for_a_full_outbox_and_hold_up_no_other_topic() {
    let mut broker = broker();
    let address = free_address();
    broker.command_ok(&route(address, &["BUFFER_MAX_BYTES 2000", "OVERLOAD_POLICY lossless"]));
    publish_all(&broker, "out/a", (0..2).map(|_| "x".repeat(970)));
    let mut watcher = broker.root("watcher");
    watcher.subscribe_to("free", QoS::AtLeastOnce).unwrap();
    publish_all(&broker, "$delayed/1/out/b", numbered(0..20));
    publish_all(&broker, "$delayed/1/free", ["free".to_owned()].into_iter());
    assert_eq!(watcher.receive(WAIT_MAX).unwrap().unwrap().text(), "free");
    assert_eq!(broker.metric("lotmq_delayed_messages"), Some(20.0));
    broker.kill();
    broker.start_again();
    broker.wait_until_metric_is("lotmq_route_waiting", 2.0);
    assert_eq!(broker.metric("lotmq_delayed_messages"), Some(20.0));
    let far = FarSide::at(address);
    assert_eq!(far.take(2).len(), 2);
    assert_eq!(far.take(20), numbered(0..20).collect::<Vec<_>>());
    assert_eq!(broker.metric("lotmq_route_shed_total").unwrap_or_default(), 0.0);
    broker.wait_until_metric_is("lotmq_delayed_messages", 0.0);
}

/// A user who may receive messages of others cannot stop them with a full route. Only the user's
/// own messages wait. The route sheds and reports those of others.
#[test]
fn the_full_route_of_a_user_holds_nobody_else_up() {
    let broker = broker();
    for user in ["ann", "bob"] {
        broker.command_ok(&format!("-addUser {user} pw"));
    }
    for scope in ["CommandCall", "RouteManagementCreation"] {
        broker.command_ok(&format!(
            "-addRule DEFINE RULE Of{scope} WITH PRIORITY 5 FOR {scope}\n    IF USER IS \"ann\" THEN\n        ALLOW\n"
        ));
    }
    let text = route(free_address(), &["BUFFER_MAX_BYTES 2000", "OVERLOAD_POLICY lossless"]);
    let added = broker.command_as(("ann", "pw"), &text);
    assert!(added.success(), "{added:?}");
    let of = |user: &str| broker.connect(&ConnectOptions::v5(format!("of {user}")).user(user, "pw"));
    let message = || Publication::new("out/a", "x".repeat(970)).qos(QoS::AtLeastOnce);
    let (mut ann, mut bob, mut root) = (of("ann"), of("bob"), broker.root("of root"));
    let publish_some = |client: &mut Client| {
        for _ in 0..5 {
            assert!(!client.publish(&message()).unwrap().is_failure());
        }
        client.ping().unwrap();
    };
    publish_some(&mut bob);
    assert_eq!(standing(&broker)["waiting"], 2, "{}", standing(&broker));
    broker.wait_for_metric("lotmq_route_outbox_full_total", 1.0);
    std::thread::scope(|scope| {
        let own = scope.spawn(move || ann.publish(&message()).unwrap());
        publish_some(&mut bob);
        publish_some(&mut root);
        assert!(!own.is_finished(), "she waits for her own route");
        broker.command_ok("-removeRoute -force Line");
        assert!(!own.join().unwrap().is_failure());
    });
}

#[test]
fn stop_logs_messages_lost_from_memory_outboxes() {
    let mut broker = broker();
    broker.command_ok(&route(free_address(), &["BUFFER_MODE memory"]));
    publish_all(&broker, "out/a", numbered(0..3));
    broker.wait_until_metric_is("lotmq_route_waiting", 3.0);
    broker.stop();
    let log = broker.log().text();
    let told = log.lines().find(|line| line.contains("wait for a route in memory alone are lost"));
    assert!(told.is_some_and(|line| line.contains("Line") && line.contains('3')), "{log}");
}

#[test]
fn messages_of_runs_and_qos_0_are_queued_in_the_outbox_too() {
    let mut broker = broker();
    let address = free_address();
    broker.command_ok(&route(address, &[]));
    broker.command_ok(
        "-addAction DEFINE ACTION Relay\nON TOPIC \"in\" DO\n    PUBLISH TOPIC \"out/relayed\" WITH PAYLOAD\n",
    );
    send(&broker, "in", "of a run");
    send_once(&broker, "out/a", "of QoS 0");
    publish(&mut broker.root("root"), "$SYS/Coreflux/Routes/Line/Events/Out", "of its topic");
    broker.wait_until_metric_is("lotmq_route_waiting", 3.0);
    broker.stop();
    broker.start_again();
    let far = FarSide::at(address);
    let mut lines = far.take(3);
    lines.sort();
    assert_eq!(lines, ["of QoS 0", "of a run", "of its topic"]);
    assert_eq!(standing(&broker)["name"], "Line");
}

#[test]
fn a_replaced_route_goes_on_with_what_waits_and_a_removed_one_leaves_nothing() {
    let mut broker = broker();
    let address = free_address();
    broker.command_ok(&route(address, &[]));
    publish_all(&broker, "out/a", numbered(0..20));
    let elsewhere = free_address();
    broker.command_ok(&route(elsewhere, &["BATCH_SIZE 7"]));
    publish_all(&broker, "out/a", numbered(20..40));
    let far = FarSide::at(elsewhere);
    assert_eq!(far.take(40), numbered(0..40).collect::<Vec<_>>());
    broker.wait_until_metric_is("lotmq_route_outbox_bytes", 0.0);
    drop(far);

    // In memory from now on, behind what is in the store.
    broker.command_ok(&route(address, &[]));
    publish_all(&broker, "out/a", numbered(40..50));
    broker.command_ok(&route(address, &["BUFFER_MODE memory"]));
    publish_all(&broker, "out/a", numbered(50..60));
    let far = FarSide::at(address);
    assert_eq!(far.take(20), numbered(40..60).collect::<Vec<_>>());
    drop(far);

    let nobody = free_address();
    broker.command_ok(&route(nobody, &[]));
    publish_all(&broker, "out/a", numbered(60..70));
    broker.command_ok("-removeRoute Line");
    broker.command_ok(&route(nobody, &[]));
    broker.wait_until_metric_is("lotmq_route_waiting", 0.0);
    publish_all(&broker, "out/a", numbered(70..71));
    broker.kill();
    broker.start_again();
    assert_eq!(FarSide::at(nobody).next(), "00070");
}

/// Each version begins with the shortest pause: what was mended is tried at once, however often it
/// was wrong before.
#[test]
fn new_route_version_resets_the_back_off() {
    let broker = broker();
    for _ in 0..7 {
        broker.command_ok(&route(free_address(), &[]));
        eventually("an error", || {
            let report = broker.command_ok("-lotDiagnostic route Line");
            (report.data()["lastError"]["code"] == "ROUTE_AWAY").then_some(())
        });
    }
    let address = free_address();
    broker.command_ok(&route(address, &[]));
    let far = FarSide::at(address);
    send(&broker, "out/a", "at last");
    assert_eq!(far.next(), "at last");
}

#[test]
fn a_full_outbox_makes_publishers_wait_and_sheds_what_promises_nothing() {
    let broker = broker();
    let address = free_address();
    broker.command_ok(&route(address, &["BUFFER_MAX_BYTES 4000"]));
    // Each message has some 130 bytes with what is kept beside it.
    let mut publisher = broker.client("publisher");
    let payload = "x".repeat(1000);
    for _ in 0..4 {
        publish(&mut publisher, "out/a", &payload);
    }
    // The next one is not read, however long it waits; others may publish elsewhere.
    let mut waiting = broker.client("waiting");
    let held_back = std::thread::spawn(move || publish(&mut waiting, "out/a", "held back"));
    let mut hasty = broker.client("hasty");
    for number in 0..3 {
        hasty.publish(&Publication::new("out/a", format!("shed {number}"))).unwrap();
    }
    broker.wait_for_metric("lotmq_route_rejected_total", 3.0);
    publish(&mut publisher, "elsewhere", "x");
    assert!(!held_back.is_finished());
    let report = broker.command_ok("-lotDiagnostic route Line");
    assert_eq!(report.data()["lastError"]["code"], "OUTBOX_FULL", "{report:?}");
    assert!(report.data()["lastError"]["message"].as_str().unwrap().contains("the outbox is full: "));
    let far = FarSide::at(address);
    assert_eq!(far.take(4), vec![payload; 4]);
    assert_eq!(far.next(), "held back");
    held_back.join().unwrap();
}

/// Many messages of one turn as well: who has an acknowledgement has a place.
#[test]
fn a_mailbox_in_memory_that_is_full_makes_publishers_wait() {
    let broker = broker();
    let address = free_address();
    broker.command_ok(&route(address, &["BUFFER_MODE memory", "BUFFER_MAX_BYTES 2000"]));
    let payloads: Vec<String> = numbered(0..60).map(|number| number + &"x".repeat(95)).collect();
    let reason = || standing(&broker)["reason"].as_str().unwrap_or_default().to_owned();
    let (mut first, mut second) = (broker.client("first"), broker.client("second"));
    let mut sent = Vec::new();
    for (publisher, half) in [(&mut first, &payloads[..30]), (&mut second, &payloads[30..])] {
        for payload in half {
            let message = Publication::new("out/a", payload.as_str()).qos(QoS::AtLeastOnce);
            sent.push(publisher.send_publish(&message).unwrap().unwrap());
        }
        // Twelve with 64 bytes each beside their own.
        eventually("it is full", || {
            let told = "outbox full (2,028 of 2,000 bytes): QoS 0 waits for a short time";
            reason().starts_with(told).then_some(())
        });
    }
    assert_eq!(standing(&broker)["waiting"], 12);
    let far = FarSide::at(address);
    let mut lines = far.take(60);
    assert_eq!(lines[..12], payloads[..12]);
    lines.sort();
    assert_eq!(lines, payloads);
    for (publisher, half) in [(&mut first, &sent[..30]), (&mut second, &sent[30..])] {
        for packet_id in half {
            assert!(!publisher.wait_published(*packet_id).unwrap().is_failure());
        }
    }
    assert_eq!(broker.metric("lotmq_route_shed_total"), Some(0.0));
}

#[test]
fn a_policy_that_is_written_holds_for_every_qos() {
    let broker = broker();
    let settings = ["BUFFER_MAX_BYTES 1", "OVERLOAD_POLICY realtime"];
    broker.command_ok(&route(free_address(), &settings));
    publish_all(&broker, "out/a", numbered(0..5));
    broker.wait_for_metric("lotmq_route_rejected_total", 4.0);
    assert_eq!(broker.metric("lotmq_route_waiting"), Some(1.0));
    broker.command_ok(&route(
        free_address(),
        &["BUFFER_MAX_BYTES 1", "OVERLOAD_POLICY balanced", "OVERLOAD_TIMEOUT 1"],
    ));
    publish_all(&broker, "out/a", numbered(5..10));
    broker.wait_for_metric("lotmq_route_rejected_total", 9.0);
}

#[test]
fn a_long_backlog_is_on_the_disk_and_comes_in_order() {
    const MESSAGES: usize = 10_000;
    let mut broker = broker();
    let address = free_address();
    broker.command_ok(&route(address, &[]));
    let before = broker.resident_bytes();
    let filler = "x".repeat(16 << 10);
    let mut publisher = broker.client("publisher");
    let payload = |number: usize| format!("{number:05}{filler}");
    for number in 0..MESSAGES {
        let publication = Publication::new("out/a", payload(number)).qos(QoS::AtLeastOnce);
        let last = publisher.send_publish(&publication).unwrap();
        if number % 100 == 99 {
            publisher.wait_published(last.unwrap()).unwrap();
        }
    }
    broker.wait_until_metric_is("lotmq_route_waiting", MESSAGES as f64);
    let grown = broker.resident_bytes().saturating_sub(before);
    // They have 160 MiB; the store has a cache of 32 MiB, and what it is writing.
    assert!(grown < 96 << 20, "{grown} bytes more for {MESSAGES} messages that wait");
    broker.kill();
    broker.start_again();
    let far = FarSide::at(address);
    for number in 0..MESSAGES {
        assert_eq!(far.next(), payload(number));
    }
    let grown = broker.resident_bytes().saturating_sub(before);
    assert!(grown < 128 << 20, "{grown} bytes more when they have been delivered");
    broker.wait_until_metric_is("lotmq_route_waiting", 0.0);
}

#[test]
fn message_older_than_buffer_ttl_is_reported_as_dead_letter() {
    let broker = broker();
    broker.command_ok(&route(free_address(), &["BUFFER_TTL_SEC 1"]));
    publish_all(&broker, "out/a", numbered(0..3));
    broker.wait_for_metric("lotmq_route_rejected_total", 3.0);
    broker.wait_until_metric_is("lotmq_route_waiting", 0.0);
    let report = broker.command_ok("-lotDiagnostic route Line");
    let dead = &report.data()["deadLetters"];
    assert_eq!(dead["count"], 3, "{report:?}");
    assert_eq!(dead["newest"][0]["reason"], "it waited for longer than BUFFER_TTL_SEC");
}

/// As much waits as may, so nothing that enters has the outbox looked at.
#[test]
fn an_age_that_a_new_text_says_holds_for_what_waits_already_and_frees_publishers() {
    let broker = broker();
    let address = free_address();
    broker.command_ok(&route(address, &["BUFFER_MAX_BYTES 2000"]));
    publish_all(&broker, "out/a", (0..2).map(|_| "x".repeat(970)));
    let mut held = broker.client("held back");
    held.send_publish(&Publication::new("out/a", "y").qos(QoS::AtLeastOnce)).unwrap();
    let reason = || standing(&broker)["reason"].as_str().unwrap_or_default().to_owned();
    eventually("it is full", || reason().starts_with("outbox full").then_some(()));
    broker.command_ok(&route(address, &["BUFFER_MAX_BYTES 2000", "BUFFER_TTL_SEC 1"]));
    broker.wait_for_metric("lotmq_route_rejected_total", 3.0);
    broker.wait_until_metric_is("lotmq_route_waiting", 0.0);
    // Why it is away is said still.
    eventually("a reason", || reason().contains("nothing listens there").then_some(()));
    publish_all(&broker, "out/a", std::iter::once("z".to_owned()));
    broker.wait_for_metric("lotmq_route_rejected_total", 4.0);
    assert!(reason().contains("nothing listens there"), "{}", standing(&broker));
}

/// How often somebody is killed: a few times in every test run, more often where that is asked for.
fn kills() -> usize {
    std::env::var("LOTMQ_ROUTE_KILLS").map_or(6, |text| text.parse().expect("a number"))
}

/// Numbers of a series that looks random and is the same in each run.
struct Series(u64);

impl Series {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// Numbers of one topic that the far side has received.
#[derive(Default)]
struct Had {
    next: usize,
    repeated: usize,
}

impl Had {
    /// Notes a number: the next one, or one that was there before.
    fn note(&mut self, number: usize) {
        assert!(number <= self.next, "{number} came before {}", self.next);
        if number == self.next {
            self.next += 1;
        } else {
            self.repeated += 1;
        }
    }
}

#[test]
fn killing_broker_or_connection_under_load_loses_and_reorders_nothing() {
    const TOPICS: usize = 2;
    const BURST: usize = 200;
    let mut series = Series(1);
    let mut broker = broker();
    let far = FarSide::at(free_address());
    broker.command_ok(&route(far.address, &["BATCH_SIZE 50"]));
    let mut had: [Had; TOPICS] = Default::default();
    let note = |had: &mut [Had; TOPICS], line: String| {
        let (topic, number) = line.split_once(' ').unwrap();
        had[topic.parse::<usize>().unwrap()].note(number.parse().unwrap());
    };
    let mut acknowledged = 0;
    for _ in 0..kills() {
        let mut publisher = broker.client("publisher");
        let packets: Vec<_> = (acknowledged..acknowledged + BURST)
            .map(|number| {
                let (topic, payload) = (number % TOPICS, number / TOPICS);
                let publication = Publication::new(format!("out/{topic}"), format!("{topic} {payload}"));
                publisher.send_publish(&publication.qos(QoS::AtLeastOnce)).unwrap().unwrap()
            })
            .collect();
        // The next publisher sends again the messages without a known result.
        let last = usize::try_from(series.below(BURST as u64)).unwrap();
        publisher.wait_published(packets[last]).unwrap();
        acknowledged += last + 1;
        let victim = series.below(3);
        if victim != 1 {
            broker.kill();
        }
        if victim != 0 {
            far.cut();
        }
        if victim != 1 {
            broker.start_again();
        }
        far.lines.try_iter().for_each(|line| note(&mut had, line));
    }
    let wanted = |topic: usize| (0..acknowledged).filter(|number| number % TOPICS == topic).count();
    while (0..TOPICS).any(|topic| had[topic].next < wanted(topic)) {
        note(&mut had, far.next());
    }
    broker.wait_until_metric_is("lotmq_route_waiting", 0.0);
    far.lines.try_iter().for_each(|line| note(&mut had, line));
    let repeated: usize = had.iter().map(|had| had.repeated).sum();
    println!("{} kills, {acknowledged} acknowledged, {repeated} came again", kills());
    // A kill repeats what was sent and not acknowledged, and the batches on their way.
    assert!(repeated <= kills() * (BURST + 2 * 50), "{repeated} came again");
}

#[test]
fn no_client_has_the_session_of_an_outbox() {
    let broker = at_home().variable("LOTMQ_MQTT_CONTROL_CHARACTERS", "true").start();
    let refused = Client::connect(broker.address(), &ConnectOptions::v5("\u{1}route/Line"));
    let Err(ClientError::Refused { reason, .. }) = refused else { panic!("it was accepted") };
    assert_eq!(reason, ReasonCode::ClientIdentifierNotValid);
    let other = Client::connect(broker.address(), &ConnectOptions::v5("\u{1}route"));
    other.expect("another one with such a character is accepted");
}
