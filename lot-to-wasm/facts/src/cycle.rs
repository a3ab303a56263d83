//! Cycles of definitions that start one another by their messages, also over bridges: for warnings.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::ptr;

use crate::{BridgeLeg, Facts, Kind, RouteFacts, TopicFact, Trigger};

/// Definitions visited in the search for a cycle; the loop guard stops a message after as many
/// hops.
const VISITED_MAX: usize = 64;

/// Path of messages: a definition, from its trigger to its messages, or a mapping of a bridge, in
/// one direction.
#[derive(Debug, Clone)]
pub struct MessagePath<'a> {
    facts: &'a Facts,
    /// The mapping's; `None` for a definition that is no bridge.
    leg: Option<BridgeLeg<'a>>,
}

/// Cycle of paths, the first of which is also the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cycle {
    /// Names of the definitions on the way, those of mappings behind their bridge's.
    pub names: Vec<String>,
    /// Whether bridges alone carry messages round.
    pub is_of_bridges: bool,
}

impl Cycle {
    /// Cycle of the paths at these positions of `all`.
    pub fn of(way: &[usize], all: &[MessagePath<'_>]) -> Self {
        let members: Vec<&MessagePath<'_>> = way.iter().filter_map(|at| all.get(*at)).collect();
        Cycle {
            names: members.iter().map(|path| path.name()).collect(),
            is_of_bridges: members.iter().all(|path| path.leg.is_some()),
        }
    }
}

impl fmt::Display for Cycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.is_of_bridges { "carry messages in a circle" } else { "trigger itself" };
        write!(f, "may {what}: {}", self.names.join(" -> "))
    }
}

impl<'a> MessagePath<'a> {
    /// Paths through a definition: the mappings of a bridge, or the definition itself.
    pub fn all_of(facts: &'a Facts) -> Vec<Self> {
        let legs = facts.route.as_deref().map(RouteFacts::bridge_legs).unwrap_or_default();
        if legs.is_empty() {
            return vec![MessagePath { facts, leg: None }];
        }
        legs.into_iter().map(|leg| MessagePath { facts, leg: Some(leg) }).collect()
    }

    /// Whether it publishes anything of which it is known where.
    pub fn passes_anything(&self) -> bool {
        self.leg.is_some() || !self.facts.writes.is_empty()
    }

    fn name(&self) -> String {
        match &self.leg {
            Some(leg) => format!("{}.{}", self.facts.name, leg.mapping),
            None => self.facts.name.clone(),
        }
    }

    /// Whether its messages may reach another path, or itself.
    pub fn may_pass_to(&self, other: &MessagePath<'_>) -> bool {
        let is_same = ptr::eq(self.facts, other.facts);
        match (&self.leg, &other.leg) {
            (None, None) => self.facts.may_start(other.facts, is_same),
            (None, Some(leg)) => {
                leg.from.is_none() && self.facts.writes.iter().any(|write| write.may_match(leg.filter))
            }
            (Some(leg), None) => {
                let filters = other.facts.filters_by_message();
                leg.to.is_none() && filters.iter().any(|filter| leg.topic.may_match(filter))
            }
            // Both directions of a mapping are meant to be there.
            (Some(leg), Some(other)) => {
                let is_own = is_same && leg.mapping == other.mapping;
                !is_own && leg.to == other.from && leg.topic.may_match(other.filter)
            }
        }
    }
}

impl Facts {
    /// Whether a message that `self` publishes may start `other`, which is the same definition or
    /// not.
    fn may_start(&self, other: &Facts, is_same: bool) -> bool {
        let filters = other.filters_by_message();
        let is_hit = self.writes.iter().any(|write| filters.iter().any(|filter| write.may_match(filter)));
        is_hit && !(is_same && self.only_splits())
    }

    /// Topics whose messages start it. A trigger on silence has none, because a timer comes in
    /// between.
    fn filters_by_message(&self) -> &[String] {
        let trigger = self.trigger.as_ref().filter(|trigger| trigger.is_by_message());
        trigger.map(Trigger::filters).unwrap_or_default()
    }

    /// Whether a Model only splits JSON, and so never handles its own messages (§9.5).
    fn only_splits(&self) -> bool {
        let filters = self.trigger.as_ref().map(Trigger::filters).unwrap_or_default();
        let [filter] = filters else { return false };
        let below = TopicFact::Pattern(format!("{}/#", filter.trim_end_matches("/#")));
        self.kind == Kind::Model && self.writes.as_slice() == [below]
    }
}

/// Returns a shortest cycle through `start`, with `start` at both ends. `next` returns the items
/// that an item starts. `None` when there is no cycle within 64 items.
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
