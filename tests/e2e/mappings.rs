//! Memory of the process that nobody may use up for all: mappings of compiled code, and the allocations for large packets.

use lotmq_client::{ClientError, ConnectOptions, Publication, QoS, ReasonCode};
use lotmq_test_support::{Broker, WAIT_MAX, eventually};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::options;

/// Bytes of a large retained message: more than what the C library reserves for one thread.
const LARGE_BYTES: usize = 80 << 20;

/// Address space that the broker has left, in bytes: enough for small messages.
const LEFT_BYTES: u64 = 16 << 20;

/// Limits the address space of the broker to what it has and so much more, or removes the limit.
fn leave_address_space(broker: &Broker, more: Option<u64>) {
    let process = Pid::from_raw(i32::try_from(broker.process_id()).unwrap());
    let sizes = std::fs::read_to_string(format!("/proc/{}/statm", broker.process_id())).unwrap();
    let pages: u64 = sizes.split(' ').next().unwrap().parse().unwrap();
    let now = pages * rustix::param::page_size() as u64;
    let limit = Rlimit { current: more.map(|more| now + more), maximum: None };
    prlimit(process, Resource::As, limit).unwrap();
}

fn large() -> Publication {
    Publication::new("large", vec![7; LARGE_BYTES]).qos(QoS::AtLeastOnce).retained()
}

#[test]
fn a_packet_without_memory_for_it_ends_its_connection_and_nothing_else() {
    let broker = options().variable("LOTMQ_LIMITS_MAX_PACKET_SIZE", "200000000").start();
    let mut other = broker.client("other");
    other.subscribe_to("small", QoS::AtLeastOnce).unwrap();
    leave_address_space(&broker, Some(LEFT_BYTES));
    for client_id in ["first", "second"] {
        let mut client = broker.connect(&ConnectOptions::v5(client_id));
        let ended = client.publish(&large()).unwrap_err();
        // A client that is still sending may notice the end of the connection first.
        if let ClientError::Disconnected { reason, text } = &ended {
            assert_eq!(*reason, ReasonCode::QuotaExceeded, "{text}");
            assert!(text.contains("no memory"), "{text}");
        }
    }
    let counted = "lotmq_disconnects_total{reason=\"out-of-memory\"}";
    eventually("both ends are counted", || broker.metric(counted).filter(|count| *count == 2.0));
    broker.log().expect("no memory for a packet");
    other.publish(&Publication::new("small", "x").qos(QoS::AtLeastOnce)).unwrap();
    assert_eq!(other.receive(WAIT_MAX).unwrap().unwrap().text(), "x");
    leave_address_space(&broker, None);
    let mut client = broker.connect(&ConnectOptions::v5("first"));
    assert!(!client.publish(&large()).unwrap().is_failure());
}
