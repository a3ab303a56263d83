//! `FILTER src USING REGEX "re"` and `FILTER src USING CSV "n"` (LoT reference §5.3, OD-24, OD-25).
//!
//! ```text
//! "FILTER" source "USING" ( "REGEX" string | "CSV" string )
//!
//! FILTER PAYLOAD USING REGEX "[0-9]+"        -- t=42C 7 gives 42
//! ```

use super::{TransformRow, apply};
use crate::source::Span;
use crate::syntax::parse::{Parsed, Parser};
use crate::syntax::{Expression, Transform};

pub(super) const ROW: TransformRow = TransformRow { keyword: "FILTER", prefix, chained };

fn prefix(parser: &mut Parser<'_, '_>, start: Span) -> Parsed<Expression> {
    let value = parser.primary()?;
    let transform = chained(parser)?;
    apply(parser, start, transform, value)
}

fn chained(parser: &mut Parser<'_, '_>) -> Parsed<Transform> {
    parser.expect_word("USING", "FILTER")?;
    if parser.eat_word("CSV") {
        let span = parser.previous();
        parser.non_portable(span, "FILTER USING CSV");
        return Ok(Transform::FilterCsv(parser.expect_text("CSV")?));
    }
    parser.expect_word("REGEX", "USING")?;
    Ok(Transform::FilterRegex(parser.expect_text("REGEX")?))
}
