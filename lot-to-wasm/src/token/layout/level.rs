//! The open blocks of a text by their columns, and which of them a misplaced line was meant for.

/// An open block.
#[derive(Debug)]
pub(super) struct Level<'k> {
    /// Columns before its lines.
    pub(super) width: u32,
    /// The same of misplaced lines that were taken for lines of this block: more of them are no
    /// mistakes of their own.
    pub(super) taken_for_it: Vec<u32>,
    /// First word of its last line.
    pub(super) word: &'k str,
    /// Nothing opened it: its first line is deeper than a statement that has no block.
    pub(super) is_stray: bool,
}

impl Level<'_> {
    /// A block whose lines begin after this many columns.
    pub(super) fn new(width: u32) -> Self {
        Level { width, taken_for_it: Vec::new(), word: "", is_stray: false }
    }

    /// Whether a line of this width belongs to it.
    pub(super) fn holds(&self, width: u32) -> bool {
        self.width == width || self.taken_for_it.contains(&width)
    }
}

/// Words that continue a statement in its own column, with the words with which such statements
/// begin.
const PARTNERS: [(&str, &[&str]); 7] = [
    ("ELSE", &["IF", "ELSE", "ELSEIF", "ELSIF", "ELIF"]),
    ("ELSEIF", &["IF", "ELSEIF"]),
    ("ELSIF", &["IF", "ELSIF"]),
    ("ELIF", &["IF", "ELIF"]),
    ("UNTIL", &["LOOP"]),
    ("CASE", &["CASE", "DEFAULT"]),
    ("DEFAULT", &["CASE", "DEFAULT"]),
];

/// Words that begin a line of the entity itself, in an Action.
const HEADS: [&str; 6] = ["DEFINE", "ON", "INPUT", "DO", "RETURN", "DESCRIPTION"];

/// Returns the open block that a misplaced line was meant for: the block of the statement that it
/// continues, else the nearest block. Of two equally near blocks, the one of the line before wins.
/// Only lines with a word of their own stand beside DEFINE.
pub(super) fn meant(levels: &[Level<'_>], width: u32, word: &str, has_heads: bool) -> usize {
    let is_beside_body = levels.get(1).is_some_and(|body| width < body.width);
    if has_heads && is_beside_body && HEADS.contains(&word) {
        return 0;
    }
    let distance = |index: usize| levels.get(index).map_or(u32::MAX, |level| level.width.abs_diff(width));
    let word = word.to_ascii_uppercase();
    if let Some((_, partners)) = PARTNERS.iter().find(|(name, _)| *name == word) {
        let is_partner = |index: &usize| {
            let last = levels.get(*index).map_or("", |level| level.word);
            partners.iter().any(|partner| partner.eq_ignore_ascii_case(last))
        };
        if let Some(level) = (1..levels.len()).filter(is_partner).min_by_key(|index| distance(*index)) {
            return level;
        }
    }
    (1..levels.len()).rev().min_by_key(|index| distance(*index)).unwrap_or(0)
}
