//! What people write who come from other languages: reported with what it is here, and read as that.

use super::{Parsed, Parser};
use crate::diagnostic::{Draft, codes};
use crate::source::Span;
use crate::syntax::Text;
use crate::token::{Sign, TokenKind};

/// Words for ELSE IF elsewhere.
const ELSE_IFS: [&str; 4] = ["ELSEIF", "ELSIF", "ELIF", "ELSE_IF"];

impl Parser<'_, '_> {
    /// Whether an ELSE or a word for ELSE IF stands `ahead` places further, in any case.
    pub(crate) fn is_else_at(&self, ahead: usize) -> bool {
        let word = self.word_at(ahead);
        word.eq_ignore_ascii_case("ELSE") || ELSE_IFS.iter().any(|other| other.eq_ignore_ascii_case(word))
    }

    /// Takes `ELSE` or `ELSE IF`, of which one stands here; whether it is `ELSE IF`.
    pub(crate) fn eat_else(&mut self) -> bool {
        if self.eat_keyword("ELSE") {
            return self.eat_keyword("IF");
        }
        let message = format!("{} is not part of the language", self.word());
        let draft = Draft::error(codes::NOT_LOT, self.span(), message);
        self.sink.push(draft.suggest("write ELSE IF").fix(self.span(), "ELSE IF"));
        self.advance();
        true
    }

    /// Takes a `:` or `{` that ends the line of something that opens a block, and reports it.
    pub(crate) fn skip_foreign_opener(&mut self) {
        let Some(sign) = self.foreign_opener() else { return };
        let (message, hint) = match sign {
            Sign::OpenBrace => (
                "blocks are not written in braces",
                "end the line here and indent the statements by 4 spaces",
            ),
            _ => ("blocks do not begin with `:`", "end the line here: a block begins by its indentation"),
        };
        let draft = Draft::error(codes::NOT_LOT, self.span(), message).suggest(hint);
        let gap = Span { start: self.previous().end, ..self.span() };
        self.sink.push(draft.fix(gap, ""));
        self.advance();
    }

    /// As [`skip_foreign_opener`](Self::skip_foreign_opener) where THEN or DO should stand; whether there was one.
    pub(crate) fn skip_foreign_word(&mut self, word: &str) -> bool {
        let Some(sign) = self.foreign_opener() else { return false };
        let message = format!("expected {word}, found `{}`", sign.text());
        let mut draft = Draft::error(codes::NOT_LOT, self.span(), message);
        if sign == Sign::OpenBrace {
            draft = draft.note("blocks are not written in braces");
        }
        let gap = Span { start: self.previous().end, ..self.span() };
        let hint = format!("write {word} in its place and indent the statements by 4 spaces");
        self.sink.push(draft.suggest(hint).fix(gap, format!(" {word}")));
        self.advance();
        true
    }

    fn foreign_opener(&self) -> Option<Sign> {
        let TokenKind::Sign(sign @ (Sign::OpenBrace | Sign::Colon)) = self.peek().kind else { return None };
        self.ends_after_next().then_some(sign)
    }

    /// Takes a topic or another text that stands here without its quotes, and reports it: a bare word with everything that touches it.
    pub(crate) fn text_without_quotes(&mut self, after: &str) -> Option<Text> {
        let start = self.span();
        let is_topic = matches!(self.word_at(0), word if !word.is_empty()) && self.touches(1)
            || self.peek().kind == TokenKind::Unknown;
        if !is_topic || self.slice(start).starts_with(['"', '\'']) {
            return None;
        }
        self.advance();
        while self.peek().span.start == self.previous().end && !self.is_line_end() {
            self.advance();
        }
        let span = self.span_from(start);
        let value = self.slice(span).to_owned();
        let message = format!("expected STRING after {after}, found text without quotes");
        let draft = Draft::error(codes::UNEXPECTED_TOKEN, span, message).expected(&["STRING"]);
        let quoted = format!("\"{value}\"");
        self.sink.push_over(draft.suggest(format!("write it in quotes: {quoted}")).fix(span, quoted));
        Some(Text { value, span })
    }

    /// Whether a topic without quotes stands `ahead` places further: a word, and a `/` with something behind it, without blanks between.
    pub(crate) fn is_topic_without_quotes(&self, ahead: usize) -> bool {
        let is_slash = self.peek_at(ahead + 1).kind == TokenKind::Sign(Sign::Slash);
        let is_start = self.peek_at(ahead).kind == TokenKind::Word;
        is_start && is_slash && self.touches(ahead + 1) && self.touches(ahead + 2)
    }

    /// Whether the token `ahead` places further follows the one before without a blank.
    fn touches(&self, ahead: usize) -> bool {
        let is_layout =
            matches!(self.peek_at(ahead).kind, TokenKind::Newline | TokenKind::Dedent | TokenKind::End);
        !is_layout && self.peek_at(ahead).span.start == self.peek_at(ahead - 1).span.end
    }

    /// Reports what follows a whole statement on its line.
    pub(crate) fn after_statement<T>(&mut self) -> Parsed<T> {
        let message = format!("expected NEWLINE after the statement, found {}", self.found());
        let draft = Draft::error(codes::UNEXPECTED_TOKEN, self.span(), message).expected(&["NEWLINE"]);
        let place = Span { end: self.span().start, ..self.span() };
        let begins_value = match &self.peek().kind {
            TokenKind::Text(_) | TokenKind::Int(_) | TokenKind::Double(_) => true,
            TokenKind::Sign(sign) => matches!(sign, Sign::OpenBrace | Sign::OpenParen),
            TokenKind::Word => {
                matches!(self.word(), "PAYLOAD" | "TOPIC" | "GET" | "TIMESTAMP" | "CLIENTID" | "USER")
            }
            _ => false,
        };
        let draft = if begins_value {
            draft.suggest("join values with +").fix(place, "+ ")
        } else if self.is_sign(Sign::Dot) {
            draft.suggest("join values with +").fix(self.span(), "+")
        } else if crate::statement::is_first_word(self.word()) {
            draft.suggest("write each statement on a line of its own")
        } else {
            draft
        };
        self.fail(draft)
    }
}
