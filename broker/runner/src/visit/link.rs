//! The line of a client to a route: a connection, or a socket for datagrams.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use lotmq_host::fiber::Reception;
use lotmq_server::embedded::ClientPlace;

use super::http::HttpWords;
use super::unlike;
use crate::encoding::Encoding;
use crate::far::{DATAGRAM_BYTES_MAX, GOT_MAX, read, write};
use crate::keys::{Keys, Pieces};

/// Longest wait for this machine to take a connection.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// Datagrams of which more have come than a client keeps.
const DATAGRAMS_MAX: usize = 4096;

/// Bytes that a client sends over its connection, and those that it expects.
#[derive(Debug)]
pub(super) struct LineWords {
    sends: Option<Pieces>,
    ends: bool,
    gets: Option<Pieces>,
    contains: Option<String>,
    closes: bool,
    encoding: Encoding,
}

/// An open connection, and the received data that no step has checked.
pub(super) struct VisitLine {
    way: LineWay,
    unsent: Vec<u8>,
    /// Whether the client ends its direction behind that.
    ends: bool,
    /// Bytes of a connection.
    heard: Vec<u8>,
    /// Datagrams.
    datagrams: Vec<Vec<u8>>,
    /// Whether the guest has ended the connection.
    is_over: bool,
    /// Encoding of received data in failures, if all of it is checked.
    looks: Option<Encoding>,
}

enum LineWay {
    Connection(TcpStream),
    Datagrams(UdpSocket),
}

impl LineWords {
    pub(super) fn read(keys: &mut Keys) -> Result<Self, String> {
        let encoding = Encoding::read(keys.optional_text("encoding")?.as_deref())?;
        let words = Self {
            sends: keys.pieces("sends")?,
            ends: keys.boolean("ends")?.unwrap_or_default(),
            gets: keys.pieces("gets")?,
            contains: keys.optional_text("contains")?,
            closes: keys.boolean("closes")?.unwrap_or_default(),
            encoding,
        };
        let texts = words.sends.iter().chain(&words.gets).flat_map(Pieces::texts);
        texts.chain(words.contains.as_deref()).try_for_each(|text| encoding.bytes(text).map(drop))?;
        Ok(words)
    }

    pub(super) fn expect_something(&self) -> bool {
        self.gets.is_some() || self.contains.is_some() || self.closes
    }

    /// Checks that the words fit the transport of the section: connections or datagrams.
    pub(super) fn suits(&self, reception: Reception, section: &str) -> Result<(), String> {
        let pieces = || self.sends.iter().chain(&self.gets);
        match reception {
            Reception::Datagrams if pieces().any(|pieces| matches!(pieces, Pieces::One(_))) => Err(format!(
                "{section} takes datagrams: write `sends` and `gets` as lists, one text for each"
            )),
            Reception::Datagrams if self.ends || self.closes => {
                Err(format!("{section} takes datagrams, where nothing `ends` or `closes`"))
            }
            Reception::Connections if pieces().any(|pieces| matches!(pieces, Pieces::Several(_))) => {
                Err(format!(
                    "{section} takes connections: `sends` and `gets` are one text, as lists are datagrams"
                ))
            }
            Reception::Datagrams | Reception::Connections | Reception::Http { .. } => Ok(()),
        }
    }

    fn contains(&self, line: &VisitLine) -> bool {
        let Some(part) = &self.contains else { return true };
        // It was read once.
        let part = self.encoding.bytes(part).unwrap_or_default();
        let has_part = |bytes: &[u8]| part.is_empty() || bytes.windows(part.len()).any(|bytes| bytes == part);
        has_part(&line.heard) || line.datagrams.iter().any(|datagram| has_part(datagram))
    }
}

impl VisitLine {
    pub(super) fn open(place: ClientPlace) -> std::io::Result<Self> {
        let host =
            if place.address.ip().is_unspecified() { Ipv4Addr::LOCALHOST.into() } else { place.address.ip() };
        let address = SocketAddr::new(host, place.address.port());
        let way = match place.reception {
            Reception::Datagrams => {
                let any: IpAddr = if host.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { host };
                let socket = UdpSocket::bind((any, 0))?;
                socket.connect(address)?;
                socket.set_nonblocking(true)?;
                LineWay::Datagrams(socket)
            }
            Reception::Connections | Reception::Http { .. } => {
                let stream = TcpStream::connect_timeout(&address, CONNECT_TIME)?;
                stream.set_nonblocking(true)?;
                LineWay::Connection(stream)
            }
        };
        let (unsent, heard, datagrams) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { way, unsent, ends: false, heard, datagrams, is_over: false, looks: None })
    }

    pub(super) fn datagram_port(&self) -> Option<u16> {
        match &self.way {
            LineWay::Datagrams(socket) => socket.local_addr().ok().map(|address| address.port()),
            LineWay::Connection(_) => None,
        }
    }

    /// Sends the data of the step; on a connection as far as there is room.
    pub(super) fn says(&mut self, words: &LineWords) -> Result<(), String> {
        self.ends |= words.ends;
        self.looks = words.gets.is_some().then_some(words.encoding);
        for text in words.sends.iter().flat_map(Pieces::texts) {
            let bytes = words.encoding.bytes(text)?;
            match &self.way {
                LineWay::Connection(_) => self.unsent.extend(bytes),
                LineWay::Datagrams(socket) => {
                    let sent = socket.send(&bytes);
                    sent.map_err(|error| {
                        format!("a datagram of {} bytes was not sent: {error}", bytes.len())
                    })?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn asks(&mut self, words: &HttpWords) {
        self.unsent.extend(words.request());
    }

    /// Makes as much progress as possible without blocking.
    pub(super) fn goes_on(&mut self) {
        match &self.way {
            LineWay::Connection(stream) if !self.is_over => {
                self.is_over = !write(stream, &mut self.unsent);
                if self.ends && self.unsent.is_empty() {
                    // Then the guest has ended before.
                    let _ = stream.shutdown(Shutdown::Write);
                }
                match read(stream) {
                    Some(bytes) if self.heard.len() <= GOT_MAX => self.heard.extend(bytes),
                    Some(_) => {}
                    None => self.is_over = true,
                }
            }
            LineWay::Connection(_) => {}
            LineWay::Datagrams(socket) => {
                let mut bytes = vec![0; DATAGRAM_BYTES_MAX];
                while self.datagrams.len() < DATAGRAMS_MAX {
                    match socket.recv(&mut bytes) {
                        Ok(length) => self.datagrams.push(bytes.get(..length).unwrap_or_default().to_vec()),
                        // That the guest has closed its socket comes as an error of the next
                        // datagram.
                        Err(error) if error.kind() == ErrorKind::Interrupted => {}
                        Err(_) => break,
                    }
                }
            }
        }
    }

    pub(super) fn heard(&self) -> &[u8] {
        &self.heard
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    pub(super) fn has_sent(&self) -> bool {
        self.unsent.is_empty()
    }

    /// Whether it has the expected data, or data that cannot become that.
    pub(super) fn has_what(&self, words: &LineWords) -> bool {
        let is_whole = match &words.gets {
            Some(Pieces::One(text)) => {
                let wanted = words.encoding.bytes(text).unwrap_or_default();
                if !wanted.starts_with(&self.heard) {
                    return true;
                }
                wanted == self.heard
            }
            Some(Pieces::Several(texts)) => self.datagrams.len() >= texts.len(),
            None => true,
        };
        let is_closed = !words.closes || self.is_over;
        (is_whole && is_closed && words.contains(self)) || (self.is_over && !is_whole)
    }

    /// Returns the difference from the expected data, and removes the checked data.
    pub(super) fn judged(&mut self, words: &LineWords) -> Option<String> {
        let encoding = words.encoding;
        let complaint = self.unlike(words);
        let complaint = complaint.or_else(|| {
            let (lacks_part, is_open) = (!words.contains(self), words.closes && !self.is_over);
            let part = words.contains.as_deref().filter(|_| lacks_part);
            part.map(|part| format!("expected to get … {part:?} …, got {}", self.shown(encoding))).or_else(
                || is_open.then(|| "expected the guest to end the connection, which is open".to_owned()),
            )
        });
        if words.gets.is_some() || words.contains.is_some() {
            self.heard.clear();
            self.datagrams.clear();
        }
        complaint
    }

    fn unlike(&self, words: &LineWords) -> Option<String> {
        let bytes = |text: &String| words.encoding.bytes(text).unwrap_or_default();
        match &words.gets {
            None => None,
            Some(Pieces::One(text)) => {
                let wanted = bytes(text);
                let ended = if self.is_over { ", and the guest has ended the connection" } else { "" };
                (wanted != self.heard)
                    .then(|| format!("{}{ended}", unlike(&wanted, &self.heard, words.encoding)))
            }
            Some(Pieces::Several(texts)) => {
                let wanted: Vec<Vec<u8>> = texts.iter().map(bytes).collect();
                (wanted != self.datagrams)
                    .then(|| format!("expected to get {texts:?}, got {}", self.shown(words.encoding)))
            }
        }
    }

    fn shown(&self, encoding: Encoding) -> String {
        match &self.way {
            LineWay::Connection(_) => encoding.shown(&self.heard),
            LineWay::Datagrams(_) => {
                let all: Vec<String> =
                    self.datagrams.iter().map(|datagram| encoding.shown(datagram)).collect();
                format!("[{}]", all.join(", "))
            }
        }
    }

    /// Returns received data that no step has checked, if the client checks all data.
    pub(super) fn unseen(&mut self) -> Option<String> {
        self.goes_on();
        let has_more = !self.heard.is_empty() || !self.datagrams.is_empty();
        self.looks.filter(|_| has_more).map(|encoding| self.shown(encoding))
    }
}
