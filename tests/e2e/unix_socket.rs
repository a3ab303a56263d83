//! MQTT through a Unix socket.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::Path;

use lotmq_client::{Client, ConnectOptions, Endpoint, Publication, QoS};
use lotmq_test_support::{BrokerOptions, Program, WAIT_MAX};

use crate::options;

fn with_socket(path: &Path) -> BrokerOptions {
    options().variable("LOTMQ_LISTENER_UNIX_PATH", path.to_str().unwrap())
}

fn connect(path: &Path, client_id: &str) -> Client {
    Client::connect_at(&Endpoint::unix(path), &ConnectOptions::v5(client_id)).unwrap()
}

#[test]
fn messages_cross_the_socket_whose_file_is_as_configured_and_goes_with_the_broker() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mqtt.sock");
    let options = with_socket(&path).variable("LOTMQ_LISTENER_UNIX_MODE", "0600");
    let mut broker = options.variable("LOTMQ_LOG_DEBUG", "true").start();
    assert_eq!(broker.listener("unix"), path.to_str().unwrap());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let mut inside = connect(&path, "inside");
    inside.subscribe_to("t", QoS::ExactlyOnce).unwrap();
    let mut outside = broker.client("outside");
    for len in [0, 1, 70_000, 2_000_000] {
        let payload: Vec<u8> = (0..=250).cycle().take(len).collect();
        outside.publish(&Publication::new("t", payload.clone()).qos(QoS::AtLeastOnce)).unwrap();
        assert!(inside.receive(WAIT_MAX).unwrap().unwrap().payload == payload, "{len}");
        inside.publish(&Publication::new("t", payload.clone()).qos(QoS::AtLeastOnce)).unwrap();
        assert!(inside.receive(WAIT_MAX).unwrap().unwrap().payload == payload, "{len}");
    }
    broker.log().expect("peer=unix");
    // Its clients are clients of this machine: root may log in with the first password.
    Client::connect_at(&Endpoint::unix(&path), &ConnectOptions::new("r").user("root", "coreflux")).unwrap();
    assert!(broker.stop().success());
    assert!(!path.exists());
}

#[test]
fn a_file_left_behind_is_replaced_and_others_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mqtt.sock");
    let mut killed = with_socket(&path).start();
    killed.kill();
    assert!(path.exists(), "nobody cleaned up");
    let broker = with_socket(&path).start();
    connect(&path, "a").ping().unwrap();

    // A second broker does not take it away.
    let second = with_socket(&path).start();
    second.log().expect(&format!("{} is in use by another program", path.display()));
    drop(second);
    connect(&path, "b").ping().unwrap();
    drop(broker);

    let file = folder.path().join("file");
    std::fs::write(&file, "precious").unwrap();
    with_socket(&file).start().log().expect(&format!("{} is there and is no socket", file.display()));
    assert_eq!(std::fs::read(&file).unwrap(), b"precious");
    let missing = folder.path().join("no/folder/mqtt.sock");
    with_socket(&missing).start().log().expect("No such file or directory");
}

#[test]
fn a_file_that_another_program_has_put_there_since_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mqtt.sock");
    let mut broker = with_socket(&path).start();
    std::fs::remove_file(&path).unwrap();
    let _other = UnixListener::bind(&path).unwrap();
    assert!(broker.stop().success());
    assert!(path.exists());
}

#[test]
fn mosquitto_speaks_through_the_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mqtt.sock");
    let _broker = with_socket(&path).start();
    let path = path.to_str().unwrap();
    let Some(published) = Program::run("mosquitto_pub", &["--unix", path, "-t", "t", "-r", "-m", "hello"])
    else {
        return;
    };
    published.output();
    let received = Program::run("mosquitto_sub", &["--unix", path, "-t", "t", "-C", "1"]).unwrap();
    assert_eq!(received.output(), "hello");
}
