//! Reasons why a route is not connected that the log has been told, with how often each was met
//! since it was connected.
//!
//! All instances of a route share them: four that find nobody there are one piece of news.

use crate::limits::ROUTE_REASONS_MAX;

/// Reasons with their counts, the one that was met first in front.
#[derive(Debug, Default)]
pub(super) struct FailureCounts(Vec<(String, u64)>);

impl FailureCounts {
    /// Counts a reason; gives the count where the log is to be told: the first time, and whenever
    /// it has doubled.
    pub(super) fn count(&mut self, reason: &str) -> Option<u64> {
        let known = self.0.iter_mut().find(|(known, _)| known == reason);
        let count = if let Some((_, count)) = known {
            *count += 1;
            *count
        } else {
            if self.0.len() >= ROUTE_REASONS_MAX {
                self.0.remove(0);
            }
            self.0.push((reason.to_owned(), 1));
            1
        };
        count.is_power_of_two().then_some(count)
    }

    /// Forgets all, so that each is told again: it is connected, or another version.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_reason_is_reported_first_and_then_at_doubled_counts() {
        let mut told = FailureCounts::default();
        let counts: Vec<u64> = (0..9).filter_map(|_| told.count("away")).collect();
        assert_eq!(counts, [1, 2, 4, 8]);
        assert_eq!(told.count("other"), Some(1));
        assert_eq!(told.count("away"), None, "two that take turns are no news");
        told.clear();
        assert_eq!(told.count("away"), Some(1));
        for number in 0..ROUTE_REASONS_MAX {
            told.count(&number.to_string());
        }
        assert_eq!(told.0.len(), ROUTE_REASONS_MAX);
        assert_eq!(told.count("away"), Some(1), "it is forgotten");
    }
}
