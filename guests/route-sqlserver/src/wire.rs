//! Packets of the protocol over a stream (\[MS-TDS\] §2.2.3), and how long is waited for them.

use lotmq_guest::route::{IoError, ambient, described, net};

use crate::fault::{Fault, broken};
use crate::limits::{GRACE_MS, LOGIN_PACKET_BYTES, LOGIN_PACKETS_MAX};
use crate::source::Source;

/// Bytes of a packet's header.
const HEADER_BYTES: usize = 8;

/// Status of the last packet of a message.
const END_OF_MESSAGE: u8 = 0x01;

/// Bytes that are read at once.
const PIECE_BYTES: u32 = 64 * 1024;

/// Kinds of messages.
pub(crate) const BATCH: u8 = 0x01;
pub(crate) const CALL: u8 = 0x03;
pub(crate) const ANSWER: u8 = 0x04;
const ATTENTION: u8 = 0x06;
pub(crate) const LOGIN: u8 = 0x10;
pub(crate) const PRELOGIN: u8 = 0x12;

/// A stream of messages.
pub(crate) struct Wire {
    tcp: net::Tcp,
    /// Bytes of a packet, as the login has agreed on them.
    packet_bytes: usize,
    /// Read and not yet a packet.
    incoming: Vec<u8>,
    /// Payload of the message that is being read, and how much of it was taken.
    message: Vec<u8>,
    taken: usize,
    /// Whether its last packet has come.
    is_whole: bool,
    /// Packets that may still come until the login is done.
    packets_left: Option<usize>,
    /// Until when is waited.
    until_ms: u64,
    /// Whether the server was asked to cancel the statement.
    is_given_up: bool,
    /// Whether a cancellation is possible, which is true for statements alone.
    may_give_up: bool,
}

impl Wire {
    pub(crate) fn new(tcp: net::Tcp, patience_ms: u64) -> Wire {
        Wire {
            tcp,
            packet_bytes: LOGIN_PACKET_BYTES,
            incoming: Vec::new(),
            message: Vec::new(),
            taken: 0,
            is_whole: true,
            packets_left: Some(LOGIN_PACKETS_MAX),
            until_ms: ambient::monotonic_ms().saturating_add(patience_ms),
            is_given_up: false,
            may_give_up: false,
        }
    }

    pub(crate) fn tcp(&self) -> &net::Tcp {
        &self.tcp
    }

    /// Milliseconds that are left.
    pub(crate) fn left_ms(&self) -> u32 {
        let left = self.until_ms.saturating_sub(ambient::monotonic_ms());
        u32::try_from(left).unwrap_or(u32::MAX)
    }

    /// Whether nothing has come that was not taken yet.
    pub(crate) fn is_quiet(&self) -> bool {
        self.incoming.is_empty() && self.taken == self.message.len()
    }

    /// Takes as many packets as come from now on; before the login only few.
    pub(crate) fn open(&mut self) {
        self.packets_left = None;
    }

    /// Packets have so many bytes from now on.
    pub(crate) fn set_packet_bytes(&mut self, bytes: usize) {
        self.packet_bytes = bytes.clamp(512, 32_767);
    }

    /// Begins something that may take so long, and is given up then.
    pub(crate) fn begin(&mut self, patience_ms: u64) {
        self.until_ms = ambient::monotonic_ms().saturating_add(patience_ms);
        (self.is_given_up, self.may_give_up) = (false, true);
    }

    /// Returns whether the server was asked to cancel its work.
    pub(crate) fn is_given_up(&self) -> bool {
        self.is_given_up
    }

    /// Sends a message.
    pub(crate) fn send(&mut self, kind: u8, message: &[u8]) -> Result<(), Fault> {
        let room = self.packet_bytes.saturating_sub(HEADER_BYTES).max(1);
        let mut bytes = Vec::with_capacity(PIECE_BYTES as usize);
        let mut parts = message.chunks(room).peekable();
        let mut number = 1_u8;
        while let Some(part) = parts.next() {
            let status = if parts.peek().is_none() { END_OF_MESSAGE } else { 0 };
            let length = u16::try_from(part.len() + HEADER_BYTES).map_err(broken)?;
            bytes.extend([kind, status]);
            bytes.extend(length.to_be_bytes());
            bytes.extend([0, 0, number, 0]);
            bytes.extend(part);
            number = number.wrapping_add(1);
            if bytes.len() + self.packet_bytes > PIECE_BYTES as usize {
                self.write(&std::mem::take(&mut bytes))?;
            }
        }
        self.write(&bytes)
    }

    fn write(&mut self, mut bytes: &[u8]) -> Result<(), Fault> {
        while !bytes.is_empty() {
            match self.tcp.write(bytes) {
                Ok(written) => bytes = bytes.get(written as usize..).unwrap_or_default(),
                Err(IoError::WouldBlock) => {
                    let interest = [net::Interest::Writable(&self.tcp)];
                    if self.left_ms() == 0 || net::wait(&interest, self.left_ms()).is_empty() {
                        return Err(unanswered());
                    }
                }
                Err(error) => return Err(lost(&error)),
            }
        }
        Ok(())
    }

    /// Starts the next message of the server. Fails if the last one has unread bytes.
    pub(crate) fn next_message(&mut self) -> Result<(), Fault> {
        if self.taken < self.message.len() || !self.is_whole {
            return Err(broken("more than the answer"));
        }
        self.message.clear();
        (self.taken, self.is_whole) = (0, false);
        Ok(())
    }

    /// Whether something of the message is left.
    pub(crate) fn has_more(&mut self) -> Result<bool, Fault> {
        while self.taken == self.message.len() && !self.is_whole {
            self.packet()?;
        }
        Ok(self.taken < self.message.len())
    }

    /// Reads the next packet of the message.
    fn packet(&mut self) -> Result<(), Fault> {
        if let Some(left) = &mut self.packets_left {
            *left = left.checked_sub(1).ok_or_else(|| broken("a login that does not end"))?;
        }
        self.fill(HEADER_BYTES)?;
        let head = self.incoming.get(..4).unwrap_or_default();
        let &[kind, status, high, low] = head else { return Err(broken("no packet")) };
        if kind != ANSWER {
            return Err(broken(format!("a packet of type {kind:#04x}")));
        }
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length < HEADER_BYTES {
            return Err(broken(format!("a packet of {length} bytes")));
        }
        self.fill(length)?;
        // Drops the bytes that were read.
        self.message.drain(..self.taken);
        self.taken = 0;
        self.message.extend(self.incoming.drain(..length).skip(HEADER_BYTES));
        self.is_whole = status & END_OF_MESSAGE != 0;
        Ok(())
    }

    /// Reads until so many bytes have come.
    fn fill(&mut self, count: usize) -> Result<(), Fault> {
        while self.incoming.len() < count {
            match self.tcp.read(PIECE_BYTES) {
                Ok(piece) if piece.is_empty() => {
                    return Err(Fault::Lost("the server has ended the connection".to_owned()));
                }
                Ok(piece) => self.incoming.extend(piece),
                Err(IoError::WouldBlock) => self.wait()?,
                Err(error) => return Err(lost(&error)),
            }
            // A server that sends a little for ever is no better than a silent one.
            if self.left_ms() == 0 {
                self.give_up()?;
            }
        }
        Ok(())
    }

    fn wait(&mut self) -> Result<(), Fault> {
        let left_ms = self.left_ms();
        if left_ms == 0 || net::wait(&[net::Interest::Readable(&self.tcp)], left_ms).is_empty() {
            self.give_up()?;
        }
        Ok(())
    }

    /// Tells the server to give up what it does, once; then waits a little longer.
    fn give_up(&mut self) -> Result<(), Fault> {
        if self.is_given_up || !self.may_give_up {
            return Err(unanswered());
        }
        self.is_given_up = true;
        self.until_ms = ambient::monotonic_ms().saturating_add(GRACE_MS);
        self.write(&[ATTENTION, END_OF_MESSAGE, 0, 8, 0, 0, 1, 0])
    }
}

impl Source for Wire {
    fn take(&mut self, count: usize) -> Result<&[u8], Fault> {
        while self.message.len() - self.taken < count {
            if self.is_whole {
                return Err(broken("an answer that ends too early"));
            }
            self.packet()?;
        }
        let from = self.taken;
        self.taken += count;
        self.message.get(from..self.taken).ok_or_else(|| broken("an answer that ends too early"))
    }
}

fn unanswered() -> Fault {
    Fault::Lost("the server does not answer".to_owned())
}

fn lost(error: &IoError) -> Fault {
    match error {
        IoError::Closed => Fault::Lost("the server has ended the connection".to_owned()),
        IoError::TimedOut => unanswered(),
        IoError::Denied(_)
        | IoError::Refused
        | IoError::Unreachable(_)
        | IoError::WouldBlock
        | IoError::Tls(_)
        | IoError::LimitReached
        | IoError::Other(_) => Fault::Lost(described(error)),
    }
}
