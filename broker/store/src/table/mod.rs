//! The registry of tables: one line per table; recovery, checks and later the backup work through this list.
//!
//! Row tables have byte-string keys whose first part is the tenant (4 bytes, big-endian; `meta` and `tenants` belong to
//! the whole store) and values `version u8, crc32c u32, body`. The checksum covers key and body, because redb does not
//! verify its own when it reads. A row's layout is in the file of its table; a new layout gets a new version byte.

mod definition;
mod environment;
mod keep;
pub(crate) mod meta;
mod module;
pub(crate) mod retained;
mod secret;
mod session;
mod setting;
mod subscription;
mod tenant;
mod user;

use redb::TableDefinition;

pub use definition::DefinitionRow;
pub use environment::EnvironmentRow;
pub use keep::KeepRow;
pub use meta::MetaRow;
pub use module::ModuleRow;
pub use retained::RetainedRow;
pub(crate) use secret::SecretRow;
pub use session::{SessionRow, WillRow};
pub use setting::SettingRow;
pub use subscription::SubscriptionRow;
pub use tenant::TenantRow;
pub use user::UserRow;

use crate::encoding::{Decoder, Malformed, Put};
use crate::error::Corruption;
use crate::{SessionId, TenantId};

/// Version of the schema that this program writes.
pub const SCHEMA_VERSION: u64 = 1;

/// The log: number of the first record -> chunk. See `log::chunk`.
pub(crate) const LOG: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("log");

/// Large message bodies: (message id, part) -> `version u8, crc32c u32, bytes`.
pub(crate) const PAYLOADS: TableDefinition<'static, (u64, u64), &[u8]> = TableDefinition::new("payloads");

/// The row tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Table {
    Meta,
    Tenants,
    Sessions,
    Subscriptions,
    Retained,
    Keeps,
    Definitions,
    Modules,
    Users,
    Settings,
    Environment,
    Secrets,
}

/// Every table of the schema and what a backup does with it.
pub const TABLES: &[TableInfo] = &[
    TableInfo { name: "meta", backup: BackupClass::Always },
    TableInfo { name: "tenants", backup: BackupClass::Always },
    TableInfo { name: "sessions", backup: BackupClass::Sessions },
    TableInfo { name: "subscriptions", backup: BackupClass::Sessions },
    TableInfo { name: "retained", backup: BackupClass::Messages },
    TableInfo { name: "keeps", backup: BackupClass::Messages },
    TableInfo { name: "definitions", backup: BackupClass::Configuration },
    TableInfo { name: "modules", backup: BackupClass::Configuration },
    TableInfo { name: "users", backup: BackupClass::Configuration },
    TableInfo { name: "settings", backup: BackupClass::Configuration },
    TableInfo { name: "environment", backup: BackupClass::Configuration },
    TableInfo { name: "secrets", backup: BackupClass::Secret },
    TableInfo { name: "log", backup: BackupClass::Sessions },
    TableInfo { name: "payloads", backup: BackupClass::Sessions },
];

/// One line of [`TABLES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableInfo {
    /// Its name in the file.
    pub name: &'static str,
    /// Which part of a backup it belongs to.
    pub backup: BackupClass,
}

/// Parts of a backup, so that one can be asked for without the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackupClass {
    /// In every backup.
    Always,
    /// What users have set up.
    Configuration,
    /// Retained messages and kept values.
    Messages,
    /// Sessions and their queues.
    Sessions,
    /// Encrypted values; of use only with the key.
    Secret,
}

impl Table {
    /// The row tables in the order of [`TABLES`].
    pub(crate) const ALL: [Self; 12] = [
        Self::Meta,
        Self::Tenants,
        Self::Sessions,
        Self::Subscriptions,
        Self::Retained,
        Self::Keeps,
        Self::Definitions,
        Self::Modules,
        Self::Users,
        Self::Settings,
        Self::Environment,
        Self::Secrets,
    ];

    /// Its name in the file.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Tenants => "tenants",
            Self::Sessions => "sessions",
            Self::Subscriptions => "subscriptions",
            Self::Retained => "retained",
            Self::Keeps => "keeps",
            Self::Definitions => "definitions",
            Self::Modules => "modules",
            Self::Users => "users",
            Self::Settings => "settings",
            Self::Environment => "environment",
            Self::Secrets => "secrets",
        }
    }

    pub(crate) fn definition(self) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
        TableDefinition::new(self.name())
    }

    /// The error for a bad row of this table.
    pub(crate) fn corruption(self, key: &[u8], reason: &'static str) -> Corruption {
        let key = key.iter().take(64).map(|byte| format!("{byte:02x}")).collect();
        Corruption::Row { table: self.name(), key, reason }
    }
}

/// A row of one table: how it becomes key and value, and back.
pub(crate) trait Row: Sized {
    const TABLE: Table;
    /// Newest layout of the body; older ones stay readable.
    const VERSION: u8 = 1;

    fn key(&self) -> Vec<u8>;
    fn encode(&self, out: &mut Vec<u8>);
    /// `version` is at most [`Row::VERSION`] and at least 1.
    fn decode(key: &mut Decoder<'_>, version: u8, body: &mut Decoder<'_>) -> Result<Self, Malformed>;
}

/// The stored value of a row with this key.
pub(crate) fn seal<R: Row>(key: &[u8], row: &R) -> Vec<u8> {
    let mut value = vec![R::VERSION, 0, 0, 0, 0];
    row.encode(&mut value);
    let crc = checksum(key, &value);
    value[1..5].copy_from_slice(&crc.to_be_bytes());
    value
}

/// Checks a stored value and returns its version and body.
pub(crate) fn unseal<'a>(key: &[u8], value: &'a [u8]) -> Result<(u8, &'a [u8]), &'static str> {
    let mut decoder = Decoder::new(value, "row");
    let (Ok(version), Ok(crc)) = (decoder.u8(), decoder.u32()) else {
        return Err("too short");
    };
    if checksum(key, value) != crc {
        return Err("checksum does not match");
    }
    Ok((version, decoder.rest()))
}

/// Covers the key, the version byte and the body; skips the checksum's own place.
fn checksum(key: &[u8], value: &[u8]) -> u32 {
    let (head, body) = value.split_at(5);
    crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(key), &head[..1]), body)
}

/// Reads a row back.
pub(crate) fn read<R: Row>(key: &[u8], value: &[u8]) -> Result<R, Corruption> {
    let corrupt = |reason| R::TABLE.corruption(key, reason);
    let (version, body) = unseal(key, value).map_err(corrupt)?;
    if version == 0 || version > R::VERSION {
        return Err(corrupt("row version unknown"));
    }
    let mut key_decoder = Decoder::new(key, "key");
    let mut body = Decoder::new(body, "body");
    let row = R::decode(&mut key_decoder, version, &mut body).map_err(|error| corrupt(error.0))?;
    key_decoder.end().and_then(|()| body.end()).map_err(|error| corrupt(error.0))?;
    Ok(row)
}

/// Key of a thing that has a name within its tenant.
pub(crate) fn named_key(tenant: TenantId, name: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(4 + name.len());
    key.put_u32(tenant.0);
    key.extend_from_slice(name.as_bytes());
    key
}

/// Key of a session, and the first part of its subscriptions' keys.
pub(crate) fn session_key(tenant: TenantId, session: SessionId) -> Vec<u8> {
    let mut key = Vec::with_capacity(12);
    key.put_u32(tenant.0);
    key.put_u64(session.0);
    key
}

/// Key of a subscription.
pub(crate) fn subscription_key(tenant: TenantId, session: SessionId, filter: &str) -> Vec<u8> {
    let mut key = session_key(tenant, session);
    key.extend_from_slice(filter.as_bytes());
    key
}

/// Key of a definition.
pub(crate) fn definition_key(tenant: TenantId, kind: &str, name: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(6 + kind.len() + name.len());
    key.put_u32(tenant.0);
    key.put_text(kind);
    key.extend_from_slice(name.as_bytes());
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_lists_every_table_once() {
        let mut names: Vec<_> = TABLES.iter().map(|table| table.name).collect();
        let rows: Vec<_> = Table::ALL.iter().map(|table| table.name()).collect();
        assert_eq!(names[..rows.len()], rows[..]);
        assert_eq!(names[rows.len()..], ["log", "payloads"]);
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), TABLES.len());
    }

    #[test]
    fn a_flipped_bit_in_key_or_value_is_found() {
        let row = EnvironmentRow { tenant: TenantId(3), name: "N".into(), value: "v".into() };
        let key = row.key();
        let value = seal(&key, &row);
        assert_eq!(read::<EnvironmentRow>(&key, &value), Ok(row));
        for bit in 0..value.len() * 8 {
            let mut damaged = value.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(read::<EnvironmentRow>(&key, &damaged).is_err(), "bit {bit} of the value");
        }
        for bit in 0..key.len() * 8 {
            let mut damaged = key.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(read::<EnvironmentRow>(&damaged, &value).is_err(), "bit {bit} of the key");
        }
    }
}
