//! Changes that are made while the queue of the store is full: what is in force is stored.

use lotmq_client::{Client, ConnectOptions, Publication, QoS};
use serde_json::Value;

use crate::testing::{Running, connect, fill, receive};

fn root(running: &Running) -> Client {
    let mut root = connect(running.address(), &ConnectOptions::v5("root").user("root", "coreflux"));
    root.subscribe_to("$SYS/Coreflux/Command/Output", QoS::AtLeastOnce).unwrap();
    root
}

fn command(root: &mut Client, command: &str) -> Value {
    root.publish(&Publication::new("$SYS/Coreflux/Command", command).qos(QoS::AtLeastOnce)).unwrap();
    serde_json::from_str(&receive(root).1).unwrap()
}

#[test]
fn user_removed_while_the_store_queue_is_full_stays_removed() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start_in(dir.path(), "os");
    let log = &*running.server.broker.core.log;
    let mut root = root(&running);
    for number in 0..3 {
        assert_eq!(command(&mut root, &format!("-addUser mallory{number} s3cret-pump"))["success"], true);
    }
    for number in 0..3 {
        fill(log);
        let removed = command(&mut root, &format!("-removeUser mallory{number}"));
        assert_eq!(removed["success"], true, "{removed}");
        let again = command(&mut root, &format!("-removeUser mallory{number}"));
        assert_eq!(again["errors"][0]["code"], "NOT_FOUND", "{again}");
    }
    drop(root);
    running.server.stop();
    let running = Running::start_in(dir.path(), "os");
    let users = &running.server.broker.hosting.tenants.default_tenant().users;
    for number in 0..3 {
        assert!(users.account(&format!("mallory{number}")).is_none(), "mallory{number} is back");
    }
    running.server.stop();
}
