//! Checking: from the syntax tree to the [checked tree](tree), with names, topics, kinds and
//! constants settled.
//!
//! One pass in source order builds the checked tree and reports errors; [`infer`] then finds the
//! kinds of variables, and [`facts`] collects the facts for the broker. Nothing of the checked tree
//! is returned when there is an error.

mod action;
mod constant;
pub(crate) mod empty;
mod entity;
mod expression;
mod facts;
mod fold;
mod gaps;
mod infer;
mod inspect;
pub(crate) mod json_path;
pub mod kind;
mod level;
mod model;
mod names;
mod operand;
mod regex;
mod route;
mod rows;
mod rule;
pub(crate) mod scope;
#[cfg(test)]
mod tests;
mod text;
mod timestamp;
mod topic;
pub mod tree;
mod view;
mod whole;
mod wildcard;

use std::sync::Arc;

use lot_facts::Signature;
use lot_route_catalogue::RouteType;

use crate::compat::Compat;
use crate::diagnostic::{Draft, Sink};
use crate::source::Span;
use crate::syntax::Position;
pub(crate) use action::action;
pub(crate) use gaps::warn_of_gaps;
pub(crate) use inspect::Inspection;
pub(crate) use model::{Fields, assignable_of, find as find_model, model};
pub(crate) use regex::{PatternsOfText, Whole};
pub(crate) use route::{events as route_events, route};
pub use rule::RULE_SCOPES;
pub(crate) use rule::rule;
use scope::Scope;
pub(crate) use topic::TopicUse;
pub(crate) use view::{panel, theme};
pub(crate) use wildcard::warn_of_foreign_wildcard;

/// Source of information about other definitions while one is checked.
pub trait Known {
    /// Returns the signature of the Action with this name, as far as it is known.
    fn action(&self, name: &str) -> Callee;

    /// The text of the Model of this name; `None` when there is none yet.
    fn model_source(&self, name: &str) -> Option<Arc<str>> {
        let _ = name;
        None
    }

    /// Whether some Model inherits from the one of this name.
    fn is_parent(&self, name: &str) -> bool {
        let _ = name;
        false
    }

    /// The events of the Route of this name; `None` when there is none yet.
    fn route_events(&self, name: &str) -> Option<Vec<RouteEvent>> {
        let _ = name;
        None
    }

    /// The description of the settings of routes that the module of this name runs; `None` when
    /// there is no such module yet, or it describes nothing.
    fn route_type(&self, module: &str) -> Option<Arc<RouteType>> {
        let _ = module;
        None
    }
}

/// Event of a Route, as `TRIGGER` sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteEvent {
    /// Its name.
    pub name: String,
    /// A placeholder of it, without its braces, that takes the level which a wildcard of its
    /// `SOURCE_TOPIC` matches.
    pub filled_by_wildcard: Option<String>,
}

/// An Action as a caller sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Callee {
    /// There is none yet: the caller is pending until it arrives (§1.6).
    Unknown,
    /// A trigger starts it; it cannot be called.
    Triggered,
    /// It can be called.
    Callable(Signature),
}

/// Knows nothing: every callee is pending.
#[derive(Debug, Clone, Copy, Default)]
pub struct KnownNothing;

impl Known for KnownNothing {
    fn action(&self, _name: &str) -> Callee {
        Callee::Unknown
    }
}

/// Start of the run of the Action that is checked.
#[derive(Debug, Clone)]
pub(crate) enum Start {
    /// A trigger; one entry per filter with its levels.
    Triggered(lot_facts::Trigger),
    /// A caller.
    Callable,
    /// A question to a Rule.
    Asked(Asked),
    /// A trigger that could not be read, which was reported: nothing is known, nothing is refused.
    Unreadable,
}

/// Data of a question to a Rule, which depends on the scope of the Rule.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) has_topic: bool,
    pub(crate) has_payload: bool,
}

/// An Action or Rule while it is checked.
pub(crate) struct Checker<'s, 'k, 'n> {
    pub(crate) sink: &'s mut Sink<'k>,
    pub(crate) known: &'n dyn Known,
    pub(crate) start: Start,
    pub(crate) scope: Scope,
    regexes: Vec<tree::Regex>,
    spent_on_patterns: regex::Spent,
    compat: Compat,
    /// The parser found no error, so every assignment is known: names that are not are worth a
    /// report.
    names_are_complete: bool,
}

impl Checker<'_, '_, '_> {
    /// Line and column of a span's first character, for run-time reports.
    pub(crate) fn at(&self, span: Span) -> Position {
        self.sink.position(span)
    }

    /// Reports an error.
    pub(crate) fn error(&mut self, draft: Draft) {
        self.sink.push(draft);
    }
}
