//! Statements: one file per construct, each with its grammar, node, `parse` and `check`.
//!
//! This file is the registry. A statement is parsed by its first word or words; [`STATEMENTS`] lists them for the parser, for
//! "did you mean" and for editors.

pub mod call_action;
pub mod call_python;
pub mod call_route;
pub mod delete;
pub mod if_else;
pub mod keep;
pub mod loop_until;
pub mod navigate;
pub mod publish_model;
pub mod publish_topic;
pub mod set;
pub mod switch;
pub mod trigger_event;

use crate::source::Span;

pub use call_action::CallAction;
pub use call_python::CallPython;
pub use call_route::{CallRoute, Service};
pub use delete::{Delete, DeleteTarget};
pub use if_else::{IfBranch, IfElse};
pub use keep::{Keep, KeepTarget};
pub use loop_until::LoopUntil;
pub use navigate::Navigate;
pub use publish_model::{Assignment, PublishModel};
pub use publish_topic::PublishTopic;
pub use set::Set;
pub use switch::{Switch, SwitchCase};
pub use trigger_event::TriggerEvent;

/// A statement with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// What it is.
    pub kind: StatementKind,
    /// From its first word to the end of its last line.
    pub span: Span,
}

/// What a statement is.
#[derive(Debug, Clone, PartialEq)]
pub enum StatementKind {
    /// `SET`.
    Set(Set),
    /// `PUBLISH TOPIC`.
    PublishTopic(PublishTopic),
    /// `PUBLISH MODEL`.
    PublishModel(PublishModel),
    /// `KEEP TOPIC`, `KEEP ENV`, `KEEP SECRET`.
    Keep(Keep),
    /// `DELETE TOPIC`, `DELETE ENV`, `DELETE SECRET`.
    Delete(Delete),
    /// `IF`.
    IfElse(IfElse),
    /// `SWITCH`.
    Switch(Switch),
    /// `LOOP`.
    LoopUntil(LoopUntil),
    /// `CALL ACTION`.
    CallAction(CallAction),
    /// `CALL PYTHON`.
    CallPython(CallPython),
    /// `CALL MCP`, `CALL LLM`, `CALL AGENT`.
    CallRoute(CallRoute),
    /// `TRIGGER`.
    TriggerEvent(TriggerEvent),
    /// `NAVIGATE`, only in a panel.
    Navigate(Navigate),
}
