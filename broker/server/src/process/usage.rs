//! Usage of memory and processor by this process, from the operating system.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

/// Resident memory now and at its peak, in bytes; zeros where the system does not tell.
pub(crate) fn memory() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    (kibibytes(&status, "VmRSS:"), kibibytes(&status, "VmHWM:"))
}

/// Resident memory that no other process can share, in bytes: heap, stacks, and what was written of
/// mapped files. Zero where the system does not tell.
pub(crate) fn private_memory() -> u64 {
    kibibytes(&std::fs::read_to_string("/proc/self/status").unwrap_or_default(), "RssAnon:")
}

/// Addresses that the process has reserved, in bytes; zero where the system does not tell.
pub(crate) fn virtual_memory() -> u64 {
    kibibytes(&std::fs::read_to_string("/proc/self/status").unwrap_or_default(), "VmSize:")
}

/// Parses a line like `VmRSS:     5280 kB`, to bytes.
fn kibibytes(status: &str, key: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let number = line.and_then(|line| line.split_whitespace().next()).and_then(|number| number.parse().ok());
    number.map_or(0, |kib: u64| kib * 1024)
}

/// Processor time of all threads since the start.
pub(crate) fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let (seconds, nanos) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
    Duration::new(seconds.unwrap_or(0), nanos.unwrap_or(0))
}

/// Processor time of one thread, which others read.
#[derive(Debug)]
pub(crate) struct ThreadTime(File);

impl ThreadTime {
    /// That of the calling thread; `None` where the system does not tell.
    pub(crate) fn of_this_thread() -> Option<Self> {
        let own = Self(File::open("/proc/thread-self/stat").ok()?);
        own.read().map(|_| own)
    }

    /// What it is now; `None` when the thread has ended.
    pub(crate) fn read(&self) -> Option<Duration> {
        // It has some 300 bytes.
        let mut bytes = [0_u8; 1024];
        let length = self.0.read_at(&mut bytes, 0).ok()?;
        times(std::str::from_utf8(bytes.get(..length)?).ok()?)
    }
}

/// Time as user and in the kernel, of a line as `/proc/…/stat` has it.
fn times(stat: &str) -> Option<Duration> {
    // Behind the name, which may have anything in it, and nine more fields; user space counts in hundredths of a second on all machines that we are built for.
    const BEFORE: usize = 11;
    const TICK_MS: u64 = 10;
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ').skip(BEFORE).map(|field| field.parse::<u64>().ok());
    let ticks = fields.next()??.checked_add(fields.next()??)?;
    Some(Duration::from_millis(ticks.saturating_mul(TICK_MS)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_thread_is_read_by_another_one() {
        let stat = "12 (a) b) R 1 2 3 4 5 6 7 8 9 10 70 30 0 0 20 0";
        assert_eq!(times(stat), Some(Duration::from_secs(1)));
        assert_eq!(times("12 (a) R 1 2"), None);
        let (clock, clocks) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            let own = ThreadTime::of_this_thread().unwrap();
            let begun = own.read().unwrap();
            while own.read().unwrap() < begun + Duration::from_millis(50) {
                std::hint::black_box(0);
            }
            clock.send(own).unwrap();
            let _ = ended.recv();
        });
        let other = clocks.recv().unwrap();
        let busy = other.read().unwrap();
        assert!(busy >= Duration::from_millis(50), "{busy:?}");
        drop(end);
        thread.join().unwrap();
    }

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
