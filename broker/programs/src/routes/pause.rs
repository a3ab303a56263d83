//! Pauses of a driver: doubling, with jitter (routes reference §3.4).

use std::time::Duration;

/// Longest pause, unless `RECONNECTION_MAX_PAUSE` says otherwise.
const LONGEST: Duration = Duration::from_secs(60);

/// How long a connection must have been well for the pauses to begin anew: a device that starts, or
/// has a loose plug, comes and goes within a minute, and what nobody reads of it meanwhile is lost.
const WELL: Duration = Duration::from_secs(5);

/// Pauses of one route.
#[derive(Debug, PartialEq)]
pub struct Pause {
    first: Duration,
    next: Duration,
    longest: Duration,
    /// How many there are before all are the longest.
    fast: u32,
    /// How many there were.
    count: u32,
}

impl Pause {
    /// Pauses between two connections: from a second on.
    pub fn reconnecting() -> Self {
        Self::from(Duration::from_secs(1))
    }

    /// The same, of which only the first `fast` are shorter than the longest, where that is told.
    pub fn fast_for(self, fast: Option<u32>) -> Self {
        Self { fast: fast.unwrap_or(u32::MAX), ..self }
    }

    /// The same, of which none is longer than this, where that is told.
    pub(crate) fn at_most(self, longest: Option<Duration>) -> Self {
        let longest = longest.unwrap_or(self.longest);
        Self { longest, first: self.first.min(longest), next: self.next.min(longest), ..self }
    }

    /// Pauses between two tries on the same connection: from a tenth of a second on.
    pub(crate) fn retrying() -> Self {
        Self::from(Duration::from_millis(100))
    }

    /// Pauses from this one on.
    #[cfg(test)]
    pub(crate) fn from_ms(first: u64) -> Self {
        Self::from(Duration::from_millis(first))
    }

    fn from(first: Duration) -> Self {
        Self { first, next: first, longest: LONGEST, fast: u32::MAX, count: 0 }
    }

    /// Notes for how long the connection was well.
    pub(crate) fn was_well_for(&mut self, time: Duration) {
        if time >= WELL {
            (self.next, self.count) = (self.first, 0);
        }
    }

    /// Next pause, with 20 % of jitter either way.
    pub(crate) fn next(&mut self) -> Duration {
        let pause = if self.count >= self.fast { self.longest } else { self.next };
        self.next = (pause * 2).min(self.longest);
        self.count = self.count.saturating_add(1);
        let mut random = [0_u8; 2];
        // Without entropy all routes come back at the same time.
        let _ = getrandom::fill(&mut random);
        let jitter = f64::from(u16::from_ne_bytes(random)) / f64::from(u16::MAX);
        pause.mul_f64(0.8 + 0.4 * jitter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute_and_begin_anew() {
        let mut pause = Pause::reconnecting();
        for expected in [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0] {
            let next = pause.next().as_secs_f64();
            assert!((expected * 0.8..=expected * 1.2).contains(&next), "{next} about {expected}");
        }
        pause.was_well_for(Duration::from_millis(4_900));
        assert!(pause.next() > Duration::from_secs(40));
        pause.was_well_for(Duration::from_secs(5));
        assert!(pause.next() < Duration::from_secs(2));
    }

    #[test]
    fn so_many_pauses_are_short_and_all_others_the_longest() {
        for (longest, pauses) in [
            (None, [1.0, 2.0, 60.0, 60.0]),
            (Some(1), [1.0; 4]),
            (Some(3), [1.0, 2.0, 3.0, 3.0]),
            (Some(600), [1.0, 2.0, 600.0, 600.0]),
        ] {
            let longest = longest.map(Duration::from_secs);
            let mut pause = Pause::reconnecting().fast_for(Some(2)).at_most(longest);
            for round in 0..2 {
                for expected in pauses {
                    let next = pause.next().as_secs_f64();
                    assert!(
                        (expected * 0.8..=expected * 1.2).contains(&next),
                        "{longest:?}, {round}: {next} about {expected}"
                    );
                }
                pause.was_well_for(Duration::from_secs(60));
            }
        }
        assert!(Pause::reconnecting().fast_for(Some(0)).next() > Duration::from_secs(40));
    }
}
