//! `ON SILENCE OF "pattern" FOR n UNIT`: when a topic has not been published to for so long. Ours.
//!
//! ```text
//! silence = "SILENCE" "OF" [ "TOPIC" ] string { ( "OR" | "," ) [ "TOPIC" ] string }
//!           "FOR" number unit ;
//! ```

use lot_facts::Trigger;

use super::{Row, every, topic};
use crate::diagnostic::{Draft, codes};
use crate::limits::INTERVAL_MS_MIN;
use crate::source::Span;
use crate::syntax::parse::{Parsed, Parser};

pub(super) const ROW: Row = Row { keyword: "SILENCE", parse };

fn parse(parser: &mut Parser<'_, '_>) -> Parsed<Trigger> {
    let word = parser.previous();
    expect_of(parser, "ON SILENCE")?;
    parser.eat_word("TOPIC");
    let filters = topic::filters(parser, "OF")?;
    if !parser.eat_keyword("FOR") {
        let message = format!("expected FOR and a time after the topic, found {}", parser.found());
        let draft = Draft::error(codes::EXPECTED_WORD, parser.here(), message).expected(&["FOR"]);
        return parser.fail(draft.suggest("write for instance FOR 30 SECONDS"));
    }
    let after_ms = every::fixed_interval(parser)?.max(INTERVAL_MS_MIN);
    parser.non_portable(parser.span_from(word), "ON SILENCE");
    Ok(Trigger::Silence { filters, after_ms })
}

/// Takes the OF that stands before the topics; a missing one is reported.
pub(super) fn expect_of(parser: &mut Parser<'_, '_>, after: &str) -> Parsed<()> {
    if !parser.is_text() && !parser.is_word("TOPIC") {
        return parser.expect_word("OF", after);
    }
    let draft = Draft::error(codes::EXPECTED_WORD, parser.span(), format!("expected OF after {after}"));
    let place = Span { end: parser.span().start, ..parser.span() };
    parser.sink.push(draft.suggest("write OF before the topic").fix(place, "OF "));
    Ok(())
}
