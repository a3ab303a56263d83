//! Lifetimes: how they go on from one start of the broker to the next, whatever becomes of the wall clock.
//!
//! A gateway without a battery starts in 1970 and learns the time later; an administrator mistypes a year. Nothing that clients were promised may end because of it. So
//! lifetimes are counted by a clock that nobody can set, and the store remembers a point of it, the [`Anchor`], with what the wall clock showed then: what has passed while the
//! broker was down is the one thing that only the wall clock can tell.

use std::time::{Duration, Instant};

use lotmq_core::clock::Clock;
use lotmq_store::{Batch, MetaRow, Op, Store};
use tracing::warn;

/// Name of the stored fact.
const NAME: &str = "clock.lifetimes";

/// A difference of the clocks above this is a step of the wall clock; less is what it gains or loses.
const STEP_MIN_MS: u64 = 10_000;

/// Time between two anchors while the store is written to: by so much at most, and what the broker was down, lifetimes become longer when a start finds a wall clock that is
/// behind.
const ANCHOR_INTERVAL: Duration = Duration::from_secs(600);

/// The same moment by both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Anchor {
    lifetime_ms: u64,
    wall_ms: u64,
}

impl Anchor {
    /// The last one that the store has, if any.
    pub(crate) fn stored(facts: &[MetaRow]) -> Option<Self> {
        let fact = facts.iter().find(|fact| fact.name == NAME)?;
        let (lifetime_ms, rest) = fact.value.split_first_chunk()?;
        let wall_ms = rest.first_chunk()?;
        Some(Self { lifetime_ms: u64::from_be_bytes(*lifetime_ms), wall_ms: u64::from_be_bytes(*wall_ms) })
    }

    /// Lifetime milliseconds at a start, when the wall clock shows `wall_ms`. One that is behind tells nothing: then no time has passed.
    pub(crate) fn resumed_at(self, wall_ms: u64) -> u64 {
        if wall_ms < self.wall_ms {
            let seconds = (self.wall_ms - wall_ms) / 1000;
            warn!(
                seconds,
                "the wall clock is behind that of the last run; lifetimes go on as if it had not passed"
            );
        }
        self.lifetime_ms.saturating_add(wall_ms.saturating_sub(self.wall_ms))
    }

    fn now(clock: &dyn Clock) -> Self {
        Self { lifetime_ms: clock.lifetime_ms(), wall_ms: clock.wall_ms() }
    }

    /// How far the wall clock was set since `before`, in milliseconds; negative is back.
    fn step_since(self, before: Self) -> i64 {
        let offset = |anchor: Self| anchor.wall_ms.wrapping_sub(anchor.lifetime_ms).cast_signed();
        offset(self).wrapping_sub(offset(before))
    }

    fn row(self) -> MetaRow {
        let value = [self.lifetime_ms.to_be_bytes(), self.wall_ms.to_be_bytes()].concat();
        MetaRow { name: NAME.to_owned(), value }
    }
}

/// The one that keeps the stored anchor near the present.
#[derive(Debug, Default)]
pub(crate) struct Anchoring {
    /// The last one that was written since the start, when that was, and how much the store had committed before.
    last: Option<(Anchor, Instant, u64)>,
}

impl Anchoring {
    /// Writes an anchor at first, when the wall clock was set, and after a while.
    pub(crate) fn look(&mut self, store: &Store, clock: &dyn Clock, now: Instant) {
        let anchor = Anchor::now(clock);
        let is_due = self.last.is_none_or(|(last, written_at, _)| {
            let is_set = anchor.step_since(last).unsigned_abs() >= STEP_MIN_MS;
            if is_set {
                let seconds = anchor.step_since(last) / 1000;
                warn!(seconds, "the wall clock was set; lifetimes go on by the time that has passed");
            }
            is_set || now.duration_since(written_at) >= ANCHOR_INTERVAL
        });
        if is_due {
            self.write(store, anchor, now);
        }
    }

    /// Writes one for the next start.
    pub(crate) fn close(&mut self, store: &Store, clock: &dyn Clock, now: Instant) {
        self.write(store, Anchor::now(clock), now);
    }

    /// Writes one, unless nothing happened since the last: then nothing is stored by whose time it would matter.
    fn write(&mut self, store: &Store, anchor: Anchor, now: Instant) {
        let commits = store.metrics().commits;
        let says_the_same = |(last, _, before): (Anchor, _, u64)| {
            // That of the anchor itself is one.
            anchor.step_since(last).unsigned_abs() < STEP_MIN_MS && commits <= before + 1
        };
        if let Some((last, _, before)) = self.last.filter(|last| says_the_same(*last)) {
            self.last = Some((last, now, before));
            return;
        }
        let mut batch = Batch::new();
        batch.push(Op::PutMeta(&anchor.row()));
        match store.append(batch) {
            Ok(_) => self.last = Some((anchor, now, commits)),
            Err(error) => warn!(%error, "the time is not remembered for the next start"),
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

    #[test]
    fn steps_are_what_the_wall_clock_did_alone() {
        let before = Anchor { lifetime_ms: 5 * HOUR, wall_ms: 40 * YEAR };
        for (passed, wall_ms, expected) in [
            (HOUR, 40 * YEAR + HOUR, 0),
            (HOUR, 45 * YEAR + HOUR, 5 * YEAR.cast_signed()),
            (HOUR, HOUR, -40 * YEAR.cast_signed()),
        ] {
            let now = Anchor { lifetime_ms: before.lifetime_ms + passed, wall_ms };
            assert_eq!(now.step_since(before), expected);
        }
    }
}
