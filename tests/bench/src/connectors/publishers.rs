//! Publishers of QoS 1 that wait for nobody but the broker: some connections, each with a bounded
//! number of messages on their way.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use crate::load::{connect, packet, push_text};

const CONNECTIONS: usize = 8;

/// Messages of a write.
const BATCH: usize = 64;

/// Writes of a connection whose messages are not all acknowledged.
const BATCHES: usize = 8;

/// Connections that publish one payload to `<topic>/<number of the connection>`.
pub(super) struct Publishers {
    connections: Vec<Connection>,
}

struct Connection {
    stream: TcpStream,
    /// Writes with their packet identifiers, which take turns.
    batches: Vec<Vec<u8>>,
    sent: usize,
}

impl Publishers {
    /// Messages that [`Publishers::publish`] sends a multiple of.
    pub(super) const STEP: usize = CONNECTIONS * BATCH;

    pub(super) fn connect(address: SocketAddr, topic: &str, payload: &[u8]) -> Publishers {
        let connections = (0..CONNECTIONS).map(|number| {
            let topic = format!("{topic}/{number}");
            let batch = |nth: usize| {
                (0..BATCH).flat_map(|at| publish(&topic, nth * BATCH + at + 1, payload)).collect()
            };
            Connection {
                stream: connect(address, &format!("publisher {number}")),
                batches: (0..BATCHES).map(batch).collect(),
                sent: 0,
            }
        });
        Publishers { connections: connections.collect() }
    }

    /// Publishes so many messages, and gives back when all are acknowledged.
    pub(super) fn publish(&mut self, messages: usize) {
        assert_eq!(messages % Self::STEP, 0, "a multiple of {}", Self::STEP);
        let writes = messages / Self::STEP;
        for connection in &mut self.connections {
            connection.sent = 0;
            while connection.sent < writes.min(BATCHES) {
                connection.send();
            }
        }
        let mut acknowledgements = [0; BATCH * 4];
        for _ in 0..writes {
            for connection in &mut self.connections {
                connection.stream.read_exact(&mut acknowledgements).unwrap();
                assert!(acknowledgements.chunks(4).all(|packet| packet[..2] == [0x40, 2]));
                if connection.sent < writes {
                    connection.send();
                }
            }
        }
    }
}

impl Connection {
    fn send(&mut self) {
        let batch = &self.batches[self.sent % BATCHES];
        self.stream.write_all(batch).unwrap();
        self.sent += 1;
    }
}

fn publish(topic: &str, packet_id: usize, payload: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    push_text(&mut body, topic);
    body.extend_from_slice(&u16::try_from(packet_id).unwrap().to_be_bytes());
    body.extend_from_slice(payload);
    packet(0x32, &body)
}
