//! Bounds of the start, of metrics and of the watch over storage: name, unit, and why this number.

use lotmq_operations::limits::{COMMAND_THREADS, MODULE_COMPILES_PER_USER_MAX};
use lotmq_programs::limits::ROUTE_THREADS_MAX;

/// Threads that compile behind the listeners after a start, each with a worker process at most.
/// Others keep a place for uploads.
pub(crate) const COLD_START_THREADS_MAX: usize = 2;

/// Threads that commands, compilations of modules and routes have at most.
pub(crate) const WORKING_THREADS_MAX: usize =
    COMMAND_THREADS + 2 * MODULE_COMPILES_PER_USER_MAX + ROUTE_THREADS_MAX;

/// Damaged rows that a start logs one by one; of further ones there is only the number.
pub(crate) const QUARANTINED_LOGGED_MAX: usize = 1000;

/// Least and most bytes in flight of a session whose owner's sessions exceed their share.
pub(crate) const BOUND_WINDOW_BYTES: std::ops::RangeInclusive<u64> = 4 << 10..=64 << 10;

/// How often it is looked what all sessions have in flight, while the process has as much memory.
pub(crate) const IN_FLIGHT_LOOK_PERIOD: std::time::Duration = std::time::Duration::from_millis(500);

/// How often it is looked how full the disk is.
pub(crate) const STORAGE_LOOK_PERIOD: std::time::Duration = std::time::Duration::from_millis(500);

/// More than is stored between two looks at the disk: 4 GB a second.
pub(crate) const STORED_BETWEEN_LOOKS_MAX: u64 = 2 << 30;

/// Definitions that `/metrics` tells apart, with 20 samples each, 200 KiB. The rest is one sum.
pub(crate) const DEFINITIONS_FIGURED_MAX: usize = 100;
