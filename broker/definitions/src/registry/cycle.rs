//! Cycles of definitions that trigger one another by what they publish: a warning at deploy, LoT reference §17.
//!
//! The loop guard stops such messages at run time; this says it before. A write to a topic that is known only at run
//! time is left out: it could trigger everything, and a warning that is nearly always wrong is not read.

use std::sync::Arc;

use lot_facts::shortest_cycle;

use super::Registry;
use crate::definition::{Definition, DefinitionId};

/// The names on a shortest way from the definition back to itself; `None` when there is none within 64 definitions.
pub(crate) fn find_cycle(start: DefinitionId, registry: &Registry) -> Option<Vec<Arc<str>>> {
    let way = shortest_cycle(start, |id| {
        registry.by_id(id).map_or(Vec::new(), |writer| started_by(writer, registry))
    })?;
    let definitions = way.into_iter().filter_map(|id| registry.by_id(id));
    Some(definitions.map(|definition| Arc::clone(definition.name())).collect())
}

/// The definitions whose trigger a write of `writer` may match.
fn started_by(writer: &Definition, registry: &Registry) -> Vec<DefinitionId> {
    if writer.facts().writes.is_empty() {
        return Vec::new();
    }
    let all = registry.entries.values().map(|entry| &entry.definition);
    let started = all.filter(|other| writer.facts().may_start(other.facts(), other.id == writer.id));
    started.map(|definition| definition.id).collect()
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
