//! The statements that compute an instance of a Model, field by field in the order in which they
//! need each other. [`value`] computes the values of fields, [`publish`] publishes the instance.

mod fetch;
mod publish;
mod store;
mod value;

use lot_facts::{Facts, Kind, TopicFact, Trigger};

use super::Plan;
use super::order::{self, Leaf, Steps};
use super::resolve::Node;
use super::topic;
use crate::check::kind::KindSet;
use crate::check::scope::Scope;
use crate::check::tree::{
    Action, Entry, Expression, ExpressionKind, Statement, Topic, TopicPart, Variable, VariableId,
};
use crate::check::{Checker, Fields, Known, Start};
use crate::diagnostic::{Draft, Sink, codes};
use crate::source::Span;
use crate::statement::{instances, set};
use crate::syntax::{self, Position};
pub(super) use publish::split;

/// Purpose of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A message started it; it is published.
    Run,
    /// `PUBLISH MODEL` wants it.
    Build,
}

/// A run-time report that belongs to the whole Model.
const WHOLE: Position = Position { line: 1, column: 1 };

/// Writes the statements of one purpose.
pub(super) struct Builder<'p, 's, 'k, 'n> {
    plan: &'p Plan<'p>,
    purpose: Purpose,
    checker: Checker<'s, 'k, 'n>,
    body: Vec<Statement>,
    /// Values to keep when the instance is complete: topic and field.
    kept: Vec<(Topic, VariableId)>,
    /// The rows of `FETCH FROM`, in source order.
    fetched: Vec<VariableId>,
}

impl<'p, 's, 'k, 'n> Builder<'p, 's, 'k, 'n> {
    pub(super) fn new(
        plan: &'p Plan<'p>,
        purpose: Purpose,
        known: &'n dyn Known,
        sink: &'s mut Sink<'k>,
    ) -> Self {
        let start = match purpose {
            Purpose::Run => Start::Triggered(Trigger::Topic { filters: plan.filters() }),
            Purpose::Build => Start::Callable,
        };
        let triggers = if purpose == Purpose::Run { plan.triggers.clone() } else { Vec::new() };
        let scope =
            Scope::of_model(Fields { triggers, is_inherited: plan.is_inherited, ..Fields::default() });
        let names_are_complete = !sink.has_errors();
        let checker = Checker {
            sink,
            known,
            start,
            scope,
            regexes: Vec::new(),
            spent_on_patterns: super::super::regex::Spent::default(),
            compat: plan.compat,
            names_are_complete,
        };
        Builder { plan, purpose, checker, body: Vec::new(), kept: Vec::new(), fetched: Vec::new() }
    }

    /// Builds the run for a message on the topic of a field that triggers.
    pub(super) fn run(mut self) -> Option<Action> {
        let filters = self.plan.filters();
        let publishes = self.instance(self.plan.base?)?;
        self.body.extend(publishes);
        let mut body = std::mem::take(&mut self.body);
        if self.plan.reception().is_some() {
            // A message on the base topic is no trigger: it is split, and that was all.
            body.insert(0, split(self.plan, filters.clone()));
        }
        Some(self.finish(Entry::Triggered(Trigger::Topic { filters }), body))
    }

    /// Returns the statements that build an instance, and the instance.
    pub(super) fn build(mut self) -> Option<(Action, Expression)> {
        self.fields(&self.plan.fields, "")?;
        self.keep();
        let value = self.object(&self.plan.fields, "");
        let stores = self.stores();
        self.body.extend(stores);
        let body = std::mem::take(&mut self.body);
        let entry = Entry::Callable { inputs: Vec::new(), outputs: Vec::new() };
        Some((self.finish(entry, body), value))
    }

    fn finish(self, entry: Entry, body: Vec<Statement>) -> Action {
        let Checker { scope, regexes, .. } = self.checker;
        let variables = scope.entries.into_iter().map(|entry| Variable {
            name: entry.name,
            kinds: KindSet::NONE,
            bound: None,
        });
        let name = self.plan.name.to_owned();
        let facts = Facts::new(Kind::Model, name.clone());
        Action { name, entry, variables: variables.collect(), regexes, body, facts }
    }

    /// Computes the fields, and returns the statements that publish them.
    fn instance(&mut self, base: &syntax::Text) -> Option<Vec<Statement>> {
        self.fields(&self.plan.fields, "")?;
        self.keep();
        let plan = self.plan;
        let mut publishes = Vec::new();
        if plan.publishes_fields() {
            self.publish_fields(&plan.fields, "", base, &mut publishes);
        }
        if plan.publishes_object() {
            let value = self.object(&plan.fields, "");
            let topic = topic::resolve(&base.value, &plan.triggers, WHOLE);
            self.publish(topic, value, &mut publishes);
        }
        publishes.extend(self.stores());
        Some(publishes)
    }

    /// Writes the statements that compute fields. Those that need each other are reported.
    fn fields(&mut self, fields: &[Node], prefix: &str) -> Option<()> {
        let leaves = order::leaves(fields, prefix);
        for leaf in &leaves {
            let id = self.checker.scope.add(leaf.path.clone());
            if let Some(names) = &mut self.checker.scope.fields {
                names.variables.insert(leaf.path.clone(), id);
            }
        }
        let names =
            self.checker.scope.fields.as_ref().map(|fields| fields.variables.clone()).unwrap_or_default();
        // Elements of a collection are not filled from a row.
        let fetches = if prefix.is_empty() { self.plan.fetches } else { &[] };
        let steps = Steps::of(&leaves, fetches, &names);
        let order = match steps.sorted() {
            Ok(order) => order,
            Err(stuck) => {
                self.report_cycle(leaves.get(stuck)?);
                (0..leaves.len()).collect()
            }
        };
        for index in order {
            let Some(leaf) = leaves.get(index) else {
                self.fetch(fetches.get(index - leaves.len())?);
                continue;
            };
            let outer = self.enter(leaf);
            let before = order::needs(leaf, &names).contains(&leaf.path);
            self.leaf(leaf, before, steps.fillers(index))?;
            self.leave(outer);
        }
        Some(())
    }

    fn report_cycle(&mut self, leaf: &Leaf<'_>) {
        let message = format!("field \"{}\" is part of a cycle of fields", leaf.path);
        self.checker.sink.pin(leaf.node.pinned);
        self.checker.error(Draft::error(codes::CYCLE, leaf.node.span, message));
        self.checker.sink.pin(None);
    }

    fn enter(&mut self, leaf: &Leaf<'_>) -> String {
        self.checker.sink.pin(leaf.node.pinned);
        let names = self.checker.scope.fields.as_mut();
        names.map(|names| std::mem::replace(&mut names.current, leaf.path.clone())).unwrap_or_default()
    }

    fn leave(&mut self, outer: String) {
        self.checker.sink.pin(None);
        if let Some(names) = &mut self.checker.scope.fields {
            (names.current, names.before) = (outer, None);
        }
    }

    /// Computes one field into its variable.
    fn leaf(&mut self, leaf: &Leaf<'_>, reads_itself: bool, fillers: &[usize]) -> Option<()> {
        let variable = self.checker.scope.find(&leaf.path)?;
        if reads_itself {
            self.read_own_last_value(leaf, variable);
        }
        let own = match self.fetched_value(leaf, fillers) {
            Some(value) => value,
            None => self.own_value(leaf.node),
        };
        let is_element = leaf.path.contains("[]");
        let value = if is_element {
            self.element_member_or(leaf, own)
        } else if self.purpose == Purpose::Build {
            self.assigned_or(leaf, own)
        } else {
            own
        };
        if let Some(elements) = &leaf.node.elements {
            return self.collection(leaf, elements, value, variable);
        }
        self.set(leaf.node.span, variable, value);
        if self.plan.compat.empty_as_zero_value {
            self.fill(leaf.node, variable);
        }
        Some(())
    }

    /// Gives a field that has no value the zero of its type.
    fn fill(&mut self, node: &Node, variable: VariableId) {
        let Some(zero) = node.zero() else { return };
        let value = self.variable(variable);
        let is_absent = self.node(KindSet::BOOL, ExpressionKind::IsAbsent(Box::new(value.clone())));
        let zero = self.constant(zero);
        let filled = self.choice(is_absent, zero, value);
        self.set(node.span, variable, filled);
    }

    fn set(&mut self, span: Span, variable: VariableId, value: Expression) {
        self.checker.scope.set(variable, value.kinds);
        let at = self.checker.at(span);
        self.body.push(Statement { at, kind: set::Checked { variable, value }.into() });
    }

    /// An instance for each element of an array.
    fn collection(
        &mut self,
        leaf: &Leaf<'_>,
        elements: &[Node],
        list: Expression,
        result: VariableId,
    ) -> Option<()> {
        let path = format!("{}[]", leaf.path);
        let element = self.checker.scope.add(path.clone());
        self.checker.scope.set(element, KindSet::FROM_JSON);
        let outer = std::mem::take(&mut self.body);
        self.fields(elements, &format!("{path}."))?;
        let body = std::mem::replace(&mut self.body, outer);
        let item = self.object(elements, &format!("{path}."));
        self.checker.scope.set(result, KindSet::JSON);
        let at = self.checker.at(leaf.node.span);
        let kind = instances::Checked { list, element, body, item, result }.into();
        self.body.push(Statement { at, kind });
        Some(())
    }

    fn read_own_last_value(&mut self, leaf: &Leaf<'_>, variable: VariableId) {
        let before = self.checker.scope.add(format!("{} before", leaf.path));
        let at = self.checker.at(leaf.node.span);
        let plan = self.plan;
        let published = plan.base.filter(|_| self.purpose == Purpose::Run && plan.publishes_fields());
        let topic = match published {
            Some(base) => {
                let below = format!("{}/{}", base.value, leaf.path.replace('.', "/"));
                topic::resolve(&below, &plan.triggers, at)
            }
            None => {
                let of_field = format!("$LOT/Models/{}/{}", plan.name, leaf.path.replace('.', "/"));
                let mut parts = vec![TopicPart::Text(of_field)];
                if self.purpose == Purpose::Run {
                    parts.extend(topic::instance(&plan.triggers));
                }
                let topic = Topic { parts: crate::check::topic::merge(parts), fact: TopicFact::Any, at };
                self.kept.push((topic.clone(), variable));
                topic
            }
        };
        let value = self.node(KindSet::TEXT_DATA | KindSet::EMPTY, ExpressionKind::GetTopic(topic));
        let value = match leaf.node.kind {
            Some(kind) => self.typed(Some(kind), value),
            None => value,
        };
        let span = leaf.node.span;
        self.set(span, before, value);
        if let Some(names) = &mut self.checker.scope.fields {
            names.before = Some(before);
        }
    }
}
