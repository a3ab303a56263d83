//! Counters: whole numbers that are counted in loops and out of them, near the ends of 64 bits too.

use super::{Generator, VARIABLES};
use crate::generated::tree::{Expression, Function, Operator, Statement, StatementKind, Topic};

/// Variables that hold whole numbers, unless something makes doubles of them.
const COUNTERS: &[&str] = &["n", "m"];

/// Start values of counters: around zero, at the precision limit of doubles, near the limit of
/// machine numbers in a compiler, and at the ends.
const STARTS: &[i64] = &[
    0,
    0,
    0,
    1,
    -5,
    100,
    (1 << 53) - 1,
    -(1 << 53),
    (1 << 62) - 100_003,
    (1 << 62) - 1,
    1 << 62,
    -(1 << 62),
    i64::MAX - 2,
    i64::MAX,
    -i64::MAX,
];

const STEPS: &[i64] =
    &[1, 1, 1, 2, 3, 7, -1, -4, 1_000_003, 46_116_399_020_283, 46_116_399_020_284, 1 << 62, i64::MAX, 0];

/// A whole number of either sign as an expression.
pub(super) fn whole(number: i64) -> Expression {
    let size = Expression::Int(number.checked_abs().unwrap_or(i64::MAX));
    if number < 0 { Expression::Negate(Box::new(size)) } else { size }
}

fn calculate(operator: Operator, left: Expression, right: Expression) -> Expression {
    Expression::Binary(operator, Box::new(left), Box::new(right))
}

impl Generator {
    /// Mostly sets the counters, so that they are never Empty.
    pub(super) fn begin_counters(&mut self) -> Vec<Statement> {
        let mut statements = Vec::new();
        if !self.scope.counts {
            return statements;
        }
        for name in COUNTERS {
            if !self.random.one_in(3) {
                let value = whole(self.random.pick(STARTS));
                statements.push(Statement {
                    kind: StatementKind::Set { name: (*name).to_owned(), value },
                    line: 0,
                });
            }
        }
        statements
    }

    /// A variable that counts, or in a model a number.
    pub(super) fn counter(&mut self) -> Expression {
        if self.scope.fields.is_some() {
            return whole(self.random.pick(STARTS));
        }
        let name = if self.scope.loops > 0 && self.random.one_in(3) {
            format!("i{}", self.random.between(1, self.scope.loops))
        } else {
            self.random.pick(COUNTERS).to_owned()
        };
        Expression::Variable(name)
    }

    /// Counts on.
    pub(super) fn count(&mut self) -> StatementKind {
        let name = self.random.pick(COUNTERS);
        let variable = Expression::Variable(name.to_owned());
        let value = match self.random.below(16) {
            0..=4 => calculate(Operator::Add, variable, whole(self.random.pick(STEPS))),
            5..=7 => calculate(Operator::Subtract, variable, whole(self.random.pick(STEPS))),
            8 => calculate(Operator::Remainder, variable, whole(self.random.pick(STEPS))),
            9 => Expression::Negate(Box::new(variable)),
            10 => Expression::If {
                condition: Box::new(self.compare_counter()),
                then: Box::new(calculate(Operator::Add, variable, whole(self.random.pick(STEPS)))),
                otherwise: if self.random.one_in(6) { None } else { Some(Box::new(self.counted(1))) },
            },
            11 => whole(self.random.pick(STARTS)),
            // Operations that change its type.
            12 if self.random.one_in(3) => calculate(Operator::Divide, variable, Expression::Int(2)),
            12 if self.random.one_in(3) => calculate(Operator::Add, variable, Expression::Double(0.5)),
            12 if self.random.one_in(2) => self.leaf(),
            _ => self.counted(2),
        };
        StatementKind::Set {
            name: if self.random.one_in(8) { self.random.pick(VARIABLES) } else { name }.to_owned(),
            value,
        }
    }

    /// A calculation with counters, `depth` high at most.
    fn counted(&mut self, depth: usize) -> Expression {
        if depth == 0 {
            return if self.random.one_in(3) { whole(self.random.pick(STEPS)) } else { self.counter() };
        }
        if self.random.one_in(8) {
            return Expression::Function(Function::Length, vec![self.leaf()]);
        }
        let operator = self.random.pick(&[
            Operator::Add,
            Operator::Add,
            Operator::Subtract,
            Operator::Subtract,
            Operator::Multiply,
            Operator::Remainder,
        ]);
        let left = self.counted(depth - 1);
        calculate(operator, left, self.counted(depth - 1))
    }

    /// A comparison with a whole number or a double, near to where it may be.
    pub(super) fn compare_counter(&mut self) -> Expression {
        let operator = self.random.pick(&[
            Operator::Equal,
            Operator::NotEqual,
            Operator::Less,
            Operator::LessOrEqual,
            Operator::Greater,
            Operator::GreaterOrEqual,
        ]);
        let near = self.random.pick(STARTS);
        let other = match self.random.below(6) {
            0 => self.counter(),
            1 => self.leaf(),
            2 | 3 => {
                let size = Expression::Double(near.unsigned_abs() as f64);
                if near < 0 { Expression::Negate(Box::new(size)) } else { size }
            }
            _ => whole(near.saturating_add(self.random.below(5) as i64 - 2)),
        };
        let counter = self.counted(1);
        if self.random.one_in(4) {
            calculate(operator, other, counter)
        } else {
            calculate(operator, counter, other)
        }
    }

    /// Start, operator and step of a counter of a loop.
    pub(super) fn counting(&mut self) -> (i64, Operator, i64) {
        if !self.scope.counts || self.random.one_in(2) {
            return (0, Operator::Add, 1);
        }
        let operator = self.random.pick(&[Operator::Add, Operator::Subtract]);
        // The small steps: a few of them end the loop.
        (self.random.pick(&STARTS[..8]), operator, self.random.pick(&STEPS[..9]))
    }

    /// When such a counter has been counted a few times, or sooner.
    pub(super) fn enough(
        &mut self,
        counter: Box<Expression>,
        start: i64,
        operator: Operator,
        step: i64,
    ) -> Expression {
        let step = if operator == Operator::Subtract { -step } else { step };
        let end = whole(start + step * self.random.between(0, 4) as i64);
        let comparison = if step < 0 { Operator::LessOrEqual } else { Operator::GreaterOrEqual };
        let enough = Expression::Binary(comparison, counter, Box::new(end));
        if self.random.one_in(3) { calculate(Operator::Or, self.condition(1), enough) } else { enough }
    }

    pub(super) fn publish_counter(&mut self) -> StatementKind {
        StatementKind::Publish {
            topic: Topic::Literal("o".to_owned()),
            value: self.counted(1),
            qos: 0,
            retain: false,
        }
    }
}
