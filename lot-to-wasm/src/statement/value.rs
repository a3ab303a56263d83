//! The value of a statement: the WITH before it, and the treatment of an Empty value.

use lot_nearest::nearest;

use crate::check::kind::KindSet;
use crate::check::tree;
use crate::diagnostic::{Draft, codes};
use crate::source::Span;
use crate::syntax::parse::{Parsed, Parser};
use crate::syntax::{Expression, ExpressionKind, Transform};
use crate::token::{Sign, TokenKind};

/// `WITH` before a value that must be there.
pub(super) fn with_value(parser: &mut Parser<'_, '_>, after: &str) -> Parsed<()> {
    if parser.is_word("MESSAGE") {
        let draft =
            Draft::error(codes::PUBLISH_MESSAGE, parser.span(), "MESSAGE is not part of the language");
        let draft = draft.suggest("write WITH before the value: PUBLISH TOPIC \"t\" WITH value");
        return parser.fail(draft.fix(parser.span(), "WITH"));
    }
    if parser.word() == "RETAIN" && parser.word_at(1) == "WITH" {
        let draft = Draft::error(
            codes::EXPECTED_WITH,
            parser.here(),
            format!("expected WITH after {after}, found RETAIN"),
        );
        return parser.fail(draft.suggest("write it behind the value: WITH value WITH RETAIN"));
    }
    if !parser.eat_keyword("WITH") {
        let message = format!("expected WITH after {after}, found {}", parser.found());
        let draft = Draft::error(codes::EXPECTED_WITH, parser.here(), message).expected(&["WITH"]);
        return parser.fail(insert_with(parser, draft, "write WITH and the value after it".to_owned()));
    }
    if parser.is_line_end() {
        let draft = Draft::error(codes::EXPECTED_WITH, parser.here(), "WITH without a value");
        return parser.fail(draft.suggest("write the value after WITH, for instance WITH PAYLOAD"));
    }
    Ok(())
}

/// Adds the suggestion and the fix for a missing WITH: in place of a misspelt one, of the `,`, `:`
/// or `:=` that stands there, or before a value; no fix before anything else.
#[allow(clippy::wildcard_enum_match_arm, reason = "nothing is known about every other token")]
pub(super) fn insert_with(parser: &Parser<'_, '_>, draft: Draft, hint: String) -> Draft {
    if let Some(near) = nearest(parser.word(), ["WITH"]) {
        return draft.did_you_mean(Some(near));
    }
    let draft = draft.suggest(hint);
    let span = parser.span();
    let before = Span { end: span.start, ..span };
    let gap = Span { start: parser.previous().end, ..span };
    match &parser.peek().kind {
        TokenKind::Sign(Sign::Colon) if parser.peek_at(1).kind == TokenKind::Sign(Sign::Equal) => {
            draft.fix(gap.to(parser.peek_at(1).span), " WITH")
        }
        TokenKind::Sign(Sign::Comma | Sign::Colon | Sign::Equal) => draft.fix(gap, " WITH"),
        TokenKind::Sign(Sign::OpenParen | Sign::OpenBracket | Sign::OpenBrace | Sign::Minus)
        | TokenKind::Word
        | TokenKind::Text(_)
        | TokenKind::Int(_)
        | TokenKind::Double(_) => draft.fix(before, "WITH "),
        _ => draft,
    }
}

/// Returns whether a write with an Empty value is reported. A FILTER without a match (OD-24) and
/// bytes are skipped in silence.
pub(super) fn when_empty(source: &Expression, value: &tree::Expression) -> tree::WhenEmpty {
    if value.kinds.is(KindSet::BYTES) || ends_in_filter(source) {
        return tree::WhenEmpty::Silent;
    }
    tree::WhenEmpty::Report
}

#[allow(clippy::wildcard_enum_match_arm, reason = "nothing else ends in a filter")]
fn ends_in_filter(source: &Expression) -> bool {
    match &source.kind {
        ExpressionKind::Apply { transform, value } => {
            matches!(**transform, Transform::FilterRegex(_) | Transform::FilterCsv(_))
                || ends_in_filter(value)
        }
        ExpressionKind::Cast { value, .. } => ends_in_filter(value),
        _ => false,
    }
}
