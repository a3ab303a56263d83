//! Where a broker is, and what lies between the socket and MQTT.

use std::fmt;
use std::path::PathBuf;

use crate::tls::TlsContext;

/// Where a broker is and how it is reached.
#[derive(Clone, Debug)]
pub struct Endpoint {
    pub(crate) place: Place,
    pub(crate) tls: Option<TlsContext>,
    pub(crate) websocket: Option<WebSocketPath>,
}

/// How MQTT is reached over WebSocket.
#[derive(Clone, Debug)]
pub(crate) struct WebSocketPath {
    pub(crate) path: String,
    pub(crate) compresses: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Place {
    Tcp { host: String, port: u16 },
    Unix(PathBuf),
}

impl Endpoint {
    /// A TCP port; `host` is a name or an address, of IPv6 with or without brackets.
    #[must_use]
    pub fn tcp(host: &str, port: u16) -> Self {
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Self { place: Place::Tcp { host, port }, tls: None, websocket: None }
    }

    /// A Unix socket.
    #[must_use]
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self { place: Place::Unix(path.into()), tls: None, websocket: None }
    }

    /// Speaks WebSocket, at this path.
    #[must_use]
    pub fn websocket(mut self, path: &str) -> Self {
        self.websocket = Some(WebSocketPath { path: path.to_owned(), compresses: false });
        self
    }

    /// Speaks WebSocket, at this path, and compresses messages (permessage-deflate) if the server agrees.
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
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Tcp { host, port } if host.contains(':') => write!(formatter, "[{host}]:{port}"),
            Place::Tcp { host, port } => write!(formatter, "{host}:{port}"),
            Place::Unix(path) => path.display().fmt(formatter),
        }
    }
}
