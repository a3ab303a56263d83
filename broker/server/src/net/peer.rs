//! From where a connection came.

use std::fmt;
use std::net::SocketAddr;

/// From where a connection came, for logs, the `$SYS` tree and the login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// The other end of the TCP connection.
    Tcp(SocketAddr),
}

impl Peer {
    /// As the login judges it.
    pub(crate) fn for_login(self) -> lotmq_auth::Peer {
        match self {
            Self::Tcp(address) => lotmq_auth::Peer::Tcp(address.ip()),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(formatter),
        }
    }
}
