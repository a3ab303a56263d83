//! Triggers: one file per word after `ON`, each with its grammar and the facts it emits (LoT reference §7).

use crate::source::Span;

/// `ON …` of an Action.
#[derive(Debug, Clone, PartialEq)]
pub struct Trigger {
    /// The static record that the broker arms.
    pub fact: lot_facts::Trigger,
    /// From `ON` to the last word before `DO`.
    pub span: Span,
}
