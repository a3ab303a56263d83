//! Definitions of a project that start themselves by what they publish, as the broker tells when they are added.

use std::collections::BTreeSet;

use lot_facts::{BridgeLeg, Facts, RouteFacts, Trigger, shortest_cycle};

use crate::Compilation;
use crate::diagnostic::{Draft, Sink, codes};
use crate::editor::references;
use crate::source::{Source, Span};

/// Where a definition is: the number of its program, and its own in it.
type Place = (usize, usize);

/// What passes messages on.
enum Passing<'p> {
    /// A definition, from its trigger to what it publishes.
    Definition(&'p Facts),
    /// A mapping of a bridge, in one direction.
    Bridge(BridgeLeg<'p>),
}

/// Something that passes messages on, and where it is defined.
struct Node<'p> {
    place: Place,
    name: String,
    passing: Passing<'p>,
}

/// Warns of each cycle of definitions of these programs once, at the first of it. Those with errors are left alone.
pub fn warn_of_cycles(programs: &mut [(&str, &mut Compilation)]) {
    let mut told = BTreeSet::new();
    let mut found = Vec::new();
    {
        let all = nodes(programs);
        let starts: Vec<Vec<usize>> = (0..all.len()).map(|at| started_by(at, &all)).collect();
        for (at, node) in all.iter().enumerate() {
            let next = |at: usize| starts.get(at).cloned().unwrap_or_default();
            let Some(way) = shortest_cycle(at, next) else { continue };
            if !told.insert(way.iter().copied().collect::<BTreeSet<usize>>()) {
                continue;
            }
            found.push((node.place, warning(&way, &all)));
        }
    }
    for (place, draft) in found {
        report(programs, place, draft);
    }
}

/// The warning of a cycle, without its place.
fn warning(way: &[usize], all: &[Node<'_>]) -> Draft {
    let members: Vec<&Node<'_>> = way.iter().filter_map(|at| all.get(*at)).collect();
    let names: Vec<&str> = members.iter().map(|node| node.name.as_str()).collect();
    let is_bridge = |node: &&Node<'_>| matches!(node.passing, Passing::Bridge(_));
    let bridges = members.iter().filter(|node| is_bridge(node)).count();
    let told = |message: String| Draft::warning(codes::TRIGGER_CYCLE, Span::default(), message);
    if bridges == members.len() {
        let draft = told(format!("may carry messages in a circle: {}", names.join(" -> ")));
        let draft = draft.note("a bridge stops what has passed it before; where a broker on the way speaks no MQTT 5.0 it may go on");
        return draft.suggest(
            "leave the topics of one mapping out of the other, or write one mapping WITH DIRECTION \"both\"",
        );
    }
    let draft = told(format!("may trigger itself: {}", names.join(" -> ")));
    let draft = if bridges == 0 { draft.note("the broker says TRIGGER_CYCLE of it") } else { draft };
    draft.suggest("publish to a topic that its trigger does not match")
}

/// The definitions without errors, and the mappings of bridges among them.
fn nodes<'p>(programs: &'p [(&str, &mut Compilation)]) -> Vec<Node<'p>> {
    let mut all = Vec::new();
    for (program, (_, compilation)) in programs.iter().enumerate() {
        for (entity, compiled) in compilation.entities.iter().enumerate() {
            let Some(facts) = compiled.output.as_ref().map(|output| &output.facts) else { continue };
            let node = |name: String, passing| Node { place: (program, entity), name, passing };
            let legs = facts.route.as_deref().map(RouteFacts::bridge_legs).unwrap_or_default();
            if legs.is_empty() {
                all.push(node(facts.name.clone(), Passing::Definition(facts)));
            }
            let of_leg =
                |leg: BridgeLeg<'p>| node(format!("{}.{}", facts.name, leg.mapping), Passing::Bridge(leg));
            all.extend(legs.into_iter().map(of_leg));
        }
    }
    all
}

fn started_by(at: usize, all: &[Node<'_>]) -> Vec<usize> {
    let Some(first) = all.get(at) else { return Vec::new() };
    let others = all.iter().enumerate();
    others.filter(|(other, node)| may_pass_on(first, node, *other == at)).map(|(other, _)| other).collect()
}

/// Whether what one passes on may come to another, which is itself or not.
fn may_pass_on(first: &Node<'_>, second: &Node<'_>, is_same: bool) -> bool {
    match (&first.passing, &second.passing) {
        (Passing::Definition(writer), Passing::Definition(other)) => writer.may_start(other, is_same),
        (Passing::Definition(writer), Passing::Bridge(leg)) => {
            leg.from.is_none() && writer.writes.iter().any(|write| write.may_match(leg.filter))
        }
        (Passing::Bridge(leg), Passing::Definition(other)) => {
            let trigger = other.trigger.as_ref().filter(|trigger| trigger.is_by_message());
            let filters = trigger.map(Trigger::filters).unwrap_or_default();
            leg.to.is_none() && filters.iter().any(|filter| leg.topic.may_match(filter))
        }
        // Both directions of a mapping are meant to be there.
        (Passing::Bridge(leg), Passing::Bridge(other)) => {
            let is_own = first.place == second.place && leg.mapping == other.mapping;
            !is_own && leg.to == other.from && leg.topic.may_match(other.filter)
        }
    }
}

/// Puts the warning at the name of the definition.
fn report(programs: &mut [(&str, &mut Compilation)], (program, entity): Place, draft: Draft) {
    let Some((text, compilation)) = programs.get_mut(program) else { return };
    let Some(entity) = compilation.entities.get_mut(entity) else { return };
    let slice = text.get(entity.range.clone()).unwrap_or("");
    let name = references(slice).into_iter().find(|reference| reference.is_definition);
    let span = name.map_or(Span::new(0, 6), |name| Span::new(name.range.start, name.range.end));
    let source = Source::new(slice);
    let mut sink = Sink::new(&source);
    sink.push(draft.moved_to(span));
    entity.diagnostics.extend(sink.finish());
    entity.diagnostics.sort_by_key(|found| (found.span.start, found.severity));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CompileOptions, check_project};

    fn told(texts: &[&str]) -> Vec<String> {
        let mut compilations = check_project(texts, &CompileOptions::default());
        let mut programs: Vec<_> = texts.iter().copied().zip(&mut compilations).collect();
        warn_of_cycles(&mut programs);
        let all = compilations.iter().flat_map(Compilation::all_diagnostics);
        let of_cycles = all.filter(|found| found.code == codes::TRIGGER_CYCLE);
        of_cycles
            .map(|found| format!("{}:{} {}", found.span.start.line, found.span.start.column, found.message))
            .collect()
    }

    fn action(name: &str, trigger: &str, write: &str) -> String {
        format!(
            "\nDEFINE ACTION {name}\nON TOPIC \"{trigger}\" DO\n    PUBLISH TOPIC \"{write}\" WITH PAYLOAD\n"
        )
    }

    #[test]
    fn a_cycle_is_told_once_whatever_file_its_members_are_in() {
        let own = action("Own", "x/#", "x/out");
        assert_eq!(told(&[&own]), ["2:15 may trigger itself: Own -> Own"]);
        let (there, back) = (action("There", "a", "b"), action("Back", "+", "a/c"));
        assert_eq!(told(&[&there, &back]), [""; 0]);
        let back = action("Back", "+", "a");
        assert_eq!(
            told(&[&there, &back]),
            ["2:15 may trigger itself: There -> Back -> There", "2:15 may trigger itself: Back -> Back"]
        );
        let wrong = back.replace("PAYLOAD", "PAYLOD");
        assert_eq!(told(&[&there, &wrong]), [""; 0]);
    }

    fn bridge(name: &str, [source, destination]: [&str; 2], mappings: &[(&str, &str, &str, &str)]) -> String {
        let side = |said: &str| match said {
            "SELF" => "BROKER SELF".to_owned(),
            address => format!("BROKER_ADDRESS \"{address}\""),
        };
        let mut text = format!(
            "\nDEFINE ROUTE {name} WITH TYPE MQTT_BRIDGE\n    ADD SOURCE_CONFIG\n        WITH {}\n    ADD DESTINATION_CONFIG\n        WITH {}\n",
            side(source),
            side(destination)
        );
        for (mapping, from, to, direction) in mappings {
            text.push_str(&format!(
                "    ADD MAPPING {mapping}\n        WITH SOURCE_TOPIC \"{from}\"\n        WITH DESTINATION_TOPIC \"{to}\"\n        WITH DIRECTION \"{direction}\"\n"
            ));
        }
        text
    }

    #[test]
    fn what_bridges_carry_back_is_a_cycle_unless_one_mapping_is_meant_to() {
        let far = ["SELF", "far"];
        let both = bridge("Up", far, &[("all", "a/#", "x/a/#", "both")]);
        assert_eq!(told(&[&both]), [""; 0]);
        // The example of the documentation: what comes is not among what goes.
        let apart = bridge("Up", far, &[("up", "site/#", "s/#", "out"), ("down", "s/cmd/#", "cmd/#", "in")]);
        assert_eq!(told(&[&apart]), [""; 0]);
        let circle =
            bridge("Up", far, &[("up", "site/#", "s/#", "out"), ("down", "s/cmd/#", "site/cmd/#", "in")]);
        assert_eq!(told(&[&circle]), ["2:14 may carry messages in a circle: Up.up -> Up.down -> Up.up"]);
        // The other broker is another one.
        let (out, back) = (
            bridge("Out", far, &[("m", "a", "b", "out")]),
            bridge("In", ["SELF", "other"], &[("m", "b", "a", "in")]),
        );
        assert_eq!(told(&[&out, &back]), [""; 0]);
        let copy = bridge("Copy", ["SELF", "SELF"], &[("m", "a/#", "b/#", "out")]);
        let answer = action("Answer", "b/+", "a/x");
        assert_eq!(told(&[&copy, &answer]), ["2:14 may trigger itself: Copy.m -> Answer -> Copy.m"]);
        let (out, answer) = (bridge("Out", far, &[("m", "a", "b", "out")]), action("Answer", "c", "a"));
        let back = bridge("In", far, &[("m", "b", "c", "in")]);
        assert_eq!(told(&[&out, &answer]), [""; 0]);
        assert_eq!(
            told(&[&out, &back, &answer]),
            ["2:14 may trigger itself: Out.m -> In.m -> Answer -> Out.m"]
        );
    }
}
