//! Syntax of other languages: reported with its LoT replacement, and read as if that were written.

use lot_nearest::nearest_within;

use super::{Parsed, Parser};
use crate::diagnostic::{Draft, codes};
use crate::source::Span;
use crate::syntax::Text;
use crate::token::{Sign, TokenKind};

/// Words for ELSE IF elsewhere.
const ELSE_IFS: [&str; 4] = ["ELSEIF", "ELSIF", "ELIF", "ELSE_IF"];

/// Types, and their names in other languages.
const FOREIGN_TYPES: [(&str, &[&str]); 7] = [
    ("INT", &["INTEGER", "LONG", "SHORT", "INT32", "INT64"]),
    ("DOUBLE", &["FLOAT", "NUMBER", "REAL", "DECIMAL", "NUMERIC"]),
    ("BOOL", &["BOOLEAN", "BIT"]),
    ("STRING", &["TEXT", "STR", "VARCHAR", "CHAR"]),
    ("TIMESTAMP", &["DATE", "DATETIME", "TIME"]),
    ("ARRAY", &["LIST"]),
    ("OBJECT", &["DICT", "MAP", "RECORD"]),
];

/// Words that go on with a line.
const CLAUSES: [&str; 10] =
    ["AND", "AND_THEN", "ELSE", "QOS", "RETAIN", "RETURN", "THEN", "USING", "WHERE", "WITH"];

/// Keywords that stand where a text is missing, rather than a text without its quotes.
const NO_TEXTS: [&str; 9] = ["DO", "THEN", "WITH", "AS", "IN", "AND", "OR", "AT", "ELSE"];

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

    /// As [`skip_foreign_opener`](Self::skip_foreign_opener) where THEN or DO should stand; whether
    /// there was one.
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

    /// Takes one of these types; the name of one in another language is reported, and taken.
    pub(crate) fn type_word<T: Copy>(&mut self, types: &[(&'static str, T)], after: &str) -> Parsed<T> {
        if let Some((_, found)) = types.iter().find(|(name, _)| self.eat_keyword(name)) {
            return Ok(*found);
        }
        let word = self.word().to_ascii_uppercase();
        let names: Vec<&str> = types.iter().map(|(name, _)| *name).collect();
        let ours = FOREIGN_TYPES.iter().filter(|(_, theirs)| theirs.contains(&word.as_str()));
        let known = types.iter().find(|(name, _)| ours.clone().any(|(ours, _)| ours == name));
        let Some((name, found)) = known else {
            return self.expected(codes::UNKNOWN_TYPE, &names, after);
        };
        let message = format!("expected a type after {after}, found {}", self.word());
        let draft = Draft::error(codes::UNKNOWN_TYPE, self.span(), message).expected(&names);
        self.sink.push(draft.suggest(format!("write {name}")).fix(self.span(), *name));
        self.advance();
        Ok(*found)
    }

    /// Whether a literal stands `ahead` places further.
    pub(crate) fn begins_value(&self, ahead: usize) -> bool {
        matches!(self.peek_at(ahead).kind, TokenKind::Text(_) | TokenKind::Int(_) | TokenKind::Double(_))
    }

    /// Reports that the topic here stands without the word TOPIC, behind a statement that may set
    /// other things as well.
    pub(crate) fn missing_topic_word(&mut self, statement: &str) {
        let what = ["TOPIC", "ENV", "SECRET"];
        let message = format!("expected TOPIC, ENV or SECRET after {statement}, found STRING");
        let draft = Draft::error(codes::EXPECTED_WORD, self.span(), message).expected(&what);
        let hint = format!("write {statement} TOPIC before the topic");
        self.sink.push(draft.suggest(hint).fix(self.span().before(), "TOPIC "));
    }

    /// Reports that the line lacks its first word.
    pub(crate) fn missing_first_word(&mut self, missing: &str, expected: &[&str]) {
        let message = format!("expected {missing} before {}", self.found());
        let draft = Draft::error(codes::EXPECTED_WORD, self.span(), message).expected(expected);
        let place = Span { end: self.span().start, ..self.span() };
        self.sink.push(draft.suggest(format!("write {missing} before it")).fix(place, format!("{missing} ")));
    }

    /// Takes the WITH before arguments; where they follow without one, which is reported, it is as
    /// if it stood there.
    pub(crate) fn eat_with_before_arguments(&mut self) -> bool {
        if self.eat_word("WITH") {
            return true;
        }
        let is_missing = self.is_sign(Sign::OpenParen);
        if is_missing {
            let draft = Draft::error(codes::EXPECTED_WITH, self.span(), "expected WITH before the arguments");
            let gap = Span { start: self.previous().end, end: self.span().start };
            self.sink.push(draft.suggest("write WITH before the parenthesis").fix(gap, " WITH "));
        }
        is_missing
    }

    /// Members of the payload as other languages read them, `PAYLOAD.a[0]`: reported, and read as
    /// GET JSON.
    pub(crate) fn payload_member(&mut self, start: Span) -> Option<Text> {
        let mut path = String::new();
        while self.touches(0) && !self.is_method_call() {
            let (sign, next) = (self.peek().kind.clone(), self.peek_at(1).kind.clone());
            match (sign, next) {
                (TokenKind::Sign(Sign::Dot), TokenKind::Word) if self.touches(1) => {
                    path.push_str(if path.is_empty() { "" } else { "." });
                    path.push_str(self.word_at(1));
                }
                (TokenKind::Sign(Sign::OpenBracket), TokenKind::Int(index)) if self.closes_bracket(2) => {
                    path.push_str(&format!("[{index}]"));
                    self.advance();
                }
                (TokenKind::Sign(Sign::OpenBracket), TokenKind::Text(key)) if self.closes_bracket(2) => {
                    path.push_str(if path.is_empty() { "" } else { "." });
                    path.push_str(&key);
                    self.advance();
                }
                _ => break,
            }
            self.advance();
            self.advance();
        }
        if path.is_empty() {
            return None;
        }
        let span = self.span_from(start);
        let member = Span { start: start.end, ..span };
        let ours = format!("GET JSON \"{}\" IN PAYLOAD", path.escape_debug());
        let draft = Draft::error(codes::NOT_LOT, member, "PAYLOAD has no members of its own");
        self.sink.push(draft.suggest(format!("write {ours}")).fix(span, ours));
        Some(Text { value: path, span })
    }

    fn closes_bracket(&self, ahead: usize) -> bool {
        self.peek_at(ahead).kind == TokenKind::Sign(Sign::CloseBracket)
    }

    /// Takes a topic or another text that stands here without its quotes, and reports it: a bare
    /// word with everything that touches it.
    pub(crate) fn text_without_quotes(&mut self, after: &str) -> Option<Text> {
        let start = self.span();
        let is_topic = !self.word().is_empty() && self.touches(1) || self.peek().kind == TokenKind::Unknown;
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
        let draft = Draft::error(codes::EXPECTED_TEXT, span, message).expected(&["STRING"]);
        let quoted = format!("\"{value}\"");
        self.sink.push_over(draft.suggest(format!("write it in quotes: {quoted}")).fix(span, quoted));
        Some(Text { value, span })
    }

    /// As [`text_without_quotes`](Self::text_without_quotes) for a word alone that is no keyword.
    pub(crate) fn word_without_quotes(&mut self, after: &str) -> Option<Text> {
        let (value, span) = (self.word().to_owned(), self.span());
        let is_keyword = NO_TEXTS.iter().any(|keyword| keyword.eq_ignore_ascii_case(&value));
        if !value.contains(|c: char| c.is_lowercase()) || is_keyword {
            return None;
        }
        let message = format!("expected STRING after {after}, found {value}");
        let draft = Draft::error(codes::EXPECTED_TEXT, span, message).expected(&["STRING"]);
        let quoted = format!("\"{value}\"");
        self.sink.push(draft.suggest(format!("write it in quotes: {quoted}")).fix(span, quoted));
        self.advance();
        Some(Text { value, span })
    }

    /// Returns the error for `=>` and `=<`, whose first sign has been read.
    pub(crate) fn turned_comparison(&self) -> Option<Draft> {
        let right = match self.peek().kind {
            TokenKind::Sign(Sign::Greater) => ">=",
            TokenKind::Sign(Sign::Less) => "<=",
            _ => return None,
        };
        let is_one = self.slice(self.previous()) == "=" && self.touches(0);
        let span = self.previous().to(self.span());
        let message = format!("`{}` is no operator", self.slice(span));
        is_one.then(|| {
            Draft::error(codes::UNKNOWN_OPERATOR, span, message)
                .suggest(format!("write {right}"))
                .fix(span, right)
        })
    }

    /// Returns the error for a percentage, whose `%` has been read.
    pub(crate) fn percentage(&self) -> Option<Draft> {
        let span = self.previous();
        let number = self.at.checked_sub(2).and_then(|index| self.tokens.get(index))?;
        let is_number = matches!(number.kind, TokenKind::Int(_) | TokenKind::Double(_));
        let is_percentage = self.slice(span) == "%" && is_number && number.span.end == span.start;
        let message = "`%` is the rest of a division, and has no number behind it";
        is_percentage.then(|| {
            Draft::error(codes::EXPECTED_EXPRESSION, span, message)
                .suggest("numbers have no units: leave it out")
                .fix(span, "")
        })
    }

    /// The number that is meant where a comma stands between two whole numbers, without blanks.
    pub(crate) fn decimal_comma(&self) -> Option<String> {
        let (before, after) = (self.slice(self.previous()), self.slice(self.peek_at(1).span));
        let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let is_one = self.is_sign(Sign::Comma) && self.touches(0) && self.touches(1);
        (is_one && is_digits(before) && is_digits(after)).then(|| format!("{before}.{after}"))
    }

    /// Whether a word follows a text without a blank, and on its line another text: they are one.
    fn is_text_with_quotes_inside(&self) -> bool {
        let is_after_text = self.slice(self.previous()).ends_with('"') && self.touches(0);
        let ends = (0..64).take_while(|ahead| self.peek_at(*ahead).kind != TokenKind::Newline);
        let has_text =
            || ends.into_iter().any(|ahead| matches!(self.peek_at(ahead).kind, TokenKind::Text(_)));
        self.peek().kind == TokenKind::Word && is_after_text && has_text()
    }

    /// Whether a topic without quotes stands `ahead` places further: a word, and a `/` with
    /// something behind it, without blanks between.
    pub(crate) fn is_topic_without_quotes(&self, ahead: usize) -> bool {
        let is_slash = self.peek_at(ahead + 1).kind == TokenKind::Sign(Sign::Slash);
        let is_start = self.peek_at(ahead).kind == TokenKind::Word;
        is_start && is_slash && self.touches(ahead + 1) && self.touches(ahead + 2)
    }

    /// Whether the token `ahead` places further follows the one before without a blank.
    pub(super) fn touches(&self, ahead: usize) -> bool {
        let is_layout =
            matches!(self.peek_at(ahead).kind, TokenKind::Newline | TokenKind::Dedent | TokenKind::End);
        let before = if ahead == 0 { self.previous() } else { self.peek_at(ahead - 1).span };
        !is_layout && self.peek_at(ahead).span.start == before.end
    }

    /// Returns the one of these words that the next word is a misspelling of: with one wrong
    /// letter, or with letters that have changed places.
    pub(crate) fn misspelt(&self, words: &[&'static str]) -> Option<&'static str> {
        let word = self.word();
        nearest_within(1, word, words.iter().copied()).filter(|near| word.len() > 2 && *near != word)
    }

    /// As [`misspelt`](Self::misspelt) of ELSE.
    pub(crate) fn misspelt_else(&self) -> Option<&'static str> {
        self.misspelt(&["ELSE"])
    }

    /// As [`misspelt`](Self::misspelt) of the words that go on with a line.
    pub(crate) fn misspelt_clause(&self) -> Option<&'static str> {
        self.misspelt(&CLAUSES)
    }

    /// Reports further tokens behind a whole statement on its line.
    pub(crate) fn after_statement<T>(&mut self) -> Parsed<T> {
        let message = format!("expected the end of the line after the statement, found {}", self.found());
        let draft = Draft::error(codes::AFTER_LINE, self.span(), message).expected(&[super::LINE_END]);
        if let Some(near) = self.misspelt_clause() {
            return self.fail(draft.did_you_mean(Some(near)));
        }
        let place = Span { end: self.span().start, ..self.span() };
        let begins_value = match &self.peek().kind {
            TokenKind::Text(_) | TokenKind::Int(_) | TokenKind::Double(_) => true,
            TokenKind::Sign(sign) => matches!(sign, Sign::OpenBrace | Sign::OpenParen),
            TokenKind::Word => {
                matches!(self.word(), "PAYLOAD" | "TOPIC" | "GET" | "TIMESTAMP" | "CLIENTID" | "USER")
                    || self.is_local_timestamp()
            }
            _ => false,
        };
        let draft = if let Some((hint, fix)) = self.touching() {
            let draft = draft.suggest(hint);
            return self.fail(match fix {
                Some((span, text)) => draft.fix(span, text),
                None => draft,
            });
        } else if let Some(number) = self.decimal_comma() {
            draft.suggest(format!("write {number}: the sign is a point")).fix(self.span(), ".")
        } else if self.is_text_with_quotes_inside() {
            draft.note("the text ends at its second quote").suggest(
                "write \\\" for a quote inside, or leave out the quotes round JSON: { \"key\": value }",
            )
        } else if self.is_word("MOD") {
            draft.suggest("write % for the rest of a division").fix(self.span(), "%")
        } else if begins_value {
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
