//! Blocks of statements and recovery between them.

use super::{Parsed, Parser, Reported};
use crate::diagnostic::{Draft, codes};
use crate::limits::{BLOCK_DEPTH_MAX, STATEMENTS_MAX};
use crate::source::Span;
use crate::statement::{self, Statement};
use crate::token::{ONE_LINE, Sign, Token, TokenKind};

impl Parser<'_, '_> {
    /// An indented block of statements after `opener`, from the end of the opener's line. Errors
    /// inside are reported and skipped; an empty result means that the block itself is missing,
    /// which has been reported.
    pub(crate) fn block(&mut self, opener: &str) -> Parsed<Vec<Statement>> {
        self.block_before(opener, None)
    }

    /// As [`block`](Self::block) for LOOP: an UNTIL in the column of its statements ends them, and
    /// is left.
    pub(crate) fn loop_block(&mut self) -> Parsed<Vec<Statement>> {
        self.block_before("LOOP", Some("UNTIL"))
    }

    /// Whether a deeper line follows.
    pub(crate) fn is_block_below(&self) -> bool {
        self.peek_at(self.newlines_ahead()).kind == TokenKind::Indent
    }

    /// Whether the token before ends a block.
    pub(crate) fn is_after_block(&self) -> bool {
        self.tokens.get(self.at.wrapping_sub(1)).is_some_and(|token| token.kind == TokenKind::Dedent)
    }

    fn block_before(&mut self, opener: &str, end: Option<&str>) -> Parsed<Vec<Statement>> {
        self.skip_foreign_opener();
        if statement::is_first_word(self.word()) {
            return self.block_on_line(opener, end);
        }
        if !self.is_line_end() {
            self.missing::<()>(&[super::LINE_END], opener).ok();
            self.skip_line();
        }
        self.skip_newlines();
        if self.peek().kind != TokenKind::Indent {
            return self.empty_block(opener);
        }
        self.indented_statements(end)
    }

    /// The statements of a block whose `Indent` stands here.
    fn indented_statements(&mut self, end: Option<&str>) -> Parsed<Vec<Statement>> {
        self.advance();
        if self.blocks >= BLOCK_DEPTH_MAX {
            let result = self.blocks_too_deep(BLOCK_DEPTH_MAX);
            self.skip_block();
            return result;
        }
        self.blocks += 1;
        let statements = self.statements_before(end);
        self.blocks -= 1;
        if self.peek().kind == TokenKind::Dedent {
            self.advance();
        }
        Ok(statements)
    }

    /// A statement on the line of `opener`, where only blocks are allowed: reported, and read as
    /// the first one of the block.
    fn block_on_line(&mut self, opener: &str, end: Option<&str>) -> Parsed<Vec<Statement>> {
        let message = format!("expected the end of the line after {opener}, found {}", self.found());
        let draft = Draft::error(codes::AFTER_LINE, self.span(), message);
        let gap = Span { start: self.previous().end, end: self.span().start };
        let below = format!("\n{}    ", " ".repeat(self.indent_of_line()));
        let hint = "write the statement on a line of its own below, indented by 4 more spaces";
        self.sink.push(draft.suggest(hint).fix(gap, below));
        let mut statements: Vec<Statement> =
            self.nested_statement().map_err(|_| self.skip_line()).into_iter().collect();
        if !self.is_line_end() {
            self.after_statement::<()>().ok();
            self.skip_line();
        }
        self.skip_newlines();
        if self.peek().kind == TokenKind::Indent {
            statements.extend(self.indented_statements(end)?);
        }
        Ok(statements)
    }

    /// How many columns stand before the first token of the line.
    fn indent_of_line(&self) -> usize {
        let taken = self.tokens.get(..self.at).unwrap_or_default().iter().rev();
        let of_line = taken.take_while(|token| {
            !matches!(token.kind, TokenKind::Newline | TokenKind::Indent | TokenKind::Dedent)
        });
        of_line.last().map_or(0, |first| self.column(first.span) as usize - 1)
    }

    fn empty_block(&mut self, opener: &str) -> Parsed<Vec<Statement>> {
        let span = self.previous();
        let at = Span { start: span.end, end: span.end.saturating_add(1) };
        let draft = Draft::error(codes::EMPTY_BLOCK, at, format!("empty block after {opener}"));
        self.fail(draft.suggest("write at least one statement below, indented by 4 more spaces"))
    }

    /// Statements until the block ends; its `Dedent` is left.
    pub(crate) fn statements(&mut self) -> Vec<Statement> {
        self.statements_before(None)
    }

    /// As [`statements`](Self::statements), but they end before a line that begins with this word,
    /// too.
    fn statements_before(&mut self, end: Option<&str>) -> Vec<Statement> {
        let mut statements = Vec::new();
        loop {
            self.skip_newlines();
            match self.peek().kind {
                TokenKind::Dedent | TokenKind::End => return statements,
                TokenKind::Word if end.is_some_and(|end| self.is_keyword(end)) => return statements,
                TokenKind::Indent => self.stray_indent(&mut statements),
                _ => {
                    if self.sink.is_full() {
                        self.skip_block();
                        return statements;
                    }
                    if self.statements > STATEMENTS_MAX {
                        self.skip_block();
                        return statements;
                    }
                    match self.counted_statement() {
                        Ok(statement) => statements.push(statement),
                        Err(Reported) => self.recover(),
                    }
                }
            }
        }
    }

    /// One statement, or the report that there are too many of them.
    fn counted_statement(&mut self) -> Parsed<Statement> {
        self.statements += 1;
        if self.statements > STATEMENTS_MAX {
            let message = format!("more than {STATEMENTS_MAX} statements");
            let draft = Draft::error(codes::TEXT_TOO_LONG, self.span(), message);
            return self.fail(draft.suggest("divide it into several actions that call each other"));
        }
        self.statement()
    }

    /// One statement with the end of its line.
    pub(crate) fn statement(&mut self) -> Parsed<Statement> {
        let start = self.span();
        let before = self.at;
        let kind = statement::parse(self)?;
        debug_assert!(self.at > before, "a statement consumes a token");
        let span = self.span_from(start);
        // A statement that ends with a block has already taken its line's end.
        if !self.is_after_block() {
            if self.is_word("ELSE") {
                let draft = Draft::error(codes::STRAY_ELSE, self.span(), "ELSE without its IF");
                return self.fail(draft.suggest("put ELSE into the column of its IF, after the IF's block"));
            }
            if !self.is_line_end() {
                return self.after_statement();
            }
            self.skip_newlines();
        }
        Ok(Statement { kind, span })
    }

    /// A statement on the line of THEN or ELSE; its line's end is left.
    pub(crate) fn nested_statement(&mut self) -> Parsed<Statement> {
        if self.blocks >= BLOCK_DEPTH_MAX {
            return self.blocks_too_deep(BLOCK_DEPTH_MAX);
        }
        self.blocks += 1;
        let start = self.span();
        let kind = if self.is_sign(Sign::OpenBrace) {
            let draft = Draft::error(codes::NOT_LOT, start, "blocks are not written in braces");
            self.fail(draft.suggest("write the statements on the next lines, indented by 4 spaces"))
        } else {
            statement::parse(self)
        };
        self.blocks -= 1;
        let span = self.span_from(start);
        Ok(Statement { kind: kind?, span })
    }

    /// A deeper line that nothing opened: reported once, its statements are read as if they stood
    /// in the block.
    fn stray_indent(&mut self, statements: &mut Vec<Statement>) {
        let indent = self.advance();
        let after_call = statements.last().is_some_and(|last| last.kind.construct().is_call());
        if !statement::is_meant(self, after_call) {
            let message = format!("unexpected line: {} begins no statement", self.found());
            let draft = Draft::error(codes::UNEXPECTED_INDENT, self.span(), message);
            self.sink.push(draft.suggest(ONE_LINE));
            self.skip_block();
            return;
        }
        let draft = Draft::error(codes::UNEXPECTED_INDENT, indent.span, "unexpected INDENT");
        let draft = draft.suggest("indent the line like the one before");
        self.sink.push(match statements.last() {
            Some(last) => draft.fix(indent.span, " ".repeat(self.column(last.span) as usize - 1)),
            None => draft,
        });
        if self.blocks >= BLOCK_DEPTH_MAX {
            self.skip_block();
            return;
        }
        self.blocks += 1;
        statements.extend(self.statements());
        self.blocks -= 1;
        if self.peek().kind == TokenKind::Dedent {
            self.advance();
        }
    }

    /// The lines from the one of `start` to the last one taken, indented by 4 more spaces; without
    /// the blanks before the first.
    pub(crate) fn indented(&self, start: Span) -> (Span, String) {
        let taken = self.tokens.get(..self.at).unwrap_or_default();
        let is_code = |token: &&Token| {
            !matches!(token.kind, TokenKind::Newline | TokenKind::Indent | TokenKind::Dedent | TokenKind::End)
        };
        let span = start.to(taken.iter().rev().find(is_code).map_or(start, |token| token.span));
        let mut text = "    ".to_owned();
        for line in self.slice(span).split_inclusive(['\n', '\r']) {
            if text.ends_with(['\n', '\r']) && !line.trim().is_empty() {
                text.push_str("    ");
            }
            text.push_str(line);
        }
        (span, text)
    }

    /// After an error in a statement: skips its line, its block, and its further parts (`ELSE`,
    /// `UNTIL`).
    pub(crate) fn recover(&mut self) {
        loop {
            self.skip_line();
            self.skip_newlines();
            if self.peek().kind == TokenKind::Indent {
                self.advance();
                self.block_without_opener();
            }
            if !self.is_else_at(0) && !self.is_keyword("UNTIL") {
                return;
            }
            self.advance();
        }
    }

    /// Reads the block of a line that was not understood, whose `Indent` was taken. Its statements
    /// are left out, but their own mistakes are reported.
    fn block_without_opener(&mut self) {
        // A part of a statement cannot be checked without that statement.
        let is_part = ["CASE", "DEFAULT", "OUTPUT"].contains(&self.word());
        if self.blocks >= BLOCK_DEPTH_MAX || is_part || !statement::is_meant(self, false) {
            return self.skip_block();
        }
        self.blocks += 1;
        self.statements();
        self.blocks -= 1;
        if self.peek().kind == TokenKind::Dedent {
            self.advance();
        }
    }

    /// Skips the rest of the line; its end is left.
    pub(crate) fn skip_line(&mut self) {
        while !matches!(
            self.peek().kind,
            TokenKind::Newline | TokenKind::Indent | TokenKind::Dedent | TokenKind::End
        ) {
            self.advance();
        }
    }

    /// Skips to the end of a block whose `Indent` was taken, with its `Dedent`.
    pub(crate) fn skip_block(&mut self) {
        let mut open = 1usize;
        while open > 0 && !self.is_end() {
            match self.advance().kind {
                TokenKind::Indent => open += 1,
                TokenKind::Dedent => open -= 1,
                _ => {}
            }
        }
    }

    /// Reads lines of an indented block with `line` until it ends, with recovery; without a block
    /// nothing happens.
    pub(crate) fn lines(&mut self, mut line: impl FnMut(&mut Self) -> Parsed<()>) {
        self.skip_newlines();
        if self.peek().kind != TokenKind::Indent {
            return;
        }
        self.advance();
        loop {
            self.skip_newlines();
            match self.peek().kind {
                TokenKind::Dedent => {
                    self.advance();
                    return;
                }
                TokenKind::End => return,
                TokenKind::Indent => {
                    let indent = self.advance();
                    let draft = Draft::error(codes::UNEXPECTED_INDENT, indent.span, "unexpected INDENT");
                    self.sink.push(draft.suggest("indent the line like the one before"));
                    self.skip_block();
                }
                _ => {
                    let before = self.at;
                    if line(self).is_err() || self.at == before {
                        self.recover();
                    }
                }
            }
        }
    }
}
