//! Families of metrics: name, kind, labels and help of each, how its samples are read, and the text
//! format of Prometheus.
//!
//! A family is a row of one table: `/metrics`, `docs/metrics.md`, the board and the rules of alerts
//! are written from it. Samples name no label that the row does not have.

use std::fmt::{Display, Write as _};
use std::time::Duration;

use lotmq_core::figures::FigureSums;
use lotmq_histogram::DurationCounts;

use super::programs::DefinitionReading;
use super::routes::RouteReading;
use lotmq_operations::broker::Broker;

/// FamilyKind of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FamilyKind {
    /// A sum that only grows while the broker runs.
    Counter,
    /// A value that can fall.
    Gauge,
    /// Counts of durations by bounds, with their sum.
    Histogram,
}

impl FamilyKind {
    /// Word of the text format.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Family whose samples are read in one way.
pub(super) struct FamilyRow {
    pub(super) name: &'static str,
    pub(super) kind: FamilyKind,
    pub(super) labels: &'static [&'static str],
    pub(super) help: &'static str,
    pub(super) read: fn(&Reading<'_>, &mut Samples<'_>),
}

/// Declares rows: kind, name, labels, help and a closure that reads the samples.
macro_rules! families {
    ($($kind:ident $name:literal [$($label:literal),*] $help:literal $read:expr;)*) => {
        &[$(
            $crate::server::metrics::family::FamilyRow {
                name: $name,
                kind: $crate::server::metrics::family::FamilyKind::$kind,
                labels: &[$($label),*],
                help: $help,
                read: $read,
            },
        )*]
    };
}
pub(super) use families;

/// Source of the samples: the broker, and values that are read or summed once for all families.
pub(super) struct Reading<'a> {
    pub(super) broker: &'a Broker,
    pub(super) sums: FigureSums,
    pub(super) definitions: Vec<DefinitionReading>,
    pub(super) routes: Vec<RouteReading>,
}

impl<'a> Reading<'a> {
    pub(super) fn of(broker: &'a Broker) -> Self {
        Self {
            broker,
            sums: broker.core.figures.sums(),
            definitions: DefinitionReading::all(broker),
            routes: RouteReading::all(broker),
        }
    }
}

/// Samples of one family, as they are written.
pub(super) struct Samples<'t> {
    text: &'t mut String,
    row: &'static FamilyRow,
}

impl<'t> Samples<'t> {
    /// Writes the head of a family and its samples; nothing of one with labels that has no samples.
    pub(super) fn write(text: &'t mut String, row: &'static FamilyRow, reading: &Reading<'_>) {
        let before = text.len();
        head(text, row.name, row.kind, row.help);
        let begun = text.len();
        (row.read)(reading, &mut Samples { text: &mut *text, row });
        if text.len() == begun {
            text.truncate(before);
        }
    }

    /// Adds the sample of a family without labels.
    pub(super) fn one(&mut self, value: impl Display) {
        self.with(&[], value);
    }

    /// Adds a sample with a value for each label, in their order; an empty one is left out.
    pub(super) fn with(&mut self, values: &[&str], value: impl Display) {
        self.sample("", values, None, value);
    }

    /// Adds the samples of a histogram.
    pub(super) fn histogram<const N: usize>(
        &mut self,
        values: &[&str],
        bounds: &[Duration],
        counts: &DurationCounts<N>,
    ) {
        let mut sum = 0;
        for (bound, count) in bounds.iter().zip(counts.counts) {
            sum += count;
            self.sample("_bucket", values, Some(&bound.as_secs_f64().to_string()), sum);
        }
        self.sample("_bucket", values, Some("+Inf"), counts.count());
        self.sample("_sum", values, None, counts.sum().as_secs_f64());
        self.sample("_count", values, None, counts.count());
    }

    fn sample(&mut self, suffix: &str, values: &[&str], bound: Option<&str>, value: impl Display) {
        debug_assert_eq!(values.len(), self.row.labels.len(), "{}", self.row.name);
        let named = self.row.labels.iter().copied().zip(values.iter().copied());
        let all = named.filter(|(_, value)| !value.is_empty()).chain(bound.map(|bound| ("le", bound)));
        self.text.push_str(self.row.name);
        self.text.push_str(suffix);
        let mut lead = '{';
        for (label, value) in all {
            self.text.push(lead);
            let _ = write!(self.text, "{label}=\"");
            escape(self.text, value);
            self.text.push('"');
            lead = ',';
        }
        let end = if lead == ',' { "}" } else { "" };
        let _ = writeln!(self.text, "{end} {value}");
    }
}

/// Writes the head of a family.
pub(super) fn head(text: &mut String, name: &str, kind: FamilyKind, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {}", kind.word());
}

/// Appends a label's value with its special characters escaped.
fn escape(text: &mut String, value: &str) {
    for char in value.chars() {
        match char {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            char => text.push(char),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static ROW: FamilyRow = FamilyRow {
        name: "lotmq_x_seconds",
        kind: FamilyKind::Histogram,
        labels: &["tenant", "definition"],
        help: "Times.",
        read: |_, _| {},
    };

    #[test]
    fn histograms_are_cumulated_and_labels_escaped() {
        let mut text = String::new();
        let bounds = [Duration::from_micros(500), Duration::from_secs(1)];
        let mut counts = DurationCounts::<3>::default();
        for millis in [0, 1, 10, 2_000] {
            counts.observe(&bounds, Duration::from_millis(millis), 1);
        }
        let mut samples = Samples { text: &mut text, row: &ROW };
        samples.histogram(&["", "a\"\\\n"], &bounds, &counts);
        samples.with(&["", ""], 7);
        let of = r#"definition="a\"\\\n""#;
        let expected = format!(
            "lotmq_x_seconds_bucket{{{of},le=\"0.0005\"}} 1\nlotmq_x_seconds_bucket{{{of},le=\"1\"}} 3\n\
             lotmq_x_seconds_bucket{{{of},le=\"+Inf\"}} 4\nlotmq_x_seconds_sum{{{of}}} 2.011\n\
             lotmq_x_seconds_count{{{of}}} 4\nlotmq_x_seconds 7\n"
        );
        assert_eq!(text, expected);
    }
}
