//! `DELETE ENV "N"`, `DELETE SECRET "N"`, `DELETE TOPIC "t"` (LoT reference §8.2).
//!
//! ```text
//! delete = "DELETE" ( "ENV" | "SECRET" | "TOPIC" ) string ;
//!
//! DELETE ENV "RUNS"
//! ```

use crate::check::tree::SettingStore;
use crate::syntax::{Text, TopicOperand};

/// `DELETE target`.
#[derive(Debug, Clone, PartialEq)]
pub struct Delete {
    /// What is removed.
    pub target: DeleteTarget,
}

/// What `DELETE` removes.
#[derive(Debug, Clone, PartialEq)]
pub enum DeleteTarget {
    /// The kept value of a topic.
    Topic(TopicOperand),
    /// An environment value or a secret.
    Setting(SettingStore, Text),
}
