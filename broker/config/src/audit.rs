//! Section `[audit]`: the record of what is done to the broker and by whom.

use super::key::section;

section! {
    /// The record of what is done to the broker and by whom: commands, logins, denials, changes of
    /// the configuration.
    Audit at "audit", |config| config.audit => {
        /// Whether it is kept.
        enabled: bool = true, json "AuditEnabled";
        /// Days after which records are removed.
        days: u32 = 90, json "AuditDays", range 1..=3_650;
        /// Most records of what administrators did, and as many of what others changed; beyond it
        /// the oldest go. A record has some 300 bytes, and 4 KiB at most.
        records: u32 = 100_000, json "AuditRecords", range 100..=2_000_000;
        /// Days after which records of logins, of denials, and of what others asked for are
        /// removed.
        access_days: u32 = 30, range 1..=3_650;
        /// Most records of that sort. However many come, none of what administrators did goes for
        /// them.
        access_records: u32 = 100_000, range 100..=2_000_000;
    }
}
