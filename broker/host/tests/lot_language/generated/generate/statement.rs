//! Statements.

use super::whole::whole;
use super::{Generator, TOPICS, VARIABLES};
use crate::generated::tree::{Expression, Statement, StatementKind, Topic, TopicPart, Type};

impl Generator {
    /// One to `most` statements.
    pub(super) fn block(&mut self, depth: usize, most: usize) -> Vec<Statement> {
        (0..self.random.between(1, most)).flat_map(|_| self.statements(depth)).collect()
    }

    fn statements(&mut self, depth: usize) -> Vec<Statement> {
        let kind = match self.random.below(if self.scope.counts { 27 } else { 24 }) {
            24 | 25 => self.count(),
            26 => self.publish_counter(),
            0..=6 => StatementKind::Set { name: self.variable(), value: self.value() },
            7..=12 => StatementKind::Publish {
                topic: self.topic_write(),
                value: self.value(),
                qos: if self.random.one_in(4) { self.random.between(1, 2) as u8 } else { 0 },
                retain: self.random.one_in(5),
            },
            13 | 14 => StatementKind::Keep { topic: self.topic_write(), value: self.value() },
            15 => match self.random.below(3) {
                0 => StatementKind::DeleteEnv { name: "E".to_owned() },
                1 => StatementKind::DeleteTopic { topic: (self.random.pick(TOPICS)).to_owned() },
                _ => StatementKind::KeepEnv {
                    name: (self.random.pick(&["E", "F"])).to_owned(),
                    value: self.expression(2),
                },
            },
            16..=18 if depth < 3 => StatementKind::If {
                branches: (0..self.random.between(1, 3))
                    .map(|_| (self.condition(2), self.block(depth + 1, 2)))
                    .collect(),
                otherwise: if self.random.one_in(2) { Some(self.block(depth + 1, 2)) } else { None },
            },
            19 if depth < 3 => self.switch(depth),
            20 if depth < 2 && self.scope.loops < 2 => return self.counted_loop(depth),
            21 | 22 if !self.scope.callees.is_empty() => self.call(),
            23 if !self.scope.models.is_empty() => self.publish_model(),
            22 | 23 if self.scope.has_message => return self.pass_bytes_on(),
            _ => StatementKind::Publish {
                topic: Topic::Literal("o".to_owned()),
                value: self.value(),
                qos: 0,
                retain: false,
            },
        };
        vec![Statement { kind, line: 0 }]
    }

    fn variable(&mut self) -> String {
        (self.random.pick(VARIABLES)).to_owned()
    }

    /// Returns an expression to write or to set.
    fn value(&mut self) -> Expression {
        let depth = self.random.between(0, 3);
        self.expression(depth)
    }

    /// Bytes go through a variable of their own: nothing else may be done with them.
    fn pass_bytes_on(&mut self) -> Vec<Statement> {
        let bytes = Expression::Cast(Box::new(Expression::Payload), Type::Bytes);
        let (name, topic) = ("raw".to_owned(), self.topic_write());
        let through_variable = self.random.one_in(2);
        let value = if through_variable { Expression::Variable(name.clone()) } else { bytes.clone() };
        let write = if self.random.one_in(2) {
            StatementKind::Keep { topic, value }
        } else {
            StatementKind::Publish { topic, value, qos: 0, retain: false }
        };
        let set = through_variable.then_some(StatementKind::Set { name, value: bytes });
        set.into_iter().chain([write]).map(|kind| Statement { kind, line: 0 }).collect()
    }

    fn switch(&mut self, depth: usize) -> StatementKind {
        let value = self.expression(1);
        let cases = (0..self.random.between(1, 3))
            .map(|_| {
                let values = (0..self.random.between(1, 2)).map(|_| self.leaf()).collect();
                (values, self.block(depth + 1, 2))
            })
            .collect();
        let default = if self.random.one_in(2) { Some(self.block(depth + 1, 2)) } else { None };
        StatementKind::Switch { value, cases, default }
    }

    /// A loop that ends, by a variable of its own that counts up or down.
    fn counted_loop(&mut self, depth: usize) -> Vec<Statement> {
        self.scope.loops += 1;
        let counter = format!("i{}", self.scope.loops);
        let (start, operator, step) = self.counting();
        let variable = Box::new(Expression::Variable(counter.clone()));
        let next = Expression::Binary(operator, variable.clone(), Box::new(whole(step)));
        let mut body = self.block(depth + 1, 2);
        if self.scope.counts && self.random.one_in(2) {
            body.push(Statement { kind: self.count(), line: 0 });
        }
        let at = self.random.below(body.len() + 1);
        body.insert(
            at,
            Statement { kind: StatementKind::Set { name: counter.clone(), value: next }, line: 0 },
        );
        let until = self.enough(variable, start, operator, step);
        self.scope.loops -= 1;
        let start = StatementKind::Set { name: counter, value: whole(start) };
        let kind = StatementKind::Loop { body, until };
        vec![Statement { kind: start, line: 0 }, Statement { kind, line: 0 }]
    }

    fn call(&mut self) -> StatementKind {
        let callee = self.scope.callees[self.random.below(self.scope.callees.len())].clone();
        let mut arguments = Vec::new();
        for input in callee.inputs {
            if !self.random.one_in(5) {
                arguments.push((input, self.expression(1)));
            }
        }
        let returns = if self.random.one_in(3) { 0 } else { callee.outputs };
        let returns = VARIABLES[..returns].iter().map(|name| (*name).to_owned()).collect();
        StatementKind::Call { name: callee.name, arguments, returns }
    }

    fn publish_model(&mut self) -> StatementKind {
        let (name, fields) = self.scope.models[self.random.below(self.scope.models.len())].clone();
        let mut assignments = Vec::new();
        for field in fields {
            if !self.random.one_in(3) {
                assignments.push((field, self.expression(2)));
            }
        }
        if assignments.is_empty() {
            assignments.push(("id".to_owned(), Expression::Text("p1".to_owned())));
        }
        let topic = if self.scope.has_message && self.random.one_in(3) {
            Topic::Parts(vec![TopicPart::Literal("m/".to_owned()), TopicPart::Position(1)])
        } else {
            Topic::Literal("m".to_owned())
        };
        StatementKind::PublishModel { name, topic, assignments }
    }
}
