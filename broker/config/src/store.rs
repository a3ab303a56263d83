//! Section `[store]`: what an acknowledgement promises.

use super::key::section;
use super::setting::words;

section! {
    /// Durability of acknowledged changes.
    Store at "store", |config| config.store => {
        /// Failures that acknowledged data survives: `fsync` a loss of power, `os` a killed
        /// process, `none` none of these (for tests and caches).
        durability: Durability = Durability::Fsync, json "Durability";
        /// Milliseconds that changes wait for others, so that one write stores them together. Their
        /// acknowledgements wait as long. Use it for flash: each write costs at least 32 KiB, and a
        /// message that its receivers acknowledge in this time is not written at all.
        linger_ms: u32 = 0, json "LingerMs", range 0..=1_000;
    }
}

words! {
    /// Failures that acknowledged data survives.
    Durability {
        /// A loss of power: every group of changes is synced to the disk before it is acknowledged.
        Fsync = "fsync",
        /// A killed process: changes are with the operating system before they are acknowledged.
        Os = "os",
        /// Nothing.
        None = "none",
    }
}
