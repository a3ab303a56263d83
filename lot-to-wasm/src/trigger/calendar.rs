//! Days and times of day of calendar triggers (LoT reference §7.4). Lists of them, and days of the
//! month, are ours.
//!
//! ```text
//! days  = day { ( "OR" | "," ) day }
//!       | "DAY" dayOfMonth { ( "OR" | "," ) dayOfMonth } "OF" "MONTH" ;
//! dayOfMonth = number | "LAST" ;
//! times = string { ( "OR" | "," ) string } ;
//! ```

use lot_facts::{CalendarDays, Days, MonthDays, TimeOfDay};

use super::at_time::time_of_day;
use crate::diagnostic::{Draft, codes};
use crate::limits::TIMES_MAX;
use crate::source::Span;
use crate::syntax::expression::Text;
use crate::syntax::parse::{Parsed, Parser};
use crate::token::{Sign, TokenKind};

pub(super) const WEEKDAYS: [&str; 7] =
    ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"];

/// The words that name days.
pub(super) fn day_words() -> impl Iterator<Item = &'static str> {
    WEEKDAYS.into_iter().chain(["WEEKDAY", "WEEKEND", "DAY"])
}

/// Reads days; `None` when no day stands here, and nothing was taken.
pub(super) fn days(parser: &mut Parser<'_, '_>) -> Parsed<Option<CalendarDays>> {
    let start = parser.span();
    let Some(mut days) = day(parser) else { return Ok(None) };
    if days == Days::DAILY && (is_number(parser) || parser.is_keyword("LAST")) {
        return of_month(parser, start).map(|days| Some(CalendarDays::Month(days)));
    }
    while is_separator(parser) {
        parser.advance();
        let Some(more) = day(parser) else {
            return parser.missing(&WEEKDAYS, "the comma");
        };
        days = days.and(more);
        if !is_separator(parser) {
            parser.non_portable(parser.span_from(start), "a list of days");
        }
    }
    Ok(Some(CalendarDays::Week(days)))
}

fn day(parser: &mut Parser<'_, '_>) -> Option<Days> {
    let word = parser.word();
    let days = match word {
        "WEEKDAY" => Days::WEEKDAY,
        "WEEKEND" => Days::WEEKEND,
        "DAY" => Days::DAILY,
        _ => Days::only(WEEKDAYS.iter().position(|name| *name == word)?),
    };
    parser.advance();
    Some(days)
}

/// Days of the month behind `DAY`.
fn of_month(parser: &mut Parser<'_, '_>, start: Span) -> Parsed<MonthDays> {
    let mut days = MonthDays::default();
    loop {
        if parser.eat_keyword("LAST") {
            days.last = true;
        } else {
            let number = parser.expect_int("DAY")?;
            match u8::try_from(number) {
                Ok(day @ 1..=31) => days.days.push(day),
                _ => return no_day(parser, number),
            }
        }
        if !is_separator(parser) {
            break;
        }
        parser.advance();
    }
    days.days.sort_unstable();
    days.days.dedup();
    for word in ["OF", "MONTH"] {
        if !parser.eat_keyword(word) {
            let draft = Draft::error(
                codes::EXPECTED_WORD,
                parser.here(),
                format!("expected {word} after the days of the month, found {}", parser.found()),
            );
            let text = parser.slice(parser.span_from(start));
            let text = text.strip_suffix("OF").unwrap_or(text).trim_end().to_owned();
            return parser.fail(draft.expected(&[word]).suggest(format!("write {text} OF MONTH")));
        }
    }
    parser.non_portable(parser.span_from(start), "a day of the month");
    Ok(days)
}

fn no_day<T>(parser: &mut Parser<'_, '_>, number: i64) -> Parsed<T> {
    let message = format!("no month has a day {number}");
    let draft = Draft::error(codes::BAD_TIME, parser.previous(), message);
    parser.fail(draft.suggest("write a number from 1 to 31, or LAST for the last day of the month"))
}

/// Reads the times of day that follow the first one, which is given; ascending, each once.
pub(super) fn times(parser: &mut Parser<'_, '_>, first: (TimeOfDay, Span)) -> Parsed<Vec<TimeOfDay>> {
    let (time, start) = first;
    let mut times = vec![time];
    while is_separator(parser) {
        parser.advance();
        let text = time_text(parser, "the comma")?;
        times.push(read(parser, &text)?);
        if times.len() > TIMES_MAX {
            let message = format!("more than {TIMES_MAX} times of day in one trigger");
            let draft = Draft::error(codes::BAD_TIME, text.span, message);
            return parser.fail(draft.suggest("write ON EVERY n MINUTES, or several actions"));
        }
    }
    if times.len() > 1 {
        parser.non_portable(parser.span_from(start), "a list of times");
    }
    times.sort_unstable();
    times.dedup();
    Ok(times)
}

/// The text of a time; one without quotes is reported, and taken.
pub(super) fn time_text(parser: &mut Parser<'_, '_>, after: &str) -> Parsed<Text> {
    let is_bare = is_number(parser) && parser.peek_at(1).kind == TokenKind::Sign(Sign::Colon);
    if !is_bare {
        return parser.expect_text(after);
    }
    let start = parser.span();
    parser.advance();
    while parser.is_sign(Sign::Colon) && matches!(parser.peek_at(1).kind, TokenKind::Int(_)) {
        parser.advance();
        parser.advance();
    }
    let span = parser.span_from(start);
    let value = parser.slice(span).to_owned();
    let quoted = format!("\"{value}\"");
    let draft = Draft::error(codes::EXPECTED_TEXT, span, format!("time without quotes: {value}"));
    parser.sink.push(draft.suggest(format!("write {quoted}")).fix(span, quoted));
    Ok(Text { value, span })
}

/// The time of day that a text is.
pub(super) fn read(parser: &mut Parser<'_, '_>, text: &Text) -> Parsed<TimeOfDay> {
    let Some(time) = time_of_day(&text.value) else {
        let message = format!("\"{}\" is no time of day", text.value);
        let draft = Draft::error(codes::BAD_TIME, text.span, message);
        // "06:00, 14:00" in one text.
        let parts: Vec<&str> = text.value.split([',', ';']).map(str::trim).collect();
        let are_times = parts.len() > 1 && parts.iter().all(|part| time_of_day(part).is_some());
        return parser.fail(if are_times {
            let list = parts.iter().map(|part| format!("\"{part}\"")).collect::<Vec<_>>().join(", ");
            draft.suggest(format!("write {list}")).fix(text.span, list)
        } else {
            draft.suggest("write AT \"18:00\" or AT \"18:00:30\"")
        });
    };
    Ok(time)
}

fn is_separator(parser: &Parser<'_, '_>) -> bool {
    parser.is_sign(Sign::Comma) || parser.is_word("OR")
}

fn is_number(parser: &Parser<'_, '_>) -> bool {
    matches!(parser.peek().kind, TokenKind::Int(_))
}
