//! Points in time as text.

use jiff::Timestamp;

/// `2026-11-20T09:18:25.120Z`: always milliseconds, always UTC.
pub(crate) fn utc_text(since_1970_ms: u64) -> String {
    let at = i64::try_from(since_1970_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    lotmq_definitions::utc_text(at.unwrap_or_default())
}
