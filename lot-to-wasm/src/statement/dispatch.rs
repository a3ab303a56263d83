//! Picks the statement that a line is, by its first words.

use lot_nearest::nearest;

use super::{FORMS, Form, StatementKind, mistake};
use crate::diagnostic::{Draft, codes};
use crate::source::Span;
use crate::syntax::parse::{Parsed, Parser, Reported};
use crate::token::{Sign, TokenKind};

/// All forms of all statements.
fn forms() -> impl Iterator<Item = &'static Form> + Clone {
    FORMS.iter().copied().flatten()
}

/// The first word of each form; a word that several forms share stands there as often.
pub(super) fn first_of_each() -> impl Iterator<Item = &'static str> + Clone {
    forms().filter_map(|form| form.words.first().copied())
}

/// The first words of each form that may stand in an Action.
pub(crate) fn first_words() -> impl Iterator<Item = &'static [&'static str]> + Clone {
    forms().filter(|form| !form.is_of_panels).map(|form| form.words)
}

/// Whether a statement begins with this word, in any case.
pub(crate) fn is_first_word(word: &str) -> bool {
    first_of_each().any(|first| first.eq_ignore_ascii_case(word))
}

/// Whether the next tokens are meant as a statement, perhaps of another language, and not as the
/// rest of the line before, which is a CALL or not.
pub(crate) fn is_meant(parser: &Parser<'_, '_>, after_call: bool) -> bool {
    let is_argument = after_call && parser.peek_at(1).kind == TokenKind::Sign(Sign::Equal);
    !is_argument && (nearest(parser.word(), first_of_each()).is_some() || mistake::known(parser).is_some())
}

/// Reads a statement up to the end of its last line, which is left unless a block ended it.
pub(crate) fn parse(parser: &mut Parser<'_, '_>) -> Parsed<StatementKind> {
    let meant = mistake::skip_declaration(parser);
    let word = meant.unwrap_or(parser.word());
    let found: Vec<&Form> = forms()
        .filter(|form| form.words.first().is_some_and(|first| first.eq_ignore_ascii_case(word)))
        .collect();
    let Some(first) = found.first() else { return mistake::unknown(parser) };
    let keyword = first.words.first().copied().unwrap_or_default();
    if first.is_of_panels && !parser.in_panel {
        let message = format!("{keyword} outside of a panel");
        return parser.fail(Draft::error(codes::MISPLACED_CLAUSE, parser.span(), message));
    }
    if meant.is_none() {
        parser.eat_keyword(keyword);
    }
    if first.words.len() == 1 {
        return (first.parse)(parser);
    }
    let second = parser.word();
    let form =
        found.iter().find(|form| form.words.get(1).is_some_and(|word| word.eq_ignore_ascii_case(second)));
    if let Some(form) = form {
        parser.eat_keyword(form.words.get(1).copied().unwrap_or_default());
        return (form.parse)(parser);
    }
    let seconds: Vec<&str> = found.iter().filter_map(|form| form.words.get(1).copied()).collect();
    missing_second(parser, keyword, &seconds)
}

fn missing_second<T>(parser: &mut Parser<'_, '_>, keyword: &str, seconds: &[&str]) -> Parsed<T> {
    if keyword == "FOR" {
        let message = "FOR without EACH";
        let draft = Draft::error(codes::NO_SUCH_LOOP, parser.previous(), message);
        let hint = "write FOR EACH {item} IN list DO, or LOOP … UNTIL condition to count";
        return parser.fail(draft.suggest(hint));
    }
    if keyword == "CALL"
        && !parser.word().is_empty()
        && nearest(parser.word(), seconds.iter().copied()).is_none()
    {
        let draft = Draft::error(codes::NOT_LOT, parser.span(), "CALL needs the kind of what is called");
        return parser.fail(
            draft.suggest("write CALL ACTION name WITH …, or CALL PYTHON \"Script.function\" WITH (…)"),
        );
    }
    if keyword == "PUBLISH" && parser.is_sign(Sign::OpenParen) {
        let draft = Draft::error(
            codes::EXPECTED_WORD,
            parser.span(),
            "expected TOPIC or MODEL after PUBLISH, found `(`",
        );
        return parser.fail(draft.expected(seconds).suggest("write PUBLISH TOPIC \"topic\" WITH value"));
    }
    if keyword == "PUBLISH" && parser.is_text() {
        let draft = Draft::error(
            codes::EXPECTED_WORD,
            parser.span(),
            "expected TOPIC or MODEL after PUBLISH, found STRING",
        );
        let start = Span { end: parser.span().start, ..parser.span() };
        let draft = draft.expected(seconds).suggest("write PUBLISH TOPIC before the topic");
        return parser.fail(draft.fix(start, "TOPIC "));
    }
    if keyword == "PUBLISH" && parser.is_keyword("RETAIN") && seconds.contains(&parser.word_at(1)) {
        let line = parser.rest_of_line();
        let kept = Span { start: parser.peek_at(1).span.start, ..line };
        let ours = format!("{} WITH RETAIN", parser.slice(kept));
        let message = "expected TOPIC or MODEL after PUBLISH, found RETAIN";
        let draft = Draft::error(codes::EXPECTED_WORD, parser.span(), message).expected(seconds);
        return parser
            .fail(draft.suggest(format!("write it behind the value: PUBLISH {ours}")).fix(line, ours));
    }
    if keyword == "PUBLISH" && parser.word_at(1) == "TO" {
        let value = parser.found();
        let message = format!("expected TOPIC or MODEL after PUBLISH, found {value}");
        let draft = Draft::error(codes::EXPECTED_WORD, parser.span(), message).expected(seconds);
        return parser.fail(draft.suggest(format!("write PUBLISH TOPIC \"topic\" WITH {value}")));
    }
    if keyword == "PUBLISH"
        && parser.is_topic_without_quotes(0)
        && let Some(text) = parser.text_without_quotes("PUBLISH TOPIC")
    {
        let draft = Draft::error(codes::EXPECTED_WORD, text.span, "expected TOPIC or MODEL after PUBLISH");
        let whole = format!("TOPIC \"{}\"", text.value);
        parser.sink.push_over(draft.suggest(format!("write PUBLISH {whole}")).fix(text.span, whole));
        return Err(Reported);
    }
    parser.missing(seconds, keyword)
}
