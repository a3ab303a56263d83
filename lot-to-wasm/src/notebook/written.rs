//! Source map from the text of a cell to its notebook, in which it is a JSON string with escapes.

use std::ops::Range;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::diagnostic::{Diagnostic, TextSpan};
use crate::source::{Position, Source};

/// A cell of a notebook as it is stored.
#[derive(Deserialize)]
struct Placed<'n> {
    #[serde(borrow)]
    value: &'n RawValue,
}

/// The text of a cell in its notebook.
#[derive(Debug)]
pub struct Written {
    /// Lines and columns of the cell with those of the notebook, for each character and the end;
    /// both ascend.
    places: Vec<(Position, Position)>,
}

/// The bytes of a notebook that are the texts of its cells, quotes included, in order; none when it
/// is no notebook.
pub fn literals(notebook: &str) -> Vec<Range<usize>> {
    let stored: Vec<Placed<'_>> =
        serde_json::from_str(notebook.strip_prefix('\u{feff}').unwrap_or(notebook)).unwrap_or_default();
    let range = |cell: &Placed<'_>| {
        // The borrowed text is a part of the notebook.
        let start = (cell.value.get().as_ptr() as usize).saturating_sub(notebook.as_ptr() as usize);
        start..start + cell.value.get().len()
    };
    stored.iter().map(range).collect()
}

impl Written {
    /// The cell whose text is written in these bytes of the notebook.
    ///
    /// ```
    /// use lot_to_wasm::notebook::{Written, literals};
    /// use lot_to_wasm::source::Position;
    /// let notebook = r#"[{"kind":2,"language":"lot","value":"a\n\"b"}]"#;
    /// let cell = Written::of(notebook, &literals(notebook)[0]);
    /// let at = cell.position(Position { line: 2, column: 2 });
    /// assert_eq!(at, Position { line: 1, column: 43 });
    /// ```
    pub fn of(notebook: &str, literal: &Range<usize>) -> Written {
        let text = notebook.get(literal.clone()).unwrap_or("");
        Written { places: places(text, literal.start, &Source::new(notebook)) }
    }

    /// The place in the notebook of one in the cell.
    pub fn position(&self, position: Position) -> Position {
        let index = self.places.partition_point(|(inside, _)| *inside < position);
        let found = self.places.get(index).or(self.places.last());
        found.map_or(Position { line: 1, column: 1 }, |(_, outside)| *outside)
    }

    /// A diagnostic of the cell as one of the notebook.
    pub fn moved(&self, mut diagnostic: Diagnostic) -> Diagnostic {
        let shift = |span: &mut TextSpan| {
            *span = TextSpan { start: self.position(span.start), end: self.position(span.end) };
        };
        shift(&mut diagnostic.span);
        let of_cell = diagnostic.labels.iter_mut().filter(|label| label.file.is_none());
        of_cell.for_each(|label| shift(&mut label.span));
        if let Some(fix) = &mut diagnostic.fix {
            shift(&mut fix.span);
            let quoted = serde_json::Value::from(fix.replacement.as_str()).to_string();
            fix.replacement = quoted.get(1..quoted.len() - 1).unwrap_or_default().to_owned();
        }
        diagnostic
    }
}

/// Returns the positions of each character of a JSON string, in its decoded text and in the
/// notebook. The string begins at byte `start` of the notebook.
fn places(literal: &str, start: usize, notebook: &Source<'_>) -> Vec<(Position, Position)> {
    let mut places = Vec::new();
    let (mut line, mut column) = (1, 1);
    let mut at = 1;
    let mut outside = notebook.position(u32::try_from(start + 1).unwrap_or(u32::MAX));
    while let Some((character, length)) = literal.get(at..).and_then(next) {
        places.push((Position { line, column }, outside));
        let written = literal.get(at..at + length).map_or(0, |text| text.chars().count());
        outside.column = outside.column.saturating_add(u32::try_from(written).unwrap_or(u32::MAX));
        at += length;
        let is_pair = || literal.get(at..).and_then(next).is_some_and(|(next, _)| next == '\n');
        let ends_line = character == '\n' || (character == '\r' && !is_pair());
        (line, column) = if ends_line { (line + 1, 1) } else { (line, column + 1) };
    }
    places.push((Position { line, column }, outside));
    places
}

/// The character that a JSON string goes on with, and how many bytes it takes there; `None` at its
/// end.
fn next(rest: &str) -> Option<(char, usize)> {
    let unit = |at: usize| {
        let digits = rest.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    let first = rest.chars().next().filter(|first| *first != '"')?;
    if first != '\\' {
        return Some((first, first.len_utf8()));
    }
    if let (Some(high), low) = (unit(0), unit(6)) {
        let pair = low.and_then(|low| char::decode_utf16([high, low]).next()?.ok());
        return Some(match pair.filter(|character| character.len_utf16() == 2) {
            Some(character) => (character, 12),
            None => (char::from_u32(high.into()).unwrap_or('\u{fffd}'), 6),
        });
    }
    let escaped = rest.get(1..)?.chars().next()?;
    let meant = match escaped {
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        other => other,
    };
    Some((meant, 1 + escaped.len_utf8()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_a_cell_are_found_in_the_notebook() {
        let text = "ä\"\t😀\\x\r\nzwei \u{1}drei\n\nend";
        let notebook = serde_json::json!([{"value": "x"}, {"kind": 2, "value": text}]);
        let pretty = serde_json::to_string_pretty(&notebook).expect("JSON");
        let escaped = pretty.replace('😀', "\\ud83d\\ude00");
        for notebook in [notebook.to_string(), pretty, escaped, format!("\u{feff}{notebook}")] {
            let cell = Written::of(&notebook, &literals(&notebook)[1]);
            let (inside, outside) = (Source::new(text), Source::new(&notebook));
            for needle in ["ä", "😀", "x\r", "zwei", "drei", "end"] {
                let offset = text.find(needle).expect("it is there");
                let position = cell.position(inside.position(u32::try_from(offset).expect("short")));
                let line = outside.line(position.line);
                let found: String = line.chars().skip(position.column as usize - 1).collect();
                let plain = found.replace("\\ud83d\\ude00", "😀").replace("\\r", "\r");
                assert!(plain.starts_with(needle), "{needle}: {found}");
            }
        }
        assert!(literals("{}").is_empty());
    }
}
