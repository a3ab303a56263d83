//! The smallest route: a line of text per message, over one TCP connection, both ways.
//!
//! It exists to prove the interface of the world `route`: named endpoints, TLS in the host, `wait` with the host's own work among the interests.
//! Configuration: `echo`, or `echo starttls` to go on with TLS. Each line from the other side is published to `echo/in`.

use lotmq_guest::route::{
    Abilities, Arrival, Connection, Delivery, Description, Failure, Interest, IoError, QoS, Receipt, Route,
    failure, ingest, net,
};
use std::{cell::RefCell, io::Write};

/// Longest wait for the other side, in milliseconds.
const TIMEOUT_MS: u32 = 5_000;

struct Echo;

/// The connection and what was read of a line that is not complete.
struct Line {
    connection: Connection,
    part: Vec<u8>,
}

thread_local! {
    static LINE: RefCell<Option<Line>> = const { RefCell::new(None) };
}

impl Route for Echo {
    fn describe() -> Description {
        Description {
            configuration: r#"{"type":"string"}"#.to_owned(),
            abilities: Abilities::DELIVER | Abilities::RUN,
        }
    }

    fn open(configuration: String) -> Result<(), Failure> {
        let mut words = configuration.split(' ');
        let endpoint = words.next().unwrap_or_default();
        let connection = Connection::open(endpoint, TIMEOUT_MS).map_err(|error| failure(&error))?;
        if words.next() == Some("starttls") {
            connection.start_tls().map_err(|error| failure(&error))?;
        }
        LINE.set(Some(Line { connection, part: Vec::new() }));
        Ok(())
    }

    fn deliver(batch: Vec<Delivery>) -> Result<Receipt, Failure> {
        with_line(|line| {
            for delivery in &batch {
                let mut text = delivery.message.payload.clone();
                text.push(b'\n');
                line.connection.write_all(&text).map_err(|error| Failure::Reconnect(error.to_string()))?;
            }
            let accepted = u32::try_from(batch.len()).unwrap_or(u32::MAX);
            Ok(Receipt { accepted, rejected: Vec::new() })
        })
    }

    fn run(until_ms: u32) -> Result<u32, Failure> {
        with_line(|line| {
            loop {
                let interests = [Interest::Readable(line.connection.tcp()), Interest::HostWork];
                let ready = net::wait(&interests, until_ms);
                if ready.contains(&0) {
                    line.receive()?;
                }
                if ready.contains(&1) || ready.is_empty() {
                    return Ok(0);
                }
            }
        })
    }

    fn request(operation: String, body: Vec<u8>) -> Result<Vec<u8>, Failure> {
        if operation == "spin" {
            // For tests of the limits: never gives the thread back by itself.
            loop {
                std::hint::black_box(&body);
            }
        }
        Err(Failure::Reject(format!("unknown operation '{operation}'")))
    }

    fn close() {
        LINE.set(None);
    }
}

impl Line {
    /// Reads what is there and publishes the complete lines.
    fn receive(&mut self) -> Result<(), Failure> {
        let bytes = match self.connection.tcp().read(4096) {
            Ok(bytes) if bytes.is_empty() => {
                return Err(Failure::Reconnect("the other side has ended".to_owned()));
            }
            Ok(bytes) => bytes,
            Err(IoError::WouldBlock) => return Ok(()),
            Err(error) => return Err(failure(&error)),
        };
        self.part.extend_from_slice(&bytes);
        let mut arrivals = Vec::new();
        while let Some(end) = self.part.iter().position(|byte| *byte == b'\n') {
            let payload = self.part.drain(..=end).take(end).collect();
            arrivals.push(Arrival {
                topic: "echo/in".to_owned(),
                payload,
                qos: QoS::AtMostOnce,
                retain: false,
                properties: None,
            });
        }
        ingest::publish(&arrivals).map_err(|error| Failure::Fatal(format!("cannot publish: {error:?}")))
    }
}

fn with_line<T>(work: impl FnOnce(&mut Line) -> Result<T, Failure>) -> Result<T, Failure> {
    LINE.with_borrow_mut(|line| match line {
        Some(line) => work(line),
        None => Err(Failure::Reconnect("not open".to_owned())),
    })
}

lotmq_guest::export_route!(Echo);
