//! `TIMESTAMP "pattern"`: named formats, parts, and custom patterns.

use super::Civil;
use crate::value::Value;

const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// Appends `2026-01-15T10:30:00.123Z`.
pub fn append_iso(out: &mut String, ms: i64) {
    append_pattern(out, "yyyy-MM-ddTHH:mm:ss.fffZ", &Civil::from_ms(ms));
}

/// `TIMESTAMP "pattern"` at an instant in milliseconds. A malformed pattern gives an empty text.
pub fn timestamp(ms: i64, pattern: &str) -> Value {
    let civil = Civil::from_ms(ms);
    let part = match pattern {
        "ISO" | "" => return Value::Text(Value::Time(ms).text(), crate::Origin::Data),
        "UTC" => return custom("yyyy-MM-dd HH:mm:ss", &civil),
        "UNIX" => ms.div_euclid(1000),
        "UNIX-MS" | "UNIX_MS" => ms,
        "YEAR" => civil.year,
        "MONTH" => i64::from(civil.month),
        "DAY" => i64::from(civil.day),
        "HOUR" => i64::from(civil.hour),
        "MINUTE" => i64::from(civil.minute),
        "SECOND" => i64::from(civil.second),
        // Monday is 1, Sunday 7, as in ISO 8601.
        "WEEKDAY" => i64::from((civil.weekday + 6) % 7 + 1),
        _ => return custom(pattern, &civil),
    };
    Value::Int(part)
}

fn custom(pattern: &str, civil: &Civil) -> Value {
    let mut out = String::with_capacity(pattern.len() + 8);
    if append_pattern(&mut out, pattern, civil).is_none() {
        out.clear();
    }
    Value::data(out)
}

/// Appends a custom pattern; `None` when a quote or an escape has no end.
fn append_pattern(out: &mut String, pattern: &str, civil: &Civil) -> Option<()> {
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        let run = rest.chars().take_while(|character| *character == first).count();
        let mut used = first.len_utf8() * run;
        match first {
            '\'' => {
                let inside = &rest[1..];
                let end = inside.find('\'')?;
                out.push_str(&inside[..end]);
                used = end + 2;
            }
            '\\' => {
                let escaped = rest[1..].chars().next()?;
                out.push(escaped);
                used = 1 + escaped.len_utf8();
            }
            _ => append_field(out, first, run, civil),
        }
        rest = &rest[used..];
    }
    Some(())
}

/// Appends one run of equal letters: a field of the time, or itself.
fn append_field(out: &mut String, letter: char, run: usize, civil: &Civil) {
    let twelve = (civil.hour + 11) % 12 + 1;
    match (letter, run) {
        ('y', 1 | 2) => padded(out, civil.year.rem_euclid(100), run),
        ('y', _) => padded(out, civil.year, run),
        ('M', 1 | 2) => padded(out, i64::from(civil.month), run),
        ('M', 3) => out.push_str(&MONTHS[civil.month as usize - 1][..3]),
        ('M', _) => out.push_str(MONTHS[civil.month as usize - 1]),
        ('d', 1 | 2) => padded(out, i64::from(civil.day), run),
        ('d', 3) => out.push_str(&DAYS[civil.weekday as usize][..3]),
        ('d', _) => out.push_str(DAYS[civil.weekday as usize]),
        ('H', _) => padded(out, i64::from(civil.hour), run.min(2)),
        ('h', _) => padded(out, i64::from(twelve), run.min(2)),
        ('m', _) => padded(out, i64::from(civil.minute), run.min(2)),
        ('s', _) => padded(out, i64::from(civil.second), run.min(2)),
        ('f', 1..=7) => append_fraction(out, civil.ms, run),
        ('t', 1) => out.push(if civil.hour < 12 { 'A' } else { 'P' }),
        ('t', _) => out.push_str(if civil.hour < 12 { "AM" } else { "PM" }),
        ('z', 1) => out.push_str("+0"),
        ('z', 2) => out.push_str("+00"),
        ('z', _) => out.push_str("+00:00"),
        _ => out.extend(std::iter::repeat_n(letter, run)),
    }
}

/// The clock has milliseconds; further places are zeros.
fn append_fraction(out: &mut String, ms: u32, places: usize) {
    let mut divisor = 100;
    for _ in 0..places {
        let digit = ms.checked_div(divisor).unwrap_or(0) % 10;
        out.push(char::from(b'0' + digit as u8));
        divisor /= 10;
    }
}

fn padded(out: &mut String, number: i64, width: usize) {
    let start = out.len();
    crate::number::append_int(out, number);
    for _ in out.len() - start..width {
        out.insert(start, '0');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-01-05 09:03:07.045, a Monday.
    const MORNING: i64 = 1_767_603_787_045;

    #[test]
    fn patterns_print_as_documented() {
        for (pattern, expected) in [
            ("ISO", Value::data("2026-01-05T09:03:07.045Z")),
            ("", Value::data("2026-01-05T09:03:07.045Z")),
            ("UTC", Value::data("2026-01-05 09:03:07")),
            ("UNIX", Value::Int(1_767_603_787)),
            ("UNIX-MS", Value::Int(MORNING)),
            ("UNIX_MS", Value::Int(MORNING)),
            ("YEAR", Value::Int(2026)),
            ("MONTH", Value::Int(1)),
            ("DAY", Value::Int(5)),
            ("HOUR", Value::Int(9)),
            ("MINUTE", Value::Int(3)),
            ("SECOND", Value::Int(7)),
            ("WEEKDAY", Value::Int(1)),
            ("yyyy yy", Value::data("2026 26")),
            ("MMMM MMM MM M", Value::data("January Jan 01 1")),
            ("dddd ddd dd d", Value::data("Monday Mon 05 5")),
            ("HH H hh h tt", Value::data("09 9 09 9 AM")),
            ("mm m ss s", Value::data("03 3 07 7")),
            ("f ff fff ffff fffffff", Value::data("0 04 045 0450 0450000")),
            ("zzz", Value::data("+00:00")),
            ("yyyy'y'MM\\dd", Value::data("2026y01d5")),
            ("'HH' 'o''clock'", Value::data("HH oclock")),
            ("yyyy.MM.dd_HH-mm", Value::data("2026.01.05_09-03")),
            ("'open", Value::data("")),
            ("yyyy\\", Value::data("")),
            ("ü", Value::data("ü")),
        ] {
            assert_eq!(timestamp(MORNING, pattern), expected, "{pattern}");
        }
    }

    #[test]
    fn twelve_hours_and_early_times() {
        for (ms, pattern, expected) in [
            (0, "hh tt", "12 AM"),
            (12 * 3_600_000, "hh tt", "12 PM"),
            (23 * 3_600_000, "h t", "11 P"),
            (-1, "yyyy-MM-dd HH:mm:ss.fff", "1969-12-31 23:59:59.999"),
        ] {
            assert_eq!(timestamp(ms, pattern), Value::data(expected), "{ms} {pattern}");
        }
    }
}
