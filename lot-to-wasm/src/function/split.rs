//! `SPLIT x USING ";" AT n`: pieces of a text (LoT reference §5.3, OD-25; not portable).
//!
//! ```text
//! "SPLIT" source [ "USING" ( "CSV" | string ) ] [ "AT" int ]
//!
//! SPLIT PAYLOAD USING ";" AT 2               -- a;b;c gives b
//! ```

use super::{TransformRow, apply};
use crate::source::Span;
use crate::syntax::parse::{Parsed, Parser};
use crate::syntax::{Expression, Transform};

pub(super) const ROW: TransformRow = TransformRow { keyword: "SPLIT", prefix, chained };

fn prefix(parser: &mut Parser<'_, '_>, start: Span) -> Parsed<Expression> {
    let value = parser.primary()?;
    let transform = chained(parser)?;
    apply(parser, start, transform, value)
}

fn chained(parser: &mut Parser<'_, '_>) -> Parsed<Transform> {
    let span = parser.previous();
    parser.non_portable(span, "SPLIT");
    let mut separator = None;
    if parser.eat_word("USING") && !parser.eat_word("CSV") {
        separator = Some(parser.expect_text("USING")?);
    }
    let mut at = None;
    if parser.eat_word("AT") {
        let span = parser.span();
        let number = parser.expect_int("AT")?;
        at = Some((u32::try_from(number).unwrap_or(0), span));
    }
    Ok(Transform::Split { separator, at })
}
