//! `TIMESTAMP "pattern"`: named formats, parts, and custom patterns.

use crate::time::{Civil, append_pattern};
use crate::value::{Origin, Value};

/// `TIMESTAMP "pattern"` at an instant in milliseconds. A malformed pattern gives an empty text.
pub fn timestamp(ms: i64, pattern: &str) -> Value {
    match pattern {
        "ISO" | "" => Value::Text(Value::Time(ms).text(), Origin::Data),
        "UTC" => custom("yyyy-MM-dd HH:mm:ss", &Civil::from_ms(ms)),
        "UNIX" => Value::Int(ms.div_euclid(1000)),
        "UNIX-MS" | "UNIX_MS" => Value::Int(ms),
        _ => part_or_custom(pattern, &Civil::from_ms(ms)),
    }
}

/// `LOCAL TIMESTAMP "pattern"` at an instant in milliseconds, for clocks that are ahead of UTC by
/// an offset.
pub fn local_timestamp(ms: i64, offset_seconds: i32, pattern: &str) -> Value {
    let civil = Civil::local(ms, offset_seconds);
    match pattern {
        "ISO" => custom("yyyy-MM-ddTHH:mm:ss.fffzzz", &civil),
        _ => part_or_custom(pattern, &civil),
    }
}

fn part_or_custom(pattern: &str, civil: &Civil) -> Value {
    let part = match pattern {
        "YEAR" => civil.year,
        "MONTH" => i64::from(civil.month),
        "DAY" => i64::from(civil.day),
        "HOUR" => i64::from(civil.hour),
        "MINUTE" => i64::from(civil.minute),
        "SECOND" => i64::from(civil.second),
        // Monday is 1, Sunday 7, as in ISO 8601.
        "WEEKDAY" => i64::from((civil.weekday + 6) % 7 + 1),
        _ => return custom(pattern, civil),
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
    fn local_times_have_their_offset() {
        for (offset_seconds, pattern, expected) in [
            (3600, "ISO", Value::data("2026-01-05T10:03:07.045+01:00")),
            (0, "ISO", Value::data("2026-01-05T09:03:07.045+00:00")),
            (-12_600, "yyyy-MM-dd HH:mm z zz zzz", Value::data("2026-01-05 05:33 -3 -03 -03:30")),
            (20_700, "z zzz", Value::data("+5 +05:45")),
            (-36_000, "dddd HH", Value::data("Sunday 23")),
            (-36_000, "WEEKDAY", Value::Int(7)),
            (50_400, "HOUR", Value::Int(23)),
            (3600, "UTC", Value::data("UTC")),
            (3600, "'open", Value::data("")),
        ] {
            assert_eq!(
                local_timestamp(MORNING, offset_seconds, pattern),
                expected,
                "{offset_seconds} {pattern}"
            );
        }
        assert_eq!(local_timestamp(i64::MAX, 3600, "HH"), local_timestamp(i64::MAX, 0, "HH"));
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
