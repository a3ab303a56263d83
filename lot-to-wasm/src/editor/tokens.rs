//! The tokens around a place of a text, which may have errors.

use std::ops::Range;

use crate::source::Source;
use crate::split::split;
use crate::token::{Token, TokenKind};

/// Most tokens that are read to recognize a line. Lines of real programs have fewer, but a hostile
/// text could take for ever.
const LINE_TOKENS_MAX: usize = 256;

/// The tokens of the entity around a place; offsets count from the start of the whole text.
pub(super) struct Tokens<'t> {
    text: &'t str,
    /// Bytes from the start of the entity to the start of the next one.
    pub(super) entity: Range<usize>,
    tokens: Vec<Token>,
}

/// The slice of the entity that has a place in it or before it, up to the next entity; `None` in
/// front of the first.
pub(super) fn entity_at(text: &str, offset: usize) -> Option<Range<usize>> {
    let slices = split(text);
    let index = slices.entities.iter().rposition(|slice| slice.start <= offset)?;
    let start = slices.entities.get(index)?.start;
    let end = slices.entities.get(index + 1).map_or(text.len(), |next| next.start);
    Some(start..end)
}

impl<'t> Tokens<'t> {
    /// `None` in front of the first entity.
    pub(super) fn around(text: &'t str, offset: usize) -> Option<Tokens<'t>> {
        entity_at(text, offset).map(|entity| Tokens::of(text, entity))
    }

    /// Those of a slice.
    pub(super) fn of(text: &'t str, entity: Range<usize>) -> Tokens<'t> {
        let slice = text.get(entity.clone()).unwrap_or("");
        let tokens = crate::token::tokenize_quietly(&Source::new(slice));
        Tokens { text, entity, tokens }
    }

    /// How many there are, those of the layout included.
    pub(super) fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Returns the range of a token in the text.
    pub(super) fn range(&self, index: usize) -> Range<usize> {
        self.tokens.get(index).map_or(0..0, |token| {
            let start = self.entity.start;
            start + token.span.start as usize..start + token.span.end as usize
        })
    }

    /// A token as written; empty for one of the layout.
    pub(super) fn slice(&self, index: usize) -> &'t str {
        if self.is_layout(index) { "" } else { self.text.get(self.range(index)).unwrap_or("") }
    }

    /// A token as written when it is a word, else empty.
    pub(super) fn word(&self, index: usize) -> &'t str {
        if self.is_word(index) { self.slice(index) } else { "" }
    }

    /// Whether a token is a word.
    pub(super) fn is_word(&self, index: usize) -> bool {
        self.tokens.get(index).is_some_and(|token| token.kind == TokenKind::Word)
    }

    /// Whether a token is a string, closed or not.
    pub(super) fn is_string(&self, index: usize) -> bool {
        self.slice(index).starts_with(['"', '\''])
    }

    /// Whether a token is a number.
    pub(super) fn is_number(&self, index: usize) -> bool {
        let kind = self.tokens.get(index).map(|token| &token.kind);
        matches!(kind, Some(TokenKind::Int(_) | TokenKind::Double(_)))
    }

    fn is_layout(&self, index: usize) -> bool {
        let kind = self.tokens.get(index).map(|token| &token.kind);
        matches!(
            kind,
            None | Some(TokenKind::Newline | TokenKind::Indent | TokenKind::Dedent | TokenKind::End)
        )
    }

    /// Returns the name in a word or string: a string without its quotes.
    pub(super) fn name(&self, index: usize) -> &'t str {
        let slice = self.slice(index);
        match slice.chars().next() {
            Some(quote @ ('"' | '\'')) => {
                let inner = &slice[1..];
                inner.strip_suffix(quote).unwrap_or(inner)
            }
            _ => slice,
        }
    }

    /// Returns the token at a place: the word or string around the place, else the one that ends
    /// there, else any token there.
    pub(super) fn at(&self, offset: usize) -> Option<usize> {
        let is_name = |index: &usize| self.is_word(*index) || self.is_string(*index);
        let is_around = |index: &usize| !self.is_layout(*index) && self.range(*index).contains(&offset);
        let ends_here = |index: &usize| is_name(index) && self.range(*index).end == offset;
        let around = (0..self.len()).find(is_around);
        around.filter(is_name).or_else(|| (0..self.len()).find(ends_here)).or(around)
    }

    /// The tokens of the logical line before `index`, in order, but at most [`LINE_TOKENS_MAX`] of
    /// them.
    pub(super) fn line_before(&self, index: usize) -> Range<usize> {
        let first = index.saturating_sub(LINE_TOKENS_MAX);
        let start =
            (first..index).rev().find(|before| self.is_layout(*before)).map_or(first, |before| before + 1);
        start..index
    }

    /// The `count`-th token before another one, from 1, if both are on one line.
    pub(super) fn before(&self, index: usize, count: usize) -> &'t str {
        let is_line =
            (1..count).all(|between| index.checked_sub(between).is_some_and(|at| !self.is_layout(at)));
        index.checked_sub(count).filter(|_| is_line).map_or("", |before| self.slice(before))
    }
}
