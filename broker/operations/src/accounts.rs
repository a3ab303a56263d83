//! Accounts between the store and the directory of users: the stored form, and its recovery at a
//! start.

use std::collections::HashMap;

use lotmq_auth::{
    Account, Credential, DEFAULT_ROOT_PASSWORD, Directory, PasswordCost, PasswordError, ROOT, ScramSecret,
    ScramVerifier,
};
use lotmq_changes::{Batch, Log, Op, RecoveredSecret, StoreError, TenantId, UserRow};
use lotmq_config::Auth;
use lotmq_config::{Config, Secret};
use zeroize::Zeroizing;

use crate::managed::Managing as _;
use crate::{login_places, modules};
use lotmq_core::tenant::Tenant;
use lotmq_programs::HasPrograms as _;

/// First character of the names of the broker's own secrets; no variable or secret of a user can be
/// called so.
const OWN: char = '\u{1}';

/// Bytes of the credential's version in front of a stored verifier.
const VERSION_BYTES: usize = 8;

/// Reason why the accounts of a tenant cannot be recovered at a start.
#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    /// The password cannot be hashed.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The password that new data is to have for `root` would not be taken from a command either.
    #[error(
        "LOTMQ_ROOT_PASSWORD has fewer than {chars_min} characters, which `auth.password_chars_min` asks of every password; give a longer one, and start again"
    )]
    RootPasswordTooShort {
        /// Least number of characters.
        chars_min: u32,
    },
    /// `--secure` is to give `root` a password of its own, and the one that is given is that of
    /// every new broker.
    #[error(
        "LOTMQ_ROOT_PASSWORD is '{DEFAULT_ROOT_PASSWORD}', the password of every new broker, which --secure does not give to root; give another one, or none, for which a random one is made"
    )]
    RootPasswordIsDefault,
    /// The store refused the rows of the accounts.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Cost of the passwords that are set from now on.
pub fn password_cost(auth: &Auth) -> PasswordCost {
    PasswordCost { memory_kib: auth.password_hash_memory_kib, passes: auth.password_hash_passes }
}

/// Makes an account durable, with what SCRAM verifies its password against.
pub fn put(batch: &mut Batch, tenant: TenantId, account: &Account, now_ms: u64) {
    batch.push(Op::PutUser(&row(tenant, account, now_ms)));
    put_verifier(batch, tenant, account);
}

/// Makes the account's verifier for SCRAM durable: encrypted, as secrets are. An account without
/// one has none in the store either.
pub(crate) fn put_verifier(batch: &mut Batch, tenant: TenantId, account: &Account) {
    let name = verifier_name(&account.name);
    match account.credential.scram() {
        Some(verifier) => {
            let version = account.credential_version.to_be_bytes();
            let value = Zeroizing::new([&version[..], &verifier.to_bytes()].concat());
            batch.push(Op::PutSecret { tenant, name: &name, value: &value });
        }
        None => batch.push(Op::DeleteSecret { tenant, name: &name }),
    }
}

/// Removes an account.
pub(crate) fn delete(batch: &mut Batch, tenant: TenantId, user: &str) {
    batch.push(Op::DeleteUser { tenant, name: user });
    batch.push(Op::DeleteSecret { tenant, name: &verifier_name(user) });
    login_places::delete(batch, tenant, user);
}

/// Takes the owner off everything of a removed user.
pub(crate) fn disown(tenant: &Tenant, user: &str) {
    tenant.programs().guests.disown(user);
    modules::disown(tenant, user);
    tenant.programs().scripts.disown(user);
    tenant.managed().projects.disown(user);
}

fn verifier_name(user: &str) -> String {
    format!("{OWN}scram/{user}")
}

fn salts_name() -> String {
    format!("{OWN}scram")
}

/// Secrets of SCRAM for one tenant, as they were stored.
pub struct Scram {
    /// Secret from which salts come; `None` while SCRAM is off.
    pub secret: Option<ScramSecret>,
    verifiers: HashMap<String, Zeroizing<Vec<u8>>>,
}

impl Scram {
    /// Takes the secrets of SCRAM out of those that were recovered. While SCRAM is off, they are
    /// removed from the store.
    ///
    /// # Errors
    /// When there are no random numbers, or the store takes nothing.
    pub fn recover(
        is_on: bool,
        tenant: TenantId,
        secrets: &mut Vec<RecoveredSecret>,
        log: &dyn Log,
    ) -> Result<Self, AccountsError> {
        let own = secrets.extract_if(.., |secret| secret.tenant == tenant && secret.name.starts_with(OWN));
        let mut stored: HashMap<String, Option<Zeroizing<Vec<u8>>>> =
            own.map(|secret| (secret.name, secret.value)).collect();
        let mut batch = Batch::new();
        let mut scram = Self { secret: None, verifiers: HashMap::new() };
        if is_on {
            let known = stored.remove(&salts_name()).flatten();
            let known = known.and_then(|bytes| <[u8; 32]>::try_from(bytes.as_slice()).ok());
            let secret = known.map_or_else(new_secret, Ok)?;
            batch.push(Op::PutSecret { tenant, name: &salts_name(), value: &secret });
            scram.secret = Some(ScramSecret(secret));
            scram.verifiers = stored.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        } else {
            stored.keys().for_each(|name| batch.push(Op::DeleteSecret { tenant, name }));
        }
        if !batch.is_empty() {
            log.commit(batch)?;
        }
        Ok(scram)
    }

    /// Takes the verifiers of a tenant out of secrets that another process has stored.
    pub(crate) fn of(tenant: TenantId, secrets: &mut Vec<RecoveredSecret>) -> Self {
        let own = secrets.extract_if(.., |secret| secret.tenant == tenant && secret.name.starts_with(OWN));
        let verifiers = own.filter_map(|secret| Some((secret.name, secret.value?))).collect();
        Self { secret: None, verifiers }
    }

    /// Gives an account its verifier, if that is of its present password.
    pub fn equip(&self, mut account: Account) -> Account {
        let found = self.verifiers.get(&verifier_name(&account.name));
        let found = found.and_then(|bytes| bytes.split_at_checked(VERSION_BYTES));
        let current = found.filter(|(version, _)| *version == account.credential_version.to_be_bytes());
        let verifier = current.and_then(|(_, bytes)| ScramVerifier::from_bytes(bytes));
        account.credential = account.credential.with_scram(verifier);
        account
    }
}

fn new_secret() -> Result<[u8; 32], AccountsError> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(|_| PasswordError::HashFailed)?;
    Ok(secret)
}

/// Stored form of an account.
fn row(tenant: TenantId, account: &Account, now_ms: u64) -> UserRow {
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

/// Account from its stored form.
pub fn restored(row: UserRow) -> Account {
    let credential = Credential::restore(row.credential, row.is_default_credential);
    let mut account = Account::new(&row.name, credential, row.credential_version);
    account.groups = row.groups.into_iter().collect();
    for (name, value) in row.settings {
        account.restore_setting(name, value);
    }
    account
}

/// Password for a new `root`.
#[derive(Clone, Copy)]
pub struct NewRoot<'a> {
    /// The one that was given; else it is that of every new broker.
    pub(crate) password: Option<&'a str>,
    /// Whether it also takes the place of the password that every new broker has.
    pub(crate) replaces_default: bool,
    /// Fewest characters that one which was given has.
    pub(crate) chars_min: u32,
}

impl NewRoot<'_> {
    /// That of the configuration.
    pub fn of(config: &Config) -> NewRoot<'_> {
        NewRoot {
            password: config.initial_root_password.as_ref().map(Secret::reveal),
            replaces_default: config.replaces_default_password,
            chars_min: config.auth.password_chars_min,
        }
    }
}

/// Creates `root` where it is missing, durably.
///
/// # Errors
/// When the password is too short, the default one where that is to be replaced, or cannot be
/// hashed, or the store takes nothing.
pub fn ensure_root(
    users: &Directory,
    tenant: TenantId,
    new: &NewRoot<'_>,
    log: &dyn Log,
    now_ms: u64,
) -> Result<(), AccountsError> {
    let NewRoot { password, replaces_default, chars_min } = *new;
    let is_there = users.account(ROOT).is_some();
    if is_there && !(replaces_default && users.root_has_default_password()) {
        return Ok(());
    }
    if password.is_some_and(|password| password.chars().count() < chars_min as usize) {
        return Err(AccountsError::RootPasswordTooShort { chars_min });
    }
    if replaces_default && password == Some(DEFAULT_ROOT_PASSWORD) {
        return Err(AccountsError::RootPasswordIsDefault);
    }
    let credential = users.hash(password.unwrap_or(DEFAULT_ROOT_PASSWORD))?;
    let root = if is_there { users.change_password(ROOT, credential) } else { users.create_root(credential) };
    if let Ok(root) = root {
        let mut batch = Batch::new();
        put(&mut batch, tenant, &root, now_ms);
        log.commit(batch)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use lotmq_auth::{DirectoryOptions, PasswordCost};

    use super::*;

    #[test]
    fn passwords_have_the_cost_of_the_configuration() {
        let mut auth = Config::default().auth;
        assert_eq!(password_cost(&auth), PasswordCost::default());
        auth.password_hash_memory_kib = 16;
        auth.password_hash_passes = 3;
        let cost = password_cost(&auth);
        let users = Directory::new(DirectoryOptions { cost, ..DirectoryOptions::default() }).unwrap();
        let bob = users.add_user("bob", users.hash("secret").unwrap()).unwrap();
        assert!(
            row(TenantId::DEFAULT, &bob, 1).credential.contains("m=16,t=3"),
            "{:?}",
            bob.credential.phc()
        );
    }

    #[test]
    fn accounts_come_back_as_they_were() {
        let options = DirectoryOptions { cost: PasswordCost::TEST, ..DirectoryOptions::default() };
        let users = Directory::new(options).unwrap();
        users.add_user("bob", users.hash("secret").unwrap()).unwrap();
        users.change_setting("bob", "AllowedLogManagement", "true").unwrap();
        users.change_setting("bob", "Line", "7").unwrap();
        let bob = users.add_to_group("bob", "shift").unwrap();
        assert_eq!(restored(row(TenantId::DEFAULT, &bob, 1)), bob);
        let eve = users.add_user_counted("eve", users.hash("secret").unwrap(), Some(&bob)).unwrap();
        assert_eq!(restored(row(TenantId::DEFAULT, &eve, 1)), eve);
        assert_eq!(&**eve.accountable(), "bob");
        assert_eq!(lotmq_shares::quota_key(eve.number), lotmq_shares::quota_key(bob.number));
    }
}
