//! The syntax tree: the structure of a text, with the place of everything, before names and types
//! are checked.
//!
//! Made by the parser in [`parse`], one tree per entity, also for texts with errors: a construct
//! that could not be read is [`ExpressionKind::Invalid`] or missing. Statements live with their
//! parsers in [`statement`](crate::statement).

pub mod action;
pub mod expression;
pub mod model;
pub mod panel;
#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "a parser asks for a few tokens; every other one is the error case"
)]
pub(crate) mod parse;
pub mod route;
pub mod rule;
pub mod sexpr;

pub use action::{ActionBody, DefineAction, InputLine, OutputLine};
pub use expression::{
    BinaryOperator, CastType, Expression, ExpressionKind, Member, ModelQuery, Path, PathStep, Random,
    RandomKind, Text, TimestampOf, TopicOperand, Transform,
};
pub use model::DefineModel;
pub use panel::{DefinePanel, DefineTheme};
pub use route::DefineRoute;
pub use rule::DefineRule;

pub use crate::source::{Position, Span};

/// A name as written, bare or quoted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The name without quotes.
    pub text: String,
    /// Place of the name, with its quotes.
    pub span: Span,
    /// Whether it was quoted.
    pub quoted: bool,
}

impl Name {
    /// Another name as this one is written: in quotes if it has some.
    pub(crate) fn spell(&self, other: &str) -> String {
        if self.quoted { format!("\"{other}\"") } else { other.to_owned() }
    }
}

/// One entity of a text.
#[derive(Debug, Clone, PartialEq)]
pub enum Entity {
    /// `DEFINE ACTION`.
    Action(DefineAction),
    /// `DEFINE MODEL`.
    Model(DefineModel),
    /// `DEFINE RULE`.
    Rule(DefineRule),
    /// `DEFINE ROUTE`.
    Route(DefineRoute),
    /// `DEFINE PANEL`, `DEFINE VISU`.
    Panel(DefinePanel),
    /// `DEFINE THEME`.
    Theme(DefineTheme),
}

impl Entity {
    /// Its kind.
    pub fn kind(&self) -> lot_facts::Kind {
        match self {
            Entity::Action(_) => lot_facts::Kind::Action,
            Entity::Model(_) => lot_facts::Kind::Model,
            Entity::Rule(_) => lot_facts::Kind::Rule,
            Entity::Route(_) => lot_facts::Kind::Route,
            Entity::Panel(_) => lot_facts::Kind::Panel,
            Entity::Theme(_) => lot_facts::Kind::Theme,
        }
    }

    /// Its name.
    pub fn name(&self) -> &Name {
        match self {
            Entity::Action(action) => &action.name,
            Entity::Model(model) => &model.name,
            Entity::Rule(rule) => &rule.name,
            Entity::Route(route) => &route.name,
            Entity::Panel(panel) => &panel.name,
            Entity::Theme(theme) => &theme.name,
        }
    }
}
