//! The value of a field of an instance, in the type of the field: its own source, an assigned
//! value, or the member of an element.

use super::{Builder, Purpose, WHOLE};
use crate::check::kind::KindSet;
use crate::check::model::order::Leaf;
use crate::check::model::resolve::Node;
use crate::check::tree::{Constant, Expression, ExpressionKind, JsonPath, VariableId};
use crate::check::{fold, infer, json_path};
use crate::syntax::model::FieldSource;
use crate::syntax::{self, CastType};

impl Builder<'_, '_, '_, '_> {
    /// The value by the field's own source, in its type.
    pub(super) fn own_value(&mut self, node: &Node) -> Expression {
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
                let is_text = matches!(
                    value.kind,
                    syntax::ExpressionKind::Timestamp(_)
                        | syntax::ExpressionKind::LocalTimestamp(_)
                        | syntax::ExpressionKind::TimestampOf(_)
                );
                let checked = self.checker.operand(value);
                // A TIMESTAMP is formatted by its pattern; any other value is read as a time.
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
    pub(super) fn typed(&mut self, kind: Option<CastType>, value: Expression) -> Expression {
        if matches!(value.kind, ExpressionKind::Constant(Constant::Null | Constant::Empty)) {
            return value;
        }
        let Some(kind) = kind else {
            return self.computed(ExpressionKind::Inferred(Box::new(value)));
        };
        let to = kind.into();
        if let Some(constant) = fold::constant(&value).and_then(|constant| fold::cast(to, constant)) {
            return self.constant(constant);
        }
        if value.kinds.intersects(KindSet::NULL) || value.kinds == KindSet::NONE {
            return self.computed(ExpressionKind::Fit { to, value: Box::new(value) });
        }
        self.computed(ExpressionKind::Cast { to, value: Box::new(value) })
    }

    /// Returns the value assigned to the field, or to one around it; else its own value.
    pub(super) fn assigned_or(&mut self, leaf: &Leaf<'_>, own: Expression) -> Expression {
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
    pub(super) fn element_member_or(&mut self, leaf: &Leaf<'_>, own: Expression) -> Expression {
        let (element, way) = leaf.path.rsplit_once("[].").unwrap_or((&leaf.path, ""));
        let Some(variable) = self.checker.scope.find(&format!("{element}[]")) else { return own };
        let way = leaf.around.first().map_or(way, |(_, _)| way);
        let element = self.variable(variable);
        let member = self.json_member(way, element);
        let is_absent = self.node(KindSet::BOOL, ExpressionKind::IsAbsent(Box::new(member.clone())));
        let member = if leaf.node.elements.is_some() { member } else { self.typed(leaf.node.kind, member) };
        self.choice(is_absent, own, member)
    }

    /// Fields as a JSON object.
    pub(super) fn object(&mut self, fields: &[Node], prefix: &str) -> Expression {
        if fields.is_empty() {
            return self.constant(Constant::Json("{}".to_owned()));
        }
        let members = fields.iter().map(|node| (node.name.clone(), self.member(node, prefix))).collect();
        self.node(KindSet::JSON, ExpressionKind::Object(members))
    }

    pub(super) fn member(&mut self, node: &Node, prefix: &str) -> Expression {
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

    pub(super) fn json_member(&self, way: &str, source: Expression) -> Expression {
        let steps = json_path::parse(way).unwrap_or_default();
        let path = JsonPath::Literal { text: way.to_owned(), steps };
        self.computed(ExpressionKind::GetJson { path, source: Box::new(source) })
    }

    pub(super) fn choice(
        &self,
        condition: Expression,
        then: Expression,
        otherwise: Expression,
    ) -> Expression {
        let (condition, then, otherwise) = (Box::new(condition), Box::new(then), Box::new(otherwise));
        self.computed(ExpressionKind::If { condition, then, otherwise })
    }

    pub(super) fn variable(&mut self, id: VariableId) -> Expression {
        let kinds = self.checker.scope.entry(id).map_or(KindSet::ANY, |entry| entry.kinds);
        self.node(kinds, ExpressionKind::Variable(id))
    }

    pub(super) fn constant(&self, constant: Constant) -> Expression {
        let kinds = fold::kinds(&constant);
        self.node(kinds, ExpressionKind::Constant(constant))
    }

    pub(super) fn computed(&self, kind: ExpressionKind) -> Expression {
        self.node(infer::kinds_of(&kind), kind)
    }

    pub(super) fn node(&self, kinds: KindSet, kind: ExpressionKind) -> Expression {
        Expression { at: WHOLE, kinds, kind }
    }
}
