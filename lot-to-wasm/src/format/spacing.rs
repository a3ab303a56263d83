//! The tokens of a line with the spaces between them.

use crate::source::Source;
use crate::token::{Sign, Token, TokenKind};

/// The line anew: one space where there was any, none inside brackets, one around operators between operands and behind commas. Comments stay
/// as they are, those at the end as far off as they were.
pub(super) fn spaced(source: &Source<'_>, tokens: &[Token], end: usize) -> String {
    let mut line = String::new();
    let mut is_prefix = false;
    for (number, token) in tokens.iter().enumerate() {
        if let Some(before) = number.checked_sub(1).and_then(|number| tokens.get(number)) {
            let gap = between(source, before.span.end as usize, token.span.start as usize);
            if gap.trim().is_empty() {
                if wants_space(before, token, is_prefix, !gap.is_empty()) {
                    line.push(' ');
                }
            } else {
                line.push(' ');
                line.push_str(gap.trim());
                line.push(' ');
            }
            is_prefix = is_operator(token) && !is_operand_end(before);
        } else {
            is_prefix = is_operator(token);
        }
        let text = source.slice(token.span);
        line.push_str(text);
    }
    let behind = tokens.last().map_or(end, |token| token.span.end as usize);
    // A string that spans lines ends further down.
    line.push_str(between(source, behind, end).trim_end());
    line
}

fn between<'a>(source: &Source<'a>, start: usize, end: usize) -> &'a str {
    source.text().get(start..end).unwrap_or("")
}

/// `before_is_prefix`: the token before is a sign of the number or operand that follows it.
fn wants_space(before: &Token, token: &Token, before_is_prefix: bool, had_space: bool) -> bool {
    use Sign::{CloseBrace, CloseBracket, CloseParen, Colon, Comma, OpenBrace, OpenBracket, OpenParen};
    if is_sign(before, &[OpenParen, OpenBracket, OpenBrace])
        || is_sign(token, &[CloseParen, CloseBracket, CloseBrace, Comma, Colon])
    {
        return false;
    }
    if is_sign(before, &[Comma, Colon]) {
        return true;
    }
    let is_binary = is_operator(token) && is_operand_end(before);
    if is_binary || (is_operator(before) && !before_is_prefix) { true } else { had_space }
}

fn is_sign(token: &Token, signs: &[Sign]) -> bool {
    matches!(token.kind, TokenKind::Sign(sign) if signs.contains(&sign))
}

/// Operators that never stand in a name; `-` does.
fn is_operator(token: &Token) -> bool {
    use Sign::{
        Equal, EqualEqual, Greater, GreaterEqual, Less, LessEqual, NotEqual, Percent, Plus, Slash, Star,
    };
    is_sign(
        token,
        &[Plus, Star, Slash, Percent, EqualEqual, Equal, NotEqual, Less, LessEqual, Greater, GreaterEqual],
    )
}

/// Whether an operand may end with this token.
fn is_operand_end(token: &Token) -> bool {
    matches!(token.kind, TokenKind::Word | TokenKind::Text(_) | TokenKind::Int(_) | TokenKind::Double(_))
        || is_sign(token, &[Sign::CloseParen, Sign::CloseBracket, Sign::CloseBrace])
}
