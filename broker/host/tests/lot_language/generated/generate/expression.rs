//! Expressions.

use super::{Generator, TOPICS, VARIABLES};
use crate::generated::tree::{Expression, Function, Operator, Topic, TopicPart, Transform, Type};

const TEXTS: &[&str] = &[
    "",
    "a",
    "x",
    "on",
    "5",
    "5.0",
    "abc",
    " q ",
    "v=",
    "true",
    "null",
    "a/b -- no comment",
    "é",
    "say \"hi\"",
    "back\\slash",
    "7",
];

/// Patterns, some with look-around, which take another engine.
const PATTERNS: &[&str] = &[
    "[0-9]+",
    "^[a-z]",
    "(a|b)+c?",
    "t=(?<value>[0-9]+)",
    "\\d+",
    "x$",
    ".",
    "(?<=t=)[0-9]",
    "[^a]b(?!c)",
    "(.)\\1",
];

const PATHS: &[&str] =
    &["a", "b", "n", "a.b", "list[0]", "list.1", "b.a", "a[1]", "[0]", "zz", "", "é", "list[0].n"];

impl Generator {
    /// Any value, `depth` high at most.
    pub(super) fn expression(&mut self, depth: usize) -> Expression {
        if depth == 0 || self.random.one_in(4) {
            return self.leaf();
        }
        let depth = depth - 1;
        let boxed = |generator: &mut Generator| Box::new(generator.expression(depth));
        match self.random.below(22) {
            0..=4 => self.arithmetic(depth),
            5..=7 => self.condition(depth + 1),
            8 | 9 => {
                let operand = boxed(self);
                Expression::Cast(operand, self.target())
            }
            10 => Expression::If {
                condition: Box::new(self.condition(depth)),
                then: boxed(self),
                otherwise: if self.random.one_in(5) { None } else { Some(boxed(self)) },
            },
            11 | 12 => {
                let mut members: Vec<(String, Expression)> = Vec::new();
                for key in ["k", "a.b", "x"] {
                    if self.random.one_in(2) {
                        members.push((key.to_owned(), self.expression(depth)));
                    }
                }
                Expression::Object(members)
            }
            13 => Expression::Array((0..self.random.below(4)).map(|_| self.expression(depth)).collect()),
            14 | 15 => {
                let operand = boxed(self);
                Expression::Apply(self.transform(depth), operand)
            }
            16 => self.function(depth),
            17 => Expression::Negate(boxed(self)),
            18 | 19 => {
                let source = match self.random.below(4) {
                    0 if self.scope.has_message => None,
                    1 => Some(boxed(self)),
                    _ => Some(Box::new(self.leaf())),
                };
                Expression::GetJson { path: (self.random.pick(PATHS)).to_owned(), source }
            }
            _ => Expression::Binary(Operator::Add, boxed(self), boxed(self)),
        }
    }

    /// Returns an expression without operands.
    pub(super) fn leaf(&mut self) -> Expression {
        match self.random.below(if self.scope.counts { 26 } else { 24 }) {
            24 | 25 => self.counter(),
            0..=2 => Expression::Int(self.random.pick(&[0, 1, 2, 3, 5, 7, 10, 100, i64::MAX, 4_000_000_000])),
            3 => Expression::Double(self.random.pick(&[0.0, 0.1, 0.5, 2.5, 5.0, 1000.0, 1e14])),
            4 | 5 => Expression::Text((self.random.pick(TEXTS)).to_owned()),
            6 => Expression::Bool(self.random.one_in(2)),
            7 if self.random.one_in(2) => Expression::Null,
            7 => Expression::Empty,
            8..=15 => self.name(),
            16..=18 if self.scope.has_message => Expression::Payload,
            19 if self.scope.has_message => Expression::Position(Box::new(self.position())),
            20 if self.scope.has_message => Expression::Topic,
            21 if !self.scope.words.is_empty() => Expression::Session(self.random.pick(self.scope.words)),
            22 => Expression::Timestamp(self.random.pick(&[
                None,
                Some("ISO"),
                Some("UTC"),
                Some("UNIX"),
                Some("UNIX-MS"),
                Some("HOUR"),
                Some("dd.MM.yyyy"),
            ])),
            _ => self.read(),
        }
    }

    /// A variable, or in a model a field.
    fn name(&mut self) -> Expression {
        match &self.scope.fields {
            Some(fields) if fields.is_empty() => Expression::Int(4),
            Some(fields) => Expression::Field(fields[self.random.below(fields.len())].clone()),
            None if self.random.one_in(6) => {
                let path = self.random.pick(&["a", "b", "list[0]", "n", "[1]"]);
                Expression::Member((self.random.pick(VARIABLES)).to_owned(), path.to_owned())
            }
            None => Expression::Variable((self.random.pick(VARIABLES)).to_owned()),
        }
    }

    fn position(&mut self) -> Expression {
        let number = Expression::Int(self.random.between(1, 3) as i64);
        if self.random.one_in(4) {
            return Expression::Binary(Operator::Add, Box::new(number), Box::new(Expression::Int(1)));
        }
        number
    }

    fn read(&mut self) -> Expression {
        if self.scope.fields.is_some() {
            return Expression::Random(3);
        }
        match self.random.below(8) {
            0 => Expression::GetEnv((self.random.pick(&["E", "F"])).to_owned()),
            1 => Expression::Random(self.random.below(10) as i64),
            2 => Expression::TopicExists(Box::new(self.topic_read())),
            3 if !self.scope.callees.is_empty() => Expression::Result,
            _ => Expression::GetTopic(Box::new(self.topic_read())),
        }
    }

    /// The topic of a read.
    fn topic_read(&mut self) -> Topic {
        match self.random.below(8) {
            0 if self.scope.wildcards.0 > 0 => Topic::Literal("s/+/h".to_owned()),
            1 if self.scope.wildcards.1 => Topic::Literal("k/#".to_owned()),
            2 => Topic::Parts(vec![
                TopicPart::Literal("k/".to_owned()),
                self.topic_part(),
                TopicPart::Literal("/n".to_owned()),
            ]),
            3 => Topic::Parts(vec![TopicPart::Literal("k/".to_owned()), self.topic_part()]),
            4 => Topic::Value(Box::new(self.expression(1))),
            _ => Topic::Literal((self.random.pick(TOPICS)).to_owned()),
        }
    }

    fn topic_part(&mut self) -> TopicPart {
        match self.random.below(4) {
            0 if self.scope.has_message => TopicPart::Payload,
            1 if self.scope.has_message => TopicPart::Position(self.random.between(1, 3) as i64),
            _ => TopicPart::Variable((self.random.pick(VARIABLES)).to_owned()),
        }
    }

    /// The topic of a write.
    pub(super) fn topic_write(&mut self) -> Topic {
        match self.random.below(14) {
            0 => Topic::Parts(vec![TopicPart::Literal("out/".to_owned()), self.topic_part()]),
            1 => Topic::Parts(vec![
                TopicPart::Literal("out/".to_owned()),
                self.topic_part(),
                TopicPart::Literal("/x".to_owned()),
            ]),
            2 if self.scope.wildcards.0 > 0 => Topic::Literal("out/+/x".to_owned()),
            3 if self.scope.wildcards.1 => Topic::Literal("out/#".to_owned()),
            4 => Topic::Value(Box::new(self.expression(2))),
            5 => Topic::Literal(format!("out/{{{}}}/y", self.random.pick(VARIABLES))),
            6 if self.scope.has_message => {
                Topic::Parts(vec![TopicPart::Position(1), TopicPart::Literal("/o".to_owned())])
            }
            7 | 8 => Topic::Literal((self.random.pick(TOPICS)).to_owned()),
            _ => Topic::Literal((self.random.pick(&["out", "out/a", "o"])).to_owned()),
        }
    }

    fn target(&mut self) -> Type {
        self.random.pick(&[
            Type::Int,
            Type::Int,
            Type::Double,
            Type::Double,
            Type::Bool,
            Type::String,
            Type::String,
            Type::Json,
            Type::Array,
            Type::Object,
            Type::Timestamp,
        ])
    }

    fn arithmetic(&mut self, depth: usize) -> Expression {
        let operator = self.random.pick(&[
            Operator::Add,
            Operator::Add,
            Operator::Subtract,
            Operator::Multiply,
            Operator::Divide,
            Operator::Remainder,
        ]);
        let (left, right) = (self.number(depth), self.number(depth));
        Expression::Binary(operator, Box::new(left), Box::new(right))
    }

    /// Mostly a number, so that calculations are about something.
    fn number(&mut self, depth: usize) -> Expression {
        match self.random.below(6) {
            0 => self.expression(depth),
            1 if depth > 0 => self.arithmetic(depth - 1),
            2 if depth > 0 => {
                let operand = Box::new(self.expression(depth - 1));
                Expression::Cast(operand, self.random.pick(&[Type::Int, Type::Double]))
            }
            3 => Expression::Int(self.random.pick(&[0, 1, 2, 3, 4, 7, 60, 4_611_686_018_427_387_904])),
            4 => self.name(),
            _ if self.scope.has_message => Expression::Payload,
            _ => Expression::Double(1.5),
        }
    }

    /// Mostly true or false.
    pub(super) fn condition(&mut self, depth: usize) -> Expression {
        if depth == 0 {
            return match self.random.below(3) {
                0 => Expression::Bool(self.random.one_in(2)),
                _ => Expression::IsEmpty { value: Box::new(self.leaf()), negated: self.random.one_in(2) },
            };
        }
        let depth = depth - 1;
        match self.random.below(if self.scope.counts { 14 } else { 12 }) {
            12 | 13 => self.compare_counter(),
            0 | 1 => Expression::Binary(
                if self.random.one_in(2) { Operator::And } else { Operator::Or },
                Box::new(self.condition(depth)),
                Box::new(self.condition(depth)),
            ),
            2 => Expression::Not(Box::new(self.condition(depth))),
            3 => Expression::IsEmpty {
                value: Box::new(self.expression(depth)),
                negated: self.random.one_in(2),
            },
            4 => Expression::In(
                Box::new(self.expression(depth)),
                (0..self.random.between(1, 3)).map(|_| self.leaf()).collect(),
            ),
            5 => Expression::MatchesRegex(Box::new(self.expression(depth)), self.random.pick(PATTERNS)),
            6 => {
                let operator = self.random.pick(&[
                    Operator::Contains,
                    Operator::NotContains,
                    Operator::StartsWith,
                    Operator::EndsWith,
                    Operator::Matches,
                ]);
                Expression::Binary(operator, Box::new(self.expression(depth)), Box::new(self.leaf()))
            }
            7 => self.expression(depth),
            _ => {
                let operator = self.random.pick(&[
                    Operator::Equal,
                    Operator::NotEqual,
                    Operator::Less,
                    Operator::LessOrEqual,
                    Operator::Greater,
                    Operator::GreaterOrEqual,
                ]);
                Expression::Binary(
                    operator,
                    Box::new(self.expression(depth)),
                    Box::new(self.expression(depth)),
                )
            }
        }
    }

    fn transform(&mut self, depth: usize) -> Transform {
        match self.random.below(8) {
            0 | 1 => Transform::FilterRegex(self.random.pick(PATTERNS)),
            2 => Transform::FilterCsv(self.random.between(1, 3) as u32),
            3 => Transform::Replace(Box::new(self.leaf()), Box::new(self.expression(depth.min(1)))),
            4 => Transform::Split {
                separator: self.random.pick(&[";", ",", "b", "--"]),
                at: if self.random.one_in(3) { None } else { Some(self.random.between(1, 3) as u32) },
            },
            5 => Transform::Upper,
            6 => Transform::Lower,
            _ => Transform::Trim,
        }
    }

    fn function(&mut self, depth: usize) -> Expression {
        let function = self.random.pick(&[
            Function::Upper,
            Function::Lower,
            Function::Length,
            Function::Abs,
            Function::Round,
            Function::Floor,
            Function::Ceil,
            Function::Sqrt,
            Function::Min,
            Function::Max,
        ]);
        let arguments = match function {
            Function::Upper | Function::Lower | Function::Length => vec![self.expression(depth)],
            Function::Min | Function::Max => {
                (0..self.random.between(1, 3)).map(|_| self.number(depth)).collect()
            }
            _ => vec![self.number(depth)],
        };
        Expression::Function(function, arguments)
    }
}
