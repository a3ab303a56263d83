//! Price of a pattern by its tree: the states of its machines, and how many machines there are.

use crate::{
    PatternError, class,
    limits::{PATTERN_COST_MAX, PATTERN_MACHINE_COST},
};
use fancy_regex::{Assertion, Expr, LookAround};
use std::collections::HashMap;

/// Base cost of a part.
const PART: u64 = 10;
/// Cost of a byte of a literal.
const LITERAL_BYTE: u64 = 8;
/// Cost of a letter whose case is ignored.
const FOLDED_LETTER: u64 = 45;
/// Cost of `.`: 28 bytes of UTF-8 ranges.
const ANY: u64 = 58;
/// Groups that make the states of a pattern twice as dear: each state keeps where each group begins
/// and ends.
const GROUPS_FOR_DOUBLE: u64 = 16;
/// Bytes of a compiled pattern for each cost of 1.
const BYTES_PER_COST: u64 = 20;
/// Bytes of a machine beside its states, including the cache of its searches; measured.
const BYTES_OF_MACHINE: u64 = 16_384;

/// Cost of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    /// Tenths of a microsecond of compiling, about.
    pub cost: u64,
    /// Machines of its own that it is compiled to, at most.
    pub machines: u64,
}

impl Price {
    /// Approximate bytes of a compiled pattern, with the caches of its searches.
    pub fn bytes(&self) -> u64 {
        self.cost
            .saturating_mul(BYTES_PER_COST)
            .saturating_add(self.machines.saturating_mul(BYTES_OF_MACHINE))
    }

    /// Bytes that the states of one of its machines may have.
    pub(crate) fn bytes_of_machine_max(&self) -> usize {
        usize::try_from(PATTERN_COST_MAX * BYTES_PER_COST).unwrap_or(usize::MAX)
    }
}

/// Price of a tree.
pub(crate) fn of(tree: &Expr) -> Result<Price, PatternError> {
    let mut walk =
        Walk { classes: HashMap::new(), translating: 0, groups: Vec::new(), has_references: false };
    walk.collect(tree)?;
    let size = walk.size(tree, false)?;
    let groups = walk.groups.len() as u64;
    let states = size.saturating_mul(GROUPS_FOR_DOUBLE.saturating_add(groups)) / GROUPS_FOR_DOUBLE;
    let machines = walk.machines(tree, false, false).max(1);
    let cost =
        states.saturating_add(walk.translating).saturating_add(machines.saturating_mul(PATTERN_MACHINE_COST));
    if cost > PATTERN_COST_MAX {
        return Err(PatternError::TooLarge { cost });
    }
    Ok(Price { cost, machines })
}

/// Walk over a tree.
struct Walk<'t> {
    /// Cost of each class that was seen, by its text and whether letter case is ignored.
    classes: HashMap<(&'t str, bool), u64>,
    /// Cost of translating the classes.
    translating: u64,
    /// Content of each group, indexed by the group number minus one.
    groups: Vec<&'t Expr>,
    has_references: bool,
}

impl<'t> Walk<'t> {
    /// Collects the groups, and rejects constructs that are not offered.
    fn collect(&mut self, tree: &'t Expr) -> Result<(), PatternError> {
        match tree {
            Expr::SubroutineCall(_) | Expr::DefineGroup { .. } | Expr::AstNode(..) => {
                let instead = "write out what the group has";
                return Err(PatternError::NotOffered { construct: "calls of groups", instead });
            }
            Expr::Absent(_) => {
                let instead = "write a negative look-ahead, (?!…)";
                return Err(PatternError::NotOffered { construct: "absent operators", instead });
            }
            Expr::BacktrackingControlVerb(_) => {
                let instead = "write an atomic group, (?>…), or (?!) to fail";
                return Err(PatternError::NotOffered { construct: "backtracking control verbs", instead });
            }
            Expr::BackrefWithRelativeRecursionLevel { .. } => {
                let instead = "write a back reference without a level";
                return Err(PatternError::NotOffered { construct: "levels of recursion", instead });
            }
            Expr::Group(child) => self.groups.push(child),
            Expr::Backref { .. } => self.has_references = true,
            Expr::Empty
            | Expr::Any { .. }
            | Expr::Assertion(_)
            | Expr::GeneralNewline { .. }
            | Expr::Literal { .. }
            | Expr::LiteralBytes { .. }
            | Expr::Concat(_)
            | Expr::Alt(_)
            | Expr::LookAround(..)
            | Expr::Repeat { .. }
            | Expr::Delegate { .. }
            | Expr::AtomicGroup(_)
            | Expr::KeepOut
            | Expr::ContinueFromPreviousMatchEnd
            | Expr::BackrefExistsCondition { .. }
            | Expr::Conditional { .. } => {}
        }
        tree.children_iter().try_for_each(|child| self.collect(child))
    }

    /// Cost of the states of a tree.
    fn size(&mut self, tree: &'t Expr, is_behind: bool) -> Result<u64, PatternError> {
        let own = match tree {
            Expr::Any { .. } | Expr::GeneralNewline { .. } => ANY,
            Expr::Literal { val, casei: true } => val.chars().count() as u64 * FOLDED_LETTER,
            Expr::Literal { val, casei: false } => val.len() as u64 * LITERAL_BYTE,
            Expr::LiteralBytes { bytes } => bytes.len() as u64 * 2 * LITERAL_BYTE,
            Expr::Delegate { inner, casei } => self.class((inner, *casei))?,
            Expr::Repeat { child, lo, hi, .. } => {
                let copies = if *hi == usize::MAX { lo.saturating_add(1) } else { *hi }.max(1);
                let once = self.size(child, is_behind)?;
                return Ok(once.saturating_add(PART).saturating_mul(copies as u64));
            }
            // A look-behind that needs backtracking itself, or has groups, is compiled a second
            // time.
            Expr::LookAround(child, LookAround::LookBehind | LookAround::LookBehindNeg) => {
                let once = self.size(child, true)?;
                let is_twice = self.is_hard(child, true) || child.has_descendant(is_group);
                return Ok(PART.saturating_add(once.saturating_mul(if is_twice { 2 } else { 1 })));
            }
            // There the text of its group stands for a back reference.
            Expr::Backref { group, .. } if is_behind => self.referenced(*group)?,
            Expr::Empty
            | Expr::Assertion(_)
            | Expr::Concat(_)
            | Expr::Alt(_)
            | Expr::Group(_)
            | Expr::LookAround(_, LookAround::LookAhead | LookAround::LookAheadNeg)
            | Expr::Backref { .. }
            | Expr::BackrefWithRelativeRecursionLevel { .. }
            | Expr::AtomicGroup(_)
            | Expr::KeepOut
            | Expr::ContinueFromPreviousMatchEnd
            | Expr::BackrefExistsCondition { .. }
            | Expr::Conditional { .. }
            | Expr::SubroutineCall(_)
            | Expr::BacktrackingControlVerb(_)
            | Expr::Absent(_)
            | Expr::DefineGroup { .. }
            | Expr::AstNode(..) => 0,
        };
        tree.children_iter().try_fold(own.saturating_add(PART), |sum, child| {
            Ok(sum.saturating_add(self.size(child, is_behind)?))
        })
    }

    fn class(&mut self, key: (&'t str, bool)) -> Result<u64, PatternError> {
        if let Some(cost) = self.classes.get(&key) {
            return Ok(*cost);
        }
        let left = PATTERN_COST_MAX.saturating_sub(self.translating);
        let (translating, cost) = class::of(key.0, key.1, left);
        self.translating = self.translating.saturating_add(translating);
        if self.translating > PATTERN_COST_MAX {
            return Err(PatternError::TooLarge { cost: self.translating });
        }
        self.classes.insert(key, cost);
        Ok(cost)
    }

    fn referenced(&mut self, group: usize) -> Result<u64, PatternError> {
        // One that does not exist is left to the compilation, which refuses it.
        let Some(child) = group.checked_sub(1).and_then(|index| self.groups.get(index)).copied() else {
            return Ok(0);
        };
        if is_reference(child) || child.has_descendant(is_reference) {
            let instead = "write out what the group has";
            let construct = "back references in a look-behind to a group that has some itself";
            return Err(PatternError::NotOffered { construct, instead });
        }
        self.size(child, false)
    }

    /// Most machines of its own that a tree is compiled to; `is_stepped` when the backtracking
    /// engine goes through it part by part in any case.
    fn machines(&self, tree: &Expr, is_stepped: bool, is_behind: bool) -> u64 {
        if !is_stepped && !self.is_hard(tree, is_behind) {
            return 1;
        }
        let sum = |stepped: bool| {
            tree.children_iter().map(|child| self.machines(child, stepped, is_behind)).sum::<u64>()
        };
        match tree {
            Expr::Concat(parts) if parts.iter().all(is_literal) => 0,
            Expr::Concat(parts) if parts.iter().all(is_one_character) => 1,
            // Its beginning and its end, and those of parts between.
            Expr::Concat(_) => 2 + sum(true),
            Expr::Alt(_) | Expr::Group(_) | Expr::Conditional { .. } => sum(is_stepped),
            Expr::Repeat { lo: 0, hi: 1, .. } => sum(is_stepped),
            Expr::Repeat { .. } => sum(true),
            Expr::AtomicGroup(_) => sum(false),
            Expr::LookAround(child, LookAround::LookAhead | LookAround::LookAheadNeg) => {
                self.machines(child, false, false)
            }
            Expr::LookAround(child, LookAround::LookBehind | LookAround::LookBehindNeg) => {
                let Expr::Alt(branches) = &**child else { return self.behind(child) };
                2 + branches.iter().map(|branch| self.behind(branch)).sum::<u64>()
            }
            Expr::Empty
            | Expr::Any { .. }
            | Expr::Assertion(_)
            | Expr::GeneralNewline { .. }
            | Expr::Literal { .. }
            | Expr::LiteralBytes { .. }
            | Expr::Delegate { .. }
            | Expr::Backref { .. }
            | Expr::BackrefWithRelativeRecursionLevel { .. }
            | Expr::KeepOut
            | Expr::ContinueFromPreviousMatchEnd
            | Expr::BackrefExistsCondition { .. }
            | Expr::SubroutineCall(_)
            | Expr::BacktrackingControlVerb(_)
            | Expr::Absent(_)
            | Expr::DefineGroup { .. }
            | Expr::AstNode(..) => 0,
        }
    }

    /// Machines for the content of a look-behind: backwards, if its length varies, and forwards.
    fn behind(&self, tree: &Expr) -> u64 {
        if is_one_character(tree) {
            return 1;
        }
        let parts = tree.children_iter().filter(|part| self.is_hard(part, true)).count() as u64;
        2 + 2 * parts + self.machines(tree, false, true)
    }

    /// Whether a tree needs backtracking.
    fn is_hard(&self, tree: &Expr, is_behind: bool) -> bool {
        let is_hard = |part: &Expr| match part {
            Expr::LookAround(..)
            | Expr::Backref { .. }
            | Expr::BackrefWithRelativeRecursionLevel { .. }
            | Expr::AtomicGroup(_)
            | Expr::KeepOut
            | Expr::ContinueFromPreviousMatchEnd
            | Expr::BackrefExistsCondition { .. }
            | Expr::Conditional { .. }
            | Expr::GeneralNewline { .. }
            | Expr::LiteralBytes { .. }
            | Expr::SubroutineCall(_)
            | Expr::BacktrackingControlVerb(_)
            | Expr::Absent(_)
            | Expr::AstNode(..) => true,
            Expr::Assertion(Assertion::EndTextIgnoreTrailingNewlines { .. }) => true,
            Expr::Assertion(assertion) => is_behind && is_of_words(*assertion),
            Expr::Group(_) => self.has_references,
            Expr::Empty
            | Expr::Any { .. }
            | Expr::Literal { .. }
            | Expr::Concat(_)
            | Expr::Alt(_)
            | Expr::Repeat { .. }
            | Expr::Delegate { .. }
            | Expr::DefineGroup { .. } => false,
        };
        is_hard(tree) || tree.has_descendant(is_hard)
    }
}

fn is_group(tree: &Expr) -> bool {
    matches!(tree, Expr::Group(_))
}

fn is_reference(tree: &Expr) -> bool {
    matches!(tree, Expr::Backref { .. } | Expr::BackrefWithRelativeRecursionLevel { .. })
}

fn is_literal(tree: &Expr) -> bool {
    matches!(tree, Expr::Literal { .. })
}

/// Whether it is a character, or none, in any case.
fn is_one_character(tree: &Expr) -> bool {
    matches!(
        tree,
        Expr::Empty | Expr::Any { .. } | Expr::Delegate { .. } | Expr::Literal { casei: false, .. }
    )
}

fn is_of_words(assertion: Assertion) -> bool {
    match assertion {
        Assertion::LeftWordBoundary
        | Assertion::LeftWordHalfBoundary
        | Assertion::RightWordBoundary
        | Assertion::RightWordHalfBoundary
        | Assertion::WordBoundary
        | Assertion::NotWordBoundary => true,
        Assertion::StartText
        | Assertion::EndText
        | Assertion::EndTextIgnoreTrailingNewlines { .. }
        | Assertion::StartLine { .. }
        | Assertion::StartLineOniguruma { .. }
        | Assertion::EndLine { .. } => false,
    }
}
