//! Diagnostics as JSON, in the shape of LoT reference §14.

use serde::Serialize;

use super::{Diagnostic, Label};

/// One entry of `errors[]` or `warnings[]` of a reply. `message`, `line`, `column`, `sourceLines`
/// and `suggestions` are the public contract of the original; the others are ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// `error` or `warning`.
    pub severity: &'static str,
    /// `LOTnnn`.
    pub code: String,
    /// One sentence.
    pub message: String,
    /// Line from 1.
    pub line: u32,
    /// Column from 1, in Unicode scalar values.
    pub column: u32,
    /// Line of the first character after the place.
    pub end_line: u32,
    /// Column of the first character after the place.
    pub end_column: u32,
    /// The line where the place begins.
    pub source_lines: Vec<String>,
    /// Suggestions, best first.
    pub suggestions: Vec<String>,
    /// Tokens that the grammar allows here; left out when unknown.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub expected: Vec<String>,
    /// More to know; left out when there is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Other places that explain this one; left out when there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<Related>,
}

/// Another place that explains an [`Entry`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Related {
    /// Its file; left out when it is that of the entry.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub file: String,
    /// Line from 1.
    pub line: u32,
    /// Column from 1.
    pub column: u32,
    /// Description of the place.
    pub message: String,
}

impl From<&Label> for Related {
    fn from(label: &Label) -> Related {
        let Label { file, span, text } = label;
        Related {
            file: file.clone().unwrap_or_default(),
            line: span.start.line,
            column: span.start.column,
            message: text.clone(),
        }
    }
}

impl From<&Diagnostic> for Entry {
    fn from(diagnostic: &Diagnostic) -> Entry {
        let label = Some(&diagnostic.label).filter(|label| !label.is_empty());
        Entry {
            severity: diagnostic.severity.as_str(),
            code: diagnostic.code.to_string(),
            message: diagnostic.message.clone(),
            line: diagnostic.span.start.line,
            column: diagnostic.span.start.column,
            end_line: diagnostic.span.end.line,
            end_column: diagnostic.span.end.column,
            source_lines: vec![diagnostic.source_line.clone()],
            suggestions: diagnostic.suggestions.clone(),
            expected: diagnostic.expected.clone(),
            notes: label.into_iter().chain(&diagnostic.notes).cloned().collect(),
            related: diagnostic.labels.iter().map(Related::from).collect(),
        }
    }
}

/// The plain text form that older clients parse: `Parsing error: <text> (<line>,<column>)`, then a
/// line `Suggestions: …` when there are any.
pub fn reply_message(first_error: &Diagnostic) -> String {
    let start = first_error.span.start;
    let mut text = format!("Parsing error: {} ({},{})", first_error.message, start.line, start.column);
    if !first_error.suggestions.is_empty() {
        text.push_str("\nSuggestions: ");
        text.push_str(&first_error.suggestions.join("; "));
    }
    text
}
