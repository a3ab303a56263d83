//! Diagnostics for terminals.

use std::fmt::Write as _;

use super::{Diagnostic, Label, TextSpan};

/// Shows one diagnostic with its source line, as `lotmq check` prints it; ends with a line break.
///
/// ```text
/// error[LOT302]: unknown variable `{tmp}`
///   --> heater.lot:7:30
///    |
///  7 |     PUBLISH TOPIC "a/b" WITH {tmp}
///    |                              ^^^^^ not set on any path before this line
///    = help: did you mean `{temp}`?
/// ```
pub fn to_text(file: &str, diagnostic: &Diagnostic) -> String {
    let Diagnostic { code, severity, message, span, source_line, .. } = diagnostic;
    let width = span.start.line.to_string().len();
    let gutter = " ".repeat(width);
    let mut text = String::new();
    let mut line = |content: String| {
        text.push_str(printable(&content).trim_end());
        text.push('\n');
    };
    line(format!("{}[{code}]: {message}", severity.as_str()));
    line(format!("{gutter}--> {file}:{}:{}", span.start.line, span.start.column));
    line(format!("{gutter} |"));
    let shown = ShownLine::of(source_line, span);
    line(format!("{} | {}", span.start.line, shown.line));
    let marks = marks(span, source_line);
    line(format!("{gutter} | {}{marks} {}", " ".repeat(shown.before), diagnostic.label));
    for Label { file, span, text } in &diagnostic.labels {
        let file =
            file.as_ref().filter(|file| !file.is_empty()).map_or(String::new(), |file| format!("{file}:"));
        line(format!("{gutter} = {file}{}:{}: {text}", span.start.line, span.start.column));
    }
    if !diagnostic.expected.is_empty() {
        line(format!("{gutter} = expected: {}", diagnostic.expected.join(", ")));
    }
    for note in &diagnostic.notes {
        line(format!("{gutter} = note: {note}"));
    }
    for suggestion in &diagnostic.suggestions {
        line(format!("{gutter} = help: {suggestion}"));
    }
    text
}

/// Makes a text safe for a terminal, character by character: a tab becomes a blank, control
/// characters become pictures of themselves, and characters that turn the direction of writing
/// become replacement characters.
pub fn printable(text: &str) -> String {
    let shown = |character: char| match character {
        '\t' => ' ',
        '\u{0}'..='\u{1f}' => char::from_u32(0x2400 + u32::from(character)).unwrap_or('\u{fffd}'),
        '\u{7f}' => '\u{2421}',
        '\u{80}'..='\u{9f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        other => other,
    };
    text.chars().map(shown).collect()
}

/// Shows several, with a blank line between them and a line of counts at the end; empty for none.
pub fn all_to_text(file: &str, diagnostics: &[Diagnostic]) -> String {
    let mut text = String::new();
    for diagnostic in diagnostics {
        let _ = writeln!(text, "{}", to_text(file, diagnostic));
    }
    let errors = diagnostics.iter().filter(|found| found.severity == super::Severity::Error).count();
    let warnings = diagnostics.len() - errors;
    match (errors, warnings) {
        (0, 0) => {}
        (0, warnings) => {
            let _ = writeln!(text, "{file}: {}", plural(warnings, "warning"));
        }
        (errors, 0) => {
            let _ = writeln!(text, "{file}: {}", plural(errors, "error"));
        }
        (errors, warnings) => {
            let _ = writeln!(text, "{file}: {}, {}", plural(errors, "error"), plural(warnings, "warning"));
        }
    }
    text
}

fn plural(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Characters of a line that are shown before the place, and from it on; of a longer line `…`
/// stands for the rest.
const SHOWN_BEFORE: usize = 200;
const SHOWN_BEHIND: usize = 500;

/// A source line as it is shown.
struct ShownLine {
    line: String,
    /// Characters in front of the place.
    before: usize,
}

impl ShownLine {
    fn of(source_line: &str, span: &TextSpan) -> ShownLine {
        let before = span.start.column.saturating_sub(1) as usize;
        let skipped = before.saturating_sub(SHOWN_BEFORE);
        let mut characters = source_line.chars().skip(skipped);
        let mut line = String::from(if skipped > 0 { "…" } else { "" });
        line.extend(characters.by_ref().take(before - skipped + SHOWN_BEHIND));
        if characters.next().is_some() {
            line.push('…');
        }
        ShownLine { line, before: before - skipped + usize::from(skipped > 0) }
    }
}

/// Carets under the span; to the end of the line when it goes on below.
fn marks(span: &TextSpan, source_line: &str) -> String {
    let line_end = u32::try_from(source_line.chars().count()).unwrap_or(u32::MAX).saturating_add(1);
    let end = if span.end.line == span.start.line { span.end.column } else { line_end };
    "^".repeat(end.saturating_sub(span.start.column).clamp(1, 200) as usize)
}
