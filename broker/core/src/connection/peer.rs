//! Peers of connections.

use std::fmt;
use std::net::SocketAddr;

/// Peer of a connection, for logs, the `$SYS` tree and the login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Other end of the TCP or QUIC connection.
    Tcp(SocketAddr),
    /// A process of this machine.
    Unix,
    /// Address that a proxy told; the proxy's own where it told none.
    Proxied(SocketAddr),
}

impl Peer {
    /// Peer of the same connection behind a proxy that told this address.
    pub fn behind_proxy(self, told: Option<SocketAddr>) -> Self {
        match (self, told) {
            (_, Some(told)) => Self::Proxied(told),
            (Self::Tcp(own) | Self::Proxied(own), None) => Self::Proxied(own),
            (Self::Unix, None) => Self::Unix,
        }
    }

    /// Peer as the login judges it: behind a proxy it is never local.
    pub fn for_login(self) -> lotmq_auth::Peer {
        match self {
            Self::Tcp(address) => lotmq_auth::Peer::Tcp(address.ip()),
            Self::Unix => lotmq_auth::Peer::Unix,
            Self::Proxied(address) => lotmq_auth::Peer::Proxied(address.ip()),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) | Self::Proxied(address) => address.fmt(formatter),
            Self::Unix => formatter.write_str("unix"),
        }
    }
}

/// User named by a client certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Certified {
    /// A user of this name.
    User(Box<str>),
    /// Nobody: the certificate has no name of the wanted kind.
    Nobody,
}
