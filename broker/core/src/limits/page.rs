//! The table of limits that can be set, as Markdown: the first part of `docs/limits.md`, which
//! `tests/tidy` writes and compares.

use std::fmt::Write as _;

use lotmq_config::{Config, Key};

use super::{LIMITS, Scope};

/// A row for each limit.
#[must_use]
pub fn markdown() -> String {
    let defaults = Config::default();
    let mut table = String::from(
        "| setting | what it bounds | default | from, to | in | at the bound |\n|---|---|---|---|---|---|\n",
    );
    for row in LIMITS {
        let path = format!("limits.{}", row.name);
        let Some(key) = Key::find(&path) else { continue };
        let doc: Vec<&str> = key.doc.iter().map(|line| line.trim()).collect();
        let range = key.range.as_ref().map(|range| format!("{}, {}", range.start(), range.end()));
        let place = match row.scope {
            Scope::EveryListener => "",
            Scope::AddressedListener => " ¹",
            Scope::EveryClient | Scope::WholeBroker => " ²",
        };
        let _ = writeln!(
            table,
            "| `{}`{place} | {} | {} | {} | {} | {} |",
            row.name,
            doc.join(" "),
            key.get(&defaults),
            range.unwrap_or_default(),
            row.unit,
            row.effect,
        );
    }
    table
}
