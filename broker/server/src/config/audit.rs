//! Section `[audit]`: the record of what is done to the broker and by whom.

use super::key::section;

section! {
    /// The record of what is done to the broker and by whom: commands, logins, denials, changes of the configuration.
    Audit at "audit", |config| config.audit => {
        /// Whether it is kept.
        enabled: bool = true, json "AuditEnabled";
        /// Days after which records are removed.
        days: u32 = 90, json "AuditDays", range 1..=3_650;
        /// Most records; beyond it the oldest go. A record has some 300 bytes, and 4 KiB at most.
        records: u32 = 100_000, json "AuditRecords", range 100..=2_000_000;
    }
}
