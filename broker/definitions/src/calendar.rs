//! Calendar arithmetic: when a local time comes next. LoT reference §7.3 and §7.4.
//!
//! A local time that does not exist, because the clock jumps over it, means the instant of the
//! jump; one that exists twice means the first. Pure functions; the zone is an argument.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Span, Timestamp, Zoned};
use lot_facts::{CalendarDate, CalendarDays, OnceAt, TimeOfDay};

/// The instant of a local date-time.
///
/// `None` beyond the years that can be represented.
fn instant(local: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    let ambiguous = zone.to_ambiguous_zoned(local);
    let is_skipped = matches!(ambiguous.offset(), AmbiguousOffset::Gap { .. });
    let at = ambiguous.compatible().ok()?.timestamp();
    if is_skipped {
        // `compatible` moves the time by the length of the gap, so the jump is the last one up to
        // there.
        let just_after = at.checked_add(SignedDuration::from_nanos(1)).ok()?;
        return zone.preceding(just_after).next().map(|jump| jump.timestamp());
    }
    Some(at)
}

/// The instant at which the clock on the wall shows so much more, or less, than at another one; in
/// milliseconds, instants since 1970.
///
/// Steps that divide the change of the clocks go on as time passes, through an hour that is skipped
/// or comes twice; for others the local time counts.
pub(crate) fn on_the_wall(zone: &TimeZone, from_ms: i64, by_ms: i64, every_ms: i64) -> i64 {
    let passed_ms = from_ms.saturating_add(by_ms);
    let shown = || {
        let from = Timestamp::from_millisecond(from_ms).ok()?;
        let local = zone.to_datetime(from).checked_add(SignedDuration::from_millis(by_ms)).ok()?;
        Some(instant(local, zone)?.as_millisecond())
    };
    let Some(shown_ms) = shown() else { return passed_ms };
    let change_ms = offset_ms(zone, passed_ms) - offset_ms(zone, from_ms);
    let every_ms = every_ms.max(1);
    let is_divisor = change_ms % every_ms == 0 && (passed_ms - shown_ms) % every_ms == 0;
    if is_divisor { passed_ms } else { shown_ms }
}

/// Whether the clocks change between two instants since 1970, the second one included.
pub(crate) fn changes_between(zone: &TimeZone, begin_ms: i64, end_ms: i64) -> bool {
    let instant = |at_ms: i64| Timestamp::from_millisecond(at_ms).ok();
    let next = instant(begin_ms).and_then(|begin| zone.following(begin).next());
    next.is_some_and(|change| instant(end_ms).is_none_or(|end| change.timestamp() <= end))
}

/// How far local time is ahead of UTC, in milliseconds, at this instant since 1970.
pub(crate) fn offset_ms(zone: &TimeZone, at_ms: i64) -> i64 {
    let at = Timestamp::from_millisecond(at_ms);
    at.map_or(0, |at| i64::from(zone.to_offset(at).seconds()) * 1000)
}

/// Days to look at for the next one that is meant: 62 at most lie between two months with a 31st.
const DAYS_AHEAD_MAX: usize = 64;

/// The first instant after `after` on one of the days at one of the local times; `None` when there
/// is no such day.
pub(crate) fn next_on(
    days: &CalendarDays,
    times: &[TimeOfDay],
    after: Timestamp,
    zone: &TimeZone,
) -> Option<Timestamp> {
    // The day before may still have its instant ahead, if its time was skipped.
    let mut date = zone.to_datetime(after).date().yesterday().ok()?;
    for _ in 0..DAYS_AHEAD_MAX {
        if is_one_of(days, date) {
            let at = |time: &TimeOfDay| instant(date.to_datetime(local_time(*time)?), zone);
            let next = times.iter().filter_map(at).filter(|found| *found > after).min();
            if next.is_some() {
                return next;
            }
        }
        date = date.tomorrow().ok()?;
    }
    None
}

fn is_one_of(days: &CalendarDays, date: Date) -> bool {
    match days {
        CalendarDays::Week(days) => {
            let weekday = usize::try_from(date.weekday().to_monday_zero_offset());
            weekday.ok().and_then(|weekday| days.0.get(weekday)).copied().unwrap_or(false)
        }
        CalendarDays::Month(month) => {
            let day = date.day();
            (month.last && day == date.days_in_month())
                || month.days.iter().any(|it| i8::try_from(*it) == Ok(day))
        }
    }
}

/// The instant of `ON TIMESTAMP "dd-MM-yyyy HH:mm:ss"`, whether it is past or not.
pub(crate) fn once(at: OnceAt, zone: &TimeZone) -> Option<Timestamp> {
    let local = local_date(at.date)?.to_datetime(local_time(at.time)?);
    match at.offset_minutes {
        None => instant(local, zone),
        Some(minutes) => {
            let offset = jiff::tz::Offset::from_seconds(i32::from(minutes) * 60).ok()?;
            offset.to_timestamp(local).ok()
        }
    }
}

/// The first instant after `after` that is a multiple of `months` after `armed`, counted from its
/// local date-time.
///
/// Every multiple is counted from the arming date itself, so the 31st comes back after a shorter
/// month.
pub(crate) fn next_months(armed: &Zoned, months: u32, after: Timestamp) -> Option<Timestamp> {
    let months = i64::from(months.max(1));
    let zone = armed.time_zone();
    let passed = months_between(armed.date(), zone.to_datetime(after).date());
    let mut count = (passed / months).max(1);
    loop {
        let span = Span::new().try_months(count.checked_mul(months)?).ok()?;
        let found = instant(armed.datetime().checked_add(span).ok()?, zone)?;
        if found > after {
            return Some(found);
        }
        count += 1;
    }
}

fn months_between(from: Date, to: Date) -> i64 {
    (i64::from(to.year()) - i64::from(from.year())) * 12 + i64::from(to.month()) - i64::from(from.month())
}

fn local_time(at: TimeOfDay) -> Option<Time> {
    Time::new(i8::try_from(at.hour).ok()?, i8::try_from(at.minute).ok()?, i8::try_from(at.second).ok()?, 0)
        .ok()
}

fn local_date(date: CalendarDate) -> Option<Date> {
    let year = i16::try_from(date.year).ok()?;
    Date::new(year, i8::try_from(date.month).ok()?, i8::try_from(date.day).ok()?).ok()
}

#[cfg(test)]
mod tests;
