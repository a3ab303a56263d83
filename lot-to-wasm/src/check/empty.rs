//! Casts of what may never have been written: they leave Empty as it is, where a zero may be meant (LoT reference §4).

use super::Checker;
use super::kind::KindSet;
use super::tree::{CastKind, Constant, Expression, ExpressionKind};
use crate::diagnostic::{Draft, codes};
use crate::source::Span;

/// Longest operand that is written anew in a suggestion, in bytes.
const SHOWN_BYTES_MAX: usize = 60;

/// Whether a value is a cast that may give Empty.
pub(crate) fn stays_empty(value: &Expression) -> bool {
    matches!(value.kind, ExpressionKind::Cast { .. }) && value.kinds.contains(KindSet::EMPTY)
}

/// Reports such a cast that is asked whether it equals the zero of its type. Programs that name EMPTY know of it.
pub(super) fn warn_of_zero(checker: &mut Checker<'_, '_, '_>, sides: [(&Expression, Span); 2]) {
    let [left, right] = sides;
    for ((cast, span), (zero, _)) in [(left, right), (right, left)] {
        let Some(kinds) = cast_kinds(checker, cast) else { continue };
        let Some((written, of)) = zero_of(zero) else { continue };
        let source = checker.sink.source();
        if !kinds.is(of.with(KindSet::EMPTY)) || source.text().to_ascii_uppercase().contains("EMPTY") {
            continue;
        }
        let operand = source.slice(span);
        let message = format!("what was never written stays Empty in a cast, which does not equal {written}");
        let draft = Draft::warning(codes::EMPTY_IN_CAST, span, message);
        let draft = if of == KindSet::BOOL {
            draft.suggest("ask whether it is TRUE or not: Empty is not")
        } else if operand.len() > SHOWN_BYTES_MAX || operand.contains('\n') {
            draft.suggest("add 0 to it: the sum is 0 then").fix(span.after(), " + 0")
        } else {
            draft.suggest(format!("write {operand} + 0, which is 0 then")).fix(span.after(), " + 0")
        };
        checker.error(draft);
    }
}

/// Reports a cast of EMPTY itself, which changes nothing, to a type that has a zero.
pub(super) fn warn_of_constant(checker: &mut Checker<'_, '_, '_>, to: CastKind, span: Span) {
    let zero = match to {
        CastKind::Int => "0",
        CastKind::Double => "0.0",
        CastKind::Bool => "FALSE",
        CastKind::String | CastKind::Timestamp | CastKind::Json(_) | CastKind::Bytes => return,
    };
    let message = format!("EMPTY stays Empty in a cast, which does not equal {zero}");
    let draft = Draft::warning(codes::EMPTY_IN_CAST, span, message);
    checker.error(draft.suggest(format!("write {zero} where that is meant, or EMPTY alone")));
}

/// What a value can be, where it is such a cast or a variable that holds one.
fn cast_kinds(checker: &Checker<'_, '_, '_>, value: &Expression) -> Option<KindSet> {
    if let ExpressionKind::Variable(id) = &value.kind {
        return checker.scope.only_cast(*id);
    }
    stays_empty(value).then_some(value.kinds)
}

/// The zero of a type as people write it, and the kinds that it is equal to.
fn zero_of(value: &Expression) -> Option<(&'static str, KindSet)> {
    let ExpressionKind::Constant(constant) = &value.kind else { return None };
    match constant {
        Constant::Int(0) => Some(("0", KindSet::NUMBER)),
        Constant::Double(number) if *number == 0.0 => Some(("0", KindSet::NUMBER)),
        Constant::Bool(false) => Some(("FALSE", KindSet::BOOL)),
        Constant::Empty
        | Constant::Null
        | Constant::Bool(_)
        | Constant::Int(_)
        | Constant::Double(_)
        | Constant::Text(_)
        | Constant::Json(_) => None,
    }
}
