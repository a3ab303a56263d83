//! `ON CONNECT`: a client was accepted (LoT reference §7.6).

use super::Row;
use crate::syntax::parse::{Parsed, Parser};

pub(super) const ROW: Row = Row { keyword: "CONNECT", parse };

fn parse(_parser: &mut Parser<'_, '_>) -> Parsed<lot_facts::Trigger> {
    Ok(lot_facts::Trigger::Connect)
}
