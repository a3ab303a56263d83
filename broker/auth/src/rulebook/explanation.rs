//! Explanation of a decision: the steps of the path on which a question was decided.
//!
//! The steps come from the same code that decides, by an observer that the data path does without.

use std::sync::Arc;

use crate::decide::Authorization;
use crate::opinion::Opinion;

/// Step on the path of a decision. The last one decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DecisionStep {
    /// `root` may do everything.
    Root,
    /// The first grant of the user about the topic.
    Grant {
        /// Its number among the grants of the user, from 1.
        number: usize,
        /// Its Topic Filter, with `%u` and `%c` as they are.
        filter: Box<str>,
        /// Whether it allows the operation.
        is_allowed: bool,
    },
    /// The user has grants, and none is about the topic.
    NoGrant,
    /// Answer of the built-in rules of a priority.
    BuiltIn {
        /// The priority.
        priority: u64,
        /// Their answer.
        authorization: Authorization,
    },
    /// Answer of a rule.
    Rule {
        /// Its name.
        name: Arc<str>,
        /// Its priority; of rules with the same one, DENY wins.
        priority: u64,
        /// Its answer.
        opinion: Opinion,
    },
    /// No rule has allowed it.
    Default,
}

/// Observer of the steps of a decision.
pub(super) trait StepObserver {
    /// Takes a step.
    fn record(&mut self, step: impl FnOnce() -> DecisionStep);
}

/// Nobody asks why.
impl StepObserver for () {
    #[inline]
    fn record(&mut self, _step: impl FnOnce() -> DecisionStep) {}
}

impl StepObserver for Vec<DecisionStep> {
    fn record(&mut self, step: impl FnOnce() -> DecisionStep) {
        self.push(step());
    }
}
