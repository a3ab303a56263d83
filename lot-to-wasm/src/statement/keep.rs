//! `KEEP TOPIC t WITH v`, `KEEP ENV "N" WITH v`, `KEEP SECRET "N" WITH v` (LoT reference §6, §8.2).
//!
//! ```text
//! keep = "KEEP" ( "TOPIC" topicExpr | "ENV" string | "SECRET" string ) "WITH" value ;
//!
//! KEEP TOPIC "state/mode" WITH PAYLOAD
//! ```

use crate::check::tree::SettingStore;
use crate::syntax::{Expression, Text, TopicOperand};

/// `KEEP target WITH value`.
#[derive(Debug, Clone, PartialEq)]
pub struct Keep {
    /// What is set.
    pub target: KeepTarget,
    /// Its new value.
    pub value: Expression,
}

/// What `KEEP` sets.
#[derive(Debug, Clone, PartialEq)]
pub enum KeepTarget {
    /// The last value of a topic.
    Topic(TopicOperand),
    /// An environment value or a secret.
    Setting(SettingStore, Text),
}
