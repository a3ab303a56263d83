//! Topic facts: static knowledge about a topic before the program runs.
//!
//! Every run-time part of a topic that replaces one level becomes `+`; a part that may contain `/`
//! becomes a trailing `#`.

use serde::{Deserialize, Serialize};

/// Set of topics that an operand can name, LoT reference §17.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TopicFact {
    /// Exactly this Topic Name.
    Exact(String),
    /// Any Topic Name that this Topic Filter matches. Unlike in a subscription, a leading wildcard
    /// also covers `$…` topics.
    Pattern(String),
    /// Nothing is known: every topic.
    Any,
}

impl TopicFact {
    /// Whether a Topic Filter may match a message on this topic. Returns `false` for a topic of
    /// which nothing is known: it could match everything, and a warning that is nearly always wrong
    /// is not read.
    pub fn may_match(&self, filter: &str) -> bool {
        match self {
            TopicFact::Exact(pattern) | TopicFact::Pattern(pattern) => overlaps(pattern, filter),
            TopicFact::Any => false,
        }
    }
}

/// Whether some topic is both one of a fact's pattern and matched by a Topic Filter.
pub fn overlaps(pattern: &str, filter: &str) -> bool {
    if pattern.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let (mut ours, mut theirs) = (pattern.split('/'), filter.split('/'));
    loop {
        match (ours.next(), theirs.next()) {
            (Some("#"), _) | (_, Some("#")) | (None, None) => return true,
            (Some(a), Some(b)) if a == "+" || b == "+" || a == b => {}
            _ => return false,
        }
    }
}
