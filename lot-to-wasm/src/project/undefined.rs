//! Names of definitions that no program of a project defines.

use std::collections::BTreeSet;

use lot_facts::Kind;
use lot_nearest::nearest;

use crate::Compilation;
use crate::compile::Entity;
use crate::diagnostic::{Diagnostic, Draft, Sink, codes};
use crate::editor::{Reference, Target, references};
use crate::source::{Source, Span};

/// Target that a program names: a definition of a kind, or a Python script.
type Named<'t> = (Option<Kind>, &'t str);

/// Warns of programs of a project that name an Action, a Model, a Route or a script that none of
/// them defines. `scripts` are the names of the scripts. It is no error, since the broker may have
/// the definition; definitions with errors are left alone.
pub fn warn_of_undefined(programs: &mut [(&str, &mut Compilation)], scripts: &[&str]) {
    let mut defined: BTreeSet<Named<'_>> = scripts.iter().map(|name| (None, *name)).collect();
    for (text, _) in &*programs {
        let definitions = references(text).into_iter().filter(|reference| reference.is_definition);
        defined.extend(definitions.filter_map(|reference| named(&reference)));
    }
    for (text, compilation) in programs {
        for entity in compilation.entities.iter_mut().filter(|entity| entity.output.is_some()) {
            let slice = text.get(entity.range.clone()).unwrap_or("");
            entity.diagnostics.extend(undefined(slice, entity, &defined));
            entity.diagnostics.sort_by_key(|found| (found.span.start, found.severity));
        }
    }
}

/// Warns where the programs of a project name a function that a script of the project does not
/// define; `scripts` are those whose functions are known. It is no error, since the broker may have
/// another version of the script.
pub fn warn_of_functions(programs: &mut [(&str, &mut Compilation)], scripts: &[(&str, &[String])]) {
    for (text, compilation) in programs {
        for entity in compilation.entities.iter_mut().filter(|entity| entity.output.is_some()) {
            let slice = text.get(entity.range.clone()).unwrap_or("");
            entity.diagnostics.extend(without_function(slice, scripts));
            entity.diagnostics.sort_by_key(|found| (found.span.start, found.severity));
        }
    }
}

fn without_function(slice: &str, scripts: &[(&str, &[String])]) -> Vec<Diagnostic> {
    let source = Source::new(slice);
    let mut sink = Sink::new(&source);
    let mut told = BTreeSet::new();
    for reference in references(slice) {
        let Target::Python(name) = reference.target else { continue };
        let Some((script, function)) = name.split_once('.') else { continue };
        let Some((_, functions)) = scripts.iter().find(|(known, _)| *known == script) else { continue };
        if functions.iter().any(|known| known == function) || !told.insert(name) {
            continue;
        }
        let start = reference.range.start + script.len() + 1;
        let message = format!("the script `{script}` defines no function `{function}`");
        let draft = Draft::warning(codes::UNDEFINED, Span::new(start, start + function.len()), message)
            .note("the call ends in an error in the broker")
            .did_you_mean(nearest(function, functions.iter().map(String::as_str)));
        sink.push(draft);
    }
    sink.finish()
}

/// Returns the definition or script that a reference names, if it names one.
fn named<'t>(reference: &Reference<'t>) -> Option<Named<'t>> {
    match reference.target {
        Target::Entity(kind, name) => Some((Some(kind), name)),
        Target::Python(function) => Some((None, function.split('.').next().unwrap_or(function))),
        Target::Variable(_) | Target::Topic(_) | Target::Keyword(_) => None,
    }
}

fn undefined(slice: &str, entity: &Entity, defined: &BTreeSet<Named<'_>>) -> Vec<Diagnostic> {
    let source = Source::new(slice);
    let mut sink = Sink::new(&source);
    let mut told = BTreeSet::new();
    for reference in references(slice) {
        let Some((kind, name)) = named(&reference).filter(|named| !defined.contains(named)) else { continue };
        if !told.insert((kind, name)) {
            continue;
        }
        let title = kind.map_or("Python script", Kind::title);
        let start = reference.range.start;
        let span = Span::new(start, start + name.len());
        let known = defined.iter().filter(|(other, _)| *other == kind).map(|(_, name)| *name);
        let draft = Draft::warning(codes::UNDEFINED, span, format!("no {title} `{name}` is defined here"))
            .note(without(kind, entity))
            .did_you_mean(nearest(name, known));
        sink.push(draft);
    }
    sink.finish()
}

/// Returns a note on how a broker without such a definition behaves.
fn without(kind: Option<Kind>, entity: &Entity) -> String {
    let waiting = entity.kind.map_or("definition", Kind::title);
    match kind {
        Some(Kind::Route) => {
            "a broker that has none records an error instead of what is asked of it".to_owned()
        }
        Some(_) | None => format!("the {waiting} waits in the broker until it is there"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CompileOptions, compile_project};

    /// Line, column and message of each warning, and its suggestions.
    fn told(texts: &[&str], scripts: &[&str]) -> Vec<String> {
        let mut compilations = compile_project(texts, &CompileOptions::default());
        let mut programs: Vec<_> = texts.iter().copied().zip(&mut compilations).collect();
        warn_of_undefined(&mut programs, scripts);
        let all = compilations.iter().flat_map(Compilation::all_diagnostics);
        let of_names = all.filter(|found| found.code == codes::UNDEFINED);
        of_names
            .map(|found| {
                let place = found.span.start;
                let help = found.suggestions.first().map_or("", String::as_str);
                format!("{}:{} {} {help}", place.line, place.column, found.message).trim_end().to_owned()
            })
            .collect()
    }

    const MODEL: &str = "DEFINE MODEL Reading COLLAPSED\n    ADD DOUBLE \"v\"\n";

    #[test]
    fn undefined_names_are_reported_with_the_nearest_match() {
        let action = "-- of it\n\nDEFINE ACTION A\nON TOPIC \"a\" DO\n    PUBLISH MODEL Readng TO \"o\" WITH v = 1\n    CALL ACTION Nope\n    CALL PYTHON \"Stat.mean\" WITH (1) RETURN AS {m}\n    PUBLISH MODEL Readng TO \"p\" WITH v = {m}\n    TRIGGER \"E\" TO Rt\n";
        assert_eq!(
            told(&[action, MODEL], &["Stats"]),
            [
                "5:19 no Model `Readng` is defined here did you mean Reading?",
                "6:17 no Action `Nope` is defined here",
                "7:18 no Python script `Stat` is defined here did you mean Stats?",
                "9:20 no Route `Rt` is defined here",
            ]
        );
    }

    #[test]
    fn functions_missing_from_a_script_are_reported() {
        let text = "DEFINE ACTION A\nON START DO\n    CALL PYTHON \"Stat.spreed\"\n    CALL PYTHON \"Stat.mean\"\n    CALL PYTHON \"Other.x\"\n";
        let mut compilations = compile_project(&[text], &CompileOptions::default());
        let mut programs: Vec<_> = [text].into_iter().zip(&mut compilations).collect();
        warn_of_functions(&mut programs, &[("Stat", &["mean".to_owned(), "spread".to_owned()])]);
        let found = compilations[0].all_diagnostics();
        assert_eq!(found.len(), 1, "{found:?}");
        let place = found[0].span.start;
        assert_eq!((place.line, place.column), (3, 23));
        assert_eq!(found[0].message, "the script `Stat` defines no function `spreed`");
        assert_eq!(found[0].suggestions, ["did you mean spread?"]);
    }

    #[test]
    fn names_defined_anywhere_in_the_project_are_accepted() {
        let whole = "DEFINE ACTION A\nON TOPIC \"a\" DO\n    PUBLISH MODEL Child TO \"o\" WITH v = 1\n    CALL ACTION \"A b\"\n    CALL PYTHON \"Stat.mean\"\n    TRIGGER \"E\" TO Rt\nDEFINE MODEL Child FROM Reading\n    ADD COLLECTION \"c\" OF Reading\n";
        let others = "DEFINE ACTION \"A b\"\nDO\n    PUBLISH TOPIC \"x\" WITH 1\nDEFINE ROUTE Rt WITH TYPE LOOPBACK\n    ADD EVENT \"E\"\n        WITH SOURCE_TOPIC \"a\"\n";
        assert_eq!(told(&[whole, MODEL, others], &["Stat"]), [""; 0]);
        // A definition with errors counts as defined, and gives no warnings itself.
        let wrong = "DEFINE MODEL Reading\n    ADD DUBLE \"v\" OF\nDEFINE ACTION B\nON START DO\n    CALL ACTION Nope WITH\n";
        let user = "DEFINE ACTION A\nON START DO\n    PUBLISH MODEL Reading TO \"o\" WITH v = 1\n";
        assert_eq!(told(&[wrong, user], &[]), [""; 0]);
    }
}
