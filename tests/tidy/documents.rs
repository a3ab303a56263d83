//! Documents agree with the code: the tests that they name exist, and so do the dependencies that
//! they explain.

use std::collections::BTreeSet;
use std::path::Path;

use lot_to_wasm::FormatError;

use crate::{assert_none, root};

/// Hard stop for `ARCHITECTURE.md`, house style §12.
const ARCHITECTURE_LINES_MAX: usize = 251;

fn document(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// Names of all functions with `#[test]`, properties included.
fn tests() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for folder in ["broker", "guests", "lot-to-wasm", "tests", "xtask"] {
        collect_tests(&root().join(folder), &mut found);
    }
    assert!(found.len() > 300, "the repository has many tests");
    found
}

fn collect_tests(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && name != "target" {
            collect_tests(&path, found);
        } else if name.ends_with(".rs") {
            found.extend(tests_of(&std::fs::read_to_string(&path).unwrap()));
        }
    }
}

/// The function that follows each `#[test]` or `#[tokio::test]`; other attributes may stand
/// between.
fn tests_of(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let starts = lines.iter().enumerate().filter(|(_, line)| matches!(**line, "#[test]" | "#[tokio::test]"));
    let function = |(at, _): (usize, &&str)| {
        lines[at..].iter().find_map(|line| line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn "))
    };
    starts.filter_map(function).map(|rest| identifier(rest).to_owned()).collect()
}

fn identifier(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

/// Returns the texts in backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Words in backticks that look like a test: several words in lower case, joined by `_`, with
/// nothing else in them.
fn named(text: &str) -> Vec<&str> {
    let is_test = |word: &&str| {
        word.contains('_') && identifier(word) == *word && !word.contains(|c: char| c.is_ascii_uppercase())
    };
    quoted(text).filter(is_test).collect()
}

fn missing<'a>(names: impl IntoIterator<Item = &'a str>, place: &str) -> Vec<String> {
    let tests = tests();
    let absent = names.into_iter().filter(|name| !tests.contains(*name));
    absent.map(|name| format!("{place}: there is no test {name}")).collect()
}

#[test]
fn every_invariant_names_a_test_that_exists() {
    let text = document("ARCHITECTURE.md");
    let invariants: Vec<&str> =
        text.split("\n\n").filter(|part| part.starts_with("**Invariant:**")).collect();
    assert!(invariants.len() > 20, "the invariants are there");
    let mut findings = Vec::new();
    for invariant in invariants {
        let guards = invariant.split_once("Test").map_or_else(Vec::new, |(_, guards)| named(guards));
        if guards.is_empty() {
            findings.push(format!("no test is named: {invariant}"));
        }
        findings.extend(missing(guards, "ARCHITECTURE.md"));
    }
    assert_none(&findings);
}

#[test]
fn architecture_is_short() {
    let lines = document("ARCHITECTURE.md").lines().count();
    assert!(lines < ARCHITECTURE_LINES_MAX, "{lines} lines");
}

#[test]
fn tests_of_the_coverage_tables_exist() {
    for path in ["docs/lot-coverage.md", "docs/commands-coverage.md"] {
        let text = document(path);
        let rows = text.lines().filter(|line| line.starts_with('|'));
        let names: BTreeSet<&str> = rows.flat_map(named).collect();
        assert!(names.len() > 80, "{path}: the tables name many tests");
        assert_none(&missing(names, path));
    }
}

#[test]
fn verbs_of_later_versions_are_all_explained() {
    let text = document("docs/commands-coverage.md");
    let (_, section) = text.split_once("## Refused by name").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with('|'));
    let explained: BTreeSet<&str> = rows.flat_map(quoted).filter_map(|word| word.strip_prefix('-')).collect();
    let source = document("broker/operations/src/command/mod.rs");
    let (_, list) = source.split_once("static NOT_AVAILABLE: &[&str] = &[").unwrap();
    let (list, _) = list.split_once("];").unwrap();
    let refused: BTreeSet<&str> = list.split('"').skip(1).step_by(2).collect();
    let unexplained =
        refused.difference(&explained).map(|verb| format!("-{verb} is refused, and not explained"));
    let gone = explained.difference(&refused).map(|verb| format!("-{verb} is explained, and not refused"));
    assert_none(&unexplained.chain(gone).collect::<Vec<_>>());
}

/// Names of the dependencies of the workspace that are not ours.
fn dependencies() -> BTreeSet<String> {
    let manifest = document("Cargo.toml");
    let (_, section) = manifest.split_once("[workspace.dependencies]").unwrap();
    let section = section.split("\n[").next().unwrap();
    let foreign = section.lines().filter(|line| !line.starts_with('#') && !line.contains("path ="));
    foreign.filter_map(|line| Some(line.split_once(" = ")?.0.to_owned())).collect()
}

#[test]
fn every_dependency_is_explained() {
    let text = document("docs/dependencies.md");
    let row = |line: &str| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned());
    let explained: BTreeSet<String> = text.lines().filter_map(row).collect();
    let used = dependencies();
    assert!(used.len() > 30, "the dependencies are there");
    let unexplained =
        used.difference(&explained).map(|name| format!("{name} is not in docs/dependencies.md"));
    let gone = explained.difference(&used).map(|name| format!("{name} is explained and not used"));
    assert_none(&unexplained.chain(gone).collect::<Vec<_>>());
}

#[test]
fn decisions_are_questions_with_an_answer_and_a_reason() {
    let index = document("docs/decisions/README.md");
    let (mut findings, mut questions) = (Vec::new(), BTreeSet::new());
    for entry in std::fs::read_dir(root().join("docs/decisions")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name == "README.md" {
            continue;
        }
        if !index.contains(&format!("]({name})")) {
            findings.push(format!("{name} is not in the index"));
        }
        for section in document(&format!("docs/decisions/{name}")).split("\n## ").skip(1) {
            let (question, answer) = section.split_once('\n').unwrap();
            if !questions.insert(question.to_owned()) {
                findings.push(format!("{name}: `{question}` is asked twice"));
            }
            let is_answered = answer
                .trim()
                .split_once("\n\n*Why:* ")
                .is_some_and(|(answer, why)| !answer.is_empty() && !why.is_empty());
            if !is_answered {
                findings.push(format!(
                    "{name}: `{question}` has no answer with a paragraph that begins with *Why:*"
                ));
            }
        }
    }
    assert!(questions.len() > 300, "there are many decisions");
    assert_none(&findings);
}

#[test]
fn example_code_in_the_page_matches_the_tested_source() {
    let (page, source) = (document("docs/sdk/routes.md"), document("sdk/examples/route-lines/src/lib.rs"));
    let (_, section) = page.split_once("## Bringing messages").unwrap();
    let (_, code) = section.split_once("```rust\n").unwrap();
    let (code, _) = code.split_once("```").unwrap();
    let parts: Vec<&str> = code.split("\n    fn run").collect();
    assert_eq!(parts.len(), 2, "open, and run with what it drives");
    let run = format!("    fn run{}", parts[1].trim_end());
    for part in [parts[0].trim_end(), &run] {
        assert!(source.contains(part), "{part}");
    }
}

#[test]
fn polling_code_in_the_routes_page_matches_the_tested_source() {
    let (page, source) = (document("docs/sdk/routes.md"), document("sdk/examples/route-points/src/lib.rs"));
    let (_, from) = page.split_once("## What open gets").unwrap();
    let blocks = from.split("```rust\n").skip(1).map(|rest| rest.split("```").next().unwrap().trim_end());
    // The one of another example has a test of its own.
    let blocks: Vec<&str> = blocks.filter(|block| !block.contains("AsyncConnection")).collect();
    assert_eq!(blocks.len(), 5);
    for block in blocks {
        assert!(source.contains(block), "{block}");
    }
}

/// Programs in pages are as `lotmq fmt` writes them; those with errors show these.
#[test]
fn programs_in_pages_are_formatted() {
    let mut unformatted = Vec::new();
    let mut programs = 0;
    for folder in ["docs/lot", "docs/routes"] {
        for entry in std::fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let page = std::fs::read_to_string(&path).unwrap();
            for (block, _) in page.split("\n```lot").skip(1).filter_map(|rest| rest.split_once("\n```")) {
                let (first, program) = block.split_once('\n').unwrap_or((block, ""));
                let program = format!("{program}\n");
                programs += 1;
                match lot_to_wasm::format(&program) {
                    Ok(formatted) if formatted != program => {
                        let head = program.lines().next().unwrap_or_default();
                        unformatted.push(format!("{}: {first} {head}", path.display()));
                    }
                    Ok(_) | Err(FormatError::Invalid(_)) => {}
                    Err(error) => unformatted.push(format!("{}: {error}", path.display())),
                }
            }
        }
    }
    assert!(programs > 50, "{programs}");
    assert_none(&unformatted);
}
