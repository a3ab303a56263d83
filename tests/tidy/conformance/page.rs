//! `docs/conformance.md`: every statement with the tests that cite it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::statement::{Check, Statement, Version};
use super::{Coverage, Covered, cited_sources, coverage, statements, texts};

const HEAD: &str = "<!-- generated from tests/conformance/statements.tsv and the tests that cite it; `UPDATE=1 cargo test -p tidy` -->

# Conformance

Every normative statement of MQTT 5.0 and MQTT 3.1.1, whose duty it is, and which tests show that lotmq keeps it. The statements are told in our own words; the standards are at
<https://docs.oasis-open.org/mqtt/mqtt/v5.0/mqtt-v5.0.html> and <https://docs.oasis-open.org/mqtt/mqtt/v3.1.1/mqtt-v3.1.1.html>. *Either* means whoever sends or receives the packet.

A test is named by its file and function: `mqtt_connect::…` is in `tests/conformance/mqtt_connect.rs`, where a raw client talks to the real broker through a socket; `e2e/websocket::…`
in `tests/e2e/websocket.rs`; `codec/refused::…` in `broker/codec/tests/codec/refused.rs`; the others likewise. The tests behind *violated in* break the rule as a client could and check what the broker does. A dash stands where only
clients have something to do and a server cannot see whether they do it. `cargo test -p tidy` fails when a statement that binds a server has no test.
";

/// The page as it should be today.
pub(crate) fn page() -> String {
    let statements = statements();
    let sources = cited_sources();
    let covered = coverage(texts(&sources));
    let mut page = HEAD.to_owned();
    untestable(&mut page, &statements);
    for (version, title) in [(Version::V5_0, "MQTT 5.0"), (Version::V3_1_1, "MQTT 3.1.1")] {
        let rows: Vec<&Statement> =
            statements.iter().filter(|statement| statement.id.version == version).collect();
        write!(
            page,
            "\n## {title}\n\n{} statements.\n\n| id | duty | statement | tested in | violated in |\n|---|---|---|---|---|\n",
            rows.len()
        )
        .unwrap();
        rows.into_iter().for_each(|statement| row(&mut page, statement, &covered));
    }
    page
}

fn untestable(page: &mut String, statements: &[Statement]) {
    page.push_str("\n## Not tested\n\n");
    for statement in statements.iter().filter(|statement| statement.check == Check::Untestable) {
        writeln!(
            page,
            "- {}: {}. {}",
            statement.id,
            statement.text,
            statement.note.as_deref().unwrap_or_default()
        )
        .unwrap();
    }
}

fn row(page: &mut String, statement: &Statement, covered: &Covered) {
    let Statement { id, duty, text, note, .. } = statement;
    let none = Coverage::default();
    let coverage = covered.get(id).unwrap_or(&none);
    let note = note.as_ref().map_or_else(String::new, |note| format!(". {note}"));
    let (tests, violations) = (names(&coverage.tests), names(&coverage.violations));
    writeln!(page, "| MQTT-{} | {duty} | {text}{note} | {tests} | {violations} |", id.number).unwrap();
}

fn names(names: &BTreeSet<String>) -> String {
    if names.is_empty() {
        return "–".to_owned();
    }
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
