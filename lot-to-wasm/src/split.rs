//! Splitting a text into entities (LoT reference §1).
//!
//! An entity starts at a line whose first character begins `DEFINE`, or at the comment lines
//! directly above it, and ends before the next one without the blank lines there (commands
//! reference §4). Comments are looked through, so a `DEFINE` inside one starts nothing. A text with
//! one entity and nothing else is kept whole.

use std::ops::Range;

/// The slices of a text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Slices {
    /// Text before the first entity that is more than comments; empty range otherwise.
    pub(crate) outside: Range<usize>,
    /// One range per entity, in order.
    pub(crate) entities: Vec<Range<usize>>,
}

/// Finds the entities of a text in one pass.
pub(crate) fn split(text: &str) -> Slices {
    let mut starts = Vec::new();
    let mut first_code = None;
    let mut in_comment = false;
    // Start of the comment lines that end right above.
    let mut comment = None;
    let mut at = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    while at < text.len() {
        let rest = text.get(at..).unwrap_or("");
        let line = rest.get(..line_len(rest)).unwrap_or("");
        let is_start = !in_comment && begins_entity(line);
        if is_start {
            starts.push(comment.unwrap_or(at));
        }
        let is_blank = !in_comment && line.trim().is_empty();
        let has_code = scan_line(line, &mut in_comment);
        if has_code && first_code.is_none() {
            first_code = Some(at);
        }
        comment = (!has_code && !is_blank).then(|| comment.unwrap_or(at));
        at += line.len();
    }
    slices(text, &starts, first_code)
}

/// Bytes of the first line, its end included.
fn line_len(text: &str) -> usize {
    text.find(['\n', '\r']).map_or(text.len(), |end| {
        let is_pair = text.get(end..).is_some_and(|rest| rest.starts_with("\r\n"));
        end + if is_pair { 2 } else { 1 }
    })
}

fn slices(text: &str, starts: &[usize], first_code: Option<usize>) -> Slices {
    let Some(first) = starts.first().copied() else {
        return Slices { outside: first_code.map_or(0..0, |_| 0..text.len()), entities: Vec::new() };
    };
    let outside = if first_code.is_some_and(|code| code < first) { 0..first } else { 0..0 };
    if starts.len() == 1 && outside.is_empty() {
        return Slices { outside, entities: std::iter::once(0..text.len()).collect() };
    }
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    let entities = starts.iter().copied().zip(ends).map(|(start, end)| without_blank_end(text, start..end));
    Slices { entities: entities.collect(), outside }
}

/// The slice without blank lines at its end.
fn without_blank_end(text: &str, range: Range<usize>) -> Range<usize> {
    let slice = text.get(range.clone()).unwrap_or("");
    let filled = slice.trim_end().len();
    range.start..range.start + filled + line_len(slice.get(filled..).unwrap_or(""))
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
    fn entities_start_at_define_in_column_one_or_the_comment_above() {
        for (text, outside, entities) in [
            ("", 0..0, &[][..]),
            ("-- only a comment\n", 0..0, &[]),
            ("DEFINE A\nx\nDEFINE B\n", 0..0, &[(0, 11), (11, 20)]),
            ("-- c\n\nDEFINE A\r\n\n", 0..0, &[(0, 17)]),
            ("x\nDEFINE A", 0..2, &[(2, 10)]),
            ("/*\nDEFINE A\n*/\nDEFINE B", 0..0, &[(0, 23)]),
            ("DEFINE A\n    DEFINE B", 0..0, &[(0, 21)]),
            ("DEFINED\n", 0..8, &[]),
            ("DEFINE A\n \"/*\"\nDEFINE B", 0..0, &[(0, 15), (15, 23)]),
            ("\u{feff}DEFINE A", 0..0, &[(0, 11)]),
            // Comments directly above an entity belong to it, others to the text before them.
            ("DEFINE A\n-- b\n\n/* c\n\nd */\nDEFINE B\n\n", 0..0, &[(0, 14), (15, 35)]),
            ("-- file\r\n\r\n-- a\r\nDEFINE A\r\n \r\nDEFINE B", 0..0, &[(11, 27), (30, 38)]),
            ("x -- no\n-- yes\nDEFINE A\n\n", 0..8, &[(8, 24)]),
        ] {
            let entities = entities.iter().map(|(start, end)| *start..*end).collect();
            assert_eq!(split(text), Slices { outside, entities }, "{text:?}");
        }
    }
}
