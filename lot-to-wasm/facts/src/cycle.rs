//! Definitions that start one another by what they publish.

use std::collections::{BTreeMap, VecDeque};

use crate::{Facts, Kind, TopicFact, Trigger};

/// Definitions visited in the search for a cycle; the loop guard stops a message after as many hops.
const VISITED_MAX: usize = 64;

impl Facts {
    /// Whether a message that `self` publishes may start `other`, which is the same definition or not.
    pub fn may_start(&self, other: &Facts, is_same: bool) -> bool {
        // What a silence starts waits for a timer in between.
        let trigger = other.trigger.as_ref().filter(|trigger| trigger.is_by_message());
        let filters = trigger.map(Trigger::filters).unwrap_or_default();
        let is_hit = self.writes.iter().any(|write| filters.iter().any(|filter| write.may_match(filter)));
        is_hit && !(is_same && self.only_splits())
    }

    /// Whether a Model does nothing but split JSON, and so never what it has published itself (§9.5).
    fn only_splits(&self) -> bool {
        let filters = self.trigger.as_ref().map(Trigger::filters).unwrap_or_default();
        let [filter] = filters else { return false };
        let below = TopicFact::Pattern(format!("{}/#", filter.trim_end_matches("/#")));
        self.kind == Kind::Model && self.writes.as_slice() == [below]
    }
}

/// A shortest way from one back to itself, both ends included, by what `next` says that one starts; `None` when there is none within 64.
pub fn shortest_cycle<T: Copy + Ord>(start: T, mut next: impl FnMut(T) -> Vec<T>) -> Option<Vec<T>> {
    let mut reached_from: BTreeMap<T, T> = BTreeMap::new();
    let mut to_visit = VecDeque::from([start]);
    while let Some(at) = to_visit.pop_front() {
        for reached in next(at) {
            if reached == start {
                let mut way = vec![start, at];
                while let Some(before) = way.last().filter(|last| **last != start) {
                    way.push(*reached_from.get(before)?);
                }
                way.reverse();
                return Some(way);
            }
            if reached_from.len() < VISITED_MAX && !reached_from.contains_key(&reached) {
                reached_from.insert(reached, at);
                to_visit.push_back(reached);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::shortest_cycle;

    #[test]
    fn the_shortest_way_back_is_found() {
        for (edges, expected) in [
            (&[(1, 1)][..], Some(vec![1, 1])),
            (&[(1, 2), (2, 3), (3, 1), (2, 1)], Some(vec![1, 2, 1])),
            (&[(1, 2), (2, 3), (3, 1)], Some(vec![1, 2, 3, 1])),
            (&[(1, 2), (2, 3), (3, 2)], None),
        ] {
            let next = |at| edges.iter().filter(|(from, _)| *from == at).map(|(_, to)| *to).collect();
            assert_eq!(shortest_cycle(1, next), expected, "{edges:?}");
        }
    }
}
