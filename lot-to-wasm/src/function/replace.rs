//! `REPLACE a WITH b IN src`: every occurrence of a text (LoT reference §5.3, OD-60).
//!
//! ```text
//! "REPLACE" castE "WITH" castE "IN" castE | "REPLACE" "(" value "," value "," value ")"
//!
//! REPLACE " " WITH "_" IN PAYLOAD            -- a b c gives a_b_c
//! REPLACE(PAYLOAD, " ", "_")                 -- old call form: source first
//! ```

use super::{TransformRow, apply};
use crate::source::Span;
use crate::syntax::parse::{Parsed, Parser};
use crate::syntax::{Expression, Transform};
use crate::token::Sign;

pub(super) const ROW: TransformRow = TransformRow { keyword: "REPLACE", prefix, chained };

fn prefix(parser: &mut Parser<'_, '_>, start: Span) -> Parsed<Expression> {
    if parser.is_sign(Sign::OpenParen) && parser.comma_follows_in_parens() {
        return call_form(parser, start);
    }
    let transform = chained(parser)?;
    parser.expect_word("IN", "the replacement")?;
    let value = parser.cast()?;
    apply(parser, start, transform, value)
}

fn call_form(parser: &mut Parser<'_, '_>, start: Span) -> Parsed<Expression> {
    parser.non_portable(start, "the call form of REPLACE");
    parser.advance();
    let (value, search, replacement) = parser.enclosed(|parser| {
        let value = parser.value()?;
        parser.expect_sign(Sign::Comma, "the source of REPLACE")?;
        let search = parser.value()?;
        parser.expect_sign(Sign::Comma, "the text to replace")?;
        Ok((value, search, parser.value()?))
    })?;
    parser.expect_sign(Sign::CloseParen, "the arguments of REPLACE")?;
    apply(parser, start, Transform::Replace { search, replacement }, value)
}

fn chained(parser: &mut Parser<'_, '_>) -> Parsed<Transform> {
    let search = parser.cast()?;
    parser.expect_word("WITH", "the text to replace")?;
    let replacement = parser.cast()?;
    Ok(Transform::Replace { search, replacement })
}
