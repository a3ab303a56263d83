//! Definitions of a project that start themselves by their own messages, with the warning that the
//! broker gives as well.

use std::collections::BTreeSet;

use lot_facts::{Cycle, MessagePath, shortest_cycle};

use crate::Compilation;
use crate::diagnostic::{Draft, Sink, codes};
use crate::editor::references;
use crate::source::{Source, Span};

/// Location of a definition: the number of its program, and its own in it.
pub(super) type ProgramPlace = (usize, usize);

/// Warns of each cycle of definitions of these programs once, at the first of it, and of Actions
/// that call themselves. Those with errors are left alone.
pub fn warn_of_cycles(programs: &mut [(&str, &mut Compilation)]) {
    super::calls::warn_of_calls(programs);
    let mut told = BTreeSet::new();
    let mut found = Vec::new();
    {
        let (places, all) = paths(programs);
        let reached = |at: usize| {
            let others = |from: &MessagePath<'_>| {
                (0..all.len()).filter(|to| all.get(*to).is_some_and(|to| from.may_pass_to(to))).collect()
            };
            all.get(at).map(others).unwrap_or_default()
        };
        let next: Vec<Vec<usize>> = (0..all.len()).map(reached).collect();
        for (at, place) in places.iter().enumerate() {
            let next = |at: usize| next.get(at).cloned().unwrap_or_default();
            let Some(way) = shortest_cycle(at, next) else { continue };
            // A cycle of the same definitions over other mappings is the same cycle to the author
            // who has to break it.
            let members = way.iter().filter_map(|it| places.get(*it)).copied();
            if told.insert(members.collect::<BTreeSet<ProgramPlace>>()) {
                found.push((*place, warning(&Cycle::of(&way, &all))));
            }
        }
    }
    for (place, draft) in found {
        let span = name_of(programs, place);
        report(programs, place, draft.moved_to(span));
    }
}

/// The warning of a cycle, without its place.
fn warning(cycle: &Cycle) -> Draft {
    let draft = Draft::warning(codes::TRIGGER_CYCLE, Span::default(), cycle.to_string());
    let draft = draft.note("the broker says TRIGGER_CYCLE of it");
    if cycle.is_of_bridges {
        let draft = draft.note("a bridge stops what has passed it before; where a broker on the way speaks no MQTT 5.0 it may go on");
        return draft.suggest(
            "leave the topics of one mapping out of the other, or write one mapping WITH DIRECTION \"both\"",
        );
    }
    draft.suggest("publish to a topic that its trigger does not match")
}

/// The paths through all definitions without errors, each with the place of its definition.
fn paths<'p>(programs: &'p [(&str, &mut Compilation)]) -> (Vec<ProgramPlace>, Vec<MessagePath<'p>>) {
    let mut all = (Vec::new(), Vec::new());
    for (program, (_, compilation)) in programs.iter().enumerate() {
        for (entity, compiled) in compilation.entities.iter().enumerate() {
            let Some(output) = &compiled.output else { continue };
            for path in MessagePath::all_of(&output.facts) {
                all.0.push((program, entity));
                all.1.push(path);
            }
        }
    }
    all
}

/// Returns the place of a definition's name in the text of the definition.
fn name_of(programs: &[(&str, &mut Compilation)], (program, entity): ProgramPlace) -> Span {
    let slice = programs
        .get(program)
        .and_then(|(text, compilation)| text.get(compilation.entities.get(entity)?.range.clone()));
    let name = references(slice.unwrap_or("")).into_iter().find(|reference| reference.is_definition);
    name.map_or(Span::new(0, 6), |name| Span::new(name.range.start, name.range.end))
}

/// Puts a warning into a definition.
pub(super) fn report(
    programs: &mut [(&str, &mut Compilation)],
    (program, entity): ProgramPlace,
    draft: Draft,
) {
    let Some((text, compilation)) = programs.get_mut(program) else { return };
    let Some(entity) = compilation.entities.get_mut(entity) else { return };
    let source = Source::new(text.get(entity.range.clone()).unwrap_or(""));
    let mut sink = Sink::new(&source);
    sink.push(draft);
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
    fn trigger_cycle_is_reported_once_across_files() {
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
    fn bridge_loop_is_reported_as_a_cycle_unless_one_mapping_forms_it() {
        let far = ["SELF", "far"];
        let both = bridge("Up", far, &[("all", "a/#", "x/a/#", "both")]);
        assert_eq!(told(&[&both]), [""; 0]);
        // The example of the documentation: incoming and outgoing topics do not overlap.
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
