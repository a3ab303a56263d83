//! Families about the process, by the names that all exporters have for them.

use super::family::{FamilyRow, families};
use lotmq_process::{descriptors, machine, usage};

/// Families about the process.
pub(super) static PROCESS: &[FamilyRow] = families! {
    Counter "process_cpu_seconds_total" [] "Processor time of the process, of its own and of the system for it."
        |_, to| to.one(usage::cpu_time().as_secs_f64());
    Gauge "process_resident_memory_bytes" [] "Memory of the process that is in use."
        |_, to| to.one(usage::memory().0);
    Gauge "process_virtual_memory_bytes" [] "Addresses that the process has reserved; the pool of guests makes them many, and most are never memory."
        |_, to| to.one(usage::virtual_memory());
    Gauge "process_open_fds" [] "File descriptors that are open."
        |_, to| to.one(descriptors::open_now());
    Gauge "process_max_fds" [] "File descriptors that may be open."
        |_, to| to.one(descriptors::limit());
    Gauge "process_start_time_seconds" [] "Time of the start, since 1970, by the clock of today."
        |it, to| to.one(started(it.broker.core.clock.wall_ms(), it.broker.sys.uptime().as_secs_f64()));
    Gauge "lotmq_memory_limit_bytes" [] "Memory of the machine, or of the container where that has less."
        |_, to| to.one(machine::memory());
};

/// Seconds since 1970 at which a process of this age started, without the fraction that would
/// differ each time.
#[expect(clippy::cast_precision_loss, reason = "2^53 milliseconds are 285,000 years")]
fn started(wall_ms: u64, age: f64) -> f64 {
    (wall_ms as f64 / 1e3 - age).round()
}
