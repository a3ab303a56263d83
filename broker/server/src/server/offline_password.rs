//! A new password for a user of a broker that does not run: the way back for whoever has lost that
//! of `root`.

use std::io;
use std::path::PathBuf;

use lotmq_auth::{Directory, DirectoryOptions, PasswordError, UserError};
use lotmq_changes::{Batch, Recovered, StoreError, TenantId};
use lotmq_config::{Config, Durability};
use lotmq_core::counters::Counters;
use lotmq_pulse::Heartbeats;
use lotmq_store::Store;
use serde_json::json;

use super::{StartError, store_options};
use lotmq_operations::accounts::{self, AccountsError, Scram};
use lotmq_operations::audit::{Audit, Event, Kind, Record};
use lotmq_process::clock::wall_ms;

/// Name of users' passwords in the audit, as that of a verb.
const VERB: &str = "passwd";

/// Reason why a password was not changed. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PasswordChangeError {
    /// There is nothing to change it in.
    #[error(
        "there is no store in '{}'; `lotmq serve` makes one, with the password in LOTMQ_ROOT_PASSWORD for root",
        .0.display()
    )]
    NoStore(PathBuf),
    /// Whether there is one cannot be seen.
    #[error("the store in '{}' cannot be opened: {error}; use the user that the broker runs as, such as by `sudo -u lotmq`", .path.display())]
    Unseen {
        /// The data directory.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The configuration keeps users in memory.
    #[error("`store.durability` is none: users and passwords are those of a new broker at each start")]
    NotKept,
    /// The store could not be opened, or the accounts not be read.
    #[error(transparent)]
    Store(Box<StartError>),
    /// The broker of this directory runs.
    #[error("{0} Stop it first, or change the password in it: `lotmq cmd -changeUserPassword {1} NEW`")]
    Running(Box<StartError>, String),
    /// No account has this name.
    #[error("there is no user '{user}'; there are: {}", .known.join(", "))]
    NoSuchUser {
        /// The name.
        user: String,
        /// Those that there are, the first ones of many.
        known: Vec<String>,
    },
    /// It is shorter than the configuration asks for.
    #[error(
        "the password has fewer than {0} characters, which `auth.password_chars_min` asks of every password"
    )]
    TooShort(u32),
    /// It cannot be hashed.
    #[error("the password cannot be used: {0}")]
    Password(#[from] PasswordError),
    /// The store takes nothing.
    #[error("the password could not be stored: {0}")]
    NotStored(#[from] StoreError),
}

impl From<StartError> for PasswordChangeError {
    fn from(error: StartError) -> Self {
        Self::Store(Box::new(error))
    }
}

/// Users that are named where one is not there.
const KNOWN_SHOWN_MAX: usize = 10;

/// Gives a user of the default tenant a new password, in the store of a broker that does not run.
/// It is recorded in the audit.
///
/// # Errors
/// See [`PasswordChangeError`].
pub fn change_password(config: &Config, user: &str, password: &str) -> Result<(), PasswordChangeError> {
    if config.store.durability == Durability::None {
        return Err(PasswordChangeError::NotKept);
    }
    let path = config.data.path.clone();
    match config.store_path().try_exists() {
        Ok(true) => {}
        Ok(false) => return Err(PasswordChangeError::NoStore(path)),
        Err(error) => return Err(PasswordChangeError::Unseen { path, error }),
    }
    let chars_min = config.auth.password_chars_min;
    if password.chars().count() < chars_min as usize {
        return Err(PasswordChangeError::TooShort(chars_min));
    }
    let opened = Store::open(store_options(config, &Heartbeats::default()), Box::new(|_| {}));
    let (store, recovered) = opened.map_err(|error| {
        let error = Box::new(StartError::from(error));
        match matches!(*error, StartError::DataInUse { .. }) {
            true => PasswordChangeError::Running(error, user.to_owned()),
            false => PasswordChangeError::Store(error),
        }
    })?;
    let outcome = in_store(config, &store, recovered, (user, password));
    store.close();
    outcome
}

fn in_store(
    config: &Config,
    store: &Store,
    mut recovered: Recovered,
    (user, password): (&str, &str),
) -> Result<(), PasswordChangeError> {
    let tenant = TenantId::DEFAULT;
    let of_accounts = |error: AccountsError| PasswordChangeError::from(StartError::from(error));
    let scram = Scram::recover(config.auth.scram_sha_256, tenant, &mut recovered.secrets, store);
    let scram = scram.map_err(of_accounts)?;
    let cost = accounts::password_cost(&config.auth);
    let users =
        Directory::new(DirectoryOptions { scram: scram.secret, cost, ..DirectoryOptions::default() })?;
    let rows = recovered.users.into_iter().filter(|row| row.tenant == tenant);
    users.restore(rows.map(|row| scram.equip(accounts::restored(row))));
    let changed = users.change_password(user, users.hash(password)?);
    let account = changed.map_err(|error: UserError| {
        debug_assert!(matches!(error, UserError::NotFound { .. }), "{error}");
        let known =
            users.accounts().iter().take(KNOWN_SHOWN_MAX).map(|account| account.name.to_string()).collect();
        PasswordChangeError::NoSuchUser { user: user.to_owned(), known }
    })?;
    let now_ms = wall_ms();
    let mut batch = Batch::new();
    accounts::put(&mut batch, tenant, &account, now_ms);
    store.commit(batch)?;
    let audit = Audit::open(store, tenant, config.audit.clone()).map_err(StartError::Audit)?;
    let (counters, details) = (Counters::default(), json!({ "offline": true }));
    let record = Record {
        verb: Some(VERB),
        target: Some(user),
        result: Some("success"),
        details: Some(&details),
        ..Record::new(Event::Command)
    };
    audit.note(Kind::Administration, &counters, now_ms, &record);
    audit.close(store, &counters, now_ms, "default");
    Ok(())
}
