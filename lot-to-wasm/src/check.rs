//! Checking: from the syntax tree to the [checked tree](tree), with names, topics, kinds and constants settled.

pub mod kind;
pub mod tree;

use lot_facts::Signature;

/// What is known about other definitions while one is checked.
pub trait Known {
    /// Inputs and outputs of a callable Action; `None` when there is no such Action yet or a trigger starts it.
    fn action(&self, name: &str) -> Option<Signature>;
}

/// Knows nothing: every callee is pending.
#[derive(Debug, Clone, Copy, Default)]
pub struct KnownNothing;

impl Known for KnownNothing {
    fn action(&self, _name: &str) -> Option<Signature> {
        None
    }
}
