//! Rate limit of log lines that clients cause: so many of each kind a second; the others are
//! counted.
//!
//! Without it a client that connects as fast as the network allows could fill the disk.

use std::sync::atomic::{AtomicU64, Ordering};

/// Count of lines of one kind, of which so many a second are written. Threads that meet in the same
/// moment may write a line more or less.
#[derive(Debug, Default)]
pub struct LogLines<const PER_SECOND: u64> {
    second: AtomicU64,
    written: AtomicU64,
    suppressed: AtomicU64,
}

/// Permission to write a line.
#[derive(Debug, PartialEq, Eq)]
pub struct WrittenLine {
    /// Number of lines suppressed since the last one; `None` for none.
    pub suppressed: Option<u64>,
}

impl<const PER_SECOND: u64> LogLines<PER_SECOND> {
    /// Counts the next line; `Some` if it is written.
    pub fn next(&self, now_ms: u64) -> Option<WrittenLine> {
        let order = Ordering::Relaxed;
        let second = now_ms / 1000;
        if self.second.swap(second, order) != second {
            self.written.store(0, order);
        }
        if self.written.fetch_add(1, order) < PER_SECOND {
            let suppressed = Some(self.suppressed.swap(0, order)).filter(|count| *count > 0);
            return Some(WrittenLine { suppressed });
        }
        self.suppressed.fetch_add(1, order);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_has_so_many_lines_a_second_and_the_number_of_the_others() {
        let lines = LogLines::<100>::default();
        let written = |suppressed| Some(WrittenLine { suppressed });
        let count = (0..1000).filter(|_| lines.next(5_000) == written(None)).count();
        assert_eq!(count, 100);
        assert_eq!(lines.next(5_999), None);
        assert_eq!(lines.next(6_000), written(Some(901)));
        assert_eq!(lines.next(6_000), written(None));
    }
}
