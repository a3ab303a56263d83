//! Rules that are asked about each receiver of a message.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use lotmq_client::{Client, ConnectOptions, ProtocolVersion, Publication, QoS, Will};
use lotmq_codec::{PacketId, Properties, SubscribeFilter, SubscriptionOptions, encode_subscribe};
use lotmq_test_support::{Broker, WAIT_MAX, allow_open_files};

use crate::turns::others_are_served;
use crate::watch::broker;

/// Receivers about whom rules are asked.
const SUBSCRIBERS: usize = 4_000;

/// A connection that is subscribed to these filters and reads nothing more.
fn subscriber(broker: &Broker, name: &str, filters: &[String]) -> TcpStream {
    let mut stream = TcpStream::connect(broker.address()).unwrap();
    let mut bytes = Vec::new();
    ConnectOptions::v5(name).encode(&mut bytes).unwrap();
    let options = SubscriptionOptions { qos: QoS::AtLeastOnce, ..SubscriptionOptions::default() };
    let id = PacketId::new(1).expect("not 0");
    let filters: Vec<_> = filters.iter().map(|filter| SubscribeFilter { filter, options }).collect();
    encode_subscribe(&mut bytes, ProtocolVersion::V5, id, Properties::EMPTY, &filters).unwrap();
    stream.write_all(&bytes).unwrap();
    stream.read_exact(&mut [0; 8]).unwrap();
    stream
}

/// A broker whose rules let only that Client have what is published below `asked` whose identifier
/// `chosen` says. Their answers hold for one message.
fn broker_of_one() -> Broker {
    const RULES: usize = 5;
    allow_open_files(SUBSCRIBERS as u64 + 1_000);
    let broker = broker().start();
    // Those before the last have no opinion.
    for number in 1..RULES {
        broker.command_ok(&format!(
            "-addRule DEFINE RULE R{number} WITH PRIORITY {number} FOR Subscribe TO TOPIC \"asked/#\"\n    IF GET TOPIC \"chosen{number}\" IS CLIENTID THEN\n        DENY\n"
        ));
    }
    broker.command_ok(
        "-addRule DEFINE RULE Each WITH PRIORITY 100 FOR Subscribe TO TOPIC \"asked/#\"\n    IF GET TOPIC \"chosen\" IS CLIENTID THEN\n        ALLOW\n    ELSE\n        DENY\n",
    );
    let choice = Publication::new("chosen", "chosen").qos(QoS::AtLeastOnce).retained();
    broker.client("chooser").publish(&choice).unwrap();
    broker
}

/// Connections that are subscribed to this filter and read nothing.
fn denied(broker: &Broker, filter: &str) -> Vec<TcpStream> {
    let filters = [filter.to_owned()];
    (0..SUBSCRIBERS).map(|number| subscriber(broker, &format!("denied-{number}"), &filters)).collect()
}

/// While rules are asked about thousands of receivers, what follows from the publisher waits, and
/// nobody else.
#[test]
fn rules_about_many_receivers() {
    const MESSAGES: usize = 10;
    let broker = broker_of_one();
    let subscribers = denied(&broker, "+/x");
    let mut chosen = broker.client("chosen");
    chosen.subscribe_to("+/+", QoS::AtLeastOnce).unwrap();
    let mut publisher = broker.client("publisher");
    let before = received(&broker, &mut publisher);
    others_are_served(&broker, || {
        for number in 0..MESSAGES {
            let qos = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][number % 3];
            publisher.publish(&Publication::new("asked/x", number.to_string()).qos(qos)).unwrap();
            publisher.publish(&Publication::new("other/y", number.to_string()).qos(qos)).unwrap();
        }
        for number in 0..MESSAGES {
            for topic in ["asked/x", "other/y"] {
                let message = chosen.receive(WAIT_MAX).unwrap().expect("all that is allowed comes");
                assert_eq!((message.topic.as_str(), message.text()), (topic, number.to_string()));
            }
        }
    });
    // Each is counted once, however many turns it took.
    assert_eq!(received(&broker, &mut publisher), before + 2.0 * MESSAGES as f64);
    drop(subscribers);
}

/// The same of members of a group, of which one gets each message.
#[test]
fn rules_about_many_members_of_a_group() {
    const MESSAGES: usize = 10;
    let broker = broker_of_one();
    let members = denied(&broker, "$share/many/+/x");
    let mut chosen = broker.client("chosen");
    chosen.subscribe_to("$share/many/+/x", QoS::AtLeastOnce).unwrap();
    let mut publisher = broker.client("publisher");
    others_are_served(&broker, || {
        for number in 0..MESSAGES {
            let qos = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][number % 3];
            publisher.publish(&Publication::new("asked/x", number.to_string()).qos(qos)).unwrap();
        }
        for number in 0..MESSAGES {
            let message =
                chosen.receive(WAIT_MAX).unwrap().expect("the one that may have it is in the group");
            assert_eq!(message.text(), number.to_string());
        }
    });
    drop(members);
}

/// The same of members who come into question for what another one leaves.
#[test]
fn rules_about_many_members_who_inherit() {
    const MESSAGES: usize = 10;
    let broker = broker_of_one();
    let members = denied(&broker, "$share/many/+/x");
    let mut first = broker.client("first");
    let mut chosen = broker.client("chosen");
    for client in [&mut first, &mut chosen] {
        client.subscribe_to("$share/many/+/x", QoS::AtLeastOnce).unwrap();
    }
    let mut publisher = broker.client("publisher");
    let mut choose = |name: &str| {
        let choice = Publication::new("chosen", name).qos(QoS::AtLeastOnce).retained();
        publisher.publish(&choice).unwrap();
    };
    choose("first");
    let mut author = broker.client("author");
    for number in 0..MESSAGES {
        author.publish(&Publication::new("asked/x", number.to_string()).qos(QoS::AtLeastOnce)).unwrap();
    }
    choose("chosen");
    others_are_served(&broker, || {
        // It has acknowledged nothing.
        first.abort();
        for number in 0..MESSAGES {
            let message = chosen.receive(WAIT_MAX).unwrap().expect("it gets what the other one leaves");
            assert_eq!(message.text(), number.to_string());
        }
    });
    drop(members);
}

/// The same of receivers of what a definition publishes, which reads what it has published before.
#[test]
fn rules_about_many_receivers_of_what_a_definition_publishes() {
    const MESSAGES: usize = 10;
    let broker = broker_of_one();
    broker.command_ok(
        "-addAction DEFINE ACTION Counts ON TOPIC \"count\" DO\n    PUBLISH TOPIC \"asked/x\" WITH (GET TOPIC \"asked/x\" AS INT + 1)\n",
    );
    let mut publisher = broker.client("publisher");
    publisher.publish(&Publication::new("asked/x", "0").qos(QoS::AtLeastOnce)).unwrap();
    let subscribers = denied(&broker, "+/x");
    let mut chosen = broker.client("chosen");
    chosen.subscribe_to("+/+", QoS::AtLeastOnce).unwrap();
    others_are_served(&broker, || {
        for _ in 0..MESSAGES {
            publisher.publish(&Publication::new("count", "one more").qos(QoS::AtLeastOnce)).unwrap();
        }
        for number in 1..=MESSAGES {
            let message = chosen.receive(WAIT_MAX).unwrap().expect("each count is published");
            assert_eq!((message.topic.as_str(), message.text()), ("asked/x", number.to_string()));
        }
    });
    drop(subscribers);
}

/// A run that takes too long for the thread that serves Clients goes on elsewhere: what it
/// publishes does not overtake what those before it have published.
#[test]
fn a_long_run_behind_short_ones_whose_receivers_are_asked_about() {
    const MESSAGES: usize = 10;
    let broker = broker_of_one();
    broker.command_ok(
        "-addAction DEFINE ACTION Tells ON TOPIC \"tell\" DO\n    PUBLISH TOPIC \"asked/x\" WITH REPLACE(PAYLOAD, \"a\", \"b\")\n",
    );
    let subscribers = denied(&broker, "+/x");
    let mut chosen = broker.client("chosen");
    chosen.subscribe_to("+/+", QoS::AtLeastOnce).unwrap();
    let mut publisher = broker.client("publisher");
    for number in 0..MESSAGES {
        publisher.publish(&Publication::new("tell", number.to_string()).qos(QoS::AtLeastOnce)).unwrap();
    }
    let long = "a".repeat(1 << 20);
    publisher.publish(&Publication::new("tell", long).qos(QoS::AtLeastOnce)).unwrap();
    let told = |_| chosen.receive(WAIT_MAX).unwrap().expect("each run tells").payload.len();
    let lengths: Vec<usize> = (0..=MESSAGES).map(told).collect();
    let expected = std::iter::repeat_n(1, MESSAGES).chain([1 << 20]);
    assert_eq!(lengths, expected.collect::<Vec<_>>());
    drop(subscribers);
}

/// The same of receivers of Wills, of sessions that go on and of such as end.
#[test]
fn rules_about_many_receivers_of_wills() {
    const WILLS: usize = 10;
    let broker = broker_of_one();
    let subscribers = denied(&broker, "+/x");
    let mut chosen = broker.client("chosen");
    chosen.subscribe_to("+/+", QoS::AtLeastOnce).unwrap();
    let dying = (0..WILLS).map(|number| {
        let will = Will { qos: QoS::AtLeastOnce, ..Will::new("asked/x", number.to_string()) };
        let lives_on = if number % 2 == 0 { 0 } else { 3_600 };
        broker.connect(&ConnectOptions::v5(format!("dying-{number}")).session_expiry(lives_on).will(will))
    });
    let dying: Vec<Client> = dying.collect();
    others_are_served(&broker, || {
        dying.into_iter().for_each(Client::abort);
        let next = || chosen.receive(WAIT_MAX).unwrap().expect("each Will is published").text();
        let mut seen: Vec<String> = std::iter::repeat_with(next).take(WILLS).collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..WILLS).map(|number| number.to_string()).collect::<Vec<_>>());
    });
    drop(subscribers);
}

/// Messages that the broker has counted, with all of this Client's: a turn counts when it has
/// written, so the answer to the first PINGREQ may come before.
fn received(broker: &Broker, publisher: &mut Client) -> f64 {
    publisher.ping().unwrap();
    publisher.ping().unwrap();
    broker.metric("lotmq_publish_received_total").unwrap()
}
