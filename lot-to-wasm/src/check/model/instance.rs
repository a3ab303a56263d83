//! The statements that compute an instance of a Model and publish it.

use lot_facts::{Facts, Kind, TopicFact, Trigger};

use super::Plan;
use super::order::{self, Leaf};
use super::resolve::Node;
use super::topic;
use crate::check::kind::KindSet;
use crate::check::scope::Scope;
use crate::check::tree::{
    Action, Branch, CastKind, Constant, Entry, Expression, ExpressionKind, JsonPath, JsonShape, Statement,
    StatementKind, Topic, TopicPart, Variable, VariableId, WhenEmpty,
};
use crate::check::{Checker, Fields, Known, Start, fold, infer, json_path};
use crate::diagnostic::{Draft, Sink, codes};
use crate::source::Span;
use crate::syntax::model::FieldSource;
use crate::syntax::{self, CastType, Position};

/// What an instance is for.
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
    /// What is kept when the instance is complete: where, and the field.
    kept: Vec<(Topic, VariableId)>,
}

/// Splits received JSON, unless the topic is one of these filters.
pub(super) fn split(plan: &Plan<'_>, unless: Vec<String>) -> Statement {
    let casts = order::leaves(&plan.fields, "").into_iter().filter_map(|leaf| {
        let to = leaf.node.kind.map(cast_kind)?;
        Some((leaf.path.replace('.', "/"), to))
    });
    let kind = StatementKind::Split { casts: casts.collect(), unless, qos: plan.header.qos.unwrap_or(0) };
    Statement { at: WHOLE, kind }
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
        let scope = Scope::of_model(Fields { triggers, ..Fields::default() });
        let names_are_complete = !sink.has_errors();
        let checker = Checker { sink, known, start, scope, regexes: Vec::new(), names_are_complete };
        Builder { plan, purpose, checker, body: Vec::new(), kept: Vec::new() }
    }

    /// What a message on a topic of a field that triggers does.
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

    /// What builds an instance, and the instance.
    pub(super) fn build(mut self) -> Option<(Action, Expression)> {
        self.fields(&self.plan.fields, "")?;
        self.keep();
        let value = self.object(&self.plan.fields, "");
        let body = std::mem::take(&mut self.body);
        let entry = Entry::Callable { inputs: Vec::new(), outputs: Vec::new() };
        Some((self.finish(entry, body), value))
    }

    fn finish(self, entry: Entry, body: Vec<Statement>) -> Action {
        let Checker { scope, regexes, .. } = self.checker;
        let variables =
            scope.entries.into_iter().map(|entry| Variable { name: entry.name, kinds: KindSet::NONE });
        let name = self.plan.name.to_owned();
        let facts = Facts::new(Kind::Model, name.clone());
        Action { name, entry, variables: variables.collect(), regexes, body, facts }
    }

    /// Computes the fields; what then publishes them.
    fn instance(&mut self, base: &syntax::Text) -> Option<Vec<Statement>> {
        self.fields(&self.plan.fields, "")?;
        self.keep();
        let plan = self.plan;
        let mut publishes = Vec::new();
        if !plan.header.is_collapsed {
            self.publish_fields(&plan.fields, "", base, &mut publishes);
        }
        let value = self.object(&plan.fields, "");
        let topic = topic::resolve(&base.value, &plan.triggers, WHOLE);
        self.publish(topic, value, &mut publishes);
        Some(publishes)
    }

    /// Publishes every field on a topic of its own, those of objects below that of the object.
    fn publish_fields(
        &mut self,
        fields: &[Node],
        prefix: &str,
        base: &syntax::Text,
        into: &mut Vec<Statement>,
    ) {
        for node in fields {
            let path = format!("{prefix}{}", node.name);
            if !node.children.is_empty() && !node.is_array() {
                self.publish_fields(&node.children, &format!("{path}."), base, into);
                continue;
            }
            let value = self.member(node, prefix);
            let below = format!("{}/{}", base.value, path.replace('.', "/"));
            let topic = topic::resolve(&below, &self.plan.triggers, self.checker.at(node.span));
            let mut publish = Vec::new();
            let present = self.node(KindSet::BOOL, ExpressionKind::IsAbsent(Box::new(value.clone())));
            let condition = self.node(KindSet::BOOL, ExpressionKind::Not(Box::new(present)));
            self.publish(topic, value, &mut publish);
            let branches = vec![Branch { condition, body: publish }];
            into.push(Statement { at: WHOLE, kind: StatementKind::If { branches, otherwise: Vec::new() } });
        }
    }

    fn publish(&mut self, topic: Topic, value: Expression, into: &mut Vec<Statement>) {
        let header = &self.plan.header;
        if header.keep {
            let kind = StatementKind::KeepTopic {
                topic: topic.clone(),
                value: value.clone(),
                when_empty: WhenEmpty::Silent,
            };
            into.push(Statement { at: WHOLE, kind });
        }
        let (qos, retain) = (header.qos.unwrap_or(0), header.retain);
        let kind = StatementKind::PublishTopic { topic, value, qos, retain, when_empty: WhenEmpty::Silent };
        into.push(Statement { at: WHOLE, kind });
    }

    /// Remembers what fields read of themselves next time.
    fn keep(&mut self) {
        for (topic, variable) in std::mem::take(&mut self.kept) {
            let value = self.variable(variable);
            let kind = StatementKind::KeepTopic { topic, value, when_empty: WhenEmpty::Silent };
            self.body.push(Statement { at: WHOLE, kind });
        }
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
        let order = match order::sorted(&leaves, &names) {
            Ok(order) => order,
            Err(stuck) => {
                self.report_cycle(leaves.get(stuck)?);
                (0..leaves.len()).collect()
            }
        };
        for index in order {
            let leaf = leaves.get(index)?;
            let outer = self.enter(leaf);
            let before = order::needs(leaf, &names).contains(&leaf.path);
            self.leaf(leaf, before)?;
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
    fn leaf(&mut self, leaf: &Leaf<'_>, reads_itself: bool) -> Option<()> {
        let variable = self.checker.scope.find(&leaf.path)?;
        if reads_itself {
            self.read_own_last_value(leaf, variable);
        }
        let own = self.own_value(leaf.node);
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
        Some(())
    }

    fn set(&mut self, span: Span, variable: VariableId, value: Expression) {
        self.checker.scope.set(variable, value.kinds);
        let at = self.checker.at(span);
        self.body.push(Statement { at, kind: StatementKind::Set { variable, value } });
    }

    /// The value by the field's own source, in its type.
    fn own_value(&mut self, node: &Node) -> Expression {
        match &node.source {
            None => self.constant(Constant::Null),
            Some(FieldSource::Topic(topic, cast)) => {
                let is_the_trigger = self.purpose == Purpose::Run
                    && self.plan.triggers.len() == 1
                    && self.plan.triggers.contains(&topic.value);
                let value = if is_the_trigger {
                    self.node(KindSet::TEXT_DATA, ExpressionKind::Payload)
                } else {
                    let topic = self.checker.model_topic(&topic.value, topic.span);
                    self.node(KindSet::TEXT_DATA | KindSet::EMPTY, ExpressionKind::GetTopic(topic))
                };
                let value = match cast {
                    Some(cast) => self.typed(Some(*cast), value),
                    None => value,
                };
                self.typed(node.kind, value)
            }
            Some(FieldSource::Value(value)) => {
                let is_text = matches!(value.kind, syntax::ExpressionKind::Timestamp(_));
                let checked = self.checker.operand(value);
                // A TIMESTAMP is shown as its pattern says; anything else is read as a time.
                let kind = if is_text && node.kind == Some(CastType::Timestamp) {
                    Some(CastType::String)
                } else {
                    node.kind
                };
                self.typed(kind, checked)
            }
        }
    }

    /// A value in the type of its field. Nothing stays nothing.
    fn typed(&mut self, kind: Option<CastType>, value: Expression) -> Expression {
        if matches!(value.kind, ExpressionKind::Constant(Constant::Null | Constant::Empty)) {
            return value;
        }
        let Some(kind) = kind else {
            return self.computed(ExpressionKind::Inferred(Box::new(value)));
        };
        let to = cast_kind(kind);
        if let Some(constant) = fold::constant(&value).and_then(|constant| fold::cast(to, constant)) {
            return self.constant(constant);
        }
        if value.kinds.intersects(KindSet::NULL) || value.kinds == KindSet::NONE {
            return self.computed(ExpressionKind::Fit { to, value: Box::new(value) });
        }
        self.computed(ExpressionKind::Cast { to, value: Box::new(value) })
    }

    /// What was assigned to the field, or to one around it; else its own value.
    fn assigned_or(&mut self, leaf: &Leaf<'_>, own: Expression) -> Expression {
        let mut value = own;
        for (around, way) in &leaf.around {
            let assigned = self.computed(ExpressionKind::Assigned(around.clone()));
            let member = self.json_member(way, assigned);
            let is_absent = self.node(KindSet::BOOL, ExpressionKind::IsAbsent(Box::new(member.clone())));
            let member = self.typed(leaf.node.kind, member);
            value = self.choice(is_absent, value, member);
        }
        let is_assigned = self.node(KindSet::BOOL, ExpressionKind::IsAssigned(leaf.path.clone()));
        let assigned = self.computed(ExpressionKind::Assigned(leaf.path.clone()));
        let assigned =
            if leaf.node.elements.is_some() { assigned } else { self.typed(leaf.node.kind, assigned) };
        self.choice(is_assigned, assigned, value)
    }

    /// The member of the element that the loop is at; else the field's own value.
    fn element_member_or(&mut self, leaf: &Leaf<'_>, own: Expression) -> Expression {
        let (element, way) = leaf.path.rsplit_once("[].").unwrap_or((&leaf.path, ""));
        let Some(variable) = self.checker.scope.find(&format!("{element}[]")) else { return own };
        let way = leaf.around.first().map_or(way, |(_, _)| way);
        let element = self.variable(variable);
        let member = self.json_member(way, element);
        let is_absent = self.node(KindSet::BOOL, ExpressionKind::IsAbsent(Box::new(member.clone())));
        let member = if leaf.node.elements.is_some() { member } else { self.typed(leaf.node.kind, member) };
        self.choice(is_absent, own, member)
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
        let kind = StatementKind::ForEach { list, element, body, item, result };
        self.body.push(Statement { at, kind });
        Some(())
    }

    fn read_own_last_value(&mut self, leaf: &Leaf<'_>, variable: VariableId) {
        let before = self.checker.scope.add(format!("{} before", leaf.path));
        let at = self.checker.at(leaf.node.span);
        let plan = self.plan;
        let published = plan.base.filter(|_| self.purpose == Purpose::Run && !plan.header.is_collapsed);
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

    /// Fields as a JSON object.
    fn object(&mut self, fields: &[Node], prefix: &str) -> Expression {
        if fields.is_empty() {
            return self.constant(Constant::Json("{}".to_owned()));
        }
        let members = fields.iter().map(|node| (node.name.clone(), self.member(node, prefix))).collect();
        self.node(KindSet::JSON, ExpressionKind::Object(members))
    }

    fn member(&mut self, node: &Node, prefix: &str) -> Expression {
        let path = format!("{prefix}{}", node.name);
        if node.children.is_empty() {
            return match self.checker.scope.find(&path) {
                Some(variable) => self.variable(variable),
                None => self.constant(Constant::Null),
            };
        }
        let object = self.object(&node.children, &format!("{path}."));
        if node.is_array() {
            return self.node(KindSet::JSON, ExpressionKind::Array(vec![object]));
        }
        object
    }

    fn json_member(&self, way: &str, source: Expression) -> Expression {
        let steps = json_path::parse(way).unwrap_or_default();
        let path = JsonPath::Literal { text: way.to_owned(), steps };
        self.computed(ExpressionKind::GetJson { path, source: Box::new(source) })
    }

    fn choice(&self, condition: Expression, then: Expression, otherwise: Expression) -> Expression {
        let (condition, then, otherwise) = (Box::new(condition), Box::new(then), Box::new(otherwise));
        self.computed(ExpressionKind::If { condition, then, otherwise })
    }

    fn variable(&mut self, id: VariableId) -> Expression {
        let kinds = self.checker.scope.entry(id).map_or(KindSet::ANY, |entry| entry.kinds);
        self.node(kinds, ExpressionKind::Variable(id))
    }

    fn constant(&self, constant: Constant) -> Expression {
        let kinds = fold::kinds(&constant);
        self.node(kinds, ExpressionKind::Constant(constant))
    }

    fn computed(&self, kind: ExpressionKind) -> Expression {
        self.node(infer::kinds_of(&kind), kind)
    }

    fn node(&self, kinds: KindSet, kind: ExpressionKind) -> Expression {
        Expression { at: WHOLE, kinds, kind }
    }
}

impl Node {
    pub(super) fn is_array(&self) -> bool {
        self.kind == Some(CastType::Array)
    }

    /// Whether its type is that of a single value.
    pub(super) fn is_scalar(&self) -> bool {
        !matches!(self.kind, None | Some(CastType::Array | CastType::Object | CastType::Json))
    }
}

impl Checker<'_, '_, '_> {
    /// The topic of a field: its wildcards take what the trigger matched.
    pub(in crate::check) fn model_topic(&mut self, template: &str, span: Span) -> Topic {
        let triggers = self.scope.fields.as_ref().map(|fields| fields.triggers.clone()).unwrap_or_default();
        let topic = topic::resolve(template, &triggers, self.at(span));
        if topic::misses(&topic) {
            let draft =
                Draft::warning(codes::NO_CAPTURE, span, "wildcard without a counterpart in the trigger");
            self.error(draft.note("the field has no value then"));
        }
        topic
    }
}

/// The cast to the type of a field.
pub(super) fn cast_kind(kind: CastType) -> CastKind {
    match kind {
        CastType::Int => CastKind::Int,
        CastType::Double => CastKind::Double,
        CastType::Bool => CastKind::Bool,
        CastType::String => CastKind::String,
        CastType::Timestamp => CastKind::Timestamp,
        CastType::Array => CastKind::Json(JsonShape::Array),
        CastType::Object => CastKind::Json(JsonShape::Object),
        CastType::Json => CastKind::Json(JsonShape::Any),
        CastType::Bytes => CastKind::Bytes,
    }
}
