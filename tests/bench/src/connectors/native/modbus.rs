//! A poller: a thousand registers a second, each published at QoS 0.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use lotmq_client::{Client, ConnectOptions, Publication};

use super::{READY, say};
use crate::connectors::modbus::{REGISTERS, REGISTERS_OF_A_REQUEST};

/// Polls until it is killed.
pub(super) fn poll(device: &str, broker: &str) {
    let mut device = TcpStream::connect(device).unwrap();
    device.set_nodelay(true).unwrap();
    let mut broker = Client::connect(broker, &ConnectOptions::v5("native").flush_ms(1)).unwrap();
    say(READY);
    let mut next = Instant::now();
    loop {
        for first in (0..REGISTERS).step_by(REGISTERS_OF_A_REQUEST.into()) {
            for (at, value) in read(&mut device, first).into_iter().enumerate() {
                let topic = format!("plc/t{}", usize::from(first) + at);
                broker.send_publish(&Publication::new(topic, value.to_string())).unwrap();
            }
        }
        broker.connection().flush().unwrap();
        next += Duration::from_secs(1);
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}

fn read(device: &mut TcpStream, first: u16) -> Vec<i16> {
    let [first_high, first_low] = first.to_be_bytes();
    let [count_high, count_low] = REGISTERS_OF_A_REQUEST.to_be_bytes();
    device
        .write_all(&[first_high, first_low, 0, 0, 0, 6, 1, 3, first_high, first_low, count_high, count_low])
        .unwrap();
    let mut header = [0; 9];
    device.read_exact(&mut header).unwrap();
    assert_eq!((&header[..2], header[7]), (&[first_high, first_low][..], 3), "{header:?}");
    let mut words = vec![0; header[8].into()];
    device.read_exact(&mut words).unwrap();
    words.chunks(2).map(|word| i16::from_be_bytes([word[0], word[1]])).collect()
}
