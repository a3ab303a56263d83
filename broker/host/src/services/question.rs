//! Questions of rules: what a client wants to do, who asks, and what was read for the answer.

use std::{fmt, sync::Arc};

use crate::{
    BorrowedMessage, bindings::rule::exports::lotmq::guest::rule_handler as handler, deadline::Deadline,
};

/// What a client wants to do, as a rule is asked.
pub use handler::Request;
/// What a rule says.
pub use handler::Verdict;

/// Who asks. Answers do not change while a rule runs.
pub trait Subject: Send + Sync {
    /// A property or flag of the user; `None` when it is not set or nobody is logged in.
    fn property(&self, name: &str) -> Option<String>;

    /// Whether the user is in the group.
    fn in_group(&self, name: &str) -> bool;
}

/// Something that a rule read, and what it got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// The last value of a topic; `None` when there is none.
    Value {
        /// The topic.
        topic: Box<str>,
        /// What it was.
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

/// What a rule asks a module: its own question.
pub struct ModuleQuestion<'a> {
    /// What a client wants to do.
    pub request: &'a Request,
    /// Who asks, if anybody.
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
