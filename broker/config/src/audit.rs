//! Section `[audit]`: the record of what is done to the broker and by whom.

use super::key::section;

section! {
    /// The record of commands, logins, denials and changes of the configuration, with their users.
    Audit at "audit", |config| config.audit => {
        /// Whether it is kept.
        enabled: bool = true, json "AuditEnabled";
        /// Days after which records are removed.
        days: u32 = 90, json "AuditDays", range 1..=3_650;
        /// Most records of administrators, and as many of changes by others. If there are more, the
        /// oldest go. A record has some 300 bytes, and 4 KiB at most.
        records: u32 = 100_000, json "AuditRecords", range 100..=2_000_000;
        /// Days after which records of logins, of denials, and of requests by others are removed.
        access_days: u32 = 30, range 1..=3_650;
        /// Most records of that sort. They never replace records of administrators.
        access_records: u32 = 100_000, range 100..=2_000_000;
    }
}
