//! Layout: where logical lines end and blocks open and close (LoT reference §2).
//!
//! Inside brackets lines mean nothing. In Actions and Models a deeper line that begins with a word of [`CONTINUATIONS`] belongs to the
//! line before. A line that is less deep than the one before must match an open block.

use super::lexer::{Indentation, RawToken};
use super::{Sign, Token, TokenKind};
use crate::diagnostic::{Draft, Sink, codes};
use crate::limits::BLOCK_DEPTH_MAX;
use crate::source::Span;

/// Words that continue the line before when their line is deeper than the open block. No block can begin with them.
const CONTINUATIONS: [&str; 13] =
    ["ELSE", "AND", "OR", "AND_THEN", "WITH", "USING", "IN", "TO", "AS", "METHOD", "RETURN", "WHEN", "FOR"];

/// Words at the end of a line after which the deeper line is a block, whatever it begins with.
const BLOCK_OPENERS: [&str; 3] = ["DO", "THEN", "LOOP"];

/// Words that begin a statement and never a line inside brackets: there the bracket was forgotten.
const STATEMENT_STARTS: [&str; 13] = [
    "DEFINE", "ON", "SET", "PUBLISH", "KEEP", "DELETE", "SWITCH", "CASE", "LOOP", "UNTIL", "CALL", "ADD",
    "OUTPUT",
];

/// Puts `Newline`, `Indent` and `Dedent` between the tokens.
pub(super) fn arrange(raw: Vec<RawToken>, joins_lines: bool, sink: &mut Sink<'_>) -> Vec<Token> {
    let mut layout = Layout {
        sink,
        joins_lines,
        tokens: Vec::with_capacity(raw.len() + raw.len() / 4),
        indents: vec![0],
        brackets: Vec::new(),
        warned_tab: false,
        warned_odd: false,
        has_brace_body: false,
    };
    let mut end = Span::default();
    for RawToken { token, indent } in raw {
        end = token.span.after();
        if let Some(indent) = indent {
            layout.line(&token, indent);
        }
        layout.bracket(&token);
        layout.tokens.push(token);
    }
    layout.finish(end)
}

struct Layout<'s, 'k> {
    sink: &'s mut Sink<'k>,
    joins_lines: bool,
    tokens: Vec<Token>,
    /// Widths of the open blocks; the first is 0.
    indents: Vec<u32>,
    /// Open brackets.
    brackets: Vec<(Sign, Span)>,
    warned_tab: bool,
    warned_odd: bool,
    /// `DO {` was seen: the parser reports it, and its `}` is no error of its own.
    has_brace_body: bool,
}

impl Layout<'_, '_> {
    /// Called at the first token of each line.
    fn line(&mut self, token: &Token, indent: Indentation) {
        let word = self.word(token);
        if !self.brackets.is_empty() {
            if !STATEMENT_STARTS.contains(&word) {
                return;
            }
            self.report_unclosed();
        }
        if self.continues(word, indent.width) {
            return;
        }
        self.warn(indent);
        self.end_line();
        let top = self.top();
        if indent.width > top && !self.tokens.is_empty() {
            if self.indents.len() > 4 * BLOCK_DEPTH_MAX {
                return;
            }
            self.indents.push(indent.width);
            self.tokens.push(Token { kind: TokenKind::Indent, span: indent.span });
        } else if indent.width < top {
            self.dedent(indent, token.span);
        }
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "only the special cases are named")]
    fn word<'b>(&self, token: &Token) -> &'b str
    where
        Self: 'b,
    {
        match token.kind {
            TokenKind::Word | TokenKind::Sign(Sign::Plus) => self.sink.source().slice(token.span),
            _ => "",
        }
    }

    fn continues(&self, word: &str, width: u32) -> bool {
        let opens_block = self.tokens.is_empty() || BLOCK_OPENERS.contains(&self.last_word());
        let is_continuation = word == "+" || CONTINUATIONS.contains(&word);
        self.joins_lines && is_continuation && !opens_block && width > self.top()
    }

    /// The token before, when it is a word.
    fn last_word(&self) -> &str {
        let last = self.tokens.last().filter(|token| token.kind == TokenKind::Word);
        last.map_or("", |token| self.sink.source().slice(token.span))
    }

    fn top(&self) -> u32 {
        self.indents.last().copied().unwrap_or(0)
    }

    fn end_line(&mut self) {
        if let Some(last) = self.tokens.last()
            && !matches!(last.kind, TokenKind::Newline | TokenKind::Indent | TokenKind::Dedent)
        {
            let span = last.span.after();
            self.tokens.push(Token { kind: TokenKind::Newline, span });
        }
    }

    fn dedent(&mut self, indent: Indentation, at: Span) {
        while self.top() > indent.width {
            self.indents.pop();
            self.tokens.push(Token { kind: TokenKind::Dedent, span: Span { end: at.start, ..at } });
        }
        if self.top() != indent.width {
            let span = if indent.span.start == indent.span.end { at } else { indent.span };
            let open: Vec<String> = self.indents.iter().map(|width| (width + 1).to_string()).collect();
            let message =
                format!("inconsistent indentation: column {} matches no open block", indent.width + 1);
            let draft = Draft::error(codes::INCONSISTENT_INDENTATION, span, message)
                .note(format!("open blocks start in columns {}", open.join(", ")))
                .suggest(format!("move the line to column {}", self.top() + 1))
                .fix(indent.span, " ".repeat(self.top() as usize));
            self.sink.push(draft);
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

    fn bracket(&mut self, token: &Token) {
        let TokenKind::Sign(sign) = token.kind else { return };
        if sign == Sign::OpenBrace && self.last_word() == "DO" {
            self.has_brace_body = true;
        } else if sign.closing().is_some() {
            self.brackets.push((sign, token.span));
        } else if sign.closes() {
            self.close(sign, token.span);
        }
    }

    fn close(&mut self, sign: Sign, span: Span) {
        let Some(depth) = self.brackets.iter().rposition(|(open, _)| open.closing() == Some(sign)) else {
            if sign == Sign::CloseBrace && self.has_brace_body {
                return;
            }
            let message = format!("`{}` closes no bracket", sign.text());
            let draft = Draft::error(codes::UNMATCHED_BRACKET, span, message).suggest("remove it");
            self.sink.push(draft.fix(span, ""));
            return;
        };
        // What was opened after the matching bracket was never closed.
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
        let closing = open.closing().map_or("", Sign::text);
        let message = format!("`{}` is not closed", open.text());
        let draft = Draft::error(codes::UNCLOSED_BRACKET, span, message);
        self.sink.push(draft.suggest(format!("write `{closing}` where the bracket ends")));
    }

    fn finish(mut self, end: Span) -> Vec<Token> {
        self.report_unclosed();
        self.end_line();
        for _ in 1..self.indents.len() {
            self.tokens.push(Token { kind: TokenKind::Dedent, span: end });
        }
        self.tokens.push(Token { kind: TokenKind::End, span: end });
        self.tokens
    }
}
