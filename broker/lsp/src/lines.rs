//! Places of a text as the protocol counts them: lines from 0, columns in UTF-16 code units.

use std::ops::Range;

use lot_to_wasm::diagnostic::TextSpan;
use lot_to_wasm::source::Position as TextPosition;
use lsp_types::Position;

/// The lines of a text. They end with `\n`, `\r\n` or `\r`, for the protocol as for the language.
pub(crate) struct Lines<'t> {
    text: &'t str,
    /// First byte of each line; at least one.
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    pub(crate) fn of(text: &'t str) -> Self {
        let bytes = text.as_bytes();
        let ends = |at: &usize| match bytes.get(*at) {
            Some(b'\n') => true,
            Some(b'\r') => bytes.get(at + 1) != Some(&b'\n'),
            _ => false,
        };
        let starts = std::iter::once(0).chain((0..bytes.len()).filter(ends).map(|at| at + 1)).collect();
        Self { text, starts }
    }

    /// A line without its end; empty when there is no such line.
    fn line(&self, number: usize) -> &'t str {
        let start = self.starts.get(number).copied().unwrap_or(self.text.len());
        let end = self.starts.get(number + 1).copied().unwrap_or(self.text.len());
        self.text.get(start..end).unwrap_or("").trim_end_matches(['\n', '\r'])
    }

    /// The byte at a place; beyond the end of a line or of the text it is that end.
    pub(crate) fn offset(&self, place: Position) -> usize {
        let number = place.line as usize;
        let Some(start) = self.starts.get(number) else { return self.text.len() };
        let mut column = 0;
        let line = self.line(number);
        let at = line.char_indices().find(|(_, character)| {
            let is_there = column >= place.character as usize;
            column += character.len_utf16();
            is_there
        });
        start + at.map_or(line.len(), |(at, _)| at)
    }

    /// The place of a byte; beyond the end it is the end.
    pub(crate) fn position(&self, offset: usize) -> Position {
        let number = self.starts.partition_point(|start| *start <= offset).saturating_sub(1);
        let start = self.starts.get(number).copied().unwrap_or(0);
        let within = self.text.get(start..offset.min(self.text.len())).unwrap_or("");
        place(number, within.trim_end_matches(['\n', '\r']).chars())
    }

    pub(crate) fn range(&self, bytes: &Range<usize>) -> lsp_types::Range {
        lsp_types::Range { start: self.position(bytes.start), end: self.position(bytes.end) }
    }

    /// A place of the compiler: lines and columns from 1, columns in characters.
    fn of_compiler(&self, position: TextPosition) -> Position {
        let number = (position.line as usize).saturating_sub(1);
        place(number, self.line(number).chars().take((position.column as usize).saturating_sub(1)))
    }

    /// A line without the blanks at its start and its end.
    pub(crate) fn whole(&self, number: usize) -> lsp_types::Range {
        let line = self.line(number);
        let blanks = line.chars().take_while(|character| character.is_whitespace());
        lsp_types::Range { start: place(number, blanks), end: place(number, line.trim_end().chars()) }
    }

    /// A span that is to be seen: editors show nothing of an empty one, so at the end of a line it
    /// is the character in front of it.
    pub(crate) fn visible(&self, span: TextSpan) -> lsp_types::Range {
        let range = self.span(span);
        if range.start != range.end {
            return range;
        }
        let line = self.line(range.start.line as usize);
        let before = line.chars().take((span.start.column as usize).saturating_sub(1));
        let start = match before.last() {
            Some(last) => Position { character: range.start.character - width(last), ..range.start },
            None => range.start,
        };
        lsp_types::Range { start, end: range.end }
    }

    pub(crate) fn span(&self, span: TextSpan) -> lsp_types::Range {
        lsp_types::Range { start: self.of_compiler(span.start), end: self.of_compiler(span.end) }
    }
}

/// Columns of a character.
fn width(character: char) -> u32 {
    if character.len_utf16() == 1 { 1 } else { 2 }
}

/// The place behind these characters of a line.
fn place(line: usize, before: impl Iterator<Item = char>) -> Position {
    let column: usize = before.map(char::len_utf16).sum();
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    Position { line: number(line), character: number(column) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn range_at_the_line_end_covers_the_last_visible_character() {
        let lines = Lines::of("a > 5\n\nü😀\n");
        let at = |line, column| TextPosition { line, column };
        for (start, end, seen) in [
            (at(1, 6), at(1, 7), (0, 4, 5)),
            (at(1, 6), at(1, 6), (0, 4, 5)),
            (at(1, 3), at(1, 4), (0, 2, 3)),
            (at(2, 1), at(2, 2), (1, 0, 0)),
            (at(3, 3), at(3, 4), (2, 1, 3)),
        ] {
            let range = lines.visible(TextSpan { start, end });
            assert_eq!((range.start.line, range.start.character, range.end.character), seen);
        }
    }

    #[test]
    fn columns_count_utf16_code_units() {
        let text = "aü\r\n𝄞😀x\ry\n";
        let lines = Lines::of(text);
        for (needle, line, character) in
            [("a", 0, 0), ("ü", 0, 1), ("𝄞", 1, 0), ("😀", 1, 2), ("x", 1, 4), ("y", 2, 0)]
        {
            let (offset, place) = (text.find(needle).unwrap(), Position { line, character });
            assert_eq!(lines.position(offset), place, "{needle}");
            assert_eq!(lines.offset(place), offset, "{needle}");
        }
        assert_eq!(lines.position(text.len()), Position { line: 3, character: 0 });
        assert_eq!(lines.offset(Position { line: 0, character: 99 }), "aü".len(), "the end of the line");
        assert_eq!(
            lines.offset(Position { line: 1, character: 1 }),
            text.find('😀').unwrap(),
            "inside of one"
        );
        assert_eq!(lines.offset(Position { line: 9, character: 0 }), text.len());
        let span = |line, column| TextPosition { line, column };
        let range = lines.span(TextSpan { start: span(2, 2), end: span(2, 9) });
        assert_eq!(
            (range.start.character, range.end.character),
            (2, 5),
            "columns of the compiler are characters"
        );
    }
}
