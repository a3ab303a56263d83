//! What a connection sends its bytes through: a socket, with TLS and WebSocket where the endpoint wants them.

use std::io::{self, Read as _, Write as _};
use std::time::Duration;

use crate::Endpoint;
use crate::endpoint::Place;
use crate::socket::Socket;
use crate::tls::TlsStream;
use crate::websocket::WebSocket;
use crate::zstd::Zstd;

/// The whole way from MQTT to the socket.
#[derive(Debug)]
pub(crate) struct Transport {
    stream: Stream,
    websocket: Option<Box<WebSocket>>,
    /// Never together with WebSocket.
    zstd: Option<Box<Zstd>>,
}

/// What is below WebSocket.
#[derive(Debug)]
pub(crate) struct Stream {
    socket: Socket,
    tls: Option<TlsStream>,
}

impl Stream {
    pub(crate) fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        match &mut self.tls {
            Some(tls) => tls.read(&mut self.socket, target),
            None => self.socket.read(target),
        }
    }

    pub(crate) fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.tls {
            Some(tls) => tls.write_all(&mut self.socket, bytes),
            None => self.socket.write_all(bytes),
        }
    }
}

impl Transport {
    /// Nothing but the socket.
    pub(crate) fn plain(socket: Socket) -> Self {
        Self { stream: Stream { socket, tls: None }, websocket: None, zstd: None }
    }

    /// Does the handshakes that the endpoint wants, each read within `timeout`.
    pub(crate) fn open(endpoint: &Endpoint, timeout: Duration) -> io::Result<Self> {
        let (socket, host) = match &endpoint.place {
            Place::Tcp { host, port } => (Socket::connect(&(host.as_str(), *port), timeout)?, host.as_str()),
            Place::Unix(path) => (Socket::connect_unix(path, timeout)?, "localhost"),
        };
        socket.set_read_timeout(timeout)?;
        let mut transport = Self::plain(socket);
        if let Some(tls) = &endpoint.tls {
            transport.stream.tls = Some(tls.connect(&mut transport.stream.socket, host)?);
        }
        if let Some(websocket) = &endpoint.websocket {
            let opened = WebSocket::open(&mut transport.stream, host, &websocket.path, websocket.compresses);
            transport.websocket = Some(Box::new(opened?));
        }
        Ok(transport)
    }

    pub(crate) fn socket(&self) -> &Socket {
        &self.stream.socket
    }

    pub(crate) fn is_resumed(&self) -> bool {
        self.stream.tls.as_ref().is_some_and(TlsStream::is_resumed)
    }

    pub(crate) fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        match (&mut self.websocket, &mut self.zstd) {
            (Some(websocket), _) => websocket.read(&mut self.stream, target),
            (None, Some(zstd)) => zstd.read(&mut self.stream, target),
            (None, None) => self.stream.read(target),
        }
    }

    pub(crate) fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match (&mut self.websocket, &mut self.zstd) {
            (Some(websocket), _) => websocket.write_all(&mut self.stream, bytes),
            (None, Some(zstd)) => zstd.write_all(&mut self.stream, bytes),
            (None, None) => self.stream.write_all(bytes),
        }
    }

    /// Speaks the zstd stream from now on; `received` has already come.
    pub(crate) fn start_zstd(&mut self, received: Vec<u8>) -> io::Result<()> {
        self.zstd = Some(Box::new(Zstd::new(received).map_err(io::Error::other)?));
        Ok(())
    }

    pub(crate) fn has_zstd(&self) -> bool {
        self.zstd.is_some()
    }

    /// Says good-bye in the words of each layer, and closes both directions.
    pub(crate) fn close(&mut self) {
        if let Some(websocket) = &mut self.websocket {
            websocket.close(&mut self.stream);
        }
        let Stream { socket, tls } = &mut self.stream;
        if let Some(tls) = tls {
            tls.close(socket);
        }
        socket.shutdown();
    }
}
