//! Casts of values that may never have been written: they leave Empty as it is, though the author
//! may mean a zero (LoT reference §4).

use super::Checker;
use super::kind::KindSet;
use super::tree::{CastKind, Comparison, Constant, Expression, ExpressionKind};
use crate::diagnostic::{Draft, codes};
use crate::source::Span;

/// Longest operand that is written anew in a suggestion, in bytes.
const SHOWN_BYTES_MAX: usize = 60;

/// Whether a value is a cast that may give Empty.
pub(crate) fn stays_empty(value: &Expression) -> bool {
    matches!(value.kind, ExpressionKind::Cast { .. }) && value.kinds.contains(KindSet::EMPTY)
}

/// Reports such a cast that is asked whether it equals the zero of its type. Programs that name
/// EMPTY know of it.
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

/// Reports a comparison that is true while a topic has no value: Empty is less than everything.
/// Programs that name EMPTY know of it, and a topic that the
/// program itself writes may be a state that begins with nothing.
pub(super) fn warn_of_unset(
    checker: &mut Checker<'_, '_, '_>,
    operator: Comparison,
    [left, right]: [(&Expression, Span); 2],
) {
    let (lesser, span) = match operator {
        Comparison::Less | Comparison::LessOrEqual => left,
        Comparison::Greater | Comparison::GreaterOrEqual => right,
        Comparison::Equal
        | Comparison::NotEqual
        | Comparison::Contains
        | Comparison::StartsWith
        | Comparison::EndsWith
        | Comparison::In => return,
    };
    if !is_unset(checker, lesser, span) {
        return;
    }
    let source = checker.sink.source();
    let (left, right, span) =
        [left.1, right.1, span].map(|side| with_parentheses(source.text(), side)).into();
    let operand = source.slice(span);
    let whole = left.to(right);
    let comparison = source.slice(whole);
    let message = format!("`{operand}` is Empty until the topic has a value, and less than everything");
    let draft = Draft::warning(codes::UNSET_OPERAND, span, message);
    let is_short = comparison.len() <= SHOWN_BYTES_MAX * 2 && !comparison.contains(['\n', '\r']);
    checker.error(if is_short {
        let asked = if operand.starts_with(['(', '{']) { operand.to_owned() } else { format!("({operand})") };
        let ours = format!("({asked} != EMPTY AND {comparison})");
        draft.suggest(format!("write {ours}")).fix(whole, ours)
    } else {
        draft.suggest("ask before whether it is != EMPTY, joined by AND")
    });
}

/// An operand with the parentheses around it.
fn with_parentheses(text: &str, operand: Span) -> Span {
    let (mut start, mut end) = (operand.start as usize, operand.end as usize);
    let (mut before, mut behind) = (text.get(..start).unwrap_or(""), text.get(end..).unwrap_or(""));
    while let (Some(left), Some(right)) =
        (before.trim_end_matches(' ').strip_suffix('('), behind.trim_start_matches(' ').strip_prefix(')'))
    {
        (before, behind) = (left, right);
        (start, end) = (left.len(), text.len() - right.len());
    }
    Span::new(start, end)
}

/// Whether a value is that of a topic, or a member of it, which may never have been written.
fn is_unset_topic(checker: &Checker<'_, '_, '_>, value: &Expression) -> bool {
    if let ExpressionKind::GetJson { source, .. } = &value.kind {
        return is_unset_topic(checker, source);
    }
    if let ExpressionKind::Cast { value: inner, .. } = &value.kind {
        return value.kinds.contains(KindSet::EMPTY) && is_unset_topic(checker, inner);
    }
    if let ExpressionKind::Variable(id) = &value.kind {
        return checker.scope.is_unset_topic(*id);
    }
    matches!(value.kind, ExpressionKind::GetTopic(_))
}

/// Whether a value that stands at a place is that of a topic that may never have been written, and
/// the program neither writes it nor asks for EMPTY.
pub(crate) fn is_unset(checker: &Checker<'_, '_, '_>, value: &Expression, span: Span) -> bool {
    if !is_unset_topic(checker, value) {
        return false;
    }
    let source = checker.sink.source();
    let is_own = |(_, topic): (&str, &str)| {
        let topic = topic.split_inclusive('"').take(2).collect::<String>();
        ["KEEP", "PUBLISH"].iter().any(|word| source.text().contains(&format!("{word} TOPIC {topic}")))
    };
    let is_known = source.text().to_ascii_uppercase().contains("EMPTY");
    !is_known && !source.slice(span).split_once("GET TOPIC ").is_some_and(is_own)
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

/// Returns the kinds of a cast that leaves Empty as it is, or of a variable that holds one.
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
