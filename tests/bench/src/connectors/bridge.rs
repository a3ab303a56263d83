//! Messages of QoS 1 from one broker to another: the route, which keeps what waits on the disk or
//! in memory, the same by hand, and mosquitto's bridge, which keeps it in memory.

use lotmq_test_support::{Broker, BrokerOptions, Program, free_port, wait_for_port};

use super::publishers::Publishers;
use super::sink::Sink;
use super::{Case, Figures, Meter, Native, add_route, broker, rounds};

/// Messages of a run.
const MESSAGES: usize = 400 * Publishers::STEP;

const PAYLOAD: [u8; 256] = [b'x'; 256];

/// Debian keeps it where only root's search path looks.
const MOSQUITTO: &str = "/usr/sbin/mosquitto";

pub(super) fn group(binary: &str, times: usize) {
    let mut cases: Vec<Case<'_>> = vec![
        ("native: client crate", Box::new(|| by_hand(binary))),
        ("route", Box::new(|| by_route(binary, "disk"))),
        ("route that keeps them in memory", Box::new(|| by_route(binary, "memory"))),
    ];
    if Program::run(MOSQUITTO, &["-h"]).is_some() {
        cases.push(("mosquitto's bridge", Box::new(|| by_mosquitto(binary))));
    }
    rounds("messages", times, &cases);
}

fn far_side(binary: &str) -> (Broker, Sink) {
    let far = BrokerOptions::new(binary).prepared().start();
    let sink = Sink::connect(far.address(), "in/+", MESSAGES);
    (far, sink)
}

fn by_route(binary: &str, buffer_mode: &str) -> Figures {
    let ((far, sink), near) = (far_side(binary), broker(binary));
    add_route(
        &near,
        &format!(
            "DEFINE ROUTE Up WITH TYPE MQTT_BRIDGE
    ADD SOURCE_CONFIG
        WITH BROKER SELF
    ADD DESTINATION_CONFIG
        WITH BROKER_ADDRESS \"127.0.0.1\"
        WITH BROKER_PORT {}
    ADD ROUTE_CONFIG
        WITH BUFFER_MODE \"{buffer_mode}\"
    ADD MAPPING All
        WITH SOURCE_TOPIC \"in/#\"
",
            far.address().port()
        ),
    );
    let mut publishers = Publishers::connect(near.address(), "in", &PAYLOAD);
    let meter = Meter::start(vec![near.process_id()]);
    publishers.publish(MESSAGES);
    sink.wait();
    meter.figures(MESSAGES)
}

fn by_hand(binary: &str) -> Figures {
    let ((far, sink), near) = (far_side(binary), broker(binary));
    let (from, to) = (near.address().to_string(), far.address().to_string());
    let mut native = Native::start(&["native-bridge", &from, &to, &MESSAGES.to_string()]);
    let mut publishers = Publishers::connect(near.address(), "in", &PAYLOAD);
    let meter = Meter::start(vec![near.process_id(), native.process()]);
    publishers.publish(MESSAGES);
    sink.wait();
    native.wait_ready();
    meter.figures(MESSAGES)
}

fn by_mosquitto(binary: &str) -> Figures {
    let (far, sink) = far_side(binary);
    let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
    let file = folder.path().join("mosquitto.conf");
    let text = format!(
        "listener {port} 127.0.0.1\nallow_anonymous true\nuser root\nmax_queued_messages 0\nmax_inflight_messages 1000\nconnection up\naddress {}\nbridge_protocol_version mqttv50\ntopic in/# out 1\n",
        far.address()
    );
    std::fs::write(&file, text).unwrap();
    let mosquitto = Program::start(MOSQUITTO, &["-c", file.to_str().unwrap()]).unwrap();
    wait_for_port(port);
    // The sink, and the bridge.
    far.wait_until_metric_is("lotmq_connections", 2.0);
    let mut publishers = Publishers::connect(([127, 0, 0, 1], port).into(), "in", &PAYLOAD);
    let meter = Meter::start(vec![mosquitto.process_id()]);
    publishers.publish(MESSAGES);
    sink.wait();
    meter.figures(MESSAGES)
}
