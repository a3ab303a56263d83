//! `ON TIMESTAMP "HH:mm[:ss]"` daily, `ON TIMESTAMP "dd-MM-yyyy HH:mm:ss"` once; `ON TIME` is the
//! old word (LoT reference §7.4).
//!
//! ```text
//! atTime = ( "TIMESTAMP" | "TIME" ) ( times | string ) ;
//! ```

use lot_facts::{CalendarDate, CalendarDays, Days, OnceAt, TimeOfDay, Trigger};

use super::{Row, calendar};
use crate::diagnostic::{Draft, codes};
use crate::syntax::parse::{Parsed, Parser};

pub(super) const ROW: Row = Row { keyword: "TIMESTAMP", parse };
pub(super) const OLD_ROW: Row = Row { keyword: "TIME", parse };

fn parse(parser: &mut Parser<'_, '_>) -> Parsed<Trigger> {
    let text = parser.expect_text("ON TIMESTAMP")?;
    if let Some(at) = time_of_day(&text.value) {
        let at = calendar::times(parser, (at, text.span))?;
        return Ok(Trigger::Calendar { days: CalendarDays::Week(Days::DAILY), at });
    }
    if let Some(at) = instant(&text.value) {
        return Ok(Trigger::Once(at));
    }
    let message = format!("\"{}\" is no time of day and no date with time", text.value);
    let draft = Draft::error(codes::BAD_TIME, text.span, message);
    parser.fail(draft.suggest("write \"18:00:00\", \"24-12-2026 18:00:00\" or \"2026-12-24T18:00:00Z\""))
}

/// `HH:mm` or `HH:mm:ss`.
pub(super) fn time_of_day(text: &str) -> Option<TimeOfDay> {
    let mut parts = text.trim().split(':');
    let hour = number(parts.next()?, 1..=2)?;
    let minute = number(parts.next()?, 2..=2)?;
    let second = parts.next().map_or(Some(0), |part| number(part, 2..=2))?;
    let valid = parts.next().is_none() && hour < 24 && minute < 60 && second < 60;
    valid.then_some(TimeOfDay { hour: hour as u8, minute: minute as u8, second: second as u8 })
}

/// `dd-MM-yyyy HH:mm[:ss]`, `yyyy-MM-ddTHH:mm[:ss][.fff][Z|±hh:mm]`; a space may stand for the T.
fn instant(text: &str) -> Option<OnceAt> {
    let (date, time) = text.trim().split_once(['T', ' '])?;
    let date = calendar_date(date)?;
    let (time, offset_minutes) = split_offset(time)?;
    let time = time.split_once('.').map_or(time, |(whole, _)| whole);
    Some(OnceAt { date, time: time_of_day(time)?, offset_minutes })
}

fn calendar_date(text: &str) -> Option<CalendarDate> {
    let parts: Vec<&str> = text.split('-').collect();
    let [first, middle, last] = parts.as_slice() else { return None };
    let (year, day) = if first.len() == 4 { (first, last) } else { (last, first) };
    let (year, month, day) = (number(year, 4..=4)?, number(middle, 1..=2)?, number(day, 1..=2)?);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u16::from(is_leap),
        1..=12 => 31,
        _ => return None,
    };
    let valid = year >= 1 && (1..=days).contains(&day);
    valid.then_some(CalendarDate { year, month: month as u8, day: day as u8 })
}

/// A time without its offset, and the offset.
fn split_offset(time: &str) -> Option<(&str, Option<i16>)> {
    if let Some(time) = time.strip_suffix(['Z', 'z']) {
        return Some((time, Some(0)));
    }
    let Some(index) = time.find(['+', '-']) else { return Some((time, None)) };
    let (time, offset) = time.split_at(index);
    let sign = if offset.starts_with('-') { -1 } else { 1 };
    let TimeOfDay { hour, minute, second } = time_of_day(offset.get(1..)?)?;
    (second == 0).then_some((time, Some(sign * (i16::from(hour) * 60 + i16::from(minute)))))
}

fn number(text: &str, digits: std::ops::RangeInclusive<usize>) -> Option<u16> {
    let valid = digits.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if valid { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_instants_are_read() {
        for (text, expected) in [
            ("18:00", Some((18, 0, 0))),
            ("8:05:09", Some((8, 5, 9))),
            ("24:00", None),
            ("18", None),
            ("18:0", None),
            ("18:00:00:00", None),
        ] {
            let expected = expected.map(|(hour, minute, second)| TimeOfDay { hour, minute, second });
            assert_eq!(time_of_day(text), expected, "{text}");
        }
        for (text, expected) in [
            ("24-12-2026 18:00:00", Some((2026, 12, 24, None))),
            ("2026-12-24T18:00:00Z", Some((2026, 12, 24, Some(0)))),
            ("2026-12-24T18:00:00.5-03:30", Some((2026, 12, 24, Some(-210)))),
            ("29-02-2027 00:00:00", None),
            ("31-04-2026 00:00:00", None),
            ("2026-12-24", None),
        ] {
            let found = instant(text).map(|at| (at.date.year, at.date.month, at.date.day, at.offset_minutes));
            assert_eq!(found, expected, "{text}");
        }
    }
}
