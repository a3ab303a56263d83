//! `TIMESTAMP` and its formats (LoT reference §5.2, OD-59), `LOCAL TIMESTAMP`, and both of another
//! time than now.

use super::Checker;
use super::tree::{
    Constant, DatePart, Expression, ExpressionKind, LocalTimestampFormat, ShownTimeFormat, TimestampFormat,
};
use crate::diagnostic::{Draft, codes};
use crate::source::Span;
use crate::syntax::{CastType, Text, TimestampOf};

/// `TIMESTAMP ["F"]`.
pub(super) fn timestamp(checker: &mut Checker<'_, '_, '_>, format: Option<&Text>, span: Span) -> Expression {
    match utc_format(checker, format) {
        Ok(format) => checker.computed(span, ExpressionKind::Timestamp(format)),
        Err(constant) => checker.constant(span, constant),
    }
}

/// `LOCAL TIMESTAMP ["F"]`.
pub(super) fn local_timestamp(
    checker: &mut Checker<'_, '_, '_>,
    format: Option<&Text>,
    span: Span,
) -> Expression {
    match local_format(checker, format, span) {
        Ok(format) => checker.computed(span, ExpressionKind::LocalTimestamp(format)),
        Err(constant) => checker.constant(span, constant),
    }
}

/// `[LOCAL] TIMESTAMP ["F"] OF x`.
pub(super) fn timestamp_of(checker: &mut Checker<'_, '_, '_>, shown: &TimestampOf, span: Span) -> Expression {
    let format = shown.format.as_deref();
    let format = if shown.is_local {
        local_format(checker, format, span).map(ShownTimeFormat::Local)
    } else {
        utc_format(checker, format).map(ShownTimeFormat::Utc)
    };
    let instant = value_as(checker, &shown.instant, CastType::Timestamp);
    match format {
        Ok(format) => {
            let kind = ExpressionKind::TimestampOf { format, instant: Box::new(instant) };
            checker.computed(span, kind)
        }
        Err(constant) => checker.constant(span, constant),
    }
}

/// A value that is cast where it stands.
fn value_as(
    checker: &mut Checker<'_, '_, '_>,
    value: &crate::syntax::Expression,
    to: CastType,
) -> Expression {
    let mut cast = checker.cast(value, to, value.span);
    cast.kinds = super::infer::kinds_of(&cast.kind);
    cast
}

/// Returns the format behind TIMESTAMP, or a constant if it is wrong.
fn utc_format(checker: &mut Checker<'_, '_, '_>, format: Option<&Text>) -> Result<TimestampFormat, Constant> {
    let Some(text) = format else { return Ok(TimestampFormat::Iso) };
    let Some(format) = timestamp_format(checker, text, ShownTime::Utc) else {
        return Err(Constant::Text(String::new()));
    };
    if matches!(format, TimestampFormat::Part(_)) {
        let message = "a part of the date as a number is not portable";
        checker.error(Draft::warning(codes::NON_PORTABLE, text.span, message));
    }
    let is_iso = checker.compat.utc_as_iso && format == TimestampFormat::Utc;
    Ok(if is_iso { TimestampFormat::Iso } else { format })
}

/// Returns the format behind LOCAL TIMESTAMP, or a constant if it is wrong. Rejects formats that
/// are the same in all time zones.
fn local_format(
    checker: &mut Checker<'_, '_, '_>,
    format: Option<&Text>,
    span: Span,
) -> Result<LocalTimestampFormat, Constant> {
    let format = match format {
        None => Some(TimestampFormat::Iso),
        Some(text) => timestamp_format(checker, text, ShownTime::Local),
    };
    match format {
        Some(TimestampFormat::Iso) => Ok(LocalTimestampFormat::Iso),
        Some(TimestampFormat::Part(part)) => Ok(LocalTimestampFormat::Part(part)),
        Some(TimestampFormat::Pattern(pattern)) => Ok(LocalTimestampFormat::Pattern(pattern)),
        Some(TimestampFormat::Unix | TimestampFormat::UnixMs) => {
            let message = "the time since 1970 is the same in all time zones";
            let draft = Draft::error(codes::TIMESTAMP_PATTERN, span, message);
            checker.error(draft.suggest("leave LOCAL out"));
            Err(Constant::Int(0))
        }
        Some(TimestampFormat::Utc) => {
            let draft = Draft::error(codes::TIMESTAMP_PATTERN, span, "local time is no UTC");
            checker.error(draft.suggest("write LOCAL TIMESTAMP \"yyyy-MM-dd HH:mm:ss\", or leave LOCAL out"));
            Err(Constant::Text(String::new()))
        }
        None => Err(Constant::Text(String::new())),
    }
}

/// Returns the format that a text names, and reports doubtful ones; `None` for a malformed pattern.
fn timestamp_format(
    checker: &mut Checker<'_, '_, '_>,
    text: &Text,
    clock: ShownTime,
) -> Option<TimestampFormat> {
    let format = format(&text.value);
    if format.is_none() {
        let message = format!("malformed timestamp pattern \"{}\"", text.value.escape_debug());
        checker.error(Draft::warning(codes::TIMESTAMP_PATTERN, text.span, message));
    }
    if matches!(format, Some(TimestampFormat::Pattern(_)))
        && let Some((message, help)) = doubt(&text.value, clock)
    {
        let draft = Draft::warning(codes::TIMESTAMP_PATTERN, text.span, message);
        checker.error(draft.suggest(help));
    }
    format
}

/// Returns a replacement for a time that a calculation uses, if the format gives text and no
/// number. `None` for any other value.
#[allow(clippy::wildcard_enum_match_arm, reason = "nothing else shows a time")]
pub(super) fn advice_for_text(value: &Expression) -> Option<&'static str> {
    let (is_text, advice) = match &value.kind {
        ExpressionKind::Timestamp(format) => {
            (is_text_in_utc(format), "write TIMESTAMP \"UNIX\" for the seconds since 1970")
        }
        ExpressionKind::LocalTimestamp(format) => {
            (is_text_in_local_time(format), "write TIMESTAMP \"UNIX\" for the seconds since 1970")
        }
        ExpressionKind::TimestampOf { format, .. } => {
            let is_text = match format {
                ShownTimeFormat::Utc(format) => is_text_in_utc(format),
                ShownTimeFormat::Local(format) => is_text_in_local_time(format),
            };
            (is_text, "put the time behind OF in parentheses, with all that is calculated")
        }
        _ => return None,
    };
    is_text.then_some(advice)
}

fn is_text_in_utc(format: &TimestampFormat) -> bool {
    match format {
        TimestampFormat::Iso | TimestampFormat::Utc => true,
        TimestampFormat::Unix | TimestampFormat::UnixMs | TimestampFormat::Part(_) => false,
        TimestampFormat::Pattern(pattern) => !has_digits_alone(pattern),
    }
}

fn is_text_in_local_time(format: &LocalTimestampFormat) -> bool {
    match format {
        LocalTimestampFormat::Iso => true,
        LocalTimestampFormat::Part(_) => false,
        LocalTimestampFormat::Pattern(pattern) => !has_digits_alone(pattern),
    }
}

/// Whether a pattern gives digits and nothing else, as `yyyyMMdd` does.
fn has_digits_alone(pattern: &str) -> bool {
    let has_names = pattern.contains("MMM") || pattern.contains("ddd");
    !has_names && pattern.chars().all(|letter| "yMdHhmsf".contains(letter))
}

/// The format that a string names; `None` for a malformed custom pattern, which yields empty text.
fn format(text: &str) -> Option<TimestampFormat> {
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

/// Time zone of the time that a pattern shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ShownTime {
    Utc,
    /// The broker's time zone.
    Local,
}

/// Letters that stand for a part of the date or of the time.
const FIELDS: &str = "yMdHhmsftz";

/// Letters between parts that are not mistaken for a part: those of RFC 3339.
const SEPARATORS: &str = "TZ";

/// Returns a part of a pattern that its author hardly meant, and the replacement.
fn doubt(pattern: &str, clock: ShownTime) -> Option<(String, String)> {
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
