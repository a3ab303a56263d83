//! Rate limit of log lines about Clients that come and go: so many of each kind a second; the others are counted.
//!
//! Whoever connects as fast as the network allows would otherwise fill the disk with them.

use std::sync::atomic::{AtomicU64, Ordering};

/// Lines of one kind in a second.
const LINES_PER_SECOND: u64 = 100;

/// Count of lines of one kind. Threads that meet in the same moment may write a line more or less.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    second: AtomicU64,
    written: AtomicU64,
    suppressed: AtomicU64,
}

/// Permission to write a line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Written {
    /// Number of lines suppressed since the last one; `None` for none.
    pub(crate) suppressed: Option<u64>,
}

impl Lines {
    /// Counts the next line; `Some` if it is written.
    pub(crate) fn next(&self, now_ms: u64) -> Option<Written> {
        let order = Ordering::Relaxed;
        let second = now_ms / 1000;
        if self.second.swap(second, order) != second {
            self.written.store(0, order);
        }
        if self.written.fetch_add(1, order) < LINES_PER_SECOND {
            let suppressed = Some(self.suppressed.swap(0, order)).filter(|count| *count > 0);
            return Some(Written { suppressed });
        }
        self.suppressed.fetch_add(1, order);
        None
    }
}

/// Counts of each kind of line.
#[derive(Debug, Default)]
pub(crate) struct ClientLines {
    pub(crate) connected: Lines,
    pub(crate) disconnected: Lines,
    /// Of connections that ended otherwise than Clients and the broker end them.
    pub(crate) lost: Lines,
    pub(crate) refused: Lines,
    /// Of Wills that may not be published any more.
    pub(crate) wills_denied: Lines,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_has_so_many_lines_a_second_and_the_number_of_the_others() {
        let lines = Lines::default();
        let written = |suppressed| Some(Written { suppressed });
        let count = (0..1000).filter(|_| lines.next(5_000) == written(None)).count();
        assert_eq!(count, 100);
        assert_eq!(lines.next(5_999), None);
        assert_eq!(lines.next(6_000), written(Some(901)));
        assert_eq!(lines.next(6_000), written(None));
    }
}
