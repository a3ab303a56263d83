//! Source text and places in it.
//!
//! A [`Span`] is a range of bytes of one entity's text; [`Source`] turns it into lines and columns
//! for people. Lines and columns count from 1; a column is one Unicode scalar value; a tab advances
//! one column, a byte order mark none. Lines end with `\n`, `\r\n` or `\r`.

/// A place in a text as people read it: line and column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Line, from 1.
    pub line: u32,
    /// Column in Unicode scalar values, from 1.
    pub column: u32,
}

/// A range of bytes in the text of one entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// First byte after it, not below `start`.
    pub end: u32,
}

impl Span {
    /// The bytes `start..end`. Texts are at most
    /// [`SOURCE_BYTES_MAX`](crate::limits::SOURCE_BYTES_MAX) long, so both fit.
    pub fn new(start: usize, end: usize) -> Span {
        let start = u32::try_from(start).unwrap_or(u32::MAX);
        let end = u32::try_from(end).unwrap_or(u32::MAX);
        Span { start, end: end.max(start) }
    }

    /// From the start of this span to the end of `other`.
    pub fn to(self, other: Span) -> Span {
        Span { start: self.start, end: other.end.max(self.start) }
    }

    /// The empty span at this one's start.
    pub fn before(self) -> Span {
        Span { start: self.start, end: self.start }
    }

    /// The empty span at this one's end.
    pub fn after(self) -> Span {
        Span { start: self.end, end: self.end }
    }
}

/// The text of one entity with its lines.
#[derive(Debug)]
pub struct Source<'a> {
    text: &'a str,
    /// Byte offset of each line's first character; at least one entry, ascending.
    line_starts: Vec<u32>,
    /// Number of characters before each block of bytes, so that a column costs no look at the whole
    /// of a long line.
    characters_before: Vec<u32>,
}

/// Bytes of such a block.
const BLOCK_BYTES: usize = 1024;

impl<'a> Source<'a> {
    /// Finds the lines of a text. Costs one pass.
    pub fn new(text: &'a str) -> Source<'a> {
        let bytes = text.as_bytes();
        let mut line_starts = vec![0];
        for (index, byte) in bytes.iter().enumerate() {
            let ends_line = match byte {
                b'\n' => true,
                b'\r' => bytes.get(index + 1) != Some(&b'\n'),
                _ => false,
            };
            if ends_line {
                line_starts.push(u32::try_from(index + 1).unwrap_or(u32::MAX));
            }
        }
        let mut characters = 0;
        let before_block = |block: &[u8]| {
            let before = characters;
            characters += count_characters(block);
            before
        };
        let characters_before = bytes.chunks(BLOCK_BYTES).map(before_block).collect();
        Source { text, line_starts, characters_before }
    }

    /// The whole text.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// The text of a span; empty when it does not lie on character boundaries.
    pub fn slice(&self, span: Span) -> &'a str {
        self.text.get(span.start as usize..span.end as usize).unwrap_or("")
    }

    /// Line and column of a byte offset; beyond the end it is the place after the last character.
    pub fn position(&self, offset: u32) -> Position {
        let line = self.line_starts.partition_point(|start| *start <= offset).max(1);
        let start = self.line_starts.get(line - 1).copied().unwrap_or(0) as usize;
        let mut end = (offset as usize).min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        let marks = if start == 0 && end > 0 { u32::from(self.text.starts_with(BYTE_ORDER_MARK)) } else { 0 };
        let column = self.characters_to(end).saturating_sub(self.characters_to(start)).saturating_sub(marks);
        Position { line: count(line), column: column + 1 }
    }

    /// Number of characters that begin before a byte.
    fn characters_to(&self, end: usize) -> u32 {
        let block = (end / BLOCK_BYTES).min(self.characters_before.len().saturating_sub(1));
        let before = self.characters_before.get(block).copied().unwrap_or_default();
        let rest = self.text.as_bytes().get(block * BLOCK_BYTES..end).unwrap_or_default();
        before + count_characters(rest)
    }

    /// A line's text without its end, by its number from 1; empty when there is no such line.
    pub fn line(&self, number: u32) -> &'a str {
        let index = (number as usize).saturating_sub(1);
        let Some(start) = self.line_starts.get(index) else { return "" };
        let end = self.line_starts.get(index + 1).map_or(self.text.len(), |next| *next as usize);
        let line = self.text.get(*start as usize..end).unwrap_or("").trim_end_matches(['\n', '\r']);
        without_mark(line, *start as usize)
    }

    /// Number of lines, at least 1.
    pub fn lines(&self) -> u32 {
        count(self.line_starts.len())
    }
}

const BYTE_ORDER_MARK: char = '\u{feff}';

/// Number of characters that begin in a part of a text.
fn count_characters(part: &[u8]) -> u32 {
    // All bytes but the first of a character begin with the bits 10.
    count(part.iter().filter(|byte| **byte & 0b1100_0000 != 0b1000_0000).count())
}

/// A part of a text that begins at byte `start`, without the byte order mark: it has no column.
fn without_mark(part: &str, start: usize) -> &str {
    part.strip_prefix(BYTE_ORDER_MARK).filter(|_| start == 0).unwrap_or(part)
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_scalar_values_and_every_line_end() {
        let source = Source::new("ä\tb\r\nc\rd\n");
        for (offset, line, column) in
            [(0, 1, 1), (2, 1, 2), (3, 1, 3), (6, 2, 1), (8, 3, 1), (10, 4, 1), (99, 4, 1)]
        {
            assert_eq!(source.position(offset), Position { line, column }, "offset {offset}");
        }
        assert_eq!(source.line(2), "c");
        let marked = Source::new("\u{feff}aä\n\u{feff}b");
        for (offset, line, column) in [(0, 1, 1), (3, 1, 1), (4, 1, 2), (6, 1, 3), (10, 2, 2)] {
            assert_eq!(marked.position(offset), Position { line, column }, "offset {offset}");
        }
        assert_eq!((marked.line(1), marked.line(2)), ("aä", "\u{feff}b"));
        assert_eq!(source.line(9), "");
    }

    #[test]
    fn columns_of_long_lines_are_those_of_their_characters() {
        for text in [
            "\u{feff}äö€x\n".repeat(700),
            "€".repeat(2000),
            format!("{}\né{}", "ab".repeat(1024), "ü".repeat(900)),
        ] {
            let source = Source::new(&text);
            let mut expected = Position { line: 1, column: 1 };
            for (offset, character) in text.char_indices() {
                assert_eq!(source.position(u32::try_from(offset).unwrap()), expected, "{offset}");
                match character {
                    '\n' => expected = Position { line: expected.line + 1, column: 1 },
                    '\u{feff}' if offset == 0 => {}
                    _ => expected.column += 1,
                }
            }
            assert_eq!(source.position(u32::MAX), expected);
        }
    }
}
