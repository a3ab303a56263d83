//! Floods that a connection of any kind must stand.

use lotmq_client::{Client, Publication, QoS};
use lotmq_test_support::{Broker, WAIT_MAX};

/// Most memory that a Client which never reads may cost.
const LAZY_BYTES_MAX: u64 = 32 << 20;

/// Sends thousands of messages without waiting; they come whole and in their order.
pub(crate) fn keeps_its_order(sender: &mut Client, receiver: &mut Client) {
    receiver.subscribe_to("flood", QoS::AtLeastOnce).unwrap();
    let count = 3_000_u32;
    for number in 0..count {
        let mut payload = vec![b'x'; 2_000];
        payload[..4].copy_from_slice(&number.to_be_bytes());
        sender.send_publish(&Publication::new("flood", payload).qos(QoS::AtLeastOnce)).unwrap();
    }
    for number in 0..count {
        let message = receiver.receive(WAIT_MAX).unwrap().expect("nothing is lost");
        assert_eq!(message.payload[..4], number.to_be_bytes());
    }
}

/// Sends 64 MiB to a Client that reads nothing from now on; the broker keeps little of it and
/// counts what it drops.
pub(crate) fn is_bounded(broker: &Broker, lazy: &mut Client) {
    lazy.subscribe_to("flood", QoS::AtMostOnce).unwrap();
    let mut flooder = broker.client("flooder");
    let before = broker.resident_bytes();
    let message = Publication::new("flood", vec![0; 64 * 1024]);
    for _ in 0..1024 {
        flooder.publish(&message).unwrap();
    }
    flooder.ping().unwrap();
    let grown = broker.resident_bytes().saturating_sub(before);
    assert!(grown < LAZY_BYTES_MAX, "{grown} bytes");
    assert!(broker.metric("lotmq_publish_dropped_total") > Some(0.0));
}
