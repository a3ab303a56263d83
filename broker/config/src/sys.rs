//! Section `[sys]`: the tree `$SYS/broker` for monitoring tools.

use super::key::section;

section! {
    /// The tree `$SYS/broker` for monitoring tools.
    Sys at "sys", |config| config.sys => {
        /// Seconds between two rounds of `$SYS/broker` figures; 0 turns them off.
        interval_sec: u32 = 10, json "SysIntervalSec", range 0..=86_400;
    }
}
