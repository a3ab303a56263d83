//! Mistakes in a file with cases, told with their place, what is known there, and what was probably meant.

use lot_nearest::nearest_name;

/// An error of the TOML or of what stands in it: its place, the line, and what was meant.
pub(crate) fn told(text: &str, error: &toml::de::Error) -> String {
    let message = with_meant(error.message());
    let Some(span) = error.span() else { return message };
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

/// The message about an unknown key of a table, with the nearest of those that it lists.
fn with_meant(message: &str) -> String {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let unknown = quoted.next().filter(|_| message.starts_with("unknown field"));
    match unknown.and_then(|unknown| nearest_name(unknown, quoted)) {
        Some(meant) => format!("{message}; did you mean `{meant}`?"),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::Cases;

    #[test]
    fn a_mistake_is_told_with_its_place_and_what_was_meant() {
        for (text, expected) in [
            (
                "[[case]]\nname = \"x\"\nwhn = []\n",
                "line 3, column 1: unknown field `whn`, expected one of `name`, `at`, `zone`, `given`, `env`, `secrets`, `when`, `then`, `ignore`, `kept`, `logs`, `far`; did you mean `when`?\n  |\n3 | whn = []\n  | ^^^",
            ),
            (
                "[[cases]]\nname = \"x\"\n",
                "line 1, column 3: unknown field `cases`, expected one of `program`, `modules`, `users`, `env`, `secrets`, `case`; did you mean `case`?\n  |\n1 | [[cases]]\n  |   ^^^^^",
            ),
            (
                "[[case]]\nname = \"x\"\nwhen = [{ topic = \"a\", paylod = 1 }]\n",
                "line 3, column 8: a step lacks the key `payload`; is `paylod` meant to be it?\n  |\n3 | when = [{ topic = \"a\", paylod = 1 }]\n  |        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^",
            ),
            (
                "[[case]]\nname = \"x\"\nthen = [{ topic = \"a\", contain = \"b\" }]\n",
                "line 3, column 8: unknown key `contain`; did you mean `contains`? known here: ",
            ),
            (
                "[[case]]\nname = \"x\"\nwhen = [{ pass = \"5 Min\" }]\n",
                "line 3, column 8: pass = \"5 Min\" is no span of time as 90s, 5m or 1h 30m\n",
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
