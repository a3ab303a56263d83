//! Memory mappings and threads that the system lets the process have: what the log says of them at
//! a start.
//!
//! Not here: how mappings are shared out, which the engine of guests does (`lotmq_host`).

use std::fs;
use std::path::Path;

use lotmq_host::Engine;
use lotmq_host::limits::{FILE_OPERATIONS_MAX, MAPPINGS_PER_PROGRAM, SERIAL_OPENINGS_MAX, STAND_INS_MAX};
use rustix::process::{Resource, getrlimit};
use tracing::{info, warn};

use crate::limits::FEW_PROGRAMS;
use crate::machine::{Controller, least_limit};

/// Threads beside those of cores, commands, routes and files: of the store, logins, timers, health.
const OTHER_THREADS: u64 = 16;

/// Logs how many programs the memory mappings of the process have room for, and warns of limits
/// that are too low. `working` is the number of threads that commands and routes have at most.
pub fn report(engine: &Engine, working: usize) {
    let (of_pool, of_code) = (engine.pool().mappings(), engine.code_mappings().max);
    let programs = of_code / MAPPINGS_PER_PROGRAM;
    if programs < FEW_PROGRAMS {
        warn!(
            of_pool,
            of_code,
            programs,
            "few compiled programs fit the memory mappings of the process, raise them: sysctl vm.max_map_count"
        );
    } else {
        info!(of_pool, of_code, programs, "memory mappings");
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let (threads, needed) = (threads_max(), threads_needed(cores, working));
    if threads < needed {
        warn!(
            threads,
            needed, "the broker may need more threads, raise the limit: TasksMax of the service, ulimit -u"
        );
    }
}

/// Threads that the process may have, those of the other processes of its user and its control
/// group among them.
fn threads_max() -> u64 {
    let of_user = getrlimit(Resource::Nproc).current.unwrap_or(u64::MAX);
    let cgroups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let of_group = least_limit(&cgroups, Path::new("/sys/fs/cgroup"), &Controller::PIDS);
    of_group.unwrap_or(u64::MAX).min(of_user)
}

/// Threads that the broker has at most on a machine with so many cores.
fn threads_needed(cores: u64, working: usize) -> u64 {
    let of_guests = STAND_INS_MAX + FILE_OPERATIONS_MAX + SERIAL_OPENINGS_MAX;
    2 * cores + (of_guests + working) as u64 + OTHER_THREADS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usual_system_has_threads_enough() {
        assert!(threads_needed(64, 200) < 1_000, "{}", threads_needed(64, 200));
        assert!(threads_max() > 0);
    }
}
