//! Opinions of rules: what one that is asked says, and how long that may be remembered.

use std::sync::Arc;

use crate::account::Account;
use crate::decide::Question;

/// Answer of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opinion {
    /// Yes, unless another rule of the same priority denies.
    Allow,
    /// No.
    Deny,
    /// Not my business: the next priority decides.
    Nothing,
}

/// Answer of a rule, and how long it may be remembered.
pub struct Answer {
    /// The answer; a rule that fails denies.
    pub opinion: Opinion,
    /// How long the same inputs give the same.
    pub validity: Validity,
}

/// How long an answer may be remembered.
pub enum Validity {
    /// As long as the rule: it depends on its inputs alone.
    Lasting,
    /// As long as its reads stay the same.
    While(Arc<dyn Still>),
    /// Not at all: the answer is due to something that passes.
    Never,
}

/// Check whether earlier reads still give the same.
pub trait Still: Send + Sync {
    /// Reads again.
    fn holds(&self) -> bool;
}

/// A rule that can be asked. Shared by all threads.
pub trait Ask: Send + Sync {
    /// Asks, on behalf of the account of the question's user, if there is one. A user without an
    /// account has the groups and properties of its [`Principal`](crate::Principal). Never waits
    /// for anything but the rule itself.
    fn ask(&self, question: &Question<'_>, account: Option<&Arc<Account>>) -> Answer;
}
