//! PaneFigures of the numbers of one step of a window, or of several.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

/// A step of a window: figures of its messages.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pane {
    /// Number of the step, in the order of time.
    pub(super) number: u64,
    /// Messages with a number.
    pub(super) count: u64,
    /// Messages without one.
    pub(super) bad: u64,
    pub(super) sum: f64,
    pub(super) min: f64,
    pub(super) max: f64,
    pub(super) last: f64,
    /// Squares of the deviations from the mean, added up; NaN in a pane of a version that did not
    /// know them.
    pub(super) squares: f64,
    /// When the first of its messages came, in milliseconds since 1970; 0 in a window of time.
    pub(super) began_ms: i64,
}

impl Pane {
    /// Without a message.
    pub(super) fn new(number: u64) -> Pane {
        let (min, max) = (f64::INFINITY, f64::NEG_INFINITY);
        Pane { number, count: 0, bad: 0, sum: 0.0, min, max, last: 0.0, squares: 0.0, began_ms: 0 }
    }

    pub(super) fn add(&mut self, number: f64) {
        self.squares += self.squares_between(1, number);
        self.count += 1;
        self.sum += number;
        self.min = self.min.min(number);
        self.max = self.max.max(number);
        self.last = number;
    }

    /// Returns the growth of the squared deviations, beside their sum, when so many numbers with
    /// this sum are added.
    ///
    /// The method of Chan, Golub and LeVeque: no difference of large sums, so no digits are lost.
    fn squares_between(&self, count: u64, sum: f64) -> f64 {
        if self.count == 0 || count == 0 {
            return 0.0;
        }
        let (own, other) = (self.count as f64, count as f64);
        let deviation = sum / other - self.sum / own;
        deviation * deviation * (own / (own + other) * other)
    }

    /// This one and a later one.
    #[must_use]
    pub(super) fn and(self, later: &Pane) -> Pane {
        Pane {
            squares: self.squares + later.squares + self.squares_between(later.count, later.sum),
            number: later.number,
            count: self.count + later.count,
            bad: self.bad + later.bad,
            sum: self.sum + later.sum,
            min: self.min.min(later.min),
            max: self.max.max(later.max),
            last: if later.count > 0 { later.last } else { self.last },
            began_ms: if self.began_ms == 0 { later.began_ms } else { self.began_ms },
        }
    }

    /// The figures as a JSON object, with these instants as its ends; there is at least one number.
    pub(super) fn to_json(self, (start_ms, end_ms): (i64, i64), zone: &TimeZone) -> Vec<u8> {
        #[derive(Serialize)]
        struct PaneFigures {
            count: u64,
            sum: serde_json::Value,
            mean: serde_json::Value,
            min: serde_json::Value,
            max: serde_json::Value,
            last: serde_json::Value,
            bad: u64,
            start: String,
            end: String,
            stddev: serde_json::Value,
            stddev_pop: serde_json::Value,
        }
        let count = self.count as f64;
        let figures = PaneFigures {
            count: self.count,
            sum: number(self.sum),
            mean: number(self.sum / count),
            min: number(self.min),
            max: number(self.max),
            last: number(self.last),
            bad: self.bad,
            start: local(start_ms, zone),
            end: local(end_ms, zone),
            // Of one number there is none: 0 / 0, which is `null`.
            stddev: number((self.squares / (count - 1.0)).sqrt()),
            stddev_pop: number((self.squares / count).sqrt()),
        };
        serde_json::to_vec(&figures).unwrap_or_default()
    }
}

/// An instant as ISO 8601 has it, on the clocks of the zone, with its offset.
fn local(ms: i64, zone: &TimeZone) -> String {
    let instant = Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH);
    instant.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%.f%:z").to_string()
}

/// Formats whole numbers without a fraction, as LoT does. An overflow of a sum is `null`.
fn number(number: f64) -> serde_json::Value {
    const WHOLE_MAX: f64 = (1_u64 << 53) as f64;
    if number.fract() == 0.0 && number.abs() <= WHOLE_MAX {
        return (number as i64).into();
    }
    number.into()
}
