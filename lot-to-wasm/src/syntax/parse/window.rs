//! `WINDOW COUNT`, `WINDOW MEAN` and the other figures of `ON WINDOW` (ours).

use super::{Parsed, Parser};
use crate::diagnostic::{Draft, codes};
use crate::source::Span;
use crate::syntax::{Expression, ExpressionKind};

/// The words behind `WINDOW`; in small letters they are the members of the payload.
pub(crate) const FIGURES: [&str; 11] =
    ["COUNT", "SUM", "MEAN", "STDDEV", "STDDEV_POP", "MIN", "MAX", "LAST", "BAD", "START", "END"];

/// Reads a figure, of which `WINDOW` stands here.
pub(super) fn figure(parser: &mut Parser<'_, '_>, start: Span) -> Parsed<Expression> {
    parser.advance();
    let word = parser.word();
    let Some(figure) = FIGURES.iter().copied().find(|figure| figure.eq_ignore_ascii_case(word)) else {
        let near = match word {
            "AVG" | "AVERAGE" => Some("MEAN"),
            _ => lot_nearest::nearest(word, FIGURES),
        };
        let message = format!("expected a figure after WINDOW, found {}", parser.found());
        let draft = Draft::error(codes::EXPECTED_WORD, parser.here(), message).expected(&FIGURES);
        return parser.fail(draft.did_you_mean(near));
    };
    parser.eat_keyword(figure);
    parser.node(start, ExpressionKind::WindowFigure(figure))
}
