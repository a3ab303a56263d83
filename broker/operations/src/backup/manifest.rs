//! Manifest of a backup: its contents, as JSON.

use serde::{Deserialize, Serialize};

use crate::limits::{BACKUP_LIST_MAX, BACKUP_TEXT_BYTES_MAX};

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

impl Manifest {
    /// Checks the length of its lists and texts, and that no text has control characters. Replies
    /// and terminals show them, and a stranger may have written them.
    ///
    /// # Errors
    /// The reason, for people.
    pub(super) fn check(&self) -> Result<(), String> {
        let lists =
            [("parts", self.parts.len()), ("tables", self.tables.len()), ("members", self.members.len())];
        if let Some((list, count)) = lists.into_iter().find(|(_, count)| *count > BACKUP_LIST_MAX) {
            return Err(format!("{list} has {count} entries, limit {BACKUP_LIST_MAX}"));
        }
        let of_tables = self.tables.iter().map(|table| ("tables", &table.name));
        let of_members = self.members.iter().flat_map(|it| [("members", &it.name), ("members", &it.sha256)]);
        let texts = [("broker", &self.broker), ("name", &self.name), ("createdUtc", &self.created_utc)];
        let of_parts = self.parts.iter().map(|part| ("parts", part));
        let mut texts = texts.into_iter().chain(of_parts).chain(of_tables).chain(of_members);
        let is_foreign = |text: &str| text.len() > BACKUP_TEXT_BYTES_MAX || text.contains(char::is_control);
        match texts.find(|(_, text)| is_foreign(text)) {
            Some((field, _)) => Err(format!(
                "{field} has a control character or a text of more than {BACKUP_TEXT_BYTES_MAX} bytes"
            )),
            None => Ok(()),
        }
    }
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
