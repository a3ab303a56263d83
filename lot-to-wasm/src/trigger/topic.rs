//! `ON TOPIC "pattern"`: each message accepted on a matching topic (LoT reference §7.1).
//!
//! ```text
//! topicTrig = "TOPIC" string { ( "OR" | "," ) [ "TOPIC" ] string } ;
//!                                                  -- the list form is not portable (OD-10)
//! ```

use super::{Row, message_filter};
use crate::diagnostic::{Draft, codes};
use crate::limits::FILTERS_MAX;
use crate::syntax::parse::{Parsed, Parser};
use crate::token::Sign;

pub(super) const ROW: Row = Row { keyword: "TOPIC", parse };

fn parse(parser: &mut Parser<'_, '_>) -> Parsed<lot_facts::Trigger> {
    Ok(lot_facts::Trigger::Topic { filters: filters(parser, "ON TOPIC")? })
}

/// Reads a list of topics.
pub(super) fn filters(parser: &mut Parser<'_, '_>, after: &str) -> Parsed<Vec<String>> {
    let mut filters = vec![message_filter(parser, after)?];
    while parser.is_word("OR") || parser.is_sign(Sign::Comma) {
        let span = parser.span();
        if filters.len() == 1 {
            parser.non_portable(span, "a list of topics");
        }
        parser.advance();
        parser.eat_word("TOPIC");
        let next = message_filter(parser, "OR")?;
        if filters.len() >= FILTERS_MAX {
            let message = format!("more than {FILTERS_MAX} topics in one trigger");
            return parser.fail(Draft::error(codes::TOPIC_FILTER, parser.previous(), message));
        }
        if !filters.contains(&next) {
            filters.push(next);
        }
    }
    Ok(filters)
}
