//! Instants as text: ISO 8601, and patterns of `TIMESTAMP`.

use super::Civil;

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

/// Appends a custom pattern; `None` when a quote or an escape has no end.
pub(crate) fn append_pattern(out: &mut String, pattern: &str, civil: &Civil) -> Option<()> {
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
        ('z', _) => append_offset(out, civil.offset_minutes, run),
        _ => out.extend(std::iter::repeat_n(letter, run)),
    }
}

/// Appends `+2`, `+02` or `+02:00`.
fn append_offset(out: &mut String, minutes: i32, run: usize) {
    out.push(if minutes < 0 { '-' } else { '+' });
    let minutes = i64::from(minutes.abs());
    padded(out, minutes / 60, run.min(2));
    if run > 2 {
        out.push(':');
        padded(out, minutes % 60, 2);
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
