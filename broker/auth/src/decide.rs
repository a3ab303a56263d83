//! The decision interface: one question, one decision.
//!
//! Asked by the server before anything that a Client wants; answered by the
//! [`Rulebook`](crate::Rulebook). Asking is cheap but not free: the server keeps a
//! [stable](Decision::is_stable) decision per session, scope and topic as long as
//! [`Decide::generation`] stays.

use std::fmt;
use std::sync::Arc;

use crate::login::Identity;
use crate::scope::Scope;

/// Permission decision. Shared by all threads.
pub trait Decide: Send + Sync {
    /// Answers one question, and says how long the answer is good for. Never blocks on I/O.
    fn decision(&self, question: &Question<'_>) -> Decision;

    /// Answers one question.
    fn decide(&self, question: &Question<'_>) -> Authorization {
        self.decision(question).authorization
    }

    /// Changes whenever an earlier decision may no longer hold.
    fn generation(&self) -> u64;
}

/// Operation that a client asks for.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The kind of operation.
    pub scope: Scope,
    /// Identity of the client.
    pub identity: &'a Identity,
    /// The Topic Name of a PUBLISH, or the Topic Filter of a SUBSCRIBE as it was requested
    /// (`$share/…` included); `None` for everything else.
    pub topic: Option<&'a str>,
    /// The payload of a PUBLISH, where it is known.
    pub payload: Option<&'a [u8]>,
    /// Further parts of a PUBLISH, where they are known.
    pub message: Option<AskedMessage<'a>>,
}

/// Parts of a message beyond topic and payload.
#[derive(Debug, Clone, Copy)]
pub struct AskedMessage<'a> {
    /// Quality of service, 0 to 2.
    pub qos: u8,
    /// RETAIN.
    pub retain: bool,
    /// Properties of MQTT 5.0, encoded, without their length.
    pub properties: &'a [u8],
    /// Expiry time, in milliseconds since 1970; `None` when it never expires.
    pub expires_at_ms: Option<u64>,
}

impl<'a> Question<'a> {
    /// About a PUBLISH; the scope follows from the topic.
    pub fn publish(identity: &'a Identity, topic: &'a str) -> Question<'a> {
        Question {
            scope: Scope::of_publish(topic),
            identity,
            topic: Some(topic),
            payload: None,
            message: None,
        }
    }

    /// The same question about a message with this payload.
    pub fn with_payload(self, payload: &'a [u8]) -> Question<'a> {
        Question { payload: Some(payload), ..self }
    }

    /// The same question about a message with these further parts.
    pub fn with_message(self, message: AskedMessage<'a>) -> Question<'a> {
        Question { message: Some(message), ..self }
    }

    /// About one filter of a SUBSCRIBE; the scope follows from the filter.
    pub fn subscribe(identity: &'a Identity, filter: &'a str) -> Question<'a> {
        Question {
            scope: Scope::of_subscribe(filter).0,
            identity,
            topic: Some(filter),
            payload: None,
            message: None,
        }
    }

    /// About a command or a CONNECT.
    pub fn operation(identity: &'a Identity, scope: Scope) -> Question<'a> {
        Question { scope, identity, topic: None, payload: None, message: None }
    }
}

/// Decision about a question: its authorization, and how long that is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Permitted operation.
    pub authorization: Authorization,
    /// Whether the same question gets the same answer as long as [`Decide::generation`] stays. Not
    /// so when a rule looked at a payload or at last values.
    pub is_stable: bool,
}

/// Authorization that a question gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authorization {
    /// Yes.
    Allow,
    /// Yes, but the subscription delivers only topics that this Topic Filter matches, live and
    /// retained. Only given for `$SYS/#` of an anonymous Client on loopback, which gets
    /// `$SYS/broker/#`.
    AllowOnly(&'static str),
    /// No.
    Deny,
}

impl Authorization {
    /// Whether it is some kind of yes.
    pub fn is_allowed(self) -> bool {
        self != Authorization::Deny
    }
}

impl From<bool> for Authorization {
    fn from(is_allowed: bool) -> Authorization {
        if is_allowed { Authorization::Allow } else { Authorization::Deny }
    }
}

/// Rule or grant that denied a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denier {
    /// The rule of this name.
    Rule(Arc<str>),
    /// The grant of the user about this Topic Filter.
    Grant(Box<str>),
    /// No grant of the user is about the topic.
    NoGrant,
    /// A built-in rule.
    BuiltIn,
    /// Nobody: no rule said yes.
    Nobody,
}

impl fmt::Display for Denier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Denier::Rule(name) => write!(f, "rule {name}"),
            Denier::Grant(filter) => write!(f, "the user's grant about {}", filter.escape_debug()),
            Denier::NoGrant => f.write_str("default: no grant of the user allows it"),
            Denier::BuiltIn => f.write_str("a built-in rule"),
            Denier::Nobody => f.write_str("default: no rule allows it"),
        }
    }
}
