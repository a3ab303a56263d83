//! Floods: of properties, and of retained messages towards one who hardly reads.

use std::io::Read as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use lotmq_client::{
    Client, ConnectOptions, Connection, PropertyBuf, PropertyId, PropertyValue, ProtocolVersion, Publication,
    QoS,
};
use lotmq_codec::{PacketId, RetainHandling, SubscribeFilter, SubscriptionOptions, encode_subscribe};
use lotmq_test_support::WAIT_MAX;
use lotmq_zstd::Encoder;

use crate::watch::{broker, watch};

/// Messages and CONNECTs that are nearly all User Properties.
#[test]
fn user_properties() {
    let broker = broker().start();
    let address = broker.address();
    watch(&broker, 2, |thread, stop| {
        let property = |at: usize| (format!("name-{at}"), "v".repeat(200));
        let fill = |mut publication: Publication| {
            for at in 0..200 {
                let (name, value) = property(at);
                publication =
                    publication.property(PropertyId::UserProperty, PropertyValue::Utf8Pair(&name, &value));
            }
            publication
        };
        let publication = fill(Publication::new("properties", "x").qos(QoS::AtLeastOnce));
        let retained = Publication {
            retain: true,
            ..fill(Publication::new("properties/kept", "x").qos(QoS::AtLeastOnce))
        };
        while !stop.load(Ordering::Relaxed) {
            let (name, value) = property(thread);
            let options = ConnectOptions::v5(format!("properties-{thread}"))
                .property(PropertyId::UserProperty, PropertyValue::Utf8Pair(&name, &value));
            let mut client = Client::connect(address, &options).unwrap();
            client.subscribe_to("properties/#", QoS::AtLeastOnce).unwrap();
            for _ in 0..20 {
                client.publish(&publication).unwrap();
                client.publish(&retained).unwrap();
                while client.receive(Duration::ZERO).unwrap().is_some() {}
            }
            client.disconnect().unwrap();
        }
    });
}

/// Streams of a few bytes that expand to megabytes of packets, towards a broker that answers each
/// of them.
#[test]
fn zstd_bombs() {
    let broker = broker().variable("LOTMQ_LISTENER_MQTT_ZSTD_CLIENTS", "100").start();
    let address = broker.address();
    let mut bomb = Vec::new();
    Encoder::new().unwrap().encode([&[0xc0, 0x00].repeat(1 << 20)[..]; 8], &mut bomb).unwrap();
    watch(&broker, 4, |thread, stop| {
        let mut options = ConnectOptions::v5(format!("bomber-{thread}")).zstd();
        options.keep_alive = 0;
        while !stop.load(Ordering::Relaxed) {
            let mut connect = Vec::new();
            options.encode(&mut connect).unwrap();
            let mut connection = Connection::open(address, ProtocolVersion::V5, WAIT_MAX).unwrap();
            connection.send(&connect).unwrap();
            connection.receive(WAIT_MAX).unwrap().unwrap();
            connection.send(&bomb).unwrap();
            // One half reads nothing of the answers, the other half some.
            thread::sleep(Duration::from_millis(100));
            if thread % 2 == 0 {
                let _ = connection.stream().read(&mut [0; 4096]);
            }
            connection.close();
        }
    });
}

/// A subscriber to everything that reads a little now and then: what waits for it waits in the
/// index, not in a buffer.
#[test]
fn everything_retained_for_a_slow_subscriber() {
    let broker = broker().start();
    let count = if crate::is_long() { 1_000_000 } else { 20_000 };
    let mut client = broker.client("filler");
    for number in 0..count {
        let mut publication = Publication::new(format!("kept/{}/{number}", number % 100), vec![b'x'; 100]);
        publication.retain = true;
        client.send_publish(&publication).unwrap();
    }
    client.ping().unwrap();
    let address = broker.address();
    watch(&broker, 2, |_, stop| slow_subscriber(address, stop));
}

fn slow_subscriber(address: std::net::SocketAddr, stop: &AtomicBool) {
    let mut connection = Connection::open(address, ProtocolVersion::V3_1_1, WAIT_MAX).unwrap();
    let mut bytes = Vec::new();
    ConnectOptions::new("").encode(&mut bytes).unwrap();
    let options = SubscriptionOptions {
        qos: QoS::AtMostOnce,
        no_local: false,
        retain_as_published: false,
        retain_handling: RetainHandling::Send,
    };
    let packet_id = PacketId::new(1).expect("1 is not 0");
    let filters = [SubscribeFilter { filter: "#", options }];
    let properties = PropertyBuf::new();
    encode_subscribe(&mut bytes, ProtocolVersion::V3_1_1, packet_id, properties.properties(), &filters)
        .unwrap();
    connection.send(&bytes).unwrap();
    let mut buffer = [0; 1024];
    while !stop.load(Ordering::Relaxed) {
        let _ = connection.stream().read(&mut buffer).unwrap();
        thread::sleep(Duration::from_millis(20));
    }
}
