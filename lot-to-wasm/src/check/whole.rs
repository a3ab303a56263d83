//! Whole numbers that no run can count beyond 64 bits, and which therefore stay whole: elsewhere a
//! sum of two INT may overflow into DOUBLE (§4).
//!
//! A run makes at most [`LOOP_PASSES_MAX`](crate::limits::LOOP_PASSES_MAX) passes through all its
//! loops together, so an assignment is carried out at most so often; one outside of all loops once.
//! Variables that are set from each other form a group. The largest absolute value in a group
//! begins at 0, an assignment that adds `n` to a variable of the group raises it by at most `n`,
//! and any other sets a value whose bound is known. So no value of the group exceeds the largest of
//! those bounds plus, for each assignment that adds, `n` times its number of executions.
//!
//! The search goes from the inside out: first a counter, then a sum that counters are added to.

use super::fold;
use super::kind::KindSet;
use super::tree::walk::{Assignment, assigned};
use super::tree::{Arithmetic, Constant, Expression, ExpressionKind, Function, Statement, Variable};
use crate::limits::INFERENCE_PASSES_MAX;

/// Largest bound of a variable, and of an addend of a group: the sum of two still fits.
const BOUND_MAX: u64 = (1 << 62) - 1;

/// Upper bound of the absolute value of a whole number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bound {
    /// It is at most this, beyond that of a variable of the group if it `counts`.
    by: u64,
    counts: bool,
}

impl Bound {
    /// `None` when it might not fit.
    fn new(by: u64, counts: bool) -> Option<Bound> {
        let most = if counts { BOUND_MAX } else { i64::MAX.unsigned_abs() };
        (by <= most).then_some(Bound { by, counts })
    }

    fn of(by: u64) -> Option<Bound> {
        Bound::new(by, false)
    }

    /// That of one or the other.
    pub(super) fn or(self, other: Bound) -> Option<Bound> {
        Bound::new(self.by.max(other.by), self.counts || other.counts)
    }
}

/// The bound of a calculation from those of its operands; `divisor` is the second one.
pub(super) fn calculated(
    operator: Arithmetic,
    bounds: (Bound, Bound),
    divisor: &Expression,
) -> Option<Bound> {
    let (left, right) = bounds;
    match operator {
        Arithmetic::Add | Arithmetic::Subtract if left.counts && right.counts => None,
        Arithmetic::Add | Arithmetic::Subtract => Bound::new(left.by + right.by, left.counts || right.counts),
        Arithmetic::Multiply if left.counts || right.counts => None,
        Arithmetic::Multiply => Bound::of(left.by.checked_mul(right.by)?),
        Arithmetic::Remainder => {
            let Constant::Int(divisor) = fold::constant(divisor)? else { return None };
            Bound::of(divisor.unsigned_abs().checked_sub(1)?)
        }
        Arithmetic::Divide => None,
    }
}

/// The bound of an expression without operands that are expressions.
#[allow(clippy::wildcard_enum_match_arm, reason = "of nothing else a bound is known")]
pub(super) fn leaf(kind: &ExpressionKind, variables: &[Variable]) -> Option<Bound> {
    match kind {
        ExpressionKind::Constant(Constant::Int(number)) => Bound::of(number.unsigned_abs()),
        ExpressionKind::Variable(id) => variables.get(id.0 as usize)?.bound.and_then(Bound::of),
        // Nothing is longer than the memory of a run.
        ExpressionKind::Function { function: Function::Length, .. } => Bound::of(u64::from(u32::MAX)),
        _ => None,
    }
}

/// Finds the bounds of variables that nothing but such numbers are assigned to.
pub(super) fn bounds(body: &[Statement], variables: &mut [Variable]) {
    let assignments = assigned(body);
    let mut passes_left = INFERENCE_PASSES_MAX;
    while bound_more(&assignments, variables, &mut passes_left) {}
}

impl Assignment<'_> {
    fn target(&self) -> usize {
        self.variable.0 as usize
    }

    /// Whether its variable is among those.
    fn variable_is(&self, open: &[bool]) -> bool {
        open.get(self.target()).copied().unwrap_or(false)
    }
}

/// Finds bounds of further variables; whether there are any.
fn bound_more(assignments: &[Assignment<'_>], variables: &mut [Variable], passes_left: &mut usize) -> bool {
    let mut groups = Groups::of(assignments, variables);
    if !groups.keep_countable(assignments, variables, passes_left) {
        return false;
    }
    groups.join(assignments, variables);
    let bounds = groups.bounds(assignments, variables);
    let mut is_more = false;
    for (variable, bound) in variables.iter_mut().zip(bounds) {
        if variable.bound.is_none() && bound.is_some() {
            (variable.bound, is_more) = (bound, true);
        }
    }
    is_more
}

/// Groups of variables that may be bounded by each other.
struct Groups {
    /// Whether it is one of them.
    is_open: Vec<bool>,
    /// Another one of the group, itself for the one that stands for all.
    parent: Vec<usize>,
}

impl Groups {
    /// Every variable that is assigned, never Empty when it is read, and has no bound yet.
    fn of(assignments: &[Assignment<'_>], variables: &[Variable]) -> Groups {
        let mut is_open = vec![false; variables.len()];
        for assignment in assignments {
            let index = assignment.target();
            if let (Some(open), Some(variable)) = (is_open.get_mut(index), variables.get(index)) {
                *open = variable.kinds == KindSet::NONE && variable.bound.is_none();
            }
        }
        Groups { is_open, parent: (0..variables.len()).collect() }
    }

    fn is_open(&self, index: usize) -> bool {
        self.is_open.get(index).copied().unwrap_or(false)
    }

    /// Leaves variables out until all assignments to those that are left have a bound. False when
    /// that takes too many passes.
    fn keep_countable(
        &mut self,
        assignments: &[Assignment<'_>],
        variables: &[Variable],
        passes_left: &mut usize,
    ) -> bool {
        while *passes_left > 0 {
            *passes_left -= 1;
            let mut is_stable = true;
            for assignment in assignments {
                if !assignment.variable_is(&self.is_open) {
                    continue;
                }
                let bound = assignment.value.and_then(|value| self.bound(value, variables, &mut |_| {}));
                let is_countable = bound.is_some_and(|bound| !bound.counts || assignment.times.is_some());
                if let Some(open) = self.is_open.get_mut(assignment.target()).filter(|_| !is_countable) {
                    (*open, is_stable) = (false, false);
                }
            }
            if is_stable {
                return true;
            }
        }
        false
    }

    /// The bound of an expression; calls `reads` for each variable without one.
    #[allow(clippy::wildcard_enum_match_arm, reason = "all others have no operands that count")]
    fn bound(
        &self,
        expression: &Expression,
        variables: &[Variable],
        reads: &mut dyn FnMut(usize),
    ) -> Option<Bound> {
        match &expression.kind {
            ExpressionKind::Arithmetic { operator, left, right } => {
                let before = self.bound(left, variables, reads)?;
                let after = self.bound(right, variables, reads)?;
                calculated(*operator, (before, after), right)
            }
            ExpressionKind::Negate(operand) => self.bound(operand, variables, reads),
            ExpressionKind::If { then, otherwise, .. } => {
                let then = self.bound(then, variables, reads)?;
                then.or(self.bound(otherwise, variables, reads)?)
            }
            ExpressionKind::Variable(id) if self.is_open(id.0 as usize) => {
                reads(id.0 as usize);
                Bound::new(0, true)
            }
            kind => leaf(kind, variables),
        }
    }

    /// Joins variables that are set from each other.
    fn join(&mut self, assignments: &[Assignment<'_>], variables: &[Variable]) {
        for assignment in assignments.iter().filter(|assignment| assignment.variable_is(&self.is_open)) {
            let mut read = Vec::new();
            if let Some(value) = assignment.value {
                self.bound(value, variables, &mut |index| read.push(index));
            }
            for index in read {
                let (one, other) = (self.root(index), self.root(assignment.target()));
                if let Some(parent) = self.parent.get_mut(one) {
                    *parent = other;
                }
            }
        }
    }

    /// The variable that stands for the group of this one.
    fn root(&self, index: usize) -> usize {
        let mut root = index;
        while let Some(parent) = self.parent.get(root).filter(|parent| **parent != root) {
            root = *parent;
        }
        root
    }

    /// The bound of each variable that has one now.
    fn bounds(&self, assignments: &[Assignment<'_>], variables: &[Variable]) -> Vec<Option<u64>> {
        let mut set = vec![0u64; variables.len()];
        let mut added = vec![0u64; variables.len()];
        for assignment in assignments.iter().filter(|assignment| assignment.variable_is(&self.is_open)) {
            let root = self.root(assignment.target());
            let bound = assignment.value.and_then(|value| self.bound(value, variables, &mut |_| {}));
            let (Some(bound), Some(set), Some(added)) = (bound, set.get_mut(root), added.get_mut(root))
            else {
                continue;
            };
            // A value that may set or add counts as both.
            *set = (*set).max(bound.by);
            if bound.counts {
                let times = assignment.times.unwrap_or(u64::MAX);
                *added = added.saturating_add(bound.by.saturating_mul(times));
            }
        }
        let total = |index: usize| {
            let root = self.root(index);
            let total = set.get(root)?.saturating_add(*added.get(root)?);
            (self.is_open(index) && total <= BOUND_MAX).then_some(total)
        };
        (0..variables.len()).map(total).collect()
    }
}
