//! The tokens and comments of a text, in order, which the formatter arranges anew.

use std::ops::Range;

use crate::source::Source;
use crate::token::TokenKind;

/// A token or a comment, and its bytes in the text.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) range: Range<usize>,
    pub(super) what: What,
}

#[derive(Debug)]
pub(super) enum What {
    /// One comment; `--` and `//` without the end of their line.
    Comment,
    /// A token that is written.
    Code(Code),
}

/// Token with its place in the layout of its entity.
#[derive(Debug)]
pub(super) struct Code {
    pub(super) kind: TokenKind,
    /// Blocks that are open.
    pub(super) depth: usize,
    /// It is the first of a logical line.
    pub(super) begins_line: bool,
    /// It is the first of an entity.
    pub(super) begins_entity: bool,
}

impl Piece {
    /// The token, when it is one.
    pub(super) fn code(&self) -> Option<&Code> {
        match &self.what {
            What::Comment => None,
            What::Code(code) => Some(code),
        }
    }

    pub(super) fn is_comment(&self) -> bool {
        matches!(self.what, What::Comment)
    }

    pub(super) fn text<'a>(&self, text: &'a str) -> &'a str {
        text.get(self.range.clone()).unwrap_or("")
    }
}

/// The pieces of a text without errors, whose entities these are.
pub(super) fn of(text: &str, entities: impl Iterator<Item = Range<usize>>) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut end = 0;
    for range in entities {
        let slice = text.get(range.clone()).unwrap_or("");
        let (mut depth, mut begins_line, mut begins_entity) = (0_usize, true, true);
        for token in crate::token::tokenize_quietly(&Source::new(slice)) {
            match token.kind {
                TokenKind::Indent => depth += 1,
                TokenKind::Dedent => depth = depth.saturating_sub(1),
                TokenKind::Newline | TokenKind::End => {}
                TokenKind::Word
                | TokenKind::Text(_)
                | TokenKind::Int(_)
                | TokenKind::Double(_)
                | TokenKind::Sign(_)
                | TokenKind::Unknown => {
                    let start = range.start + token.span.start as usize;
                    comments(text, end..start, &mut pieces);
                    end = range.start + token.span.end as usize;
                    let code = Code { kind: token.kind, depth, begins_line, begins_entity };
                    pieces.push(Piece { range: start..end, what: What::Code(code) });
                    (begins_line, begins_entity) = (false, false);
                    continue;
                }
            }
            begins_line = true;
        }
    }
    comments(text, end..text.len(), &mut pieces);
    pieces
}

/// The comments of a part of the text that has no tokens.
fn comments(text: &str, part: Range<usize>, found: &mut Vec<Piece>) {
    let mut at = part.start;
    while let Some(rest) = text.get(at..part.end).filter(|rest| !rest.is_empty()) {
        let length = if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |length| length + "*/".len())
        } else if rest.starts_with("--") || rest.starts_with("//") {
            rest.find(['\n', '\r']).unwrap_or(rest.len())
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
            continue;
        };
        found.push(Piece { range: at..at + length, what: What::Comment });
        at += length;
    }
}
