//! The lines that are written: which pieces stand on each, and how far it is indented.

use super::LEVEL;
use super::pieces::Piece;
use crate::token::{Sign, TokenKind};

/// A line as it is to be written.
#[derive(Debug)]
pub(super) struct Row<'p> {
    pub(super) pieces: &'p [Piece],
    pub(super) indentation: usize,
    /// An empty line stands before it.
    pub(super) follows_blank: bool,
}

impl Row<'_> {
    fn is_comment(&self) -> bool {
        self.pieces.iter().all(Piece::is_comment)
    }

    fn begins_entity(&self) -> bool {
        self.pieces.iter().filter_map(Piece::code).any(|code| code.begins_entity)
    }
}

/// The rows of a text, whose pieces these are: lines as they were, but that code behind a comment
/// of several lines gets one of its own. Looks at each piece a bounded number of times.
pub(super) fn of<'p>(text: &str, pieces: &'p [Piece]) -> Vec<Row<'p>> {
    let next_code = next_code(pieces);
    let mut layout = Layout::default();
    let mut rows: Vec<Row<'p>> = Vec::new();
    let mut first = 0;
    while let Some(start) = pieces.get(first).map(|piece| piece.range.start) {
        let last = last_of_row(text, pieces, first);
        let line_ends = match first.checked_sub(1).and_then(|before| pieces.get(before)) {
            Some(before) => line_ends(text.get(before.range.end..start).unwrap_or("")),
            None => 0,
        };
        let of_row = pieces.get(first..=last).unwrap_or(&[]);
        let code = next_code.get(first).copied().flatten().and_then(|number| pieces.get(number));
        let indentation = layout.indentation(of_row, width_at(text, start), code);
        rows.push(Row { pieces: of_row, indentation, follows_blank: line_ends > 1 });
        first = last + 1;
    }
    separate(&mut rows);
    rows
}

/// Sets an empty line before each entity and the comments directly above it.
fn separate(rows: &mut [Row<'_>]) {
    for number in 0..rows.len() {
        if !rows.get(number).is_some_and(Row::begins_entity) {
            continue;
        }
        let mut top = number;
        while let (Some(row), Some(above)) = (rows.get(top), top.checked_sub(1).and_then(|n| rows.get(n)))
            && !row.follows_blank
            && above.is_comment()
            && above.indentation == 0
        {
            top -= 1;
        }
        if let Some(row) = rows.get_mut(top).filter(|_| top > 0) {
            row.follows_blank = true;
        }
    }
}

/// For each piece, the number of the next token, itself included.
fn next_code(pieces: &[Piece]) -> Vec<Option<usize>> {
    let mut next_code = vec![None; pieces.len()];
    let mut next = None;
    for (number, (slot, piece)) in next_code.iter_mut().zip(pieces).enumerate().rev() {
        if !piece.is_comment() {
            next = Some(number);
        }
        *slot = next;
    }
    next_code
}

/// The number of the last piece on the row that begins with piece `first`.
fn last_of_row(text: &str, pieces: &[Piece], first: usize) -> usize {
    let mut spans_lines = false;
    let mut last = first;
    while let (Some(piece), Some(next)) = (pieces.get(last), pieces.get(last + 1)) {
        spans_lines |= piece.is_comment() && line_ends(piece.text(text)) > 0;
        let gap = text.get(piece.range.end..next.range.start).unwrap_or("");
        if line_ends(gap) > 0 || (spans_lines && !next.is_comment()) {
            break;
        }
        last += 1;
    }
    last
}

fn line_ends(text: &str) -> usize {
    let pairs = text.matches("\r\n").count();
    text.bytes().filter(|byte| matches!(byte, b'\n' | b'\r')).count() - pairs
}

/// White space at the start of the line with this byte, a tab counting 4.
fn width_at(text: &str, offset: usize) -> usize {
    let before = text.get(..offset).unwrap_or("");
    let start = before.rfind(['\n', '\r']).map_or(0, |end| end + 1);
    let line = before.get(start..).unwrap_or("").trim_start_matches('\u{feff}');
    line.chars()
        .map_while(|c| match c {
            ' ' => Some(1),
            '\t' => Some(LEVEL),
            _ => None,
        })
        .sum()
}

/// State of the rows above that determines the indentation of the next row.
#[derive(Default)]
struct Layout {
    /// Of the row that began each open block, the innermost last: where it was, and its depth.
    blocks: Vec<(usize, usize)>,
    /// Of the last row that continued none: where it was, and where it goes.
    anchor: (usize, usize),
    /// New columns of the rows with the open brackets.
    brackets: Vec<usize>,
}

impl Layout {
    /// How far a row goes in that began in column `width` (from 0). `code`: the first token on it
    /// or below it.
    fn indentation(&mut self, row: &[Piece], width: usize, code: Option<&Piece>) -> usize {
        let is_comment = row.iter().all(Piece::is_comment);
        let indentation = match code.and_then(Piece::code) {
            Some(code) if !code.begins_line => self.of_continuation(row, width),
            Some(code) if !is_comment => {
                self.blocks.retain(|(_, depth)| *depth < code.depth);
                self.blocks.push((width, code.depth));
                self.anchor = (width, LEVEL * code.depth);
                self.anchor.1
            }
            code => LEVEL * self.depth_of_comment(width, code.map_or(0, |code| code.depth)),
        };
        self.follow_brackets(row, indentation);
        indentation
    }

    /// A bracket is closed in the column of the row that opened it. Other rows keep their distance
    /// from the one that they continue, but stand deeper than it, and than the row of the bracket
    /// that they are in.
    fn of_continuation(&self, row: &[Piece], width: usize) -> usize {
        let outer = self.brackets.last().copied().unwrap_or(self.anchor.1);
        if row.first().and_then(sign).is_some_and(Sign::closes) {
            return outer;
        }
        (self.anchor.1 + width).saturating_sub(self.anchor.0).max(outer + LEVEL)
    }

    /// A comment stands as deep as the next line of code, or still in the innermost of the open
    /// blocks that it is not left of.
    fn depth_of_comment(&self, width: usize, below: usize) -> usize {
        let open = self.blocks.iter().filter(|(column, depth)| *column <= width && *depth > below);
        open.map(|(_, depth)| *depth).max().unwrap_or(below)
    }

    fn follow_brackets(&mut self, row: &[Piece], indentation: usize) {
        for sign in row.iter().filter_map(sign) {
            if sign.closing().is_some() {
                self.brackets.push(indentation);
            } else if sign.closes() {
                self.brackets.pop();
            }
        }
    }
}

fn sign(piece: &Piece) -> Option<Sign> {
    match piece.code()?.kind {
        TokenKind::Sign(sign) => Some(sign),
        TokenKind::Word
        | TokenKind::Text(_)
        | TokenKind::Int(_)
        | TokenKind::Double(_)
        | TokenKind::Unknown
        | TokenKind::Newline
        | TokenKind::Indent
        | TokenKind::Dedent
        | TokenKind::End => None,
    }
}
