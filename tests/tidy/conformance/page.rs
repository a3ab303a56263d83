//! `docs/conformance.md` and `docs/conformance-3.1.1.md`: every statement with the tests that cite
//! it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::statement::{Check, Statement, Version};
use super::{Coverage, Covered, cited_sources, coverage, statements, texts};
use crate::details::fold;

const HEAD: &str = "<!-- generated from tests/conformance/statements.tsv and the tests that cite it; `UPDATE=1 cargo test -p tidy` -->

# Conformance

This page lists each normative statement of MQTT 5.0, and the tests that show that lotmq keeps it. [Conformance to MQTT 3.1.1](conformance-3.1.1.md) does so for the older
version. The statements are in our own words. The standards have the exact ones: [MQTT 5.0](https://docs.oasis-open.org/mqtt/mqtt/v5.0/mqtt-v5.0.html) and
[MQTT 3.1.1](https://docs.oasis-open.org/mqtt/mqtt/v3.1.1/mqtt-v3.1.1.html).

| column | meaning |
|---|---|
| duty | who must keep the statement; *either* is the side that sends or receives the packet |
| tested in | tests that keep the rule |
| violated in | tests that break the rule as a client could, and check the answer of the broker |
| – | only clients have a duty, and a server cannot see whether they keep it |

A test is named by its file and function:

- `mqtt_connect::…` is in `tests/conformance/mqtt_connect.rs`. A raw client there talks to the real broker through a socket.
- `e2e/websocket::…` is in `tests/e2e/websocket.rs`.
- `codec/refused::…` is in `broker/codec/tests/codec/refused.rs`. The others are named likewise.

`cargo test -p tidy` fails when a statement that binds a server has no test.
";

const HEAD_3_1_1: &str = "<!-- generated from tests/conformance/statements.tsv and the tests that cite it; `UPDATE=1 cargo test -p tidy` -->

# Conformance to MQTT 3.1.1

This page lists each normative statement of MQTT 3.1.1, and the tests that show that lotmq keeps it. [Conformance](conformance.md) explains the columns and the names of tests.
";

/// The page of a version as it should be today.
pub(crate) fn page(version: Version) -> String {
    let mut statements = statements();
    statements.retain(|statement| statement.id.version == version);
    let sources = cited_sources();
    let covered = coverage(texts(&sources));
    let mut page = match version {
        Version::V5_0 => HEAD,
        Version::V3_1_1 => HEAD_3_1_1,
    }
    .to_owned();
    untestable(&mut page, &statements);
    write!(
        page,
        "\n## Statements\n\n{} statements.\n\n| id | duty | statement | tested in | violated in |\n|---|---|---|---|---|\n",
        statements.len()
    )
    .unwrap();
    statements.iter().for_each(|statement| row(&mut page, statement, &covered));
    fold(&page, &["tested in", "violated in"])
}

fn untestable(page: &mut String, statements: &[Statement]) {
    let untestable: Vec<&Statement> =
        statements.iter().filter(|statement| statement.check == Check::Untestable).collect();
    if !untestable.is_empty() {
        page.push_str("\n## Not tested\n\n");
    }
    for statement in untestable {
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
