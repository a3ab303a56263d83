//! Cycles of definitions that trigger one another by what they publish: a warning at deploy, LoT reference §17.
//!
//! The loop guard stops such messages at run time; this says it before. A write to a topic that is known only at run
//! time is left out: it could trigger everything, and a warning that is nearly always wrong is not read.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use lot_facts::{TopicFact, Trigger};

use crate::definition::{Definition, DefinitionId};
use crate::levels::overlaps;
use crate::limits::CYCLE_VISITED_MAX;
use crate::registry::Registry;

/// The names on a shortest way from the definition back to itself; `None` when there is none within 64 definitions.
pub(crate) fn find_cycle(start: DefinitionId, registry: &Registry) -> Option<Vec<Arc<str>>> {
    let mut reached_from: BTreeMap<DefinitionId, DefinitionId> = BTreeMap::new();
    let mut to_visit = VecDeque::from([start]);
    while let Some(id) = to_visit.pop_front() {
        let writer = registry.by_id(id)?;
        for next in triggered_by(writer, registry) {
            if next == start {
                return Some(way_back(start, id, &reached_from, registry));
            }
            if reached_from.len() < CYCLE_VISITED_MAX && !reached_from.contains_key(&next) {
                reached_from.insert(next, id);
                to_visit.push_back(next);
            }
        }
    }
    None
}

/// The definitions whose trigger a write of `writer` may match.
fn triggered_by(writer: &Definition, registry: &Registry) -> Vec<DefinitionId> {
    let writes = &writer.facts().writes;
    if writes.is_empty() {
        return Vec::new();
    }
    let is_hit = |definition: &Definition| {
        let filters = definition.trigger().map(Trigger::filters).unwrap_or_default();
        writes.iter().any(|write| filters.iter().any(|filter| may_match(write, filter)))
    };
    let all = registry.entries.values().map(|entry| &entry.definition);
    all.filter(|definition| is_hit(definition)).map(|definition| definition.id).collect()
}

fn may_match(write: &TopicFact, filter: &str) -> bool {
    match write {
        TopicFact::Exact(pattern) | TopicFact::Pattern(pattern) => overlaps(pattern, filter),
        TopicFact::Any => false,
    }
}

fn way_back(
    start: DefinitionId,
    last: DefinitionId,
    reached_from: &BTreeMap<DefinitionId, DefinitionId>,
    registry: &Registry,
) -> Vec<Arc<str>> {
    let mut ids = vec![start, last];
    let mut at = last;
    while at != start {
        let Some(before) = reached_from.get(&at) else { break };
        ids.push(*before);
        at = *before;
    }
    if last == start {
        ids.pop();
        ids.push(start);
    }
    let names = ids.iter().rev().filter_map(|id| registry.by_id(*id));
    names.map(|definition| Arc::clone(definition.name())).collect()
}
