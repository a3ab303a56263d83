//! Formats of TIMESTAMP (LoT reference §5.2, OD-59).

use super::tree::{DatePart, TimestampFormat};

/// The format that a string names; `None` for a malformed custom pattern, which yields empty text.
pub(super) fn format(text: &str) -> Option<TimestampFormat> {
    Some(match text {
        "ISO" => TimestampFormat::Iso,
        "UTC" => TimestampFormat::Utc,
        "UNIX" => TimestampFormat::Unix,
        "UNIX-MS" | "UNIX_MS" => TimestampFormat::UnixMs,
        "YEAR" => TimestampFormat::Part(DatePart::Year),
        "MONTH" => TimestampFormat::Part(DatePart::Month),
        "DAY" => TimestampFormat::Part(DatePart::Day),
        "HOUR" => TimestampFormat::Part(DatePart::Hour),
        "MINUTE" => TimestampFormat::Part(DatePart::Minute),
        "SECOND" => TimestampFormat::Part(DatePart::Second),
        "WEEKDAY" => TimestampFormat::Part(DatePart::Weekday),
        pattern if is_well_formed(pattern) => TimestampFormat::Pattern(pattern.to_owned()),
        _ => return None,
    })
}

/// Whether quotes are closed and the last character is no lone backslash.
fn is_well_formed(pattern: &str) -> bool {
    let mut characters = pattern.chars();
    let mut is_quoted = false;
    while let Some(character) = characters.next() {
        match character {
            '\\' if characters.next().is_none() => return false,
            '\'' => is_quoted = !is_quoted,
            _ => {}
        }
    }
    !is_quoted && !pattern.is_empty()
}
