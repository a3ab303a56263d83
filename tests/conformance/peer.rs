//! A Client under the test's control: it sends what the test says, and tells what comes as one line
//! of text for each packet.
//!
//! `CONNACK 0 00` (session present, code), `SUBACK 1 00 01`,
//! `PUBLISH t/1 q1 #5 dup retain: payload`, `PUBACK 5 00`, `PINGRESP`, `DISCONNECT 8E`, `AUTH 18`,
//! `closed`. Reason Strings are kept apart ([`Peer::reasons`]).

use std::collections::VecDeque;
use std::fmt::Write as _;

use lotmq_client::{ClientError, Connection, Packet, ProtocolVersion};
use lotmq_test_support::{Broker, WAIT_MAX};

use crate::bytes::{Connect, DISCONNECT, PINGREQ, Version, publish, publish_with, subscribe, subscribe_with};

/// See the module's documentation.
pub(crate) struct Peer {
    pub(crate) connection: Connection,
    pub(crate) version: Version,
    next_id: u16,
    /// Lines that came while something else was waited for.
    stashed: VecDeque<String>,
    /// The line of its CONNACK.
    pub(crate) connack: String,
    reasons: Vec<String>,
}

impl Peer {
    /// Opens a connection and sends nothing.
    pub(crate) fn open(broker: &Broker, version: Version) -> Self {
        let spoken = if version == Version::V5 { ProtocolVersion::V5 } else { ProtocolVersion::V3_1_1 };
        let connection = Connection::open(broker.address(), spoken, WAIT_MAX).unwrap();
        Self {
            connection,
            version,
            next_id: 1000,
            stashed: VecDeque::new(),
            connack: String::new(),
            reasons: Vec::new(),
        }
    }

    /// Connects and insists on success.
    pub(crate) fn join(broker: &Broker, connect: &Connect) -> Self {
        let mut peer = Self::open(broker, connect.version);
        peer.send(&connect.bytes());
        peer.connack = peer.next();
        assert!(peer.connack.starts_with("CONNACK") && peer.connack.contains(" 00"), "{}", peer.connack);
        peer
    }

    /// A Client that may use topics below `$`, which others may not; without a session.
    pub(crate) fn root(broker: &Broker, version: Version, id: &str) -> Self {
        Self::join(broker, &Connect::new(version, id).user("root", "coreflux"))
    }

    /// A Client without a session.
    pub(crate) fn clean(broker: &Broker, version: Version, id: &str) -> Self {
        Self::join(broker, &Connect::new(version, id))
    }

    /// Whether CONNACK said that a session was resumed.
    pub(crate) fn present(&self) -> bool {
        self.connack.starts_with("CONNACK 1")
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.connection.send(bytes).unwrap();
    }

    /// Sends to a broker that may have closed already.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) {
        let _ = self.connection.send(bytes);
    }

    /// The next packet, whole.
    #[track_caller]
    pub(crate) fn packet(&mut self) -> Option<Packet> {
        match self.connection.receive(WAIT_MAX) {
            Ok(Some(packet)) => Some(packet),
            Ok(None) => panic!("nothing came"),
            Err(ClientError::Closed) => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// The next packet or the end, as text.
    #[track_caller]
    pub(crate) fn next(&mut self) -> String {
        match self.stashed.pop_front() {
            Some(line) => line,
            None => self.fresh(),
        }
    }

    #[track_caller]
    fn fresh(&mut self) -> String {
        match self.packet() {
            Some(packet) => {
                let line = describe(&packet, self.version);
                let reason = reason_string(&packet, self.version);
                self.reasons.extend(reason.map(|reason| format!("{line}: {reason}")));
                line
            }
            None => "closed".to_owned(),
        }
    }

    /// The packets that came with a Reason String since the last call, each with it:
    /// `PUBACK 3 87: no permission …`.
    pub(crate) fn reasons(&mut self) -> Vec<String> {
        std::mem::take(&mut self.reasons)
    }

    /// Waits for the first of these packets; others that come before are kept for later.
    #[track_caller]
    fn wait_for(&mut self, wanted: &[&str]) {
        loop {
            let line = self.fresh();
            if wanted.contains(&line.as_str()) {
                return;
            }
            assert!(line.starts_with("PUBLISH"), "{wanted:?}, not {line}");
            self.stashed.push_back(line);
        }
    }

    /// Insists on these packets, in this order.
    #[track_caller]
    pub(crate) fn expect(&mut self, lines: &[&str]) {
        for (at, line) in lines.iter().enumerate() {
            assert_eq!(self.next(), *line, "packet {at}");
        }
    }

    /// Insists on these packets, and on nothing behind them: what was sent to us before PINGRESP is
    /// here.
    #[track_caller]
    pub(crate) fn expect_only(&mut self, lines: &[&str]) {
        // Messages on the disk come behind a PINGRESP that is asked for at once.
        self.expect(lines);
        self.send(&PINGREQ);
        assert_eq!(self.next(), "PINGRESP");
    }

    /// Everything until the broker closes.
    pub(crate) fn until_closed(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.next();
            if line == "closed" {
                return lines;
            }
            lines.push(line);
        }
    }

    pub(crate) fn id(&mut self) -> u16 {
        self.next_id += 1;
        self.next_id
    }

    /// Subscribes to one filter and insists on the QoS.
    #[track_caller]
    pub(crate) fn subscribe(&mut self, filter: &str, qos: u8) {
        let id = self.id();
        let bytes = subscribe(self.version, id, filter, qos);
        self.send(&bytes);
        assert_eq!(self.next(), format!("SUBACK {id} {qos:02X}"));
    }

    /// Subscribes with an options byte and properties.
    #[track_caller]
    pub(crate) fn subscribe_with(&mut self, filter: &str, options: u8, properties: &[u8]) {
        let id = self.id();
        let bytes = subscribe_with(self.version, id, properties, &[(filter, options)]);
        self.send(&bytes);
        assert_eq!(self.next(), format!("SUBACK {id} {:02X}", options & 3));
    }

    /// Publishes and waits until the broker has handled it.
    #[track_caller]
    pub(crate) fn publish(&mut self, qos: u8, topic: &str, payload: &str) {
        let id = self.id();
        let bytes = publish(self.version, qos, topic, id, payload);
        self.send(&bytes);
        self.finish_publish(qos, id);
    }

    /// Publishes with flags and properties and waits until the broker has handled it.
    #[track_caller]
    pub(crate) fn publish_with(
        &mut self,
        flags: u8,
        topic: &str,
        properties: &[u8],
        payload: impl AsRef<[u8]>,
    ) {
        let id = self.id();
        let bytes = publish_with(self.version, flags, topic, id, properties, payload);
        self.send(&bytes);
        self.finish_publish(flags >> 1 & 3, id);
    }

    #[track_caller]
    fn finish_publish(&mut self, qos: u8, id: u16) {
        let wait_for = |peer: &mut Self, what: &str| {
            // 0x10: nobody is subscribed.
            peer.wait_for(&[&format!("{what} {id} 00"), &format!("{what} {id} 10")]);
        };
        match qos {
            // Nobody acknowledges it: the ping behind it shows that it was handled.
            0 => {
                self.send(&PINGREQ);
                self.wait_for(&["PINGRESP"]);
            }
            1 => wait_for(self, "PUBACK"),
            _ => {
                wait_for(self, "PUBREC");
                self.send(&crate::bytes::pubrel(id));
                wait_for(self, "PUBCOMP");
            }
        }
    }

    /// Says goodbye and waits until the broker has closed; its session is away then.
    pub(crate) fn leave(mut self) {
        self.send(&DISCONNECT);
        assert_eq!(self.until_closed(), [""; 0]);
    }

    /// Breaks the connection and waits until the broker has noticed, which it shows by closing,
    /// too.
    pub(crate) fn vanish(mut self) {
        self.connection.stream().shutdown(std::net::Shutdown::Write).unwrap();
        self.until_closed();
    }
}

/// One packet as one line.
fn describe(packet: &Packet, version: Version) -> String {
    let bytes = packet.bytes();
    let body = packet.body();
    let first = bytes[0];
    let two = |at: usize| u16::from_be_bytes([body[at], body[at + 1]]);
    let reason = |at: usize| body.get(at).copied().unwrap_or(0);
    match first >> 4 {
        2 => format!("CONNACK {} {:02X}", body[0], body[1]),
        3 => describe_publish(packet, version),
        4 => format!("PUBACK {} {:02X}", two(0), reason(2)),
        5 => format!("PUBREC {} {:02X}", two(0), reason(2)),
        6 => format!("PUBREL {} {:02X}", two(0), reason(2)),
        7 => format!("PUBCOMP {} {:02X}", two(0), reason(2)),
        kind @ (9 | 11) => {
            let name = if kind == 9 { "SUBACK" } else { "UNSUBACK" };
            let codes = if version == Version::V5 {
                let (len, digits) = variable(&body[2..]);
                2 + digits + len
            } else {
                2
            };
            let mut line = format!("{name} {}", two(0));
            body[codes..].iter().for_each(|code| write!(line, " {code:02X}").unwrap());
            line
        }
        13 => "PINGRESP".to_owned(),
        14 => format!("DISCONNECT {:02X}", reason(0)),
        15 => format!("AUTH {:02X}", reason(0)),
        other => panic!("packet of type {other}"),
    }
}

/// The Reason String of a packet that may have one. Nothing but that is in the properties of an
/// acknowledgement or of DISCONNECT.
fn reason_string(packet: &Packet, version: Version) -> Option<String> {
    let (kind, body) = (packet.bytes()[0] >> 4, packet.body());
    let at = match kind {
        4..=7 => 3,
        9 | 11 => 2,
        14 => 1,
        _ => return None,
    };
    if version == Version::V4 || body.len() <= at {
        assert!(kind == 9 || kind == 11 || body.len() <= at, "{:X?}", packet.bytes());
        return None;
    }
    let (len, digits) = variable(&body[at..]);
    let list = &body[at + digits..at + digits + len];
    if list.is_empty() {
        return None;
    }
    assert_eq!(list[0], 0x1F, "a property that is no Reason String: {:X?}", packet.bytes());
    assert_eq!(usize::from(u16::from_be_bytes([list[1], list[2]])), list.len() - 3, "one Reason String");
    Some(String::from_utf8(list[3..].to_vec()).unwrap())
}

fn describe_publish(packet: &Packet, version: Version) -> String {
    let (flags, body) = (packet.bytes()[0] & 15, packet.body());
    let topic_end = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
    let mut line =
        format!("PUBLISH {} q{}", std::str::from_utf8(&body[2..topic_end]).unwrap(), flags >> 1 & 3);
    let mut at = topic_end;
    if flags & 6 != 0 {
        write!(line, " #{}", u16::from_be_bytes([body[at], body[at + 1]])).unwrap();
        at += 2;
    }
    if flags & 8 != 0 {
        line.push_str(" dup");
    }
    if flags & 1 != 0 {
        line.push_str(" retain");
    }
    if version == Version::V5 {
        let (len, digits) = variable(&body[at..]);
        let list = &body[at + digits..at + digits + len];
        at += digits + len;
        describe_properties(list, &mut line);
    }
    let payload = &body[at..];
    if payload.len() > 200 {
        write!(line, ": {} bytes", payload.len()).unwrap();
    } else {
        write!(line, ": {}", String::from_utf8_lossy(payload)).unwrap();
    }
    line
}

/// Appends ` [expiry 5] [sub 1] [user a=b] …` in the order in which they came.
fn describe_properties(mut list: &[u8], line: &mut String) {
    while let Some((&id, rest)) = list.split_first() {
        let string = |from: &[u8]| {
            let len = usize::from(u16::from_be_bytes([from[0], from[1]]));
            (String::from_utf8_lossy(&from[2..2 + len]).into_owned(), 2 + len)
        };
        let used = match id {
            0x01 => {
                write!(line, " [utf8 {}]", rest[0]).unwrap();
                1
            }
            0x02 => {
                write!(line, " [expiry {}]", u32::from_be_bytes(rest[..4].try_into().unwrap())).unwrap();
                4
            }
            0x03 | 0x08 | 0x09 => {
                let name = ["type", "response", "correlation"]
                    [usize::from(id == 0x08) + 2 * usize::from(id == 0x09)];
                let (value, used) = string(rest);
                write!(line, " [{name} {value}]").unwrap();
                used
            }
            0x0B => {
                let (value, used) = variable(rest);
                write!(line, " [sub {value}]").unwrap();
                used
            }
            0x23 => {
                write!(line, " [alias {}]", u16::from_be_bytes([rest[0], rest[1]])).unwrap();
                2
            }
            0x26 => {
                let (name, first) = string(rest);
                let (value, second) = string(&rest[first..]);
                write!(line, " [user {name}={value}]").unwrap();
                first + second
            }
            other => panic!("property {other:02X} in PUBLISH"),
        };
        list = &rest[used..];
    }
}

fn variable(bytes: &[u8]) -> (usize, usize) {
    let mut value = 0;
    for (at, byte) in bytes.iter().enumerate() {
        value |= usize::from(byte & 0x7F) << (7 * at);
        if byte & 0x80 == 0 {
            return (value, at + 1);
        }
    }
    panic!("a length without end")
}
