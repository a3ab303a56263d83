//! Functions and text transforms: one file per transform; the call forms are rows of [`CALLS`].
//!
//! This file is the registry: the parser finds a transform by its first word in [`TRANSFORMS`] and
//! a call form by its name.

mod filter;
mod replace;
mod split;
mod trim;

use std::ops::RangeInclusive;

use crate::check::kind::KindSet;
use crate::check::tree::Function;
use crate::source::Span;
use crate::syntax::parse::{Parsed, Parser};
use crate::syntax::{Expression, ExpressionKind, Transform};

/// A text transform (§5.3).
pub(crate) struct TransformRow {
    /// Its first word.
    pub(crate) keyword: &'static str,
    /// The prefix form after the word: with the value.
    pub(crate) prefix: fn(&mut Parser<'_, '_>, Span) -> Parsed<Expression>,
    /// The form after `AND_THEN`, after the word: without the value.
    pub(crate) chained: fn(&mut Parser<'_, '_>) -> Parsed<Transform>,
}

/// Text transforms, one line each.
pub(crate) const TRANSFORMS: &[TransformRow] = &[filter::ROW, replace::ROW, split::ROW, trim::ROW];

/// A function in call form (OD-12).
pub struct CallRow {
    /// Its name.
    pub keyword: &'static str,
    /// Function in the checked tree.
    pub function: Function,
    /// How many arguments it takes.
    pub arguments: RangeInclusive<usize>,
    /// Kinds of the result, for arguments that are not Empty.
    pub result: KindSet,
    /// An expression and its canonical text; run as a test.
    pub example: (&'static str, &'static str),
}

/// Functions in call form, one line each.
#[rustfmt::skip]
pub const CALLS: &[CallRow] = &[
    CallRow { keyword: "UPPER", function: Function::Upper, arguments: 1..=1, result: KindSet::TEXT_DATA, example: ("UPPER(\"añ1\")", "AÑ1") },
    CallRow { keyword: "LOWER", function: Function::Lower, arguments: 1..=1, result: KindSet::TEXT_DATA, example: ("LOWER(\"AÑ1\")", "añ1") },
    CallRow { keyword: "LENGTH", function: Function::Length, arguments: 1..=1, result: KindSet::INT, example: ("LENGTH(\"añ\")", "2") },
    CallRow { keyword: "ABS", function: Function::Abs, arguments: 1..=1, result: KindSet::NUMBER, example: ("ABS(-2.5)", "2.5") },
    CallRow { keyword: "ROUND", function: Function::Round, arguments: 1..=2, result: KindSet::NUMBER, example: ("ROUND(2.345, 1)", "2.3") },
    CallRow { keyword: "FLOOR", function: Function::Floor, arguments: 1..=1, result: KindSet::NUMBER, example: ("FLOOR(-2.5)", "-3") },
    CallRow { keyword: "CEIL", function: Function::Ceil, arguments: 1..=1, result: KindSet::NUMBER, example: ("CEIL(-2.5)", "-2") },
    CallRow { keyword: "SQRT", function: Function::Sqrt, arguments: 1..=1, result: KindSet::DOUBLE_OR_NULL, example: ("SQRT(9)", "3") },
    CallRow { keyword: "SIN", function: Function::Sin, arguments: 1..=1, result: KindSet::DOUBLE_OR_NULL, example: ("SIN(0.5)", "0.479425538604203") },
    CallRow { keyword: "COS", function: Function::Cos, arguments: 1..=1, result: KindSet::DOUBLE_OR_NULL, example: ("COS(0)", "1") },
    CallRow { keyword: "TAN", function: Function::Tan, arguments: 1..=1, result: KindSet::DOUBLE_OR_NULL, example: ("TAN(0.5)", "0.5463024898437905") },
    CallRow { keyword: "ASIN", function: Function::Asin, arguments: 1..=1, result: KindSet::DOUBLE_OR_NULL, example: ("ASIN(0.5)", "0.5235987755982989") },
    CallRow { keyword: "ACOS", function: Function::Acos, arguments: 1..=1, result: KindSet::DOUBLE_OR_NULL, example: ("ACOS(-1)", "3.141592653589793") },
    CallRow { keyword: "ATAN", function: Function::Atan, arguments: 1..=1, result: KindSet::DOUBLE_OR_NULL, example: ("ATAN(0.5)", "0.4636476090008061") },
    CallRow { keyword: "ATAN2", function: Function::Atan2, arguments: 2..=2, result: KindSet::DOUBLE_OR_NULL, example: ("ATAN2(-1, -1)", "-2.356194490192345") },
    CallRow { keyword: "EXP", function: Function::Exp, arguments: 1..=1, result: KindSet::DOUBLE_OR_NULL, example: ("EXP(0)", "1") },
    CallRow { keyword: "LN", function: Function::Ln, arguments: 1..=1, result: KindSet::DOUBLE_OR_NULL, example: ("LN(10)", "2.302585092994046") },
    CallRow { keyword: "LOG10", function: Function::Log10, arguments: 1..=1, result: KindSet::DOUBLE_OR_NULL, example: ("LOG10(1000)", "3") },
    CallRow { keyword: "POW", function: Function::Pow, arguments: 2..=2, result: KindSet::NUMBER_OR_NULL, example: ("POW(2, 10)", "1024") },
    CallRow { keyword: "MIN", function: Function::Min, arguments: 1..=16, result: KindSet::NUMBER, example: ("MIN(3, 1, 2)", "1") },
    CallRow { keyword: "MAX", function: Function::Max, arguments: 1..=16, result: KindSet::NUMBER, example: ("MAX(3, 1, 2)", "3") },
    CallRow { keyword: "APPEND", function: Function::Append, arguments: 2..=2, result: KindSet::JSON, example: ("APPEND([1], \"a\")", "[1,\"a\"]") },
    CallRow { keyword: "LAST", function: Function::Last, arguments: 2..=2, result: KindSet::JSON, example: ("LAST([1, 2, 3], 2)", "[2,3]") },
    CallRow { keyword: "SUM", function: Function::Sum, arguments: 1..=1, result: KindSet::NUMBER, example: ("SUM([1, 2, 0.5])", "3.5") },
    CallRow { keyword: "MEAN", function: Function::Mean, arguments: 1..=1, result: KindSet::DOUBLE_OR_NULL, example: ("MEAN([1, 2])", "1.5") },
    CallRow { keyword: "STDDEV", function: Function::Stddev, arguments: 1..=1, result: KindSet::DOUBLE_OR_NULL, example: ("STDDEV([1, 3, 5])", "2") },
    CallRow { keyword: "STDDEV_POP", function: Function::StddevPop, arguments: 1..=1, result: KindSet::DOUBLE_OR_NULL, example: ("STDDEV_POP([1, 3])", "1") },
];

/// First words of transforms, and names of functions.
pub(crate) fn words() -> impl Iterator<Item = &'static str> {
    TRANSFORMS.iter().map(|row| row.keyword).chain(CALLS.iter().map(|row| row.keyword))
}

/// The row of a call form.
pub(crate) fn call(keyword: &str) -> Option<&'static CallRow> {
    CALLS.iter().find(|row| row.keyword == keyword)
}

/// A transform applied to a value, from `start` to here.
pub(crate) fn apply(
    parser: &mut Parser<'_, '_>,
    start: Span,
    transform: Transform,
    value: Expression,
) -> Parsed<Expression> {
    parser.node(start, ExpressionKind::Apply { transform: Box::new(transform), value: Box::new(value) })
}
