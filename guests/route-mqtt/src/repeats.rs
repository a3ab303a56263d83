//! Messages that pass one way without properties again and again, as those do that go in a circle over other brokers. Nothing tells them from what a device repeats, so
//! they are told of and not stopped.

use crate::limits::{REPEATS_MS, REPEATS_PLACES, REPEATS_TOLD};

/// Counts of messages by their fingerprints, of the present stretch of time. Of those that share a place the one stays that comes most often, so that a circle is found
/// among many messages that come once.
#[derive(Debug)]
pub(crate) struct Repeats {
    since: u64,
    places: [(u64, u32); REPEATS_PLACES],
}

impl Repeats {
    pub(crate) fn new(now: u64) -> Self {
        Self { since: now, places: [(0, 0); REPEATS_PLACES] }
    }

    /// Notes a message; whether it is one that has passed as often as is told of, once in a stretch of time.
    pub(crate) fn passes(&mut self, fingerprint: u64, now: u64) -> bool {
        if now.saturating_sub(self.since) >= REPEATS_MS {
            *self = Self::new(now);
        }
        let (known, count) = &mut self.places[fingerprint as usize % REPEATS_PLACES];
        if *count == 0 {
            *known = fingerprint;
        }
        if *known != fingerprint {
            *count -= 1;
            return false;
        }
        *count += 1;
        *count == REPEATS_TOLD
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_often_is_told_once_in_a_stretch_whatever_passes_beside_it() {
        let mut repeats = Repeats::new(0);
        let mut told = |at: u64, times: u32| {
            let passes = |number: &u32| {
                // Others come once each, half of them to its place.
                repeats.passes(u64::from(*number) * REPEATS_PLACES as u64 / 2 + 1_000_003, at);
                repeats.passes(7, at)
            };
            (0..times).filter(passes).count()
        };
        assert_eq!((told(0, REPEATS_TOLD - 1), told(1, 10 * REPEATS_TOLD)), (0, 1));
        assert_eq!((told(REPEATS_MS, REPEATS_TOLD - 1), told(REPEATS_MS, 1)), (0, 1));
        assert_eq!(told(2 * REPEATS_MS, REPEATS_TOLD - 1), 0, "it begins anew");
    }
}
