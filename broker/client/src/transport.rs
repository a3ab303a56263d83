//! Transport of a connection: a blocking socket, and the layers that the endpoint wants.

use std::io::{self, Read as _, Write as _};
use std::time::Duration;

use crate::error::{is_end, is_timeout};
use crate::layers::Layers;
use crate::limits::READ_BYTES;
use crate::socket::Socket;
use crate::{Address, Endpoint};

/// The whole way from MQTT to the socket.
#[derive(Debug)]
pub(crate) struct Transport {
    socket: Socket,
    layers: Layers,
    /// Bytes of one read from the socket; without layers it has no memory.
    wire: Vec<u8>,
}

impl Transport {
    /// Nothing but the socket.
    pub(crate) fn plain(socket: Socket) -> Self {
        Self { socket, layers: Layers::default(), wire: Vec::new() }
    }

    /// Does the handshakes that the endpoint wants, each read within `timeout`.
    pub(crate) fn open(endpoint: &Endpoint, timeout: Duration) -> io::Result<Self> {
        let socket = match endpoint.address() {
            Address::Tcp { host, port } => Socket::connect(&(host.as_str(), *port), timeout)?,
            Address::Unix(path) => Socket::connect_unix(path, timeout)?,
        };
        socket.set_read_timeout(timeout)?;
        let mut transport = Self { layers: Layers::of(endpoint)?, ..Self::plain(socket) };
        transport.flush()?;
        while let Some(layer) = transport.layers.handshaking() {
            transport.go_on_with(layer, timeout)?;
        }
        Ok(transport)
    }

    /// Reads once of the handshake of a layer.
    fn go_on_with(&mut self, layer: &str, timeout: Duration) -> io::Result<()> {
        let failed = |kind: io::ErrorKind, told: &str| {
            Err(io::Error::new(kind, format!("no answer as a server of {layer} has: {told}")))
        };
        match self.receive() {
            Ok(len) if len > 0 && !self.layers.is_ended() => Ok(()),
            Ok(_) => failed(io::ErrorKind::UnexpectedEof, "the connection was closed"),
            Err(error) if is_end(&error) => failed(error.kind(), "the connection was closed"),
            Err(error) if is_timeout(&error) => {
                failed(error.kind(), &format!("nothing came within {} s", timeout.as_secs_f32()))
            }
            Err(error) => Err(error),
        }
    }

    pub(crate) fn socket(&self) -> &Socket {
        &self.socket
    }

    pub(crate) fn is_resumed(&self) -> bool {
        self.layers.is_resumed()
    }

    /// Reads bytes of MQTT; 0 at the end. Errors of the socket, a time-out among them, leave it
    /// usable.
    pub(crate) fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        if self.layers.are_none() {
            return self.socket.read(target);
        }
        loop {
            let len = self.layers.read(target)?;
            self.flush()?;
            if len > 0 || self.layers.is_ended() || self.receive()? == 0 {
                return Ok(len);
            }
        }
    }

    /// Reads once from the socket; 0 at the end.
    fn receive(&mut self) -> io::Result<usize> {
        self.wire.resize(READ_BYTES, 0);
        let len = self.socket.read(&mut self.wire)?;
        let handled = self.layers.handle_wire(self.wire.get(..len).unwrap_or_default());
        // Also the alert that tells the server why.
        let flushed = self.flush();
        handled?;
        flushed?;
        Ok(len)
    }

    pub(crate) fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.layers.are_none() {
            return self.socket.write_all(bytes);
        }
        self.layers.write(bytes)?;
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.write_all(&self.layers.take_output())
    }

    /// Speaks the zstd stream from now on; `behind` was read behind CONNACK and belongs to it.
    pub(crate) fn start_zstd(&mut self, behind: &[u8]) -> io::Result<()> {
        self.layers.start_zstd(behind)
    }

    pub(crate) fn has_zstd(&self) -> bool {
        self.layers.has_zstd()
    }

    /// Says good-bye in the words of each layer, and closes both directions.
    pub(crate) fn close(&mut self) {
        self.layers.close();
        // The other side may be gone.
        let _ = self.flush();
        self.socket.shutdown();
    }
}
