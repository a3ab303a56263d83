//! Connection: messages of the protocol of PostgreSQL over a stream of the host.
//!
//! Lengths are checked before bytes are stored, so a malicious server costs the connection and no
//! memory.

use bytes::{Buf as _, BytesMut};
use lotmq_guest::auth::net::{self, Interest, Tcp};
use lotmq_guest::auth::{IoError, ambient, described};
use postgres_protocol::message::backend::{Header, Message};
use postgres_protocol::message::frontend;

use crate::limits::MESSAGE_BYTES_MAX;
use crate::server::ENDPOINT;

/// Bytes that are read at once: the most that the host gives.
const PIECE_BYTES: u32 = 64 * 1_024;

/// A connection, for which each call has a deadline.
pub(crate) struct Wire {
    tcp: Tcp,
    received: BytesMut,
    /// Pending output.
    pub(crate) out: BytesMut,
}

impl Wire {
    /// Connects to the server.
    pub(crate) fn connect(until_ms: u64) -> Result<Wire, String> {
        let tcp = Tcp::connect(ENDPOINT, left_ms(until_ms)?).map_err(|error| described(&error))?;
        Ok(Wire { tcp, received: BytesMut::new(), out: BytesMut::new() })
    }

    /// Asks for TLS and goes on with it. Reads nothing behind the one-byte answer, because that
    /// would precede the handshake.
    pub(crate) fn start_tls(&mut self, until_ms: u64) -> Result<(), String> {
        frontend::ssl_request(&mut self.out);
        let answer = loop {
            self.send();
            match self.tcp.read(1) {
                Ok(read) => break read.first().copied().ok_or("it has ended the connection")?,
                Err(IoError::WouldBlock) => self.wait(until_ms)?,
                Err(error) => return Err(described(&error)),
            }
        };
        match answer {
            b'S' => self.tcp.start_tls(left_ms(until_ms)?).map_err(|error| described(&error)),
            b'N' => Err("it has no TLS, for which USE_STARTTLS asks".to_owned()),
            _ => Err(no_protocol()),
        }
    }

    /// The next message but notices.
    pub(crate) fn next(&mut self, until_ms: u64) -> Result<Message, String> {
        loop {
            match self.parsed()? {
                Some(
                    Message::NoticeResponse(_)
                    | Message::ParameterStatus(_)
                    | Message::NotificationResponse(_),
                ) => continue,
                Some(message) => return Ok(message),
                None => {}
            }
            self.send();
            match self.tcp.read(PIECE_BYTES) {
                Ok(read) if read.is_empty() => return Err("it has ended the connection".to_owned()),
                Ok(read) => self.received.extend_from_slice(&read),
                Err(IoError::WouldBlock) => self.wait(until_ms)?,
                Err(error) => return Err(described(&error)),
            }
        }
    }

    /// Says that this is the end.
    pub(crate) fn close(&mut self) {
        self.out.clear();
        frontend::terminate(&mut self.out);
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

    fn wait(&self, until_ms: u64) -> Result<(), String> {
        let both = [Interest::Readable(&self.tcp), Interest::Writable(&self.tcp)];
        let interests = if self.out.is_empty() { &both[..1] } else { &both };
        net::wait(interests, left_ms(until_ms)?);
        Ok(())
    }

    /// The next message of what was received, when all of it is there.
    fn parsed(&mut self) -> Result<Option<Message>, String> {
        let Some(header) = Header::parse(&self.received).map_err(|_| no_protocol())? else { return Ok(None) };
        let length = usize::try_from(header.len()).map_err(|_| no_protocol())?;
        if length > MESSAGE_BYTES_MAX {
            return Err(format!("it sends more than {MESSAGE_BYTES_MAX} bytes in one message"));
        }
        Message::parse(&mut self.received).map_err(|_| no_protocol())
    }
}

/// Milliseconds until a time.
///
/// # Errors
/// It is over.
pub(crate) fn left_ms(until_ms: u64) -> Result<u32, String> {
    match until_ms.saturating_sub(ambient::monotonic_ms()) {
        0 => Err("it has not answered in time".to_owned()),
        left_ms => Ok(u32::try_from(left_ms).unwrap_or(u32::MAX)),
    }
}

/// The failure of a server that sends what it must not.
pub(crate) fn no_protocol() -> String {
    "it does not speak the protocol of PostgreSQL".to_owned()
}
