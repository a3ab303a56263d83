//! Messages that pass one way without properties again and again, as in a loop over other brokers.
//! A device that repeats itself looks the same, so they are reported and not stopped.

use crate::limits::{REPEATS_MS, REPEATS_PLACES, REPEATS_TOLD};

/// Message counts by fingerprint in the current period. If messages share a slot, the most frequent
/// one stays, so that a loop is found among many single messages.
#[derive(Debug)]
pub(crate) struct Repeats {
    since: u64,
    places: [(u64, u32); REPEATS_PLACES],
}

impl Repeats {
    pub(crate) fn new(now: u64) -> Self {
        Self { since: now, places: [(0, 0); REPEATS_PLACES] }
    }

    /// Notes a message. Returns whether it has now reached the reported count, once per period.
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
