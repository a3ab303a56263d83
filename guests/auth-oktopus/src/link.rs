//! Connection to the NATS server: frames of the server in their order, and lines to it.

use std::io::Write as _;

use lotmq_guest::auth::{Connection, Interest, IoError, ambient, described, net};
use nats_protocol::{Frame, Server, decode};

use crate::config::{ENDPOINT, Nats};
use crate::limits::FRAME_BYTES_MAX;

/// Bytes of one read.
const PIECE_BYTES: u32 = 64 * 1024;

pub(crate) struct Link {
    connection: Connection,
    timeout_ms: u32,
    /// When the answers that are waited for have to be there.
    deadline_ms: u64,
    /// Received bytes; those from `taken` on are not processed yet.
    input: Vec<u8>,
    taken: usize,
}

impl Link {
    /// Connects and logs in. The whole of it has `timeout_ms`, because logins wait meanwhile.
    ///
    /// # Errors
    /// The reason in words, for people.
    pub(crate) fn open(settings: &Nats) -> Result<Link, String> {
        let timeout_ms = settings.timeout_ms;
        let deadline_ms = ambient::monotonic_ms() + u64::from(timeout_ms);
        let connection = Connection::open(ENDPOINT, timeout_ms).map_err(|error| described(&error))?;
        let mut link = Link { connection, timeout_ms, deadline_ms, input: Vec::new(), taken: 0 };
        let Frame::Info(info) = link.frame()? else {
            return Err("its first word is not INFO".to_owned());
        };
        let server = Server::of(&info, FRAME_BYTES_MAX);
        if !server.has_headers {
            return Err("the server has no message headers, and so no JetStream".to_owned());
        }
        match (settings.starts_tls, server.has_tls) {
            (true, true) => {
                let left_ms = link.left_ms()?;
                link.connection.tcp().start_tls(left_ms).map_err(|error| described(&error))?;
            }
            (true, false) => return Err("the server has no TLS, for which USE_STARTTLS asks".to_owned()),
            (false, _) if server.needs_tls && !settings.is_tls => {
                return Err("the server wants TLS: set USE_STARTTLS".to_owned());
            }
            (false, _) => {}
        }
        let is_secure = settings.starts_tls || settings.is_tls;
        link.send(&server.greeting(&settings.login, is_secure, false))?;
        loop {
            match link.frame()? {
                Frame::Pong => return Ok(link),
                Frame::Error(text) => return Err(text),
                Frame::Ok | Frame::Info(_) | Frame::Ping | Frame::Message(_) => {}
            }
        }
    }

    /// Sends lines.
    pub(crate) fn send(&mut self, text: &str) -> Result<(), String> {
        self.connection.write_all(text.as_bytes()).map_err(|error| error.to_string())
    }

    /// The next frame; waits for it.
    pub(crate) fn frame(&mut self) -> Result<Frame, String> {
        loop {
            if let Some(frame) = self.received()? {
                return Ok(frame);
            }
            let left_ms = self.left_ms()?;
            net::wait(&[self.readable()], left_ms);
            self.take()?;
        }
    }

    /// Gives the answers that are waited for from now on `timeout_ms`.
    pub(crate) fn begin_question(&mut self) {
        self.deadline_ms = ambient::monotonic_ms() + u64::from(self.timeout_ms);
    }

    fn left_ms(&self) -> Result<u32, String> {
        match self.deadline_ms.saturating_sub(ambient::monotonic_ms()) {
            0 => Err(format!("it has not answered for {} s", self.timeout_ms.div_ceil(1000))),
            left_ms => Ok(u32::try_from(left_ms).unwrap_or(u32::MAX)),
        }
    }

    /// The next frame that has come. Answers each PING.
    pub(crate) fn received(&mut self) -> Result<Option<Frame>, String> {
        loop {
            let unread = self.input.get(self.taken..).unwrap_or_default();
            let Some((frame, length)) = decode(unread, FRAME_BYTES_MAX)? else { return Ok(None) };
            self.taken = self.taken.saturating_add(length).min(self.input.len());
            if frame != Frame::Ping {
                return Ok(Some(frame));
            }
            self.send("PONG\r\n")?;
        }
    }

    /// Takes bytes that are there, without waiting. Returns whether there were any.
    pub(crate) fn take(&mut self) -> Result<bool, String> {
        self.input.drain(..self.taken);
        self.taken = 0;
        match self.connection.tcp().read(PIECE_BYTES) {
            Ok(bytes) if bytes.is_empty() => Err("it has ended the connection".to_owned()),
            Ok(bytes) => {
                self.input.extend_from_slice(&bytes);
                Ok(true)
            }
            Err(IoError::WouldBlock) => Ok(false),
            Err(error) => Err(described(&error)),
        }
    }

    pub(crate) fn readable(&self) -> Interest<'_> {
        Interest::Readable(self.connection.tcp())
    }
}
