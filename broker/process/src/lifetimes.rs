//! Lifetimes: how they go on from one start of the broker to the next, whatever becomes of the wall
//! clock.
//!
//! A gateway without a battery starts in 1970 and learns the time later; an administrator mistypes
//! a year. Nothing that clients were promised may end because of it. So lifetimes are counted by a
//! clock that nobody can set, and the store remembers a point of it, the [`Anchor`], with what the
//! wall clock showed then: what has passed while the broker was down is the one thing that only the
//! wall clock can tell.

use std::time::{Duration, Instant};

use lotmq_changes::{Batch, Log, MetaRow, Op};
use lotmq_core::clock::Clock;
use tracing::warn;

/// Name of the stored fact.
const NAME: &str = "clock.lifetimes";

/// Steps of the wall clock from here on are told; smaller ones are those of a clock that is kept
/// right.
const TOLD_MIN_MS: u64 = 10_000;

/// Times for which the broker was down from here on are told, as they may be those of a wrong
/// clock.
const DOWN_TOLD_MIN_MS: u64 = 30 * 24 * 3_600_000;

/// Time between two anchors while the store is written to: by so much at most, and what the broker
/// was down, lifetimes become longer when a start finds a wall clock that is behind.
const ANCHOR_INTERVAL: Duration = Duration::from_secs(600);

/// The same moment by both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    lifetime_ms: u64,
    wall_ms: u64,
}

impl Anchor {
    /// The last one that the store has, if any.
    pub fn stored(facts: &[MetaRow]) -> Option<Self> {
        let fact = facts.iter().find(|fact| fact.name == NAME)?;
        let (lifetime_ms, rest) = fact.value.split_first_chunk()?;
        let wall_ms = rest.first_chunk()?;
        Some(Self { lifetime_ms: u64::from_be_bytes(*lifetime_ms), wall_ms: u64::from_be_bytes(*wall_ms) })
    }

    /// Lifetime milliseconds at a start, when the wall clock shows `wall_ms`. One that is behind
    /// tells nothing: then no time has passed.
    pub fn resumed_at(self, wall_ms: u64) -> u64 {
        if wall_ms < self.wall_ms {
            let seconds = (self.wall_ms - wall_ms) / 1000;
            warn!(
                seconds,
                "the wall clock is behind that of the last run; lifetimes go on as if it had not passed"
            );
        }
        let down_ms = wall_ms.saturating_sub(self.wall_ms);
        if down_ms >= DOWN_TOLD_MIN_MS {
            let days = down_ms / (24 * 3_600_000);
            warn!(
                days,
                "by the wall clock the broker was down for so long: sessions, messages and what waits for routes end now whose time was over by then"
            );
        }
        self.lifetime_ms.saturating_add(down_ms)
    }

    fn now(clock: &dyn Clock) -> Self {
        let lifetime_ms = clock.lifetime_ms();
        Self { lifetime_ms, wall_ms: clock.wall_of(lifetime_ms) }
    }

    fn row(self) -> MetaRow {
        let value = [self.lifetime_ms.to_be_bytes(), self.wall_ms.to_be_bytes()].concat();
        MetaRow { name: NAME.to_owned(), value }
    }
}

/// The one that keeps the stored anchor near the present.
#[derive(Debug, Default)]
pub struct Anchoring {
    /// When the last one was written, and how much the store had committed before.
    last: Option<(Instant, u64)>,
}

impl Anchoring {
    /// Writes an anchor at first, when the wall clock was set, and after a while in which the store
    /// was written to.
    pub fn look(&mut self, log: &dyn Log, clock: &dyn Clock, now: Instant) {
        let step_ms = clock.note_wall();
        if step_ms.unsigned_abs() >= TOLD_MIN_MS {
            let seconds = step_ms / 1000;
            warn!(seconds, "the wall clock was set; lifetimes go on by the time that has passed");
        }
        match self.last {
            Some((written_at, _)) if step_ms == 0 && now.duration_since(written_at) < ANCHOR_INTERVAL => {}
            Some(_) if step_ms == 0 => self.close(log, clock, now),
            _ => self.write(log, clock, now),
        }
    }

    /// Writes one, unless nothing was written since the last: then nothing is stored by whose time
    /// it would matter.
    pub fn close(&mut self, log: &dyn Log, clock: &dyn Clock, now: Instant) {
        match self.last {
            // That of the anchor itself is one.
            Some((_, before)) if log.metrics().commits <= before + 1 => self.last = Some((now, before)),
            _ => self.write(log, clock, now),
        }
    }

    fn write(&mut self, log: &dyn Log, clock: &dyn Clock, now: Instant) {
        let commits = log.metrics().commits;
        let mut batch = Batch::new();
        batch.push(Op::PutMeta(&Anchor::now(clock).row()));
        match log.append(batch) {
            Ok(_) => self.last = Some((now, commits)),
            Err(error) => {
                self.last = None;
                warn!(%error, "the time is not remembered for the next start");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;
    const YEAR: u64 = 365 * 24 * HOUR;

    #[test]
    fn lifetimes_go_on_from_the_anchor() {
        let anchor = Anchor { lifetime_ms: 100 * HOUR, wall_ms: 40 * YEAR };
        for (case, wall_ms, expected) in [
            ("at once", 40 * YEAR, 100 * HOUR),
            ("after an hour", 40 * YEAR + HOUR, 101 * HOUR),
            ("with a wall clock that begins in 1970", 7, 100 * HOUR),
            ("at the end of time", u64::MAX, u64::MAX - 40 * YEAR + 100 * HOUR),
        ] {
            assert_eq!(anchor.resumed_at(wall_ms), expected, "{case}");
        }
        assert_eq!(Anchor::stored(&[anchor.row()]), Some(anchor));
        assert_eq!(Anchor::stored(&[]), None);
        let short = MetaRow { name: NAME.to_owned(), value: vec![0; 15] };
        assert_eq!(Anchor::stored(&[short]), None);
    }
}
