//! Messages that are published with a delay: `$delayed/<seconds>/<topic>`.

use std::time::{Duration, Instant};

use lotmq_client::{
    Client, ConnectOptions, Endpoint, Message, PropertyId, PropertyValue, Publication, QoS, ReasonCode, Will,
};
use lotmq_test_support::{Broker, Program, WAIT_MAX};

use crate::{LOTMQ, broker, options};

const EVERY_QOS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

fn publish(client: &mut Client, topic: &str, payload: &str) -> ReasonCode {
    client.publish(&Publication::new(topic, payload).qos(QoS::AtLeastOnce)).unwrap()
}

fn subscriber(broker: &Broker, filter: &str) -> Client {
    let mut client = broker.root("subscriber");
    client.subscribe_to(filter, QoS::ExactlyOnce).unwrap();
    client
}

fn next(client: &mut Client) -> Message {
    client.receive(WAIT_MAX).unwrap().expect("a message comes")
}

/// Receiver whose session outlives the broker.
fn receiver() -> ConnectOptions {
    ConnectOptions::v5("receiver").clean_start(false).session_expiry(3600)
}

/// True if nothing has come to a client for which nothing is under way any more.
fn has_nothing(broker: &Broker, client: &mut Client) -> bool {
    broker.wait_until_metric_is("lotmq_delayed_messages", 0.0);
    client.ping().unwrap();
    client.receive(Duration::ZERO).unwrap().is_none()
}

#[test]
fn delayed_message_comes_in_time_with_its_properties() {
    let broker = broker();
    let mut all = subscriber(&broker, "valve/#");
    all.subscribe_to("$delayed/#", QoS::ExactlyOnce).unwrap();
    for (number, options) in [ConnectOptions::new("c"), ConnectOptions::v5("c")].iter().enumerate() {
        let mut client = broker.connect(options);
        for qos in EVERY_QOS {
            let begun = Instant::now();
            let text = format!("{number} {qos:?}");
            let message = Publication::new("$delayed/1/valve/off", &*text).qos(qos);
            assert!(!client.publish(&message).unwrap().is_failure());
            let came = next(&mut all);
            assert!(begun.elapsed() >= Duration::from_millis(999), "{:?}", begun.elapsed());
            assert_eq!((&*came.topic, came.text(), came.qos, came.retain), ("valve/off", text, qos, false));
        }
    }
    assert!(has_nothing(&broker, &mut all), "nobody gets the topic with the delay");
    assert_eq!(broker.metric("lotmq_delayed_published_total"), Some(6.0));
}

#[test]
fn delayed_message_is_retained_and_expires_from_its_publish() {
    let broker = broker();
    let mut client = broker.connect(&ConnectOptions::v5("c"));
    let kept = Publication::new("$delayed/1/kept/a", "1").qos(QoS::AtLeastOnce).retained();
    let lifetime = |message: Publication, seconds| {
        message.property(PropertyId::MessageExpiryInterval, PropertyValue::FourByte(seconds))
    };
    assert!(!client.publish(&lifetime(kept, 600)).unwrap().is_failure());
    let late = Publication::new("$delayed/2/kept/b", "2").qos(QoS::AtLeastOnce).retained();
    assert!(!client.publish(&lifetime(late, 1)).unwrap().is_failure());
    broker.wait_until_metric_is("lotmq_delayed_messages", 0.0);
    assert_eq!(broker.metric("lotmq_messages_expired_total"), Some(1.0));
    client.subscribe_to("kept/#", QoS::AtLeastOnce).unwrap();
    let found = next(&mut client);
    assert_eq!((&*found.topic, found.retain), ("kept/a", true));
    let left = found.properties().message_expiry_interval().unwrap();
    assert!((500..=599).contains(&left), "{left} seconds are left of 600");
    assert!(has_nothing(&broker, &mut client), "the other has expired");
}

#[test]
fn acknowledged_delayed_messages_survive_kill_9_and_come_once() {
    let mut broker = broker();
    broker.connect(&receiver()).subscribe_to("valve/#", QoS::ExactlyOnce).unwrap();
    for (options, qos) in [
        (ConnectOptions::new("three"), QoS::AtLeastOnce),
        (ConnectOptions::v5("five"), QoS::ExactlyOnce),
        (ConnectOptions::v5("far"), QoS::AtLeastOnce),
    ] {
        let name = options.client_id.clone();
        let seconds = if name == "far" { 4_294_967 } else { 3 };
        let message = Publication::new(format!("$delayed/{seconds}/valve/{name}"), "1").qos(qos);
        assert!(!broker.connect(&options).publish(&message).unwrap().is_failure());
    }
    broker.kill();
    broker.start_again();
    let mut client = broker.connect(&receiver());
    let mut found: Vec<(String, QoS)> =
        (0..2).map(|_| next(&mut client)).map(|message| (message.topic, message.qos)).collect();
    found.sort();
    let expected = [("valve/five", QoS::ExactlyOnce), ("valve/three", QoS::AtLeastOnce)];
    assert_eq!(found, expected.map(|(topic, qos)| (topic.to_owned(), qos)));
    client.ping().unwrap();
    broker.kill();
    broker.start_again();
    let mut client = broker.connect(&receiver());
    assert!(client.session_present());
    client.ping().unwrap();
    // An acknowledgement that was not stored yet when the broker died may have the message sent
    // again, with DUP. A second publication would come without.
    while let Some(message) = client.receive(Duration::ZERO).unwrap() {
        assert!(message.dup, "each comes once: {message:?}");
    }
    assert_eq!(broker.metric("lotmq_delayed_messages"), Some(1.0), "one is not due for weeks");
}

#[test]
fn delayed_topics_without_delay_or_target_are_refused() {
    let broker = broker();
    let mut root = broker.connect(&ConnectOptions::v5("five").user("root", "coreflux"));
    for topic in [
        "$delayed/0/a",
        "$delayed/4294968/a",
        "$delayed/-1/a",
        "$delayed/soon/a",
        "$delayed/5",
        "$delayed/5/",
        "$delayed/5/$delayed/5/a",
        "$delayed/5/$SYS/Coreflux/Command",
    ] {
        assert_eq!(publish(&mut root, topic, "1"), ReasonCode::TopicNameInvalid, "{topic}");
        // A client without reason codes loses the connection.
        let mut three = broker.connect(&ConnectOptions::new("three").user("root", "coreflux"));
        let sent = three.publish(&Publication::new(topic, "1").qos(QoS::AtLeastOnce));
        assert!(sent.is_err(), "{topic}: {sent:?}");
        let will = ConnectOptions::v5("will").will(Will::new(topic, "1"));
        let refused = Client::connect_at(&Endpoint::tcp("127.0.0.1", broker.address().port()), &will);
        assert!(refused.is_err(), "{topic} as that of a Will");
    }
    assert_eq!(broker.metric("lotmq_delayed_messages"), Some(0.0));
    // A neighbour of each that is none of them.
    for topic in ["$delayed", "$Delayed/0/a", "$delayed/1/a"] {
        assert!(!publish(&mut root, topic, "1").is_failure(), "{topic}");
    }
}

#[test]
fn publisher_needs_the_right_to_the_target_at_once_and_when_it_is_due() {
    let broker = broker();
    for user in ["ann", "bob"] {
        broker.command_ok(&format!("-addUser {user} pw"));
    }
    let deny = |name: &str, topic: &str| {
        let rule = format!(
            "-addRule DEFINE RULE {name} WITH PRIORITY 50 FOR Publish TO TOPIC \"{topic}\"\n    IF USER IS \"root\" THEN\n        ALLOW\n    ELSE\n        DENY\n"
        );
        broker.command_ok(&rule);
    };
    deny("Closed", "closed/#");
    let mut all = subscriber(&broker, "#");
    let user = |name: &str| broker.connect(&ConnectOptions::v5(name).user(name, "pw"));
    let (mut ann, mut bob) = (user("ann"), user("bob"));
    assert_eq!(publish(&mut ann, "$delayed/1/closed/a", "1"), ReasonCode::NotAuthorized);
    assert!(!publish(&mut ann, "$delayed/8/open/a", "1").is_failure());
    assert!(!publish(&mut bob, "$delayed/8/later/b", "2").is_failure());
    assert!(!publish(&mut bob, "$delayed/8/open/b", "3").is_failure());
    let left = ConnectOptions::v5("left").user("bob", "pw").will(Will::new("$delayed/8/open/will", "4"));
    broker.connect(&left).abort();
    broker.wait_until_metric_is("lotmq_delayed_messages", 4.0);
    deny("Later", "later/#");
    broker.command_ok("-removeUser ann");
    let mut found: Vec<String> = (0..2).map(|_| next(&mut all).topic).collect();
    found.sort();
    assert_eq!(found, ["open/b", "open/will"]);
    assert!(has_nothing(&broker, &mut all), "neither after the loss of the right nor of the user");
    broker.log().expect("delayed message not published, no permission");
}

#[test]
fn delayed_messages_of_clients_without_a_user_end_when_such_logins_do() {
    let data = tempfile::tempdir().unwrap();
    let start = |anonymous| options().data(data.path()).variable("LOTMQ_ANONYMOUS", anonymous).start();
    let mut broker = start("true");
    let of_root = ConnectOptions::v5("root").user("root", "coreflux");
    for (options, topic) in [(ConnectOptions::v5("nobody"), "valve/nobody"), (of_root, "valve/root")] {
        let code = publish(&mut broker.connect(&options), &format!("$delayed/3/{topic}"), "1");
        assert!(!code.is_failure(), "{topic}");
    }
    broker.stop();
    let broker = start("false");
    let mut all = broker.root("all");
    all.subscribe_to("valve/#", QoS::AtLeastOnce).unwrap();
    assert_eq!(next(&mut all).topic, "valve/root");
    assert!(has_nothing(&broker, &mut all), "the other is discarded");
    assert_eq!(broker.metric("lotmq_publish_refused_total"), Some(1.0));
    broker.log().expect("delayed message not published, no permission");
}

#[test]
fn too_many_delayed_messages_are_refused_by_owner_and_in_all() {
    let broker = options().variable("LOTMQ_LIMITS_DELAYED_MESSAGES", "4").start();
    let mut nobody = broker.connect(&ConnectOptions::v5("five"));
    for _ in 0..3 {
        assert!(!publish(&mut nobody, "$delayed/600/a", "1").is_failure());
    }
    assert_eq!(publish(&mut nobody, "$delayed/600/a", "1"), ReasonCode::QuotaExceeded);
    let mut three = broker.connect(&ConnectOptions::new("three"));
    let sent = three.publish(&Publication::new("$delayed/600/a", "1").qos(QoS::AtLeastOnce));
    assert!(sent.is_err(), "{sent:?}");
    let mut three = broker.connect(&ConnectOptions::new("three"));
    three.publish(&Publication::new("$delayed/600/a", "1")).unwrap();
    three.ping().unwrap();
    assert_eq!(broker.metric("lotmq_delayed_messages"), Some(3.0));
    let root = ConnectOptions::v5("root").user("root", "coreflux");
    let reason = publish(&mut broker.connect(&root), "$delayed/600/a", "1");
    assert_eq!(reason, ReasonCode::QuotaExceeded, "three quarters of what the others leave");
    let off = options().variable("LOTMQ_LIMITS_DELAYED_MESSAGES", "0").start();
    assert_eq!(publish(&mut off.connect(&root), "$delayed/1/a", "1"), ReasonCode::QuotaExceeded);
}

#[test]
fn delayed_messages_of_programs_survive_kill_9() {
    let mut broker = broker();
    broker.connect(&receiver()).subscribe_to("valve/off", QoS::ExactlyOnce).unwrap();
    broker.command_ok(
        "-addAction DEFINE ACTION Close\nON TOPIC \"valve/on\" DO\n    PUBLISH TOPIC \"$delayed/3/valve/off\" WITH PAYLOAD QOS 1\n",
    );
    let mut client = broker.client("c");
    publish(&mut client, "valve/on", "9");
    broker.wait_until_metric_is("lotmq_delayed_messages", 1.0);
    // No acknowledgement covers what a run publishes.
    std::thread::sleep(Duration::from_secs(1));
    broker.kill();
    broker.start_again();
    let came = next(&mut broker.connect(&receiver()));
    assert_eq!((&*came.topic, &*came.text(), came.qos), ("valve/off", "9", QoS::AtLeastOnce));
}

#[test]
fn delayed_messages_come_when_the_time_of_a_test_passes() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("valve.lot");
    let text = "\
DEFINE ACTION Close
ON TOPIC \"valve/on\" DO
    PUBLISH TOPIC \"$delayed/60/valve/off\" WITH PAYLOAD

DEFINE ACTION Note
ON TOPIC \"valve/off\" DO
    PUBLISH TOPIC \"closed\" WITH PAYLOAD
";
    let cases = r#"
[[case]]
name = "after a minute"
when = [{ topic = "valve/on", payload = 9 }, { pass = "61s" }]
then = [
    { topic = "$delayed/60/valve/off", payload = 9 },
    { topic = "valve/off", payload = 9 },
    { topic = "closed", payload = 9 },
]

[[case]]
name = "not before"
when = [{ topic = "valve/on", payload = 9 }, { pass = "59s" }]
then = [{ topic = "$delayed/60/valve/off", payload = 9 }]
"#;
    std::fs::write(&program, text).unwrap();
    std::fs::write(folder.path().join("valve.test.toml"), cases).unwrap();
    let tested = Program::run(LOTMQ, &["test", program.to_str().unwrap()]).unwrap();
    assert_eq!(tested.status.code(), Some(0), "{}{}", tested.stdout, tested.stderr);
}
