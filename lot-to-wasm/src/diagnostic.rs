//! Diagnostics: errors and warnings as values, rendered only at the edge.
//!
//! Every phase collects them in a [`Sink`]; none stops at the first. [`render`] shows them in a
//! terminal, [`json`] in the shape of LoT reference §14. The meaning of each code is in [`codes`].

pub mod codes;
mod examples;
mod follow_up;
pub mod json;
pub mod render;
mod sink;

pub use codes::Code;
pub use examples::example;
pub(crate) use sink::{Draft, Sink};

use crate::source::Position;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The entity is refused.
    Error,
    /// The entity is accepted.
    Warning,
}

impl Severity {
    /// `error` or `warning`.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

/// A range of a text by lines and columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TextSpan {
    /// First character.
    pub start: Position,
    /// First character after it.
    pub end: Position,
}

/// Another place that explains the primary one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// File whose lines the place counts, empty for one without a name; `None` for the text that
    /// the diagnostic counts in.
    pub file: Option<String>,
    /// Where.
    pub span: TextSpan,
    /// Description of the place.
    pub text: String,
}

/// Change of the text that carries out the first suggestion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fix {
    /// Text to replace; empty where something is missing.
    pub span: TextSpan,
    /// New text.
    pub replacement: String,
}

/// One thing that is wrong, or may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Stable code.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// One sentence, lower case, no full stop.
    pub message: String,
    /// Place in lines and columns of the entity's own text.
    pub span: TextSpan,
    /// Text beside the place; empty when the message suffices.
    pub label: String,
    /// Text of the line where the span starts.
    pub source_line: String,
    /// Tokens that the grammar allows at this place, for syntax errors.
    pub expected: Vec<String>,
    /// Other places that matter.
    pub labels: Vec<Label>,
    /// More to know.
    pub notes: Vec<String>,
    /// Suggestions, best first.
    pub suggestions: Vec<String>,
    /// The first suggestion as a change of the text, where the compiler knows it.
    pub fix: Option<Fix>,
    /// The same fix at the other places of a mistake that is reported once; none overlaps another.
    pub more_fixes: Vec<Fix>,
}

impl Diagnostic {
    /// Adds the fix of a further keyword of the same line, behind the keyword of this diagnostic.
    fn join_keyword(&mut self, other: &Fix) {
        let Some(fix) = &mut self.fix else { return };
        let between = (other.span.start.column.saturating_sub(fix.span.end.column)) as usize;
        let gap = self.source_line.chars().skip(fix.span.end.column as usize - 1).take(between);
        fix.replacement.extend(gap);
        fix.replacement.push_str(&other.replacement);
        fix.span.end = other.span.end;
        self.message = "keywords must be upper case".to_owned();
        self.span.end = fix.span.end;
        self.suggestions = vec![format!("write {}", fix.replacement)];
    }

    /// The same diagnostic, `lines` further down: for texts with several entities.
    pub fn moved_down(mut self, lines: u32) -> Diagnostic {
        let shift = |span: &mut TextSpan| {
            span.start.line = span.start.line.saturating_add(lines);
            span.end.line = span.end.line.saturating_add(lines);
        };
        shift(&mut self.span);
        for label in self.labels.iter_mut().filter(|label| label.file.is_none()) {
            shift(&mut label.span);
        }
        for fix in self.fix.iter_mut().chain(&mut self.more_fixes) {
            shift(&mut fix.span);
        }
        self
    }

    /// All changes of the text that mend it, in their order.
    pub fn fixes(&self) -> impl Iterator<Item = &Fix> {
        self.fix.iter().chain(&self.more_fixes)
    }
}
