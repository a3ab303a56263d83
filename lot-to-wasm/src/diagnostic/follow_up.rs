//! Removal of redundant errors: those that another error on their line explains, and repeats of a
//! habit of another language.

use super::{Code, Diagnostic, Severity, codes};

/// Drops errors that follow from other errors of an entity. `found` is in source order.
pub(super) fn drop_from(found: &mut Vec<Diagnostic>) {
    fold_habits(found, |one, other| one.span.start.line == other.span.start.line);
    keep_one_of_a_line(found);
    drop_ends_of_unknown_blocks(found);
    fold_habits(found, |_, _| true);
}

/// An error of characters or of syntax.
fn is_of_syntax(found: &Diagnostic) -> bool {
    found.severity == Severity::Error && found.code.number() < 300
}

/// Returns how well a syntax error explains the mistake on its line: a bracket or character the
/// least, then a word in small letters.
fn weight(found: &Diagnostic) -> u8 {
    match found.code {
        codes::UNEXPECTED_CHARACTER => 0,
        codes::UNCLOSED_BRACKET | codes::UNMATCHED_BRACKET => 1,
        codes::LOWER_CASE_KEYWORD => 2,
        _ => WEIGHT_MAX,
    }
}

/// [Weight](weight) of an error that is sure of its place.
const WEIGHT_MAX: u8 = 3;

/// Keeps the most specific syntax error of each line, and those beside it that have a sure fix. The
/// others may only follow from the first mistake. Errors about names on such a line are dropped.
fn keep_one_of_a_line(found: &mut Vec<Diagnostic>) {
    let mut kept: Vec<(u32, usize)> = Vec::new();
    for (at, it) in found.iter().enumerate().filter(|(_, it)| is_of_syntax(it)) {
        match kept.iter_mut().find(|(line, _)| *line == it.span.start.line) {
            Some((_, best)) if weight(it) > weight(&found[*best]) => *best = at,
            Some(_) => {}
            None => kept.push((it.span.start.line, at)),
        }
    }
    let is_kept = |at: usize, it: &Diagnostic| {
        let of_line = kept.iter().find(|(line, _)| *line == it.span.start.line);
        let is_name = it.severity == Severity::Error && it.code == codes::UNKNOWN_IDENTIFIER;
        let is_sure = weight(it) == WEIGHT_MAX && it.fix.is_some();
        // An error before a bracket is not the reason why the bracket stays open.
        let is_behind = |best: usize| {
            let is_one = it.code == codes::UNCLOSED_BRACKET && !it.message.starts_with("`{`");
            is_one && it.span.start.column > found[best].span.start.column
        };
        of_line.is_none_or(|(_, best)| {
            *best == at || if is_of_syntax(it) { is_sure || is_behind(*best) } else { !is_name }
        })
    };
    let mut keeps: Vec<bool> = found.iter().enumerate().map(|(at, it)| is_kept(at, it)).collect();
    keeps.reverse();
    found.retain(|_| keeps.pop().unwrap_or(true));
}

/// Drops errors that follow from a block of another language: at its end word, and at the
/// indentation of braces.
fn drop_ends_of_unknown_blocks(found: &mut Vec<Diagnostic>) {
    let (mut is_loop, mut has_braces) = (false, false);
    found.retain(|it| {
        is_loop |= it.code == codes::NO_SUCH_LOOP;
        has_braces |= habit(it) == Some(BRACES);
        let is_end = is_loop && it.code == codes::END_IF || has_braces && it.code == codes::INDENTED_TRIGGER;
        !is_end
    });
}

/// Blocks in braces.
const BRACES: (Code, &str) = (codes::NOT_LOT, "{");

/// A mistake that is made out of habit, and so at each place: which one.
fn habit(found: &Diagnostic) -> Option<(Code, &str)> {
    if !is_of_syntax(found) {
        return None;
    }
    let message = &*found.message;
    let is_of_braces = message.contains("braces") || message.ends_with("`{`") || message.starts_with("`{`");
    match found.code {
        codes::UNEXPECTED_CHARACTER => Some((found.code, message)),
        codes::LOWER_CASE_KEYWORD | codes::END_IF => Some((found.code, "")),
        codes::EXPECTED_TEXT if message == "key without quotes" => Some((found.code, message)),
        codes::NOT_LOT | codes::UNCLOSED_BRACKET | codes::UNMATCHED_BRACKET
            if is_of_braces || message.starts_with("`}`") =>
        {
            Some(BRACES)
        }
        codes::NOT_LOT if message.ends_with("`:`") => Some((codes::NOT_LOT, ":")),
        codes::NOT_LOT if message.ends_with("is not part of the language") => {
            found.suggestions.first().map(|help| (codes::NOT_LOT, &**help))
        }
        codes::UNKNOWN_STATEMENT => {
            let help = found.suggestions.first().filter(|help| help.ends_with(" value"));
            help.map(|_| (codes::UNKNOWN_STATEMENT, " value"))
        }
        _ => None,
    }
}

/// Tells a habit at its first place, with the number of lines that have it too and the fixes of
/// all. Only those that belong together are taken for one.
fn fold_habits(found: &mut Vec<Diagnostic>, belong: impl Fn(&Diagnostic, &Diagnostic) -> bool) {
    let mut told: Vec<Diagnostic> = Vec::with_capacity(found.len());
    let mut lines: Vec<Vec<u32>> = Vec::with_capacity(found.len());
    for it in std::mem::take(found) {
        let line = it.span.start.line;
        let is_same =
            |first: &Diagnostic| habit(&it).is_some() && habit(first) == habit(&it) && belong(first, &it);
        match told.iter().position(is_same) {
            Some(at) => {
                if told[at].fix.is_some() {
                    told[at].more_fixes.extend(it.fix.into_iter().chain(it.more_fixes));
                }
                if !lines[at].contains(&line) {
                    lines[at].push(line);
                }
            }
            None => {
                told.push(it);
                lines.push(vec![line]);
            }
        }
    }
    for (it, lines) in told.iter_mut().zip(lines) {
        match lines.len() {
            0 | 1 => {}
            2 => it.notes.push("the same on 1 more line".to_owned()),
            all => it.notes.push(format!("the same on {} more lines", all - 1)),
        }
    }
    *found = told;
}
