//! Actions of a project that call themselves on every path before they end: such calls end with an
//! error.

use std::collections::{BTreeMap, BTreeSet};

use lot_facts::{Kind, shortest_cycle};

use super::cycle::{ProgramPlace, report};
use crate::Compilation;
use crate::compile::parse;
use crate::diagnostic::{Draft, codes};
use crate::source::Span;
use crate::syntax::{Entity, Name};

/// Action that calls others on every path through it.
struct Caller {
    place: ProgramPlace,
    name: String,
    /// Names of those that it calls.
    callees: Vec<Name>,
}

/// Warns of each circle of such calls once, at the call in the first Action of it. Actions with
/// errors are left alone.
pub fn warn_of_calls(programs: &mut [(&str, &mut Compilation)]) {
    let callers = callers(programs);
    let by_name: BTreeMap<&str, usize> =
        callers.iter().enumerate().map(|(at, caller)| (caller.name.as_str(), at)).collect();
    let called = |at: usize| -> Vec<usize> {
        let callees = callers.get(at).map(|caller| caller.callees.as_slice()).unwrap_or_default();
        callees.iter().filter_map(|name| by_name.get(name.text.as_str()).copied()).collect()
    };
    let mut told = BTreeSet::new();
    let mut found = Vec::new();
    for (at, caller) in callers.iter().enumerate() {
        let Some(way) = shortest_cycle(at, called) else { continue };
        if !told.insert(way.iter().copied().collect::<BTreeSet<usize>>()) {
            continue;
        }
        let names: Vec<&str> =
            way.iter().filter_map(|at| callers.get(*at)).map(|it| it.name.as_str()).collect();
        let next = names.get(1).copied().unwrap_or_default();
        let call = caller.callees.iter().find(|callee| callee.text == next);
        found.push((caller.place, warning(&names, call.map_or(Span::default(), |call| call.span))));
    }
    for (place, draft) in found {
        report(programs, place, draft);
    }
}

fn warning(names: &[&str], call: Span) -> Draft {
    let message = format!("calls itself before it ends, whatever comes: {}", names.join(" -> "));
    let draft = Draft::warning(codes::CALL_CYCLE, call, message);
    draft
        .note("calls may be nested 16 deep: the next one ends with an error")
        .suggest("write the call below an IF, or repeat the statements with LOOP … UNTIL")
}

/// The Actions without errors that call another one on every path. Names of a project are those of
/// its last definitions.
fn callers(programs: &[(&str, &mut Compilation)]) -> Vec<Caller> {
    let mut found = Vec::new();
    for (program, (text, compilation)) in programs.iter().enumerate() {
        for (entity, compiled) in compilation.entities.iter().enumerate() {
            let Some(facts) = compiled.output.as_ref().map(|output| &output.facts) else { continue };
            if facts.kind != Kind::Action || facts.calls.is_empty() {
                continue;
            }
            let slice = text.get(compiled.range.clone()).unwrap_or("");
            let Some(Entity::Action(action)) = parse(slice).0.pop().and_then(|parsed| parsed.tree) else {
                continue;
            };
            let mut callees = Vec::new();
            for statement in &action.body {
                statement.kind.construct().each_certain_call(&mut |name| callees.push(name.clone()));
            }
            found.push(Caller { place: (program, entity), name: facts.name.clone(), callees });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CompileOptions, check_project};

    fn told(texts: &[&str]) -> Vec<String> {
        let mut compilations = check_project(texts, &CompileOptions::default());
        let mut programs: Vec<_> = texts.iter().copied().zip(&mut compilations).collect();
        super::super::warn_of_cycles(&mut programs);
        let all = compilations.iter().flat_map(Compilation::all_diagnostics);
        let of_calls = all.filter(|found| found.code == codes::CALL_CYCLE);
        of_calls
            .map(|found| format!("{}:{} {}", found.span.start.line, found.span.start.column, found.message))
            .collect()
    }

    fn action(name: &str, body: &str) -> String {
        format!("\nDEFINE ACTION {name}\nINPUT n AS INT\nDO\n{body}\n")
    }

    #[test]
    fn unconditional_call_cycle_is_reported_once() {
        let own = action("Own", "    CALL ACTION Own WITH n = {n} + 1");
        assert_eq!(told(&[&own]), ["5:17 calls itself before it ends, whatever comes: Own -> Own"]);
        let asked = action("Own", "    IF {n} > 0 THEN\n        CALL ACTION Own WITH n = {n} - 1");
        assert_eq!(told(&[&asked]), [""; 0]);
        let (there, back) = (
            action(
                "There",
                "    LOOP\n        CALL ACTION Back WITH n = 1\n        SET \"i\" WITH {n}\n    UNTIL {i} > 0",
            ),
            action("Back", "    CALL ACTION There WITH n = 1"),
        );
        assert_eq!(told(&[&there]), [""; 0]);
        assert_eq!(
            told(&[&there, &back]),
            ["6:21 calls itself before it ends, whatever comes: There -> Back -> There"]
        );
        assert_eq!(told(&[&there, &back.replace("= 1", "= PAYLOD")]), [""; 0]);
    }
}
