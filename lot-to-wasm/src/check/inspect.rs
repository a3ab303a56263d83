//! Lookup of the kinds of single values in a checked Action, for editors.

use super::kind::KindSet;
use super::scope::Scope;
use super::tree::Variable;
use super::{Checker, Known, infer};
use crate::compat::Compat;
use crate::diagnostic::Sink;
use crate::source::Source;
use crate::syntax::{DefineAction, Expression};

/// Readable parts of an Action, with the kinds of its variables.
pub(crate) struct Inspection<'a> {
    action: &'a DefineAction,
    known: &'a dyn Known,
    compat: Compat,
    variables: Vec<Variable>,
}

impl<'a> Inspection<'a> {
    /// Inspects an Action, which may have errors.
    pub(crate) fn of(action: &'a DefineAction, known: &'a dyn Known, compat: Compat) -> Inspection<'a> {
        let source = Source::new("");
        let checked = super::action::in_part(action, known, compat, &mut Sink::new(&source));
        Inspection { action, known, compat, variables: checked.variables }
    }

    /// Returns the kinds of a variable of the Action; `None` if it has no variable of that name.
    pub(crate) fn variable(&self, name: &str) -> Option<KindSet> {
        self.variables.iter().find(|variable| variable.name == name).map(|variable| variable.kinds)
    }

    /// Returns the kinds of an expression of the Action.
    pub(crate) fn kinds(&self, expression: &Expression) -> KindSet {
        let source = Source::new("");
        let mut quiet = Sink::new(&source);
        let mut scope = Scope::new(self.action);
        scope.assume_all_set();
        let mut checker = Checker {
            sink: &mut quiet,
            known: self.known,
            start: super::action::start(self.action),
            scope,
            regexes: Vec::new(),
            spent_on_patterns: super::regex::Spent::default(),
            compat: self.compat,
            names_are_complete: false,
        };
        let mut value = checker.value(expression);
        infer::of_value(&mut value, &self.variables);
        value.kinds
    }
}
