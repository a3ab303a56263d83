//! `ON EVERY n UNIT` and `ON EVERY <days> [AT "HH:mm[:ss]", …]` (LoT reference §7.3, §7.4).
//!
//! ```text
//! every = "EVERY" ( number unit | days [ "AT" times ] ) ;
//! ```

use lot_facts::{Interval, TimeOfDay, Trigger};
use lot_nearest::nearest;

use super::{Row, calendar};
use crate::diagnostic::{Draft, codes};
use crate::limits::INTERVAL_MS_MIN;
use crate::source::Span;
use crate::syntax::parse::{Parsed, Parser};
use crate::token::TokenKind;

pub(super) const ROW: Row = Row { keyword: "EVERY", parse };

/// Length of a unit.
#[derive(Clone, Copy)]
enum Unit {
    /// Milliseconds, with fractions of the number allowed or not.
    Fixed(u64, bool),
    /// Calendar months.
    Months(u32),
}

const UNITS: [(&str, Unit); 16] = [
    ("MILLISECOND", Unit::Fixed(1, true)),
    ("MILLISECONDS", Unit::Fixed(1, true)),
    ("SECOND", Unit::Fixed(1_000, true)),
    ("SECONDS", Unit::Fixed(1_000, true)),
    ("MINUTE", Unit::Fixed(60_000, true)),
    ("MINUTES", Unit::Fixed(60_000, true)),
    ("HOUR", Unit::Fixed(3_600_000, true)),
    ("HOURS", Unit::Fixed(3_600_000, true)),
    ("DAY", Unit::Fixed(86_400_000, false)),
    ("DAYS", Unit::Fixed(86_400_000, false)),
    ("WEEK", Unit::Fixed(604_800_000, false)),
    ("WEEKS", Unit::Fixed(604_800_000, false)),
    ("MONTH", Unit::Months(1)),
    ("MONTHS", Unit::Months(1)),
    ("YEAR", Unit::Months(12)),
    ("YEARS", Unit::Months(12)),
];

/// Abbreviations of units, in small letters.
const SHORT_UNITS: [(&str, &str); 13] = [
    ("ms", "MILLISECONDS"),
    ("msec", "MILLISECONDS"),
    ("s", "SECONDS"),
    ("sec", "SECONDS"),
    ("secs", "SECONDS"),
    ("m", "MINUTES"),
    ("min", "MINUTES"),
    ("mins", "MINUTES"),
    ("h", "HOURS"),
    ("hr", "HOURS"),
    ("hrs", "HOURS"),
    ("d", "DAYS"),
    ("w", "WEEKS"),
];

/// The unit that an abbreviation stands for.
pub(crate) fn unit_of(short: &str) -> Option<&'static str> {
    let short = short.to_ascii_lowercase();
    SHORT_UNITS.iter().find(|(theirs, _)| *theirs == short).map(|(_, ours)| *ours)
}

/// A number with an abbreviated unit, such as `30s`, as it is written here.
pub(crate) fn written_out(text: &str) -> Option<String> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(end)?;
    let unit = unit_of(unit.trim())?;
    (!number.is_empty()).then(|| format!("{number} {unit}"))
}

fn parse(parser: &mut Parser<'_, '_>) -> Parsed<Trigger> {
    if matches!(parser.peek().kind, TokenKind::Int(_) | TokenKind::Double(_)) {
        let start = parser.span();
        let interval = interval(parser)?;
        if parser.is_word("AT") {
            return time_of_interval(parser, start, interval);
        }
        return Ok(Trigger::Every { interval });
    }
    let Some(days) = calendar::days(parser)? else { return no_interval(parser) };
    let mut at = vec![TimeOfDay::default()];
    if parser.eat_word("AT") || is_at_missing(parser) {
        let text = calendar::time_text(parser, "AT")?;
        let first = calendar::read(parser, &text)?;
        at = calendar::times(parser, (first, text.span))?;
    }
    Ok(Trigger::Calendar { days, at })
}

/// `AT` behind an interval: only a day has a time.
fn time_of_interval(parser: &mut Parser<'_, '_>, start: Span, interval: Interval) -> Parsed<Trigger> {
    let number = parser.span_from(start);
    parser.advance();
    let time = calendar::time_text(parser, "AT")?;
    let draft = Draft::error(
        codes::INTERVAL_UNIT,
        parser.span_from(start),
        "AT goes with a day, not with an interval",
    );
    let is_daily = interval == Interval::Milliseconds(86_400_000);
    let draft = draft.suggest(format!("write ON EVERY DAY AT \"{}\"", time.value));
    parser.sink.push(if is_daily { draft.fix(number, "DAY") } else { draft });
    Ok(Trigger::Every { interval })
}

/// Whether a time follows the day without its AT, which is reported.
fn is_at_missing(parser: &mut Parser<'_, '_>) -> bool {
    let is_missing = parser.is_text();
    if is_missing {
        let draft = Draft::error(codes::EXPECTED_WORD, parser.span(), "expected AT before the time of day");
        let place = Span { end: parser.span().start, ..parser.span() };
        parser.sink.push(draft.suggest("write AT before it").fix(place, "AT "));
    }
    is_missing
}

fn no_interval<T>(parser: &mut Parser<'_, '_>) -> Parsed<T> {
    let hint = nearest(parser.word(), calendar::day_words());
    let message = format!("expected a number and a unit, or a day, after EVERY, found {}", parser.found());
    let draft = Draft::error(codes::INTERVAL_UNIT, parser.here(), message);
    if let Some((unit, _)) = UNITS.iter().find(|(name, _)| *name == parser.word()) {
        let place = Span { end: parser.span().start, ..parser.span() };
        return parser.fail(draft.suggest(format!("write a number before it: 1 {unit}")).fix(place, "1 "));
    }
    if let TokenKind::Text(text) = &parser.peek().kind {
        let (text, span) = (text.clone(), parser.span());
        if let Some(ours) = written_out(&text) {
            return parser.fail(draft.suggest(format!("write {ours}")).fix(span, ours));
        }
        let is_cron = text.split_whitespace().count() >= 5;
        if is_cron {
            return parser.fail(draft.suggest(
                "there is no cron: write ON EVERY 5 MINUTES, ON EVERY DAY AT \"06:00\", or ON EVERY MONDAY, FRIDAY AT \"06:00\"",
            ));
        }
        if super::at_time::time_of_day(&text).is_some() {
            let place = Span { end: span.start, ..span };
            return parser.fail(draft.suggest("write DAY AT before the time of day").fix(place, "DAY AT "));
        }
    }
    parser.fail(match hint {
        Some(_) => draft.did_you_mean(hint),
        None if parser.is_word("LAST") => draft.suggest("write ON EVERY DAY LAST OF MONTH"),
        None => draft.suggest("write ON EVERY 5 SECONDS"),
    })
}

#[allow(clippy::wildcard_enum_match_arm, reason = "every other token is the error case")]
fn interval(parser: &mut Parser<'_, '_>) -> Parsed<Interval> {
    let start = parser.span();
    let (number, is_whole) = match parser.peek().kind {
        TokenKind::Int(number) => (number as f64, true),
        TokenKind::Double(number) => (number, false),
        _ => return no_interval(parser),
    };
    parser.advance();
    let word = parser.word();
    let unit = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).copied();
    let Some((name, unit)) = unit else { return missing_unit(parser) };
    parser.eat_keyword(name);
    let span = parser.span_from(start);
    if number <= 0.0 {
        return bad_interval(parser, span, "the interval must be longer than zero");
    }
    match unit {
        Unit::Fixed(_, false) | Unit::Months(_) if !is_whole => {
            bad_interval(parser, span, "fractions are allowed up to HOURS only")
        }
        Unit::Fixed(length, _) => milliseconds(parser, span, number * length as f64),
        Unit::Months(length) if number <= 12_000.0 => Ok(Interval::Months(number as u32 * length)),
        Unit::Months(_) => bad_interval(parser, span, "the interval is longer than 1,000 years"),
    }
}

fn milliseconds(parser: &mut Parser<'_, '_>, span: Span, length: f64) -> Parsed<Interval> {
    const LONGEST: f64 = 1000.0 * 366.0 * 86_400_000.0;
    if length > LONGEST {
        return bad_interval(parser, span, "the interval is longer than 1,000 years");
    }
    let length = length.round() as u64;
    if length < INTERVAL_MS_MIN {
        let message = format!("the shortest interval is {INTERVAL_MS_MIN} milliseconds");
        parser.sink.push(Draft::warning(codes::BAD_INTERVAL, span, message));
    }
    Ok(Interval::Milliseconds(length.max(INTERVAL_MS_MIN)))
}

fn missing_unit<T>(parser: &mut Parser<'_, '_>) -> Parsed<T> {
    let hint = nearest(parser.word(), UNITS.iter().map(|(name, _)| *name));
    let message = format!("expected a unit after the number, found {}", parser.found());
    let names = ["MILLISECONDS", "SECONDS", "MINUTES", "HOURS", "DAYS", "WEEKS", "MONTHS", "YEARS"];
    let draft = Draft::error(codes::INTERVAL_UNIT, parser.here(), message).expected(&names);
    let short = unit_of(parser.word());
    parser.fail(match (hint, short) {
        (_, Some(unit)) => {
            let gap = Span { start: parser.previous().end, ..parser.span() };
            draft.suggest(format!("write {unit}")).fix(gap, format!(" {unit}"))
        }
        (Some(_), None) => draft.did_you_mean(hint),
        (None, None) => draft.suggest("write for instance SECONDS"),
    })
}

fn bad_interval<T>(parser: &mut Parser<'_, '_>, span: Span, message: &str) -> Parsed<T> {
    parser.fail(Draft::error(codes::BAD_INTERVAL, span, message))
}

/// A number and a unit of fixed length, in milliseconds; for `ON SILENCE` and `WITH EVERY` of
/// routes, where a month counts 30 days.
pub(crate) fn fixed_interval(parser: &mut Parser<'_, '_>) -> Parsed<u64> {
    Ok(match interval(parser)? {
        Interval::Milliseconds(length) => length,
        Interval::Months(months) => u64::from(months) * 30 * 86_400_000,
    })
}
