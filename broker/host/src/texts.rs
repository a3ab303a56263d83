//! Codes and texts that guests give with their errors and reports: bounded, and a code is a word.

use crate::limits::{CODE_BYTES_MAX, MESSAGE_BYTES_MAX};
use std::borrow::Cow;

/// Code that replaces an invalid code of a guest.
pub(crate) const CODE_INVALID: &str = "GUEST_CODE_INVALID";

/// Text for a guest that ended itself, such as by a panic. The last words of the guest follow after
/// a colon, if there are any.
pub const GAVE_UP: &str = "the guest gave up (panic or abort)";

/// Code of a module that lacked a grant.
pub const GRANT_MISSING: &str = "GRANT_MISSING";

/// Code of the error of a call to a definition whose code is still being compiled.
pub const COMPILING: &str = "COMPILING";

/// Code of a message that a route brought and that is none.
pub(crate) const MESSAGE_INVALID: &str = "MESSAGE_INVALID";

/// Around the grant in the text of a run that ended for want of it.
const WANTED: [&str; 2] = ["it wanted '", "', which it was not granted"];

/// Returns the text of a run that lacked grants, such as `state`.
pub(crate) fn not_granted(grants: &[String]) -> String {
    let [before, behind] = WANTED;
    format!("{before}{}{behind}", grants.join("', '"))
}

/// The grant that the text of a run says to be missing, where it says no more than that.
#[must_use]
pub fn wanted_grant(text: &str) -> Option<&str> {
    let [before, behind] = WANTED;
    text.strip_prefix(before)?.strip_suffix(behind)
}

/// Codes of the broker for runs, without those that begin with `GUEST_`, sorted. docs/codes.md
/// explains them.
pub const RUN_CODES: &[&str] = &[
    "ACCEPT_LIMIT",
    "ACTION_NOT_FOUND",
    "AUTHORITY_GONE",
    "AUTH_ANSWER",
    "AUTH_AWAY",
    "AUTH_EVENTS_LOST",
    "AUTH_RUN",
    "CALL_DEPTH",
    "CALL_NOT_ALLOWED",
    COMPILING,
    "DELAY_REFUSED",
    "FUNCTION_INVALID",
    GRANT_MISSING,
    "HOP_LIMIT",
    "INPUT_RESERVED",
    "KEEP_LIMIT",
    "MAILBOX_FULL",
    MESSAGE_INVALID,
    "MESSAGE_PAUSED",
    "METRIC_LIMIT",
    "MODEL_NOT_FOUND",
    "MODEL_PENDING",
    "MODULE_DISABLED",
    "MODULE_FAILED",
    "MODULE_WORLD",
    "NOT_RESTORED",
    "NOT_TRIGGERED",
    "OUTBOX_FULL",
    "PATTERN",
    "PYTHON_BUSY",
    "PYTHON_ERROR",
    "PYTHON_PREPARING",
    "PYTHON_UNAVAILABLE",
    "PYTHON_UNKNOWN",
    "ROUTE_AWAY",
    "ROUTE_PANIC",
    "ROUTE_QUERY",
    "ROUTE_REFUSED",
    "ROUTE_REJECTED",
    "ROUTE_RUN",
    "ROUTE_STOPPED",
    "ROUTE_STORE",
    "ROUTE_TAGS",
    "ROUTE_TAKERS",
    "ROUTE_TIMEOUT",
    "ROUTE_UNKNOWN",
    "ROUTE_WAITS",
    "RULE_DENIED",
    "SILENCE_LIMIT",
    "START_SLOW",
    "STOPPED",
    "WINDOW_LIMIT",
    "WINDOW_VALUE",
    "WRITE_LIMIT",
];

/// Whether a code is reserved for the broker: a guest may hand it on, and not make it up.
pub fn is_run_code(code: &str) -> bool {
    let is_of_guests = code.split_once('_').is_some_and(|(first, _)| first == "GUEST");
    is_of_guests || RUN_CODES.binary_search(&code).is_ok()
}

/// Returns the owner of a definition as reports on denied operations call it.
pub fn describe_owner(owner: Option<&str>) -> String {
    match owner {
        Some(owner) => format!("its owner '{owner}'"),
        None => "somebody without a user, to whom it belongs,".to_owned(),
    }
}

/// Returns a message that shows a made-up broker code in front of the guest's text.
pub(crate) fn made_up(code: &str, message: &str) -> String {
    cut(&format!("'{code}' is a code of the broker: {message}"), MESSAGE_BYTES_MAX).to_owned()
}

/// Mark at the end of a shortened line.
pub const CUT_MARK: &str = "…";

/// A line for the log as it is, or cut with a mark at its end.
pub(crate) fn line_of(text: &str) -> Cow<'_, str> {
    if text.len() <= MESSAGE_BYTES_MAX {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("{}{CUT_MARK}", cut(text, MESSAGE_BYTES_MAX - CUT_MARK.len())))
}

/// The longest part of a text that has at most `bytes_max` bytes and ends at a character.
pub(crate) fn cut(text: &str, bytes_max: usize) -> &str {
    if text.len() <= bytes_max {
        return text;
    }
    &text[..text.floor_char_boundary(bytes_max)]
}

/// Returns code and text of a guest for people and other guests. Replaces an invalid code by
/// [`CODE_INVALID`] and shows it in front of the text.
pub(crate) fn coded<'a>(code: &'a str, message: &'a str) -> (&'a str, Cow<'a, str>) {
    if is_code(code) {
        return (code, Cow::Borrowed(cut(message, MESSAGE_BYTES_MAX)));
    }
    let shown: String = cut(code, CODE_BYTES_MAX).escape_debug().collect();
    let message = format!("'{shown}' is no code: {}", cut(message, MESSAGE_BYTES_MAX));
    (CODE_INVALID, Cow::Owned(cut(&message, MESSAGE_BYTES_MAX).to_owned()))
}

/// Code and text of a guest that is given no errors with codes, as [`coded`]: no code of the broker
/// is its own.
pub(crate) fn coded_alone<'a>(code: &'a str, message: &'a str) -> (&'a str, Cow<'a, str>) {
    if is_run_code(code) {
        return (CODE_INVALID, Cow::Owned(made_up(code, message)));
    }
    coded(code, message)
}

/// Whether a text is a code, as ours are: a word of upper-case letters, digits and `_` that begins
/// with a letter.
fn is_code(text: &str) -> bool {
    text.len() <= CODE_BYTES_MAX
        && text.starts_with(|first: char| first.is_ascii_uppercase())
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

/// Cuts a text that a guest gave to people, in its place.
pub(crate) fn shorten(text: &mut String) {
    text.truncate(text.floor_char_boundary(MESSAGE_BYTES_MAX));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_runs_are_known_in_their_order() {
        assert!(RUN_CODES.is_sorted_by(|one, next| one < next));
        for code in ["GUEST_PANIC", "PATTERN", "ACTION_NOT_FOUND", "WRITE_LIMIT"] {
            assert!(is_run_code(code), "{code}");
        }
        for code in ["LOT501", "TIMEOUT", "NOT_FOUND", "PATTERNS", "GUEST"] {
            assert!(!is_run_code(code), "{code}");
        }
        assert_eq!(made_up("PATTERN", "why"), "'PATTERN' is a code of the broker: why");
    }

    #[test]
    fn invalid_error_code_moves_into_the_bounded_message() {
        let long = "A".repeat(CODE_BYTES_MAX);
        for code in ["NOT_A_NUMBER", "LOT501", "E2", &long] {
            assert_eq!(coded(code, "why"), (code, Cow::Borrowed("why")));
        }
        let longer = format!("{long}A");
        let too_long = format!("'{long}' is no code: why");
        for (code, message) in [
            ("", "'' is no code: why"),
            ("not a number", "'not a number' is no code: why"),
            ("2E", "'2E' is no code: why"),
            ("_E", "'_E' is no code: why"),
            ("E-1", "'E-1' is no code: why"),
            ("\u{c4}", "'\u{c4}' is no code: why"),
            ("A\n\u{1b}[2J", "'A\\n\\u{1b}[2J' is no code: why"),
            (&longer, &too_long),
        ] {
            assert_eq!(coded(code, "why"), (CODE_INVALID, Cow::Borrowed(message)));
        }
        let text = "\u{e4}".repeat(MESSAGE_BYTES_MAX);
        for code in ["A", "a"] {
            let (_, message) = coded(code, &text);
            assert!(
                (MESSAGE_BYTES_MAX - 1..=MESSAGE_BYTES_MAX).contains(&message.len()),
                "{}",
                message.len()
            );
        }
    }
}
