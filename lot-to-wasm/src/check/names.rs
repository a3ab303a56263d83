//! Names inside an expression: fields of a model.

use crate::syntax::{BinaryOperator, Expression, ExpressionKind, Path};

/// Calls `found` with each bare name and each name in braces; columns of a query are none.
pub(super) fn each(expression: &Expression, found: &mut dyn FnMut(&Path)) {
    if let ExpressionKind::GetModel(query) = &expression.kind {
        query.filter.iter().for_each(|filter| each_in_filter(filter, found));
        return;
    }
    if let ExpressionKind::Name(path) | ExpressionKind::Variable(path) = &expression.kind {
        found(path);
    }
    expression.kind.each_child(&mut |child| each(child, found));
}

/// As [`each`], for the filter of a query: the values that columns are compared with.
pub(super) fn each_in_filter(filter: &Expression, found: &mut dyn FnMut(&Path)) {
    let ExpressionKind::Binary { operator, left, right } = &filter.kind else { return };
    if matches!(operator, BinaryOperator::And | BinaryOperator::Or) {
        each_in_filter(left, found);
        each_in_filter(right, found);
    } else {
        each(right, found);
    }
}
