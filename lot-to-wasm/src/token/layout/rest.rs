//! Lines that continue the one before, without a word that shows it.

use crate::statement::{self, Use};
use crate::token::{Sign, Token, TokenKind};

/// Words beside those of statements behind which no line ends, unless a block follows.
const UNFINISHED: [&str; 26] = [
    "DEFINE", "FROM", "ON", "TOPIC", "EVERY", "INPUT", "AS", "ACTION", "AND", "OR", "AND_THEN", "NOT", "IS",
    "IN", "EQUALS", "EQUAL", "CONTAINS", "GET", "JSON", "ENV", "SECRET", "TO", "WITH", "OUTPUT", "ADD",
    "MODEL",
];

/// Words that begin no line: they stand inside of a statement, a trigger or a header.
const INSIDE: [&str; 29] = [
    "PAYLOAD",
    "TOPIC",
    "GET",
    "NOT",
    "EQUALS",
    "EQUAL",
    "CONTAINS",
    "IS",
    "EXISTS",
    "JSON",
    "ENV",
    "SECRET",
    "EMPTY",
    "NULL",
    "TIMESTAMP",
    "RANDOM",
    "FROM",
    "COLLAPSED",
    "EVERY",
    "SECONDS",
    "MINUTES",
    "HOURS",
    "ACTION",
    "PYTHON",
    "AT",
    "DAYS",
    "WEEKS",
    "MONTHS",
    "YEARS",
];

/// Whether no line ends with this: an operator, a comma, or a word that wants something behind it.
pub(super) fn is_unfinished(token: &Token, word: &str) -> bool {
    let is_sign = joins(token) || matches!(token.kind, TokenKind::Sign(Sign::Plus));
    is_sign || UNFINISHED.contains(&word) || statement::is(word, Use::WantsMore)
}

/// Whether no line begins with this: an operator, a value, or a word from the midst of a line.
pub(super) fn is_rest(token: &Token, word: &str) -> bool {
    let is_value = matches!(token.kind, TokenKind::Text(_) | TokenKind::Int(_) | TokenKind::Double(_));
    let opens = matches!(token.kind, TokenKind::Sign(Sign::OpenParen | Sign::OpenBracket | Sign::OpenBrace));
    is_value || opens || joins(token) || INSIDE.contains(&word)
}

/// Whether it stands only between two values.
fn joins(token: &Token) -> bool {
    let TokenKind::Sign(sign) = token.kind else { return false };
    let is_arithmetic = matches!(sign, Sign::Minus | Sign::Star | Sign::Slash | Sign::Percent);
    let is_equality = matches!(sign, Sign::Equal | Sign::EqualEqual | Sign::NotEqual | Sign::Comma);
    is_arithmetic
        || is_equality
        || matches!(sign, Sign::Less | Sign::LessEqual | Sign::Greater | Sign::GreaterEqual)
}
