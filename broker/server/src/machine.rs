//! What the machine has that bounds derive from.

use crate::config::Limits;
use crate::limits::{GUESTS_MEMORY_PART, GUESTS_MEMORY_RANGE};

/// Memory in bytes that is taken for that of a machine which does not tell.
const MEMORY_GUESSED: u64 = 4 << 30;

/// Memory that all guests together may have, in bytes.
pub(crate) fn guests_memory(limits: &Limits) -> u64 {
    if limits.guests_memory > 0 { limits.guests_memory } else { part(memory()) }
}

/// The part of a machine's memory that guests may have where nothing is configured.
fn part(memory: u64) -> u64 {
    (memory / GUESTS_MEMORY_PART).clamp(*GUESTS_MEMORY_RANGE.start(), *GUESTS_MEMORY_RANGE.end())
}

/// Memory of the machine in bytes, or of the container where that has less.
fn memory() -> u64 {
    let machine =
        std::fs::read_to_string("/proc/meminfo").ok().as_deref().and_then(total).unwrap_or(MEMORY_GUESSED);
    let container = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let container = container.and_then(|text| text.trim().parse().ok());
    container.unwrap_or(u64::MAX).min(machine)
}

/// The line `MemTotal: 16384256 kB`.
fn total(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_have_a_part_of_the_memory() {
        assert_eq!(total("MemFree: 7 kB\nMemTotal:       16384256 kB\n"), Some(16_384_256 * 1024));
        assert_eq!(total("MemFree: 7 kB\n"), None);
        for (memory, expected) in [(512 << 20, 256 << 20), (8 << 30, 2 << 30), (256 << 30, 4 << 30)] {
            assert_eq!(part(memory), expected, "{memory}");
        }
        assert!(memory() > 64 << 20);
    }
}
