//! Tokens: words, literals and signs, and the line ends and indentation that mean something.
//!
//! [`lexer`] finds the tokens of an entity's text, [`layout`] turns line starts into `Newline`,
//! `Indent` and `Dedent`. Keywords are words: they are reserved only where the grammar expects
//! them, so the parser decides.
//!
//! Invariants: spans ascend and lie on character boundaries; the stream ends with `Newline`, one
//! `Dedent` per open `Indent`, `End`.

mod layout;
mod lexer;

use lot_facts::Kind;

use crate::diagnostic::Sink;
use crate::source::{Source, Span};
use crate::syntax::parse::kind_of;
use lexer::RawToken;

/// Suggestion for a line that is the rest of the line before.
pub(crate) const ONE_LINE: &str =
    "write it on one line with the line before, or parentheses round what takes several";

/// A token with its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) span: Span,
}

/// Kind of a token.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum TokenKind {
    /// A keyword or an identifier; its text is that of the span.
    Word,
    /// A string with its escapes resolved.
    Text(String),
    /// A whole number that fits 64 bits.
    Int(i64),
    /// Any other number, finite.
    Double(f64),
    /// An operator or punctuation.
    Sign(Sign),
    /// Something that is no token; an error was reported.
    Unknown,
    /// End of a logical line.
    Newline,
    /// The next line is deeper.
    Indent,
    /// The next line is less deep; one per closed level.
    Dedent,
    /// End of the text.
    End,
}

/// Operators and punctuation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    Plus,
    Minus,
    Star,
    Slash,
    Percent,
    EqualEqual,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    OpenParen,
    CloseParen,
    OpenBracket,
    CloseBracket,
    OpenBrace,
    CloseBrace,
    Comma,
    Colon,
    Dot,
}

impl Sign {
    /// As written.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Sign::Plus => "+",
            Sign::Minus => "-",
            Sign::Star => "*",
            Sign::Slash => "/",
            Sign::Percent => "%",
            Sign::EqualEqual => "==",
            Sign::Equal => "=",
            Sign::NotEqual => "!=",
            Sign::Less => "<",
            Sign::LessEqual => "<=",
            Sign::Greater => ">",
            Sign::GreaterEqual => ">=",
            Sign::OpenParen => "(",
            Sign::CloseParen => ")",
            Sign::OpenBracket => "[",
            Sign::CloseBracket => "]",
            Sign::OpenBrace => "{",
            Sign::CloseBrace => "}",
            Sign::Comma => ",",
            Sign::Colon => ":",
            Sign::Dot => ".",
        }
    }

    /// The bracket that closes this one, when it opens.
    #[allow(clippy::wildcard_enum_match_arm, reason = "only the special cases are named")]
    pub(crate) fn closing(self) -> Option<Sign> {
        match self {
            Sign::OpenParen => Some(Sign::CloseParen),
            Sign::OpenBracket => Some(Sign::CloseBracket),
            Sign::OpenBrace => Some(Sign::CloseBrace),
            _ => None,
        }
    }

    /// Whether it closes a bracket.
    pub(crate) fn closes(self) -> bool {
        matches!(self, Sign::CloseParen | Sign::CloseBracket | Sign::CloseBrace)
    }
}

/// The tokens of an entity's text.
pub(crate) fn tokenize(sink: &mut Sink<'_>) -> Vec<Token> {
    let raw = lexer::scan(sink);
    let joins_lines = joins_lines(&raw, sink.source());
    layout::arrange(raw, joins_lines, sink)
}

/// Returns the tokens of an entity's text, without reporting errors.
pub(crate) fn tokenize_quietly(source: &Source<'_>) -> Vec<Token> {
    tokenize(&mut Sink::new(source))
}

/// Whether the continuation rule of §2 holds: in Actions and Models.
fn joins_lines(raw: &[RawToken], source: &Source<'_>) -> bool {
    let words = raw.iter().map(|raw| source.slice(raw.token.span));
    let kind = words.skip_while(|word| !word.eq_ignore_ascii_case("DEFINE")).nth(1).and_then(kind_of);
    matches!(kind, Some(Kind::Action | Kind::Model))
}
