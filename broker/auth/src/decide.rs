//! The decision interface: one question, one verdict.
//!
//! Asked by the server before anything that a Client wants; answered by the [`PermissionTable`](crate::PermissionTable)
//! until rules exist, then by rule guests. Asking is cheap but not free: the server keeps verdicts per (session, scope,
//! topic) as long as [`Decide::generation`] stays.

use crate::login::Identity;
use crate::scope::Scope;

/// Who decides. Shared by all threads.
pub trait Decide: Send + Sync {
    /// Answers one question. Never blocks on I/O.
    fn decide(&self, question: &Question<'_>) -> Verdict;

    /// Changes whenever an earlier verdict may no longer hold.
    fn generation(&self) -> u64;
}

/// What somebody wants to do.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The kind of operation.
    pub scope: Scope,
    /// Who asks.
    pub identity: &'a Identity,
    /// The Topic Name of a PUBLISH, or the Topic Filter of a SUBSCRIBE as it was requested (`$share/…` included);
    /// `None` for everything else.
    pub topic: Option<&'a str>,
}

impl<'a> Question<'a> {
    /// About a PUBLISH; the scope follows from the topic.
    pub fn publish(identity: &'a Identity, topic: &'a str) -> Question<'a> {
        Question { scope: Scope::of_publish(topic), identity, topic: Some(topic) }
    }

    /// About one filter of a SUBSCRIBE; the scope follows from the filter.
    pub fn subscribe(identity: &'a Identity, filter: &'a str) -> Question<'a> {
        Question { scope: Scope::of_subscribe(filter).0, identity, topic: Some(filter) }
    }

    /// About a command or a CONNECT.
    pub fn operation(identity: &'a Identity, scope: Scope) -> Question<'a> {
        Question { scope, identity, topic: None }
    }
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Yes.
    Allow,
    /// Yes, but the subscription delivers only topics that this Topic Filter matches, live and retained. Only given for
    /// `$SYS/#` of an anonymous Client on loopback, which gets `$SYS/broker/#`.
    AllowOnly(&'static str),
    /// No.
    Deny,
}

impl Verdict {
    /// Whether it is some kind of yes.
    pub fn is_allowed(self) -> bool {
        self != Verdict::Deny
    }
}

impl From<bool> for Verdict {
    fn from(is_allowed: bool) -> Verdict {
        if is_allowed { Verdict::Allow } else { Verdict::Deny }
    }
}
