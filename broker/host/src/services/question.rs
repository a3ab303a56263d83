//! Questions of rules: the operation of a client, its user, and the reads for the answer.

use std::{fmt, sync::Arc};

use crate::{
    BorrowedMessage, bindings::rule::exports::lotmq::guest::rule_handler as handler, deadline::Deadline,
};

/// Operation of a client that a rule decides on.
pub use handler::Request;
/// Decision of a rule.
pub use handler::Verdict;

/// User that asks a rule. Answers do not change while a rule runs.
pub trait Subject: Send + Sync {
    /// A property or flag of the user; `None` when it is not set or nobody is logged in.
    fn property(&self, name: &str) -> Option<String>;

    /// Whether the user is in the group.
    fn in_group(&self, name: &str) -> bool;
}

/// Read of a rule, with its result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// The last value of a topic; `None` when there is none.
    Value {
        /// The topic.
        topic: Box<str>,
        /// The value that was read.
        value: Option<Box<[u8]>>,
    },
    /// Whether a topic has a retained message.
    Retained {
        /// The topic.
        topic: Box<str>,
        /// Whether it had.
        exists: bool,
    },
    /// Something that the message says beyond topic and payload.
    Message,
    /// Something of the connection.
    Connection,
    /// The time, or chance.
    Moment,
    /// The rule's own state.
    State,
}

impl Read {
    pub(crate) fn value(topic: &str, value: Option<&[u8]>) -> Read {
        Read::Value { topic: topic.into(), value: value.map(Into::into) }
    }

    pub(crate) fn retained(topic: &str, exists: bool) -> Read {
        Read::Retained { topic: topic.into(), exists }
    }
}

/// Question of a rule to a module: the one that the rule was asked.
pub struct ModuleQuestion<'a> {
    /// Operation of the client.
    pub request: &'a Request,
    /// User that asks, if there is one.
    pub subject: Option<Arc<dyn Subject>>,
    pub(crate) message: Option<BorrowedMessage<'a>>,
    pub(crate) protocol_version: Option<u8>,
    pub(crate) depth: u8,
    pub(crate) hops: u8,
    pub(crate) deadline: Deadline,
}

impl fmt::Debug for ModuleQuestion<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModuleQuestion").field("request", self.request).finish_non_exhaustive()
    }
}
