//! Usage of memory and processor by this process, from the operating system.

use std::time::Duration;

/// Resident memory now and at its peak, in bytes; zeros where the system does not tell.
pub fn memory() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    (kibibytes(&status, "VmRSS:"), kibibytes(&status, "VmHWM:"))
}

/// Resident memory that no other process can share, in bytes: heap, stacks, and what was written of
/// mapped files. Zero where the system does not tell.
pub fn private_memory() -> u64 {
    kibibytes(&std::fs::read_to_string("/proc/self/status").unwrap_or_default(), "RssAnon:")
}

/// Addresses that the process has reserved, in bytes; zero where the system does not tell.
pub fn virtual_memory() -> u64 {
    kibibytes(&std::fs::read_to_string("/proc/self/status").unwrap_or_default(), "VmSize:")
}

/// Parses a line like `VmRSS:     5280 kB`, to bytes.
fn kibibytes(status: &str, key: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let number = line.and_then(|line| line.split_whitespace().next()).and_then(|number| number.parse().ok());
    number.map_or(0, |kib: u64| kib * 1024)
}

/// Processor time of all threads since the start.
pub fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let (seconds, nanos) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
    Duration::new(seconds.unwrap_or(0), nanos.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_and_time_are_read() {
        let (now, peak) = memory();
        assert!(now > 0 && peak >= now / 2, "{now} {peak}");
        assert_eq!(kibibytes("VmPeak:\t 1 kB\nVmRSS:\t    5 kB\n", "VmRSS:"), 5 * 1024);
        assert_eq!(kibibytes("", "VmRSS:"), 0);
        assert!(virtual_memory() >= now);
        assert!((1..=peak).contains(&private_memory()));
        let before = cpu_time();
        assert!(cpu_time() >= before);
    }
}
