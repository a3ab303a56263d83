//! Rate limits of log lines about clients that come and go.

use lotmq_core::limits::LogLines;

/// Lines of one kind in a second.
const PER_SECOND: u64 = 100;

/// Counts of each kind of line.
#[derive(Debug, Default)]
pub struct ClientLines {
    pub(crate) connected: LogLines<PER_SECOND>,
    pub(crate) disconnected: LogLines<PER_SECOND>,
    /// Of connections that ended otherwise than Clients and the broker end them.
    pub(crate) lost: LogLines<PER_SECOND>,
    pub(crate) refused: LogLines<PER_SECOND>,
    /// Of Wills and messages with a delay that may not be published any more.
    pub(crate) denied_when_due: LogLines<PER_SECOND>,
}
