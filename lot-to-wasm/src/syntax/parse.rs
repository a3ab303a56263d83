//! The parser: tokens to syntax tree, by recursive descent with recovery.
//!
//! A parse function returns `Err(`[`Reported`]`)` when it could not go on; the error has then been
//! put into the sink. A function that reads a list of lines catches it, skips the rest of the line
//! and its block, and goes on. Recursion is bounded by [`EXPRESSION_DEPTH_MAX`] and
//! [`BLOCK_DEPTH_MAX`](crate::limits::BLOCK_DEPTH_MAX).
//!
//! Every loop consumes a token per turn or ends, so parsing terminates.

mod action;
mod blocks;
mod expression;
mod foreign;
pub(crate) mod habit;
mod header;
pub(crate) mod message;
mod model;
pub(crate) mod option;
mod panel;
mod primary;
mod query;
mod route;
mod rule;
mod topic;
pub(crate) mod window;

pub(crate) use expression::cast_words;
pub(crate) use header::{kind_of, kind_words};
pub(crate) use message::message_property_name;
pub(crate) use primary::session_name;

use lot_nearest::nearest;

use super::{Entity, Name, Text};
use crate::diagnostic::{Code, Draft, Sink, codes};
use crate::limits::EXPRESSION_DEPTH_MAX;
use crate::source::Span;
use crate::token::{Sign, Token, TokenKind};

/// The end of a line, as messages name it.
pub(crate) const LINE_END: &str = "the end of the line";

/// Error of a parse function that has already reported its cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reported;

/// Result of a parse function.
pub(crate) type Parsed<T> = Result<T, Reported>;

/// Reads an entity's tokens. `None` when not even its kind and name could be read.
pub(crate) fn entity(tokens: Vec<Token>, sink: &mut Sink<'_>) -> Option<Entity> {
    let mut parser = Parser {
        tokens,
        at: 0,
        sink,
        depth: 0,
        blocks: 0,
        statements: 0,
        options_follow: false,
        in_panel: false,
        in_model: false,
    };
    parser.entity().ok()
}

/// A place in the tokens of one entity.
pub(crate) struct Parser<'s, 'k> {
    tokens: Vec<Token>,
    at: usize,
    pub(crate) sink: &'s mut Sink<'k>,
    /// Open recursions of expressions.
    depth: usize,
    /// Open blocks.
    pub(crate) blocks: usize,
    /// Statements so far.
    pub(crate) statements: usize,
    /// Inside the value of PUBLISH TOPIC and outside of brackets: AND before RETAIN, QOS or a
    /// property begins an option.
    pub(crate) options_follow: bool,
    /// Inside `ON CLICK` of a panel: NAVIGATE is a statement.
    pub(crate) in_panel: bool,
    /// Inside a model: a member of a JSON literal may be a live topic.
    in_model: bool,
}

// Looking.
impl<'k> Parser<'_, 'k> {
    /// The next token. The last one is always `End`.
    pub(crate) fn peek(&self) -> &Token {
        self.peek_at(0)
    }

    /// The token `ahead` places after the next one.
    pub(crate) fn peek_at(&self, ahead: usize) -> &Token {
        let index = (self.at + ahead).min(self.tokens.len() - 1);
        &self.tokens[index]
    }

    /// Returns the place of the next token.
    pub(crate) fn span(&self) -> Span {
        self.peek().span
    }

    /// The end of the token before.
    pub(crate) fn previous(&self) -> Span {
        self.at.checked_sub(1).and_then(|index| self.tokens.get(index)).map_or(Span::default(), |t| t.span)
    }

    /// From `start` to the end of the token before.
    pub(crate) fn span_from(&self, start: Span) -> Span {
        start.to(self.previous())
    }

    /// The text of a span.
    pub(crate) fn slice(&self, span: Span) -> &'k str {
        self.sink.source().slice(span)
    }

    /// The next token's text when it is a word, else empty.
    pub(crate) fn word(&self) -> &'k str {
        self.word_at(0)
    }

    /// As [`word`](Self::word), `ahead` places further.
    pub(crate) fn word_at(&self, ahead: usize) -> &'k str {
        let token = self.peek_at(ahead);
        if token.kind == TokenKind::Word { self.slice(token.span) } else { "" }
    }

    /// Whether the next token is this keyword.
    pub(crate) fn is_word(&self, keyword: &str) -> bool {
        self.word() == keyword
    }

    /// Whether the next token is this sign.
    pub(crate) fn is_sign(&self, sign: Sign) -> bool {
        self.peek().kind == TokenKind::Sign(sign)
    }

    /// Whether the next token is a string.
    pub(crate) fn is_text(&self) -> bool {
        matches!(self.peek().kind, TokenKind::Text(_))
    }

    /// Whether the line, the block or the text ends here.
    pub(crate) fn is_line_end(&self) -> bool {
        matches!(self.peek().kind, TokenKind::Newline | TokenKind::Dedent | TokenKind::End)
    }

    /// Whether the text ends here.
    pub(crate) fn is_end(&self) -> bool {
        self.peek().kind == TokenKind::End
    }

    /// The next token as error messages name it.
    pub(crate) fn found(&self) -> String {
        match &self.peek().kind {
            TokenKind::Word => self.word().to_owned(),
            TokenKind::Text(_) => "STRING".to_owned(),
            TokenKind::Int(_) | TokenKind::Double(_) => format!("number {}", self.slice(self.span())),
            TokenKind::Sign(sign) => format!("`{}`", sign.text()),
            TokenKind::Unknown => "unknown character".to_owned(),
            TokenKind::Newline => LINE_END.to_owned(),
            TokenKind::Indent => "a deeper line".to_owned(),
            TokenKind::Dedent => "the end of the block".to_owned(),
            TokenKind::End => "end of text".to_owned(),
        }
    }
}

impl Parser<'_, '_> {
    /// Column of a place, from 1.
    pub(crate) fn column(&self, span: Span) -> u32 {
        self.sink.source().position(span.start).column
    }

    /// How many line ends stand here.
    pub(crate) fn newlines_ahead(&self) -> usize {
        (0..).take_while(|ahead| self.peek_at(*ahead).kind == TokenKind::Newline).count()
    }

    /// Whether the token before the next one is the first of its line.
    pub(crate) fn previous_begins_line(&self) -> bool {
        let before = self.at.checked_sub(2).and_then(|index| self.tokens.get(index));
        before.is_none_or(|token| {
            matches!(token.kind, TokenKind::Newline | TokenKind::Indent | TokenKind::Dedent)
        })
    }

    /// Whether the next token is the first of its line.
    pub(crate) fn begins_line(&self) -> bool {
        let before = self.at.checked_sub(1).and_then(|index| self.tokens.get(index));
        before.is_none_or(|token| {
            matches!(token.kind, TokenKind::Newline | TokenKind::Indent | TokenKind::Dedent)
        })
    }

    /// Whether the line ends after the next token.
    pub(crate) fn ends_after_next(&self) -> bool {
        matches!(self.peek_at(1).kind, TokenKind::Newline | TokenKind::Dedent | TokenKind::End)
    }
}

// Taking.
impl Parser<'_, '_> {
    /// Takes the next token.
    pub(crate) fn advance(&mut self) -> Token {
        let token = self.peek().clone();
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
        token
    }

    /// Takes the next token if it is this keyword.
    pub(crate) fn eat_word(&mut self, keyword: &str) -> bool {
        let is = self.is_word(keyword);
        if is {
            self.advance();
        }
        is
    }

    /// Takes the next token if it is one of these keywords, and returns the keyword. One in another
    /// case is taken too and reported.
    pub(crate) fn eat_any(&mut self, keywords: &[&'static str]) -> Option<&'static str> {
        keywords.iter().find(|keyword| self.eat_keyword(keyword)).copied()
    }

    /// Whether the next token is this keyword, in any case.
    pub(crate) fn is_keyword(&self, keyword: &str) -> bool {
        self.word().eq_ignore_ascii_case(keyword)
    }

    /// As [`eat_word`](Self::eat_word), but a keyword in another case is taken too and reported.
    pub(crate) fn eat_keyword(&mut self, keyword: &str) -> bool {
        if self.eat_word(keyword) {
            return true;
        }
        let word = self.word();
        if !word.is_empty() && word.eq_ignore_ascii_case(keyword) {
            self.report_case(keyword);
            self.advance();
            return true;
        }
        false
    }

    /// Reports that the next token is this keyword in the wrong case.
    pub(crate) fn report_case(&mut self, keyword: &str) {
        let draft = Draft::error(codes::LOWER_CASE_KEYWORD, self.span(), wrong_case(self.word()));
        self.sink.push(draft.suggest(format!("write {keyword}")).fix(self.span(), keyword));
    }

    /// Reports that the keyword `ahead` places further is in the wrong case, where it is; a sign is
    /// in none.
    pub(crate) fn report_case_at(&mut self, ahead: usize) {
        let (word, span) = (self.word_at(ahead), self.peek_at(ahead).span);
        let upper = word.to_ascii_uppercase();
        if word != upper {
            let draft = Draft::error(codes::LOWER_CASE_KEYWORD, span, wrong_case(word));
            self.sink.push(draft.suggest(format!("write {upper}")).fix(span, upper));
        }
    }

    /// Takes the next token if it is this sign.
    pub(crate) fn eat_sign(&mut self, sign: Sign) -> bool {
        let is = self.is_sign(sign);
        if is {
            self.advance();
        }
        is
    }

    /// Takes line ends.
    pub(crate) fn skip_newlines(&mut self) {
        while self.peek().kind == TokenKind::Newline {
            self.advance();
        }
    }

    /// Takes this keyword or reports that it is missing.
    pub(crate) fn expect_word(&mut self, keyword: &'static str, after: &str) -> Parsed<()> {
        if self.eat_keyword(keyword) {
            return Ok(());
        }
        self.missing(&[keyword], after)
    }

    /// Takes this sign or reports that it is missing.
    pub(crate) fn expect_sign(&mut self, sign: Sign, after: &str) -> Parsed<()> {
        if self.eat_sign(sign) {
            return Ok(());
        }
        let is_other = matches!(self.peek().kind, TokenKind::Sign(found) if found.closes());
        if sign.closes() && (self.is_line_end() || is_other) {
            // Inside of brackets a line ends, and another bracket closes, only after the layout has
            // reported the open one.
            return Err(Reported);
        }
        self.missing(&[&format!("`{}`", sign.text())], after)
    }

    /// Takes a string or reports that it is missing.
    pub(crate) fn expect_text(&mut self, after: &str) -> Parsed<Text> {
        if let TokenKind::Text(value) = &self.peek().kind {
            let text = Text { value: value.clone(), span: self.span() };
            self.advance();
            return Ok(text);
        }
        if let Some(text) = self.text_without_quotes(after).or_else(|| self.word_without_quotes(after)) {
            return Ok(text);
        }
        self.missing(&["STRING"], after)
    }

    /// Takes a whole number or reports that it is missing.
    pub(crate) fn expect_int(&mut self, after: &str) -> Parsed<i64> {
        if let TokenKind::Int(number) = self.peek().kind {
            self.advance();
            return Ok(number);
        }
        self.missing(&["whole number"], after)
    }

    /// Takes a bare or quoted name or reports that it is missing.
    pub(crate) fn expect_name(&mut self, after: &str) -> Parsed<Name> {
        let span = self.span();
        match &self.peek().kind {
            TokenKind::Word => {
                let text = self.word().to_owned();
                self.advance();
                Ok(Name { text, span, quoted: false })
            }
            TokenKind::Text(value) => {
                let text = value.clone();
                self.advance();
                Ok(Name { text, span, quoted: true })
            }
            _ => self.missing(&["name"], after),
        }
    }

    /// Takes a bare, quoted or braced variable name or reports that it is missing.
    pub(crate) fn expect_variable(&mut self, after: &str) -> Parsed<Name> {
        let start = self.span();
        if !self.eat_sign(Sign::OpenBrace) {
            return self.expect_name(after);
        }
        let mut name = self.expect_name("`{`")?;
        self.expect_sign(Sign::CloseBrace, "the variable's name")?;
        name.span = self.span_from(start);
        Ok(name)
    }

    /// Takes the end of the line, or reports the token there.
    pub(crate) fn expect_line_end(&mut self, after: &str) -> Parsed<()> {
        if self.is_line_end() {
            self.skip_newlines();
            return Ok(());
        }
        self.missing(&[LINE_END], after)
    }
}

// Reporting.
impl Parser<'_, '_> {
    /// Reports an error.
    pub(crate) fn fail<T>(&mut self, draft: Draft) -> Parsed<T> {
        self.sink.push(draft);
        Err(Reported)
    }

    /// Reports that something is missing here, by the code of its kind.
    pub(crate) fn missing<T>(&mut self, what: &[&str], after: &str) -> Parsed<T> {
        let is_keyword =
            |text: &str| text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_' || byte == b' ');
        let code = match what {
            [LINE_END] => codes::AFTER_LINE,
            ["==", ..] => codes::UNKNOWN_OPERATOR,
            ["STRING", ..] | ["topic"] => codes::EXPECTED_TEXT,
            ["name", ..] | ["variable name", ..] => codes::EXPECTED_NAME,
            ["whole number", ..] => codes::EXPECTED_NUMBER,
            [sign] if sign.starts_with('`') => codes::EXPECTED_SIGN,
            words if words.iter().all(|word| is_keyword(word)) => codes::EXPECTED_WORD,
            _ => codes::UNEXPECTED_TOKEN,
        };
        self.expected(code, what, after)
    }

    /// Reports that something else was expected here, with the nearest keyword as suggestion.
    pub(crate) fn expected<T>(&mut self, code: Code, what: &[&str], after: &str) -> Parsed<T> {
        let message = format!("expected {} after {after}, found {}", listing(what), self.found());
        let keywords =
            what.iter().copied().filter(|text| text.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'));
        let hint = match what {
            [LINE_END] => self.misspelt_clause(),
            _ => nearest(self.word(), keywords.filter(|word| *word != "STRING")),
        };
        let draft = Draft::error(code, self.here(), message).expected(what);
        self.fail(draft.did_you_mean(hint))
    }

    /// The next token; at a line's end one column after its last character.
    pub(crate) fn here(&self) -> Span {
        let span = self.span();
        if self.is_line_end() && !self.is_end() {
            return Span { start: span.start, end: span.start.saturating_add(1) };
        }
        span
    }

    /// From the next token to the last one of its line.
    pub(crate) fn rest_of_line(&self) -> Span {
        let end = (0..).find(|ahead| {
            matches!(self.peek_at(*ahead).kind, TokenKind::Newline | TokenKind::Dedent | TokenKind::End)
        });
        let last = end.and_then(|end| end.checked_sub(1)).map_or(self.span(), |last| self.peek_at(last).span);
        self.span().to(last)
    }

    /// Reports an extension that other brokers may refuse.
    pub(crate) fn non_portable(&mut self, span: Span, what: &str) {
        let message = format!("{what} is not portable");
        self.sink.push(Draft::warning(codes::NON_PORTABLE, span, message));
    }

    /// Runs a parse function one level deeper, or reports that the text is nested too deeply.
    pub(crate) fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= EXPRESSION_DEPTH_MAX {
            return self.too_deep(self.span(), EXPRESSION_DEPTH_MAX);
        }
        self.depth += 1;
        let result = parse(self);
        self.depth -= 1;
        result
    }

    /// Reports that a value is nested more than `bound` deep, operators that follow each other
    /// included.
    pub(crate) fn too_deep<T>(&mut self, span: Span, bound: usize) -> Parsed<T> {
        let row = if bound > EXPRESSION_DEPTH_MAX { ", operators in a row included" } else { "" };
        let message = format!("nested more than {bound} levels deep{row}");
        self.fail(Draft::error(codes::NESTED_TOO_DEEP, span, message).suggest("split it with SET"))
    }

    /// Reports that blocks are nested more than `bound` deep.
    pub(crate) fn blocks_too_deep<T>(&mut self, bound: usize) -> Parsed<T> {
        let message = format!("nested more than {bound} levels deep");
        let draft = Draft::error(codes::NESTED_TOO_DEEP, self.span(), message);
        self.fail(
            draft.suggest(
                "join conditions with AND, or write an action for the blocks inside, and CALL ACTION",
            ),
        )
    }

    /// Runs a parse function inside brackets, where options of PUBLISH cannot follow.
    pub(crate) fn enclosed<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        let outer = std::mem::replace(&mut self.options_follow, false);
        let result = parse(self);
        self.options_follow = outer;
        result
    }

    /// Reads items separated by commas up to a closing bracket, which is consumed too. A comma may
    /// follow the last item.
    pub(crate) fn items<T>(
        &mut self,
        close: Sign,
        what: &str,
        item: impl Fn(&mut Self) -> Parsed<T>,
    ) -> Parsed<Vec<T>> {
        let mut items = Vec::new();
        self.enclosed(|parser| {
            while !parser.is_sign(close) {
                items.push(item(parser)?);
                if !parser.eat_sign(Sign::Comma) {
                    break;
                }
            }
            Ok(())
        })?;
        self.expect_sign(close, what)?;
        Ok(items)
    }
}

fn wrong_case(word: &str) -> String {
    format!("keyword \"{word}\" must be upper case")
}

/// `a`, `a or b`, `a, b or c`.
fn listing(what: &[&str]) -> String {
    match what {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}
