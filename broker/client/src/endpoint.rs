//! Address of a broker, and the layers between the socket and MQTT.

use std::fmt;
use std::path::PathBuf;

use crate::tls::TlsContext;

/// Address of a broker, with TLS and WebSocket if the connection uses them.
#[derive(Clone, Debug)]
pub struct Endpoint {
    address: Address,
    pub(crate) tls: Option<TlsContext>,
    pub(crate) websocket: Option<WebSocketPath>,
}

/// How MQTT is reached over WebSocket.
#[derive(Clone, Debug)]
pub(crate) struct WebSocketPath {
    pub(crate) path: String,
    pub(crate) compresses: bool,
}

/// Address of a broker's socket.
#[derive(Clone, Debug)]
pub enum Address {
    /// TCP port.
    Tcp {
        /// Name or address of the machine, of IPv6 without brackets.
        host: String,
        /// Its port.
        port: u16,
    },
    /// File of a Unix socket.
    Unix(PathBuf),
}

impl Address {
    /// The name that the broker's certificate must have, and that it is asked by.
    pub(crate) fn host(&self) -> &str {
        match self {
            Self::Tcp { host, .. } => host,
            Self::Unix(_) => "localhost",
        }
    }
}

impl Endpoint {
    /// A TCP port; `host` is a name or an address, of IPv6 with or without brackets.
    #[must_use]
    pub fn tcp(host: &str, port: u16) -> Self {
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Self { address: Address::Tcp { host, port }, tls: None, websocket: None }
    }

    /// A Unix socket.
    #[must_use]
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self { address: Address::Unix(path.into()), tls: None, websocket: None }
    }

    /// Speaks WebSocket, at this path.
    #[must_use]
    pub fn websocket(mut self, path: &str) -> Self {
        self.websocket = Some(WebSocketPath { path: path.to_owned(), compresses: false });
        self
    }

    /// Speaks WebSocket, at this path, and compresses messages (permessage-deflate) if the server
    /// agrees.
    #[must_use]
    pub fn compressed_websocket(mut self, path: &str) -> Self {
        self.websocket = Some(WebSocketPath { path: path.to_owned(), compresses: true });
        self
    }

    /// Encrypts with TLS.
    #[must_use]
    pub fn tls(mut self, context: &TlsContext) -> Self {
        self.tls = Some(context.clone());
        self
    }

    /// Asks for no compression of WebSocket messages.
    #[must_use]
    pub fn uncompressed(mut self) -> Self {
        if let Some(websocket) = &mut self.websocket {
            websocket.compresses = false;
        }
        self
    }

    /// Address of the broker's socket.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Whether it goes through TLS.
    #[must_use]
    pub fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// The same endpoint for a client that resumes its own sessions of TLS, and nobody else's.
    #[must_use]
    pub fn with_own_tls_sessions(&self) -> Self {
        Self { tls: self.tls.as_ref().map(TlsContext::with_own_sessions), ..self.clone() }
    }

    /// The same endpoint for clients that resume no session of TLS.
    #[must_use]
    pub fn without_tls_sessions(&self) -> Self {
        Self { tls: self.tls.as_ref().map(TlsContext::without_sessions), ..self.clone() }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Address::Tcp { host, port } if host.contains(':') => write!(formatter, "[{host}]:{port}"),
            Address::Tcp { host, port } => write!(formatter, "{host}:{port}"),
            Address::Unix(path) => path.display().fmt(formatter),
        }
    }
}
