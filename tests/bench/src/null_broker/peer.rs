//! One connection: who gets its bytes, and what waits for its own socket.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::sync::Arc;

use lotmq_codec::ProtocolVersion;
use rustix::net::SendFlags;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Most pieces in one system call, as in a turn of lotmq.
const PIECES_MAX: usize = 256;

/// A connection.
pub(super) struct Peer {
    pub(super) socket: Arc<TcpStream>,
    pub(super) version: ProtocolVersion,
    pub(super) filters: Vec<String>,
    /// Whether it is settled who gets its bytes.
    pub(super) is_routed: bool,
    /// Peers that get its bytes.
    pub(super) targets: Vec<usize>,
    /// Peers whose bytes it gets.
    pub(super) sources: Vec<usize>,
    /// Beginning of a packet that has not come as a whole.
    pub(super) rest: Vec<u8>,
    /// Parts of the turn's area that it gets.
    pub(super) spans: Vec<Range<usize>>,
    /// Bytes that its socket has not taken, and how many of them it took since.
    output: Vec<u8>,
    written: usize,
}

impl Peer {
    pub(super) fn new(socket: Arc<TcpStream>) -> Self {
        Self {
            socket,
            version: ProtocolVersion::V3_1_1,
            filters: Vec::new(),
            is_routed: false,
            targets: Vec::new(),
            sources: Vec::new(),
            rest: Vec::new(),
            spans: Vec::new(),
            output: Vec::new(),
            written: 0,
        }
    }

    /// Bytes that wait for its socket.
    pub(super) fn waiting(&self) -> usize {
        self.output.len() - self.written
    }

    /// Adds a part of the turn's area. Whether it is the first one.
    pub(super) fn add(&mut self, span: &Range<usize>) -> bool {
        match self.spans.last_mut() {
            Some(last) if last.end == span.start => last.end = span.end,
            Some(_) => self.spans.push(span.clone()),
            None => {
                self.spans.push(span.clone());
                return true;
            }
        }
        false
    }

    /// Reads once, behind what `target` begins with. `None` when there was nothing to read.
    ///
    /// A short read empties the socket, so readiness is cleared at once.
    pub(super) fn receive(&self, target: &mut [u8]) -> io::Result<Option<usize>> {
        let room = target.len();
        let mut received = None;
        let outcome = self.socket.try_io(Interest::READABLE, || {
            let (len, _) = rustix::net::recv(&*self.socket, target, rustix::net::RecvFlags::empty())?;
            received = Some(len);
            if len < room { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        match (received, outcome) {
            (Some(0), _) => Err(io::ErrorKind::UnexpectedEof.into()),
            (Some(len), _) => Ok(Some(len)),
            (None, Err(error)) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            (None, _) => Ok(None),
        }
    }

    /// Sends an answer, behind what waits.
    pub(super) fn answer(&mut self, bytes: &[u8]) {
        let sent = if self.waiting() == 0 { send(&self.socket, &[IoSlice::new(bytes)]) } else { 0 };
        self.output.extend_from_slice(&bytes[sent..]);
    }

    /// Writes its spans of `area`. Whether some of it begins to wait for the socket.
    pub(super) fn write(&mut self, area: &[u8]) -> bool {
        let was_waiting = self.waiting() > 0;
        for spans in self.spans.chunks(PIECES_MAX) {
            let len: usize = spans.iter().map(ExactSizeIterator::len).sum();
            let mut sent = 0;
            if self.output.len() == self.written {
                sent = match spans {
                    [only] => send(&self.socket, &[IoSlice::new(&area[only.clone()])]),
                    several => {
                        let pieces: Vec<_> =
                            several.iter().map(|span| IoSlice::new(&area[span.clone()])).collect();
                        send(&self.socket, &pieces)
                    }
                };
            }
            if sent < len {
                for span in spans {
                    let skipped = sent.min(span.len());
                    sent -= skipped;
                    self.output.extend_from_slice(&area[span.start + skipped..span.end]);
                }
            }
        }
        self.spans.clear();
        !was_waiting && self.waiting() > 0
    }

    /// Writes what waits, as far as the socket takes it; an error ends that, as if all were
    /// written.
    pub(super) fn write_rest(&mut self) {
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        let bytes = &self.output[self.written..];
        let sent =
            self.socket.try_io(Interest::WRITABLE, || Ok(rustix::net::send(&*self.socket, bytes, flags)?));
        match sent {
            Ok(len) => self.written += len,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // The task that reads notices it.
            Err(_) => self.written = self.output.len(),
        }
        if self.waiting() == 0 {
            self.output.clear();
            self.written = 0;
        }
    }
}

/// Sends at once what the socket takes; how much that was. A dead peer is noticed by the task that
/// reads.
fn send(socket: &TcpStream, pieces: &[IoSlice<'_>]) -> usize {
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    if let [only] = pieces {
        return rustix::net::send(socket, only, flags).unwrap_or(0);
    }
    let mut control = rustix::net::SendAncillaryBuffer::default();
    rustix::net::sendmsg(socket, pieces, &mut control, flags).unwrap_or(0)
}
