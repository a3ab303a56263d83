//! Errors in a file with cases, with their place, the known names there, and the name that was
//! probably meant.

use std::collections::BTreeSet;
use std::ops::Range;

use lot_nearest::nearest_name;
use lotmq_terminal::output::note;

/// Messages that are printed only once for all cases of a file or of a run.
#[derive(Debug, Default)]
pub(crate) struct ToldOnce(BTreeSet<String>);

impl ToldOnce {
    /// Tells it as a warning, unless that was done.
    pub(crate) fn tell(&mut self, text: &str) {
        if self.0.insert(text.to_owned()) {
            note(&format!("warning: {text}"));
        }
    }
}

/// Sign around the place in a message that has its own place: the TOML reader only knows the place
/// of the list around a table.
const PLACE: char = '\u{1}';

/// A message with the place that it is about.
pub(crate) fn placed(message: &str, span: &Range<usize>) -> String {
    format!("{PLACE}{}:{}{PLACE}{message}", span.start, span.end)
}

/// The place of a message that has its own, and the message.
fn place_of(message: &str) -> Option<(Range<usize>, &str)> {
    let (place, message) = message.strip_prefix(PLACE)?.split_once(PLACE)?;
    let (start, end) = place.split_once(':')?;
    Some((start.parse().ok()?..end.parse().ok()?, message))
}

/// Formats an error of the TOML or of its content: its place, the line, and the correction.
#[must_use]
pub fn told(text: &str, error: &toml::de::Error) -> String {
    let (own, message) = match place_of(error.message()) {
        Some((place, message)) => (Some(place), message),
        None => (None, error.message()),
    };
    let span = own.or(error.span());
    let written = span.clone().and_then(|span| text.get(span)).unwrap_or("");
    // Its place would be all of its table, or of the file.
    if let Some(name) = message.strip_prefix("missing field ") {
        return format!("{name} is missing");
    }
    let message = with_way_out(&with_meant(message), written);
    match span {
        Some(span) => at_place(text, span, &message),
        None => message,
    }
}

/// A message with its line and column, and the line below it.
#[must_use]
pub fn at_place(text: &str, span: Range<usize>, message: &str) -> String {
    let before = text.get(..span.start).unwrap_or("");
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let column = before.get(start..).unwrap_or("").chars().count() + 1;
    let source = text.get(start..).unwrap_or("").lines().next().unwrap_or("");
    let marked = text.get(span).unwrap_or("").lines().next().unwrap_or("").chars().count().max(1);
    let gutter = " ".repeat(line.to_string().len());
    let marks = format!("{}{}", " ".repeat(column - 1), "^".repeat(marked));
    format!("line {line}, column {column}: {message}\n{gutter} |\n{line} | {source}\n{gutter} | {marks}")
}

/// The message about an unknown key of a table, or an unknown word, with the nearest of those that
/// it lists.
fn with_meant(message: &str) -> String {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let is_unknown = message.starts_with("unknown field") || message.starts_with("unknown variant");
    let unknown = quoted.next().filter(|_| is_unknown);
    let message = message.replacen("unknown variant", "unknown word", 1);
    match unknown.and_then(|unknown| nearest_name(unknown, quoted)) {
        Some(meant) => format!("{message}; did you mean `{meant}`?"),
        None => message,
    }
}

/// Adds a correction to the message about syntax that TOML does not have, or has otherwise;
/// `written` is the wrong text.
fn with_way_out(message: &str, written: &str) -> String {
    let word = written.split(|c: char| !c.is_alphanumeric()).next().unwrap_or("");
    let is_value = !message.starts_with("unknown field");
    if is_value && ["null", "nil", "none"].iter().any(|none| none.eq_ignore_ascii_case(word)) {
        let instead = "leave the key out, or write JSON with null in it as a text: '{\"v\": null}'";
        return format!("TOML has no {word}: {instead}");
    }
    let is_table = message == "invalid type: map, expected a sequence";
    if is_table && written.starts_with("[case]") {
        return format!("{message}: write [[case]], in two brackets, above each case");
    }
    if message.starts_with("invalid type: string") && message.ends_with("expected a sequence") {
        return format!("expected a list: [{written}]");
    }
    message.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::Cases;

    #[test]
    fn parse_error_contains_its_position_and_a_suggestion() {
        for (text, expected) in [
            (
                "[[case]]\nname = \"x\"\nwhn = []\n",
                "line 3, column 1: unknown field `whn`, expected one of `name`, `at`, `zone`, `given`, `env`, `secrets`, `when`, `then`, `ignore`, `kept`, `logs`, `routed`, `far`; did you mean `when`?\n  |\n3 | whn = []\n  | ^^^",
            ),
            (
                "[[case]]\nname = \"x\"\ngiven = { a = { v = null } }\n",
                "line 3, column 21: TOML has no null: leave the key out, or write JSON with null in it as a text: '{\"v\": null}'\n",
            ),
            ("[[case]]\nname = \"x\"\nnone = 1\n", "line 3, column 1: unknown field `none`"),
            (
                "[case]\nname = \"x\"\n",
                "line 1, column 1: invalid type: map, expected a sequence: write [[case]], in two brackets, above each case\n",
            ),
            (
                "[[cases]]\nname = \"x\"\n",
                "line 1, column 3: unknown field `cases`, expected one of `program`, `modules`, `users`, `env`, `secrets`, `case`; did you mean `case`?\n  |\n1 | [[cases]]\n  |   ^^^^^",
            ),
            (
                "[[case]]\nname = \"x\"\nwhen = [{ topic = \"a\", paylod = 1 }]\n",
                "line 3, column 9: a step lacks the key `payload`; is `paylod` meant to be it?\n  |\n3 | when = [{ topic = \"a\", paylod = 1 }]\n  |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^",
            ),
            (
                "[[case]]\nname = \"x\"\nthen = [{ topic = \"a\", contain = \"b\" }]\n",
                "line 3, column 9: unknown key `contain`; did you mean `contains`? known here: ",
            ),
            (
                "[[case]]\nname = \"x\"\nwhen = [{ pass = \"5 Min\" }]\n",
                "line 3, column 9: pass = \"5 Min\" is no span of time as 90s, 5m or 1h 30m\n",
            ),
            (
                "[[case]]\nname = \"x\"\nthen = [\n    { topic = \"a\" },\n    { topic = \"b\", contain = 1 },\n]\n",
                "line 5, column 5: unknown key `contain`; did you mean `contains`?",
            ),
            (
                "[[case]]\nname = \"x\"\nat = \"06:00\"\n",
                "line 3, column 6: `06:00` is no time as 2026-01-01T00:00:00Z: a case begins on a day, in UTC or with an offset\n",
            ),
            (
                "[[case]]\nname = \"x\"\nzone = \"Berlin\"\n",
                "line 3, column 8: `Berlin` is no time zone as Europe/Berlin\n",
            ),
        ] {
            let error = toml::from_str::<Cases>(text).expect_err(text);
            let found = told(text, &error);
            assert!(found.starts_with(expected), "{found}");
        }
    }
}
