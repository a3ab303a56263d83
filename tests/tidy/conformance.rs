//! Every statement of MQTT 5.0 and 3.1.1 that binds a server has a test that cites it, and a test
//! of its violation where Clients can violate it.
//!
//! A test cites a statement as `[MQTT-3.3.1-2]` or `[3.1.1: MQTT-3.1.2-24]`, and several of one
//! section as `[MQTT-3.3.1-9, -10]`; the word `violates` before it says that the test breaks the
//! rule and looks at what the broker does. Citations count in a test function, right above it, and
//! in functions of the same file that it uses. The statements are in
//! `tests/conformance/statements.tsv`, and who tests them in `docs/conformance*.md`.

mod citation;
mod page;
mod statement;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

pub(crate) use page::PAGES;

use crate::files::{Source, sources};
use crate::{assert_none, root};
use citation::{Citation, cited, tests_of};
use statement::{Check, Id, Statement, Version, read};

/// More than so many statements nobody may call untestable.
const UNTESTABLE_MAX: usize = 10;

/// Statements of each chapter of MQTT 5.0, from 1 to 7: 251, as its appendix B lists them.
const CHAPTERS_5_0: [usize; 7] = [5, 7, 175, 60, 0, 4, 0];

/// The same for MQTT 3.1.1: 141.
const CHAPTERS_3_1_1: [usize; 7] = [3, 9, 95, 26, 0, 4, 4];

/// Names of the tests that cite a statement, and of those that violate it.
#[derive(Debug, Default, PartialEq)]
struct Coverage {
    tests: BTreeSet<String>,
    violations: BTreeSet<String>,
}

/// Everything the repository's tests say about statements.
type Covered = BTreeMap<Id, Coverage>;

fn statements() -> Vec<Statement> {
    read(&std::fs::read_to_string(root().join("tests/conformance/statements.tsv")).unwrap()).unwrap()
}

fn coverage<'a>(sources: impl IntoIterator<Item = (&'a Path, &'a str)>) -> Covered {
    let mut covered = Covered::new();
    for (path, text) in sources {
        for test in tests_of(text) {
            let name = format!("{}::{}", module(path), test.name);
            for Citation { id, violates, .. } in cited(&test.text) {
                let coverage = covered.entry(id).or_default();
                let names = if violates { &mut coverage.violations } else { &mut coverage.tests };
                names.insert(name.clone());
            }
        }
    }
    covered
}

/// The short name of a test file: `mqtt_connect`, `codec/refused`.
fn module(path: &Path) -> String {
    let stem = path.with_extension("");
    let parts = stem.components().map(|part| part.as_os_str().to_str().unwrap());
    let mut parts: Vec<&str> =
        parts.filter(|part| !["broker", "src", "tests", "conformance"].contains(part)).collect();
    parts.dedup();
    parts.join("/")
}

/// Returns the statements that lack a test.
fn gaps(statements: &[Statement], covered: &Covered) -> Vec<String> {
    let none = Coverage::default();
    let mut found = Vec::new();
    for statement in statements.iter().filter(|statement| statement.wants_tests()) {
        let coverage = covered.get(&statement.id).unwrap_or(&none);
        let Statement { id, text, .. } = statement;
        if statement.binds_server() && coverage.tests.is_empty() {
            found.push(format!("no test cites {id}: {text}"));
        }
        let mut all = coverage.tests.iter().chain(&coverage.violations);
        if statement.check == Check::Wire && !all.any(|test| is_through_a_socket(test)) {
            found.push(format!("no test through a socket cites {id}: {text}"));
        }
        if statement.can_be_violated && coverage.violations.is_empty() {
            found.push(format!("no test violates {id}: {text}"));
        }
    }
    found
}

/// Whether a test talks to a broker: those of `tests/conformance` and `tests/e2e`.
fn is_through_a_socket(test: &str) -> bool {
    !test.contains('/') || test.starts_with("e2e/")
}

/// Citations of what is no statement of a standard.
fn unknown(statements: &[Statement], sources: &[(&Path, &str)]) -> Vec<String> {
    let known: BTreeSet<&Id> = statements.iter().map(|statement| &statement.id).collect();
    let mut found = Vec::new();
    for (path, text) in sources {
        let strangers = cited(text).into_iter().filter(|citation| !known.contains(&citation.id));
        found.extend(strangers.map(|citation| format!("{}: there is no {}", path.display(), citation.id)));
    }
    found
}

/// Sources of the repository without the checker's own, which speaks of statements that do not
/// exist, and without those of guests, whose modules are built from them, comments included.
fn cited_sources() -> Vec<Source> {
    let is_ours =
        |source: &Source| !["tests/tidy", "guests"].iter().any(|folder| source.path.starts_with(folder));
    sources().into_iter().filter(is_ours).collect()
}

fn texts(sources: &[Source]) -> Vec<(&Path, &str)> {
    sources.iter().map(|source| (source.path.as_path(), source.text.as_str())).collect()
}

#[test]
fn every_statement_for_a_server_has_its_tests() {
    let sources = cited_sources();
    assert_none(&gaps(&statements(), &coverage(texts(&sources))));
}

#[test]
fn every_cited_statement_exists() {
    let sources = cited_sources();
    assert_none(&unknown(&statements(), &texts(&sources)));
}

#[test]
fn all_statements_are_listed() {
    let statements = statements();
    for (version, chapters) in [(Version::V5_0, CHAPTERS_5_0), (Version::V3_1_1, CHAPTERS_3_1_1)] {
        let mut found = [0; 7];
        for statement in statements.iter().filter(|statement| statement.id.version == version) {
            found[statement.id.chapter() - 1] += 1;
        }
        assert_eq!(found, chapters, "{version:?}");
    }
    let untestable = statements.iter().filter(|statement| statement.check == Check::Untestable);
    assert!(untestable.clone().all(|statement| statement.note.is_some()), "each says why");
    assert!(untestable.count() <= UNTESTABLE_MAX);
}

/// The checks above can fail: made-up statements, and a test file that covers some of them.
#[test]
fn gaps_are_found() {
    let table = "version\tid\tduty\ttest\tviolation\tstatement\tnote\n\
        5.0\tMQTT-1.0.0-1\tserver\twire\tno\tcited\n\
        5.0\tMQTT-1.0.0-2\tserver\twire\tno\tnot cited\n\
        5.0\tMQTT-1.0.0-3\tboth\tunit\tyes\tcited and violated\n\
        5.0\tMQTT-1.0.0-4\teither\twire\tyes\tcited and not violated\n\
        5.0\tMQTT-1.0.0-5\tclient\twire\tyes\tviolated\n\
        5.0\tMQTT-1.0.0-6\tclient\twire\tyes\tcited, where only a violation counts\n\
        5.0\tMQTT-1.0.0-7\tclient\t-\tno\tnothing for us\n\
        5.0\tMQTT-1.0.0-8\tserver\tuntestable\tno\tnobody can\tbecause\n\
        5.0\tMQTT-1.0.0-10\tserver\twire\tno\tcited in a unit test\n\
        3.1.1\tMQTT-1.0.0-1\tserver\twire\tno\tcited for the other version only\n";
    let source = "//! [MQTT-1.0.0-2] in a module's docs does not count.\n\
        /// [MQTT-1.0.0-1], violates [MQTT-1.0.0-3, -5]\n#[test]\nfn one() {\n    // [MQTT-1.0.0-3, -4] and [MQTT-1.0.0-6]\n}\n\
        fn helper() {\n    // [MQTT-1.0.0-2] in no test does not count.\n}\n";
    let statements = read(table).unwrap();
    let path = Path::new("tests/conformance/made_up.rs");
    let unit = (
        Path::new("broker/codec/tests/codec/unit.rs"),
        "#[test]\nfn two() {\n    // [MQTT-1.0.0-3, -10]\n}\n",
    );
    let covered = coverage([(path, source), unit]);
    let expected = [
        "no test cites MQTT-1.0.0-2: not cited",
        "no test through a socket cites MQTT-1.0.0-2: not cited",
        "no test violates MQTT-1.0.0-4: cited and not violated",
        "no test violates MQTT-1.0.0-6: cited, where only a violation counts",
        "no test through a socket cites MQTT-1.0.0-10: cited in a unit test",
        "no test cites 3.1.1: MQTT-1.0.0-1: cited for the other version only",
        "no test through a socket cites 3.1.1: MQTT-1.0.0-1: cited for the other version only",
    ];
    assert_eq!(gaps(&statements, &covered), expected);
    let stranger = [(path, "// \\[MQTT-1.0.0-11\\] \\[3.1.1: MQTT-1.0.0-2\\] [MQTT-1.0.0-1]")];
    let expected = ["MQTT-1.0.0-11", "3.1.1: MQTT-1.0.0-2"]
        .map(|id| format!("tests/conformance/made_up.rs: there is no {id}"));
    assert_eq!(unknown(&statements, &stranger), expected);
}
