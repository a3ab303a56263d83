//! Traits that each statement's file implements: its first words, its written form, and its form in
//! the checked tree.

use super::walk::Part;
use super::{CheckedKind, StatementKind};
use crate::check::Checker;
use crate::check::tree::walk::{PartMut, PartRef};
use crate::lower::{Generator, UnrollBudget};
use crate::source::Span;
use crate::syntax::parse::{Parsed, Parser};
use crate::syntax::sexpr::Writer;
use crate::syntax::{Name, Position};

/// A statement with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// Kind of the statement.
    pub kind: StatementKind,
    /// From its first word to the end of its last line.
    pub span: Span,
}

/// A form of a statement: the words by which the parser knows it.
pub(crate) struct Form {
    /// Its first words.
    pub(super) words: &'static [&'static str],
    /// Reads what follows them.
    pub(super) parse: fn(&mut Parser<'_, '_>) -> Parsed<StatementKind>,
    /// It is valid only as the action of a click in a panel.
    pub(super) is_of_panels: bool,
}

impl Form {
    /// A form that may stand wherever statements do.
    pub(super) const fn new(
        words: &'static [&'static str],
        parse: fn(&mut Parser<'_, '_>) -> Parsed<StatementKind>,
    ) -> Form {
        Form { words, parse, is_of_panels: false }
    }
}

/// A statement as written.
pub(crate) trait Construct {
    /// Checks it; `None` when it is nothing that can be run, which was reported.
    fn check(&self, checker: &mut Checker<'_, '_, '_>, span: Span) -> Option<CheckedKind>;

    /// Calls `visit` for each part directly in it, in source order.
    fn each_part<'a>(&'a self, visit: &mut dyn FnMut(Part<'a>));

    /// Writes it as a nested list.
    fn write(&self, writer: &mut Writer);

    /// Calls `visit` for the name of each Action that it calls on every path.
    fn each_certain_call<'a>(&'a self, _visit: &mut dyn FnMut(&'a Name)) {}

    /// Whether it is a CALL, whose arguments may stand on lines of their own.
    fn is_call(&self) -> bool {
        false
    }
}

/// A statement of the checked tree.
pub(crate) trait Executable {
    /// Calls `visit` for each part directly in it, in the order in which a run comes to them. Made
    /// by [`parts!`](crate::check::tree::walk::parts).
    fn each_part<'a>(&'a self, visit: &mut dyn FnMut(PartRef<'a>));

    /// The same, to change them.
    fn each_part_mut<'a>(&'a mut self, visit: &mut dyn FnMut(PartMut<'a>));

    /// Writes its code. `at` is its place in the source, for reports.
    fn lower(&self, generator: &mut Generator<'_>, at: Position);

    /// Whether it has no calls and is small enough, so that a loop that it stands in may be
    /// unrolled.
    fn is_unrollable(&self, _generator: &Generator<'_>, _budget: &mut UnrollBudget) -> bool {
        false
    }
}
