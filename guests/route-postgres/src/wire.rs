//! Connection: messages of the protocol over a stream of the host.
//!
//! Pending output is sent while answers are read, so that no side waits for the other to read.
//! Lengths are checked before bytes are stored, so a malicious server costs the connection and no
//! memory.

use bytes::{Buf as _, BytesMut};
use lotmq_guest::route::net::{self, Interest, Tcp};
use lotmq_guest::route::{Failure, IoError, ambient, failure};
use postgres_protocol::message::backend::{Header, Message};

use crate::limits::{MESSAGE_BYTES_MAX, ROW_BYTES_MAX};

/// Bytes that are read at once: the most that the host gives.
const PIECE_BYTES: u32 = 64 * 1024;

/// Length of the head of a message: a letter and a length.
const HEAD_BYTES: usize = 5;

/// Letter of a row of a result.
const ROW: u8 = b'D';

/// A connection.
pub(crate) struct Wire {
    tcp: Tcp,
    received: BytesMut,
    /// Pending output.
    pub(crate) out: BytesMut,
    /// Bytes of a row that are still to be passed by.
    skipped: usize,
}

/// Something that a server sends.
pub(crate) enum Incoming {
    Message(Message),
    /// A row that is longer than any that could be shown.
    LongRow,
}

impl Wire {
    /// Connects to the endpoint of `SQL_CONFIG`.
    pub(crate) fn connect(timeout_ms: u32) -> Result<Wire, Failure> {
        let tcp = Tcp::connect("sql", timeout_ms).map_err(|error| failure(&error))?;
        Ok(Wire { tcp, received: BytesMut::new(), out: BytesMut::new(), skipped: 0 })
    }

    /// Goes on with TLS.
    pub(crate) fn start_tls(&self, timeout_ms: u32) -> Result<(), Failure> {
        self.tcp.start_tls(timeout_ms).map_err(|error| failure(&error))
    }

    /// Reads the one-byte answer to the TLS request. Reads nothing after it, because that would
    /// precede the handshake.
    pub(crate) fn byte(&mut self, timeout_ms: u64) -> Result<u8, Failure> {
        let until_ms = ambient::monotonic_ms() + timeout_ms;
        loop {
            self.send();
            match self.tcp.read(1) {
                Ok(read) => return read.first().copied().ok_or_else(ended),
                Err(IoError::WouldBlock) => self.wait(until_ms, timeout_ms)?,
                Err(error) => return Err(failure(&error)),
            }
        }
    }

    /// The next message but notices, for which the server has so much time.
    pub(crate) fn next(&mut self, timeout_ms: u64) -> Result<Incoming, Failure> {
        let until_ms = ambient::monotonic_ms() + timeout_ms;
        loop {
            match self.parsed()? {
                Some(Incoming::Message(
                    Message::NoticeResponse(_)
                    | Message::ParameterStatus(_)
                    | Message::NotificationResponse(_),
                )) => continue,
                Some(incoming) => return Ok(incoming),
                None => {}
            }
            self.send();
            match self.tcp.read(PIECE_BYTES) {
                Ok(read) if read.is_empty() => return Err(ended()),
                Ok(read) => self.received.extend_from_slice(&read),
                Err(IoError::WouldBlock) => self.wait(until_ms, timeout_ms)?,
                Err(error) => return Err(failure(&error)),
            }
        }
    }

    /// Says that this is the end.
    pub(crate) fn close(&mut self) {
        self.out.clear();
        postgres_protocol::message::frontend::terminate(&mut self.out);
        self.send();
    }

    /// Sends as much as possible now. Errors are reported by the next read, because the server may
    /// have sent the reason.
    fn send(&mut self) {
        while !self.out.is_empty() {
            match self.tcp.write(&self.out) {
                Ok(count) => self.out.advance((count as usize).min(self.out.len())),
                Err(IoError::WouldBlock) => return,
                Err(_) => self.out.clear(),
            }
        }
    }

    fn wait(&self, until_ms: u64, timeout_ms: u64) -> Result<(), Failure> {
        let left = until_ms.saturating_sub(ambient::monotonic_ms());
        let both = [Interest::Readable(&self.tcp), Interest::Writable(&self.tcp)];
        let interests = if self.out.is_empty() { &both[..1] } else { &both };
        let is_over = left == 0 || net::wait(interests, u32::try_from(left).unwrap_or(u32::MAX)).is_empty();
        if is_over {
            let seconds = timeout_ms as f64 / 1_000.0;
            return Err(Failure::Reconnect(format!("the server has not answered within {seconds} s")));
        }
        Ok(())
    }

    /// The next message of what was received, when all of it is there.
    fn parsed(&mut self) -> Result<Option<Incoming>, Failure> {
        if self.skipped > 0 {
            let passed = self.skipped.min(self.received.len());
            self.received.advance(passed);
            self.skipped -= passed;
            return Ok((self.skipped == 0).then_some(Incoming::LongRow));
        }
        let Some(header) = Header::parse(&self.received).map_err(|_| no_protocol())? else { return Ok(None) };
        let length = usize::try_from(header.len()).map_err(|_| no_protocol())?;
        if header.tag() == ROW && length > ROW_BYTES_MAX {
            self.received.advance(HEAD_BYTES);
            self.skipped = length.saturating_sub(4);
            return self.parsed();
        }
        if header.tag() != ROW && length > MESSAGE_BYTES_MAX {
            return Err(no_protocol());
        }
        let message = Message::parse(&mut self.received).map_err(|_| no_protocol())?;
        Ok(message.map(Incoming::Message))
    }
}

fn ended() -> Failure {
    Failure::Reconnect("the server has ended the connection".to_owned())
}

/// The failure of a server that sends what it must not.
pub(crate) fn no_protocol() -> Failure {
    Failure::Reconnect("the server does not speak the protocol of PostgreSQL".to_owned())
}
