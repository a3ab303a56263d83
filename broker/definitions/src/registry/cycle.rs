//! Cycles of definitions that trigger one another by what they publish: a warning at deploy, LoT reference §17.
//!
//! The loop guard stops such messages at run time; this says it before. A write to a topic that is known only at run
//! time is left out: it could trigger everything, and a warning that is nearly always wrong is not read.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use lot_facts::{Kind, TopicFact, Trigger};

use super::Registry;
use crate::definition::{Definition, DefinitionId};
use crate::levels::overlaps;
use crate::limits::CYCLE_VISITED_MAX;

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
    let all = all.filter(|definition| definition.id != writer.id || !only_splits(writer));
    all.filter(|definition| is_hit(definition)).map(|definition| definition.id).collect()
}

/// Whether a Model does nothing but split JSON, and so never what it has published itself (§9.5).
fn only_splits(model: &Definition) -> bool {
    let filters = model.trigger().map(Trigger::filters).unwrap_or_default();
    let [filter] = filters else { return false };
    let below = TopicFact::Pattern(format!("{}/#", filter.trim_end_matches("/#")));
    model.facts().kind == Kind::Model && model.facts().writes.as_slice() == [below]
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

#[cfg(test)]
mod tests {
    use lot_facts::{Facts, Kind, TopicFact, Trigger};

    use crate::fixture::{World, action, on_topic, topic_facts};
    use crate::registry::Warning;

    fn writes(facts: Facts, topics: &[&str]) -> Facts {
        Facts { writes: topic_facts(topics), ..facts }
    }

    /// The cycle of which the last of these definitions is warned.
    fn cycle(definitions: &[(&str, &str, &[&str])]) -> Option<String> {
        let mut world = World::new();
        let mut last = None;
        for (name, filter, topics) in definitions {
            let installed = world.add(writes(on_topic(name, &[filter]), topics));
            last = installed
                .warnings
                .iter()
                .find(|w| matches!(w, Warning::Cycle { .. }))
                .map(ToString::to_string);
        }
        last
    }

    #[test]
    fn cycles_are_found_at_deploy() {
        for (definitions, expected) in [
            ([("A", "a", ["b"].as_slice())].as_slice(), None),
            (&[("A", "a", &["a"])], Some("may trigger itself: A -> A")),
            (&[("A", "a/#", &["a/out"])], Some("may trigger itself: A -> A")),
            (&[("A", "a/+", &["a/x/y"])], None),
            (&[("A", "a", &["b"]), ("B", "b", &["a"])], Some("may trigger itself: B -> A -> B")),
            (
                &[("A", "a", &["b"]), ("B", "b", &["c"]), ("C", "c", &["+"])],
                Some("may trigger itself: C -> C"),
            ),
            (
                &[("A", "a", &["b/1"]), ("B", "b/+", &["c/1"]), ("C", "c/#", &["x", "a"])],
                Some("may trigger itself: C -> A -> B -> C"),
            ),
            // A cycle further on is not this definition's.
            (&[("A", "a", &["b"]), ("B", "b", &["a"]), ("C", "c", &["a"])], None),
            (&[("A", "a", &["ANY"])], None),
        ] {
            assert_eq!(cycle(definitions).as_deref(), expected, "{definitions:?}");
        }
    }

    #[test]
    fn a_model_that_splits_json_is_not_started_by_what_it_publishes() {
        let mut world = World::new();
        let model = Facts { kind: Kind::Model, ..on_topic("X", &["m/+/d"]) };
        let model = Facts { writes: vec![TopicFact::Pattern("m/+/d/#".to_owned())], ..model };
        assert!(world.add(model).warnings.is_empty());
        let installed = world.add(writes(on_topic("A", &["m/+/d/x"]), &["m/1/d"]));
        assert_eq!(installed.warnings.len(), 1, "but by what another makes of it");
    }

    #[test]
    fn timers_and_keeps_close_no_cycle() {
        let mut world = World::new();
        world.add(writes(action("Start", Trigger::Start), &["a"]));
        let keeper = Facts { keeps: topic_facts(&["a"]), ..on_topic("K", &["a"]) };
        assert!(world.add(keeper).warnings.is_empty());
    }

    #[test]
    fn long_chains_end_the_search() {
        let mut world = World::new();
        for n in 0..200 {
            world.add(writes(on_topic(&format!("A{n}"), &[&format!("t/{n}")]), &[&format!("t/{}", n + 1)]));
        }
        let closing = world.add(writes(on_topic("End", &["t/200"]), &["t/0"]));
        assert!(closing.warnings.is_empty(), "more than 64 hops: the loop guard stops such a message before");
    }
}
