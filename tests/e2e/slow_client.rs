//! A client that never reads costs a bounded amount of memory, and others do not notice it.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lotmq_client::{Client, ConnectOptions, Publication, QoS};
use lotmq_test_support::{Broker, WAIT_MAX, eventually};
use socket2::{Domain, Socket, Type};

use crate::{broker, options};

/// Payload of the flood; much of it at once, so that the bound is reached in few messages.
const PAYLOAD_BYTES: usize = 64 * 1024;

/// Bytes that the broker may grow by while nobody reads: output bounds of the one connection,
/// buffers of the others.
const GROWTH_BYTES_MAX: u64 = 64 << 20;

/// Retained messages of 1 KiB: twice what the sockets of one machine hold between a broker and a
/// client that does not read.
const REPLAYED: usize = 20_000;

/// Bytes of a replay that a turn sends at most, with the packet that reached the bound.
const REPLAY_WAITING_BYTES_MAX: f64 = (64.0 + 2.0) * 1024.0;

#[test]
fn a_client_that_never_reads_is_bounded_and_others_do_not_notice() {
    let broker = broker();
    let mut pair = Pair::new(&broker);
    let quiet = pair.p99();

    let mut lazy = broker.client("lazy");
    lazy.subscribe_to("flood", QoS::AtMostOnce).unwrap();
    let before = broker.resident_bytes();
    let mut flooder = broker.client("flooder");
    let message = Publication::new("flood", vec![0; PAYLOAD_BYTES]);
    let mut during = Duration::ZERO;
    // 256 MiB, four times what may be kept.
    for round in 0..4096 {
        flooder.publish(&message).unwrap();
        if round % 512 == 0 {
            during = during.max(pair.p99());
            let grown = broker.resident_bytes().saturating_sub(before);
            assert!(grown < GROWTH_BYTES_MAX, "round {round}: {grown} bytes");
        }
    }
    flooder.ping().unwrap();
    let grown = broker.resident_bytes().saturating_sub(before);
    assert!(grown < GROWTH_BYTES_MAX, "{grown} bytes");
    // Machines that run tests are busy: this tells being blocked from being slow, not more.
    assert!(
        during < quiet * 20 + Duration::from_millis(250),
        "p99 {during:?} during the flood, {quiet:?} before"
    );
    let dropped = broker.metric("lotmq_publish_dropped_total").unwrap_or_default();
    let is_closed = lazy.connection().wait_closed(Duration::from_millis(1)).unwrap();
    assert!(
        dropped > 0.0 || is_closed,
        "what does not fit is dropped and counted, or the connection is closed"
    );
    let reached = broker.metric("lotmq_limit_reached_total{limit=\"output_bytes\",listener=\"mqtt\"}");
    assert!(reached > Some(0.0) || is_closed, "{reached:?}");
}

#[test]
fn clients_that_never_read_share_what_there_is_for_all() {
    // Each alone may have more than all that is sent to it.
    let broker = options()
        .variable("LOTMQ_LIMITS_OUTPUT_BYTES", "30000000")
        .variable("LOTMQ_LIMITS_ALL_OUTPUT_BYTES", "1000000")
        .start();
    let lazy = |number| {
        let mut client = broker.client(&format!("lazy-{number}"));
        client.subscribe_to("flood", QoS::AtMostOnce).unwrap();
        client
    };
    let _lazy: Vec<Client> = (0..6).map(lazy).collect();
    let mut flooder = broker.client("flooder");
    let message = Publication::new("flood", vec![0; PAYLOAD_BYTES]);
    // Sockets hold some megabytes for each of them.
    for _ in 0..400 {
        flooder.publish(&message).unwrap();
    }
    flooder.ping().unwrap();
    let waiting = broker.metric("lotmq_output_waiting_bytes").unwrap();
    // One turn adds at most 4 MiB for clients whose sockets had room before it. Without a bound for
    // all it would be 100 MB.
    assert!((500_000.0..10_000_000.0).contains(&waiting), "{waiting}");
    let reached = broker.metric("lotmq_limit_reached_total{limit=\"all_output_bytes\",listener=\"mqtt\"}");
    assert!(reached > Some(0.0), "{reached:?}");
}

/// Answers are longer than the packets that they answer, and wait behind no bound of messages.
#[test]
fn answers_to_clients_that_never_read_share_what_there_is_for_all() {
    let broker = options().variable("LOTMQ_LIMITS_ALL_OUTPUT_BYTES", "300000").start();
    // A filter that is none, of 1,000 packets.
    let wrong = [0x82, 11, 0, 1, 0, 0, 5, b'a', b'/', b'#', b'/', b'b', 0].repeat(1000);
    let is_over = AtomicBool::new(false);
    // All at once: while there is room, answers have reasons, which fill sockets soon.
    let talk = &|number: usize| {
        let mut stream = stream_with_small_buffer(&broker);
        let id = format!("lazy-{number:02}");
        let mut connect = vec![0x10, 20, 0, 4, b'M', b'Q', b'T', b'T', 5, 2, 0, 0, 0, 0, 7];
        connect.extend(id.as_bytes());
        stream.write_all(&connect).unwrap();
        stream.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
        // Nobody reads from it in the end.
        let mut sent = 0;
        while !is_over.load(Ordering::Relaxed) {
            sent += stream.write(&wrong[sent % wrong.len()..]).unwrap_or(0);
        }
        stream
    };
    let reached = || broker.metric("lotmq_limit_reached_total{limit=\"all_output_bytes\",listener=\"mqtt\"}");
    let _lazy: Vec<TcpStream> = std::thread::scope(|scope| {
        let talking: Vec<_> = (0..8).map(|number| scope.spawn(move || talk(number))).collect();
        eventually("a client is not read from", || (reached() > Some(7.0)).then_some(()));
        is_over.store(true, Ordering::Relaxed);
        talking.into_iter().map(|talking| talking.join().unwrap()).collect()
    });
    let waiting = broker.metric("lotmq_output_waiting_bytes").unwrap();
    // One read's answers for each come on top. Without a bound for all it would be 17 MB.
    assert!((300_000.0..4_000_000.0).contains(&waiting), "{waiting}");
    // A client that reads gets its answers.
    let mut busy = broker.connect(&ConnectOptions::v5("busy"));
    for _ in 0..1000 {
        assert!(busy.subscribe_to("a/#/b", QoS::AtMostOnce).unwrap().is_failure());
    }
}

/// A connection whose answers wait at the broker soon.
fn stream_with_small_buffer(broker: &Broker) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(16 << 10).unwrap();
    socket.connect(&broker.address().into()).unwrap();
    socket.into()
}

#[test]
fn a_replay_to_a_slow_client_buffers_next_to_nothing() {
    let broker = broker();
    let mut publisher = broker.client("publisher");
    for number in 0..REPLAYED {
        publisher.publish(&Publication::new(format!("state/{number}"), vec![b'x'; 1024]).retained()).unwrap();
    }
    publisher.ping().unwrap();
    let waiting = || broker.metric("lotmq_output_waiting_bytes").unwrap();
    let mut slow = broker.client("slow");
    slow.subscribe_to("state/#", QoS::AtMostOnce).unwrap();
    eventually("sockets do not take all of it", || (waiting() > 0.0).then_some(()));
    for number in 0..REPLAYED {
        if number % 500 == 0 {
            let bytes = waiting();
            assert!(bytes <= REPLAY_WAITING_BYTES_MAX, "message {number}: {bytes} bytes");
        }
        let message = slow.receive(WAIT_MAX).unwrap();
        assert!(message.is_some_and(|message| message.retain), "message {number}");
    }
    eventually("nothing waits any more", || (waiting() == 0.0).then_some(()));
}

#[test]
fn a_kept_session_that_never_acknowledges_is_bounded_by_its_queue() {
    let broker = options().variable("LOTMQ_LIMITS_QUEUE_MESSAGES", "100").start();
    let options = ConnectOptions::new("lazy").clean_start(false);
    let mut lazy = broker.connect(&options);
    lazy.subscribe_to("orders", QoS::AtLeastOnce).unwrap();
    lazy.disconnect().unwrap();
    let mut publisher = broker.client("publisher");
    for number in 0..150 {
        publisher.publish(&Publication::new("orders", number.to_string()).qos(QoS::AtLeastOnce)).unwrap();
    }
    let mut lazy = broker.connect(&options);
    let first: Vec<String> = (0..100).map(|_| lazy.receive(WAIT_MAX).unwrap().unwrap().text()).collect();
    let expected: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    assert_eq!(first, expected);
    lazy.ping().unwrap();
    assert!(
        lazy.receive(Duration::ZERO).unwrap().is_none(),
        "new messages are dropped when the queue is full"
    );
    assert_eq!(broker.metric("lotmq_queue_full_dropped_total"), Some(50.0));
    let reached = broker.metric("lotmq_limit_reached_total{limit=\"queue_messages\"}");
    assert_eq!(reached, Some(50.0), "the session belongs to no listener while its client is away");
}

#[test]
fn the_queue_of_a_kept_session_is_bounded_in_bytes_too() {
    let broker = options().variable("LOTMQ_LIMITS_QUEUE_BYTES", "10000").start();
    let options = ConnectOptions::new("lazy").clean_start(false);
    let mut lazy = broker.connect(&options);
    lazy.subscribe_to("orders", QoS::AtLeastOnce).unwrap();
    lazy.disconnect().unwrap();
    let mut publisher = broker.client("publisher");
    for _ in 0..20 {
        publisher.publish(&Publication::new("orders", vec![b'x'; 1000]).qos(QoS::AtLeastOnce)).unwrap();
    }
    let dropped = broker.metric("lotmq_queue_full_dropped_total").unwrap();
    assert_eq!(broker.metric("lotmq_limit_reached_total{limit=\"queue_bytes\"}"), Some(dropped));
    assert!((10.0..=12.0).contains(&dropped), "a message takes a little more than its payload: {dropped}");
}

#[test]
fn a_session_lives_no_longer_than_the_broker_allows() {
    let broker = options().variable("LOTMQ_LIMITS_SESSION_EXPIRY_MAX", "60s").start();
    // CONNACK does not repeat the value of the client.
    for (asked, announced) in [(3600, Some(60)), (30, None)] {
        let client = broker.connect(&ConnectOptions::v5("c").session_expiry(asked));
        assert_eq!(client.connack_properties().session_expiry_interval(), announced, "{asked}");
    }
}

/// A publisher and a subscriber that measure the way of a message.
struct Pair {
    publisher: Client,
    subscriber: Client,
}

impl Pair {
    fn new(broker: &Broker) -> Self {
        let mut subscriber = broker.client("pair-sub");
        subscriber.subscribe_to("pair", QoS::AtMostOnce).unwrap();
        Self { publisher: broker.client("pair-pub"), subscriber }
    }

    /// The 99th percentile of 200 round trips.
    fn p99(&mut self) -> Duration {
        let mut times: Vec<Duration> = (0..200).map(|_| self.round_trip()).collect();
        times.sort_unstable();
        times[197]
    }

    fn round_trip(&mut self) -> Duration {
        let start = Instant::now();
        self.publisher.publish(&Publication::new("pair", "x")).unwrap();
        assert!(self.subscriber.receive(WAIT_MAX).unwrap().is_some());
        start.elapsed()
    }
}

/// Of sessions that end with their connections nothing is in the store: what waits for them is in
/// memory.
#[test]
fn messages_that_wait_in_memory_are_bounded_in_sum() {
    let broker = options()
        .variable("LOTMQ_LIMITS_ALL_QUEUE_BYTES", "1048576")
        .variable("LOTMQ_LIMITS_OUTPUT_BYTES", "65536")
        .start();
    let lazy: Vec<Client> = (0..4)
        .map(|number| {
            let mut client = broker.client(&format!("lazy-{number}"));
            client.subscribe_to("flood", QoS::AtLeastOnce).unwrap();
            client
        })
        .collect();
    let mut busy = broker.client("busy");
    busy.subscribe_to("flood", QoS::AtLeastOnce).unwrap();
    let mut flooder = broker.client("flooder");
    let before = broker.resident_bytes();
    let message = Publication::new("flood", vec![0; PAYLOAD_BYTES]).qos(QoS::AtLeastOnce);
    // 64 MiB, less than one session may have.
    for _ in 0..1024 {
        flooder.publish(&message).unwrap();
        assert_eq!(busy.receive(WAIT_MAX).unwrap().expect("who reads gets all").payload.len(), PAYLOAD_BYTES);
    }
    let grown = broker.resident_bytes().saturating_sub(before);
    assert!(grown < 32 << 20, "{grown} bytes");
    assert!(broker.metric("lotmq_queue_full_dropped_total") > Some(1024.0));
    let reached = broker.metric("lotmq_limit_reached_total{limit=\"all_queue_bytes\",listener=\"mqtt\"}");
    assert!(reached > Some(0.0), "{reached:?}");
    drop(lazy);
}
