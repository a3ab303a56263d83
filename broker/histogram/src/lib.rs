//! Histograms of durations: how many were at most so long, for bounds that are known beforehand,
//! and their sum.
//!
//! A [`Histogram`] is written by any thread, or by one alone with less work; [`DurationCounts`] are
//! a reading of it, and can be added up. Memory is a number for each bound, whatever is observed.
//! Not here: clocks, names, and the text of `/metrics`.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Histogram with `N` buckets: one for each bound, and one for what is longer.
#[derive(Debug)]
pub struct Histogram<const N: usize> {
    bounds: &'static [Duration],
    counts: [AtomicU64; N],
    sum_ns: AtomicU64,
}

impl<const N: usize> Histogram<N> {
    /// Empty histogram with these bounds, which ascend; there are `N - 1` of them.
    #[must_use]
    pub const fn new(bounds: &'static [Duration]) -> Self {
        assert!(bounds.len() + 1 == N, "a bucket for each bound, and one for what is longer");
        Self { bounds, counts: [const { AtomicU64::new(0) }; N], sum_ns: AtomicU64::new(0) }
    }

    /// Adds `count` observations of the same duration. Callable from any thread.
    pub fn observe(&self, took: Duration, count: u64) {
        self.counts[bucket(self.bounds, took)].fetch_add(count, Relaxed);
        self.sum_ns.fetch_add(nanos(took).saturating_mul(count), Relaxed);
    }

    /// Adds `count` observations of the same duration, on the only thread that writes this
    /// histogram: nothing that other threads write is touched.
    pub fn observe_alone(&self, took: Duration, count: u64) {
        let add = |to: &AtomicU64, more: u64| to.store(to.load(Relaxed).wrapping_add(more), Relaxed);
        add(&self.counts[bucket(self.bounds, took)], count);
        add(&self.sum_ns, nanos(took).saturating_mul(count));
    }

    /// Adds what was counted elsewhere, with the same bounds. Callable from any thread.
    pub fn add(&self, counted: &DurationCounts<N>) {
        for (own, more) in self.counts.iter().zip(counted.counts).filter(|(_, more)| *more > 0) {
            own.fetch_add(more, Relaxed);
        }
        if counted.sum_ns > 0 {
            self.sum_ns.fetch_add(counted.sum_ns, Relaxed);
        }
    }

    /// Sum of all durations.
    #[must_use]
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum_ns.load(Relaxed))
    }

    /// Counts as they are now. Those of a moment in which others write may lack a part of what they
    /// write.
    #[must_use]
    pub fn read(&self) -> DurationCounts<N> {
        DurationCounts {
            counts: std::array::from_fn(|place| self.counts[place].load(Relaxed)),
            sum_ns: self.sum_ns.load(Relaxed),
        }
    }
}

/// Counts of durations by bucket, not cumulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DurationCounts<const N: usize> {
    /// How many were longer than the bound before and at most as long as that of their place; in
    /// the last place all that were longer.
    pub counts: [u64; N],
    /// Sum of all durations, in nanoseconds.
    pub sum_ns: u64,
}

impl<const N: usize> Default for DurationCounts<N> {
    fn default() -> Self {
        Self { counts: [0; N], sum_ns: 0 }
    }
}

impl<const N: usize> DurationCounts<N> {
    /// Adds `count` observations of the same duration; `bounds` are those of all that are added to
    /// one another.
    pub fn observe(&mut self, bounds: &[Duration], took: Duration, count: u64) {
        self.counts[bucket(bounds, took).min(N - 1)] += count;
        self.sum_ns = self.sum_ns.saturating_add(nanos(took).saturating_mul(count));
    }

    /// Adds other counts with the same bounds.
    pub fn add(&mut self, other: &Self) {
        for (own, more) in self.counts.iter_mut().zip(other.counts) {
            *own += more;
        }
        self.sum_ns = self.sum_ns.saturating_add(other.sum_ns);
    }

    /// How many durations were observed.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Sum of all durations.
    #[must_use]
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum_ns)
    }
}

/// Place of a duration: that of the first bound that it does not exceed.
fn bucket(bounds: &[Duration], took: Duration) -> usize {
    bounds.iter().position(|bound| took <= *bound).unwrap_or(bounds.len())
}

/// Nanoseconds of a duration; those of more than 584 years are as many.
fn nanos(took: Duration) -> u64 {
    u64::try_from(took.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: &[Duration] = &[Duration::from_millis(1), Duration::from_millis(10)];

    #[test]
    fn a_duration_is_in_the_bucket_of_the_first_bound_that_it_does_not_exceed() {
        let (shared, own) = (Histogram::<3>::new(BOUNDS), Histogram::<3>::new(BOUNDS));
        let mut counted = DurationCounts::default();
        for (micros, count) in [(0, 1), (1_000, 2), (1_001, 3), (10_000, 4), (10_001, 5), (9_000_000, 6)] {
            let took = Duration::from_micros(micros);
            shared.observe(took, count);
            own.observe_alone(took, count);
            counted.observe(BOUNDS, took, count);
        }
        assert_eq!(shared.read().counts, [3, 7, 11]);
        let sum = Duration::from_micros(2_000 + 3_003 + 40_000 + 50_005 + 54_000_000);
        assert_eq!((shared.read().sum(), shared.read().count()), (sum, 21));
        assert_eq!((own.read(), counted), (shared.read(), shared.read()));
        shared.add(&counted);
        counted.add(&own.read());
        assert_eq!(shared.read(), counted);
        assert_eq!(counted.counts, [6, 14, 22]);
    }
}
