//! TLS of one connection: rustls between the guest's plain bytes and the socket, without waiting.
//!
//! Invariants: plain text waiting to be encrypted is bounded; a record that the socket does not
//! take stays until the next call or `wait`.

mod tds_frames;

use rustls::{
    ClientConfig, ClientConnection, Connection, InvalidMessage, ServerConfig, ServerConnection,
    pki_types::ServerName,
};
use std::{
    io::{self, IoSlice, Read, Write},
    sync::Arc,
    task::{Context, Poll, ready},
};
use tds_frames::TdsFrames;
use tokio::net::TcpStream;

/// Bytes that may wait to be sent.
const BUFFER_BYTES_MAX: usize = 64 * 1024;

/// One side of TLS.
pub(super) struct Tls {
    connection: Connection,
    /// Packets that wrap the handshake, until it is done.
    frames: Option<Box<TdsFrames>>,
    /// The other side has ended its direction.
    is_ended: bool,
    /// First received bytes, which identify a server without TLS.
    first: Vec<u8>,
}

/// Bytes by which a server of HTTP is known.
const HTTP: &[u8] = b"HTTP/";

/// The socket as rustls wants it.
struct Socket<'a>(&'a TcpStream);

/// The socket with a copy of its first bytes.
struct Noting<'a>(&'a TcpStream, &'a mut Vec<u8>);

impl Read for Noting<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.0.try_read(bytes)?;
        let wanted = HTTP.len().saturating_sub(self.1.len());
        self.1.extend_from_slice(bytes.get(..count.min(wanted)).unwrap_or_default());
        Ok(count)
    }
}

impl Read for Socket<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(bytes)
    }
}

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns the error for a server that answers the handshake with these bytes, which are not TLS.
fn without_tls(first: &[u8]) -> &'static str {
    if first == HTTP {
        return "a server of HTTP without TLS answers there, and this connection is with TLS: http:// and not https://, or no TLS in its section";
    }
    "the other side does not answer as a server of TLS has, and this connection is with TLS: another port, or no TLS in its section"
}

impl Tls {
    /// `Err` says why the name or the configuration does not do.
    pub(super) fn new(config: Arc<ClientConfig>, host: &str) -> Result<Tls, String> {
        let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
        let mut connection = ClientConnection::new(config, name).map_err(|error| error.to_string())?;
        connection.set_buffer_limit(Some(BUFFER_BYTES_MAX));
        Ok(Tls { connection: connection.into(), frames: None, is_ended: false, first: Vec::new() })
    }

    /// The side of a server. `Err` says why the configuration does not do.
    pub(super) fn server(config: Arc<ServerConfig>) -> Result<Tls, String> {
        let mut connection = ServerConnection::new(config).map_err(|error| error.to_string())?;
        connection.set_buffer_limit(Some(BUFFER_BYTES_MAX));
        Ok(Tls { connection: connection.into(), frames: None, is_ended: false, first: Vec::new() })
    }

    /// With the handshake in packets of TDS.
    pub(super) fn in_tds(self) -> Tls {
        Tls { frames: Some(Box::default()), ..self }
    }

    pub(super) fn poll_handshake(
        &mut self,
        stream: &TcpStream,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.connection.is_handshaking() {
            ready!(self.poll_flush(stream, context))?;
            if !self.connection.is_handshaking() {
                break;
            }
            match self.receive(stream) {
                Ok(()) if self.is_ended => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(stream.poll_read_ready(context))?
                }
                Err(error) => {
                    self.send(stream).ok();
                    return Poll::Ready(Err(error));
                }
            }
        }
        ready!(self.poll_flush(stream, context))?;
        match self.frames.take() {
            Some(frames) => Poll::Ready(frames.end()),
            None => Poll::Ready(Ok(())),
        }
    }

    pub(super) fn read(&mut self, stream: &TcpStream, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.connection.reader().read(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && !self.is_ended => {
                    self.receive(stream)?;
                    self.try_send(stream)?;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
                done => return done,
            }
        }
    }

    pub(super) fn write(&mut self, stream: &TcpStream, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.try_send(stream)?;
        let written = self.connection.writer().write_vectored(parts)?;
        self.try_send(stream)?;
        if written == 0 && parts.iter().any(|part| !part.is_empty()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(written)
    }

    pub(super) fn close(&mut self, stream: &TcpStream) -> io::Result<()> {
        self.connection.send_close_notify();
        self.try_send(stream)
    }

    pub(super) fn poll_readable(&mut self, stream: &TcpStream, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let _ = self.poll_flush(stream, context);
            match self.connection.process_new_packets() {
                Ok(state) if state.plaintext_bytes_to_read() == 0 && !self.is_ended => {}
                Ok(_) | Err(_) => return Poll::Ready(()),
            }
            match self.receive(stream) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if ready!(stream.poll_read_ready(context)).is_err() {
                        return Poll::Ready(());
                    }
                }
                Err(_) => return Poll::Ready(()),
            }
        }
    }

    pub(super) fn poll_writable(&mut self, stream: &TcpStream, context: &mut Context<'_>) -> Poll<()> {
        self.poll_flush(stream, context).map(|_| ())
    }

    /// Reads once from the socket. `WouldBlock` when nothing is there. An error in earlier input is
    /// returned every time.
    fn receive(&mut self, stream: &TcpStream) -> io::Result<()> {
        let read = match &mut self.frames {
            Some(frames) => self.connection.read_tls(&mut frames.reader(&mut Socket(stream))),
            None => self.connection.read_tls(&mut Noting(stream, &mut self.first)),
        };
        match read {
            Ok(0) => self.is_ended = true,
            Ok(_) => {}
            Err(error) => {
                self.process()?;
                return Err(error);
            }
        }
        self.process()
    }

    fn process(&mut self) -> io::Result<()> {
        let is_client = matches!(self.connection, Connection::Client(_));
        let is_handshaking = self.connection.is_handshaking();
        let processed = self.connection.process_new_packets();
        let told = |error: rustls::Error| {
            let is_foreign = error == rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType);
            match is_foreign && is_client && is_handshaking {
                true => io::Error::new(io::ErrorKind::InvalidData, without_tls(&self.first)),
                false => io::Error::new(io::ErrorKind::InvalidData, error),
            }
        };
        self.is_ended |= processed.map_err(told)?.peer_has_closed();
        Ok(())
    }

    fn send(&mut self, stream: &TcpStream) -> io::Result<()> {
        let Some(frames) = &mut self.frames else {
            while self.connection.wants_write() {
                self.connection.write_tls(&mut Socket(stream))?;
            }
            return Ok(());
        };
        let mut records = Vec::new();
        while self.connection.wants_write() {
            self.connection.write_tls(&mut records)?;
        }
        frames.wrap(&records);
        frames.send(&mut Socket(stream))
    }

    /// Sends as much as the socket takes; the rest waits.
    fn try_send(&mut self, stream: &TcpStream) -> io::Result<()> {
        match self.send(stream) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            done => done,
        }
    }

    pub(super) fn poll_flush(
        &mut self,
        stream: &TcpStream,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            match self.send(stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(stream.poll_write_ready(context))?
                }
                done => return Poll::Ready(done),
            }
        }
    }
}
