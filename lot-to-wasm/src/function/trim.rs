//! `TRIM x`: strips Unicode white space from both ends (LoT reference §5.3).
//!
//! ```text
//! "TRIM" castE
//!
//! TRIM PAYLOAD
//! ```

use super::{TransformRow, apply};
use crate::source::Span;
use crate::syntax::parse::{Parsed, Parser};
use crate::syntax::{Expression, Transform};

pub(super) const ROW: TransformRow = TransformRow { keyword: "TRIM", prefix, chained };

fn prefix(parser: &mut Parser<'_, '_>, start: Span) -> Parsed<Expression> {
    let value = parser.cast()?;
    apply(parser, start, Transform::Trim, value)
}

fn chained(_parser: &mut Parser<'_, '_>) -> Parsed<Transform> {
    Ok(Transform::Trim)
}
