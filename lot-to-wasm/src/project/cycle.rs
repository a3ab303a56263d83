//! Definitions of a project that start themselves by what they publish, as the broker tells when they are added.

use std::collections::BTreeSet;

use lot_facts::{Facts, shortest_cycle};

use crate::Compilation;
use crate::diagnostic::{Draft, Sink, codes};
use crate::editor::references;
use crate::source::{Source, Span};

/// Where a definition is: the number of its program, and its own in it.
type Place = (usize, usize);

/// Warns of each cycle of definitions of these programs once, at the first of it. Those with errors are left alone.
pub fn warn_of_cycles(programs: &mut [(&str, &mut Compilation)]) {
    let mut told = BTreeSet::new();
    let mut found = Vec::new();
    {
        let all = definitions(programs);
        let starts: Vec<Vec<usize>> = (0..all.len()).map(|at| started_by(at, &all)).collect();
        for (at, (place, _)) in all.iter().enumerate() {
            let next = |at: usize| starts.get(at).cloned().unwrap_or_default();
            let Some(way) = shortest_cycle(at, next) else { continue };
            if !told.insert(way.iter().copied().collect::<BTreeSet<usize>>()) {
                continue;
            }
            let names = way.iter().filter_map(|at| Some(all.get(*at)?.1.name.as_str()));
            let message = format!("may trigger itself: {}", names.collect::<Vec<_>>().join(" -> "));
            found.push((*place, message));
        }
    }
    for (place, message) in found {
        report(programs, place, message);
    }
}

/// The definitions without errors.
fn definitions<'p>(programs: &'p [(&str, &mut Compilation)]) -> Vec<(Place, &'p Facts)> {
    let mut all = Vec::new();
    for (program, (_, compilation)) in programs.iter().enumerate() {
        for (entity, compiled) in compilation.entities.iter().enumerate() {
            all.extend(compiled.output.as_ref().map(|output| ((program, entity), &output.facts)));
        }
    }
    all
}

fn started_by(at: usize, all: &[(Place, &Facts)]) -> Vec<usize> {
    let Some((_, writer)) = all.get(at).filter(|(_, facts)| !facts.writes.is_empty()) else {
        return Vec::new();
    };
    let others = all.iter().enumerate();
    others
        .filter(|(other, (_, facts))| writer.may_start(facts, *other == at))
        .map(|(other, _)| other)
        .collect()
}

/// Puts the warning at the name of the definition.
fn report(programs: &mut [(&str, &mut Compilation)], (program, entity): Place, message: String) {
    let Some((text, compilation)) = programs.get_mut(program) else { return };
    let Some(entity) = compilation.entities.get_mut(entity) else { return };
    let slice = text.get(entity.range.clone()).unwrap_or("");
    let name = references(slice).into_iter().find(|reference| reference.is_definition);
    let span = name.map_or(Span::new(0, 6), |name| Span::new(name.range.start, name.range.end));
    let source = Source::new(slice);
    let mut sink = Sink::new(&source);
    let draft = Draft::warning(codes::TRIGGER_CYCLE, span, message);
    let draft = draft.note("the broker says TRIGGER_CYCLE of it");
    sink.push(draft.suggest("publish to a topic that its trigger does not match"));
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
}
