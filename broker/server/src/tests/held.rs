//! Messages that are held back until their Packet Identifiers are stored.

use std::collections::BTreeSet;

use lotmq_client::{ConnectOptions, PropertyBuf, PropertyId, PropertyValue, Publication, QoS, ReasonCode};

use crate::testing::{PATIENCE, Running, connect};

#[test]
fn unsent_message_of_a_shared_subscription_goes_to_another_member() {
    const MESSAGES: usize = 10;
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start_on(dir.path(), "os", &[("LOTMQ_STORE_LINGER_MS", "300")]);
    let member = |id: &str| {
        let options = ConnectOptions::v5(id).clean_start(false).session_expiry(60);
        let mut member = connect(running.address(), &options);
        member.subscribe_to("$share/g/t", QoS::ExactlyOnce).unwrap();
        member
    };
    let (leaves, mut stays) = (member("leaves"), member("stays"));
    let mut publisher = running.client("publisher");
    for number in 0..MESSAGES {
        let message = Publication::new("t", number.to_string()).qos(QoS::ExactlyOnce);
        publisher.send_publish(&message).unwrap();
    }
    publisher.ping().unwrap();
    let mut ends = PropertyBuf::new();
    ends.push(PropertyId::SessionExpiryInterval, PropertyValue::FourByte(0)).unwrap();
    leaves.disconnect_with(ReasonCode::Success, ends.properties()).unwrap();
    let mut left: BTreeSet<String> = (0..MESSAGES).map(|number| number.to_string()).collect();
    while !left.is_empty() {
        let message = stays.receive(PATIENCE).unwrap().unwrap_or_else(|| panic!("{left:?} are lost"));
        assert!(left.remove(&message.text()), "{} comes twice", message.text());
    }
    running.server.stop();
}
