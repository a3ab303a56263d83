//! Unified diff between the two texts of a definition, bounded.

use std::time::Duration;

use lotmq_terminal::{Colour, Paint};
use serde_json::Value;
use similar::TextDiff;

use lotmq_terminal::text::printable;

/// Lines of one definition that are shown.
const LINES_MAX: usize = 100;

/// Lines around each change.
const CONTEXT: usize = 2;

/// Time in which the shortest difference is looked for; then any one will do.
const PATIENCE: Duration = Duration::from_millis(500);

/// Lines of a row of the plan with its two texts; one that says so where the broker has left them
/// out.
pub(super) fn lines(row: &Value, paint: Paint) -> Vec<String> {
    let (Some(before), Some(after)) = (row["before"].as_str(), row["after"].as_str()) else {
        let why = match row["owner"].as_str() {
            Some(owner) => {
                format!("    (it is user '{}'s: what differs is not shown)", printable(owner))
            }
            None => "    (too much has changed to be shown)".to_owned(),
        };
        return vec![why];
    };
    let difference = TextDiff::configure().timeout(PATIENCE).diff_lines(before, after);
    let text = difference.unified_diff().context_radius(CONTEXT).to_string();
    let mut shown: Vec<String> = text.lines().take(LINES_MAX).map(|line| painted(line, paint)).collect();
    let left = text.lines().count() - shown.len();
    if left > 0 {
        shown.push(format!("    … {left} more lines"));
    }
    shown
}

fn painted(line: &str, paint: Paint) -> String {
    let text = format!("    {}", printable(line));
    match line.as_bytes().first() {
        Some(b'-') => paint.text(Colour::Red, &text),
        Some(b'+') => paint.text(Colour::Green, &text),
        Some(b'@') => paint.text(Colour::Dim, &text),
        Some(_) | None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn diff_contains_context_lines_and_has_a_length_limit() {
        let text =
            |middle: &str| (1..=9).map(|n| if n == 5 { middle.into() } else { format!("l{n}\n") }).collect();
        let (before, after): (String, String) = (text("a\n"), text("b\u{1b}[2J\n"));
        let row = json!({ "before": before, "after": after });
        let plain = lines(&row, Paint::none());
        assert_eq!(plain[..5], ["    @@ -3,5 +3,5 @@", "     l3", "     l4", "    -a", &plain[4]]);
        assert!(plain[4].starts_with("    +b") && !plain[4].contains('\u{1b}'), "{plain:?}");
        let coloured = lines(&row, Paint::always());
        assert_eq!(coloured[3], "\x1b[31m    -a\x1b[0m");
        let long = |word: &str| format!("{word}\n").repeat(400);
        let bounded = lines(&json!({ "before": long("a"), "after": long("b") }), Paint::none());
        assert_eq!((bounded.len(), &*bounded[100]), (101, "    … 701 more lines"));
        assert_eq!(lines(&json!({}), Paint::none()), ["    (too much has changed to be shown)"]);
    }
}
