//! Checking a whole Action.

use std::collections::{BTreeMap, BTreeSet};

use lot_facts::Trigger;

use super::kind::KindSet;
use super::scope::Scope;
use super::tree::{self, Entry};
use super::{Checker, Known, Start, facts, infer};
use crate::compat::Compat;
use crate::diagnostic::{Draft, Sink, codes};
use crate::identifier::is_identifier;
use crate::limits::VARIABLES_MAX;
use crate::statement::Statement;
use crate::syntax::{ActionBody, DefineAction, InputLine, OutputLine};
use lot_facts::InputKind;

/// Checks an Action. `None` when anything is wrong with it, also by the parser; the sink then has
/// an error.
pub(crate) fn action(
    action: &DefineAction,
    known: &dyn Known,
    compat: Compat,
    sink: &mut Sink<'_>,
) -> Option<tree::Action> {
    let mut checked = read(action, known, compat, sink);
    if sink.has_errors() {
        return None;
    }
    infer::kinds(&mut checked);
    facts::collect(&mut checked);
    Some(checked)
}

/// Checks the readable parts of an Action that may have errors elsewhere. The result has the kinds
/// of its variables, but no facts.
pub(super) fn in_part(
    action: &DefineAction,
    known: &dyn Known,
    compat: Compat,
    sink: &mut Sink<'_>,
) -> tree::Action {
    let mut checked = read(action, known, compat, sink);
    infer::kinds(&mut checked);
    checked
}

fn read(action: &DefineAction, known: &dyn Known, compat: Compat, sink: &mut Sink<'_>) -> tree::Action {
    let names_are_complete = !sink.has_errors();
    let mut checker = Checker {
        sink,
        known,
        start: start(action),
        scope: Scope::new(action),
        regexes: Vec::new(),
        spent_on_patterns: super::regex::Spent::default(),
        compat,
        names_are_complete,
    };
    checker.report_overflow();
    if let ActionBody::Callable { inputs, .. } = &action.entry {
        checker.inputs(inputs);
    }
    let body = checker.statements(&action.body);
    let entry = checker.entry(&action.entry);
    checker.report_unused();
    let Checker { scope, regexes, .. } = checker;
    let name = action.name.text.clone();
    let variables = scope.entries.into_iter().map(variable).collect();
    let facts = lot_facts::Facts::new(lot_facts::Kind::Action, name.clone());
    let mut checked = tree::Action { name, entry, variables, regexes, body, facts };
    checked.facts.description = action.description.as_ref().map(|text| text.value.clone());
    checked
}

/// Returns how a run of the Action starts.
pub(super) fn start(action: &DefineAction) -> Start {
    match &action.entry {
        ActionBody::Triggered(trigger) if trigger.is_unreadable() => Start::Unreadable,
        ActionBody::Triggered(trigger) => Start::Triggered(trigger.fact.clone()),
        ActionBody::Callable { .. } => Start::Callable,
    }
}

fn variable(entry: super::scope::Entry) -> tree::Variable {
    let unset = if entry.may_be_unset { KindSet::EMPTY } else { KindSet::NONE };
    let given = if entry.is_given { entry.kinds } else { KindSet::NONE };
    tree::Variable { name: entry.name, kinds: given | unset, bound: None }
}

/// Kinds of an input after the cast of its argument; a missing argument is Empty.
fn input_kinds(kind: Option<InputKind>) -> KindSet {
    let kinds = match kind {
        None => KindSet::ANY,
        Some(InputKind::String) => KindSet::TEXT_LITERAL,
        Some(InputKind::Int) => KindSet::INT,
        Some(InputKind::Double) => KindSet::DOUBLE,
        Some(InputKind::Bool) => KindSet::BOOL,
        Some(InputKind::Json) => KindSet::FROM_JSON,
    };
    kinds | KindSet::EMPTY
}

impl Checker<'_, '_, '_> {
    /// Statements in order.
    pub(crate) fn statements(&mut self, statements: &[Statement]) -> Vec<tree::Statement> {
        statements.iter().filter_map(|statement| self.statement(statement)).collect()
    }

    fn statement(&mut self, statement: &Statement) -> Option<tree::Statement> {
        let span = statement.span;
        let kind = statement.kind.construct().check(self, span)?;
        Some(tree::Statement { at: self.at(span), kind })
    }

    fn report_overflow(&mut self) {
        if let Some(span) = self.scope.overflow {
            let message = format!("more than {VARIABLES_MAX} variables");
            self.error(Draft::error(codes::TOO_MANY_VARIABLES, span, message));
        }
    }

    fn inputs(&mut self, inputs: &[InputLine]) {
        let mut seen = BTreeMap::new();
        for input in inputs {
            self.variable_name(&input.name);
            if let Some(first) = seen.insert(&input.name.text, input.name.span) {
                let message = format!("input `{}` is declared twice", input.name.text);
                let draft = Draft::error(codes::DUPLICATE_NAME, input.name.span, message);
                self.error(draft.at(first, "declared here first"));
            } else if let Some(id) = self.scope.find(&input.name.text) {
                self.scope.set(id, input_kinds(input.kind));
            }
        }
    }

    fn entry(&mut self, entry: &ActionBody) -> Entry {
        match entry {
            ActionBody::Triggered(trigger) => Entry::Triggered(trigger.fact.clone()),
            ActionBody::Callable { inputs, outputs } => Entry::Callable {
                inputs: inputs
                    .iter()
                    .filter_map(|input| {
                        let variable = self.scope.find(&input.name.text)?;
                        let (name, at) = (input.name.text.clone(), self.at(input.name.span));
                        Some(tree::Input { name, variable, kind: input.kind, at })
                    })
                    .collect(),
                outputs: self.outputs(outputs),
            },
        }
    }

    fn outputs(&mut self, outputs: &[OutputLine]) -> Vec<tree::Output> {
        let mut checked: Vec<tree::Output> = Vec::new();
        let mut seen = BTreeSet::new();
        for OutputLine { name } in outputs {
            if !seen.insert(&name.text) {
                let message = format!("output `{}` is declared twice", name.text);
                self.error(Draft::error(codes::DUPLICATE_NAME, name.span, message));
                continue;
            }
            let variable = self.scope.find(&name.text).unwrap_or_else(|| {
                self.warn_never_set(name);
                self.scope.add(name.text.clone())
            });
            self.scope.read(variable);
            checked.push(tree::Output { name: name.text.clone(), variable });
        }
        checked
    }

    /// An output that no statement sets is Empty at each call (§7.7), which is hardly meant.
    fn warn_never_set(&mut self, name: &crate::syntax::Name) {
        if !self.names_are_complete {
            return;
        }
        let hint = lot_nearest::nearest(&name.text, self.scope.names());
        let hint = hint.map(|near| format!("did you mean {near}?"));
        let message = format!("output `{}` is never set", name.text);
        let draft = Draft::warning(codes::UNSET_VARIABLE, name.span, message);
        self.sink
            .push(draft.suggest(hint.unwrap_or_else(|| format!("write SET \"{}\" WITH value", name.text))));
    }

    fn report_unused(&mut self) {
        if !self.names_are_complete {
            return;
        }
        let unused: Vec<Draft> = self
            .scope
            .entries
            .iter()
            .filter(|entry| !entry.is_read && !entry.is_given && is_identifier(&entry.name))
            .map(|entry| {
                let message = format!("variable `{}` is never read", entry.name);
                Draft::warning(codes::UNUSED_VARIABLE, entry.span, message)
            })
            .collect();
        unused.into_iter().for_each(|draft| self.sink.push(draft));
    }

    /// The filters of the trigger when it has a message.
    pub(crate) fn filters(&self) -> &[String] {
        match &self.start {
            Start::Triggered(trigger) => trigger.filters(),
            Start::Callable | Start::Asked(_) | Start::Unreadable => &[],
        }
    }

    /// Whether a run can have a message.
    pub(crate) fn has_message(&self) -> bool {
        match &self.start {
            Start::Triggered(trigger) => trigger.has_message(),
            Start::Asked(asked) => asked.has_topic,
            Start::Callable | Start::Unreadable => true,
        }
    }

    /// The trigger as its first words, for messages.
    pub(crate) fn trigger_name(&self) -> &'static str {
        match &self.start {
            Start::Callable | Start::Unreadable => "a callable action",
            Start::Asked(_) => "a rule",
            Start::Triggered(trigger) => match trigger {
                Trigger::Topic { .. } => "ON TOPIC",
                Trigger::Change { .. } => "ON CHANGE",
                Trigger::Silence { .. } => "ON SILENCE",
                Trigger::Window { .. } => "ON WINDOW",
                Trigger::Every { .. } => "ON EVERY",
                Trigger::Calendar { .. } | Trigger::Once(_) => "a clock trigger",
                Trigger::Start => "ON START",
                Trigger::Connect => "ON CONNECT",
                Trigger::Disconnect => "ON DISCONNECT",
                Trigger::Subscribe { .. } => "ON SUBSCRIBE",
            },
        }
    }
}
