//! Section `[log]`: how much is logged.

use super::key::section;

section! {
    /// How much is logged.
    Log at "log", |config| config.log => {
        /// Whether decisions are logged too (level `debug`), and clients that come and go, not only life cycle, refusals and failures.
        debug: bool = false, json "FullDebugLog";
    }
}
