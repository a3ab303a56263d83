//! The registry of tables: one line per table; recovery, checks, backup and restore work through
//! this list.
//!
//! Row tables have byte-string keys whose first part is the tenant (4 bytes, big-endian; `meta` and
//! `tenants` belong to the whole store) and values with a leading version byte and a checksum
//! (`row`), because redb does not verify its own when it reads. A row's layout is in the file of
//! its table; a new layout gets a new version byte.

mod audit;
mod component;
pub(crate) mod definition;
pub(crate) mod delayed;
pub(crate) mod environment;
pub(crate) mod keep;
mod key;
pub(crate) mod meta;
pub(crate) mod module;
pub(crate) mod project;
pub(crate) mod quarantine;
pub(crate) mod retained;
mod row;
mod secret;
pub(crate) mod session;
pub(crate) mod setting;
pub(crate) mod subscription;
pub(crate) mod tenant;
pub(crate) mod user;

use crate::error::Corruption;

pub use audit::{AuditRow, audit_key};
pub use component::{ComponentHash, ComponentRow, component_key, component_of};
pub(crate) use definition::DefinitionRow;
pub(crate) use delayed::DelayedRow;
pub(crate) use environment::EnvironmentRow;
pub(crate) use keep::KeepRow;
pub use key::named_key;
pub(crate) use key::{definition_key, delayed_key, session_key, subscription_key};
pub(crate) use meta::MetaRow;
pub(crate) use module::{ModuleRow, module_key};
pub use project::ArchiveRow;
pub(crate) use project::ProjectRow;
pub(crate) use quarantine::QuarantineRow;
pub(crate) use retained::RetainedRow;
pub use row::{Row, read, seal, unseal};
pub use secret::SecretRow;
pub(crate) use session::SessionRow;
pub(crate) use setting::SettingRow;
pub(crate) use subscription::SubscriptionRow;
pub(crate) use tenant::TenantRow;
pub(crate) use user::UserRow;

/// Version of the schema that this program reads and writes.
pub const SCHEMA_VERSION: u64 = 1;

macro_rules! tables {
    (rows { $($table:ident $name:literal $backup:ident,)* } others { $($other:literal $other_backup:ident,)* }) => {
        /// The row tables.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Table {
            $(
                #[doc = concat!("Table `", $name, "`.")]
                $table,
            )*
        }

        impl Table {
            /// All row tables.
            pub const ALL: &[Self] = &[$(Self::$table,)*];

            /// Its name in the file.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$table => $name,)*
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
        Meta "meta" Always,
        Tenants "tenants" Always,
        Sessions "sessions" Sessions,
        Subscriptions "subscriptions" Sessions,
        Retained "retained" Messages,
        Keeps "keeps" Messages,
        Delayed "delayed" Sessions,
        Definitions "definitions" Configuration,
        Modules "modules" Configuration,
        Components "components" Configuration,
        Projects "projects" Configuration,
        Archives "archives" Configuration,
        Users "users" Configuration,
        Settings "settings" Configuration,
        Environment "environment" Configuration,
        Secrets "secrets" Secret,
        Audit "audit" Audit,
        Quarantine "quarantine" Quarantine,
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
    /// Sessions with their queues, and messages that wait until their delay is over.
    Sessions,
    /// Encrypted values; of use only with the key.
    Secret,
    /// Audit records: part of an export but of no backup, so that a restore does not replace them.
    Audit,
    /// Damaged rows, kept for inspection.
    Quarantine,
}

/// Whether keys of a table begin with the number of a tenant that must exist. Rows that were put
/// aside keep the key that they had.
pub fn has_tenant(table: Table) -> bool {
    !matches!(table, Table::Meta | Table::Tenants | Table::Quarantine)
}

/// Whether a row of a table can be read.
///
/// # Errors
/// [`Corruption::Row`] for one that cannot.
pub fn check(table: Table, key: &[u8], value: &[u8]) -> Result<(), Corruption> {
    match table {
        Table::Meta => read::<MetaRow>(key, value).map(drop),
        Table::Tenants => read::<TenantRow>(key, value).map(drop),
        Table::Sessions => read::<SessionRow>(key, value).map(drop),
        Table::Subscriptions => read::<SubscriptionRow>(key, value).map(drop),
        Table::Retained => read::<RetainedRow>(key, value).map(drop),
        Table::Keeps => read::<KeepRow>(key, value).map(drop),
        Table::Delayed => read::<DelayedRow>(key, value).map(drop),
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
