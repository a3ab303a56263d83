//! Optional layers between MQTT and a socket: TLS, WebSocket and the zstd stream. Sans-I/O.
//!
//! The owner of the socket moves the bytes. It passes received bytes to [`Layers::handle_wire`] and
//! writes the bytes of [`Layers::take_output`]. So a [`Connection`](crate::Connection), which
//! blocks, and a program with thousands of sockets on one thread share them.
//!
//! Invariants: output leaves in the order in which it was made, so one owner at a time writes it.
//! The opening handshakes run by themselves; MQTT flows after them. Not here: sockets, time.

use std::io;

use crate::Endpoint;
use crate::received::Received;
use crate::tls::Tls;
use crate::websocket::WebSocket;
use crate::zstd::Zstd;

/// Layers of one connection; the default has none, and passes bytes on.
///
/// In this order: [`take_output`](Self::take_output) and write, read and
/// [`handle_wire`](Self::handle_wire), until it [`is_open`](Self::is_open). From then on
/// [`write`](Self::write) before the first of these and [`read`](Self::read) behind the second,
/// until that gives nothing more.
#[derive(Debug, Default)]
pub struct Layers {
    tls: Option<Box<Tls>>,
    websocket: Option<Box<WebSocket>>,
    /// Never together with WebSocket.
    zstd: Option<Box<Zstd>>,
    /// Bytes above TLS that the layer above has not taken.
    received: Received,
    /// Bytes for the socket.
    output: Vec<u8>,
}

impl Layers {
    /// The layers that an endpoint wants, at the beginning of their handshakes.
    ///
    /// # Errors
    /// When the name of the server cannot be that of a certificate; when the system has no random
    /// numbers.
    pub fn of(endpoint: &Endpoint) -> io::Result<Self> {
        let host = endpoint.address().host();
        let tls = endpoint.tls.as_ref().map(|context| context.begin(host).map(Box::new)).transpose()?;
        let websocket = endpoint.websocket.as_ref().map(|how| WebSocket::begin(host, how).map(Box::new));
        let mut layers = Self { tls, websocket: websocket.transpose()?, ..Self::default() };
        layers.go_on()?;
        Ok(layers)
    }

    /// Whether bytes are passed on as they are, so that nobody needs to come here.
    #[must_use]
    pub fn are_none(&self) -> bool {
        self.tls.is_none() && self.websocket.is_none() && self.zstd.is_none()
    }

    /// Whether the handshakes are over, so that MQTT may begin.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.handshaking().is_none()
    }

    /// Name of the layer whose handshake is not over; the lowest first.
    #[must_use]
    pub fn handshaking(&self) -> Option<&'static str> {
        if self.is_in_tls_handshake() {
            return Some("TLS");
        }
        let is_open = self.websocket.as_ref().is_none_or(|websocket| websocket.is_open());
        (!is_open).then_some("WebSocket")
    }

    /// Whether the server has said, in the words of a layer, that nothing more will come.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_ended())
            || self.websocket.as_ref().is_some_and(|websocket| websocket.is_ended())
    }

    /// Whether TLS resumed an earlier session.
    #[must_use]
    pub fn is_resumed(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_resumed())
    }

    /// Whether the zstd stream is spoken.
    #[must_use]
    pub fn has_zstd(&self) -> bool {
        self.zstd.is_some()
    }

    fn is_in_tls_handshake(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
    }

    /// Speaks the zstd stream from now on; `behind` was read behind CONNACK and belongs to it.
    ///
    /// # Errors
    /// Without memory.
    pub fn start_zstd(&mut self, behind: &[u8]) -> io::Result<()> {
        self.zstd = Some(Box::new(Zstd::new().map_err(io::Error::other)?));
        self.received.put_back(behind);
        Ok(())
    }

    /// Takes bytes that came from the socket. Then there may be output, and bytes to read.
    ///
    /// # Errors
    /// The server broke a protocol, or is not trusted. The output may hold an alert for it.
    pub fn handle_wire(&mut self, wire: &[u8]) -> io::Result<()> {
        match &mut self.tls {
            Some(tls) => tls.decrypt(wire, &mut self.received, &mut self.output)?,
            None => self.received.push(wire),
        }
        self.go_on()
    }

    /// Goes on with the handshakes as far as what has come allows.
    fn go_on(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            tls.take_output(&mut self.output);
        }
        if self.is_in_tls_handshake() {
            return Ok(());
        }
        let Some(websocket) = &mut self.websocket else { return Ok(()) };
        let request = websocket.handle_handshake(&mut self.received)?;
        if request.is_empty() { Ok(()) } else { self.send(&request) }
    }

    /// Reads bytes of MQTT that came. Returns 0 at the end, or if the socket must deliver more
    /// first.
    ///
    /// # Errors
    /// The server broke a protocol.
    pub fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        match (&mut self.websocket, &mut self.zstd) {
            (Some(websocket), _) => {
                let mut replies = Vec::new();
                let len = websocket.read(&mut self.received, target, &mut replies)?;
                if !replies.is_empty() {
                    self.send(&replies)?;
                }
                Ok(len)
            }
            (None, Some(zstd)) => zstd.read(&mut self.received, target),
            (None, None) => Ok(self.received.take(target)),
        }
    }

    /// Wraps bytes of MQTT, so that the server can read all of them; then there is output.
    ///
    /// # Errors
    /// Without memory, or random numbers.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut wrapped = Vec::new();
        match (&mut self.websocket, &mut self.zstd) {
            (Some(websocket), _) => websocket.wrap(bytes, &mut wrapped)?,
            (None, Some(zstd)) => zstd.wrap(bytes, &mut wrapped)?,
            (None, None) => return self.send(bytes),
        }
        self.send(&wrapped)
    }

    /// Says good-bye in the words of each layer; then there is output.
    pub fn close(&mut self) {
        let mut words = Vec::new();
        if let Some(websocket) = &self.websocket {
            websocket.close(&mut words);
        }
        // Without memory there are no last words.
        let _ = self.send(&words);
        if let Some(tls) = &mut self.tls {
            tls.close(&mut self.output);
        }
    }

    /// Hands bytes to the layer below WebSocket and zstd.
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.tls {
            Some(tls) => tls.encrypt(bytes, &mut self.output),
            None => {
                self.output.extend_from_slice(bytes);
                Ok(())
            }
        }
    }

    /// Takes what is to be written to the socket; often nothing.
    #[must_use]
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }
}
