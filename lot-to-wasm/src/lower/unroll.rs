//! Loop unrolling: the body of a short loop without calls is written several times behind one head.
//!
//! At the head of each loop the engine asks whether the run's time is over, which is a call, and
//! numbers in registers of floating point do not outlive a call. If a body is nothing but machine
//! instructions on machine numbers, its results stay in registers from pass to pass, except in one
//! of [`COPIES`] passes.

use super::entry::Generator;
use super::equal::in_place;
use super::expression::Representation;
use crate::check::tree::{Candidate, Constant, Expression, ExpressionKind, Statement};

/// How often the body of a loop that is unrolled is written.
const COPIES: u32 = 4;

/// Most statements and operations of a body that is unrolled.
const OPERATIONS_MAX: u32 = 48;

/// Number of statements and operations that a loop may still have for being unrolled.
pub(crate) struct UnrollBudget(u32);

impl UnrollBudget {
    /// Takes one off; whether there is still any left.
    fn spend(&mut self) -> bool {
        self.0 = self.0.saturating_sub(1);
        self.0 > 0
    }
}

impl Generator<'_> {
    /// How often the body of a loop is written.
    pub(crate) fn copies_of_loop(&self, body: &[Statement], until: &Expression) -> u32 {
        let mut budget = UnrollBudget(OPERATIONS_MAX);
        let is_unrolled = self.are_unrollable(body, &mut budget) && self.is_machine_code(until, &mut budget);
        if is_unrolled { COPIES } else { 1 }
    }

    /// Whether all statements may be in a loop that is unrolled.
    pub(crate) fn are_unrollable(&self, body: &[Statement], budget: &mut UnrollBudget) -> bool {
        body.iter().all(|statement| budget.spend() && statement.kind.executable().is_unrollable(self, budget))
    }

    /// Whether a comparison with a candidate is machine instructions alone.
    pub(crate) fn is_compared_in_place(&self, candidate: &Candidate, budget: &mut UnrollBudget) -> bool {
        budget.spend() && candidate.value().and_then(in_place).is_some()
    }

    /// Whether an expression is machine instructions alone, and its operations are within what is
    /// left of the budget.
    #[allow(clippy::wildcard_enum_match_arm, reason = "whatever is not named here calls somebody")]
    pub(crate) fn is_machine_code(&self, expression: &Expression, budget: &mut UnrollBudget) -> bool {
        use ExpressionKind as Kind;
        let mut are_machine = |operands: &[&Expression]| {
            operands.iter().all(|operand| {
                self.representation(operand) != Representation::Cell && self.is_machine_code(operand, budget)
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
        is_machine && budget.spend()
    }
}
