//! `ON SUBSCRIBE ["pattern"]`: a subscription was granted (LoT reference §7.6).

use super::{Row, filter};
use crate::syntax::parse::{Parsed, Parser};

pub(super) const ROW: Row = Row { keyword: "SUBSCRIBE", parse };

fn parse(parser: &mut Parser<'_, '_>) -> Parsed<lot_facts::Trigger> {
    let pattern = if parser.is_text() { Some(filter(parser, "ON SUBSCRIBE")?) } else { None };
    Ok(lot_facts::Trigger::Subscribe { pattern })
}
