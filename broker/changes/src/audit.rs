//! The audit as it is read back.

/// A record of the audit, read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRecord {
    /// Its place in the order of its tenant's records.
    pub number: u64,
    /// When it was made, in milliseconds since 1970.
    pub at_ms: u64,
    /// As it was given; `None` if it is locked, unless an older version has stored it.
    pub digest: Option<[u8; 32]>,
    /// Its text; `None` if it is locked: encrypted with another key.
    pub text: Option<String>,
}

/// Beginning and end of a stretch of the audit of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEnds {
    /// Number of the oldest record.
    pub first: u64,
    /// Number for the next one; records may be damaged and have their numbers nevertheless.
    pub next: u64,
    /// The newest one that can be read.
    pub last: Option<AuditRecord>,
}
