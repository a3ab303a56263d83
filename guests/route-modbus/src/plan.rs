//! Merging tags into few read requests.

use lot_tags::modbus::{BITS_MAX, ModbusArea};
use route_tags::{Planned, Tag};

use crate::address::Address;

/// Registers or bits of one read request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) unit: u8,
    pub(crate) area: ModbusArea,
    pub(crate) first: u16,
    pub(crate) count: u16,
}

impl Span {
    fn of(address: &Address) -> Span {
        Span { unit: address.unit, area: address.area, first: address.first, count: address.count }
    }

    fn end(&self) -> u32 {
        u32::from(self.first) + u32::from(self.count)
    }

    /// It and what follows, where that is the same area, near, and not too much for one request.
    fn and(&self, next: &Span, gap: u16, registers_max: u16) -> Option<Span> {
        let most = if self.area.is_bits() { BITS_MAX } else { registers_max };
        let is_near = self.unit == next.unit
            && self.area == next.area
            && u32::from(next.first) <= self.end() + u32::from(gap);
        let count = self.end().max(next.end()) - u32::from(self.first);
        let count = u16::try_from(count).ok().filter(|count| is_near && *count <= most)?;
        Some(Span { count, ..*self })
    }
}

/// Merges tags into requests.
pub(crate) fn plan(
    tags: &[Tag<Address>],
    which: &[usize],
    gap: u16,
    registers_max: u16,
) -> Vec<Planned<Span>> {
    // If all units are asked, none answers.
    let asked = which.iter().filter(|tag| !tags[**tag].address.is_everybody);
    let mut spans: Vec<(Span, usize)> = asked.map(|tag| (Span::of(&tags[*tag].address), *tag)).collect();
    spans.sort_by_key(|(span, tag)| (span.unit, span.area, span.first, *tag));
    let mut planned: Vec<Planned<Span>> = Vec::new();
    for (span, tag) in spans {
        let merged = planned.last().and_then(|last| last.request.and(&span, gap, registers_max));
        match (planned.last_mut(), merged) {
            (Some(last), Some(merged)) => {
                last.request = merged;
                last.tags.push(tag);
            }
            _ => planned.push(Planned { tags: vec![tag], request: span }),
        }
    }
    planned
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::tests::tag;

    fn requests(addresses: &[&str], registers_max: u16) -> Vec<(u16, u16, Vec<usize>)> {
        let tags: Vec<_> = addresses.iter().map(|settings| tag(settings).unwrap()).collect();
        let which: Vec<usize> = (0..tags.len()).collect();
        let planned = plan(&tags, &which, 8, registers_max);
        planned.into_iter().map(|one| (one.request.first, one.request.count, one.tags)).collect()
    }

    #[test]
    fn tags_that_are_near_are_read_together() {
        let int = |number: &str| format!(r#""ADDRESS":"{number}","DATA_TYPE":"INT""#);
        let (a, b, c) = (int("40001"), int("40010"), int("40020"));
        // A gap of 8 between the first two, one of 9 before the third.
        assert_eq!(requests(&[&c, &a, &b], 125), [(0, 10, vec![1, 2]), (19, 1, vec![0])]);
        assert_eq!(requests(&[&a, &b], 9), [(0, 1, vec![0]), (9, 1, vec![1])]);
        assert_eq!(requests(&[&a, &int("30001")], 125).len(), 2);
        assert_eq!(requests(&[&a, &format!("{},\"SLAVE_ID\":2", int("40002"))], 125).len(), 2);
        let wide = r#""ADDRESS":"40001","DATA_TYPE":"LREAL""#;
        assert_eq!(requests(&[wide, &int("40002")], 125), [(0, 4, vec![0, 1])]);
        let many: Vec<String> = (1..=1_000).map(|number| int(&format!("4{number:04}"))).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(requests(&many, 125).len(), 8);
        let coils: Vec<String> =
            (1..=2_001).map(|n| format!(r#""ADDRESS":"0{n:04}","DATA_TYPE":"BOOL""#)).collect();
        let coils: Vec<&str> = coils.iter().map(String::as_str).collect();
        assert_eq!(requests(&coils, 125).iter().map(|one| one.1).collect::<Vec<_>>(), [2_000, 1]);
    }
}
