//! A file as `lotmq fmt` writes it.

use std::ops::Range;

use lsp_types::{DocumentFormattingParams, TextEdit};

use crate::analysis::Analysis;
use crate::lines::Lines;
use crate::workspace::key;

/// Returns the edits; none when the file is formatted, or has errors, which are diagnostics.
pub(crate) fn formatting(analysis: &Analysis, params: &DocumentFormattingParams) -> Option<Vec<TextEdit>> {
    let file = analysis.workspace.file(&key(&params.text_document.uri)).filter(|file| file.is_lot)?;
    let formatted = lot_to_wasm::format(&file.text).ok()?;
    let lines = Lines::of(&file.text);
    let edit = difference(&file.text, &formatted)
        .map(|(range, new_text)| TextEdit { range: lines.range(&range), new_text: new_text.to_owned() });
    Some(edit.into_iter().collect())
}

/// The lines from the first that differs to the last one, so that cursors outside of them stay
/// where they are.
fn difference<'n>(old: &str, new: &'n str) -> Option<(Range<usize>, &'n str)> {
    if old == new {
        return None;
    }
    let same = |(old, new): (&&str, &&str)| if old == new { Some(old.len()) } else { None };
    let old_lines: Vec<&str> = old.split_inclusive('\n').collect();
    let new_lines: Vec<&str> = new.split_inclusive('\n').collect();
    let first = old_lines.iter().zip(&new_lines).take_while(|(old, new)| old == new).count();
    let start: usize = old_lines.iter().zip(&new_lines).take(first).filter_map(same).sum();
    let behind = old_lines.iter().skip(first).rev().zip(new_lines.iter().skip(first).rev());
    let end: usize = behind.map_while(same).sum();
    Some((start..old.len() - end, new.get(start..new.len() - end).unwrap_or("")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_that_differ_are_replaced() {
        for (old, new, expected) in [
            ("a\n", "a\n", None),
            ("a\n b\nc\n", "a\nb\nc\n", Some((2..5, "b\n"))),
            ("a\nb", "a\nb\n", Some((2..3, "b\n"))),
            ("a\n\n\nb\n", "a\n\nb\n", Some((3..4, ""))),
            ("a\r\nb\r\n", "a\nb\n", Some((0..6, "a\nb\n"))),
            ("", "a\n", Some((0..0, "a\n"))),
        ] {
            assert_eq!(difference(old, new), expected, "{old:?}");
        }
    }
}
