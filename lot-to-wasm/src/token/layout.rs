//! Layout: where logical lines end and blocks open and close (LoT reference §2).
//!
//! Inside brackets lines mean nothing. In Actions and Models a deeper line that begins with a word
//! of [`CONTINUATIONS`] belongs to the line before. A line that is less deep than the one before
//! must match an open block; one that matches none is reported once and read as a line of the block
//! that was probably meant ([`level`]). A deeper line is reported once and joined as well if the
//! line before cannot end there, or if its first token cannot begin a line. Braces round blocks,
//! which other languages have, open and close nothing: the parser reports the first.

mod level;
mod rest;

use level::Level;

use super::lexer::{Indentation, RawToken};
use super::{ONE_LINE, Sign, Token, TokenKind};
use crate::diagnostic::{Draft, Sink, codes};
use crate::limits::BLOCK_DEPTH_MAX;
use crate::source::Span;
use crate::statement::{self, Use};

/// Words that continue the line before when their line is deeper than the open block. No block can
/// begin with them.
const CONTINUATIONS: [&str; 13] =
    ["ELSE", "AND", "OR", "AND_THEN", "WITH", "USING", "IN", "TO", "AS", "METHOD", "RETURN", "WHEN", "FOR"];

/// Words beside those of statements that begin a line, and never one inside brackets: there the
/// bracket was forgotten.
const HEAD_STARTS: [&str; 4] = ["DEFINE", "ON", "ADD", "OUTPUT"];

/// More words that begin a line, which may stand in brackets or in another case.
const LINE_STARTS: [&str; 4] = ["STORE", "FETCH", "RETURN", "DESCRIPTION"];

/// Words beside those of statements that begin a line which opens a block, or which people of other
/// languages end with `{`.
const BLOCK_LINES: [&str; 8] = ["ELSEIF", "ELSIF", "ELIF", "DO", "ON", "DEFINE", "WHILE", "FOR"];

/// Words after which a brace is a value.
const BEFORE_VALUES: [&str; 12] =
    ["WITH", "TO", "AS", "IN", "IS", "EQUALS", "EQUAL", "CONTAINS", "AND", "OR", "NOT", "CASE"];

/// Puts `Newline`, `Indent` and `Dedent` between the tokens.
pub(super) fn arrange(raw: Vec<RawToken>, joins_lines: bool, sink: &mut Sink<'_>) -> Vec<Token> {
    let mut layout = Layout {
        sink,
        joins_lines,
        tokens: Vec::with_capacity(raw.len() + raw.len() / 4),
        levels: vec![Level::new(0)],
        last_width: 0,
        brackets: Vec::new(),
        warned_tab: false,
        warned_odd: false,
        brace_bodies: 0,
    };
    let mut end = Span::default();
    let mut raw = raw.into_iter().peekable();
    // Indentation of a brace that was left out, for the next token on its line.
    let mut left_over = None;
    while let Some(RawToken { token, indent }) = raw.next() {
        end = token.span.after();
        let begins = indent.or(left_over.take());
        let ends_line = raw.peek().is_none_or(|next| next.indent.is_some());
        if layout.leaves_out(&token, begins.is_some(), ends_line) {
            left_over = begins.filter(|_| !ends_line);
            continue;
        }
        if let Some(indent) = begins {
            layout.line(&token, indent, ends_line);
        }
        layout.bracket(&token, ends_line);
        layout.tokens.push(token);
    }
    layout.finish(end)
}

struct Layout<'s, 'k> {
    sink: &'s mut Sink<'k>,
    joins_lines: bool,
    tokens: Vec<Token>,
    /// The open blocks; the first is the entity itself.
    levels: Vec<Level<'k>>,
    /// Column of the last line, if it was misplaced not that of its block.
    last_width: u32,
    /// Open brackets.
    brackets: Vec<(Sign, Span)>,
    warned_tab: bool,
    warned_odd: bool,
    /// Braces round blocks that are open: the parser reports them, and their `}` are no errors of
    /// their own.
    brace_bodies: usize,
}

impl<'k> Layout<'_, 'k> {
    /// Called at the first token of each line.
    fn line(&mut self, token: &Token, indent: Indentation, ends_line: bool) {
        let word = self.word(token);
        if !self.brackets.is_empty() {
            if !begins_statement(word) {
                return;
            }
            self.report_unclosed();
        }
        if self.continues(word, indent.width) || self.is_cut_in_two(token, word, indent.width) {
            return;
        }
        // Returned values stand below a RETURN that is alone on its line.
        let head = if word == "RETURN" && !ends_line { "" } else { word };
        let is_stray = self.is_in_statement();
        self.end_line();
        if self.opens_level(indent.width) {
            if self.levels.len() > 4 * BLOCK_DEPTH_MAX {
                return;
            }
            self.levels.push(Level { is_stray, ..Level::new(indent.width) });
            self.tokens.push(Token { kind: TokenKind::Indent, span: indent.span });
            if !is_stray {
                self.warn(indent);
            }
        } else if let Some(level) = self.levels.iter().rposition(|level| level.holds(indent.width)) {
            self.close_levels(level, token.span);
            self.warn(indent);
        } else {
            self.misplaced(indent, token.span, head);
        }
        self.last_width = indent.width;
        if let Some(level) = self.levels.last_mut() {
            level.word = word;
        }
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "only the special cases are named")]
    fn word(&self, token: &Token) -> &'k str {
        match token.kind {
            TokenKind::Word | TokenKind::Sign(Sign::Plus) => self.sink.source().slice(token.span),
            _ => "",
        }
    }

    fn continues(&self, word: &str, width: u32) -> bool {
        let opens_block = self.tokens.is_empty() || block_follows(self.last_word());
        let is_continuation = word == "+" || CONTINUATIONS.contains(&word);
        // A line that continues nothing is reported. Below it, a continuation belongs to the line
        // before that one.
        let column = self.levels.iter().rev().find(|level| !level.is_stray).map_or(0, |level| level.width);
        self.joins_lines && is_continuation && !opens_block && width > column
    }

    /// Whether the line is the rest of the one before: that one cannot end so, or this one begins
    /// with a token that begins no line. Reports it, and reads both as one line.
    fn is_cut_in_two(&mut self, token: &Token, word: &str, width: u32) -> bool {
        let Some(last) = self.tokens.last().filter(|_| self.joins_lines && width >= self.top()) else {
            return false;
        };
        let line = self.levels.last().map_or("", |level| level.word);
        // The lines of some lists may end with a comma; those of a CALL are none.
        let goes_on = line == "CALL" && last.kind == TokenKind::Sign(Sign::Comma) && word != "IF";
        let begins_block = begins_line(word) || (line == "CASE" && word == "IF");
        if width == self.top() && !goes_on || begins_block || self.opens_block() {
            return false;
        }
        if word == "DO" {
            return self.is_indented_do(token);
        }
        let end = last.span;
        let what = if rest::is_unfinished(last, self.last_word()) {
            format!("the line before ends with {}", self.shown(last))
        } else if line != "SWITCH" && rest::is_rest(token, word)
            || (word == "THEN" && self.begins_condition())
        {
            format!("no line begins with {}", self.shown(token))
        } else {
            return false;
        };
        let gap = Span { start: end.end, end: token.span.start };
        let draft = Draft::error(codes::UNEXPECTED_INDENT, token.span, format!("unexpected line: {what}"))
            .suggest(ONE_LINE);
        let is_blank = self.sink.source().slice(gap).trim().is_empty();
        self.sink.push(if is_blank { draft.fix(gap, " ") } else { draft });
        true
    }

    /// DO below its trigger, but not in its column: reported, and read as if it stood there.
    fn is_indented_do(&mut self, token: &Token) -> bool {
        let is_head = self.levels.len() == 1;
        if is_head {
            let gap = self.tokens.last().map_or(token.span, |last| last.span.after().to(token.span));
            let message = "unexpected INDENT: DO must stand in column 1";
            let draft = Draft::error(codes::INDENTED_TRIGGER, token.span, message)
                .suggest("write DO in column 1, or at the end of the trigger's line");
            let is_blank = self.sink.source().slice(Span { end: token.span.start, ..gap }).trim().is_empty();
            self.sink.push(if is_blank { draft.fix(gap, " DO") } else { draft });
        }
        is_head
    }

    fn shown(&self, token: &Token) -> String {
        format!("`{}`", self.sink.source().slice(token.span))
    }

    /// Whether the last line begins a condition that THEN can end.
    fn begins_condition(&self) -> bool {
        let word = self.levels.last().map_or("", |level| level.word);
        ["IF", "ELSE", "CASE", "DEFAULT"].contains(&word)
    }

    /// Whether the last line ends as one that opens a block does.
    fn opens_block(&self) -> bool {
        let last = self.last_word();
        let is_list = last == "WITH" && self.line_has("PUBLISH", "MODEL");
        last == "ELSE" || block_follows(last) || is_list
    }

    /// Whether these two words stand behind each other on the last line.
    fn line_has(&self, first: &str, second: &str) -> bool {
        let line: Vec<&Token> = self.line_tokens().collect();
        line.windows(2).any(|pair| matches!(pair, [b, a] if self.word(a) == first && self.word(b) == second))
    }

    /// The tokens of the last line, from its end.
    fn line_tokens(&self) -> impl Iterator<Item = &Token> {
        let is_layout =
            |token: &&Token| matches!(token.kind, TokenKind::Newline | TokenKind::Indent | TokenKind::Dedent);
        self.tokens.iter().rev().take_while(move |token| !is_layout(token))
    }

    /// Whether the last line begins with a statement that has no block, and ends as one.
    fn is_in_statement(&self) -> bool {
        let word = self.levels.last().map_or("", |level| level.word);
        statement::is(word, Use::EndsWithValue) && !self.opens_block()
    }

    /// Whether a line of this width begins a block. After a misplaced line, a deeper line begins
    /// one only behind a line that opens one.
    fn opens_level(&self, width: u32) -> bool {
        let is_deeper = width > self.last_width && (width > self.top() || self.begins_block_line());
        is_deeper && !self.tokens.is_empty()
    }

    /// The token before, when it is a word.
    fn last_word(&self) -> &str {
        let last = self.tokens.last().filter(|token| token.kind == TokenKind::Word);
        last.map_or("", |token| self.sink.source().slice(token.span))
    }

    fn top(&self) -> u32 {
        self.levels.last().map_or(0, |level| level.width)
    }

    fn end_line(&mut self) {
        if let Some(last) = self.tokens.last()
            && !matches!(last.kind, TokenKind::Newline | TokenKind::Indent | TokenKind::Dedent)
        {
            let span = last.span.after();
            self.tokens.push(Token { kind: TokenKind::Newline, span });
        }
    }

    /// Closes all blocks inside of this one.
    fn close_levels(&mut self, level: usize, at: Span) {
        while self.levels.len() > level + 1 {
            self.levels.pop();
            self.tokens.push(Token { kind: TokenKind::Dedent, span: Span { end: at.start, ..at } });
        }
    }

    /// Reports a line that stands in the column of no open block, and goes on with it in the one
    /// that was probably meant.
    fn misplaced(&mut self, indent: Indentation, at: Span, word: &str) {
        let columns: Vec<String> = self.levels.iter().map(|level| (level.width + 1).to_string()).collect();
        let meant = level::meant(&self.levels, indent.width, word, self.joins_lines);
        self.close_levels(meant, at);
        let span = if indent.span.start == indent.span.end { at } else { indent.span };
        let message = format!("inconsistent indentation: column {} matches no open block", indent.width + 1);
        let draft = Draft::error(codes::INCONSISTENT_INDENTATION, span, message)
            .note(format!("open blocks start in columns {}", columns.join(", ")))
            .suggest(format!("move the line to column {}", self.top() + 1))
            .fix(indent.span, " ".repeat(self.top() as usize));
        self.sink.push(draft);
        self.warned_odd = true;
        if let Some(level) = self.levels.last_mut() {
            level.taken_for_it.push(indent.width);
        }
    }

    fn warn(&mut self, indent: Indentation) {
        if indent.has_tab && !self.warned_tab {
            self.warned_tab = true;
            let draft = Draft::warning(codes::TAB_INDENTATION, indent.span, "tab in the indentation");
            self.sink.push(draft.suggest("indent by 4 spaces per level"));
        }
        if !indent.width.is_multiple_of(4) && !self.warned_odd {
            self.warned_odd = true;
            let message = format!("indentation of {} columns is not a multiple of 4", indent.width);
            let draft = Draft::warning(codes::ODD_INDENTATION, indent.span, message);
            self.sink.push(draft.suggest("indent by 4 spaces per level"));
        }
    }

    /// Whether the token is part of braces round a block and means nothing: a `}`, or a `{` alone
    /// on its line, which is reported.
    fn leaves_out(&mut self, token: &Token, begins_line: bool, ends_line: bool) -> bool {
        if !self.brackets.is_empty() {
            return false;
        }
        if token.kind == TokenKind::Sign(Sign::CloseBrace) && self.brace_bodies > 0 {
            self.brace_bodies -= 1;
            return true;
        }
        let is_alone = begins_line && ends_line && token.kind == TokenKind::Sign(Sign::OpenBrace);
        if is_alone && self.begins_block_line() {
            self.brace_bodies += 1;
            let draft = Draft::error(codes::NOT_LOT, token.span, "blocks are not written in braces");
            self.sink.push(
                draft.suggest("leave it out and indent the statements by 4 spaces").fix(token.span, ""),
            );
            return true;
        }
        false
    }

    /// Whether the last line begins like one that opens a block.
    fn begins_block_line(&self) -> bool {
        let word = self.levels.last().map_or("", |level| level.word);
        let word = word.to_ascii_uppercase();
        BLOCK_LINES.contains(&word.as_str()) || statement::is(&word, Use::BeginsBlock)
    }

    /// Whether a `{` here, the last sign of its line, is meant to open a block.
    fn opens_brace_body(&self, ends_line: bool) -> bool {
        if self.last_word() == "DO" {
            return true;
        }
        let ends_value = self.tokens.last().is_some_and(|last| match &last.kind {
            TokenKind::Sign(sign) => sign.closes(),
            TokenKind::Word => !BEFORE_VALUES.contains(&self.last_word()),
            TokenKind::Text(_) | TokenKind::Int(_) | TokenKind::Double(_) => true,
            TokenKind::Unknown
            | TokenKind::Newline
            | TokenKind::Indent
            | TokenKind::Dedent
            | TokenKind::End => false,
        });
        let opens_block = self.begins_block_line() && !self.has_statement_on_line();
        self.brackets.is_empty() && ends_line && ends_value && opens_block
    }

    /// Whether a statement with a value stands on the last line, behind THEN or ELSE: a brace can
    /// be that value.
    fn has_statement_on_line(&self) -> bool {
        self.line_tokens().any(|token| statement::is(self.word(token), Use::EndsWithValue))
    }

    fn bracket(&mut self, token: &Token, ends_line: bool) {
        let TokenKind::Sign(sign) = token.kind else { return };
        if sign == Sign::OpenBrace && self.opens_brace_body(ends_line) {
            self.brace_bodies += 1;
        } else if sign.closing().is_some() {
            self.brackets.push((sign, token.span));
        } else if sign.closes() {
            self.close(sign, token.span);
        }
    }

    fn close(&mut self, sign: Sign, span: Span) {
        let Some(depth) = self.brackets.iter().rposition(|(open, _)| open.closing() == Some(sign)) else {
            let message = format!("`{}` closes no bracket", sign.text());
            let is_brace = sign == Sign::CloseBrace;
            let hint = if is_brace { "remove it: blocks are not written in braces" } else { "remove it" };
            let draft = Draft::error(codes::UNMATCHED_BRACKET, span, message).suggest(hint);
            self.sink.push(draft.fix(span, ""));
            return;
        };
        // Brackets opened after the matching one were never closed.
        let unclosed = self.brackets.split_off(depth + 1);
        self.brackets.pop();
        for (open, span) in unclosed {
            self.report(open, span);
        }
    }

    fn report_unclosed(&mut self) {
        for (open, span) in std::mem::take(&mut self.brackets) {
            self.report(open, span);
        }
    }

    fn report(&mut self, open: Sign, span: Span) {
        if self.sink.is_full() {
            return;
        }
        let closing = open.closing().map_or("", Sign::text);
        let message = format!("`{}` is not closed", open.text());
        let draft = Draft::error(codes::UNCLOSED_BRACKET, span, message)
            .suggest(format!("write `{closing}` where the bracket ends"));
        // The end of the bracket is only certain if it has a single line.
        let last = self.tokens.last().map_or(span, |token| token.span);
        let is_one_line = !self.sink.source().slice(span.to(last)).contains(['\n', '\r']);
        self.sink.push(if is_one_line { draft.fix(last.after(), closing) } else { draft });
    }

    fn finish(mut self, end: Span) -> Vec<Token> {
        self.report_unclosed();
        self.end_line();
        self.close_levels(0, end);
        self.tokens.push(Token { kind: TokenKind::End, span: end });
        self.tokens
    }
}

/// Whether a line may begin with this word, and none inside brackets does.
fn begins_statement(word: &str) -> bool {
    HEAD_STARTS.contains(&word) || statement::is(word, Use::BeginsStatement)
}

/// Whether a line may begin with this word.
fn begins_line(word: &str) -> bool {
    begins_statement(word) || LINE_STARTS.contains(&word) || statement::is(word, Use::BeginsLine)
}

/// Whether the deeper line behind a line with this word at its end is always a block.
fn block_follows(word: &str) -> bool {
    word == "DO" || statement::is(word, Use::BlockFollows)
}
