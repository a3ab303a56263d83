//! Topic facts: what is known about a topic before the program runs.
//!
//! Every run-time part of a topic that replaces one level becomes `+`; a part that may contain `/` becomes a trailing `#`.

use serde::{Deserialize, Serialize};

/// Which topics an operand can name, LoT reference §17.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TopicFact {
    /// Exactly this Topic Name.
    Exact(String),
    /// Any Topic Name that this Topic Filter matches. Unlike in a subscription, a leading wildcard also covers `$…` topics.
    Pattern(String),
    /// Nothing is known: every topic.
    Any,
}
