//! Load in a closed loop: each publisher has at most two batches of messages on their way.

use lotmq_test_support::Broker;
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

const PAIRS: usize = 50;

/// Messages per write.
const BATCH: usize = 32;

/// Batches that a publisher has outstanding.
const BATCHES: usize = 2;

/// A number with spaces behind it, so that every case can read it.
const PAYLOAD_BYTES: usize = 256;

/// Time before the measurement starts.
const WARM_UP: Duration = Duration::from_millis(500);

/// Figures of a run.
pub(crate) struct Figures {
    pub(crate) per_second: f64,
    pub(crate) per_cpu_second: f64,
}

struct Pair {
    publisher: TcpStream,
    subscriber: TcpStream,
    batch: Vec<u8>,
    /// Bytes of one batch as the subscriber gets it.
    expected: usize,
}

/// Sends to `<to>/<n>` and waits at `b/<n>`.
pub(crate) fn run(broker: &Broker, to: &str, time: Duration) -> Figures {
    let mut pairs: Vec<Pair> = (0..PAIRS).map(|number| Pair::new(broker, to, number)).collect();
    for pair in &mut pairs {
        for _ in 0..BATCHES {
            pair.publisher.write_all(&pair.batch).unwrap();
        }
    }
    rounds(&mut pairs, WARM_UP);
    let cpu = cpu_time(broker);
    let began = Instant::now();
    let messages = rounds(&mut pairs, time) as f64;
    let (wall, cpu) = (began.elapsed(), cpu_time(broker) - cpu);
    Figures { per_second: messages / wall.as_secs_f64(), per_cpu_second: messages / cpu.as_secs_f64() }
}

/// Reads a batch of each subscriber and replaces it, again and again. How many messages came.
fn rounds(pairs: &mut [Pair], time: Duration) -> usize {
    let until = Instant::now() + time;
    let mut buffer = vec![0; 64 * 1024];
    let mut messages = 0;
    while Instant::now() < until {
        for pair in &mut *pairs {
            pair.take_batch(&mut buffer);
            pair.publisher.write_all(&pair.batch).unwrap();
            messages += BATCH;
        }
    }
    messages
}

impl Pair {
    fn new(broker: &Broker, to: &str, number: usize) -> Self {
        let mut subscriber = connect(broker.address(), &format!("s{number}"));
        subscriber.write_all(&subscribe(&format!("b/{number}"))).unwrap();
        let mut suback = [0; 5];
        subscriber.read_exact(&mut suback).unwrap();
        assert_eq!(suback, [0x90, 3, 0, 1, 0]);
        let batch = publish(&format!("{to}/{number}")).repeat(BATCH);
        let expected = publish(&format!("b/{number}")).len() * BATCH;
        Pair { publisher: connect(broker.address(), &format!("p{number}")), subscriber, batch, expected }
    }

    fn take_batch(&mut self, buffer: &mut [u8]) {
        let mut missing = self.expected;
        while missing > 0 {
            let wanted = missing.min(buffer.len());
            let read = self.subscriber.read(&mut buffer[..wanted]).unwrap();
            assert!(read > 0, "the broker closed");
            missing -= read;
        }
    }
}

/// Connection of a client of MQTT 3.1.1.
pub(crate) fn connect(address: SocketAddr, client_id: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // Clean session, no keep alive.
    let mut body = b"\0\x04MQTT\x04\x02\0\0".to_vec();
    push_text(&mut body, client_id);
    stream.write_all(&packet(0x10, &body)).unwrap();
    let mut connack = [0; 4];
    stream.read_exact(&mut connack).unwrap();
    assert_eq!(connack, [0x20, 2, 0, 0]);
    stream
}

/// SUBSCRIBE of one filter at QoS 0.
pub(crate) fn subscribe(filter: &str) -> Vec<u8> {
    let mut body = vec![0, 1];
    push_text(&mut body, filter);
    body.push(0);
    packet(0x82, &body)
}

fn publish(topic: &str) -> Vec<u8> {
    let mut body = Vec::new();
    push_text(&mut body, topic);
    body.extend_from_slice(b"61.5");
    body.resize(2 + topic.len() + PAYLOAD_BYTES, b' ');
    packet(0x30, &body)
}

pub(crate) fn push_text(body: &mut Vec<u8>, text: &str) {
    body.extend_from_slice(&u16::try_from(text.len()).unwrap().to_be_bytes());
    body.extend_from_slice(text.as_bytes());
}

pub(crate) fn packet(first_byte: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first_byte];
    let mut length = body.len();
    while length >= 128 {
        packet.push(u8::try_from(length % 128).unwrap() | 128);
        length /= 128;
    }
    packet.push(u8::try_from(length).unwrap());
    packet.extend_from_slice(body);
    packet
}

/// CPU time of the broker's process so far, system included, in units of 10 ms.
pub(crate) fn cpu_time(broker: &Broker) -> Duration {
    cpu_time_of(broker.process_id())
}

/// The same of any process.
pub(crate) fn cpu_time_of(process: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks = |field: usize| fields[field].parse::<u64>().unwrap();
    Duration::from_millis((ticks(11) + ticks(12)) * 10)
}
