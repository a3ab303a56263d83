//! `ON CHANGE "pattern"`: messages whose payload differs from the topic's previous one (LoT
//! reference §7.2).
//!
//! ```text
//! changeTrig = "CHANGE" [ "TOPIC" ] string ;
//! ```

use super::{Row, message_filter};
use crate::syntax::parse::{Parsed, Parser};

pub(super) const ROW: Row = Row { keyword: "CHANGE", parse };

fn parse(parser: &mut Parser<'_, '_>) -> Parsed<lot_facts::Trigger> {
    parser.eat_word("TOPIC");
    Ok(lot_facts::Trigger::Change { filters: vec![message_filter(parser, "ON CHANGE")?] })
}
