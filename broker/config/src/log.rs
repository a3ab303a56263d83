//! Section `[log]`: how much is logged, and how it is written.

use super::key::section;
use super::setting::words;

section! {
    /// Level and format of the log.
    Log at "log", |config| config.log => {
        /// Whether decisions are logged too (level `debug`), and clients that come and go, not only
        /// life cycle, refusals and failures.
        debug: bool = false, json "FullDebugLog";
        /// How lines on standard error are written: `text` for people, `json` as one object each,
        /// with `time`, `level`, `target`, `message` and `fields`.
        format: LogFormat = LogFormat::Text;
    }
}

words! {
    /// Format of the lines on standard error.
    LogFormat {
        /// For people.
        Text = "text",
        /// An object of JSON for each line.
        Json = "json",
    }
}
