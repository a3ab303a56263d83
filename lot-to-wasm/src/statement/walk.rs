//! What is directly in a statement: blocks of other ones, expressions, and variables that it assigns.

use super::{DeleteTarget, KeepTarget, Statement, StatementKind};
use crate::syntax::{Expression, Name};

/// What a statement assigns.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Assigned<'a> {
    /// A variable.
    Variable(&'a Name),
    /// What `RESULT` reads: a call without `RETURN`.
    Result,
}

impl Statement {
    /// Calls `visit` for each block of statements directly in this one, in source order.
    pub(crate) fn each_block<'a>(&'a self, visit: &mut dyn FnMut(&'a [Statement])) {
        match &self.kind {
            StatementKind::IfElse(node) => {
                node.branches.iter().for_each(|branch| visit(&branch.body));
                node.otherwise.iter().for_each(|block| visit(block));
            }
            StatementKind::Switch(node) => {
                node.cases.iter().for_each(|case| visit(&case.body));
                node.otherwise.iter().for_each(|block| visit(block));
            }
            StatementKind::LoopUntil(node) => visit(&node.body),
            StatementKind::Set(_)
            | StatementKind::PublishTopic(_)
            | StatementKind::PublishModel(_)
            | StatementKind::Keep(_)
            | StatementKind::Delete(_)
            | StatementKind::CallAction(_)
            | StatementKind::CallPython(_)
            | StatementKind::CallRoute(_)
            | StatementKind::TriggerEvent(_)
            | StatementKind::Navigate(_) => {}
        }
    }

    /// What this statement itself assigns, in source order; not what those in its blocks do.
    pub(crate) fn assigned(&self) -> impl Iterator<Item = Assigned<'_>> {
        let (names, is_call) = match &self.kind {
            StatementKind::Set(node) => (std::slice::from_ref(&node.name), false),
            StatementKind::CallAction(node) => (&*node.returns, true),
            StatementKind::CallPython(node) => (node.returns.as_slice(), true),
            StatementKind::CallRoute(node) => (node.returns.as_slice(), true),
            StatementKind::IfElse(_)
            | StatementKind::Switch(_)
            | StatementKind::LoopUntil(_)
            | StatementKind::PublishTopic(_)
            | StatementKind::PublishModel(_)
            | StatementKind::Keep(_)
            | StatementKind::Delete(_)
            | StatementKind::TriggerEvent(_)
            | StatementKind::Navigate(_) => (&[][..], false),
        };
        let result = (is_call && names.is_empty()).then_some(Assigned::Result);
        names.iter().map(Assigned::Variable).chain(result)
    }

    /// Calls `visit` for each expression of this statement and of those in its blocks; not for those inside of expressions.
    pub(crate) fn each_expression<'a>(&'a self, visit: &mut dyn FnMut(&'a Expression)) {
        match &self.kind {
            StatementKind::Set(node) => visit(&node.value),
            StatementKind::PublishTopic(node) => {
                node.topic.parts.iter().for_each(&mut *visit);
                visit(&node.value);
            }
            StatementKind::PublishModel(node) => {
                node.topic.parts.iter().for_each(&mut *visit);
                node.assignments.iter().for_each(|assignment| visit(&assignment.value));
            }
            StatementKind::Keep(node) => {
                if let KeepTarget::Topic(topic) = &node.target {
                    topic.parts.iter().for_each(&mut *visit);
                }
                visit(&node.value);
            }
            StatementKind::Delete(node) => {
                if let DeleteTarget::Topic(topic) = &node.target {
                    topic.parts.iter().for_each(&mut *visit);
                }
            }
            StatementKind::IfElse(node) => node.branches.iter().for_each(|branch| visit(&branch.condition)),
            StatementKind::Switch(node) => {
                visit(&node.subject);
                node.cases.iter().flat_map(|case| &case.values).for_each(&mut *visit);
            }
            StatementKind::LoopUntil(node) => visit(&node.until),
            StatementKind::CallAction(node) => {
                node.arguments.iter().for_each(|argument| visit(&argument.value))
            }
            StatementKind::CallPython(node) => node.arguments.iter().for_each(&mut *visit),
            StatementKind::CallRoute(node) => {
                node.arguments.iter().for_each(|argument| visit(&argument.value))
            }
            StatementKind::TriggerEvent(node) => node.value.iter().for_each(&mut *visit),
            StatementKind::Navigate(_) => {}
        }
        self.each_block(&mut |block| block.iter().for_each(|statement| statement.each_expression(visit)));
    }
}
