//! Resources of a broker on a gateway: `lotmq-bench gateway [target/release/lotmq] [seconds]`.
//!
//! It measures an empty broker, a broker with a hundred actions and a bridge, and the same after a
//! restart. Each action and the bridge has run before. The broker is measured at rest, and with a
//! thousand messages a second in which each of them takes part. Memory is the process's own
//! (`Pss_Anon` and `Pss_Shmem`), time is CPU time within the seconds (60).

use std::time::{Duration, Instant};

use lotmq_client::{Publication, QoS};
use lotmq_test_support::{Broker, BrokerOptions};

use crate::idle_routes::{cpu_ms_within, private_kib, wait_connected};

const ACTIONS: u32 = 100;
const MESSAGES_PER_SECOND: u32 = 1_000;

pub(crate) fn figures(binary: &str, seconds: u64) {
    let far = BrokerOptions::new(binary).start();
    let mut broker = BrokerOptions::new(binary).variable("LOTMQ_ROUTES_ALLOW_LOOPBACK", "true").start();
    at_rest("a first start", &broker, seconds);
    for number in 0..ACTIONS {
        broker.command_ok(&format!("-addAction {}", action(number)));
    }
    broker.command_ok(&format!(
        "-addRoute DEFINE ROUTE Up WITH TYPE MQTT_BRIDGE\n    ADD SOURCE_CONFIG\n        WITH BROKER SELF\n    ADD DESTINATION_CONFIG\n        WITH BROKER_ADDRESS \"127.0.0.1\"\n        WITH BROKER_PORT {}\n    ADD MAPPING M\n        WITH SOURCE_TOPIC \"up/#\"\n",
        far.address().port()
    ));
    wait_connected(&broker, 1);
    let peak = busy(&broker, seconds);
    println!(
        "{ACTIONS} actions and a bridge, {MESSAGES_PER_SECOND} messages a second: {peak:.1} MiB at most"
    );
    at_rest("the same, at rest", &broker, seconds);
    assert!(broker.stop().success());
    broker.start_again();
    wait_connected(&broker, 1);
    at_rest("the same, after a restart", &broker, seconds);
}

/// An action that looks at a JSON payload, remembers a value and sends another one to the bridge.
fn action(number: u32) -> String {
    format!(
        "DEFINE ACTION Alarm{number}\nON TOPIC \"line/{number}/+\" DO\n    SET \"t\" WITH (GET JSON \"temperature\" IN PAYLOAD AS DOUBLE)\n    KEEP TOPIC \"last/{number}\" WITH {{t}}\n    IF {{t}} > 20 THEN\n        PUBLISH TOPIC \"up/{number}/\" + TOPIC POSITION 3 WITH {{t}}\n"
    )
}

fn at_rest(what: &str, broker: &Broker, seconds: u64) {
    std::thread::sleep(Duration::from_secs(5));
    let cpu_ms_an_hour = cpu_ms_within(broker, seconds) * 3600.0 / seconds as f64;
    println!(
        "{what}: {:.1} MiB, {:.1} MiB resident, {cpu_ms_an_hour:.0} ms of CPU an hour",
        private_kib(broker) / 1024.0,
        broker.resident_bytes() as f64 / f64::from(1 << 20)
    );
}

/// Sends so many messages a second; the most memory that the broker had of its own meanwhile, in
/// MiB.
fn busy(broker: &Broker, seconds: u64) -> f64 {
    let (mut peak, start) = (0_f64, Instant::now());
    for second in 0..seconds {
        // A client uses each of its packet identifiers once.
        let mut client = broker.client("bench");
        for number in 0..MESSAGES_PER_SECOND {
            let topic = format!("line/{}/t", number % ACTIONS);
            let payload = format!("{{\"temperature\": {}}}", 15 + number % 10);
            client.send_publish(&Publication::new(topic, payload).qos(QoS::AtLeastOnce)).unwrap();
        }
        while client.unacknowledged() > 0 {
            client.ping().unwrap();
        }
        peak = peak.max(private_kib(broker) / 1024.0);
        let next = start + Duration::from_secs(second + 1);
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    peak
}
