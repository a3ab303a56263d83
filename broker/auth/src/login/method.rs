//! Authentication methods (MQTT 5.0 §4.12).

use std::sync::Arc;

/// A way to authenticate by an exchange, as CONNECT names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Method {
    /// `SCRAM-SHA-256`, RFC 7677.
    ScramSha256,
    /// `JWT`: the one message of the Client is a JSON Web Token, RFC 7519.
    Jwt,
    /// A method of this name, which a member of the login chain knows.
    OfMember(Arc<str>),
}

impl Method {
    /// Its name in Authentication Method, as IANA registers mechanisms.
    pub fn name(&self) -> &str {
        match self {
            Method::ScramSha256 => "SCRAM-SHA-256",
            Method::Jwt => "JWT",
            Method::OfMember(name) => name,
        }
    }

    /// The method of the broker with this name; upper and lower case are different.
    pub fn by_name(name: &str) -> Option<Method> {
        [Method::ScramSha256, Method::Jwt].into_iter().find(|method| method.name() == name)
    }

    /// Whether the Client proves everything in its first message, a bearer token. A member of the
    /// login chain decides about it, and there is no [`Exchange`](crate::Exchange).
    pub fn is_bearer(&self) -> bool {
        match self {
            Method::ScramSha256 | Method::OfMember(_) => false,
            Method::Jwt => true,
        }
    }
}
