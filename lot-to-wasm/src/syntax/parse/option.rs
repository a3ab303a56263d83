//! Options of published messages.

use super::{Parsed, Parser};
use crate::diagnostic::{Draft, codes};
use crate::token::{Sign, TokenKind};

/// Whether a word begins an option of PUBLISH TOPIC.
pub(crate) fn is_option(word: &str) -> bool {
    matches!(word, "RETAIN" | "QOS" | "QOS0" | "QOS1" | "QOS2")
}

/// Reads `QOS0`, `QOS 1`, `QOS = 2`, `QOS(1)`.
#[allow(clippy::wildcard_enum_match_arm, reason = "every other token is the error case")]
pub(crate) fn qos(parser: &mut Parser<'_, '_>) -> Parsed<u8> {
    let start = parser.span();
    let word = parser.word();
    parser.advance();
    let number = match word {
        "QOS0" => 0,
        "QOS1" => 1,
        "QOS2" => 2,
        "QOS" => {
            parser.eat_sign(Sign::Equal);
            match parser.peek().kind {
                TokenKind::Int(number) => {
                    parser.advance();
                    number
                }
                _ => return parser.expected(codes::BAD_QOS, &["0", "1", "2"], "QOS"),
            }
        }
        _ => -1,
    };
    match u8::try_from(number) {
        Ok(qos @ 0..=2) => Ok(qos),
        _ => {
            let span = parser.span_from(start);
            parser.fail(Draft::error(codes::BAD_QOS, span, "QoS is 0, 1 or 2"))
        }
    }
}
