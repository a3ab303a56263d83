//! A socket that speaks in packets: any bytes out, whole packets in. No flows, no answers by
//! itself.

use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use lotmq_codec::{ProtocolVersion, fixed_header, limits::PACKET_BYTES_MAX};

use crate::error::{is_end, is_timeout};
use crate::limits::{COLLECTED_BYTES_MAX, READ_BYTES};
use crate::socket::Socket;
use crate::transport::Transport;
use crate::{ClientError, Endpoint, Packet};

/// A connection to a broker. For tests that must say what a well-behaved client cannot.
#[derive(Debug)]
pub struct Connection {
    transport: Transport,
    /// Bytes received; those before `taken` were given out.
    received: Vec<u8>,
    taken: usize,
    version: ProtocolVersion,
    max_packet_size: u32,
    last_sent: Instant,
    /// Bytes that are collected, and until when.
    collected: Vec<u8>,
    flush_at: Option<Instant>,
    /// For how long; zero for not at all.
    flush_time: Duration,
}

impl Connection {
    /// Opens a TCP connection and sends nothing.
    ///
    /// `version` is the one that packets from the server are read in; it is told to nobody.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] when none of the addresses answers within `timeout` each.
    pub fn open(
        address: impl ToSocketAddrs + std::fmt::Display,
        version: ProtocolVersion,
        timeout: Duration,
    ) -> Result<Self, ClientError> {
        let socket = Socket::connect(&address, timeout)
            .map_err(|source| ClientError::Unreachable { address: address.to_string(), source })?;
        Ok(Self::new(Transport::plain(socket), version))
    }

    /// Connects to an endpoint, with the handshakes that it wants, and sends nothing of MQTT.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] also when a handshake fails or takes longer than `timeout`.
    pub fn open_at(
        endpoint: &Endpoint,
        version: ProtocolVersion,
        timeout: Duration,
    ) -> Result<Self, ClientError> {
        let transport = Transport::open(endpoint, timeout)
            .map_err(|source| ClientError::Unreachable { address: endpoint.to_string(), source })?;
        Ok(Self::new(transport, version))
    }

    fn new(transport: Transport, version: ProtocolVersion) -> Self {
        Self {
            transport,
            received: Vec::new(),
            taken: 0,
            version,
            max_packet_size: PACKET_BYTES_MAX,
            last_sent: Instant::now(),
            collected: Vec::new(),
            flush_at: None,
            flush_time: Duration::ZERO,
        }
    }

    /// Refuses larger packets of the server; in bytes, fixed header included.
    pub fn limit_packets(&mut self, max_packet_size: u32) {
        self.max_packet_size = max_packet_size;
    }

    /// Collects what is sent from now on for so long, to send it together; see
    /// [`Connection::flush`].
    pub fn collect_for(&mut self, time: Duration) {
        self.flush_time = time;
    }

    /// Speaks the zstd stream transport from now on, as CONNACK has granted.
    ///
    /// # Errors
    /// [`ClientError::Io`] without memory.
    pub fn start_zstd(&mut self) -> Result<(), ClientError> {
        let behind = self.received.split_off(std::mem::take(&mut self.taken));
        self.received.clear();
        Ok(self.transport.start_zstd(&behind)?)
    }

    /// Whether the zstd stream transport is spoken.
    #[must_use]
    pub fn has_zstd(&self) -> bool {
        self.transport.has_zstd()
    }

    /// Sends these bytes, whatever they are; where bytes are collected, when their time has come.
    ///
    /// # Errors
    /// [`ClientError::Closed`] when the server is gone, [`ClientError::Io`]; the latter also when
    /// it did not take the bytes within the timeout of [`Connection::open`].
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        if self.flush_time.is_zero() {
            return self.send_now(bytes);
        }
        self.collected.extend_from_slice(bytes);
        let now = Instant::now();
        self.last_sent = now;
        let flush_at = *self.flush_at.get_or_insert(now + self.flush_time);
        if now >= flush_at || self.collected.len() >= COLLECTED_BYTES_MAX { self.flush() } else { Ok(()) }
    }

    /// Sends what is collected. [`Connection::receive`] does so when the time has come; whoever
    /// neither sends nor receives calls this.
    ///
    /// # Errors
    /// As [`Connection::send`].
    pub fn flush(&mut self) -> Result<(), ClientError> {
        self.flush_at = None;
        let collected = std::mem::take(&mut self.collected);
        if collected.is_empty() { Ok(()) } else { self.send_now(&collected) }
    }

    fn send_now(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        self.last_sent = Instant::now();
        let sent = self.transport.write_all(bytes);
        sent.map_err(|error| match is_end(&error) {
            true => ClientError::Closed,
            false => ClientError::Io(error),
        })
    }

    /// Waits for a packet; `None` when none came in time.
    ///
    /// # Errors
    /// [`ClientError::Closed`] at the end of the connection, [`ClientError::Malformed`] for what
    /// cannot be a packet, [`ClientError::Io`].
    pub fn receive(&mut self, timeout: Duration) -> Result<Option<Packet>, ClientError> {
        let deadline = Instant::now().checked_add(timeout);
        loop {
            if let Some(packet) = self.take_packet()? {
                return Ok(Some(packet));
            }
            let now = Instant::now();
            let left = deadline.map_or(Duration::from_secs(3600), |at| at.saturating_duration_since(now));
            if let Some(at) = self.flush_at.filter(|at| at.saturating_duration_since(now) <= left) {
                let is_read = self.read_more(at.saturating_duration_since(now))?;
                if Instant::now() >= at {
                    self.flush()?;
                }
                if is_read || Instant::now() < now + left {
                    continue;
                }
                return Ok(None);
            }
            if !self.read_more(left)? {
                return Ok(None);
            }
        }
    }

    /// Waits until the server closes; packets that come before are thrown away. Whether it did in
    /// time.
    ///
    /// # Errors
    /// [`ClientError::Io`] for a failure on this side.
    pub fn wait_closed(&mut self, timeout: Duration) -> Result<bool, ClientError> {
        let deadline = Instant::now() + timeout;
        loop {
            self.taken = self.received.len();
            match self.read_more(deadline.saturating_duration_since(Instant::now())) {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(error) if error.is_closed() => return Ok(true),
                Err(error) => return Err(error),
            }
        }
    }

    /// The socket itself, to set options or to be slow on purpose.
    ///
    /// # Panics
    /// On a connection through a Unix socket.
    #[must_use]
    pub fn stream(&self) -> &TcpStream {
        match self.transport.socket() {
            Socket::Tcp(stream) => stream,
            Socket::Unix(_) => panic!("the caller opened a TCP connection"),
        }
    }

    /// Whether TLS resumed an earlier session.
    #[must_use]
    pub fn is_resumed(&self) -> bool {
        self.transport.is_resumed()
    }

    /// Closes both directions without another packet; the server sees a broken connection.
    pub fn close(mut self) {
        // The server may be gone.
        let _ = self.flush();
        self.transport.close();
    }

    pub(crate) const fn version(&self) -> ProtocolVersion {
        self.version
    }

    pub(crate) const fn last_sent(&self) -> Instant {
        self.last_sent
    }

    /// Whether what waits is the beginning of an answer of HTTP.
    pub(crate) fn is_http(&self) -> bool {
        self.received.get(self.taken..).is_some_and(|waiting| waiting.starts_with(b"HTTP/1."))
    }

    /// Whether what waits is the beginning of a record of TLS, an alert or a handshake.
    pub(crate) fn is_tls(&self) -> bool {
        matches!(self.received.get(self.taken..), Some([0x15 | 0x16, 0x03, ..]))
    }

    fn take_packet(&mut self) -> Result<Option<Packet>, ClientError> {
        let waiting = self.received.get(self.taken..).unwrap_or_default();
        let Some(header) = fixed_header(waiting, self.max_packet_size)? else { return Ok(None) };
        let Some(bytes) = waiting.get(..header.packet_len()) else { return Ok(None) };
        let packet = Packet::new(header, bytes.to_vec(), self.version);
        self.taken += header.packet_len();
        Ok(Some(packet))
    }

    /// Reads once; `false` when nothing came in time.
    fn read_more(&mut self, timeout: Duration) -> Result<bool, ClientError> {
        self.transport.socket().set_read_timeout(timeout)?;
        self.received.drain(..std::mem::take(&mut self.taken));
        let start = self.received.len();
        self.received.resize(start + READ_BYTES, 0);
        let target = self.received.get_mut(start..).unwrap_or_default();
        let outcome = self.transport.read(target);
        self.received.truncate(start + outcome.as_ref().map_or(0, |count| *count));
        match outcome {
            Ok(0) => Err(ClientError::Closed),
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
            Err(error) if is_timeout(&error) => Ok(false),
            Err(error) if is_end(&error) => Err(ClientError::Closed),
            Err(error) => Err(error.into()),
        }
    }
}
