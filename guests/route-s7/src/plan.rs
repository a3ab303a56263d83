//! Merging tags into items, and items into requests that fit into a PDU with their answers.

use lot_tags::s7::S7Address;
use route_tags::{Planned, Tag};

use crate::frame::{ANSWER_BYTES, DATA_HEADER_BYTES, ITEM_BYTES, Item, REQUEST_BYTES};
use crate::limits::{GAP, ITEMS_MAX};

/// Items of one request.
pub(crate) type Items = Vec<Item>;

/// Most bytes of one item.
pub(crate) fn item_bytes_max(pdu_bytes: u16) -> usize {
    usize::from(pdu_bytes).saturating_sub(ANSWER_BYTES + DATA_HEADER_BYTES)
}

fn item_of(address: &S7Address) -> Item {
    let S7Address { area, block, first, bytes, .. } = *address;
    Item { area, block, first, bytes, bit: None }
}

/// An item and what follows, where that is near and not too much.
fn and(item: &Item, next: &Item, bytes_max: usize) -> Option<Item> {
    // Timers and counters that are beside each other are rare.
    let is_same = item.area == next.area && item.block == next.block && !item.area.is_numbered();
    let end = (item.first + item.bytes).max(next.first + next.bytes);
    let bytes = end - item.first;
    let is_near = is_same && next.first <= item.first + item.bytes + GAP;
    (is_near && bytes as usize <= bytes_max).then_some(Item { bytes, ..*item })
}

/// Merges tags into requests.
pub(crate) fn plan(tags: &[Tag<S7Address>], which: &[usize], pdu_bytes: u16) -> Vec<Planned<Items>> {
    let mut single: Vec<(Item, usize)> =
        which.iter().map(|tag| (item_of(&tags[*tag].address), *tag)).collect();
    single.sort_by_key(|(item, tag)| (item.area, item.block, item.first, *tag));
    let mut merged: Vec<(Item, Vec<usize>)> = Vec::new();
    for (item, tag) in single {
        match merged.last_mut() {
            Some((last, tags)) if and(last, &item, item_bytes_max(pdu_bytes)).is_some() => {
                *last = and(last, &item, item_bytes_max(pdu_bytes)).unwrap_or(*last);
                tags.push(tag);
            }
            _ => merged.push((item, vec![tag])),
        }
    }
    let mut planned: Vec<Planned<Items>> = Vec::new();
    for (item, tags) in merged {
        match planned.last_mut() {
            Some(last) if has_room(&last.request, &item, pdu_bytes) => {
                last.request.push(item);
                last.tags.extend(tags);
            }
            _ => planned.push(Planned { tags, request: vec![item] }),
        }
    }
    planned
}

fn has_room(items: &[Item], item: &Item, pdu_bytes: u16) -> bool {
    let count = items.len() + 1;
    let data = |item: &Item| DATA_HEADER_BYTES + (item.bytes as usize).next_multiple_of(2);
    let answer = ANSWER_BYTES + items.iter().chain([item]).map(data).sum::<usize>();
    let request = REQUEST_BYTES + count * ITEM_BYTES;
    count <= ITEMS_MAX && answer.max(request) <= usize::from(pdu_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::tests::tag;

    #[test]
    fn tags_become_few_items_and_items_few_requests() {
        let word = |address: &str| tag(&format!(r#""ADDRESS":"{address}","DATA_TYPE":"WORD""#)).unwrap();
        let tags: Vec<_> = ["DB1.DBW0", "DB1.DBW10", "DB1.DBW21", "MW0", "T1", "T2"].map(word).into();
        let planned = plan(&tags, &[0, 1, 2, 3, 4, 5], 240);
        assert_eq!(planned.len(), 1);
        let bytes: Vec<_> = planned[0].request.iter().map(|item| (item.first, item.bytes)).collect();
        assert_eq!(bytes, [(1, 2), (2, 2), (0, 2), (0, 12), (21, 2)]);
        let tags: Vec<_> = (0..1_000).map(|at| word(&format!("DB1.DBW{}", at * 2))).collect();
        let which: Vec<usize> = (0..tags.len()).collect();
        let planned = plan(&tags, &which, 240);
        assert_eq!(planned.len(), 10, "222 bytes are 111 words");
        assert_eq!(planned.iter().map(|one| one.tags.len()).sum::<usize>(), 1_000);
        let apart: Vec<_> = (0..100).map(|at| word(&format!("DB1.DBW{}", at * 20))).collect();
        let which: Vec<usize> = (0..apart.len()).collect();
        assert_eq!(plan(&apart, &which, 240)[0].request.len(), 19);
    }
}
