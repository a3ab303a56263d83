//! Counters of the store, as its threads keep them.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use lotmq_changes::LogMetrics;

macro_rules! counters {
    ($($name:ident),*) => {
        /// The counters as the writer thread keeps them.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: AtomicU64,)*
        }

        impl Counters {
            pub(crate) fn read(&self) -> LogMetrics {
                LogMetrics { $($name: self.$name.load(Relaxed),)* }
            }
        }
    };
}

counters!(
    commits,
    commit_failures,
    batches,
    records,
    rows,
    bytes,
    group_last,
    group_max,
    commit_us,
    waiting_bytes,
    log_bytes,
    log_live_bytes,
    payload_live_bytes,
    log_chunks,
    deliveries,
    entries_in_memory,
    paged_out,
    cancelled,
    slices,
    damaged_deliveries,
    relocated_bytes,
    damaged_chunks,
    reopens,
    recoveries,
    batches_lost
);

/// Adds to a counter.
pub(crate) fn add(counter: &AtomicU64, value: u64) {
    counter.fetch_add(value, Relaxed);
}

/// Sets a gauge.
pub(crate) fn set(gauge: &AtomicU64, value: u64) {
    gauge.store(value, Relaxed);
}
