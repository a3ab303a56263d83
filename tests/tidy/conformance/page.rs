//! `docs/conformance*.md`: every statement with the tests that cite it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::ops::Range;

use super::statement::{Check, Statement, Version};
use super::{Coverage, Covered, cited_sources, coverage, statements, texts};
use crate::details::fold;

/// Page about the statements of some sections of a standard.
pub(crate) struct ConformancePage {
    /// Its place, from the root.
    pub(crate) path: &'static str,
    head: &'static str,
    version: Version,
    /// Chapter and section of its first statement, and those of the first one behind it.
    sections: Range<(usize, usize)>,
}

/// All pages. Each is short enough to be read on a small screen.
pub(crate) const PAGES: [ConformancePage; 4] = [
    ConformancePage {
        path: "docs/conformance.md",
        head: HEAD,
        version: Version::V5_0,
        sections: (0, 0)..(3, 3),
    },
    ConformancePage {
        path: "docs/conformance-packets.md",
        head: "\
# Conformance: PUBLISH and other packets

This page lists the normative statements of MQTT 5.0, sections 3.3 to 3.15. [Conformance](conformance.md) explains the columns and the names of tests.
",
        version: Version::V5_0,
        sections: (3, 3)..(4, 0),
    },
    ConformancePage {
        path: "docs/conformance-behaviour.md",
        head: "\
# Conformance: behaviour and WebSocket

This page lists the normative statements of MQTT 5.0, chapters 4 and 6. [Conformance](conformance.md) explains the columns and the names of tests.
",
        version: Version::V5_0,
        sections: (4, 0)..(8, 0),
    },
    ConformancePage {
        path: "docs/conformance-3.1.1.md",
        head: "\
# Conformance to MQTT 3.1.1

This page lists the normative statements of MQTT 3.1.1. [Conformance](conformance.md) explains the columns and the names of tests.
",
        version: Version::V3_1_1,
        sections: (0, 0)..(8, 0),
    },
];

const GENERATED: &str = "<!-- generated from tests/conformance/statements.tsv and the tests that cite it; `UPDATE=1 cargo test -p tidy` -->\n\n";

const HEAD: &str = "\
# Conformance

These pages list each normative statement of MQTT 5.0 and MQTT 3.1.1, and the tests that show that lotmq keeps it:

| statements | page |
|---|---|
| MQTT 5.0, chapters 1 and 2, sections 3.1 and 3.2: data formats, CONNECT, CONNACK | this page |
| MQTT 5.0, sections 3.3 to 3.15 | [PUBLISH and other packets](conformance-packets.md) |
| MQTT 5.0, chapters 4 and 6 | [Behaviour and WebSocket](conformance-behaviour.md) |
| MQTT 3.1.1 | [Conformance to MQTT 3.1.1](conformance-3.1.1.md) |

The statements are in our own words. The standards have the exact ones: [MQTT 5.0](https://docs.oasis-open.org/mqtt/mqtt/v5.0/mqtt-v5.0.html) and
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

impl ConformancePage {
    /// The page as it should be today.
    pub(crate) fn text(&self) -> String {
        let mut statements = statements();
        statements.retain(|it| it.id.version == self.version && self.sections.contains(&it.id.section()));
        let sources = cited_sources();
        let covered = coverage(texts(&sources));
        let mut page = format!("{GENERATED}{}", self.head);
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
