//! Source text and places in it.
//!
//! A [`Span`] is a range of bytes of one entity's text; [`Source`] turns it into lines and columns for people. Lines and columns
//! count from 1; a column is one Unicode scalar value; a tab advances one column, a byte order mark none. Lines end with `\n`, `\r\n` or `\r`.

/// A place in a text: what people read.
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
    /// The bytes `start..end`. Texts are at most [`SOURCE_BYTES_MAX`](crate::limits::SOURCE_BYTES_MAX) long, so both fit.
    pub fn new(start: usize, end: usize) -> Span {
        let start = u32::try_from(start).unwrap_or(u32::MAX);
        let end = u32::try_from(end).unwrap_or(u32::MAX);
        Span { start, end: end.max(start) }
    }

    /// From the start of this span to the end of `other`.
    pub fn to(self, other: Span) -> Span {
        Span { start: self.start, end: other.end.max(self.start) }
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
}

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
        Source { text, line_starts }
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
        let column = self.text.get(start..end).map_or(0, |text| without_mark(text, start).chars().count());
        Position { line: count(line), column: count(column + 1) }
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

/// A part of a text that begins at byte `start`, without the byte order mark: it has no column.
fn without_mark(part: &str, start: usize) -> &str {
    part.strip_prefix('\u{feff}').filter(|_| start == 0).unwrap_or(part)
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
}
