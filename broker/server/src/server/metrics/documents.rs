//! Documents made from the table of metric families: the page of all metrics, a Grafana dashboard,
//! alert rules for Prometheus.
//!
//! `tests/tidy` writes and compares them.

mod alerts;
mod board;
mod page;

pub use alerts::alert_rules;
pub use board::board;
pub use page::page;

use lotmq_core::counters::Counters;

use super::SECTIONS;
use super::family::FamilyKind;

/// Section of the counters that have no labels.
const COUNTERS: &str = "Counters";

/// Family as documents tell of it.
struct DocumentedFamily {
    name: String,
    kind: FamilyKind,
    labels: &'static [&'static str],
    help: String,
}

/// All families by section.
fn sections() -> Vec<(&'static str, Vec<DocumentedFamily>)> {
    let counters = Counters::default().all().into_iter().map(|(name, help, _)| DocumentedFamily {
        name: format!("lotmq_{name}_total"),
        kind: FamilyKind::Counter,
        labels: &[],
        help: help.trim().to_owned(),
    });
    let mut sections: Vec<(&str, Vec<DocumentedFamily>)> = SECTIONS
        .iter()
        .map(|(title, rows)| {
            let told = rows.iter().map(|row| DocumentedFamily {
                name: row.name.to_owned(),
                kind: row.kind,
                labels: row.labels,
                help: row.help.to_owned(),
            });
            (*title, told.collect())
        })
        .collect();
    sections.push((COUNTERS, counters.collect()));
    sections
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Names of families that an expression or a board has.
    fn named(text: &str) -> BTreeSet<&str> {
        let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let words = text.split(|c| !is_of_name(c));
        words.filter(|word| word.starts_with("lotmq_") || word.starts_with("process_")).collect()
    }

    #[test]
    fn documents_name_families_that_there_are() {
        let sections = sections();
        let known: BTreeSet<&str> =
            sections.iter().flat_map(|(_, families)| families.iter().map(|family| &*family.name)).collect();
        let routes = include_str!("../../../../../docs/grafana/routes.json");
        let (alerts, board) = (alert_rules(), board());
        for (text, at_least) in [(routes, 15), (&*alerts, 12), (&*board, known.len())] {
            let named = named(text);
            assert!(named.len() >= at_least, "{named:?}");
            for name in named {
                let family = name.strip_suffix("_bucket").unwrap_or(name);
                assert!(known.contains(family), "{name}");
            }
        }
    }

    #[test]
    fn families_are_named_as_prometheus_wants_it() {
        let mut names = BTreeSet::new();
        for (_, families) in sections() {
            for DocumentedFamily { name, kind, help, labels } in families {
                assert_eq!(name.ends_with("_total"), kind == FamilyKind::Counter, "{name}");
                assert!(kind != FamilyKind::Histogram || name.ends_with("_seconds"), "{name}");
                assert!(name.starts_with("lotmq_") || name.starts_with("process_"), "{name}");
                assert!(help.ends_with('.') && !help.contains('\n'), "{name}: {help}");
                assert!(labels.iter().all(|label| *label != "le" && !label.is_empty()), "{name}");
                assert!(names.insert(name.clone()), "{name} is there twice");
            }
        }
    }
}
