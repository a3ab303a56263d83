//! Loops whose body is nothing but machine instructions on machine numbers.
//!
//! At the head of each loop the engine asks whether the run's time is over, which is a call, and numbers in registers of floating point do not outlive a
//! call. So a short body is written several times behind one head: what it computes stays in registers from pass to pass but for one in [`COPIES`].

use super::entry::Generator;
use super::equal::in_place;
use super::expression::Representation;
use crate::check::tree::{Constant, Expression, ExpressionKind, Statement, StatementKind};

/// How often the body of such a loop is written.
pub(super) const COPIES: u32 = 4;

/// Most statements and operations of a body that is written several times.
const OPERATIONS_MAX: u32 = 48;

impl Generator<'_> {
    /// Whether a loop is such a one.
    pub(super) fn is_tight(&self, body: &[Statement], until: &Expression) -> bool {
        let mut left = OPERATIONS_MAX;
        self.are_tight(body, &mut left) && self.is_machine(until, &mut left)
    }

    fn are_tight(&self, body: &[Statement], left: &mut u32) -> bool {
        body.iter().all(|statement| spend(left) && self.is_tight_statement(&statement.kind, left))
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "whatever is not named here calls somebody")]
    fn is_tight_statement(&self, statement: &StatementKind, left: &mut u32) -> bool {
        match statement {
            StatementKind::Set { variable, value } => {
                self.representation_of(*variable) != Representation::Cell && self.is_machine(value, left)
            }
            StatementKind::If { branches, otherwise } => {
                branches.iter().all(|branch| {
                    self.is_machine(&branch.condition, left) && self.are_tight(&branch.body, left)
                }) && self.are_tight(otherwise, left)
            }
            StatementKind::Switch { subject, cases, otherwise } => {
                self.payload_text(subject).is_some()
                    && cases.iter().all(|case| {
                        case.candidates
                            .iter()
                            .all(|candidate| spend(left) && candidate.value().and_then(in_place).is_some())
                            && self.are_tight(&case.body, left)
                    })
                    && self.are_tight(otherwise, left)
            }
            _ => false,
        }
    }

    /// Whether an expression is machine instructions alone.
    #[allow(clippy::wildcard_enum_match_arm, reason = "whatever is not named here calls somebody")]
    fn is_machine(&self, expression: &Expression, left: &mut u32) -> bool {
        use ExpressionKind as Kind;
        let mut are_machine = |operands: &[&Expression]| {
            operands.iter().all(|operand| {
                self.representation(operand) != Representation::Cell && self.is_machine(operand, left)
            })
        };
        let is_machine = match &expression.kind {
            Kind::Constant(Constant::Bool(_) | Constant::Int(_) | Constant::Double(_)) => true,
            Kind::Variable(_) => self.representation(expression) != Representation::Cell,
            Kind::Arithmetic { operator, left: a, right: b } => {
                self.calculated(expression.kinds, *operator, a, b) != Representation::Cell
                    && are_machine(&[a, b])
            }
            Kind::Compare { operator, left: a, right: b } => {
                self.comparison(*operator, a, b).is_some() && are_machine(&[a, b])
            }
            Kind::And(a, b) | Kind::Or(a, b) => are_machine(&[a, b]),
            Kind::Not(operand) => are_machine(&[operand]),
            Kind::Negate(operand) => {
                self.negated(expression.kinds, operand) != Representation::Cell && are_machine(&[operand])
            }
            _ => false,
        };
        is_machine && spend(left)
    }
}

fn spend(left: &mut u32) -> bool {
    *left = left.saturating_sub(1);
    *left > 0
}
