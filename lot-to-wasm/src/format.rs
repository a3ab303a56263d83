//! LoT text as everybody writes it: `lotmq fmt`.
//!
//! ```text
//! parse -> lines by their tokens -> each line anew: indentation, then tokens with the spaces between them -> parse again, same tree
//! ```
//!
//! Lines are neither joined nor split. Comments stay where they are. Indentation is 4 spaces per open block; lines that continue another one
//! keep their distance from it. Invariants: what comes out has the tree of what went in, and comes out unchanged when it goes in again.

mod lines;
mod spacing;

use std::ops::Range;

use crate::diagnostic::{Diagnostic, Severity, Sink};
use crate::source::Source;
use crate::syntax::sexpr;
use crate::token::TokenKind;
use crate::{ParsedEntity, parse};
use lines::Line;

/// Spaces of one level.
const LEVEL: usize = 4;

/// Why a text was not formatted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// It has errors, whose lines count from its start.
    #[error("the text has errors")]
    Invalid(Vec<Diagnostic>),
    /// The formatter would have changed what it means, which is a bug of the formatter.
    #[error("the formatter does not know how to write this text; please report it")]
    Unsure,
}

/// Formats a text with any number of entities. Line ends become `\n`; a byte order mark goes.
///
/// ```
/// let text = "DEFINE ACTION Echo\r\nON TOPIC \"in\" DO\r\n\tPUBLISH TOPIC \"out\"   WITH PAYLOAD+1 -- done  ";
/// let formatted = lot_to_wasm::format(text).unwrap();
/// assert_eq!(formatted, "DEFINE ACTION Echo\nON TOPIC \"in\" DO\n    PUBLISH TOPIC \"out\" WITH PAYLOAD + 1 -- done\n");
/// ```
///
/// # Errors
/// See [`FormatError`].
pub fn format(text: &str) -> Result<String, FormatError> {
    let (entities, mut outside) = parse(text);
    if entities.is_empty() && is_comment(text) {
        outside.clear();
    }
    let errors = errors(&entities, &outside);
    if !errors.is_empty() {
        return Err(FormatError::Invalid(errors));
    }
    let mut page = Page::default();
    let mut end = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    for entity in &entities {
        page.comments(text, end..entity.range.start);
        page.separate();
        page.entity(text.get(entity.range.clone()).unwrap_or(""));
        end = entity.range.end;
    }
    page.comments(text, end..text.len());
    let formatted = page.finish();
    let (again, _) = parse(&formatted);
    let is_same = errors_in(&again, &[]).next().is_none() && trees(&again).eq(trees(&entities));
    if is_same { Ok(formatted) } else { Err(FormatError::Unsure) }
}

/// Whether there is nothing but comments and white space.
fn is_comment(text: &str) -> bool {
    let source = Source::new(text);
    let mut quiet = Sink::new(&source);
    let tokens = crate::token::tokenize(&mut quiet, false);
    tokens.iter().all(|token| token.kind == TokenKind::End)
}

fn trees(entities: &[ParsedEntity]) -> impl Iterator<Item = Option<String>> {
    entities.iter().map(|entity| entity.tree.as_ref().map(sexpr::entity))
}

fn errors(entities: &[ParsedEntity], outside: &[Diagnostic]) -> Vec<Diagnostic> {
    let mut errors: Vec<Diagnostic> = errors_in(entities, outside).collect();
    errors.sort_by_key(|diagnostic| diagnostic.span.start);
    errors
}

fn errors_in(entities: &[ParsedEntity], outside: &[Diagnostic]) -> impl Iterator<Item = Diagnostic> {
    let inside = entities.iter().flat_map(|entity| {
        entity.diagnostics.iter().map(|found| found.clone().moved_down(entity.lines_before))
    });
    let all = outside.iter().cloned().chain(inside);
    all.filter(|diagnostic| diagnostic.severity == Severity::Error)
}

/// The formatted text as it grows.
#[derive(Default)]
struct Page {
    text: String,
    /// An empty line stands before what comes next.
    owes_blank: bool,
}

impl Page {
    /// A text without tokens: comments and empty lines.
    fn comments(&mut self, text: &str, range: Range<usize>) {
        self.entity(text.get(range).unwrap_or(""));
    }

    /// Between two entities there is an empty line.
    fn separate(&mut self) {
        self.owes_blank = true;
    }

    /// One entity, with the comments in front of it.
    fn entity(&mut self, text: &str) {
        let source = Source::new(text);
        let mut quiet = Sink::new(&source);
        let joins_lines = crate::compile::joins_lines(text);
        let tokens = crate::token::tokenize(&mut quiet, joins_lines);
        for line in lines::of(&source, &tokens) {
            match line {
                Line::Blank => self.owes_blank = true,
                Line::AsIs(text) => self.line(0, text),
                Line::Comment { indentation, text } => self.line(indentation, text.trim_end()),
                Line::Code { indentation, tokens, end } => {
                    self.line(indentation, &spacing::spaced(&source, tokens, end));
                }
            }
        }
    }

    fn line(&mut self, indentation: usize, text: &str) {
        if std::mem::take(&mut self.owes_blank) && !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.extend(std::iter::repeat_n(' ', indentation));
        self.text.push_str(text);
        self.text.push('\n');
    }

    fn finish(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests;
