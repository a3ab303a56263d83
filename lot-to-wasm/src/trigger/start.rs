//! `ON START`: after start-up and at deploy (LoT reference §7.5).

use super::Row;
use crate::syntax::parse::{Parsed, Parser};

pub(super) const ROW: Row = Row { keyword: "START", parse };

fn parse(_parser: &mut Parser<'_, '_>) -> Parsed<lot_facts::Trigger> {
    Ok(lot_facts::Trigger::Start)
}
