//! Times of a standing, as its status has them.

use jiff::{SignedDuration, Timestamp};

pub(super) fn text(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// Formats a time as `hh:mm:ss`, above a day as `d.hh:mm:ss`.
pub(super) fn uptime(time: SignedDuration) -> String {
    let seconds = time.as_secs().max(0);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let of_day = format!("{hours:02}:{minutes:02}:{:02}", seconds % 60);
    if days > 0 { format!("{days}.{of_day}") } else { of_day }
}
