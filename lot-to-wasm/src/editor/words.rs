//! The words of the language, those of statements among them.

use crate::keyword::{Family, Keyword, shared};
use crate::{statement, trigger};

/// Every keyword.
pub fn keywords() -> impl Iterator<Item = Keyword> {
    let of_statements = statement::words().map(|word| Keyword {
        word: word.word,
        family: Family::Statement,
        text: word.text,
    });
    of_statements.chain(shared())
}

/// The words that begin statements of an action, and those behind `ON`.
pub fn first_words() -> impl Iterator<Item = &'static str> {
    statement::first_words().filter_map(|words| words.first().copied()).chain(trigger::words())
}

/// The keyword that is written like this.
pub fn keyword(word: &str) -> Option<Keyword> {
    keywords().find(|keyword| keyword.word == word)
}
