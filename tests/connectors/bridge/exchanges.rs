//! Exchanges of QoS 2 of a kept session, over the end of the bridge's broker.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use lotmq_client::{ConnectOptions, Publication, QoS};
use lotmq_test_support::{Broker, WAIT_MAX};

use super::{bridge, mapping};
use crate::broker;

/// A broker of the test's own, which speaks MQTT 3.1.1: one connection of a bridge, with the
/// exchanges of its session.
struct FarBroker<'a> {
    stream: TcpStream,
    /// Identifiers of messages of QoS 2 that were received and are not released.
    unreleased: &'a mut BTreeSet<[u8; 2]>,
}

impl FarBroker<'_> {
    fn accept<'a>(
        listener: &TcpListener,
        session_present: u8,
        unreleased: &'a mut BTreeSet<[u8; 2]>,
    ) -> FarBroker<'a> {
        let mut far = FarBroker { stream: listener.accept().unwrap().0, unreleased };
        far.stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
        assert_eq!(far.packet().0 & 0xf0, 0x10);
        far.stream.write_all(&[0x20, 2, session_present, 0]).unwrap();
        far
    }

    fn packet(&mut self) -> (u8, Vec<u8>) {
        let mut header = [0; 2];
        self.stream.read_exact(&mut header).unwrap();
        let (mut length, mut byte, mut shift) = (usize::from(header[1] & 0x7f), [header[1]], 7);
        while byte[0] & 0x80 != 0 {
            self.stream.read_exact(&mut byte).unwrap();
            length |= usize::from(byte[0] & 0x7f) << shift;
            shift += 7;
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).unwrap();
        (header[0], body)
    }

    /// Payload of the next message of QoS 2 that is none of those which are here.
    fn message(&mut self) -> Vec<u8> {
        loop {
            let (first, body) = self.packet();
            match first & 0xf6 {
                // PUBLISH
                0x34 => {
                    let topic_end = 2 + usize::from(body[1]);
                    let id = [body[topic_end], body[topic_end + 1]];
                    self.stream.write_all(&[0x50, 2, id[0], id[1]]).unwrap();
                    if self.unreleased.insert(id) {
                        return body[topic_end + 2..].to_vec();
                    }
                }
                // PUBREL
                0x62 => {
                    let id = [body[0], body[1]];
                    self.unreleased.remove(&id);
                    self.stream.write_all(&[0x70, 2, id[0], id[1]]).unwrap();
                }
                _ => {}
            }
        }
    }
}

#[test]
fn an_exchange_of_which_a_killed_broker_does_not_know_costs_no_message() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut broker = broker();
    let section = "PROTOCOL_VERSION \"3.1.1\"\nCLEAN_SESSION FALSE\nCLIENT_ID \"kept\"";
    let exactly_once = mapping("M", "up/#", "up/#", "out") + "        WITH QOS 2\n";
    broker.command_ok(&bridge(listener.local_addr().unwrap().port(), section, &exactly_once));
    let publish = |broker: &Broker, payload: &str| {
        let mut sender = broker.connect(&ConnectOptions::v5("sender"));
        sender.publish(&Publication::new("up/x", payload).qos(QoS::ExactlyOnce)).unwrap();
    };
    let mut unreleased = BTreeSet::new();
    let mut session_present = 0;
    for round in 0..3 {
        let first = (round * 100).to_string();
        publish(&broker, &first);
        let mut far = FarBroker::accept(&listener, session_present, &mut unreleased);
        while far.message() != first.as_bytes() {}
        // The state of the exchange is not on the disk yet.
        broker.kill();
        broker.start_again();
        let mut far = FarBroker::accept(&listener, 1, &mut unreleased);
        for number in round * 100 + 1..(round + 1) * 100 {
            publish(&broker, &number.to_string());
            while far.message() != number.to_string().as_bytes() {}
        }
        broker.kill();
        broker.start_again();
        session_present = 1;
    }
}
