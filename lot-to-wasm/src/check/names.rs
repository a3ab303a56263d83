//! Names inside an expression: fields of a model.

use crate::syntax::{Expression, ExpressionKind, Path};

/// Calls `found` with each bare name and each name in braces.
pub(super) fn each(expression: &Expression, found: &mut dyn FnMut(&Path)) {
    if let ExpressionKind::Name(path) | ExpressionKind::Variable(path) = &expression.kind {
        found(path);
    }
    expression.kind.each_child(&mut |child| each(child, found));
}
