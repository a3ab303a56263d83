//! Lines of several topics in the order of their own times: a line is held for a moment, in which
//! earlier ones may come.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use jiff::Timestamp;

/// Time for which a line is held. A broker publishes lines of a run some tens of milliseconds
/// behind what was published at once, and the network adds its own.
const HOLD: Duration = Duration::from_millis(300);

/// Most lines that are held; one more lets the earliest go. A flood is as many in a third of a
/// second.
const LINES_MAX: usize = 10_000;

/// Lines that are held.
#[derive(Debug, Default)]
pub(super) struct LinesInTime {
    /// By time, and by the order in which they came.
    held: BTreeMap<Place, String>,
    /// In the order in which they came, and when that was; some may be gone.
    arrivals: VecDeque<(Place, Instant)>,
    came: u64,
    /// Time of the latest line that came.
    latest: Timestamp,
}

/// Time of a line, and its number among all that came.
type Place = (Timestamp, u64);

impl LinesInTime {
    /// Takes a line; one without a time of its own stands behind what came before it.
    pub(super) fn take(&mut self, at: Option<Timestamp>, text: String, now: Instant) {
        let at = at.unwrap_or(self.latest);
        self.latest = self.latest.max(at);
        self.came += 1;
        self.held.insert((at, self.came), text);
        self.arrivals.push_back(((at, self.came), now));
    }

    /// The next line that has been held for long enough, or that is earlier than such a one; `None`
    /// when none is.
    pub(super) fn due(&mut self, now: Instant) -> Option<String> {
        let is_due = |(_, since): &(Place, Instant)| now.duration_since(*since) >= HOLD;
        let is_next = self.held.len() > LINES_MAX || self.arrivals.front().is_some_and(is_due);
        is_next.then(|| self.pop()).flatten()
    }

    /// The next line, however long it has been held.
    pub(super) fn pop(&mut self) -> Option<String> {
        let (_, text) = self.held.pop_first()?;
        while self.arrivals.pop_front_if(|(place, _)| !self.held.contains_key(place)).is_some() {}
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Option<Timestamp> {
        Some(Timestamp::from_second(second).unwrap())
    }

    #[test]
    fn lines_come_in_the_order_of_their_times() {
        let (mut lines, now) = (LinesInTime::default(), Instant::now());
        for (second, text) in [(3, "c"), (1, "a"), (3, "d"), (2, "b")] {
            lines.take(at(second), text.to_owned(), now);
        }
        lines.take(None, "e".to_owned(), now);
        assert_eq!(lines.due(now), None);
        let later = now + HOLD;
        lines.take(at(9), "held".to_owned(), later);
        lines.take(at(2), "late".to_owned(), later);
        let told: Vec<_> = std::iter::from_fn(|| lines.due(later)).collect();
        assert_eq!(told, ["a", "b", "late", "c", "d", "e"]);
        assert_eq!((lines.due(later), lines.pop().as_deref()), (None, Some("held")));
    }

    #[test]
    fn few_lines_are_held() {
        let (mut lines, now) = (LinesInTime::default(), Instant::now());
        (0..=LINES_MAX).for_each(|number| lines.take(None, number.to_string(), now));
        assert_eq!((lines.due(now).as_deref(), lines.due(now)), (Some("0"), None));
    }
}
