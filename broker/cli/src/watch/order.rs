//! Events in the order of their times, although the broker tells of some later than of others: of
//! errors five times a second, of the last error of each definition in any order.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::event::WatchedEvent;

/// Time for which an event waits for others that happened before: the broker tells of errors within
/// 250 ms.
const PATIENCE: Duration = Duration::from_millis(300);

/// Most events that wait; with more of them those that wait are shown at once.
const WAITING_MAX: usize = 10_000;

/// Events that wait to be shown.
#[derive(Debug, Default)]
pub(super) struct EventOrder {
    /// By their times, and of the same time as they came.
    waiting: BTreeMap<(Timestamp, u64), (Instant, WatchedEvent)>,
    arrived: u64,
}

impl EventOrder {
    pub(super) fn add(&mut self, now: Instant, event: WatchedEvent) {
        self.waiting.insert((event.at(), self.arrived), (now, event));
        self.arrived += 1;
    }

    /// Events that have waited long enough, behind all that happened before them.
    pub(super) fn due(&mut self, now: Instant) -> Vec<WatchedEvent> {
        if self.waiting.len() > WAITING_MAX {
            return self.all();
        }
        let is_due = |came: &Instant| now.duration_since(*came) >= PATIENCE;
        let Some(last) = self.waiting.iter().rfind(|(_, (came, _))| is_due(came)).map(|(key, _)| *key) else {
            return Vec::new();
        };
        let later = self.waiting.split_off(&(last.0, last.1 + 1));
        std::mem::replace(&mut self.waiting, later).into_values().map(|(_, event)| event).collect()
    }

    /// All that wait.
    pub(super) fn all(&mut self) -> Vec<WatchedEvent> {
        std::mem::take(&mut self.waiting).into_values().map(|(_, event)| event).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::event;
    use super::*;

    fn error(second: u32) -> WatchedEvent {
        let record = json!({ "action": "A", "code": "C", "message": "m", "line": 1, "column": 1, "count": 1,
            "trigger": { "topic": "", "payload": "" }, "timestamp": format!("2026-11-20T09:18:{second:02}Z") });
        event::error("Actions", record.to_string().as_bytes()).unwrap()
    }

    fn seconds(events: &[WatchedEvent]) -> Vec<i8> {
        events.iter().map(|event| event.at().to_zoned(jiff::tz::TimeZone::UTC).second()).collect()
    }

    #[test]
    fn late_events_are_printed_in_order_of_their_timestamps() {
        let (mut order, began) = (EventOrder::default(), Instant::now());
        [5, 3, 9].iter().for_each(|second| order.add(began, error(*second)));
        let soon = began + PATIENCE / 2;
        assert!(order.due(soon).is_empty());
        [1, 7, 11].iter().for_each(|second| order.add(soon, error(*second)));
        assert_eq!(seconds(&order.due(began + PATIENCE)), [1, 3, 5, 7, 9]);
        assert!(order.due(began + PATIENCE).is_empty());
        assert_eq!(seconds(&order.due(soon + PATIENCE)), [11]);
        order.add(soon, error(2));
        assert_eq!((seconds(&order.all()), order.all().len()), (vec![2], 0));
        (0..=WAITING_MAX).for_each(|_| order.add(soon, error(1)));
        assert_eq!(order.due(soon).len(), WAITING_MAX + 1);
    }
}
