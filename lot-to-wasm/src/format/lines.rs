//! The lines of an entity by what stands on them, and how far each is indented.

use super::LEVEL;
use crate::source::Source;
use crate::token::{Token, TokenKind};

/// A line as it is to be written.
#[derive(Debug, PartialEq)]
pub(super) enum Line<'a> {
    /// Nothing, or white space.
    Blank,
    /// The inside of a comment or a string that spans lines.
    AsIs(&'a str),
    /// Nothing but comments.
    Comment { indentation: usize, text: &'a str },
    /// Tokens, and comments among them and up to the byte `end`.
    Code { indentation: usize, tokens: &'a [Token], end: usize },
}

/// What a line begins in the middle of.
#[derive(Clone, Copy)]
enum Inside {
    Comment,
    Text,
}

/// What is known of a line from its tokens.
#[derive(Clone, Copy)]
struct Start {
    /// Number of its first token, and of the one behind its last.
    first: usize,
    behind: usize,
    /// Blocks that are open.
    depth: usize,
    /// It belongs to the line before.
    continues: bool,
}

/// The last line above that continues none, as it was found.
#[derive(Clone, Copy, Default)]
struct Above {
    width: usize,
    depth: usize,
}

/// The lines of `source`, whose tokens these are. Looks at each line a bounded number of times.
pub(super) fn of<'a>(source: &Source<'a>, tokens: &'a [Token]) -> Vec<Line<'a>> {
    let text = source.text();
    let starts: Vec<usize> = source.line_offsets().collect();
    let line_of = |offset: u32| starts.partition_point(|start| *start <= offset as usize) - 1;
    let known = known(tokens, starts.len(), line_of);
    let below = depths_below(&known);
    let inside = inside(text, tokens, starts.len(), line_of);
    let mut written = Vec::with_capacity(starts.len());
    // Of the last line that continues none: where it was, and where it goes.
    let mut anchor = (0, 0);
    let mut above = Above::default();
    for (number, start) in starts.iter().enumerate() {
        let end = starts.get(number + 1).copied().unwrap_or(text.len());
        let whole = text.get(*start..end).unwrap_or("").trim_end_matches(['\n', '\r']);
        let code = whole.trim_start_matches([' ', '\t', '\u{feff}']);
        let width = width(whole);
        if let Some(line) = known[number].filter(|line| !line.continues) {
            above = Above { width, depth: line.depth };
        }
        match inside[number] {
            Some(Inside::Comment) => {
                written.push(Line::AsIs(whole.trim_end()));
                continue;
            }
            // It is written with the line on which the string begins.
            Some(Inside::Text) => continue,
            None => {}
        }
        let Some(line) = known[number] else {
            let indentation = LEVEL * comment_depth(above, width, below[number]);
            written.push(match code.trim_end() {
                "" => Line::Blank,
                text => Line::Comment { indentation, text },
            });
            continue;
        };
        let indentation = if line.continues {
            // Never in the column of a line of its own.
            (anchor.1 + width).saturating_sub(anchor.0).max(anchor.1 + LEVEL)
        } else {
            anchor = (width, LEVEL * line.depth);
            anchor.1
        };
        let tokens = &tokens[line.first..line.behind];
        let last = tokens.last().map_or(number, |last| line_of(last.span.end));
        let end = starts.get(last + 1).copied().unwrap_or(text.len());
        written.push(Line::Code { indentation, tokens, end });
    }
    if matches!(written.last(), Some(Line::Blank)) {
        // What stands behind the last line end is no line.
        written.pop();
    }
    written
}

/// White space at the start of a line, a tab counting 4.
fn width(line: &str) -> usize {
    line.chars()
        .map_while(|c| match c {
            ' ' => Some(1),
            '\t' => Some(LEVEL),
            _ => None,
        })
        .sum()
}

/// For each line that begins with a token: what it is. What stands behind a string that spans lines belongs to the line where that begins.
fn known(tokens: &[Token], count: usize, line_of: impl Fn(u32) -> usize) -> Vec<Option<Start>> {
    let mut known: Vec<Option<Start>> = vec![None; count];
    let (mut depth, mut begins) = (0_usize, true);
    let mut owners: Vec<usize> = (0..count).collect();
    for (number, token) in tokens.iter().enumerate() {
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
                let owner = owners[line_of(token.span.start)];
                owners[line_of(token.span.end)] = owner;
                let line = &mut known[owner];
                let start =
                    line.get_or_insert(Start { first: number, behind: number, depth, continues: !begins });
                start.behind = number + 1;
                begins = false;
                continue;
            }
        }
        begins = true;
    }
    known
}

/// For each line, what it begins inside of.
fn inside(text: &str, tokens: &[Token], count: usize, line_of: impl Fn(u32) -> usize) -> Vec<Option<Inside>> {
    let mut inside = vec![None; count];
    let mut mark = |start: usize, end: usize, what: Inside| {
        let at = |offset: usize| line_of(u32::try_from(offset).unwrap_or(u32::MAX));
        inside[at(start) + 1..=at(end.saturating_sub(1).max(start))].fill(Some(what));
    };
    let mut end = 0;
    for token in tokens {
        let (start, behind) = (token.span.start as usize, token.span.end as usize);
        if start >= end {
            comments(text, end..start, &mut |start, end| mark(start, end, Inside::Comment));
            mark(start, behind, Inside::Text);
            end = behind;
        }
    }
    comments(text, end..text.len(), &mut |start, end| mark(start, end, Inside::Comment));
    inside
}

/// Calls `found` with every comment in a part of the text that has no tokens.
fn comments(text: &str, part: std::ops::Range<usize>, found: &mut impl FnMut(usize, usize)) {
    let mut at = part.start;
    while let Some(rest) = text.get(at..part.end).filter(|rest| !rest.is_empty()) {
        if rest.starts_with("/*") {
            let end = rest.find("*/").map_or(part.end, |length| at + length + 2);
            found(at, end);
            at = end;
        } else if rest.starts_with("--") || rest.starts_with("//") {
            at += rest.find(['\n', '\r']).unwrap_or(rest.len());
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
}

/// For each line, how deep the next line stands that continues none; 0 where none comes.
fn depths_below(known: &[Option<Start>]) -> Vec<usize> {
    let mut below = vec![0; known.len()];
    let mut next = 0;
    for (depth, line) in below.iter_mut().zip(known).rev() {
        *depth = next;
        next = line.filter(|line| !line.continues).map_or(next, |line| line.depth);
    }
    below
}

/// How deep a line of comments stands: as the next line of code, or still in the block before when that ends there and the comment
/// stands as deep as its lines.
fn comment_depth(above: Above, width: usize, below: usize) -> usize {
    if above.depth > below && width >= above.width { above.depth } else { below }
}
