//! Splitting a text into entities (LoT reference §1).
//!
//! An entity starts at a line whose first character begins `DEFINE`; the text before the first one belongs to it when it is only comments
//! and blank lines. Comments are looked through, so a `DEFINE` inside one starts nothing.

use std::ops::Range;

/// The slices of a text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Slices {
    /// Text before the first entity that is more than comments; empty range otherwise.
    pub(crate) outside: Range<usize>,
    /// One range per entity, in order, each to the start of the next.
    pub(crate) entities: Vec<Range<usize>>,
}

/// Finds the entities of a text in one pass.
pub(crate) fn split(text: &str) -> Slices {
    let mut starts = Vec::new();
    let mut first_code = None;
    let mut in_comment = false;
    let mut at = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    while at < text.len() {
        let rest = text.get(at..).unwrap_or("");
        let length = rest.find(['\n', '\r']).map_or(rest.len(), |index| index + 1);
        let line = rest.get(..length).unwrap_or("");
        if !in_comment && begins_entity(line) {
            starts.push(at);
        }
        let has_code = scan_line(line, &mut in_comment);
        if has_code && first_code.is_none() {
            first_code = Some(at);
        }
        at += length;
    }
    slices(text, &starts, first_code)
}

fn slices(text: &str, starts: &[usize], first_code: Option<usize>) -> Slices {
    let Some(first) = starts.first().copied() else {
        return Slices { outside: first_code.map_or(0..0, |_| 0..text.len()), entities: Vec::new() };
    };
    let has_outside = first_code.is_some_and(|code| code < first);
    let mut bounds = starts.to_vec();
    if !has_outside && let Some(first) = bounds.first_mut() {
        *first = 0;
    }
    let ends = bounds.iter().skip(1).copied().chain([text.len()]);
    let entities = bounds.iter().copied().zip(ends).map(|(start, end)| start..end).collect();
    Slices { outside: if has_outside { 0..first } else { 0..0 }, entities }
}

/// Whether the line's first word is DEFINE, in any case.
fn begins_entity(line: &str) -> bool {
    let word = line
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .map_or(line, |end| line.get(..end).unwrap_or(""));
    word.eq_ignore_ascii_case("DEFINE")
}

/// Whether the line has anything but comments; follows comments that span lines.
fn scan_line(line: &str, in_comment: &mut bool) -> bool {
    let bytes = line.as_bytes();
    let mut has_code = false;
    let mut quote = None;
    let mut at = 0;
    while let Some(byte) = bytes.get(at).copied() {
        let pair = (byte, bytes.get(at + 1).copied().unwrap_or(0));
        let mut step = 1;
        if *in_comment {
            if pair == (b'*', b'/') {
                *in_comment = false;
                step = 2;
            }
        } else if let Some(open) = quote {
            if byte == b'\\' {
                step = 2;
            } else if byte == open {
                quote = None;
            }
        } else if pair == (b'/', b'*') {
            *in_comment = true;
            step = 2;
        } else if pair == (b'-', b'-') || pair == (b'/', b'/') {
            return has_code;
        } else if !byte.is_ascii_whitespace() {
            has_code = true;
            if byte == b'"' || byte == b'\'' {
                quote = Some(byte);
            }
        }
        at += step;
    }
    has_code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities_start_at_define_in_column_one() {
        for (text, outside, entities) in [
            ("", 0..0, &[][..]),
            ("-- only a comment\n", 0..0, &[]),
            ("DEFINE A\nx\nDEFINE B\n", 0..0, &[(0, 11), (11, 20)]),
            ("-- c\n\nDEFINE A\r\n", 0..0, &[(0, 16)]),
            ("x\nDEFINE A", 0..2, &[(2, 10)]),
            ("/*\nDEFINE A\n*/\nDEFINE B", 0..0, &[(0, 23)]),
            ("DEFINE A\n    DEFINE B", 0..0, &[(0, 21)]),
            ("DEFINED\n", 0..8, &[]),
            ("DEFINE A\n \"/*\"\nDEFINE B", 0..0, &[(0, 15), (15, 23)]),
            ("\u{feff}DEFINE A", 0..0, &[(0, 11)]),
        ] {
            let entities = entities.iter().map(|(start, end)| *start..*end).collect();
            assert_eq!(split(text), Slices { outside, entities }, "{text:?}");
        }
    }
}
