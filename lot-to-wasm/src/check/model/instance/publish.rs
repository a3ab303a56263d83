//! Code that publishes an instance, keeps values of it, and splits received JSON.

use super::{Builder, WHOLE};
use crate::check::kind::KindSet;
use crate::check::model::resolve::Node;
use crate::check::model::{Plan, order, topic};
use crate::check::tree::{CastKind, Expression, ExpressionKind, Statement, Topic, WhenEmpty};
use crate::statement::{if_else, keep, publish_topic, split_message};
use crate::syntax;

/// Splits received JSON, unless the topic is one of these filters.
pub(in crate::check::model) fn split(plan: &Plan<'_>, unless: Vec<String>) -> Statement {
    let casts = order::leaves(&plan.fields, "").into_iter().filter_map(|leaf| {
        let to = leaf.node.kind.map(CastKind::from)?;
        Some((leaf.path.replace('.', "/"), to))
    });
    let qos = plan.header.qos.unwrap_or(0);
    let split = split_message::Checked { casts: casts.collect(), unless, qos };
    Statement { at: WHOLE, kind: split.into() }
}

impl Builder<'_, '_, '_, '_> {
    /// Publishes every field on a topic of its own, those of objects below that of the object.
    pub(super) fn publish_fields(
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
            let when_present = if_else::Checked::when(condition, publish);
            into.push(Statement { at: WHOLE, kind: when_present.into() });
        }
    }

    pub(super) fn publish(&mut self, topic: Topic, value: Expression, into: &mut Vec<Statement>) {
        let header = &self.plan.header;
        let (qos, retain) = (header.qos.unwrap_or(0), header.retain);
        let publish = publish_topic::Checked { topic, value, qos, retain, when_empty: WhenEmpty::Silent };
        into.push(Statement { at: WHOLE, kind: publish.into() });
    }

    /// Keeps the values that fields read of themselves in the next run.
    pub(super) fn keep(&mut self) {
        for (topic, variable) in std::mem::take(&mut self.kept) {
            let value = self.variable(variable);
            self.body.push(kept(topic, value));
        }
    }
}

/// A value that is kept on a topic, unless it is Empty.
fn kept(topic: Topic, value: Expression) -> Statement {
    let keep = keep::Checked::Topic { topic, value, when_empty: WhenEmpty::Silent };
    Statement { at: WHOLE, kind: keep.into() }
}
