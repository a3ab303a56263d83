//! The memory of a broker that is abused, and a Client that wants to be served meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use lotmq_client::{Client, Publication, QoS};
use lotmq_test_support::{Broker, BrokerOptions, WAIT_MAX};

/// Bytes that a short run may grow by before it settles. Allocators keep memory from a peak.
const SETTLING_BYTES: u64 = 16 << 20;

pub(crate) fn broker() -> BrokerOptions {
    BrokerOptions::new(env!("CARGO_BIN_EXE_lotmq")).shared_code()
}

/// Runs `abuse`, which is to return soon after the flag is set, on `threads` threads and watches
/// the broker.
pub(crate) fn watch(broker: &Broker, threads: usize, abuse: impl Fn(usize, &AtomicBool) + Sync) {
    let stop = AtomicBool::new(false);
    let start = Instant::now();
    let whole = crate::duration();
    thread::scope(|scope| {
        for number in 0..threads {
            let (abuse, stop) = (&abuse, &stop);
            scope.spawn(move || abuse(number, stop));
        }
        // The abusers must end however this function ends, also after a panic.
        let _end = StopAtEnd(&stop);
        let mut probe = Probe::new(broker);
        let mut early = None;
        while start.elapsed() < whole {
            probe.is_served();
            if early.is_none() && start.elapsed() >= whole / 5 {
                early = Some(broker.resident_bytes());
            }
            thread::sleep(Duration::from_millis(50));
        }
        let (early, late) = (early.unwrap(), broker.resident_bytes());
        let settling = if crate::is_long() { 0 } else { SETTLING_BYTES };
        println!("{} KiB after a fifth, {} KiB at the end", early >> 10, late >> 10);
        assert!(late <= early + early / 20 + settling, "{early} bytes grew to {late}");
    });
}

/// Sets its flag when it goes.
pub(crate) struct StopAtEnd<'a>(pub(crate) &'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Sends itself a message and waits for it.
struct Probe {
    client: Client,
    sent: u64,
}

impl Probe {
    fn new(broker: &Broker) -> Self {
        let mut client = broker.client("probe");
        client.subscribe_to("probe", QoS::AtLeastOnce).unwrap();
        Self { client, sent: 0 }
    }

    fn is_served(&mut self) {
        self.sent += 1;
        let text = self.sent.to_string();
        self.client.publish(&Publication::new("probe", text.as_str()).qos(QoS::AtLeastOnce)).unwrap();
        let message = self.client.receive(WAIT_MAX).unwrap().expect("the probe is served");
        assert_eq!(message.text(), text);
    }
}
