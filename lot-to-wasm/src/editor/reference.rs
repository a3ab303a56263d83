//! References from words and strings of a program to definitions, variables and topics.

use std::ops::Range;

use lot_facts::Kind;

use super::tokens::Tokens;
use super::words::keyword;
use crate::keyword::Keyword;

/// Reference at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference<'t> {
    /// Bytes of the text: the word, or the inside of the string.
    pub range: Range<usize>,
    /// Target of the reference.
    pub target: Target<'t>,
    /// It is the name of a definition, behind `DEFINE`.
    pub is_definition: bool,
}

/// Target that a word or string refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'t> {
    /// A definition of this kind and name.
    Entity(Kind, &'t str),
    /// `Script.function` of Python.
    Python(&'t str),
    /// A variable, input, output or field of the definition around it.
    Variable(&'t str),
    /// A topic or a filter, or the beginning of one.
    Topic(&'t str),
    /// A word of the language.
    Keyword(Keyword),
}

/// Returns the reference at a byte of a text, which may have errors.
///
/// ```
/// use lot_to_wasm::editor::{Target, reference};
/// let text = "DEFINE ACTION A\nON TOPIC \"in\" DO\n    CALL ACTION Other WITH x = 1\n";
/// let at = text.find("Other").unwrap();
/// let action = Target::Entity(lot_facts::Kind::Action, "Other");
/// assert_eq!(reference(text, at + 2).unwrap().target, action);
/// ```
pub fn reference(text: &str, offset: usize) -> Option<Reference<'_>> {
    let tokens = Tokens::around(text, offset)?;
    let index = tokens.at(offset)?;
    of_token(&tokens, index)
}

/// All of a text, in order, but for keywords.
pub fn references(text: &str) -> Vec<Reference<'_>> {
    let slices = crate::split::split(text);
    let mut found = Vec::new();
    for slice in slices.entities {
        let tokens = Tokens::of(text, slice);
        let all = (0..tokens.len()).filter_map(|index| of_token(&tokens, index));
        found.extend(all.filter(|reference| !matches!(reference.target, Target::Keyword(_))));
    }
    found
}

fn of_token<'t>(tokens: &Tokens<'t>, index: usize) -> Option<Reference<'t>> {
    let mut range = tokens.range(index);
    let name = tokens.name(index);
    if tokens.is_string(index) {
        range = range.start + 1..range.start + 1 + name.len();
    } else if !tokens.is_word(index) {
        return None;
    }
    let target = named(tokens, index, name)
        .or_else(|| topic(tokens, index, name))
        .or_else(|| keyword(tokens.word(index)).map(Target::Keyword))?;
    let is_definition = matches!(target, Target::Entity(..)) && tokens.before(index, 2) == "DEFINE";
    Some(Reference { range, target, is_definition })
}

/// A name by the words before it.
fn named<'t>(tokens: &Tokens<'t>, index: usize, name: &'t str) -> Option<Target<'t>> {
    let before = |count| tokens.before(index, count);
    let entity = |kind| Some(Target::Entity(kind, name));
    match (before(2), before(1)) {
        ("DEFINE", word) => entity(crate::syntax::parse::kind_of(word)?),
        ("CALL", "ACTION") => entity(Kind::Action),
        ("CALL", "PYTHON") => Some(Target::Python(name)),
        ("CALL", "MCP" | "LLM" | "AGENT") => {
            Some(Target::Entity(Kind::Route, name.split('.').next().unwrap_or(name)))
        }
        ("PUBLISH" | "GET", "MODEL") => entity(Kind::Model),
        (_, "OF") if before(3) == "COLLECTION" => entity(Kind::Model),
        ("STORE", "IN") | ("FETCH", "FROM") => entity(Kind::Route),
        (_, "FROM") if first(tokens, index) == "DEFINE" => entity(Kind::Model),
        (_, "FROM") if before(3) == "MODEL" => entity(Kind::Route),
        (_, "TO") if before(3) == "TRIGGER" => entity(Kind::Route),
        (_, "{" | "SET" | "INPUT" | "OUTPUT") if !is_theme(tokens) => Some(Target::Variable(name)),
        (_, word) if is_returned(tokens, index, word) => Some(Target::Variable(name)),
        _ => None,
    }
}

/// The first word of the line.
fn first<'t>(tokens: &Tokens<'t>, index: usize) -> &'t str {
    tokens.word(tokens.line_before(index).start)
}

/// Whether the entity sets no variables, but properties.
fn is_theme(tokens: &Tokens<'_>) -> bool {
    let kind = (1..tokens.len()).find(|index| tokens.word(index - 1) == "DEFINE");
    kind.is_some_and(|kind| matches!(tokens.word(kind), "THEME" | "PANEL" | "VISU"))
}

/// Whether a name stands in a list behind RETURN.
fn is_returned(tokens: &Tokens<'_>, index: usize, before: &str) -> bool {
    if !matches!(before, "RETURN" | "AS" | ",") || tokens.slice(index) == "AS" {
        return false;
    }
    let line = tokens.line_before(index);
    let Some(start) = line.rev().find(|at| tokens.word(*at) == "RETURN") else { return false };
    (start + 1..index).all(|at| {
        let slice = tokens.slice(at);
        matches!(slice, "AS" | "," | "{" | "}") || tokens.is_string(at) || keyword(slice).is_none()
    })
}

/// A string where a topic stands: behind a word for topics, or as a part of a sum that begins
/// there.
fn topic<'t>(tokens: &Tokens<'t>, index: usize, name: &'t str) -> Option<Target<'t>> {
    if !tokens.is_string(index) {
        return None;
    }
    let line = tokens.line_before(index);
    let introduces = |at: usize| {
        let word = tokens.word(at);
        matches!(word, "TOPIC" | "CHANGE" | "SUBSCRIBE" | "EXISTS")
            || word.ends_with("_TOPIC")
            || word == "TO" && tokens.before(index, 3) == "MODEL"
            || matches!(tokens.slice(at), "OR" | ",") && tokens.word(line.start) == "ON"
    };
    let direct = index.checked_sub(1).filter(|before| line.contains(before))?;
    introduces(direct).then_some(Target::Topic(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "DEFINE MODEL Child FROM Parent\n    ADD COLLECTION \"c\" OF Item\n    STORE IN \"Db\" WITH TABLE \"t\"\n\nDEFINE ACTION Ä_x\nON TOPIC \"a/b\" OR \"c/+\" DO\n    SET \"n\" WITH GET TOPIC \"d/\" + {n}\n    CALL PYTHON \"S.f\" WITH ({n}) RETURN AS {r}\n    CALL ACTION \"B\" RETURN x, y\n    PUBLISH MODEL M TO \"e\" WITH f = GET MODEL Q FROM R\n    TRIGGER \"Ev\" TO Out WITH \"plain\"\n    CALL MCP \"Rt.tool\"\n    PUBLISH TOPIC \"open";

    #[test]
    fn words_and_strings_refer_to_what_their_place_says() {
        let found: Vec<Target<'_>> = references(TEXT).into_iter().map(|reference| reference.target).collect();
        use Target::{Entity, Python, Topic, Variable};
        let expected = [
            Entity(Kind::Model, "Child"),
            Entity(Kind::Model, "Parent"),
            Entity(Kind::Model, "Item"),
            Entity(Kind::Route, "Db"),
            Entity(Kind::Action, "Ä_x"),
            Topic("a/b"),
            Topic("c/+"),
            Variable("n"),
            Topic("d/"),
            Variable("n"),
            Python("S.f"),
            Variable("n"),
            Variable("r"),
            Entity(Kind::Action, "B"),
            Variable("x"),
            Variable("y"),
            Entity(Kind::Model, "M"),
            Topic("e"),
            Entity(Kind::Model, "Q"),
            Entity(Kind::Route, "R"),
            Entity(Kind::Route, "Out"),
            Entity(Kind::Route, "Rt"),
            Topic("open"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_place_is_of_the_token_around_or_before_it() {
        let at = TEXT.find("\"d/\"").unwrap();
        for (offset, expected) in [(at, true), (at + 3, true), (at + 4, true), (at + 5, false)] {
            let found = reference(TEXT, offset);
            let is_topic = found.is_some_and(|found| found.range == (at + 1..at + 3));
            assert_eq!(is_topic, expected, "{offset}");
        }
        let keyword = reference(TEXT, TEXT.find("GET TOPIC").unwrap()).unwrap();
        assert!(matches!(keyword.target, Target::Keyword(keyword) if keyword.word == "GET"));
        assert_eq!(reference("-- only a comment\n", 4), None);
    }
}
