//! Cycles of definitions that trigger one another by their messages, also through bridges: a
//! warning at deploy, LoT reference §17.
//!
//! The loop guard stops such messages at run time; this warns before. A write to a topic that is
//! known only at run time is left out. It could trigger every definition, and nobody reads a
//! warning that is nearly always wrong.

use lot_facts::{Cycle, MessagePath, shortest_cycle};

use super::Registry;
use crate::definition::DefinitionId;

/// A shortest way from the definition, or from a mapping of the bridge that it is, back to itself;
/// `None` when there is none within 64 definitions.
pub(crate) fn find_cycle(start: DefinitionId, registry: &Registry) -> Option<Cycle> {
    let own = MessagePath::all_of(registry.by_id(start)?.facts());
    if !own.iter().any(MessagePath::passes_anything) {
        return None;
    }
    let others = registry.entries.values().filter(|entry| entry.definition.id != start);
    let count = own.len();
    let mut all = own;
    all.extend(others.flat_map(|entry| MessagePath::all_of(entry.definition.facts())));
    let next = |at: usize| -> Vec<usize> {
        let from = all.get(at).filter(|from| from.passes_anything());
        let reached = |from: &MessagePath<'_>| {
            (0..all.len()).filter(|to| all.get(*to).is_some_and(|to| from.may_pass_to(to))).collect()
        };
        from.map(reached).unwrap_or_default()
    };
    let ways = (0..count).filter_map(|own| shortest_cycle(own, next));
    ways.min_by_key(Vec::len).map(|way| Cycle::of(&way, &all))
}

#[cfg(test)]
mod tests {
    use lot_facts::{Facts, Kind, RouteBlock, RouteFacts, RouteValue, TopicFact, Trigger};

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
            last =
                installed.warnings.iter().find(|w| matches!(w, Warning::Cycle(_))).map(ToString::to_string);
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

    fn block(name: &str, settings: &[(&str, &str)]) -> RouteBlock {
        let text = |(key, value): &(&str, &str)| ((*key).to_owned(), RouteValue::Text((*value).to_owned()));
        let settings = settings.iter().map(text).collect();
        RouteBlock { name: name.to_owned(), settings, ..RouteBlock::default() }
    }

    /// A bridge from this broker to the one of this address, with a mapping in each of these
    /// directions.
    fn bridge(name: &str, address: &str, mappings: &[(&str, &str, &str)]) -> Facts {
        let mapping = |(source, destination, direction): &(&str, &str, &str)| {
            block(
                direction,
                &[("SOURCE_TOPIC", source), ("DESTINATION_TOPIC", destination), ("DIRECTION", direction)],
            )
        };
        let route = RouteFacts {
            kind: "MQTT_BRIDGE".to_owned(),
            sections: vec![
                block("SOURCE_CONFIG", &[("BROKER", "SELF")]),
                block("DESTINATION_CONFIG", &[("BROKER_ADDRESS", address)]),
            ],
            events: Vec::new(),
            mappings: mappings.iter().map(mapping).collect(),
            stores: Vec::new(),
        };
        Facts { route: Some(Box::new(route)), ..Facts::new(Kind::Route, name) }
    }

    #[test]
    fn circles_of_bridges_are_found_at_deploy() {
        let told = |definitions: Vec<Facts>| {
            let mut world = World::new();
            let installed: Vec<_> = definitions.into_iter().map(|facts| world.add(facts)).collect();
            let warnings = installed.last().unwrap().warnings.iter();
            warnings.map(ToString::to_string).collect::<Vec<_>>().join("; ")
        };
        let itself = |name: &str| bridge(name, "self", &[("f/#", "f/#", "out")]);
        assert_eq!(told(vec![itself("A")]), "", "one bridge stops what it has carried");
        assert_eq!(
            told(vec![itself("A"), itself("B")]),
            "may carry messages in a circle: B.out -> A.out -> B.out"
        );
        assert_eq!(told(vec![bridge("A", "far", &[("a/#", "b/#", "both")])]), "");
        let there = || bridge("There", "far", &[("a/#", "b/#", "out")]);
        let back = |topic: &str| bridge("Back", "far", &[("b/#", topic, "in")]);
        assert_eq!(told(vec![there(), back("c/#")]), "");
        assert_eq!(
            told(vec![there(), back("a/#")]),
            "may carry messages in a circle: Back.in -> There.out -> Back.in"
        );
        let answer = || writes(on_topic("Answer", &["c/+"]), &["a/x"]);
        assert_eq!(
            told(vec![there(), back("c/#"), answer()]),
            "may trigger itself: Answer -> There.out -> Back.in -> Answer"
        );
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
