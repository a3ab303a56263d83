//! Rest of a thread that serves Clients: the time for which nothing of its turn needs a tick.

use std::time::Duration;

use crate::turn::Turn;

impl Turn {
    /// Longest time, `most` at most, for which ticks may be left out if nothing comes; zero while
    /// something waits for one.
    ///
    /// The turn's clock stands still meanwhile: [`Turn::tick`] comes before whatever ends the rest.
    #[must_use]
    pub fn may_rest(&self, most: Duration) -> Duration {
        if self.waits_for_tick() {
            return Duration::ZERO;
        }
        let now = self.now();
        self.timers.next_timeout().map_or(most, |next| next.since(now).min(most))
    }

    fn waits_for_tick(&self) -> bool {
        let pauses = &self.pauses;
        let is_paused = !pauses.for_store.is_empty() || !pauses.throttled.is_empty();
        let waits_for_store = self.log.is_full || !self.releases.is_empty() || !self.releases.fed.is_empty();
        is_paused || waits_for_store || self.time_shares.has_until_tick() || self.time_shares.is_behind()
    }
}
