//! Backlog on the disk while the other side is away, and its speed when that is back.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use lotmq_test_support::{Broker, BrokerOptions, free_port};

use super::publishers::Publishers;
use super::{broker, median, route_figure, wait_for};

const PAYLOAD: [u8; 200] = [b'x'; 200];

/// Messages that wait: `LOTMQ_BENCH_OUTBOX`, without it these, some quarter of an hour of a
/// thousand a second.
const MESSAGES: usize = 2000 * Publishers::STEP;

/// Rate that a drain is compared with.
const A_SECOND: f64 = 1000.0;

pub(super) fn figures(binary: &str, times: usize) {
    let messages = std::env::var("LOTMQ_BENCH_OUTBOX")
        .map_or(MESSAGES, |number| number.parse::<usize>().unwrap().next_multiple_of(Publishers::STEP));
    let runs: Vec<(f64, f64)> = (0..times).map(|_| run(binary, messages)).collect();
    let of_payload = median(runs.iter().map(|run| run.0).collect());
    let a_second = median(runs.iter().map(|run| run.1).collect());
    println!("  {messages} messages of {} bytes wait in {of_payload:.2} times their payload", PAYLOAD.len());
    println!(
        "  they go at {a_second:.0} a second, {:.1} times as fast as they would come",
        a_second / A_SECOND
    );
}

/// Bytes on the disk for each byte of payload, and messages that go each second.
fn run(binary: &str, messages: usize) -> (f64, f64) {
    let (broker, port) = (broker(binary), free_port());
    let before = disk_bytes(broker.data());
    broker.command_ok(&format!(
        "-addRoute DEFINE ROUTE Up WITH TYPE MQTT_BRIDGE
    ADD SOURCE_CONFIG
        WITH BROKER SELF
    ADD DESTINATION_CONFIG
        WITH BROKER_ADDRESS \"127.0.0.1\"
        WITH BROKER_PORT {port}
    ADD ROUTE_CONFIG
        WITH BUFFER_MAX_BYTES 16000000000
    ADD MAPPING All
        WITH SOURCE_TOPIC \"in/#\"
"
    ));
    Publishers::connect(broker.address(), "in", &PAYLOAD).publish(messages);
    assert_eq!(waiting(&broker), messages as f64);
    let bytes = disk_bytes(broker.data()) - before;
    let far = BrokerOptions::new(binary).prepared().listen(&format!("127.0.0.1:{port}")).start();
    // The pause before the next try to connect is not the drain's.
    wait_for(|| waiting(&broker) < messages as f64);
    let (began, left) = (Instant::now(), waiting(&broker));
    wait_for(|| waiting(&broker) == 0.0);
    let took: Duration = began.elapsed();
    drop(far);
    (bytes as f64 / (messages * PAYLOAD.len()) as f64, left / took.as_secs_f64())
}

fn waiting(broker: &Broker) -> f64 {
    route_figure(broker, "waiting")
}

/// Returns the bytes that the files of a folder take on the disk.
fn disk_bytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap();
    entries
        .map(|entry| {
            let path = entry.unwrap().path();
            if path.is_dir() { disk_bytes(&path) } else { std::fs::metadata(&path).unwrap().blocks() * 512 }
        })
        .sum()
}
