//! The pieces of a line with the spaces between them.

use super::pieces::{Piece, What};
use crate::statement::{self, Use};
use crate::token::{Sign, TokenKind};

/// Words beside those of statements behind which a bracket begins a value, and not the arguments of
/// a function.
const BEFORE_VALUES: [&str; 11] =
    ["AND", "AND_THEN", "CONTAINS", "EQUAL", "EQUALS", "IN", "IS", "NOT", "OR", "TO", "WITH"];

/// Words in front of a `-` that is an operator; behind others it may go on with a name.
const BEFORE_MINUS: [&str; 5] = ["DOUBLE", "FLOAT", "INT", "PAYLOAD", "RESULT"];

/// Role of a `-` behind an operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Minus {
    /// An operator, which has spaces around it.
    Operator,
    /// Part of a name, such as a value of a route: left as it is.
    OfName,
}

/// Formats the line: one space where there was any, none inside brackets, one around operators
/// between operands and behind commas, and one around comments. Comments at the end keep their
/// distance. `code_before` is the code on the lines before: an operator may continue it.
pub(super) fn spaced<'p>(
    text: &str,
    pieces: &'p [Piece],
    (mut code_before, minus): (Option<&'p Piece>, Minus),
) -> String {
    let mut line = String::new();
    let mut follows_operator = false;
    let code_end = pieces.iter().rposition(|piece| !piece.is_comment()).map_or(0, |last| last + 1);
    for (number, piece) in pieces.iter().enumerate() {
        let before = number.checked_sub(1).and_then(|number| pieces.get(number));
        let gap = before.map_or("", |before| text.get(before.range.end..piece.range.start).unwrap_or(""));
        if let Some(before) = before {
            let space = match (&before.what, &piece.what) {
                (_, What::Comment) if number >= code_end => gap,
                (What::Code(_), What::Code(_)) => {
                    let is_apart =
                        !gap.is_empty() || follows_operator || is_operator(text, Some(before), piece, minus);
                    if wants_space(text, before, piece, is_apart) { " " } else { "" }
                }
                (What::Code(_), What::Comment) if opens(before) => "",
                (What::Comment, What::Code(_)) if is_tight(piece) => "",
                (_, _) => " ",
            };
            line.push_str(space);
        }
        match piece.what {
            What::Comment => line.push_str(&comment(piece.text(text))),
            What::Code(_) => {
                follows_operator = is_operator(text, code_before, piece, minus);
                code_before = Some(piece);
                line.push_str(piece.text(text));
            }
        }
    }
    line
}

/// A comment without blanks at the ends of its lines.
pub(super) fn comment(comment: &str) -> String {
    let comment = comment.replace("\r\n", "\n").replace('\r', "\n");
    comment.split('\n').map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// `is_apart`: there was a space, or one of them is an operator between operands.
fn wants_space(text: &str, before: &Piece, piece: &Piece, is_apart: bool) -> bool {
    if opens(before) || is_tight(piece) {
        return false;
    }
    if is_sign(before, &[Sign::Comma, Sign::Colon]) {
        return true;
    }
    let begins_value =
        is_sign(piece, &[Sign::OpenParen, Sign::OpenBrace]) && is_before_value(before.text(text));
    is_apart || begins_value || are_operands(before, piece)
}

/// Whether one of two neighbours is a string, or the first is a closing bracket. Words and numbers
/// that touch are one name.
fn are_operands(before: &Piece, piece: &Piece) -> bool {
    let is_text = |piece: &Piece| matches!(piece.code().map(|code| &code.kind), Some(TokenKind::Text(_)));
    let is_plain = |piece: &Piece| is_operand_end(piece) && !closes(piece);
    is_plain(piece) && (closes(before) || (is_plain(before) && (is_text(before) || is_text(piece))))
}

fn opens(piece: &Piece) -> bool {
    is_sign(piece, &[Sign::OpenParen, Sign::OpenBracket, Sign::OpenBrace])
}

fn closes(piece: &Piece) -> bool {
    is_sign(piece, &[Sign::CloseParen, Sign::CloseBracket, Sign::CloseBrace])
}

/// Whether it follows the previous piece without a space.
fn is_tight(piece: &Piece) -> bool {
    closes(piece) || is_sign(piece, &[Sign::Comma, Sign::Colon])
}

fn is_sign(piece: &Piece, signs: &[Sign]) -> bool {
    matches!(piece.code().map(|code| &code.kind), Some(TokenKind::Sign(sign)) if signs.contains(sign))
}

/// Whether it is an operator between operands, not the sign of one.
fn is_operator(text: &str, before: Option<&Piece>, piece: &Piece, minus: Minus) -> bool {
    use Sign::{
        Equal, EqualEqual, Greater, GreaterEqual, Less, LessEqual, NotEqual, Percent, Plus, Slash, Star,
    };
    let signs =
        [Plus, Star, Slash, Percent, EqualEqual, Equal, NotEqual, Less, LessEqual, Greater, GreaterEqual];
    let Some(before) = before.filter(|before| is_operand_end(before)) else { return false };
    let is_word = matches!(before.code().map(|code| &code.kind), Some(TokenKind::Word));
    let is_minus = || minus == Minus::Operator && is_sign(piece, &[Sign::Minus]);
    is_sign(piece, &signs) || (is_minus() && (!is_word || BEFORE_MINUS.contains(&before.text(text))))
}

/// Whether an operand may end with this token.
fn is_operand_end(piece: &Piece) -> bool {
    let kind = piece.code().map(|code| &code.kind);
    matches!(kind, Some(TokenKind::Word | TokenKind::Text(_) | TokenKind::Int(_) | TokenKind::Double(_)))
        || closes(piece)
}

/// Whether a value follows a word.
fn is_before_value(word: &str) -> bool {
    BEFORE_VALUES.contains(&word) || statement::is(word, Use::BeforeValue)
}
