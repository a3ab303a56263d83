//! Figures of the broker in the text format of Prometheus, and what is written from the table of
//! their families.
//!
//! Counters without labels come from their table in `lotmq_core`; all other families are rows here,
//! by section.

pub mod documents;
mod family;
mod process;
mod programs;
mod routes;
mod traffic;
mod whole;

use self::family::{FamilyKind, FamilyRow, Reading, Samples, head};
use lotmq_operations::broker::Broker;

/// Families by section.
static SECTIONS: &[(&str, &[FamilyRow])] = &[
    ("Broker", whole::BROKER),
    ("Messages, connections and logins", traffic::TRAFFIC),
    ("Definitions", programs::PROGRAMS),
    ("Routes", routes::ROUTES),
    ("Store", whole::STORE),
    ("Process", process::PROCESS),
];

/// All figures in the text format.
pub(super) fn text(broker: &Broker) -> String {
    let mut text = String::with_capacity(32 << 10);
    for (name, help, value) in broker.core.counters.all() {
        let name = format!("lotmq_{name}_total");
        head(&mut text, &name, FamilyKind::Counter, help.trim());
        text.push_str(&format!("{name} {value}\n"));
    }
    let reading = Reading::of(broker);
    for row in SECTIONS.iter().flat_map(|(_, rows)| rows.iter()) {
        Samples::write(&mut text, row, &reading);
    }
    text
}
