//! Rules that are asked about each receiver of a message.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use lotmq_client::{Client, ConnectOptions, ProtocolVersion, Publication, QoS};
use lotmq_codec::{PacketId, Properties, SubscribeFilter, SubscriptionOptions, encode_subscribe};
use lotmq_test_support::{Broker, WAIT_MAX, allow_open_files};

use crate::turns::others_are_served;
use crate::watch::broker;

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

/// Rules whose answers hold for one message only, about thousands of receivers: while they are asked, what follows from the publisher waits, and nobody else.
#[test]
fn rules_about_many_receivers() {
    const SUBSCRIBERS: usize = 4_000;
    const MESSAGES: usize = 10;
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
    let filters = ["+/x".to_owned()];
    let subscribers: Vec<TcpStream> =
        (0..SUBSCRIBERS).map(|number| subscriber(&broker, &format!("denied-{number}"), &filters)).collect();
    let mut chosen = broker.client("chosen");
    chosen.subscribe_to("+/+", QoS::AtLeastOnce).unwrap();
    let mut publisher = broker.client("publisher");
    publisher.publish(&Publication::new("chosen", "chosen").retained()).unwrap();
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

/// Messages that the broker has counted, with all of this Client's: a turn counts when it has written, so the answer to the first PINGREQ may come before.
fn received(broker: &Broker, publisher: &mut Client) -> f64 {
    publisher.ping().unwrap();
    publisher.ping().unwrap();
    broker.metric("lotmq_publish_received_total").unwrap()
}
