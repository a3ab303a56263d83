//! Retained messages that are replaced again and again, faster than the disk takes them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use lotmq_client::{ConnectOptions, Publication};

use crate::watch::{StopAtEnd, broker};

/// Clients that publish.
const PUBLISHERS: usize = 12;

/// Bytes of each message.
const PAYLOAD_BYTES: usize = 8 << 20;

/// Most bytes that may wait for the disk: as much as the store takes in, and a message.
const WAITING_BYTES_MAX: u64 = (64 << 20) + PAYLOAD_BYTES as u64;

/// Most bytes of messages that have come in part: of each publisher one, and one of the connection
/// before, which is closed when the disk has taken what came on it.
const PARTIAL_BYTES_MAX: u64 = 2 * (PUBLISHERS * PAYLOAD_BYTES) as u64;

/// Bytes that the broker may keep besides: each topic's message, and messages that came in part.
const KEPT_BYTES_MAX: u64 = (PUBLISHERS * PAYLOAD_BYTES) as u64 + PARTIAL_BYTES_MAX;

#[test]
fn large_ones_wait_for_the_disk_with_who_sends_them() {
    // A slow disk lets nobody be closed: what is judged is who waits for it.
    let broker =
        broker().variable("LOTMQ_LIMITS_PARTIAL_BYTES", &(2 * PARTIAL_BYTES_MAX).to_string()).start();
    let address = broker.address();
    let idle = broker.resident_bytes();
    let stop = AtomicBool::new(false);
    let start = Instant::now();
    let (mut most, mut waiting) = (0, 0);
    thread::scope(|scope| {
        let publishers: Vec<_> = (0..PUBLISHERS)
            .map(|number| {
                let stop = &stop;
                scope.spawn(move || {
                    let publication =
                        Publication::new(format!("kept/{number}"), vec![b'x'; PAYLOAD_BYTES]).retained();
                    let mut sent = 0_usize;
                    while !stop.load(Ordering::Relaxed) {
                        let mut client =
                            lotmq_client::Client::connect(address, &ConnectOptions::v5("")).unwrap();
                        // QoS 0 needs no acknowledgement that would slow them down; now and then
                        // they come anew.
                        for _ in 0..4 {
                            client.send_publish(&publication).unwrap();
                            sent += 1;
                        }
                        client.disconnect().unwrap();
                    }
                    sent
                })
            })
            .collect();
        let _end = StopAtEnd(&stop);
        while start.elapsed() < crate::duration() {
            most = most.max(broker.resident_bytes());
            waiting = waiting.max(broker.metric("lotmq_store_waiting_bytes").unwrap() as u64);
            thread::sleep(Duration::from_millis(20));
        }
        stop.store(true, Ordering::Relaxed);
        let sent: usize = publishers.into_iter().map(|publisher| publisher.join().unwrap()).sum();
        println!(
            "{sent} messages, {} KiB waited, {} KiB resident, {} KiB before",
            waiting >> 10,
            most >> 10,
            idle >> 10
        );
    });
    assert!(waiting < WAITING_BYTES_MAX, "{waiting} bytes waited for the disk");
    // A message that waits for the disk takes memory twice while it is written.
    assert!(most < idle + KEPT_BYTES_MAX + 2 * WAITING_BYTES_MAX, "{idle} bytes grew to {most}");
}
