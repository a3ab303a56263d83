//! Clients of ours at a null broker, through real sockets.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use lotmq_client::{Client, ConnectOptions, ProtocolVersion, Publication};
use lotmq_codec::{ForwardProperties, PublishHead, encode_publish};

use super::*;
use lotmq_codec::{Properties, QoS};

const WAIT_MAX: Duration = Duration::from_secs(20);

/// Starts one, whose thread ends with the process.
fn start() -> SocketAddr {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || run((Ipv4Addr::LOCALHOST, 0).into(), |address| tell.send(address).unwrap()));
    told.recv().unwrap()
}

fn client(address: SocketAddr, name: &str) -> Client {
    Client::connect(address, &ConnectOptions::new(name)).unwrap()
}

fn subscriber(address: SocketAddr, name: &str, filter: &str, qos: QoS) -> Client {
    let mut client = client(address, name);
    client.subscribe_to(filter, qos).unwrap();
    client
}

fn next(client: &mut Client) -> String {
    client.receive(WAIT_MAX).unwrap().unwrap().text()
}

/// The bytes of a PUBLISH at QoS 0.
fn publish(topic: &str, payload: &[u8]) -> Vec<u8> {
    let head = PublishHead {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        topic,
        packet_id: None,
        properties: ForwardProperties::unaltered(Properties::EMPTY),
        payload_len: payload.len(),
    };
    let mut packet = Vec::new();
    encode_publish(&mut packet, ProtocolVersion::V3_1_1, &head, payload).unwrap();
    packet
}

#[test]
fn the_first_message_says_who_gets_what_comes_behind_it() {
    let address = start();
    let mut subscribers: Vec<Client> = ["a/0", "a/1", "a/+"]
        .iter()
        .map(|filter| {
            subscriber(address, &format!("s-{}", filter.replace('/', "-")), filter, QoS::AtMostOnce)
        })
        .collect();
    for number in 0..2 {
        let mut publisher = client(address, &format!("p{number}"));
        for text in ["first", "second"] {
            publisher.publish(&Publication::new(format!("a/{number}"), text)).unwrap();
        }
        // Its own topic, and the filter that takes both.
        for subscriber in [number, 2] {
            assert_eq!(next(&mut subscribers[subscriber]), "first");
            assert_eq!(next(&mut subscribers[subscriber]), "second");
        }
        publisher.disconnect().unwrap();
    }
}

#[test]
fn streams_are_joined_between_packets() {
    let address = start();
    let mut subscriber = subscriber(address, "s", "t", QoS::AtMostOnce);
    let mut publishers: Vec<TcpStream> = (0..3)
        .map(|number| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.set_nodelay(true).unwrap();
            let mut connect = Vec::new();
            ConnectOptions::new(format!("p{number}")).encode(&mut connect).unwrap();
            stream.write_all(&connect).unwrap();
            let mut connack = [0; 4];
            stream.read_exact(&mut connack).unwrap();
            assert_eq!(connack, [0x20, 2, 0, 0]);
            stream
        })
        .collect();
    // Pieces that no packet ends with, each behind one of another publisher; some packets are
    // larger than a read.
    let streams: Vec<Vec<u8>> = (0..3u8)
        .map(|number| {
            (0..40).flat_map(|count| publish("t", &vec![b'0' + number; 1 + count * count * 60])).collect()
        })
        .collect();
    let mut pieces: Vec<_> = streams.iter().map(|stream| stream.chunks(7_001)).collect();
    let reader = std::thread::spawn(move || {
        let mut counts = [0; 3];
        for _ in 0..120 {
            let message = subscriber.receive(WAIT_MAX).unwrap().unwrap();
            let publisher = usize::from(message.payload[0] - b'0');
            let count: usize = counts[publisher];
            assert_eq!(message.payload, vec![message.payload[0]; 1 + count * count * 60]);
            counts[publisher] += 1;
        }
        counts
    });
    while pieces.iter().any(|pieces| pieces.len() > 0) {
        for (publisher, pieces) in publishers.iter_mut().zip(&mut pieces) {
            if let Some(piece) = pieces.next() {
                publisher.write_all(piece).unwrap();
            }
        }
    }
    assert_eq!(reader.join().unwrap(), [40; 3]);
}

#[test]
fn a_subscriber_that_reads_late_gets_everything() {
    let address = start();
    let mut subscriber = subscriber(address, "s", "t", QoS::AtMostOnce);
    let (go_on, may_go_on) = mpsc::channel();
    let payload = vec![b'x'; 60_000];
    let sender = std::thread::spawn(move || {
        let mut publisher = client(address, "p");
        // More than sockets and the null broker keep.
        for number in 0..400 {
            publisher.publish(&Publication::new("t", payload.clone())).unwrap();
            if number == 50 {
                go_on.send(()).unwrap();
            }
        }
    });
    may_go_on.recv().unwrap();
    for _ in 0..400 {
        assert_eq!(subscriber.receive(WAIT_MAX).unwrap().unwrap().payload.len(), 60_000);
    }
    sender.join().unwrap();
}

#[test]
fn acknowledgements_of_a_pair_go_back() {
    let address = start();
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let topic = format!("t/{}", qos.bits());
        let mut subscriber = subscriber(address, &format!("s{}", qos.bits()), &topic, qos);
        let (done, is_done) = mpsc::channel::<()>();
        let reader = std::thread::spawn(move || {
            let mut texts = Vec::new();
            // It has to answer for as long as the publisher waits for it.
            while matches!(is_done.try_recv(), Err(mpsc::TryRecvError::Empty)) {
                let message = subscriber.receive(Duration::from_millis(20)).unwrap();
                texts.extend(message.map(|message| message.text()));
            }
            texts
        });
        let mut publisher = client(address, &format!("p{}", qos.bits()));
        for text in ["one", "two"] {
            publisher.publish(&Publication::new(&topic, text).qos(qos)).unwrap();
        }
        publisher.disconnect().unwrap();
        done.send(()).unwrap();
        assert_eq!(reader.join().unwrap(), ["one", "two"]);
    }
}

#[test]
fn null_broker_rejects_qos_1_message_with_two_subscribers() {
    let address = start();
    let _both = [1, 2].map(|number| subscriber(address, &format!("s{number}"), "t", QoS::AtLeastOnce));
    let mut publisher = client(address, "p");
    let refused = publisher.publish(&Publication::new("t", "x").qos(QoS::AtLeastOnce));
    assert!(refused.unwrap_err().is_closed());
}

#[test]
fn signs_of_life_are_answered() {
    let address = start();
    let mut stream = TcpStream::connect(address).unwrap();
    let mut bytes = Vec::new();
    ConnectOptions::v5("s").encode(&mut bytes).unwrap();
    bytes.extend_from_slice(&[0xc0, 0]);
    stream.write_all(&bytes).unwrap();
    let mut answer = [0; 7];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, [0x20, 3, 0, 0, 0, 0xd0, 0]);
}
