//! Accounts between the store and the directory of users: the stored form, and what a start makes of it.

use lotmq_auth::{Account, Credential, DEFAULT_ROOT_PASSWORD, Directory, ROOT};
use lotmq_store::{Batch, Op, Store, TenantId, UserRow};

use crate::server::StartError;

/// The stored form of an account.
pub(crate) fn row(tenant: TenantId, account: &Account, now_ms: u64) -> UserRow {
    UserRow {
        tenant,
        name: account.name.as_ref().into(),
        credential: account.credential.phc().into(),
        credential_version: account.credential_version,
        is_default_credential: account.credential.is_default(),
        groups: account.groups.iter().cloned().collect(),
        settings: account.settings(),
        created_at_ms: now_ms,
    }
}

/// An account as it was stored.
pub(crate) fn restored(row: UserRow) -> Account {
    let credential = Credential::restore(row.credential, row.is_default_credential);
    let mut account = Account::new(&row.name, credential, row.credential_version);
    account.groups = row.groups.into_iter().collect();
    for (name, value) in row.settings {
        account.restore_setting(name, value);
    }
    account
}

/// Creates `root` where it is missing, durably.
///
/// # Errors
/// When the password cannot be hashed or the store takes nothing.
pub(crate) fn ensure_root(
    users: &Directory,
    tenant: TenantId,
    password: Option<&str>,
    store: &Store,
    now_ms: u64,
) -> Result<(), StartError> {
    if users.account(ROOT).is_some() {
        return Ok(());
    }
    let credential = users.hash(password.unwrap_or(DEFAULT_ROOT_PASSWORD))?;
    if let Ok(root) = users.create_root(credential) {
        let mut batch = Batch::new();
        batch.push(Op::PutUser(&row(tenant, &root, now_ms)));
        store.commit(batch)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use lotmq_auth::{DirectoryOptions, PasswordCost};

    use super::*;

    #[test]
    fn accounts_come_back_as_they_were() {
        let options = DirectoryOptions { cost: PasswordCost::TEST, ..DirectoryOptions::default() };
        let users = Directory::new(options).unwrap();
        users.add_user("bob", users.hash("secret").unwrap()).unwrap();
        users.change_setting("bob", "AllowedLogManagement", "true").unwrap();
        users.change_setting("bob", "Line", "7").unwrap();
        let bob = users.add_to_group("bob", "shift").unwrap();
        assert_eq!(restored(row(TenantId::DEFAULT, &bob, 1)), bob);
    }
}
