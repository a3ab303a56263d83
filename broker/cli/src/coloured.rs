//! Diagnostics in colours, for terminals.

use lotmq_terminal::text::escaped;
use lotmq_terminal::{Colour, Paint};

/// The text with what matters in it coloured: severities, what points at a place, helps, and that
/// all is well. The text itself is [escaped].
pub(crate) fn coloured(text: &str, paint: Paint) -> String {
    escaped(text).lines().map(|line| coloured_line(line, paint)).collect::<Vec<_>>().join("\n")
}

fn coloured_line(line: &str, paint: Paint) -> String {
    for (severity, colour) in [("error", Colour::Red), ("warning", Colour::Yellow)] {
        if let Some(rest) = line.strip_prefix(severity).filter(|rest| rest.starts_with(['[', ':'])) {
            let end = rest.find(':').unwrap_or(0);
            let (code, message) = rest.split_at(end);
            return paint.text(colour, &format!("{severity}{code}")) + message;
        }
    }
    let content = line.trim_start();
    let indent = &line[..line.len() - content.len()];
    if let Some(place) = content.strip_prefix("--> ") {
        return format!("{indent}{} {place}", paint.text(Colour::Dim, "-->"));
    }
    if let Some(marked) = content.strip_prefix("| ").filter(|marked| marked.trim_start().starts_with('^')) {
        let start = marked.len() - marked.trim_start().len();
        let end = marked.rfind('^').map_or(marked.len(), |at| at + 1);
        let (blank, marks, label) = (&marked[..start], &marked[start..end], &marked[end..]);
        return format!("{indent}| {blank}{}{label}", paint.text(Colour::Red, marks));
    }
    if let Some(help) = content.strip_prefix("= help: ") {
        return format!("{indent}= {} {help}", paint.text(Colour::Green, "help:"));
    }
    match line.split_once(": ok (") {
        Some((place, names)) => format!("{place}: {} ({names}", paint.text(Colour::Green, "ok")),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLD: &str = "error[LOT203]: THEN is missing\n --> a.lot:3:9\n  |\n3 | IF x ^\n  |    ^^^^ here: ^\n  = help: write THEN\n\na.lot: 1 error\nb.lot: ok (action A)";

    #[test]
    fn without_colours_nothing_changes() {
        assert_eq!(coloured(TOLD, Paint::none()), TOLD);
    }

    #[test]
    fn severities_and_help_labels_are_coloured() {
        let text = coloured(TOLD, Paint::always());
        for part in [
            "\x1b[31merror[LOT203]\x1b[0m: THEN",
            "\x1b[32mhelp:\x1b[0m write",
            "\x1b[32mok\x1b[0m (action A)",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        let plain = ["\x1b[31m", "\x1b[32m", "\x1b[2m", "\x1b[0m"]
            .iter()
            .fold(text, |text, code| text.replace(code, ""));
        assert_eq!(plain, TOLD);
    }
}
