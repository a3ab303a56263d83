//! Extended authentication: an exchange of several messages, from which it comes out who a Client
//! is (MQTT 5.0 §4.12).
//!
//! A value that [`Directory::step`](crate::Directory::step) moves on with each of the Client's
//! messages. Where they travel (AUTH, CONNECT, CONNACK) and how long they may take is the caller's.
//! Not here: the messages themselves (`scram`).

use crate::Identity;
use crate::attempts::AttemptKey;
use crate::scram::Challenge;

/// A way to authenticate by an exchange, as CONNECT names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// `SCRAM-SHA-256`, RFC 7677.
    ScramSha256,
}

impl Method {
    /// Its name in Authentication Method, as IANA registers mechanisms.
    pub fn name(self) -> &'static str {
        match self {
            Method::ScramSha256 => "SCRAM-SHA-256",
        }
    }

    /// The method of this name; upper and lower case are different.
    pub fn by_name(name: &str) -> Option<Method> {
        [Method::ScramSha256].into_iter().find(|method| method.name() == name)
    }
}

/// One exchange.
pub struct Exchange {
    pub(crate) method: Method,
    pub(crate) state: ExchangeState,
    /// Who the Client says it is.
    pub(crate) claimed: Option<String>,
}

/// How far an exchange is.
pub(crate) enum ExchangeState {
    /// Nothing has come.
    New,
    /// SCRAM: the server's first message is out.
    Challenged {
        challenge: Box<Challenge>,
        /// As what it counts when it fails.
        attempt: AttemptKey,
        /// Who it is if he proves it; `None` for one who cannot, whatever he says.
        identity: Option<Identity>,
    },
    /// It has ended, well or not.
    Over,
}

impl Exchange {
    /// Its method.
    pub fn method(&self) -> Method {
        self.method
    }

    /// The user that the Client says it is, true or not; `None` until it has said so. For the log.
    pub fn claimed_user(&self) -> Option<&str> {
        self.claimed.as_deref()
    }
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exchange").field("method", &self.method).finish_non_exhaustive()
    }
}

/// What comes of a Client's message.
#[derive(Debug)]
pub enum ExchangeStep {
    /// Data for the Client, which must go on.
    Challenge(Vec<u8>),
    /// It is known who the Client is; data for it, from which it sees that the server knows its
    /// password, too.
    Done {
        /// Who it is.
        identity: Identity,
        /// The last data for the Client.
        data: Vec<u8>,
    },
}
