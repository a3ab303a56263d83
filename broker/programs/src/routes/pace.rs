//! How fast a route goes: how far it had come at two times, and what it has done since.

use jiff::{SignedDuration, Timestamp};

/// Time between two marks of how far it has come.
const PERIOD: SignedDuration = SignedDuration::from_secs(10);

/// How far a route had come at two times.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RoutePace {
    last: Option<PaceMark>,
    before: Option<PaceMark>,
}

/// How far a route had come at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct PaceMark {
    pub(super) at: Timestamp,
    pub(super) delivered: u64,
    pub(super) brought: u64,
    pub(super) latency_ms: u64,
}

/// Rates of a route over the last 10 to 70 s, or since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rates {
    pub(crate) delivered_per_second: f64,
    pub(crate) received_per_second: f64,
    /// Mean time from the reception of messages until the far side had them, in milliseconds;
    /// `None` where none has passed.
    pub(crate) latency_ms: Option<u64>,
}

impl RoutePace {
    pub(super) fn beginning(at: Timestamp) -> Self {
        let beginning = PaceMark { at, delivered: 0, brought: 0, latency_ms: 0 };
        Self { last: Some(beginning), before: None }
    }

    /// Marks how far it has come, if that was not done just now.
    pub(super) fn mark(&mut self, now: PaceMark) {
        if self.last.is_none_or(|last| now.at.duration_since(last.at) >= PERIOD) {
            self.before = self.last.replace(now);
        }
    }

    /// Returns the recent rates.
    pub(super) fn rates(&self, now: PaceMark) -> Rates {
        self.before.or(self.last).map_or_else(Rates::default, |since| Rates::between(since, now))
    }
}

impl Rates {
    fn between(since: PaceMark, now: PaceMark) -> Self {
        let delivered = now.delivered.saturating_sub(since.delivered);
        // Of less than a second nothing can be told.
        let seconds = now.at.duration_since(since.at).as_secs_f64().max(1.0);
        #[allow(clippy::cast_precision_loss, reason = "rates for people")]
        let per_second = |count: u64| (count as f64 / seconds * 10.0).round() / 10.0;
        Self {
            delivered_per_second: per_second(delivered),
            received_per_second: per_second(now.brought.saturating_sub(since.brought)),
            latency_ms: now.latency_ms.saturating_sub(since.latency_ms).checked_div(delivered),
        }
    }
}
