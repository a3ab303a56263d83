//! `ON WINDOW OF "pattern" …`: figures of the numbers that came on a topic, when its window closes.
//! Ours. Without EVERY, a window of messages closes with each message. FROM gives a time of day,
//! for windows of time that divide a day, or are days or weeks.
//!
//! ```text
//! window = "WINDOW" "OF" [ "JSON" string "IN" ] [ "TOPIC" ] string
//!          { ( "OR" | "," ) [ "TOPIC" ] string }
//!          ( "EVERY" extent [ from ] | "LAST" extent [ "EVERY" extent [ from ] ] ) ;
//! from   = "FROM" string ;
//! extent = number unit | integer ( "MESSAGE" | "MESSAGES" ) ;
//! ```

use lot_facts::{Trigger, WindowExtent};

use super::{Row, calendar, every, silence, topic};
use crate::check::json_path;
use crate::diagnostic::{Draft, codes};
use crate::limits::{INTERVAL_MS_MIN, WINDOW_MESSAGES_MAX, WINDOW_STEPS_MAX};
use crate::source::Span;
use crate::syntax::parse::{Parsed, Parser};
use crate::token::TokenKind;

pub(super) const ROW: Row = Row { keyword: "WINDOW", parse };

/// A length as it is written.
#[derive(Clone, Copy, PartialEq)]
enum Length {
    Milliseconds(u64),
    Messages(u64),
}

impl Length {
    fn number(self) -> u64 {
        match self {
            Length::Milliseconds(number) | Length::Messages(number) => number,
        }
    }
}

fn parse(parser: &mut Parser<'_, '_>) -> Parsed<Trigger> {
    let word = parser.previous();
    silence::expect_of(parser, "ON WINDOW")?;
    let path = path(parser)?;
    parser.eat_word("TOPIC");
    if let TokenKind::Int(_) | TokenKind::Double(_) = parser.peek().kind {
        let message = format!("expected the topic after OF, found {}", parser.found());
        let draft = Draft::error(codes::EXPECTED_TEXT, parser.span(), message).expected(&["STRING"]);
        return parser.fail(draft.suggest("write the topic first: ON WINDOW OF \"topic\" EVERY 8 HOURS DO"));
    }
    let filters = topic::filters(parser, "OF")?;
    let start = parser.span();
    let last = if parser.eat_word("LAST") { Some(length(parser, "LAST")?) } else { None };
    let every = if parser.eat_word("EVERY") { Some(length(parser, "EVERY")?) } else { None };
    let extent = extent(parser, start, last, every)?;
    let extent = from(parser, extent)?;
    parser.non_portable(parser.span_from(word), "ON WINDOW");
    Ok(Trigger::Window { filters, path, extent })
}

/// `JSON "path" IN`.
fn path(parser: &mut Parser<'_, '_>) -> Parsed<Option<String>> {
    if !parser.eat_word("JSON") {
        return Ok(None);
    }
    let text = parser.expect_text("JSON")?;
    if json_path::parse(&text.value).is_none() {
        let message = format!("bad JSON path \"{}\"", text.value.escape_debug());
        let draft = Draft::error(codes::JSON_PATH, text.span, message);
        parser.sink.push(draft.suggest("write keys joined by dots, with [n] for elements: a.b[0].c"));
    }
    parser.expect_word("IN", "the path")?;
    Ok(Some(text.value))
}

/// A number with a unit of time, or of messages.
fn length(parser: &mut Parser<'_, '_>, after: &str) -> Parsed<Length> {
    let is_of_messages = matches!(parser.word_at(1), "MESSAGE" | "MESSAGES");
    if let word @ ("VALUE" | "VALUES" | "SAMPLE" | "SAMPLES" | "EVENT" | "EVENTS" | "POINTS") =
        parser.word_at(1)
    {
        let message = format!("{word} is no unit of a window");
        let draft = Draft::error(codes::BAD_INTERVAL, parser.peek_at(1).span, message);
        return parser.fail(draft.suggest("write MESSAGES, or a unit of time such as SECONDS"));
    }
    if let word @ ("MONTH" | "MONTHS" | "YEAR" | "YEARS") = parser.word_at(1) {
        let message = format!(
            "{word} is no length of a window: it would count 30 or 365 days, and begin with no month"
        );
        let draft = Draft::error(codes::BAD_INTERVAL, parser.peek_at(1).span, message).unless_stored();
        parser.sink.push(draft.suggest("write DAYS, or keep a sum and report it ON EVERY DAY 1 OF MONTH"));
    }
    if !is_of_messages {
        return Ok(Length::Milliseconds(every::fixed_interval(parser)?.max(INTERVAL_MS_MIN)));
    }
    let start = parser.span();
    if let TokenKind::Double(_) = parser.peek().kind {
        let draft = Draft::error(codes::BAD_INTERVAL, start, "messages are counted in whole numbers");
        return parser.fail(draft);
    }
    let number = parser.expect_int(after)?;
    parser.advance();
    let number = u64::try_from(number).unwrap_or(0);
    if !(1..=WINDOW_MESSAGES_MAX).contains(&number) {
        let message = format!("a window has 1 to {WINDOW_MESSAGES_MAX} messages");
        return parser.fail(Draft::error(codes::BAD_INTERVAL, parser.span_from(start), message));
    }
    Ok(Length::Messages(number))
}

fn extent(
    parser: &mut Parser<'_, '_>,
    start: Span,
    last: Option<Length>,
    every: Option<Length>,
) -> Parsed<WindowExtent> {
    let span = parser.span_from(start);
    let (last, every) = match (last, every) {
        (Some(last), Some(every)) => (last, every),
        (None, Some(every)) => (every, every),
        (Some(last @ Length::Messages(_)), None) => (last, Length::Messages(1)),
        (Some(Length::Milliseconds(_)), None) => {
            let draft = Draft::error(codes::EXPECTED_WORD, parser.here(), "expected EVERY after the time");
            let draft = draft.expected(&["EVERY"]).note("a window of time closes by a timer");
            return parser.fail(draft.suggest("write for instance LAST 5 MINUTES EVERY 10 SECONDS"));
        }
        (None, None) => {
            let message = format!("expected EVERY or LAST after the topic, found {}", parser.found());
            let draft = Draft::error(codes::EXPECTED_WORD, parser.here(), message);
            let draft = draft.expected(&["EVERY", "LAST"]);
            return parser.fail(
                draft.suggest("write for instance EVERY 1 MINUTE, EVERY 100 MESSAGES, or LAST 100 MESSAGES"),
            );
        }
    };
    let extent = match (last, every) {
        (Length::Milliseconds(last_ms), Length::Milliseconds(every_ms)) => {
            WindowExtent::Time { last_ms, every_ms, from_ms: 0 }
        }
        (Length::Messages(last), Length::Messages(every)) => WindowExtent::Messages { last, every },
        (Length::Milliseconds(_), Length::Messages(_)) | (Length::Messages(_), Length::Milliseconds(_)) => {
            let message = "a window is of time or of messages, not of both";
            return parser.fail(Draft::error(codes::BAD_INTERVAL, span, message));
        }
    };
    if last.number() < every.number() || !last.number().is_multiple_of(every.number()) {
        let message = "the length of the window, behind LAST, must be a multiple of what stands behind EVERY";
        let draft = Draft::error(codes::BAD_INTERVAL, span, message);
        return parser.fail(draft.suggest("write for instance LAST 5 MINUTES EVERY 10 SECONDS"));
    }
    if extent.steps() > WINDOW_STEPS_MAX {
        let message = format!("the window has {} steps, more than {WINDOW_STEPS_MAX}", extent.steps());
        let draft = Draft::error(codes::BAD_INTERVAL, span, message);
        return parser.fail(draft.suggest("let it close less often: EVERY with more"));
    }
    Ok(extent)
}

/// `FROM "06:00"`: when windows begin that do not begin at midnight. Other words for it are
/// reported, and taken.
fn from(parser: &mut Parser<'_, '_>, extent: WindowExtent) -> Parsed<WindowExtent> {
    const DAY_MS: u64 = 86_400_000;
    let span = parser.span();
    if matches!(parser.word(), "AT" | "STARTING" | "SINCE" | "OFFSET") {
        let message = format!("expected FROM before the time of day, found {}", parser.word());
        let draft = Draft::error(codes::EXPECTED_WORD, span, message);
        parser.sink.push(draft.suggest("write FROM").fix(span, "FROM"));
        parser.advance();
    } else if !parser.eat_keyword("FROM") {
        return Ok(extent);
    }
    let text = calendar::time_text(parser, "FROM")?;
    let time = calendar::read(parser, &text)?;
    let span = parser.span_from(span);
    let WindowExtent::Time { last_ms, every_ms, .. } = extent else {
        let draft = Draft::error(codes::BAD_INTERVAL, span, "a window of messages begins at no time of day");
        return parser.fail(draft.suggest("leave FROM out, or write EVERY 8 HOURS FROM \"06:00\""));
    };
    if !DAY_MS.is_multiple_of(every_ms) && !every_ms.is_multiple_of(DAY_MS) {
        let message = "windows of this length begin at another time each day";
        let draft = Draft::error(codes::BAD_INTERVAL, span, message);
        return parser
            .fail(draft.suggest("write a length that divides a day, such as EVERY 8 HOURS, or whole days"));
    }
    let seconds = (u64::from(time.hour) * 60 + u64::from(time.minute)) * 60 + u64::from(time.second);
    Ok(WindowExtent::Time { last_ms, every_ms, from_ms: seconds * 1000 })
}
