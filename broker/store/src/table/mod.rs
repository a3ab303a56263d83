//! The registry of tables: one line per table; recovery, checks, backup and restore work through
//! this list.
//!
//! Row tables have byte-string keys whose first part is the tenant (4 bytes, big-endian; `meta` and
//! `tenants` belong to the whole store) and values with a leading version byte and a checksum
//! (`row`), because redb does not verify its own when it reads. A row's layout is in the file of
//! its table; a new layout gets a new version byte.

mod audit;
mod component;
mod definition;
mod environment;
mod keep;
mod key;
pub(crate) mod meta;
mod module;
mod project;
mod quarantine;
pub(crate) mod retained;
mod row;
mod secret;
mod session;
mod setting;
mod subscription;
mod tenant;
mod user;

use redb::TableDefinition;

use crate::error::Corruption;

pub(crate) use audit::{AuditRow, audit_key};
pub(crate) use component::{ComponentHash, ComponentRow, component_key, component_of};
pub use definition::DefinitionRow;
pub use environment::EnvironmentRow;
pub use keep::KeepRow;
pub(crate) use key::{definition_key, named_key, session_key, subscription_key};
pub use meta::MetaRow;
pub use module::ModuleRow;
pub(crate) use module::{inline_component, module_key};
pub(crate) use project::ArchiveRow;
pub use project::ProjectRow;
pub use quarantine::QuarantineRow;
pub use retained::{KeeperRow, RetainedRow};
pub(crate) use row::{Row, read, seal, unseal};
pub(crate) use secret::SecretRow;
pub use session::{PeerRow, SessionRow, WillRow};
pub use setting::SettingRow;
pub use subscription::SubscriptionRow;
pub use tenant::TenantRow;
pub use user::UserRow;

/// Version of the schema that this program writes.
pub const SCHEMA_VERSION: u64 = 3;

/// The log: number of the first record -> chunk. See `log::chunk`.
pub(crate) const LOG: TableDefinition<'static, u64, &[u8]> = TableDefinition::new(LOG_NAME);

pub(crate) const LOG_NAME: &str = "log";

/// Large message bodies: (message id, part) -> `version u8, bytes`. Their checksum is in the log
/// record.
pub(crate) const PAYLOADS: TableDefinition<'static, (u64, u64), &[u8]> = TableDefinition::new(PAYLOADS_NAME);

pub(crate) const PAYLOADS_NAME: &str = "payloads";

/// Living deliveries of the log, by session, so that the log need not be read for them: (session,
/// message id) -> page. See `log::page`.
pub(crate) const QUEUES: TableDefinition<'static, (u64, u64), &[u8]> = TableDefinition::new(QUEUES_NAME);

pub(crate) const QUEUES_NAME: &str = "queues";

macro_rules! tables {
    (rows { $($table:ident $name:literal $backup:ident since $since:literal,)* } others { $($other:literal $other_backup:ident,)* }) => {
        /// The row tables.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) enum Table {
            $($table,)*
        }

        impl Table {
            /// All row tables.
            pub(crate) const ALL: &[Self] = &[$(Self::$table,)*];

            /// Its name in the file.
            pub(crate) fn name(self) -> &'static str {
                match self {
                    $(Self::$table => $name,)*
                }
            }

            /// The first version of the schema that has it.
            pub(crate) fn since(self) -> u64 {
                match self {
                    $(Self::$table => $since,)*
                }
            }
        }

        /// Every table of the schema and what a backup does with it.
        pub const TABLES: &[TableInfo] = &[
            $(TableInfo { name: $name, backup: BackupClass::$backup },)*
            $(TableInfo { name: $other, backup: BackupClass::$other_backup },)*
        ];
    };
}

tables! {
    rows {
        Meta "meta" Always since 1,
        Tenants "tenants" Always since 1,
        Sessions "sessions" Sessions since 1,
        Subscriptions "subscriptions" Sessions since 1,
        Retained "retained" Messages since 1,
        Keeps "keeps" Messages since 1,
        Definitions "definitions" Configuration since 1,
        Modules "modules" Configuration since 1,
        Components "components" Configuration since 3,
        Projects "projects" Configuration since 1,
        Archives "archives" Configuration since 1,
        Users "users" Configuration since 1,
        Settings "settings" Configuration since 1,
        Environment "environment" Configuration since 1,
        Secrets "secrets" Secret since 1,
        Audit "audit" Audit since 1,
        Quarantine "quarantine" Quarantine since 1,
    }
    others {
        "log" Sessions,
        "payloads" Sessions,
        "queues" Sessions,
    }
}

/// One line of [`TABLES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableInfo {
    /// Its name in the file.
    pub name: &'static str,
    /// Part of a backup that it belongs to.
    pub backup: BackupClass,
}

/// Parts of a backup, so that one can be asked for without the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackupClass {
    /// In every backup.
    Always,
    /// Settings and definitions of users.
    Configuration,
    /// Retained messages and kept values.
    Messages,
    /// Sessions and their queues.
    Sessions,
    /// Encrypted values; of use only with the key.
    Secret,
    /// Audit records: part of an export but of no backup, so that a restore does not replace them.
    Audit,
    /// Damaged rows, kept for inspection.
    Quarantine,
}

impl Table {
    pub(crate) fn definition(self) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
        TableDefinition::new(self.name())
    }
}

/// Whether a row of a table can be read.
pub(crate) fn check(table: Table, key: &[u8], value: &[u8]) -> Result<(), Corruption> {
    match table {
        Table::Meta => read::<MetaRow>(key, value).map(drop),
        Table::Tenants => read::<TenantRow>(key, value).map(drop),
        Table::Sessions => read::<SessionRow>(key, value).map(drop),
        Table::Subscriptions => read::<SubscriptionRow>(key, value).map(drop),
        Table::Retained => read::<RetainedRow>(key, value).map(drop),
        Table::Keeps => read::<KeepRow>(key, value).map(drop),
        Table::Definitions => read::<DefinitionRow>(key, value).map(drop),
        Table::Modules => read::<ModuleRow>(key, value).map(drop),
        Table::Components => read::<ComponentRow>(key, value).map(drop),
        Table::Projects => read::<ProjectRow>(key, value).map(drop),
        Table::Archives => read::<ArchiveRow>(key, value).map(drop),
        Table::Users => read::<UserRow>(key, value).map(drop),
        Table::Settings => read::<SettingRow>(key, value).map(drop),
        Table::Environment => read::<EnvironmentRow>(key, value).map(drop),
        Table::Secrets => read::<SecretRow>(key, value).map(drop),
        Table::Audit => read::<AuditRow>(key, value).map(drop),
        Table::Quarantine => read::<QuarantineRow>(key, value).map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use redb::{ReadableDatabase, TableHandle};

    #[test]
    fn the_registry_lists_exactly_the_tables_of_a_new_file() {
        let directory = tempfile::tempdir().unwrap();
        let options = crate::StoreOptions {
            secret_key: crate::KeySource::Key([1; 32]),
            ..crate::StoreOptions::new(directory.path())
        };
        drop(crate::Store::open(options, Box::new(|_| {})).unwrap());
        let database = redb::Database::create(directory.path().join("lotmq.redb")).unwrap();
        let transaction = database.begin_read().unwrap();
        let mut found: Vec<_> =
            transaction.list_tables().unwrap().map(|table| table.name().to_owned()).collect();
        let mut listed: Vec<_> = TABLES.iter().map(|table| table.name).collect();
        found.sort_unstable();
        listed.sort_unstable();
        assert_eq!(found, listed);
    }
}
