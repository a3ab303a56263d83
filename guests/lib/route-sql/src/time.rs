//! Times with a zone, as devices and `{timestamp}` write them, converted to UTC for databases that
//! accept no zone in a text.

/// Time in UTC of the years 0 to 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Year, month and day.
    pub date: (u16, u8, u8),
    /// Hour, minute and second.
    pub time: (u8, u8, u8),
    /// Microseconds of the second.
    pub micros: u32,
}

/// Parses a text of RFC 3339 with a zone into UTC: `2026-01-05T10:00:00.5Z`,
/// `2026-01-05T12:00:00+02:00`. Returns `None` for other texts.
#[must_use]
pub fn with_zone(text: &str) -> Option<Moment> {
    let bytes = text.as_bytes();
    let is_form = (20..=40).contains(&bytes.len())
        && text.is_ascii()
        && [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')]
            .iter()
            .all(|(at, mark)| bytes.get(*at) == Some(mark))
        && matches!(bytes.get(10), Some(b'T' | b't' | b' '));
    if !is_form {
        return None;
    }
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = text.get(from..to)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
    };
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let is_time = (1..=12).contains(&month)
        && (1..=days_of(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    let (micros, zone) = fraction(text.get(19..)?)?;
    let offset = offset_minutes(zone)?;
    if !is_time {
        return None;
    }
    let minutes = (days_before(year, month, day) * 24 + hour) * 60 + minute - offset;
    let (days, minute_of_day) = (minutes.div_euclid(1440), minutes.rem_euclid(1440));
    let small = |number: i64| u8::try_from(number).ok();
    let time = (small(minute_of_day / 60)?, small(minute_of_day % 60)?, small(second)?);
    Some(Moment { date: date_of(days)?, time, micros })
}

/// Microseconds, and what stands behind the fraction. Further digits are cut off.
fn fraction(text: &str) -> Option<(u32, &str)> {
    let Some(digits) = text.strip_prefix('.') else { return Some((0, text)) };
    let end = digits.find(|next: char| !next.is_ascii_digit())?;
    let (digits, zone) = digits.split_at(end);
    if digits.is_empty() {
        return None;
    }
    let six: String = digits.chars().chain("000000".chars()).take(6).collect();
    Some((six.parse().ok()?, zone))
}

fn offset_minutes(zone: &str) -> Option<i64> {
    if zone.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let sign = match zone.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let is_two = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_two(hours) || !is_two(minutes) {
        return None;
    }
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes))
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Returns the days from 1 March of the year 0 to a date. In a year that begins with March the leap
/// day comes last.
#[must_use]
pub fn days_before(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    365 * year + year.div_euclid(4) - year.div_euclid(100)
        + year.div_euclid(400)
        + (153 * month + 2) / 5
        + day
        - 1
}

/// Returns the date `days` after 1 March of the year 0; `None` outside of the years 0 to 9999.
#[must_use]
pub fn date_of(days: i64) -> Option<(u16, u8, u8)> {
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = u16::try_from(year_of_era + era * 400 + next).ok().filter(|year| *year < 10_000)?;
    Some((year, u8::try_from(month).ok()?, u8::try_from(day).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(moment: Moment) -> String {
        let ((year, month, day), (hour, minute, second)) = (moment.date, moment.time);
        let fraction = if moment.micros == 0 { String::new() } else { format!(".{:06}", moment.micros) };
        format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}{fraction}")
    }

    #[test]
    fn times_with_a_zone_become_times_in_utc() {
        for (text, expected) in [
            ("2026-01-05T10:00:00.000Z", Some("2026-01-05 10:00:00")),
            ("2026-01-05T10:00:00Z", Some("2026-01-05 10:00:00")),
            ("2026-01-05 10:00:00.5z", Some("2026-01-05 10:00:00.500000")),
            ("2026-01-05T00:30:00.123456789+02:00", Some("2026-01-04 22:30:00.123456")),
            ("2025-12-31T23:30:00-01:00", Some("2026-01-01 00:30:00")),
            ("2024-03-01T00:00:00+00:01", Some("2024-02-29 23:59:00")),
            ("2000-02-29T12:00:00Z", Some("2000-02-29 12:00:00")),
            ("1999-12-31T23:59:59Z", Some("1999-12-31 23:59:59")),
            ("2026-02-29T12:00:00Z", None),
            ("2026-13-01T12:00:00Z", None),
            ("2026-01-05T24:00:00Z", None),
            ("2026-01-05T10:00:00", None),
            ("2026-01-05T10:00:00.Z", None),
            ("2026-01-05T10:00:00.1", None),
            ("2026-01-05T10:00:00+2:00", None),
            ("2026-01-05T10:00:00Zx", None),
            ("at 26-01-05T10:00:00Z", None),
            ("9999-12-31T23:30:00-01:00", None),
            ("", None),
        ] {
            let found = with_zone(text).map(shown);
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }
}
