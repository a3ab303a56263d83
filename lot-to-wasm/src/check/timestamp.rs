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

/// Whose time a pattern shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ShownTime {
    Utc,
    /// The broker's time zone.
    Local,
}

/// Letters that stand for a part of the date or of the time.
const FIELDS: &str = "yMdHhmsftz";

/// Letters between parts that nobody takes for one: those of RFC 3339.
const SEPARATORS: &str = "TZ";

/// What a pattern says that its author hardly meant, and what to write instead.
pub(super) fn doubt(pattern: &str, clock: ShownTime) -> Option<(String, String)> {
    let name = pattern.to_ascii_uppercase();
    if !matches!(format(&name), None | Some(TimestampFormat::Pattern(_))) {
        return Some((format!("\"{pattern}\" is no format"), format!("write \"{name}\"")));
    }
    let plain = |text: &str| text.chars().filter(char::is_ascii_alphanumeric).collect::<String>();
    let meant = match plain(&name).as_str() {
        "UNIXMS" | "UNIXMILLIS" | "EPOCHMS" | "MILLIS" | "MS" | "UNIXTIMEMS" => Some("UNIX-MS"),
        "EPOCH" | "UNIXTIME" | "UNIXS" | "SECONDS" => Some("UNIX"),
        "ISO8601" | "RFC3339" | "DATETIME" => Some("ISO"),
        _ => None,
    };
    if let Some(meant) = meant {
        return Some((format!("\"{}\" is no format", pattern.escape_debug()), format!("write \"{meant}\"")));
    }
    let letters = unquoted(pattern);
    let unknown = letters.chars().find(|letter| {
        letter.is_ascii_alphabetic() && !FIELDS.contains(*letter) && !SEPARATORS.contains(*letter)
    });
    let zone = match clock {
        ShownTime::Utc => "; the time is always UTC",
        ShownTime::Local => "",
    };
    let help = format!(
        "write yyyy for the year, MM the month, dd the day, HH the hour, mm the minute, ss the second, fff milliseconds, other letters in quotes ('){zone}"
    );
    if clock == ShownTime::Local && letters.contains('Z') {
        let message = "`Z` says that the time is UTC, and it is not".to_owned();
        return Some((message, "write zzz for the offset of local time, or 'Z' for the letter".to_owned()));
    }
    if let Some(letter) = unknown {
        let letter = letter.escape_debug();
        return Some((format!("`{letter}` is no part of a time and stands as it is"), help));
    }
    let has_field = letters.contains(|letter| FIELDS.contains(letter));
    (!has_field).then(|| (format!("\"{}\" has no part of a time in it", pattern.escape_debug()), help))
}

/// The characters of a pattern that are neither in quotes nor behind a backslash.
fn unquoted(pattern: &str) -> String {
    let (mut out, mut is_quoted) = (String::new(), false);
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => drop(characters.next()),
            '\'' => is_quoted = !is_quoted,
            _ if is_quoted => {}
            _ => out.push(character),
        }
    }
    out
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
