//! Extended authentication: an exchange of several messages that identifies a Client (MQTT 5.0
//! §4.12).
//!
//! [`Directory::step`](crate::Directory::step) advances the value with each message of the Client.
//! The caller carries the messages (AUTH, CONNECT, CONNACK) and limits the time. Not here: the
//! messages themselves (`scram`).

use crate::Identity;
use crate::attempts::AttemptKey;
use crate::login::Method;
use crate::scram::Challenge;

/// One exchange.
pub struct Exchange {
    pub(crate) method: Method,
    pub(crate) state: ExchangeState,
    /// User name that the Client claims.
    pub(crate) claimed: Option<String>,
}

/// How far an exchange is.
pub(crate) enum ExchangeState {
    /// Nothing has come.
    New,
    /// SCRAM: the server's first message is out.
    Challenged {
        challenge: Box<Challenge>,
        /// Key under which a failure counts.
        attempt: AttemptKey,
        /// Identity that the proof grants; `None` if no proof can.
        identity: Option<Identity>,
    },
    /// It has ended, well or not.
    Over,
}

impl Exchange {
    /// Its method.
    pub fn method(&self) -> Method {
        self.method.clone()
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

/// Result of a Client's message.
#[derive(Debug)]
pub enum ExchangeStep {
    /// Data for the Client, which must go on.
    Challenge(Vec<u8>),
    /// It is known who the Client is; data for it, from which it sees that the server knows its
    /// password, too.
    Done {
        /// Proved identity of the Client.
        identity: Identity,
        /// The last data for the Client.
        data: Vec<u8>,
    },
}
