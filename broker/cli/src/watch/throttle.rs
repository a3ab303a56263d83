//! At most one value of a topic in a second, and always the last one.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::event::WatchedEvent;

/// Shortest time between two values of a topic.
const PERIOD: Duration = Duration::from_secs(1);

/// By how much a value may come early, at the cost of the next one: those of a device that sends
/// one a second are not held back, and have their own time.
const EARLY: Duration = Duration::from_millis(200);

/// Most topics that are remembered; those of which nothing waits are forgotten when there are more.
const TOPICS_MAX: usize = 10_000;

/// Values that are held back.
#[derive(Debug, Default)]
pub(super) struct HeldValues(BTreeMap<String, Recent>);

/// Last shown value of a topic, and the one that waits.
#[derive(Debug)]
struct Recent {
    shown_at: Instant,
    waiting: Option<WatchedEvent>,
    /// Values that came since and were replaced by later ones.
    skipped: u64,
}

impl HeldValues {
    /// Takes a value; returns it when it is to be shown at once.
    pub(super) fn admit(&mut self, now: Instant, value: WatchedEvent) -> Option<WatchedEvent> {
        if let Some(recent) = self.0.get_mut(value.topic()) {
            let next = recent.shown_at + PERIOD;
            if recent.waiting.is_some() || now + EARLY < next {
                recent.skipped += u64::from(recent.waiting.is_some());
                recent.waiting = Some(value);
                return None;
            }
            recent.shown_at = now.max(next);
            return Some(value);
        }
        if self.0.len() >= TOPICS_MAX {
            self.0.retain(|_, recent| recent.waiting.is_some());
        }
        if self.0.len() < TOPICS_MAX {
            let topic = value.topic().to_owned();
            self.0.insert(topic, Recent { shown_at: now, waiting: None, skipped: 0 });
        }
        Some(value)
    }

    /// Values whose time has come.
    pub(super) fn due(&mut self, now: Instant) -> Vec<WatchedEvent> {
        let mut due = Vec::new();
        for recent in self.0.values_mut() {
            if now.duration_since(recent.shown_at) >= PERIOD
                && let Some(value) = recent.waiting.take()
            {
                recent.shown_at = now;
                due.push(value.behind(std::mem::take(&mut recent.skipped)));
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use lotmq_client::{Message, PropertyBuf, QoS};

    use super::super::event;
    use super::super::outputs::LikelyPublisher;
    use super::*;

    fn value(payload: &str) -> WatchedEvent {
        let message = Message {
            topic: "t".to_owned(),
            payload: payload.into(),
            qos: QoS::AtMostOnce,
            retain: false,
            dup: false,
            packet_id: None,
            properties: PropertyBuf::new(),
        };
        event::value(&LikelyPublisher { names: "A".to_owned(), is_guess: false }, &message)
    }

    #[test]
    fn a_value_each_second_is_never_held_back_however_its_network_shakes() {
        let mut throttle = HeldValues::default();
        let began = Instant::now();
        for (second, shaken_ms) in [(0, 0), (1, -40), (2, 30), (3, -150), (4, -150), (5, 20)] {
            let at = began + Duration::from_secs(second);
            let shaken = Duration::from_millis(u64::from(i32::unsigned_abs(shaken_ms)));
            let at = if shaken_ms < 0 { at - shaken } else { at + shaken };
            assert!(throttle.admit(at, value("1")).is_some(), "{second}");
        }
        // Nobody gets more than one a second by it.
        let began = began + Duration::from_secs(10);
        let admitted = (0..50).filter(|tenth| {
            let at = began + Duration::from_millis(100) * *tenth;
            let is_admitted = throttle.admit(at, value("1")).is_some();
            is_admitted || !throttle.due(at).is_empty()
        });
        assert!(admitted.count() <= 6);
    }

    #[test]
    fn throttle_prints_the_latest_of_many_values() {
        let mut throttle = HeldValues::default();
        let began = Instant::now();
        assert!(throttle.admit(began, value("1")).is_some());
        for payload in ["2", "3", "4"] {
            assert!(throttle.admit(began, value(payload)).is_none());
        }
        assert!(throttle.due(began).is_empty());
        let due = throttle.due(began + PERIOD);
        assert_eq!(due.len(), 1);
        let told = due[0].json();
        assert_eq!((&told["details"]["payload"], &told["details"]["skipped"]), (&"4".into(), &2.into()));
        assert!(throttle.due(began + 3 * PERIOD).is_empty());
        assert!(throttle.admit(began + 3 * PERIOD, value("5")).is_some());
    }
}
