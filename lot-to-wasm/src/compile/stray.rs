//! Names that text between entities declares in the words of other languages, such as `#define HOT
//! 80` and `function toF(c) {`.
//!
//! The compiler reports that text as one mistake. It does not report as well that the entities do
//! not know such a name.

use crate::diagnostic::{Code, Diagnostic, Severity, codes};

/// Most names that are looked for.
const NAMES_MAX: usize = 100;

/// Words in column 1 with which other languages declare a name.
const DECLARING: [&str; 9] = ["#define", "function", "func", "fn", "def", "var", "let", "const", "static"];

/// Codes of errors about text outside of entities.
const TOLD_BY: [Code; 3] = [codes::OUTSIDE_ENTITY, codes::AFTER_BODY, codes::UNEXPECTED_CHARACTER];

/// A declared name with its line, from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stray {
    line: u32,
    name: String,
}

/// Names that lines of a text declare.
pub(crate) fn declared(text: &str) -> Vec<Stray> {
    let lines = text.lines().zip(1..);
    let name = |(line, number): (&str, u32)| {
        let (word, rest) = line.split_once([' ', '\t'])?;
        let rest = DECLARING.contains(&word).then(|| rest.trim_start())?;
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        Some(Stray { line: number, name: rest[..end].to_owned() }).filter(|stray| !stray.name.is_empty())
    };
    lines.filter_map(name).take(NAMES_MAX).collect()
}

/// Drops errors about unknown names if the text that declares them is reported. Lines count from
/// the start of the text.
pub(crate) fn without_consequences(strays: &[Stray], all: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let told = |found: &&Diagnostic| {
        found.severity == Severity::Error && found.span.start.column == 1 && TOLD_BY.contains(&found.code)
    };
    // Only the first of several such lines is reported.
    let Some(first) = all.iter().filter(told).map(|found| found.span.start.line).min() else { return all };
    let is_declared = |name: &str| strays.iter().any(|stray| stray.line >= first && stray.name == name);
    let follows = |found: &Diagnostic| {
        let from_name = found.source_line.chars().skip(found.span.start.column.saturating_sub(1) as usize);
        let name: String = from_name.take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        found.code == codes::UNKNOWN_IDENTIFIER && is_declared(&name)
    };
    all.into_iter().filter(|found| !follows(found)).collect()
}
