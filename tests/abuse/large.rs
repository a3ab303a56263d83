//! Large messages of QoS 1 and 2 for many who do not read.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lotmq_client::{Client, ConnectOptions, ProtocolVersion, Publication, QoS, Will};
use lotmq_codec::{PacketId, Properties, Publish, SubscribeFilter, SubscriptionOptions, encode_subscribe};
use lotmq_test_support::{Broker, WAIT_MAX, allow_open_files, eventually};
use socket2::{Domain, Socket, Type};

use crate::turns::{TURN_SECONDS_MAX, others_are_served, others_wait};
use crate::watch::broker;

const PAYLOAD_BYTES: usize = 100_000;

/// A connection with a small window that is subscribed to `large` and reads nothing more. Of four
/// one has any combination of QoS and life.
fn subscriber(address: SocketAddr, number: usize) -> TcpStream {
    subscriber_of(address, number, "large")
}

/// The same with another filter.
fn subscriber_of(address: SocketAddr, number: usize, filter: &str) -> TcpStream {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
    // Else the kernel would keep gigabytes for all of them.
    socket.set_recv_buffer_size(16 << 10).unwrap();
    socket.connect(&address.into()).unwrap();
    let mut stream = TcpStream::from(socket);
    let mut bytes = Vec::new();
    let options = ConnectOptions::v5(format!("lazy-{number}"));
    let options = if number.is_multiple_of(2) { options } else { options.session_expiry(3_600) };
    options.encode(&mut bytes).unwrap();
    let qos = if number % 4 < 2 { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
    let options = SubscriptionOptions { qos, ..SubscriptionOptions::default() };
    let filter = SubscribeFilter { filter, options };
    let id = PacketId::new(1).expect("not 0");
    encode_subscribe(&mut bytes, ProtocolVersion::V5, id, Properties::EMPTY, &[filter]).unwrap();
    stream.write_all(&bytes).unwrap();
    (0..2).for_each(|_| drop(packet(&mut stream)));
    stream
}

/// A whole packet: its first byte, and what is behind its length.
fn packet(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut first = [0];
    stream.read_exact(&mut first).unwrap();
    let (mut len, mut shift, mut byte) = (0, 0, [0x80]);
    while byte[0] >= 0x80 {
        stream.read_exact(&mut byte).unwrap();
        len |= usize::from(byte[0] & 0x7f) << shift;
        shift += 7;
    }
    let mut body = vec![0; len];
    stream.read_exact(&mut body).unwrap();
    (first[0], body)
}

/// Returns the first payload byte of each message, in the order of arrival.
fn received(stream: &mut TcpStream, messages: usize) -> Vec<u8> {
    stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
    let publishes = (0..messages).map(|_| packet(stream));
    publishes
        .map(|(first, body)| {
            let publish = Publish::decode(first, &body, ProtocolVersion::V5).unwrap();
            assert_eq!(publish.payload.len(), PAYLOAD_BYTES);
            publish.payload[0]
        })
        .collect()
}

/// In some turn the sockets of all of them are full.
#[test]
fn for_thousands_who_do_not_read() {
    const SUBSCRIBERS: usize = 2_000;
    const MESSAGES: u8 = 20;
    allow_open_files(SUBSCRIBERS as u64 + 1_000);
    // Nobody is to lose one because all together have too many.
    let broker = broker().variable("LOTMQ_LIMITS_ALL_QUEUE_BYTES", "10000000000").start();
    let mut lazy: Vec<TcpStream> =
        (0..SUBSCRIBERS).map(|number| subscriber(broker.address(), number)).collect();
    let mut busy = broker.client("busy");
    busy.subscribe_to("large", QoS::ExactlyOnce).unwrap();
    let mut publisher = broker.client("publisher");
    others_are_served(&broker, || {
        for number in 0..MESSAGES {
            let qos = [QoS::AtLeastOnce, QoS::ExactlyOnce][usize::from(number % 2)];
            publisher.publish(&Publication::new("large", vec![number; PAYLOAD_BYTES]).qos(qos)).unwrap();
            let message = busy.receive(WAIT_MAX).unwrap().expect("who reads gets all");
            assert_eq!(message.payload.first(), Some(&number));
        }
    });
    let all: Vec<u8> = (0..MESSAGES).collect();
    for (number, stream) in lazy.iter_mut().enumerate().step_by(SUBSCRIBERS / 40 + 1) {
        assert_eq!(received(stream, all.len()), all, "subscriber {number}");
    }
    assert_eq!(broker.metric("lotmq_queue_full_dropped_total"), Some(0.0));
}

const PUBLISHERS: u8 = 10;

/// A broker with thousands who do not read, and one who does, the first of the receivers.
fn many_who_do_not_read() -> (Broker, Vec<TcpStream>, Client) {
    const SUBSCRIBERS: usize = 2_000;
    allow_open_files(SUBSCRIBERS as u64 + 1_000);
    let broker = broker().start();
    let mut busy = broker.client("busy");
    busy.subscribe_to("large", QoS::AtMostOnce).unwrap();
    let lazy = (0..SUBSCRIBERS).map(|number| subscriber(broker.address(), number)).collect();
    (broker, lazy, busy)
}

/// Publishers leave as soon as they have sent their messages, which go to all on their way all the
/// same.
#[test]
fn of_publishers_who_leave() {
    let (broker, lazy, mut busy) = many_who_do_not_read();
    let ((), served) = others_wait(&broker, || {
        for number in 0..PUBLISHERS {
            let mut publisher = broker.client(&format!("publisher-{number}"));
            publisher.send_publish(&Publication::new("large", vec![number; PAYLOAD_BYTES])).unwrap();
            publisher.disconnect().unwrap();
        }
        let next = || busy.receive(WAIT_MAX).unwrap().expect("who reads gets all").payload[0];
        let mut seen: Vec<u8> = std::iter::repeat_with(next).take(PUBLISHERS.into()).collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..PUBLISHERS).collect::<Vec<_>>());
        // Those who do not read have theirs as well.
        let routed = (2_001 * u32::from(PUBLISHERS)).into();
        let count = || {
            broker.metric("lotmq_publish_sent_total").unwrap()
                + broker.metric("lotmq_publish_dropped_total").unwrap()
        };
        while count() < routed {
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    assert!(served.as_secs_f64() < TURN_SECONDS_MAX, "a PINGREQ waited for {served:?} of work");
    drop(lazy);
}

/// Publishers are taken over while their messages are on the way: what of them is left goes to all
/// of the receivers all the same.
#[test]
fn of_publishers_who_are_taken_over() {
    let (broker, lazy, mut busy) = many_who_do_not_read();
    let mut publishers = Vec::new();
    let ((), served) = others_wait(&broker, || {
        for number in 0..PUBLISHERS {
            let mut publisher = broker.client("publisher");
            publisher.send_publish(&Publication::new("large", vec![number; PAYLOAD_BYTES])).unwrap();
            publishers.push(publisher);
            // It is on its way.
            assert_eq!(busy.receive(WAIT_MAX).unwrap().expect("who reads gets all").payload[0], number);
        }
    });
    assert!(served.as_secs_f64() < TURN_SECONDS_MAX, "a PINGREQ waited for {served:?} of work");
    drop(lazy);
}

/// Covers messages that no PUBLISH brings: those of an Action, and Wills.
#[test]
fn of_definitions_and_wills() {
    const WILL_BYTES: usize = 60_000;
    let (broker, lazy, mut busy) = many_who_do_not_read();
    broker.command_ok(
        "-addAction DEFINE ACTION Passes ON TOPIC \"pass\" DO\n    PUBLISH TOPIC \"large\" WITH PAYLOAD\n",
    );
    let mut publisher = broker.client("publisher");
    let ((), served) = others_wait(&broker, || {
        for number in 0..PUBLISHERS {
            publisher.send_publish(&Publication::new("pass", vec![b'0' + number; PAYLOAD_BYTES])).unwrap();
            let message = busy.receive(WAIT_MAX).unwrap().expect("who reads gets all");
            assert_eq!(message.payload, vec![b'0' + number; PAYLOAD_BYTES], "{number}");
        }
        for number in 0..PUBLISHERS {
            let will = Will::new("large", vec![number; WILL_BYTES]);
            broker.connect(&ConnectOptions::v5(format!("leaves-{number}")).will(will)).abort();
        }
        for _ in 0..PUBLISHERS {
            let message = busy.receive(WAIT_MAX).unwrap().expect("who reads gets all");
            assert_eq!(message.payload.len(), WILL_BYTES);
        }
    });
    assert!(served.as_secs_f64() < TURN_SECONDS_MAX, "a PINGREQ waited for {served:?} of work");
    drop(lazy);
}

/// One message that is far larger than what a socket takes, for many who do not read: what waits of
/// it for all of them is one piece of memory.
#[test]
fn of_the_largest_size_for_many_who_do_not_read() {
    const SUBSCRIBERS: usize = 200;
    const BYTES: usize = 12 << 20;
    // Of the message itself, and of what a turn copies.
    const COPIES_MAX: u64 = 8;
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let broker = broker().start();
        let lazy: Vec<TcpStream> =
            (0..SUBSCRIBERS).map(|number| subscriber(broker.address(), number)).collect();
        let mut publisher = broker.client("publisher");
        let before = broker.resident_bytes();
        others_are_served(&broker, || {
            publisher.send_publish(&Publication::new("large", vec![7; BYTES]).qos(qos)).unwrap();
            broker.wait_for_metric("lotmq_publish_sent_total", SUBSCRIBERS as f64);
        });
        let grown = broker.resident_bytes().saturating_sub(before);
        println!("{} MiB more for {SUBSCRIBERS} who wait for {} MiB", grown >> 20, BYTES >> 20);
        assert!(grown < COPIES_MAX * BYTES as u64, "{grown} bytes with {qos:?}");
        drop(lazy);
    }
}

/// A large message of QoS 0 for each of many who do not read, a different one for everybody: what
/// their sockets do not take counts in one sum, and who reads is served.
#[test]
fn different_ones_for_everybody_who_does_not_read() {
    const SUBSCRIBERS: usize = 60;
    const BYTES: usize = 8 << 20;
    const WAITING_MAX: u64 = 64 << 20;
    let broker = broker().variable("LOTMQ_LIMITS_ALL_OUTPUT_BYTES", &WAITING_MAX.to_string()).start();
    let lazy: Vec<TcpStream> = (0..SUBSCRIBERS)
        .map(|number| subscriber_of(broker.address(), number, &format!("own/{number}")))
        .collect();
    let mut publisher = broker.client("publisher");
    let before = broker.resident_bytes();
    let mut most = 0;
    for number in 0..SUBSCRIBERS {
        let payload = vec![b'x'; BYTES];
        publisher.send_publish(&Publication::new(format!("own/{number}"), payload)).unwrap();
        publisher.ping().unwrap();
        most = most.max(broker.resident_bytes());
    }
    let grown = most.saturating_sub(before);
    println!("{} MiB more for {SUBSCRIBERS} messages of {} MiB", grown >> 20, BYTES >> 20);
    // Besides, one message that is on its way: as it came, as it is sent, and what the allocator
    // keeps of it.
    assert!(grown < WAITING_MAX + 4 * BYTES as u64, "{grown} bytes");
    assert!(broker.metric("lotmq_publish_dropped_total").unwrap() > 0.0);
    drop(lazy);
}

/// A large message of QoS 0 for some who read and one who does not, a different one each time: what
/// that one keeps counts in full, however many others have had it.
#[test]
fn one_of_many_who_does_not_read() {
    const SUBSCRIBERS: usize = 40;
    const READERS: usize = 6;
    // More than the kernel takes for a connection.
    const BYTES: usize = 8 << 20;
    const WAITING_MAX: u64 = 64 << 20;
    let broker = broker().variable("LOTMQ_LIMITS_ALL_OUTPUT_BYTES", &WAITING_MAX.to_string()).start();
    // Number of large messages that came to any of them; they acknowledge small ones, behind the
    // large ones.
    let read = Arc::new(AtomicUsize::new(0));
    let (said, heard) = std::sync::mpsc::channel();
    for number in 0..READERS {
        let mut reader = broker.client(&format!("reader-{number}"));
        reader.subscribe_to("own/#", QoS::AtMostOnce).unwrap();
        reader.subscribe_to("ask", QoS::AtLeastOnce).unwrap();
        let (read, said) = (Arc::clone(&read), said.clone());
        std::thread::spawn(move || {
            while let Ok(Some(message)) = reader.receive(WAIT_MAX) {
                if message.topic == "ask" {
                    said.send(()).unwrap();
                } else {
                    read.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    }
    let lazy: Vec<TcpStream> = (0..SUBSCRIBERS)
        .map(|number| subscriber_of(broker.address(), number, &format!("own/{number}")))
        .collect();
    let mut publisher = broker.client("publisher");
    let mut publish = |number: usize| {
        publisher.send_publish(&Publication::new(format!("own/{number}"), vec![b'x'; BYTES])).unwrap();
        publisher.publish(&Publication::new("ask", "").qos(QoS::AtLeastOnce)).unwrap();
        (0..READERS).for_each(|_| heard.recv_timeout(WAIT_MAX).expect("they read"));
    };
    let (before, mut most) = (broker.resident_bytes(), 0);
    for number in 0..SUBSCRIBERS {
        publish(number);
        most = most.max(broker.resident_bytes());
    }
    let grown = most.saturating_sub(before);
    println!("{} MiB more for {SUBSCRIBERS} messages of {} MiB", grown >> 20, BYTES >> 20);
    // Besides, messages on their way to those who read, and what the allocator keeps of them.
    assert!(grown < WAITING_MAX + 6 * BYTES as u64, "{grown} bytes");
    assert!(grown > WAITING_MAX / 2, "what fits waits: {grown} bytes");
    drop(lazy);
    let waits = || broker.metric("lotmq_output_waiting_bytes").filter(|waiting| *waiting == 0.0);
    eventually("nothing waits any more", waits);
    let before = read.load(Ordering::Relaxed);
    assert!(before >= READERS, "they are served beside: {before}");
    publish(SUBSCRIBERS);
    assert_eq!(read.load(Ordering::Relaxed), before + READERS, "there is room again");
}

/// Retained messages that are replaced while those who have subscribed to them do not read: what is
/// not retained any more takes no memory with what is still to be sent of it.
#[test]
fn retained_ones_that_are_replaced_before_they_are_sent() {
    const SUBSCRIBERS: usize = 20;
    const TOPICS: usize = 32;
    const BYTES: usize = 1 << 20;
    let broker = broker().start();
    let mut publisher = broker.client("publisher");
    let before = broker.resident_bytes();
    let mut lazy = Vec::new();
    for number in 0..SUBSCRIBERS {
        for topic in 0..TOPICS {
            let message = Publication::new(format!("kept/{topic:02}"), vec![number as u8; BYTES]);
            publisher.send_publish(&message.retained()).unwrap();
        }
        publisher.ping().unwrap();
        lazy.push(subscriber_of(broker.address(), number, "kept/#"));
    }
    let grown = broker.resident_bytes().saturating_sub(before);
    println!("{} MiB more for {SUBSCRIBERS} who wait for {TOPICS} messages of {BYTES} bytes", grown >> 20);
    // Those that are retained; of each subscriber that which its socket has not taken; and those on
    // their way to the disk, and what the allocator keeps of them.
    let expected = (TOPICS + SUBSCRIBERS + 160) * BYTES;
    assert!(grown < expected as u64, "{grown} bytes");
    drop(lazy);
}

/// A large retained message for each of many who do not read, cleared as soon as it was asked for:
/// what their sockets do not take counts in one sum, and who has no room in it gets a retained
/// message when there is.
#[test]
fn different_retained_ones_for_everybody_who_does_not_read() {
    const SUBSCRIBERS: usize = 30;
    // More than the kernel takes for a connection.
    const BYTES: usize = 8 << 20;
    const WAITING_MAX: u64 = 32 << 20;
    let broker = broker().variable("LOTMQ_LIMITS_ALL_OUTPUT_BYTES", &WAITING_MAX.to_string()).start();
    let mut publisher = broker.client("publisher");
    let mut retain = |topic: &str, payload: Vec<u8>| {
        publisher.send_publish(&Publication::new(topic, payload).retained()).unwrap();
        publisher.ping().unwrap();
    };
    let (mut lazy, mut most) = (Vec::new(), 0);
    for number in 0..SUBSCRIBERS {
        let topic = format!("own/{number}");
        retain(&topic, vec![b'x'; BYTES]);
        lazy.push(subscriber_of(broker.address(), number, &topic));
        retain(&topic, Vec::new());
        most = most.max(broker.metric("lotmq_output_waiting_bytes").unwrap() as u64);
    }
    println!("{} KiB waited for {SUBSCRIBERS} who do not read", most >> 10);
    assert!(most <= WAITING_MAX + BYTES as u64, "{most} bytes waited");
    // Clients without a user have three quarters of it.
    assert!(most > WAITING_MAX * 3 / 4 / 2, "they do wait: {most} bytes");
    retain("last", vec![b'y'; BYTES]);
    let mut reader = broker.client("reader");
    reader.subscribe_to("last", QoS::AtMostOnce).unwrap();
    drop(lazy);
    let message = reader.receive(WAIT_MAX).unwrap().expect("there is room now");
    assert_eq!(message.payload, vec![b'y'; BYTES]);
}
