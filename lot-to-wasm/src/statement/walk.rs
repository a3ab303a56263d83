//! Direct parts of a statement: expressions, blocks of other statements, and variables that it
//! assigns.

use super::Statement;
use crate::syntax::{Expression, Name};

/// Direct part of a statement.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part<'a> {
    /// An expression; those of a topic one by one.
    Expression(&'a Expression),
    /// Statements.
    Block(&'a [Statement]),
    /// A variable that it assigns.
    Assigned(&'a Name),
    /// The value of `RESULT`, which a call without `RETURN` assigns.
    Result,
}

impl Statement {
    /// Calls `visit` for each part directly in this statement, in source order.
    pub(crate) fn each_part<'a>(&'a self, visit: &mut dyn FnMut(Part<'a>)) {
        self.kind.construct().each_part(visit);
    }

    /// Calls `visit` for each expression of this statement and of those in its blocks; not for
    /// those inside of expressions.
    pub(crate) fn each_expression<'a>(&'a self, visit: &mut dyn FnMut(&'a Expression)) {
        self.each_part(&mut |part| match part {
            Part::Expression(expression) => visit(expression),
            Part::Block(block) => block.iter().for_each(|statement| statement.each_expression(visit)),
            Part::Assigned(_) | Part::Result => {}
        });
    }
}

/// Calls `visit` for some expressions.
pub(super) fn each_expression<'a>(
    expressions: impl IntoIterator<Item = &'a Expression>,
    visit: &mut dyn FnMut(Part<'a>),
) {
    expressions.into_iter().for_each(|expression| visit(Part::Expression(expression)));
}

/// Calls `visit` for each variable that a call assigns.
pub(super) fn each_return<'a>(names: &'a [Name], visit: &mut dyn FnMut(Part<'a>)) {
    names.iter().for_each(|name| visit(Part::Assigned(name)));
    if names.is_empty() {
        visit(Part::Result);
    }
}
