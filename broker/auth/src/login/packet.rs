//! CONNECT and its connection, as members of the login chain see them that answer later.

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// CONNECT with facts of its connection.
pub struct ConnectPacket {
    /// Number of the connection. No two open connections have the same.
    pub connection: u64,
    /// Remote address as text: `ip:port`, or `unix`.
    pub endpoint: String,
    /// Server name that the Client asked for in TLS (RFC 6066).
    pub server_name: Option<String>,
    /// Certificate of the Client, on listeners that ask for one.
    pub certificate: Option<ClientCertificate>,
    /// Body of the packet, with the password.
    pub body: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for ConnectPacket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectPacket").field("connection", &self.connection).finish_non_exhaustive()
    }
}

/// Certificate of a Client, which the authorities of its listener have accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Subject as in RFC 4514; empty where an attribute has no name there.
    pub subject: String,
    /// Issuer as in RFC 4514; empty where an attribute has no name there.
    pub issuer: String,
    /// Subject Alternative Names of the kinds that users can come from.
    pub alternative_names: Vec<(AlternativeKind, String)>,
    /// Serial number, big-endian.
    pub serial: Vec<u8>,
    /// End of its validity in milliseconds since 1970.
    pub ends_ms: u64,
    /// The certificate in DER.
    pub der: Vec<u8>,
}

impl ClientCertificate {
    /// SHA-256 of the DER form.
    pub fn fingerprint(&self) -> [u8; 32] {
        Sha256::digest(&self.der).into()
    }
}

/// Kind of a Subject Alternative Name (RFC 5280 §4.2.1.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlternativeKind {
    /// DNS name.
    Dns,
    /// E-mail address.
    Email,
    /// URI.
    Uri,
}
