//! Changes of managed rows: accounts, definitions, variables, secrets and settings that another
//! process has written to the log.
//!
//! A broker that follows a log makes them effective while it runs. It finds them by comparing two
//! readings of the contents ([`ManagedChanges::between`]).

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use crate::{DefinitionRow, EnvironmentRow, Recovered, RecoveredSecret, SettingRow, TenantId, UserRow};

/// Managed rows that were written, and those that were removed.
#[derive(Debug, Default)]
pub struct ManagedChanges {
    /// Accounts that were created or changed.
    pub users: Vec<UserRow>,
    /// Definitions that were created or changed, by tenant and load order.
    pub definitions: Vec<DefinitionRow>,
    /// Environment variables that were set.
    pub environment: Vec<EnvironmentRow>,
    /// Secrets that were set.
    pub secrets: Vec<RecoveredSecret>,
    /// Settings that were stored.
    pub settings: Vec<SettingRow>,
    /// Rows that are not there any more.
    pub removed: Vec<RemovedRow>,
}

/// Managed row that was removed, with its tenant and name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemovedRow {
    /// Account.
    User(TenantId, String),
    /// Definition, with its kind.
    Definition(TenantId, DefinitionName),
    /// Environment variable.
    Environment(TenantId, String),
    /// Secret.
    Secret(TenantId, String),
    /// Setting.
    Setting(TenantId, String),
}

/// Kind and name of a definition.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DefinitionName {
    /// Kind, as in [`DefinitionRow::kind`].
    pub kind: String,
    /// Name.
    pub name: String,
}

impl RemovedRow {
    /// Tenant of the row.
    pub fn tenant(&self) -> TenantId {
        match self {
            Self::User(tenant, _)
            | Self::Definition(tenant, _)
            | Self::Environment(tenant, _)
            | Self::Secret(tenant, _)
            | Self::Setting(tenant, _) => *tenant,
        }
    }
}

impl ManagedChanges {
    /// Changes that lead from one reading of the contents to a later one.
    pub fn between(before: &Recovered, after: Recovered) -> Self {
        let mut removed = Vec::new();
        let gone = &mut removed;
        let users = changed(
            &before.users,
            after.users,
            |row| (row.tenant, row.name.clone()),
            |(tenant, name)| gone.push(RemovedRow::User(tenant, name)),
        );
        let definitions = changed(
            &before.definitions,
            after.definitions,
            |row| (row.tenant, DefinitionName { kind: row.kind.clone(), name: row.name.clone() }),
            |(tenant, name)| gone.push(RemovedRow::Definition(tenant, name)),
        );
        let environment = changed(
            &before.environment,
            after.environment,
            |row| (row.tenant, row.name.clone()),
            |(tenant, name)| gone.push(RemovedRow::Environment(tenant, name)),
        );
        let secrets = changed(
            &before.secrets,
            after.secrets,
            |row| (row.tenant, row.name.clone()),
            |(tenant, name)| gone.push(RemovedRow::Secret(tenant, name)),
        );
        let settings = changed(
            &before.settings,
            after.settings,
            |row| (row.tenant, row.name.clone()),
            |(tenant, name)| gone.push(RemovedRow::Setting(tenant, name)),
        );
        Self { users, definitions, environment, secrets, settings, removed }
    }
}

/// Picks the rows of `after` that `before` lacks or has with other contents. Calls `gone` with the
/// key of each row that is in `before` alone.
fn changed<R: PartialEq, K: Hash + Eq>(
    before: &[R],
    after: Vec<R>,
    key: impl Fn(&R) -> K,
    gone: impl FnMut(K),
) -> Vec<R> {
    let known: HashMap<K, &R> = before.iter().map(|row| (key(row), row)).collect();
    let present: HashSet<K> = after.iter().map(&key).collect();
    let is_changed = |row: &R| known.get(&key(row)).is_none_or(|known| *known != row);
    let changed = after.into_iter().filter(is_changed).collect();
    before.iter().map(&key).filter(|key| !present.contains(key)).for_each(gone);
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(name: &str, value: &str) -> EnvironmentRow {
        EnvironmentRow { tenant: TenantId::DEFAULT, name: name.into(), value: value.into() }
    }

    fn secret(name: &str, value: &str) -> RecoveredSecret {
        let value = Some(zeroize::Zeroizing::new(value.as_bytes().to_vec()));
        RecoveredSecret { tenant: TenantId::DEFAULT, name: name.into(), value }
    }

    #[test]
    fn changes_are_new_changed_and_removed_rows() {
        let before = Recovered {
            environment: vec![variable("SAME", "1"), variable("OTHER", "1"), variable("GONE", "1")],
            secrets: vec![secret("SAME", "s"), secret("OTHER", "s")],
            ..Recovered::default()
        };
        let after = Recovered {
            environment: vec![variable("SAME", "1"), variable("OTHER", "2"), variable("NEW", "1")],
            secrets: vec![secret("SAME", "s"), secret("OTHER", "t")],
            ..Recovered::default()
        };
        let changes = ManagedChanges::between(&before, after);
        assert_eq!(changes.environment, [variable("OTHER", "2"), variable("NEW", "1")]);
        let secrets: Vec<_> = changes.secrets.iter().map(|secret| &*secret.name).collect();
        assert_eq!(secrets, ["OTHER"]);
        assert_eq!(changes.removed, [RemovedRow::Environment(TenantId::DEFAULT, "GONE".into())]);
        assert!(changes.users.is_empty() && changes.definitions.is_empty() && changes.settings.is_empty());
    }
}
