//! Pauses of a driver: doubling, with jitter (routes reference §3.4).

use std::time::Duration;

/// Longest pause; also how long a connection must have been well for the pauses to begin anew.
const LONGEST: Duration = Duration::from_secs(60);

/// Pauses of one route.
pub(in crate::guests::route_drivers) struct Pause {
    first: Duration,
    next: Duration,
}

impl Pause {
    /// Pauses between two connections: from a second on.
    pub(in crate::guests::route_drivers) fn reconnecting() -> Self {
        Self::from(Duration::from_secs(1))
    }

    /// Pauses between two tries on the same connection: from a tenth of a second on.
    pub(in crate::guests::route_drivers) fn retrying() -> Self {
        Self::from(Duration::from_millis(100))
    }

    fn from(first: Duration) -> Self {
        Self { first, next: first }
    }

    /// Notes for how long the connection was well.
    pub(in crate::guests::route_drivers) fn was_well_for(&mut self, time: Duration) {
        if time >= LONGEST {
            self.next = self.first;
        }
    }

    /// Next pause, with 20 % of jitter either way.
    pub(in crate::guests::route_drivers) fn next(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(LONGEST);
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
        pause.was_well_for(Duration::from_secs(59));
        assert!(pause.next() > Duration::from_secs(40));
        pause.was_well_for(Duration::from_secs(60));
        assert!(pause.next() < Duration::from_secs(2));
    }
}
