//! Addresses of Modbus as they stand in the text: what can be none is told before a unit is asked. What the unit has at an address, only the unit knows.

use lot_facts::RouteBlock;

use crate::diagnostic::{Draft, Sink, codes};
use crate::syntax::route::AddBlock;

/// What a place is in a table of a unit, without `ADDRESS_TYPE`.
const TABLE: &str =
    "write 40001 for the first holding register, or WITH ADDRESS_TYPE for numbers that count from 0";

/// Reports the `ADDRESS` of a tag that is none. Without `ADDRESS_TYPE` a number of 5 or 6 digits says its area first and counts from 1; `.3` behind it is a bit.
pub(super) fn check(block: &AddBlock, tag: &RouteBlock, sink: &mut Sink<'_>) {
    // One that comes from the environment is known when the route is opened; that it is empty is told already.
    let Some(address) = tag.text("ADDRESS").map(str::trim).filter(|text| !text.is_empty()) else { return };
    let Some((problem, way)) = problem(address, tag.settings.contains_key("ADDRESS_TYPE")) else { return };
    let span = super::value_of(block, "ADDRESS");
    let message = format!("ADDRESS is {problem}, not `{}`", address.escape_debug());
    sink.push(Draft::error(codes::SETTING_VALUE, span, message).suggest(way).unless_stored());
}

/// What an address that is none would have to be, and how it is written.
fn problem(address: &str, has_area: bool) -> Option<(&'static str, &'static str)> {
    let (number, bit) = address.split_once('.').map_or((address, None), |(number, bit)| (number, Some(bit)));
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(("a number, such as 40001, or 40001.3 for a bit", TABLE));
    }
    if bit.is_some_and(|bit| !bit.parse::<u8>().is_ok_and(|bit| bit < 16)) {
        return Some(("a number with a bit from 0 to 15 behind the dot", "write 40001.0 for the lowest bit"));
    }
    if has_area || !matches!(number.len(), 5 | 6) {
        let is_good = number.parse::<u16>().is_ok();
        return (!is_good).then_some(("a number from 0 to 65535", TABLE));
    }
    let (area, place) = number.split_at_checked(1)?;
    let is_good = ["0", "1", "3", "4"].contains(&area)
        && place.parse::<u32>().is_ok_and(|place| (1..=65_536).contains(&place));
    (!is_good).then_some(("a number from 00001, 10001, 30001 or 40001 on", TABLE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_that_the_connector_takes() {
        for (address, has_area, is_good) in [
            ("40001", false, true),
            ("465536", false, true),
            ("40001.15", false, true),
            ("7", false, true),
            ("65535", true, true),
            ("4000x", false, false),
            ("4000x", true, false),
            ("", false, false),
            ("40001.16", false, false),
            ("40001.x", false, false),
            ("40000", false, false),
            ("20001", false, false),
            ("465537", false, false),
            ("65536", true, false),
            ("1234567", false, false),
            ("-1", true, false),
        ] {
            assert_eq!(problem(address, has_area).is_none(), is_good, "{address} {has_area}");
        }
    }
}
