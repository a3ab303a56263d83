//! The machine and the limits of the process: open files, memory, length of accept queues, clock.
//!
//! If the broker runs, limits are those of its process.

use std::fs;
use std::time::UNIX_EPOCH;

use lotmq_config::Config;
use lotmq_process::clock::wall_ms;
use lotmq_process::machine;
use lotmq_server::LocalZone;
use rustix::process::{Resource, getrlimit};

use super::finding::Finding;

/// Open files below which a broker serves a few hundred clients.
const FILES_FEW: u64 = 1024;

/// Open files that are enough for most brokers.
const FILES_ENOUGH: u64 = 65_536;

/// Memory in bytes below which programs and queues have hardly any room.
const MEMORY_FEW: u64 = 64 << 20;

/// Memory in bytes that is enough for the default limits.
const MEMORY_ENOUGH: u64 = 256 << 20;

/// Connections that a listener asks the system to keep until it accepts them.
const BACKLOG: u64 = 4096;

/// Begin of 2025 in milliseconds since 1970. A clock before it was never set.
const NEVER_SET_MS: u64 = 1_735_689_600_000;

/// Difference between clock and last write above which the clock was set back.
const SET_BACK_MS: u64 = 60_000;

/// Findings about the machine, for a broker in `process` or one that is to be started from here.
pub(super) fn look(config: &Config, process: Option<u32>) -> Vec<Finding> {
    let memory = memory(machine::memory());
    let text = fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap_or_default();
    let accept_queue = text.trim().parse().ok().map(accept_queue);
    let zone = LocalZone::of_process()
        .fault
        .map(|fault| Finding::warning("clock", fault, "set TZ or /etc/localtime to a time zone that exists"));
    let written = fs::metadata(config.store_path()).and_then(|file| file.modified()).ok();
    let written = written.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let written_ms = written.and_then(|since| u64::try_from(since.as_millis()).ok());
    let found = [open_files(files_limit(process), config.limits.connections.into()), memory];
    found.into_iter().chain(accept_queue).chain([clock(wall_ms(), written_ms)]).chain(zone).collect()
}

/// Hard limit of open files, up to which the broker raises its own.
fn files_limit(process: Option<u32>) -> u64 {
    let of_process = process.and_then(|process| {
        let limits = fs::read_to_string(format!("/proc/{process}/limits")).ok()?;
        let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
        let hard = line.split_whitespace().nth(1)?;
        Some(hard.parse().unwrap_or(u64::MAX))
    });
    of_process.unwrap_or_else(|| getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX))
}

fn open_files(limit: u64, connections_max: u64) -> Finding {
    let message = format!("at most {limit}");
    let remedy = "raise it: LimitNOFILE=1048576 in the service, --ulimit nofile=1048576 of a container, or ulimit -Hn in the shell";
    if limit < FILES_FEW {
        Finding::error("open-files", format!("{message}, which a few hundred clients use up"), remedy)
    } else if limit < FILES_ENOUGH && connections_max > limit {
        Finding::warning("open-files", format!("{message}, and each client needs one"), remedy)
    } else {
        Finding::ok("open-files", message)
    }
}

fn memory(bytes: u64) -> Finding {
    let message = format!("{} MiB of this machine or control group", bytes >> 20);
    let remedy =
        "give the machine, container or service more: MemoryMax of the service, --memory of a container";
    if bytes < MEMORY_FEW {
        Finding::error("memory", message, remedy)
    } else if bytes < MEMORY_ENOUGH {
        Finding::warning("memory", format!("{message}; programs and queues have little room"), remedy)
    } else {
        Finding::ok("memory", message)
    }
}

fn accept_queue(somaxconn: u64) -> Finding {
    let message = format!("net.core.somaxconn is {somaxconn}");
    if somaxconn >= BACKLOG {
        return Finding::ok("accept-queue", message);
    }
    Finding::warning(
        "accept-queue",
        format!("{message}; when many clients connect at once, the system drops some of them"),
        format!("sysctl -w net.core.somaxconn={BACKLOG}, and the same in /etc/sysctl.d"),
    )
}

fn clock(now_ms: u64, written_ms: Option<u64>) -> Finding {
    let remedy = "set it, and keep it right: timedatectl set-ntp true";
    let behind_ms = written_ms.unwrap_or_default().saturating_sub(now_ms);
    if now_ms < NEVER_SET_MS {
        let message = "it was never set; certificates and tokens are not valid yet";
        Finding::error("clock", message, remedy)
    } else if behind_ms > SET_BACK_MS {
        let message = format!("it is {} s behind the last write to the store", behind_ms / 1000);
        Finding::error("clock", message, remedy)
    } else {
        Finding::ok("clock", lotmq_process::clock::utc_text(now_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::FindingLevel::{Error, Ok, Warning};
    use super::*;

    #[test]
    fn limits_of_the_system_are_judged() {
        for (finding, level) in [
            (open_files(256, 1_000_000), Error),
            (open_files(4096, 1_000_000), Warning),
            (open_files(4096, 2000), Ok),
            (open_files(1_048_576, 1_000_000), Ok),
            (memory(32 << 20), Error),
            (memory(128 << 20), Warning),
            (memory(1 << 30), Ok),
            (accept_queue(128), Warning),
            (accept_queue(4096), Ok),
            (clock(7000, None), Error),
            (clock(NEVER_SET_MS, Some(NEVER_SET_MS + 61_000)), Error),
            (clock(NEVER_SET_MS, Some(NEVER_SET_MS + 1000)), Ok),
        ] {
            assert_eq!(finding.level, level, "{}", finding.text());
            assert_eq!(finding.remedy.is_some(), level != Ok, "{}", finding.text());
        }
    }
}
