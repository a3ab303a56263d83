//! `MQTT_BRIDGE`: to mosquitto, to another lotmq, to itself, between two others, and to a server
//! that talks nonsense.

mod exchanges;
mod frozen;
mod left_out;
mod pausing;
mod rings;
mod too_large;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use lotmq_client::{Client, ConnectOptions, Message, PropertyId, PropertyValue, Publication, QoS};
use lotmq_test_support::{Authority, Broker, Program, WAIT_MAX, eventually, free_port, wait_for_port};

use crate::link::Link;
use crate::{Standing, backlog, broker, next, options, publish_all, send, watch};

/// Debian keeps it where only root's search path looks.
const MOSQUITTO: [&str; 2] = ["mosquitto", "/usr/sbin/mosquitto"];

/// A mosquitto on a port of its own.
struct Mosquitto {
    program: Option<Program>,
    port: u16,
    folder: tempfile::TempDir,
}

impl Mosquitto {
    /// Starts one with these lines in its configuration; `None` when it is not installed.
    fn start(more: &str) -> Option<Mosquitto> {
        let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
        let text = format!(
            "listener {port} 127.0.0.1\nmax_queued_messages 0\npersistence true\npersistence_location {}/\n{more}\n",
            folder.path().display()
        );
        std::fs::write(folder.path().join("mosquitto.conf"), text).unwrap();
        let mut mosquitto = Mosquitto { program: None, port, folder };
        mosquitto.start_again().then_some(mosquitto)
    }

    fn start_again(&mut self) -> bool {
        let installed = |name: &&&str| std::process::Command::new(name).arg("-h").output().is_ok();
        let name = MOSQUITTO.iter().find(installed).unwrap_or(&MOSQUITTO[0]);
        let file = self.folder.path().join("mosquitto.conf");
        // It gives up its rights when root starts it, and then cannot write here.
        let arguments = ["-c", file.to_str().unwrap()];
        self.program = Program::start(name, &arguments);
        if self.program.is_some() {
            wait_for_port(self.port);
        }
        self.program.is_some()
    }

    fn client(&self, name: &str) -> Client {
        Client::connect(format!("127.0.0.1:{}", self.port), &ConnectOptions::v5(name)).unwrap()
    }

    fn watch(&self, filter: &str) -> Client {
        let mut client = self.client(&format!("watcher of {filter}"));
        client.subscribe_to(filter, QoS::ExactlyOnce).unwrap();
        client
    }
}

const ANYBODY: &str = "allow_anonymous true\nuser root";

/// A section that names another broker.
fn far(section: &str, port: u16, more: &str) -> String {
    let address = format!(
        "    ADD {section}\n        WITH BROKER_ADDRESS \"127.0.0.1\"\n        WITH BROKER_PORT {port}\n"
    );
    more.lines().fold(address, |text, line| format!("{text}        WITH {line}\n"))
}

/// A bridge from here to a port.
fn bridge(port: u16, more: &str, mappings: &str) -> String {
    let there = far("DESTINATION_CONFIG", port, more);
    format!(
        "-addRoute DEFINE ROUTE Up WITH TYPE MQTT_BRIDGE\n    ADD SOURCE_CONFIG\n        WITH BROKER SELF\n{there}{mappings}"
    )
}

pub(crate) fn mapping(name: &str, source: &str, destination: &str, direction: &str) -> String {
    format!(
        "    ADD MAPPING {name}\n        WITH SOURCE_TOPIC \"{source}\"\n        WITH DESTINATION_TOPIC \"{destination}\"\n        WITH DIRECTION \"{direction}\"\n"
    )
}

fn received(client: &mut Client) -> Message {
    client.receive(WAIT_MAX).unwrap().expect("a message")
}

fn publish(client: &mut Client, topic: &str, payload: &str) {
    client.publish(&Publication::new(topic, payload).qos(QoS::AtLeastOnce)).unwrap();
}

#[test]
fn messages_go_out_and_in_and_both_ways_with_their_topics_rewritten() {
    for version in [
        "",
        "PROTOCOL_VERSION \"5\"",
        "PROTOCOL_VERSION \"3.1.1\"",
        "PROTOCOL_VERSION \"3.1\"\nCLIENT_ID \"up\"",
    ] {
        let Some(mosquitto) = Mosquitto::start(ANYBODY) else { return };
        let broker = broker();
        let mut there = mosquitto.watch("sites/a/#");
        let mut both_there = mosquitto.watch("shared/there/#");
        let mut here = watch(&broker, "commands/#");
        let mut both_here = watch(&broker, "shared/here/#");
        let mut far = mosquitto.client("far");
        far.publish(&Publication::new("bridged/commands/kept", "0").qos(QoS::AtLeastOnce).retained())
            .unwrap();
        let mappings = mapping("Out", "site/#", "sites/a/#", "out")
            + &mapping("In", "bridged/commands/#", "commands/#", "in")
            + &mapping("Both", "shared/here/+/#", "shared/there/+/#", "both");
        broker.command_ok(&bridge(mosquitto.port, version, &mappings));
        let kept = received(&mut here);
        assert_eq!((&*kept.topic, &*kept.text()), ("commands/kept", "0"), "{version}");
        send(&broker, "site/oven/t", "81");
        assert_eq!(next(&mut there), "sites/a/oven/t=81", "{version}");
        send(&broker, "site", "whole");
        assert_eq!(next(&mut there), "sites/a=whole", "{version}");
        publish(&mut far, "bridged/commands/test", "go");
        assert_eq!(next(&mut here), "commands/test=go", "{version}");
        // Each way once, and nothing comes round.
        send(&broker, "shared/here/x/y", "from here");
        assert_eq!(next(&mut both_here), "shared/here/x/y=from here", "{version}");
        assert_eq!(next(&mut both_there), "shared/there/x/y=from here", "{version}");
        publish(&mut far, "shared/there/a/b/c", "from there");
        assert_eq!(next(&mut both_there), "shared/there/a/b/c=from there", "{version}");
        assert_eq!(next(&mut both_here), "shared/here/a/b/c=from there", "{version}");
        send(&broker, "shared/here/x/end", "end");
        assert_eq!(next(&mut both_here), "shared/here/x/end=end", "{version}");
        assert_eq!(next(&mut both_there), "shared/there/x/end=end", "{version}");
        let probed = broker.command_ok("-checkRouteConnection Up");
        assert_eq!(probed.message(), "Route 'Up' is reachable.");
        send(&broker, "site/last", "x");
        assert_eq!(next(&mut there), "sites/a/last=x", "the probe has taken nobody's place: {version}");
    }
}

#[test]
fn a_bridge_packs_what_it_carries_where_the_other_broker_grants_that() {
    let reading = |number: usize| {
        format!("{{\"sensor\":\"press-7/temperature\",\"celsius\":21.5,\"number\":{number}}}")
    };
    let mut carried = Vec::new();
    for (places, wants, is_packed) in
        [("0", "USE_ZSTD FALSE", false), ("0", "USE_ZSTD TRUE", false), ("2", "USE_ZSTD TRUE", true)]
    {
        let far = options().variable("LOTMQ_LISTENER_MQTT_ZSTD_CLIENTS", places).start();
        let near = broker();
        let (mut there, mut here) = (watch(&far, "up/#"), watch(&near, "down/#"));
        let mappings = mapping("Out", "up/#", "up/#", "out") + &mapping("In", "down/#", "down/#", "in");
        let link = Link::to(far.address().port());
        let mut lines = near.root("lines");
        lines.subscribe_to("$SYS/Coreflux/Routes/Up/Log", QoS::AtLeastOnce).unwrap();
        near.command_ok(&bridge(link.port, wants, &mappings));
        send(&near, "up/a", "ready");
        assert_eq!(next(&mut there), "up/a=ready");
        let before = link.carried();
        let mut sender = near.client("sender");
        for number in 0..500 {
            sender.publish(&Publication::new("up/press", reading(number)).qos(QoS::AtLeastOnce)).unwrap();
        }
        for number in 0..500 {
            assert_eq!(next(&mut there), format!("up/press={}", reading(number)));
        }
        carried.push(link.carried() - before);
        send(&far, "down/a", &"x".repeat(300_000));
        assert_eq!(next(&mut here).len(), "down/a=".len() + 300_000);
        let told = "the broker grants no zstd, so nothing is packed";
        let is_told = wants.contains("TRUE") && !is_packed;
        assert_eq!(near.log().text().contains(told), is_told, "{wants}");
        assert!(!is_told || next(&mut lines).contains(told), "and to who is subscribed");
        near.command_ok("-checkRouteConnection Up");
    }
    let [plain, declined, packed] = carried[..] else { panic!("{carried:?}") };
    assert!(declined * 10 > plain * 9 && packed * 2 < plain, "{carried:?}");
}

#[test]
fn bridge_forwards_retained_messages_after_each_connect() {
    let Some(mut mosquitto) = Mosquitto::start(&format!("{ANYBODY}\npersistence false")) else { return };
    let broker = broker();
    let mut publisher = broker.connect(&ConnectOptions::v5("retainer"));
    let mut retain = |topic: &str, payload: &str| {
        let message = Publication::new(topic, payload).qos(QoS::AtLeastOnce).retained();
        let message = message.property(PropertyId::ContentType, PropertyValue::Utf8("text/plain"));
        publisher.publish(&message).unwrap();
    };
    for number in 0..500 {
        retain(&format!("site/{number:03}/t"), "21");
    }
    retain("site/quiet/t", "0");
    retain("elsewhere", "0");
    let mappings = mapping("Out", "site/+/t", "sites/a/+/t", "out")
        + &mapping("Quiet", "site/quiet/#", "quiet/#", "out")
        + "        WITH RETAIN FALSE\n";
    let arrives = |mosquitto: &Mosquitto, changed: &str| {
        // It is the last by its name.
        assert_eq!(next(&mut mosquitto.watch("sites/a/quiet/t")), "sites/a/quiet/t=0");
        let mut watcher = mosquitto.watch("sites/a/#");
        let mut found = BTreeMap::new();
        for _ in 0..501 {
            let message = received(&mut watcher);
            assert!(
                message.retain && message.properties().content_type() == Some("text/plain"),
                "{message:?}"
            );
            found.insert(message.topic.clone(), message.text());
        }
        assert_eq!(found.len(), 501);
        assert_eq!(found["sites/a/007/t"], changed);
        assert_eq!(found.values().filter(|text| *text == "21").count(), 499);
    };
    retain("site/007/t", "first");
    broker.command_ok(&bridge(mosquitto.port, "", &mappings));
    arrives(&mosquitto, "first");
    // A broker that has lost everything has it again, as it is by then.
    drop(mosquitto.program.take());
    retain("site/007/t", "second");
    assert!(mosquitto.start_again());
    arrives(&mosquitto, "second");
    let mut never = mosquitto.watch("quiet/#");
    send(&broker, "site/quiet/t", "1");
    assert_eq!(next(&mut never), "quiet/t=1", "and nothing that was retained before");
    assert_eq!(broker.metric("lotmq_last_values_topics"), Some(0.0), "nobody asks for last values");
}

#[test]
fn properties_retain_and_quality_are_carried_both_ways() {
    let Some(mosquitto) = Mosquitto::start(ANYBODY) else { return };
    let broker = broker();
    let mut there = mosquitto.watch("out/#");
    let mut here = broker.connect(&ConnectOptions::v5("here"));
    here.subscribe_to("in/#", QoS::ExactlyOnce).unwrap();
    let mappings = mapping("Out", "out/#", "out/#", "out")
        + &mapping("Twice", "two/#", "out/two/#", "out")
        + "        WITH QOS 2\n"
        + &mapping("In", "in/#", "in/#", "in");
    broker.command_ok(&bridge(mosquitto.port, "", &mappings));
    Standing::of(&broker, "Up").until("\"Connected\"");
    let rich = |topic: &str| {
        Publication::new(topic, "x")
            .qos(QoS::ExactlyOnce)
            .retained()
            .property(PropertyId::PayloadFormatIndicator, PropertyValue::Byte(1))
            .property(PropertyId::MessageExpiryInterval, PropertyValue::FourByte(1000))
            .property(PropertyId::ContentType, PropertyValue::Utf8("text/plain"))
            .property(PropertyId::ResponseTopic, PropertyValue::Utf8("answers/1"))
            .property(PropertyId::CorrelationData, PropertyValue::Binary(&[1, 2]))
            .property(PropertyId::UserProperty, PropertyValue::Utf8Pair("unit", "C"))
    };
    let mut sender = broker.connect(&ConnectOptions::v5("sender"));
    sender.publish(&rich("out/a")).unwrap();
    let mut far = mosquitto.client("far");
    let arrived = received(&mut there);
    far.publish(&rich("in/a")).unwrap();
    for (message, qos) in [(arrived, QoS::AtLeastOnce), (received(&mut here), QoS::AtLeastOnce)] {
        let properties = message.properties();
        assert_eq!((message.qos, properties.content_type()), (qos, Some("text/plain")), "{}", message.topic);
        assert_eq!(
            (properties.response_topic(), properties.correlation_data()),
            (Some("answers/1"), Some(&[1, 2][..]))
        );
        assert!(properties.payload_is_utf8() && properties.message_expiry_interval().unwrap() > 900);
        let user: Vec<_> = properties.user_properties().collect();
        assert_eq!((user[0], user[1].0), (("unit", "C"), "x-bridge"));
        assert!(user[1].1.starts_with("Up-") && !user[1].1.contains(','), "{}", user[1].1);
    }
    // It is retained at the other side.
    let mut late = mosquitto.watch("out/a");
    assert!(received(&mut late).retain);
    sender.publish(&Publication::new("two/a", "y").qos(QoS::ExactlyOnce)).unwrap();
    assert_eq!(received(&mut there).qos, QoS::ExactlyOnce);
    // Message by message, the number of bridges is bounded.
    let hops = "1,2,3,4,5,6,7,8";
    let far_gone = Publication::new("out/b", "z")
        .qos(QoS::AtLeastOnce)
        .property(PropertyId::UserProperty, PropertyValue::Utf8Pair("x-bridge", hops));
    sender.publish(&far_gone).unwrap();
    sender.publish(&Publication::new("out/c", "end").qos(QoS::AtLeastOnce)).unwrap();
    assert_eq!(next(&mut there), "out/c=end");
}

#[test]
fn a_bridge_to_the_broker_itself_is_an_ordinary_client_and_goes_in_no_circles() {
    let broker = broker();
    let port = broker.address().port();
    let mut watcher = watch(&broker, "b/#");
    broker.command_ok(&bridge(
        port,
        "",
        &(mapping("M", "a/#", "b/#", "out") + &mapping("Same", "b/#", "b/#", "both")),
    ));
    Standing::of(&broker, "Up").until("\"Connected\"");
    send(&broker, "a/1", "x");
    assert_eq!(next(&mut watcher), "b/1=x");
    send(&broker, "b/end", "end");
    // Each way brings it once more, and then it has passed this bridge.
    assert_eq!([next(&mut watcher), next(&mut watcher), next(&mut watcher)], ["b/end=end"; 3]);
    send(&broker, "barrier/1", "x");
    assert!(watcher.receive(Duration::from_millis(300)).unwrap().is_none());
}

/// Topics that a client has received, until nothing has come for a while.
fn topics_until_quiet(client: &mut Client) -> Vec<String> {
    let next = || client.receive(Duration::from_secs(2)).unwrap().map(|message| message.topic);
    std::iter::from_fn(next).collect()
}

/// Returns the last error of a route.
fn last_error(broker: &Broker, route: &str) -> String {
    broker.command_ok(&format!("-lotDiagnostic route {route}")).0.to_string()
}

#[test]
fn eight_bridges_of_a_broker_to_itself_make_few_messages_of_one() {
    let broker = broker();
    let mut watcher = watch(&broker, "f/#");
    for number in 0..8 {
        let own = "        WITH BROKER SELF\n";
        let added = broker.command_ok(&format!(
            "-addRoute DEFINE ROUTE R{number} WITH TYPE MQTT_BRIDGE\n    ADD SOURCE_CONFIG\n{own}    ADD DESTINATION_CONFIG\n{own}{}",
            mapping("M", "f/#", "f/#", "out")
        ));
        let told = added.0.to_string();
        let circle = format!("may carry messages in a circle: R{number}.M -> ");
        assert_eq!(told.contains("TRIGGER_CYCLE") && told.contains(&circle), number > 0, "{told}");
    }
    send(&broker, "f/x", "1");
    // Itself, one of each, and one of each pair: no message passes three bridges of a broker.
    assert_eq!(topics_until_quiet(&mut watcher).len(), 1 + 8 + 8 * 7);
    let error = eventually("the circle is told", || {
        Some(last_error(&broker, "R3")).filter(|told| told.contains("BRIDGE_CIRCLE"))
    });
    assert!(error.contains("a message on 'f/x' goes no further") && error.contains(" -> R"), "{error}");
}

#[test]
fn a_circle_over_another_broker_ends_with_and_without_properties() {
    for (out, back) in [("5", "5"), ("3.1.1", "3.1.1"), ("5", "3.1.1"), ("3.1.1", "5")] {
        let (far, broker) = (options().start(), broker());
        let port = far.address().port();
        let mut watcher = watch(&broker, "a/#");
        for (name, version, mapping) in [
            ("Out", out, mapping("M", "a/#", "b/#", "out")),
            ("Back", back, mapping("M", "b/#", "a/back/#", "in")),
        ] {
            let route = bridge(port, &format!("PROTOCOL_VERSION \"{version}\""), &mapping);
            broker.command_ok(&route.replace("ROUTE Up", &format!("ROUTE {name}")));
            Standing::of(&broker, name).until("\"Connected\"");
        }
        for topic in ["a/x", "a/y"] {
            send(&broker, topic, "1");
            let returned = topic.replace("a/", "a/back/");
            assert_eq!(topics_until_quiet(&mut watcher), [topic.to_owned(), returned], "{out} {back}");
        }
    }
}

#[test]
fn a_bridge_to_the_broker_itself_needs_properties() {
    let broker = broker();
    let port = broker.address().port();
    let route = bridge(port, "PROTOCOL_VERSION \"3.1.1\"", &mapping("M", "a/#", "a/#", "out"));
    broker.command_ok(&route);
    Standing::of(&broker, "Up").until("unsupported protocol version");
    // It is about bridges alone: others come as they like, from this machine too.
    assert!(Client::connect(broker.address(), &ConnectOptions::new("plain")).is_ok());
}

#[test]
fn two_other_brokers_are_joined_and_members_of_a_group_share() {
    let Some(first) = Mosquitto::start(ANYBODY) else { return };
    let second = Mosquitto::start(ANYBODY).unwrap();
    let broker = broker();
    let route = |name: &str| {
        format!(
            "-addRoute DEFINE ROUTE {name} WITH TYPE MQTT_BRIDGE\n{}{}{}",
            far("SOURCE_CONFIG", first.port, ""),
            far("DESTINATION_CONFIG", second.port, ""),
            mapping("Group", "$share/g/work/#", "done/#", "out") + &mapping("Both", "x/+", "x/+", "both"),
        )
    };
    broker.command_ok(&route("One"));
    broker.command_ok(&route("Two"));
    for name in ["One", "Two"] {
        Standing::of(&broker, name).until("\"Connected\"");
    }
    let mut done = second.watch("done/#");
    let mut sender = first.client("sender");
    // Two members get each message once between them.
    for number in 0..100 {
        publish(&mut sender, &format!("work/{number}"), "x");
    }
    let mut topics: Vec<String> = (0..100).map(|_| received(&mut done).topic).collect();
    publish(&mut sender, "work/end", "x");
    assert_eq!(received(&mut done).topic, "done/end");
    topics.sort();
    topics.dedup();
    assert_eq!(topics.len(), 100);
}

/// Numbers of messages that a client has received, until all are there.
fn all_come(client: &mut Client, count: usize) {
    let mut missing: BTreeSet<usize> = (0..count).collect();
    while !missing.is_empty() {
        let message = client.receive(WAIT_MAX).unwrap();
        let message =
            message.unwrap_or_else(|| panic!("{} are missing, from {:?}", missing.len(), missing.first()));
        missing.remove(&message.text().parse().unwrap());
    }
}

#[test]
fn nothing_is_lost_when_the_other_broker_is_killed_under_load() {
    let broker = broker();
    // The route knows it by its port.
    let mut far = options().listen(&format!("127.0.0.1:{}", free_port())).start();
    let subscriber = ConnectOptions::v5("subscriber").clean_start(false).session_expiry(3600);
    let mut there = far.connect(&subscriber);
    there.subscribe_to("up/#", QoS::AtLeastOnce).unwrap();
    // It may be away for long where the disk is slow, and each message is waited for here.
    let quick = "    ADD ROUTE_CONFIG\n        WITH RECONNECTION_MAX_PAUSE 1\n";
    broker.command_ok(&bridge(
        far.address().port(),
        "CLEAN_SESSION FALSE",
        &(quick.to_owned() + &mapping("M", "up/#", "up/#", "out")),
    ));
    let mut standing = Standing::of(&broker, "Up");
    standing.until("\"Connected\"");
    let mut sender = broker.client("sender");
    for number in 0..2000 {
        if number == 1000 {
            far.kill();
        }
        let message =
            Publication::new(format!("up/{}", number % 7), number.to_string()).qos(QoS::AtLeastOnce);
        sender.publish(&message).unwrap();
    }
    standing.until("\"Reconnecting\"");
    drop(there);
    far.start_again();
    let mut there = far.connect(&subscriber);
    all_come(&mut there, 2000);
}

/// For how long the link flaps, in seconds; `LOTMQ_FLAPPING_SECONDS=3600` makes it an hour, with 5
/// s between two changes.
const FLAPPING_SECONDS: u64 = 6;

#[test]
fn a_link_that_flaps_costs_no_message() {
    let seconds = std::env::var("LOTMQ_FLAPPING_SECONDS");
    let seconds = seconds.map_or(FLAPPING_SECONDS, |text| text.parse().expect("a number"));
    let period = Duration::from_secs(5).min(Duration::from_secs(seconds) / 12);
    let (broker, far) = (broker(), options().start());
    let link = Link::to(far.address().port());
    let mappings = mapping("Up", "up/#", "up/#", "out") + &mapping("Down", "down/#", "down/#", "in");
    broker.command_ok(&bridge(link.port, "CLEAN_SESSION FALSE\nCLIENT_ID \"gateway\"", &mappings));
    let mut standing = Standing::of(&broker, "Up");
    standing.until("\"Connected\"");
    let mut ends = [Flow::new(&broker, &far, "up/a"), Flow::new(&far, &broker, "down/a")];
    let before = broker.resident_bytes();
    let start = Instant::now();
    let (mut number, mut changes) = (0, 0);
    while start.elapsed() < Duration::from_secs(seconds) {
        if start.elapsed() > period * (changes + 1) {
            changes += 1;
            if changes % 2 == 1 { link.cut() } else { link.join() }
        }
        for end in &mut ends {
            end.send(number);
            end.take(Duration::from_millis(10));
        }
        number += 1;
    }
    link.join();
    for end in &mut ends {
        while end.last != Some(number - 1) {
            assert!(end.take(WAIT_MAX), "{}: nothing after {:?} of {number}", end.topic, end.last);
        }
    }
    let grown = broker.resident_bytes().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes more after {changes} changes");
    let again = ends.map(|end| end.beyond);
    println!("{number} messages each way, {changes} changes, {again:?} came twice, {grown} bytes more");
}

/// Numbered messages of one topic, from one side of a link to the other.
struct Flow<'a> {
    from: &'a Broker,
    sender: Client,
    receiver: Client,
    topic: &'static str,
    /// The number that has come last, without gap.
    last: Option<u64>,
    /// Messages that came again.
    beyond: u64,
}

impl<'a> Flow<'a> {
    fn new(from: &'a Broker, to: &Broker, topic: &'static str) -> Self {
        Flow { from, sender: from.client("sender"), receiver: watch(to, topic), topic, last: None, beyond: 0 }
    }

    fn send(&mut self, number: u64) {
        if number % 10_000 == 9_999 {
            // A client uses each of its packet identifiers once.
            self.sender = self.from.client("sender");
        }
        publish(&mut self.sender, self.topic, &number.to_string());
    }

    /// Takes a message, which must be the next one, or one that has come before. False when there
    /// is none in time.
    fn take(&mut self, timeout: Duration) -> bool {
        let Some(message) = self.receiver.receive(timeout).unwrap() else { return false };
        let number: u64 = message.text().parse().unwrap();
        let next = self.last.map_or(0, |last| last + 1);
        assert!(number <= next, "{}: {number} came after {:?}", self.topic, self.last);
        if number == next {
            self.last = Some(number)
        } else {
            self.beyond += 1
        }
        true
    }
}

#[test]
fn a_kept_session_brings_what_was_published_while_the_bridge_was_away() {
    let far = options().start();
    let mut broker = broker();
    broker.command_ok(&bridge(
        far.address().port(),
        "CLEAN_SESSION FALSE\nCLIENT_ID \"kept\"",
        &(mapping("M", "down/#", "down/#", "in") + "        WITH QOS 2\n"),
    ));
    Standing::of(&broker, "Up").until("\"Connected\"");
    let sleeper = ConnectOptions::v5("sleeper").clean_start(false).session_expiry(3600);
    let mut here = broker.connect(&sleeper);
    here.subscribe_to("down/#", QoS::ExactlyOnce).unwrap();
    let mut sender = far.connect(&ConnectOptions::v5("sender"));
    let publish = |sender: &mut Client, number: usize| {
        let message = Publication::new("down/x", number.to_string()).qos(QoS::ExactlyOnce);
        sender.publish(&message).unwrap();
    };
    publish(&mut sender, 0);
    assert_eq!(next(&mut here), "down/x=0");
    here.disconnect().unwrap();
    broker.stop();
    (1..200).for_each(|number| publish(&mut sender, number));
    broker.start_again();
    let mut here = broker.connect(&sleeper);
    let mut texts: Vec<String> = Vec::new();
    while texts.last().is_none_or(|text| text != "199") {
        texts.push(received(&mut here).text());
    }
    // The first was published here; whether the other broker knew that when this one stopped is
    // chance.
    let again = usize::from(texts[0] == "0");
    let expected: Vec<String> = (1..200).map(|number: usize| number.to_string()).collect();
    assert_eq!(texts[again..], expected);
}

#[test]
fn wrong_credentials_stop_the_route_and_tell_no_secret() {
    let far = options().start();
    let broker = broker();
    broker.command_ok("-setSecret FAR=not-the-password");
    let login = "USERNAME \"root\"\nPASSWORD GET SECRET \"FAR\"";
    broker.command_ok(&bridge(far.address().port(), login, &mapping("M", "up/#", "up/#", "out")));
    let mut standing = Standing::of(&broker, "Up");
    let told = standing.until("the broker refuses the connection");
    assert!(!told.contains("not-the-password"), "{told}");
    // The route retries at once after a correction.
    broker.command_ok("-setSecret FAR=coreflux");
    standing.until("\"Connected\"");
    assert!(!broker.log().text().contains("not-the-password"));
}

#[test]
fn a_broker_is_trusted_by_its_certificate() {
    let authority = Authority::new();
    let signed = authority.server("localhost");
    let files = format!("certfile {}\nkeyfile {}", signed.certificate.display(), signed.key.display());
    let Some(mosquitto) = Mosquitto::start(&format!("{files}\n{ANYBODY}")) else { return };
    let broker = broker();
    let pem = std::fs::read_to_string(authority.file()).unwrap();
    broker.command_ok(&format!("-setSecret CA={}", pem.trim().replace('\n', "\\n")));
    broker.command_ok("-setSecret FAR=not-for-strangers");
    let login = "USE_TLS TRUE\nUSERNAME \"u\"\nPASSWORD GET SECRET \"FAR\"";
    let trust = format!("{login}\nSERVER_CA_CERT GET SECRET \"CA\"");
    let out = mapping("M", "up/#", "up/#", "out");
    send(&broker, "up/x", "1");
    for (section, told) in [
        (login.to_owned(), "UnknownIssuer"),
        (format!("{trust}\nTLS_SERVER_NAME \"plant.example\""), "certificate not valid for name"),
        (trust.replace("USE_TLS TRUE", "USE_TLS FALSE"), "\"Reconnecting\""),
        (format!("{trust}\nTLS_SERVER_NAME \"localhost\""), "\"Connected\""),
        (format!("{login}\nALLOW_UNTRUSTED_CERTS TRUE"), "\"Connected\""),
    ] {
        let mut standing = Standing::of(&broker, "Up");
        broker.command_ok(&bridge(mosquitto.port, &section, &out));
        standing.until(told);
        broker.command_ok("-removeRoute Up");
    }
    assert!(!broker.log().text().contains("not-for-strangers"));
}

#[test]
fn bridge_without_tls_reports_a_tls_port() {
    let authority = Authority::new();
    let signed = authority.server("localhost");
    let far = options()
        .variable("LOTMQ_TLS_CERTIFICATE", signed.certificate.to_str().unwrap())
        .variable("LOTMQ_TLS_KEY", signed.key.to_str().unwrap())
        .variable("LOTMQ_LISTENER_MQTTS_PORT", "0")
        .variable("LOTMQ_LISTENER_MQTTS_BIND", "127.0.0.1")
        .variable("LOTMQ_LISTENER_WSS_PORT", "off")
        .start();
    let port = far.listener("mqtts").rsplit(':').next().unwrap().parse().unwrap();
    let broker = broker();
    let mut standing = Standing::of(&broker, "Up");
    broker.command_ok(&bridge(port, "", &mapping("M", "up/#", "up/#", "out")));
    standing.until(
        "a server of TLS answers there, and this connection is without TLS: USE_TLS TRUE in its section",
    );
}

#[test]
fn a_slow_link_is_waited_for() {
    let Some(mosquitto) = Mosquitto::start(ANYBODY) else { return };
    let link = Link::to(mosquitto.port);
    link.slow_down(Duration::from_millis(150));
    let broker = broker();
    let mut there = mosquitto.watch("up/#");
    broker.command_ok(&bridge(link.port, "", &mapping("M", "up/#", "up/#", "out")));
    publish_all(&broker, (0..500).map(|number| ("up/x".to_owned(), number.to_string())));
    for number in 0..500 {
        assert_eq!(next(&mut there), format!("up/x={number}"));
    }
    assert_eq!(broker.metric("lotmq_route_reconnects_total"), Some(0.0));
}

#[test]
fn a_frozen_broker_is_away_and_gets_everything_later() {
    let Some(mosquitto) = Mosquitto::start(ANYBODY) else { return };
    let broker = broker();
    let mut there = mosquitto.watch("up/#");
    let hurry = "    ADD ROUTE_CONFIG\n        WITH ACTIVITY_TIMEOUT 2\n";
    broker.command_ok(&bridge(
        mosquitto.port,
        "",
        &(hurry.to_owned() + &mapping("M", "up/#", "up/#", "out")),
    ));
    let mut standing = Standing::of(&broker, "Up");
    standing.until("\"Connected\"");
    let process = mosquitto.program.as_ref().unwrap().process_id().to_string();
    Program::run("kill", &["-STOP", &process]).unwrap().output();
    for number in 0..50 {
        send(&broker, "up/x", &number.to_string());
    }
    standing.until("\"Reconnecting\"");
    Program::run("kill", &["-CONT", &process]).unwrap().output();
    all_come(&mut there, 50);
}

#[test]
fn ten_thousand_messages_that_wait_arrive_in_order() {
    let count = backlog(10_000);
    let port = free_port();
    let broker = broker();
    let room = "    ADD ROUTE_CONFIG\n        WITH BUFFER_MAX_BYTES 4000000000\n";
    broker.command_ok(&bridge(port, "", &(room.to_owned() + &mapping("M", "up/#", "up/#", "out"))));
    publish_all(&broker, (0..count).map(|number| ("up/x".to_owned(), number.to_string())));
    let far = options().listen(&format!("127.0.0.1:{port}")).start();
    let mut there = watch(&far, "up/#");
    for number in 0..count {
        assert_eq!(next(&mut there), format!("up/x={number}"));
    }
}

/// [MQTT-3.3.2-5]: messages that expire while the other broker is away do not go there. They hold
/// up no other message.
#[test]
fn bridge_drops_messages_that_expired_offline() {
    let port = free_port();
    let broker = broker();
    broker.command_ok(&bridge(port, "", &mapping("M", "up/#", "up/#", "out")));
    let mut publisher = broker.connect(&ConnectOptions::v5("short-lived"));
    for number in 0..30 {
        let message = Publication::new("up/x", number.to_string()).qos(QoS::AtLeastOnce);
        let seconds = |seconds| PropertyValue::FourByte(seconds);
        let message = match number % 3 {
            0 => message.property(PropertyId::MessageExpiryInterval, seconds(1)),
            1 => message.property(PropertyId::MessageExpiryInterval, seconds(1000)),
            _ => message,
        };
        publisher.publish(&message).unwrap();
    }
    std::thread::sleep(Duration::from_millis(1100));
    let far = options().listen(&format!("127.0.0.1:{port}")).start();
    let mut there = watch(&far, "up/#");
    for number in (0..30).filter(|number| number % 3 > 0) {
        assert_eq!(next(&mut there), format!("up/x={number}"));
    }
    assert_eq!(broker.metric("lotmq_route_expired_total"), Some(10.0));
    assert_eq!(broker.metric("lotmq_route_dead_letters_total"), Some(0.0));
    eventually("nothing waits", || (broker.metric("lotmq_route_waiting") == Some(0.0)).then_some(()));
}

#[test]
fn a_server_that_talks_nonsense_is_away() {
    let broker = broker();
    for (answer, expected) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "no MQTT"),
        (b"\x20\x02\x00\x03", "server unavailable"),
        (b"\x90\x03\x00\x01\x00", "its first packet is no CONNACK"),
        (b"", "it has ended the connection"),
    ] {
        let far = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = far.local_addr().unwrap().port();
        broker.command_ok(&bridge(port, "PROTOCOL_VERSION \"3.1.1\"", &mapping("M", "up/#", "up/#", "out")));
        let server = std::thread::spawn(move || {
            for _ in 0..2 {
                let Ok((mut stream, _)) = far.accept() else { return };
                let _ = stream.read(&mut [0; 256]);
                let _ = stream.write_all(answer);
            }
        });
        Standing::of(&broker, "Up").until(expected);
        broker.command_ok("-removeRoute Up");
        drop(TcpStream::connect(("127.0.0.1", port)));
        drop(TcpStream::connect(("127.0.0.1", port)));
        server.join().unwrap();
    }
}

#[test]
fn invalid_bridge_definition_is_reported() {
    let broker = broker();
    let good = mapping("M", "a/#", "b/#", "out");
    for (route, expected) in [
        (bridge(1, "BROKER_PORT 70000", &good), "BROKER_PORT is a whole number from 1 to 65535"),
        (bridge(1, "KEEP_ALIVE 65536", &good), "KEEP_ALIVE is a whole number from 0 to 65535"),
        (bridge(1, "PROTOCOL_VERSION \"6\"", &good), "PROTOCOL_VERSION"),
        (bridge(1, "CLEAN_SESSION \"perhaps\"", &good), "CLEAN_SESSION is TRUE or FALSE"),
        (
            bridge(1, "", &mapping("M", "a", "b/+", "out")),
            "DESTINATION_TOPIC has 1 wildcards, SOURCE_TOPIC 0",
        ),
        (bridge(1, "", &mapping("M", "a/#", "b/#", "sideways")), "DIRECTION"),
        (bridge(1, "", "    ADD MAPPING M\n        WITH DESTINATION_TOPIC \"b\"\n"), "needs SOURCE_TOPIC"),
    ] {
        let refused = broker.command(&route);
        assert!(refused.message().contains(expected), "{expected}: {refused:?}");
    }
    // Only the bridge itself can judge this mapping, and it stops the route.
    broker.command_ok(&bridge(1, "", &mapping("M", "$share/g/a", "b", "out")));
    Standing::of(&broker, "Up").until("a bridge takes all messages of this broker");
}

#[test]
fn this_broker_can_be_the_destination() {
    let far = options().start();
    let broker = broker();
    let route = format!(
        "-addRoute DEFINE ROUTE Down WITH TYPE MQTT_BRIDGE\n{}    ADD DESTINATION_CONFIG\n        WITH BROKER_ADDRESS \"self\"\n{}{}",
        far_section(&far),
        mapping("Out", "there/#", "here/#", "out"),
        mapping("Back", "here/back/#", "there/back/#", "in"),
    );
    broker.command_ok(&route);
    Standing::of(&broker, "Down").until("\"Connected\"");
    let mut here = watch(&broker, "here/#");
    let mut there = watch(&far, "there/back/#");
    send(&far, "there/1", "x");
    assert_eq!(next(&mut here), "here/1=x");
    send(&broker, "here/back/1", "y");
    assert_eq!(next(&mut there), "there/back/1=y");
}

fn far_section(broker: &Broker) -> String {
    far("SOURCE_CONFIG", broker.address().port(), "")
}
