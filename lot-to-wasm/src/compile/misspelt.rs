//! Keywords that are misspelt where the parser looks for none: the word that it stumbles over, the
//! one before, which it took for a name, and those behind a `WITH`.

use lot_nearest::nearest_within;

use crate::diagnostic::{Diagnostic, Fix, Severity, TextSpan, codes};
use crate::keyword::shared;
use crate::source::Position;
use crate::statement;

/// Words in capitals that other languages have, and that are one letter from one of ours.
const FOREIGN: [&str; 6] = ["DATE", "LET", "LIST", "MAP", "NEW", "RAW"];

/// A word in capitals on a line.
struct CapitalWord<'l> {
    text: &'l str,
    /// Columns, from 1: its first one, and the one behind it.
    columns: [u32; 2],
}

/// Replaces the usual help of syntax errors by a suggested keyword, if a word beside the place is
/// one edit away from the keyword.
pub(super) fn with_keywords_meant(mut found: Vec<Diagnostic>) -> Vec<Diagnostic> {
    for it in &mut found {
        let is_of_syntax = (200..300).contains(&it.code.number()) && it.severity == Severity::Error;
        if is_of_syntax && it.code != codes::NOT_LOT && !is_told(it) {
            tell(it);
        }
    }
    found
}

/// Beginnings of suggestions that any syntax error may have.
const USUAL: [&str; 9] = [
    "after the statements come only",
    "join values with +",
    "write , between",
    "write DO",
    "write THEN",
    "write WITH and the value",
    "write for instance",
    "write it on one line",
    "write: FOR EACH",
];

/// Whether the help is about this very mistake.
fn is_told(found: &Diagnostic) -> bool {
    let replaces = found.fix.as_ref().is_some_and(|fix| is_keyword(fix.replacement.trim()));
    let is_usual = |help: &String| USUAL.iter().any(|usual| help.starts_with(usual));
    replaces || !found.suggestions.iter().all(is_usual)
}

fn tell(found: &mut Diagnostic) {
    let Some((is_here, columns, near, text)) = misspelt(found) else { return };
    let instead = if is_here { String::new() } else { format!(" instead of {text}") };
    let line = found.span.start.line;
    let [start, end] = columns.map(|column| Position { line, column });
    found.suggestions = vec![format!("did you mean {near}{instead}?")];
    found.fix = Some(Fix { span: TextSpan { start, end }, replacement: near.to_owned() });
}

/// Returns the misspelt word: whether it stands at the place of the error, its columns, its
/// correction, and itself.
fn misspelt(found: &Diagnostic) -> Option<(bool, [u32; 2], &'static str, String)> {
    let (line, column) = (&found.source_line, found.span.start.column);
    let words = words(line);
    let at = words.partition_point(|word| word.columns[0] < column);
    let here = words.get(at).filter(|word| word.columns[0] == column);
    let touches = |word: &&CapitalWord<'_>| {
        let [_, end] = word.columns;
        let gap = line.chars().skip(end as usize - 1).take(column.saturating_sub(end) as usize);
        gap.into_iter().all(char::is_whitespace)
    };
    let before = at.checked_sub(1).and_then(|at| words.get(at)).filter(touches);
    // A word behind a misplaced `WITH` is an unknown option.
    let is_with = here.is_some_and(|word| word.text == "WITH");
    let behind = words.iter().skip(at + 1).take(if is_with { 2 } else { 0 });
    let mut candidates = here.into_iter().chain(before).chain(behind);
    candidates.find_map(|word| {
        let near = meant(word.text, &found.expected)?;
        Some((word.columns[0] == column, word.columns, near, word.text.to_owned()))
    })
}

/// The keyword that is one edit from a word: one that the grammar allows here, else one of the same
/// letters, else any.
fn meant(text: &str, expected: &[String]) -> Option<&'static str> {
    if is_keyword(text) || FOREIGN.contains(&text) {
        return None;
    }
    let letters = |text: &str| {
        let mut letters = text.as_bytes().to_vec();
        letters.sort_unstable();
        letters
    };
    let of_text = letters(text);
    let rank = |known: &str| {
        let is_expected = expected.iter().any(|word| word == known);
        let is_turned = letters(known) == of_text;
        let is_doubled = known.len() == 2 && text.starts_with(known) && text.ends_with(&known[1..]);
        let is_long = known.len() > 2 && (text.len() > 3 || known.as_bytes()[0] == text.as_bytes()[0]);
        [is_expected, is_turned || is_doubled, is_long].iter().position(|is| *is)
    };
    let near = keywords().filter(|known| nearest_within(1, text, [known]).is_some());
    near.filter_map(|known| Some((rank(known)?, known))).min_by_key(|(rank, _)| *rank).map(|(_, known)| known)
}

fn keywords() -> impl Iterator<Item = &'static str> {
    statement::words().map(|word| word.word).chain(shared().map(|keyword| keyword.word))
}

fn is_keyword(word: &str) -> bool {
    keywords().any(|keyword| keyword == word)
}

/// The words of a line that have capitals alone, without those in texts, in braces and behind a
/// comment.
fn words(line: &str) -> Vec<CapitalWord<'_>> {
    let mut words = Vec::new();
    let (mut quote, mut start) = (None, None);
    let mut before = ' ';
    let end = std::iter::once((line.len(), ' '));
    for (column, (at, character)) in (1..).zip(line.char_indices().chain(end)) {
        let is_of_word = quote.is_none() && (character.is_alphanumeric() || character == '_');
        match start {
            None if is_of_word => start = Some((at, column, before)),
            Some((from, first, before)) if !is_of_word => {
                start = None;
                let text = &line[from..at];
                let is_keyword_like =
                    text.len() > 1 && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
                if is_keyword_like && before != '{' {
                    words.push(CapitalWord { text, columns: [first, column] });
                }
            }
            _ => {}
        }
        match quote {
            None if character == '-' && before == '-' || character == '/' && before == '/' => break,
            None if matches!(character, '"' | '\'') => quote = Some(character),
            Some(open) if open == character => quote = None,
            _ => {}
        }
        before = character;
    }
    words
}
