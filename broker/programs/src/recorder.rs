//! A witness of what the definitions of a tenant do and its rules deny: told at once, in the order
//! in which it is done, whether anybody gets a message of it or not.
//!
//! A broker with clients has none; what it tells of definitions it publishes. The one of a program
//! that is run or tested on the command line prints it.

use std::fmt;

use lotmq_definitions::RunError;
use lotmq_host::auth::{Answer, Principal, Selector};
use lotmq_host::{Qos, Value};

/// Observed action of a definition.
#[derive(Clone, Debug, PartialEq)]
pub enum RunEvent {
    /// It published a message, which is on its way to its receivers.
    Published(Published),
    /// A run ended with outputs.
    Returned(Vec<Value>),
    /// A run, or the broker about a run, has something to tell.
    Reported(Report),
    /// A script that it called has printed something.
    Printed(String),
    /// It is a route that is not connected, with the reason.
    Unconnected(String),
    /// It is such a route, and this would have gone to its other side.
    Forwarded(Forwarded),
    /// It is a module for logins, and answered or did something to Clients.
    OfLogins(LoginEvent),
}

impl RunEvent {
    pub(super) fn published(
        (topic, payload): (&str, &[u8]),
        qos: Qos,
        retain: bool,
        properties: &[u8],
    ) -> Self {
        let (topic, payload, properties) = (topic.to_owned(), payload.to_vec(), properties.to_vec());
        Self::Published(Published { topic, payload, qos, retain, properties })
    }
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Topic Name.
    pub topic: String,
    /// Payload.
    pub payload: Vec<u8>,
    /// Quality of service.
    pub qos: Qos,
    /// RETAIN.
    pub retain: bool,
    /// Properties of MQTT 5.0 as PUBLISH has them, without their length.
    pub properties: Vec<u8>,
}

/// Message that would have gone to the other side of a route that is not connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarded {
    /// Part of the route that takes it, with its noun.
    pub to: String,
    /// Topic Name.
    pub topic: String,
    /// Payload.
    pub payload: Vec<u8>,
}

/// Answer of a login module to a login, or its action on Clients that it has let in.
#[derive(Clone, Debug, PartialEq)]
pub enum LoginEvent {
    /// It answers to a login or to a step of an enhanced authentication.
    Answered {
        /// Client Identifier that CONNECT had.
        client_id: String,
        /// The answer.
        answer: Answer,
    },
    /// It ends connections and sessions.
    Revoked {
        /// Whose.
        whom: Selector,
        /// Reason Code of DISCONNECT.
        reason_code: u8,
        /// Reason String of DISCONNECT.
        reason: Option<String>,
    },
    /// It replaces who Clients are and what they may.
    Updated {
        /// Whose.
        whom: Selector,
        /// Their new identity.
        principal: Principal,
    },
}

/// Warning or error about a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Whether it is an error, not a warning.
    pub is_error: bool,
    /// Line of the program, from 1; 0 where none has to do with it.
    pub line: u32,
    /// Column in that line.
    pub column: u32,
    /// The text, without the values of secrets.
    pub message: String,
    /// Its code.
    pub code: String,
}

impl Report {
    pub(super) fn new(is_error: bool, error: &RunError<'_>) -> Self {
        let RunError { code, message, line, column, .. } = *error;
        Self { is_error, line, column, message: message.to_owned(), code: code.to_owned() }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        write!(f, ": {} ({})", self.message, self.code)
    }
}

/// Something that rules did not let a Client do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// Scope as rules spell it: `Publish`, `Subscribe`, `Connect`.
    pub scope: &'static str,
    /// Topic Name or Topic Filter; `None` of what is about neither.
    pub topic: Option<String>,
    /// The Client's user; `None` for an anonymous one.
    pub user: Option<String>,
    /// Client Identifier.
    pub client_id: String,
    /// Rule that denied it, and where that rule is defined.
    pub by: String,
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scope, topic, user, client_id, by } = self;
        write!(f, "denied {scope}")?;
        topic.iter().try_for_each(|topic| write!(f, " {topic}"))?;
        write!(f, " to {} as {client_id}, by {by}", user.as_deref().unwrap_or("anonymous"))
    }
}

/// Somebody who is told what definitions do; called on whatever thread does it.
pub trait RunRecorder: Send + Sync {
    /// The definition of this name did something.
    fn sees(&self, definition: &str, event: RunEvent);

    /// Rules have denied something to a Client.
    fn sees_denial(&self, denial: Denial);

    /// The module for logins of this name does something to Clients that it has let in; the number
    /// of their sessions.
    fn sees_intervention(&self, module: &str, event: LoginEvent) -> u32;
}
