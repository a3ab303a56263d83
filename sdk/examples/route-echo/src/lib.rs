//! A small route: one line of text per message, over one connection, both ways.
//!
//! It proves the interface of the world `route`: endpoints, TLS in the host, and `wait` with host
//! work among the interests.
//! `HOW` of the section `ECHO_CONFIG` selects the use of the endpoint `echo`; the default is TCP:
//! - `starttls` switches to TLS, and `to=HOST:PORT` connects to another address that the endpoint
//!   allows.
//! - `listen` accepts connections there.
//! - `udp` has one line per datagram. `listen udp` takes datagrams from any sender and waits one
//!   second for each message.
//! - ` at NAME` at the end selects another endpoint.
//! - `acknowledged`: each side answers each stored line with the same line after a `+`. With
//!   `udp acknowledged` the instance stays while the other side is away.
//! - `farewell` publishes a last line to `echo/in` when the instance closes; `traps` traps at the
//!   message `trap`.
//!
//! Each line from the other side is published to `echo/in` with QoS 1.

use lotmq_guest::route::{
    Abilities, Addressee, Arrival, Connection, Delivery, Description, Failure, Interest, IoError, Peer, QoS,
    Receipt, Route, Template, away, failure, ingest, net, unpublished,
};
use serde_json::Value as Json;
use std::{cell::RefCell, io::Write};

/// Longest wait for the other side, in milliseconds.
const TIMEOUT_MS: u32 = 5_000;

/// The same for an acknowledgement by datagram.
const DATAGRAM_TIMEOUT_MS: u32 = 200;

/// Time of a message with `listen udp`.
const IDLE_MS: u32 = 1_000;

struct Echo;

/// The connection and what was read of a line that is not complete.
struct Line {
    link: Link,
    part: Vec<u8>,
    /// Whether both sides acknowledge.
    acknowledges: bool,
    /// Whether a last line is published.
    says_farewell: bool,
    /// Whether it traps at the message `trap`.
    traps: bool,
    /// Lines that were sent and not acknowledged.
    outstanding: usize,
    /// Events of the definition.
    events: Json,
}

/// Transport of the lines.
enum Link {
    Tcp(Connection),
    Udp(net::Udp),
    /// Datagrams of anybody.
    Bound(net::Udp),
    /// One client at a time.
    Listener(net::Listener, Option<Connection>),
}

thread_local! {
    static LINE: RefCell<Option<Line>> = const { RefCell::new(None) };
}

impl Route for Echo {
    fn describe() -> Description {
        Description {
            configuration: r#"{"type":"object"}"#.to_owned(),
            abilities: Abilities::DELIVER | Abilities::RUN | Abilities::REQUEST,
        }
    }

    fn open(configuration: String) -> Result<(), Failure> {
        let configuration: Json = serde_json::from_str(&configuration)
            .map_err(|error| Failure::Fatal(format!("the configuration is not JSON: {error}")))?;
        let how = configuration["sections"]["ECHO_CONFIG"]["HOW"].as_str().unwrap_or_default();
        let (how, endpoint) = how.split_once(" at ").unwrap_or((how, "echo"));
        let link = Link::open(endpoint, how).map_err(|error| failure(&error))?;
        let acknowledges = how.ends_with("acknowledged");
        let says_farewell = how == "farewell";
        let traps = how == "traps";
        let events = configuration["events"].clone();
        let line = Line { link, part: Vec::new(), acknowledges, says_farewell, traps, outstanding: 0, events };
        LINE.set(Some(line));
        Ok(())
    }

    fn deliver(batch: Vec<Delivery>) -> Result<Receipt, Failure> {
        with_line(|line| {
            for delivery in &batch {
                let mut text = line_of(delivery, &line.events).into_bytes();
                assert!(!line.traps || text != b"trap", "on purpose");
                text.push(b'\n');
                line.link.send(&text).map_err(Failure::Reconnect)?;
            }
            line.wait_for_acknowledgements(batch.len())?;
            let accepted = u32::try_from(batch.len()).unwrap_or(u32::MAX);
            Ok(Receipt { accepted, rejected: Vec::new() })
        })
    }

    fn run(until_ms: u32) -> Result<u32, Failure> {
        with_line(|line| {
            loop {
                let ready = net::wait(&[line.link.interest(), Interest::HostWork], until_ms);
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
        match operation.as_str() {
            // For tests of the limits: never gives the thread back by itself.
            "spin" => loop {
                std::hint::black_box(&body);
            },
            "sockets" | "sockets and trap" => {
                let mut sockets = Vec::new();
                let error = loop {
                    match net::Listener::bind("echo") {
                        Ok(socket) => sockets.push(socket),
                        Err(error) => break error,
                    }
                };
                assert!(operation == "sockets", "on purpose");
                Ok(format!("{} {error:?}", sockets.len()).into_bytes())
            }
            "port" => with_line(|line| match &line.link {
                Link::Listener(listener, _) => {
                    let port = listener.local_port().map_err(|error| failure(&error))?;
                    Ok(port.to_string().into_bytes())
                }
                Link::Tcp(_) | Link::Udp(_) | Link::Bound(_) => {
                    Err(Failure::Reject("it does not listen".to_owned()))
                }
            }),
            "probe" => with_line(|_| Ok(b"{}".to_vec())),
            _ => Err(Failure::Reject(format!("unknown operation '{operation}'"))),
        }
    }

    fn close() {
        if LINE.take().is_some_and(|line| line.says_farewell)
            && let Err(error) = ingest::publish(&[arrival(b"farewell".to_vec())])
        {
            lotmq_guest::eprintln!("the farewell was not taken: {}", error.name());
        }
    }
}

impl Link {
    fn open(endpoint: &str, how: &str) -> Result<Link, IoError> {
        match how.split_once('=').unwrap_or((how, "")) {
            ("listen", _) => Ok(Link::Listener(net::Listener::bind(endpoint)?, None)),
            ("listen udp", _) => Ok(Link::Bound(net::Udp::bind(endpoint)?)),
            ("udp" | "udp acknowledged", _) => Ok(Link::Udp(net::Udp::connect(endpoint, TIMEOUT_MS)?)),
            ("to", place) => {
                let (host, port) = place.rsplit_once(':').unwrap_or((place, ""));
                let place = Peer { host: host.to_owned(), port: port.parse().unwrap_or_default() };
                Ok(Link::Tcp(Connection::open_to(endpoint, &place, TIMEOUT_MS)?))
            }
            ("starttls", protocol) => {
                let connection = Connection::open(endpoint, TIMEOUT_MS)?;
                match protocol {
                    "" => connection.start_tls()?,
                    "in tds" => connection.start_tls_in_tds()?,
                    protocol => connection.start_tls_for(protocol)?,
                }
                Ok(Link::Tcp(connection))
            }
            _ => Ok(Link::Tcp(Connection::open(endpoint, TIMEOUT_MS)?)),
        }
    }

    fn send(&mut self, text: &[u8]) -> Result<(), String> {
        match self {
            Link::Tcp(connection) | Link::Listener(_, Some(connection)) => {
                connection.write_all(text).map_err(|error| error.to_string())
            }
            Link::Udp(udp) => loop {
                match udp.send(text, None) {
                    Err(IoError::WouldBlock) => net::wait(&[Interest::Sendable(udp)], TIMEOUT_MS),
                    sent => return sent.map_err(|error| format!("{error:?}")),
                };
            },
            Link::Bound(_) => {
                net::wait(&[], IDLE_MS);
                Ok(())
            }
            Link::Listener(_, None) => Err("nobody has connected".to_owned()),
        }
    }

    fn interest(&self) -> Interest<'_> {
        match self {
            Link::Tcp(connection) | Link::Listener(_, Some(connection)) => {
                Interest::Readable(connection.tcp())
            }
            Link::Udp(udp) | Link::Bound(udp) => Interest::Receivable(udp),
            Link::Listener(listener, None) => Interest::Acceptable(listener),
        }
    }

    fn receive(&mut self) -> Result<Vec<u8>, IoError> {
        match self {
            Link::Tcp(connection) | Link::Listener(_, Some(connection)) => {
                match connection.tcp().read(4096) {
                    Ok(bytes) if bytes.is_empty() => Err(IoError::Closed),
                    read => read,
                }
            }
            Link::Udp(udp) | Link::Bound(udp) => udp.receive().map(|(bytes, _)| bytes),
            Link::Listener(listener, client) => {
                *client = Some(Connection::accepted(listener.accept()?, TIMEOUT_MS));
                Err(IoError::WouldBlock)
            }
        }
    }
}

impl Line {
    fn wait_for_acknowledgements(&mut self, lines: usize) -> Result<(), Failure> {
        if self.acknowledges {
            self.outstanding += lines;
        }
        const LATE: &str = "no acknowledgement in time";
        let is_datagram = matches!(self.link, Link::Udp(_));
        let patience = if is_datagram { DATAGRAM_TIMEOUT_MS } else { TIMEOUT_MS };
        while self.outstanding > 0 {
            if !net::wait(&[self.link.interest()], patience).is_empty() {
                self.receive()?;
            } else if is_datagram {
                // All of it is sent once more.
                self.outstanding = 0;
                return Err(away(LATE));
            } else {
                return Err(Failure::Reconnect(LATE.to_owned()));
            }
        }
        Ok(())
    }

    /// Reads what is there and publishes the complete lines.
    fn receive(&mut self) -> Result<(), Failure> {
        let bytes = match self.link.receive() {
            Ok(bytes) => bytes,
            Err(IoError::WouldBlock) => return Ok(()),
            Err(error) => return Err(failure(&error)),
        };
        self.part.extend_from_slice(&bytes);
        let mut arrivals = Vec::new();
        while let Some(end) = self.part.iter().position(|byte| *byte == b'\n') {
            let payload: Vec<u8> = self.part.drain(..=end).take(end).collect();
            if self.acknowledges && payload.starts_with(b"+") {
                self.outstanding = self.outstanding.saturating_sub(1);
                continue;
            }
            arrivals.push(arrival(payload));
        }
        ingest::publish(&arrivals).map_err(unpublished)?;
        for arrival in arrivals.iter().filter(|_| self.acknowledges) {
            let text = [b"+", &*arrival.payload, b"\n"].concat();
            self.link.send(&text).map_err(Failure::Reconnect)?;
        }
        Ok(())
    }
}

fn arrival(payload: Vec<u8>) -> Arrival {
    let topic = "echo/in".to_owned();
    Arrival { topic, payload, qos: QoS::AtLeastOnce, retain: false, properties: None }
}

/// Returns the message after its mapping or tag, or the text of `LINE` in its event.
fn line_of(delivery: &Delivery, events: &Json) -> String {
    let text = String::from_utf8_lossy(&delivery.message.payload);
    match &delivery.to {
        Addressee::Event(name) => match template(&events[name]["LINE"]) {
            Some(line) => line.filled(delivery),
            None => text.into_owned(),
        },
        Addressee::Table(_) => text.into_owned(),
        Addressee::Mapping(name) => format!("{name}: {text}"),
        Addressee::Tag(name) => format!("{}.{} := {text}", name.mapping, name.tag),
    }
}

/// `LINE`, where it has placeholders.
fn template(line: &Json) -> Option<Template> {
    let texts = |member: &str| -> Option<Vec<String>> {
        line[member].as_array()?.iter().map(|text| Some(text.as_str()?.to_owned())).collect()
    };
    Template::new("LINE", texts("template")?, texts("placeholders")?)
}

fn with_line<T>(work: impl FnOnce(&mut Line) -> Result<T, Failure>) -> Result<T, Failure> {
    LINE.with_borrow_mut(|line| match line {
        Some(line) => work(line),
        None => Err(Failure::Reconnect("not open".to_owned())),
    })
}

lotmq_guest::export_route!(Echo);
