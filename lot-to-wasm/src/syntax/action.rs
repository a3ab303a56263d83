//! Actions in the syntax tree (LoT reference §3, §7).

use super::expression::Text;
use super::{Name, Span};
use crate::statement::Statement;
use crate::trigger::TriggerClause;
use lot_facts::InputKind;

/// `DEFINE ACTION`.
#[derive(Debug, Clone, PartialEq)]
pub struct DefineAction {
    /// Its name.
    pub name: Name,
    /// Start of a run.
    pub entry: ActionBody,
    /// The statements after `DO`; empty only after an error.
    pub body: Vec<Statement>,
    /// `DESCRIPTION`.
    pub description: Option<Text>,
}

/// Start of a run of an Action.
#[derive(Debug, Clone, PartialEq)]
pub enum ActionBody {
    /// `ON …`.
    Triggered(TriggerClause),
    /// No trigger: called by name.
    Callable {
        /// `INPUT` lines.
        inputs: Vec<InputLine>,
        /// `OUTPUT` lines.
        outputs: Vec<OutputLine>,
    },
}

/// `INPUT name [AS type]`.
#[derive(Debug, Clone, PartialEq)]
pub struct InputLine {
    /// The name.
    pub name: Name,
    /// The declared type.
    pub kind: Option<InputKind>,
    /// The line.
    pub span: Span,
}

/// `OUTPUT name`.
#[derive(Debug, Clone, PartialEq)]
pub struct OutputLine {
    /// The name.
    pub name: Name,
}
