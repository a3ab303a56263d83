//! The formatter of LoT text: `lotmq fmt`.
//!
//! ```text
//! parse -> tokens and comments -> rows of them, each anew: indentation, then pieces with the
//! spaces between them -> parse again, same tree
//! ```
//!
//! Lines are neither joined nor split, but code behind a comment of several lines begins a line.
//! Comments stay where they are. Indentation is 4 spaces per open block; lines that continue
//! another one keep their distance from it. Invariants: the output has the tree and the comments of
//! the input, and formatting it again does not change it.

mod pieces;
mod rows;
mod spacing;

use crate::diagnostic::{Diagnostic, Severity};
use crate::source::Source;
use crate::syntax::sexpr;
use crate::token::TokenKind;
use crate::{ParsedEntity, parse};
use pieces::Piece;
use spacing::Minus;

/// Spaces of one level.
const LEVEL: usize = 4;

/// Why a text was not formatted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// It has errors, whose lines count from its start.
    #[error("the text has errors")]
    Invalid(Vec<Diagnostic>),
    /// The formatter would have changed the meaning of the text, which is a bug of the formatter.
    #[error("the formatter does not know how to write this text; please report it")]
    Unsure,
}

/// Formats a text with any number of entities. Line ends become `\n`; a byte order mark goes.
///
/// ```
/// let text = "DEFINE ACTION Echo\r\nON TOPIC \"in\" DO\r\n\
///     \tPUBLISH TOPIC \"out\"   WITH PAYLOAD+1 -- done  ";
/// let expected = "DEFINE ACTION Echo\nON TOPIC \"in\" DO\n    \
///     PUBLISH TOPIC \"out\" WITH PAYLOAD + 1 -- done\n";
/// assert_eq!(lot_to_wasm::format(text).unwrap(), expected);
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
    let before = pieces_of(text, &entities);
    let mut pages = [Minus::Operator, Minus::OfName].into_iter().map(|minus| written(text, &before, minus));
    let is_same = |formatted: &String| {
        let (again, _) = parse(formatted);
        let after = pieces_of(formatted, &again);
        errors_in(&again, &[]).next().is_none()
            && trees(&again).eq(trees(&entities))
            && comments(formatted, &after).eq(comments(text, &before))
    };
    pages.find(is_same).ok_or(FormatError::Unsure)
}

fn pieces_of(text: &str, entities: &[ParsedEntity]) -> Vec<Piece> {
    pieces::of(text, entities.iter().map(|entity| entity.range.clone()))
}

fn written(text: &str, pieces: &[Piece], minus: Minus) -> String {
    let mut page = String::with_capacity(text.len());
    let mut code_before = None;
    for row in rows::of(text, pieces) {
        if row.follows_blank {
            page.push('\n');
        }
        page.extend(std::iter::repeat_n(' ', row.indentation));
        page.push_str(&spacing::spaced(text, row.pieces, (code_before, minus)));
        code_before = row.pieces.iter().rfind(|piece| !piece.is_comment()).or(code_before);
        page.push('\n');
    }
    page
}

/// The comments as they are written.
fn comments<'t>(text: &'t str, pieces: &'t [Piece]) -> impl Iterator<Item = String> + 't {
    pieces.iter().filter(|piece| piece.is_comment()).map(|piece| spacing::comment(piece.text(text)))
}

/// Whether there is nothing but comments and white space.
fn is_comment(text: &str) -> bool {
    let tokens = crate::token::tokenize_quietly(&Source::new(text));
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

#[cfg(test)]
mod tests;
