//! Panels and themes in the syntax tree (LoT reference §13).

use super::expression::{Expression, Text};
use super::{Name, Span};
use crate::statement::Statement;

/// `DEFINE PANEL`, `DEFINE VISU`.
#[derive(Debug, Clone, PartialEq)]
pub struct DefinePanel {
    /// Its name.
    pub name: Name,
    /// Clauses before the first component.
    pub clauses: Vec<PanelClause>,
    /// Components in source order.
    pub components: Vec<Component>,
}

/// `ADD COMPONENT`.
#[derive(Debug, Clone, PartialEq)]
pub struct Component {
    /// Its name.
    pub name: Name,
    /// Its lines, nested components excluded.
    pub clauses: Vec<PanelClause>,
    /// Nested components.
    pub components: Vec<Component>,
    /// Statements of `ON CLICK DO`; empty when there are none.
    pub on_click: Vec<Statement>,
}

/// `WITH TITLE "t"`, `SET RANGE FROM 0 TO 9`, `BIND VALUE TO TOPIC "t"`: words and values in source
/// order.
#[derive(Debug, Clone, PartialEq)]
pub struct PanelClause {
    /// The leading words: `WITH TITLE`, `SET RANGE`, `BIND VALUE`.
    pub words: Vec<String>,
    /// Values and words behind them.
    pub values: Vec<PanelValue>,
    /// Place of the clause.
    pub span: Span,
}

/// A value or a word inside a clause.
#[derive(Debug, Clone, PartialEq)]
pub enum PanelValue {
    /// `FROM`, `TO`, `PRIVATE`, …
    Word(String),
    /// A literal or an expression.
    Value(Expression),
}

/// `DEFINE THEME`.
#[derive(Debug, Clone, PartialEq)]
pub struct DefineTheme {
    /// Its name.
    pub name: Name,
    /// `SET "KEY" WITH "value"` lines.
    pub settings: Vec<(Text, Text)>,
}
