//! Rates of rows: what has been counted between two readings, for each second.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::columns::size;

/// Most columns of figures.
pub(super) const COLUMNS_MAX: usize = 7;

/// How a column is made of what the broker counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    /// Events for each second; rows are ranked by their sum.
    Rate,
    /// Events for each second by which nothing is ranked.
    Aside,
    /// Bytes for each second.
    Bytes,
    /// Seconds for each second, as a part of one processor.
    Share,
    /// The value itself.
    Now,
}

/// Column of figures.
#[derive(Debug)]
pub(super) struct RatedColumn {
    pub(super) title: &'static str,
    /// Name of what is counted, in the broker's rows.
    pub(super) counted: &'static str,
    /// Name in JSON.
    pub(super) told: &'static str,
    pub(super) measure: Measure,
}

const fn column(
    title: &'static str,
    counted: &'static str,
    told: &'static str,
    measure: Measure,
) -> RatedColumn {
    RatedColumn { title, counted, told, measure }
}

/// Columns of clients.
pub(super) const RATES_OF_CLIENTS: &[RatedColumn] = &[
    column("IN/s", "messagesReceived", "messagesReceivedPerSecond", Measure::Rate),
    column("OUT/s", "messagesSent", "messagesSentPerSecond", Measure::Rate),
    column("BYTES IN/s", "bytesReceived", "bytesReceivedPerSecond", Measure::Bytes),
    column("BYTES OUT/s", "bytesSent", "bytesSentPerSecond", Measure::Bytes),
];

/// Columns of definitions.
pub(super) const RATES_OF_DEFINITIONS: &[RatedColumn] = &[
    column("RUNS/s", "runs", "runsPerSecond", Measure::Rate),
    column("BUSY", "seconds", "busy", Measure::Share),
    column("ERRORS/s", "errors", "errorsPerSecond", Measure::Aside),
    column("TRAPS/s", "traps", "trapsPerSecond", Measure::Aside),
    column("DROPPED/s", "dropped", "droppedPerSecond", Measure::Aside),
    column("WAITING", "waiting", "waiting", Measure::Now),
];

/// Row as the broker has counted it.
#[derive(Debug)]
pub(super) struct CountedRow {
    name: String,
    of: String,
    values: Vec<f64>,
}

impl CountedRow {
    /// Row with these two names and the values of all columns.
    pub(super) fn of(row: &Value, (name, of): (&str, &str), columns: &[RatedColumn]) -> Self {
        let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
        Self {
            name: text(name),
            of: text(of),
            values: columns.iter().map(|column| row[column.counted].as_f64().unwrap_or_default()).collect(),
        }
    }
}

/// Row with rates.
#[derive(Debug, PartialEq)]
pub(super) struct Rated {
    pub(super) name: String,
    /// User of a client, kind of a definition.
    pub(super) of: String,
    pub(super) values: Vec<f64>,
    rank: f64,
}

impl Rated {
    pub(super) fn new(name: String, of: String, values: Vec<f64>, columns: &[RatedColumn]) -> Self {
        let ranked = |measure: Measure| {
            let of_measure = columns.iter().zip(&values).filter(|(column, _)| column.measure == measure);
            of_measure.map(|(_, value)| value).sum::<f64>()
        };
        // Of equal rates, what takes more bytes, or time, comes first; and then what waits.
        let rank = ranked(Measure::Rate)
            + ranked(Measure::Share)
            + ranked(Measure::Bytes) / 1e6
            + ranked(Measure::Now) / 1e9;
        Self { name, of, values, rank }
    }

    /// Number by which rows are sorted.
    pub(super) fn rank(&self) -> f64 {
        self.rank
    }

    /// Cells of the figures.
    pub(super) fn cells(&self, columns: &[RatedColumn]) -> Vec<String> {
        let cell = |(column, value): (&RatedColumn, &f64)| match column.measure {
            Measure::Rate | Measure::Aside => format!("{value:.1}"),
            Measure::Bytes => size(whole(*value)),
            Measure::Share => format!("{:.1} %", value * 100.0),
            Measure::Now => format!("{value:.0}"),
        };
        columns.iter().zip(&self.values).map(cell).collect()
    }

    /// Row as JSON; `of` names its second name.
    pub(super) fn json(&self, of: &str, columns: &[RatedColumn]) -> Value {
        let mut row = Map::new();
        row.insert("name".to_owned(), json!(self.name));
        if !self.of.is_empty() {
            row.insert(of.to_owned(), json!(self.of));
        }
        for (column, value) in columns.iter().zip(&self.values) {
            row.insert(column.told.to_owned(), json!((value * 1000.0).round() / 1000.0));
        }
        Value::Object(row)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rates are not negative, and shown with two digits"
)]
fn whole(value: f64) -> u64 {
    value as u64
}

/// Rates of the rows that are there now. Those that were not there before, and those that count
/// anew, have begun with nothing.
pub(super) fn rated(
    before: &[CountedRow],
    now: &[CountedRow],
    columns: &[RatedColumn],
    elapsed: Duration,
) -> Vec<Rated> {
    let known: BTreeMap<(&str, &str), &[f64]> =
        before.iter().map(|row| ((&*row.name, &*row.of), &*row.values)).collect();
    let seconds = elapsed.as_secs_f64().max(1e-3);
    let rated = |row: &CountedRow| {
        let former = known.get(&(&*row.name, &*row.of)).copied().unwrap_or_default();
        let counted =
            || columns.iter().zip(&row.values).zip(former.iter().copied().chain(std::iter::repeat(0.0)));
        let counts_anew =
            counted().any(|((column, value), former)| column.measure == Measure::Rate && *value < former);
        let values = counted().map(|((column, value), former)| {
            let former = if counts_anew { 0.0 } else { former };
            // An estimate may become less.
            if column.measure == Measure::Now { *value } else { (value - former).max(0.0) / seconds }
        });
        Rated::new(row.name.clone(), row.of.clone(), values.collect(), columns)
    };
    now.iter().map(rated).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_differences_and_who_counts_anew_has_begun_with_nothing() {
        let row = |name: &str, runs: u64, seconds: f64, waiting: u64| {
            let row =
                json!({"name": name, "type": "Action", "runs": runs, "seconds": seconds, "waiting": waiting});
            CountedRow::of(&row, ("name", "type"), RATES_OF_DEFINITIONS)
        };
        let before = [row("A", 100, 1.0, 5), row("B", 100, 1.0, 0)];
        let now = [row("A", 120, 1.5, 7), row("B", 10, 0.5, 0), row("C", 4, 0.0, 0)];
        let rows = rated(&before, &now, RATES_OF_DEFINITIONS, Duration::from_secs(2));
        assert_eq!(rows[0].cells(RATES_OF_DEFINITIONS), ["10.0", "25.0 %", "0.0", "0.0", "0.0", "7"]);
        assert_eq!(rows[1].cells(RATES_OF_DEFINITIONS)[..2], ["5.0", "25.0 %"]);
        assert_eq!(rows[2].cells(RATES_OF_DEFINITIONS)[..2], ["2.0", "0.0 %"]);
        let less =
            rated(&before[..1], &[row("A", 101, 0.5, 0)], RATES_OF_DEFINITIONS, Duration::from_secs(1));
        assert_eq!(less[0].cells(RATES_OF_DEFINITIONS)[..2], ["1.0", "0.0 %"]);
        assert!(rows[0].rank() > rows[1].rank() && rows[1].rank() > rows[2].rank());
        let told = rows[0].json("kind", RATES_OF_DEFINITIONS);
        assert_eq!(
            (&told["name"], &told["kind"], &told["busy"]),
            (&json!("A"), &json!("Action"), &json!(0.25))
        );
    }
}
