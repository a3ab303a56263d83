//! Manifest of a backup: its contents, as JSON.

use serde::{Deserialize, Serialize};

/// Version of the format of backups that this program writes.
pub(super) const FORMAT: u64 = 1;

/// Manifest of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Version of the format.
    pub format: u64,
    /// Version of the broker that wrote it.
    pub broker: String,
    /// Schema version of the store.
    pub schema: u64,
    /// Its name.
    pub name: String,
    /// Time of its contents, in UTC.
    pub created_utc: String,
    /// Parts that are in it: `configuration`, `secrets`, `retained`, `sessions`.
    pub parts: Vec<String>,
    /// Rows and bytes of its tables.
    pub tables: Vec<Table>,
    /// The other files of the zip.
    pub members: Vec<Member>,
}

/// A table in a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Its rows.
    pub rows: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
}

/// A file in the zip.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Its bytes, unpacked.
    pub bytes: u64,
    /// Digest of those, in hexadecimal.
    pub sha256: String,
}
