//! Environment variables and secrets of a tenant: what `GET ENV` and `GET SECRET` see and what `-setEnv` and `-setSecret` change.
//!
//! Invariants: a change is handed to the store before it is visible, in the order in which it becomes visible; values of secrets leave this
//! module only for the guest that asked for them, never for replies, topics or logs. Not here: encryption at rest (`store`).

mod masking;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use lotmq_config::{VariableNames, is_of_broker, process_variable};
use lotmq_store::{Batch, EnvironmentRow, Op, RecoveredSecret, Store, StoreError, TenantId, Ticket};
use parking_lot::RwLock;
use zeroize::Zeroizing;

use self::masking::Masking;
use crate::limits::{
    MASKED_CUT_BYTES_MIN, MASKED_PRINTED_BYTES_MIN, VARIABLE_NAME_BYTES_MAX, VARIABLE_VALUE_BYTES_MAX,
    VARIABLES_MAX,
};

/// Value that is wiped from memory when it is dropped.
type Secret = Arc<Zeroizing<Vec<u8>>>;

/// Secrets by name, and what masks their values.
#[derive(Default)]
struct Secrets {
    /// `None` for a secret that was encrypted with another key and cannot be read.
    values: BTreeMap<Box<str>, Option<Secret>>,
    masking: Masking,
}

impl Secrets {
    fn insert(&mut self, name: &str, value: Option<Zeroizing<Vec<u8>>>) {
        self.remove(name);
        let value = value.map(Arc::new);
        if let Some(value) = &value {
            self.masking.add(value);
        }
        self.values.insert(name.into(), value);
    }

    fn remove(&mut self, name: &str) {
        if let Some(Some(value)) = self.values.remove(name) {
            self.masking.remove(&value);
        }
    }
}

/// Environment variables and secrets of a tenant.
#[derive(Default)]
pub(crate) struct Variables {
    tenant: TenantId,
    environment: RwLock<BTreeMap<Box<str>, Box<str>>>,
    /// Names from the file `.env`, behind those of the store.
    file: BTreeMap<Box<str>, Box<str>>,
    /// Variables of the process that may be read.
    process: VariableNames,
    secrets: RwLock<Secrets>,
}

/// Reason why a variable or secret was not set.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VariableError {
    /// The name is not `[A-Za-z_][A-Za-z0-9_]*` or too long.
    #[error(
        "'{0}' is not a name: letters, digits and _, not beginning with a digit, at most {VARIABLE_NAME_BYTES_MAX} characters."
    )]
    NameInvalid(String),
    /// The value is longer than [`VARIABLE_VALUE_BYTES_MAX`].
    #[error("The value has {0} bytes, the limit is {VARIABLE_VALUE_BYTES_MAX}.")]
    ValueTooLong(usize),
    /// There would be more than [`VARIABLES_MAX`].
    #[error("There are already {VARIABLES_MAX}.")]
    TooMany,
    /// The store takes nothing.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Variables {
    pub(crate) fn new(tenant: TenantId, process: VariableNames) -> Self {
        Self { tenant, process, ..Self::default() }
    }

    /// Restores a stored row, at a start.
    pub(crate) fn restore_environment(&self, row: EnvironmentRow) {
        self.environment.write().insert(row.name.into(), row.value.into());
    }

    /// Puts back what was stored, at start.
    pub(crate) fn restore_secret(&self, secret: RecoveredSecret) {
        self.secrets.write().insert(&secret.name, secret.value);
    }

    /// Adds the text of a file `.env`: lines `NAME=value`; blank ones, comments and lines without a name are skipped, and those that configure the broker.
    pub(crate) fn read_file(&mut self, text: &str) {
        for line in text.lines() {
            let line = line.trim();
            let line = line.strip_prefix("export ").unwrap_or(line);
            if let Some((name, value)) = line.split_once('=')
                && is_name(name.trim())
                && !line.starts_with('#')
                && !is_of_broker(name.trim())
            {
                self.file.insert(name.trim().into(), unquoted(value.trim()).into());
            }
        }
    }

    /// Value for `GET ENV`: from the store, then `.env`, then those variables of the process that the configuration lists; of the latter two nothing that configures the broker.
    pub(crate) fn environment(&self, name: &str) -> Option<String> {
        let of_process = || self.process.contains(name).then(|| process_variable(name)).flatten();
        if let Some(value) = self.environment.read().get(name) {
            return Some(value.as_ref().to_owned());
        }
        self.file.get(name).map(|value| value.as_ref().to_owned()).or_else(of_process)
    }

    /// Value for `GET SECRET`.
    pub(crate) fn secret(&self, name: &str) -> Option<Zeroizing<Vec<u8>>> {
        self.secrets.read().values.get(name)?.as_deref().cloned()
    }

    /// Masks the values of secrets in bytes for people to read: of all secrets, as a value may have come by a message or a call.
    pub(crate) fn masked<'t>(&self, text: &'t [u8]) -> Cow<'t, [u8]> {
        self.secrets.read().masking.masked(text)
    }

    /// Masks secrets in the first bytes of a text that is given whole.
    pub(crate) fn masked_up_to<'t>(&self, text: &'t [u8], bytes_max: usize) -> Cow<'t, [u8]> {
        self.secrets.read().masking.masked_up_to(text, bytes_max)
    }

    /// Masks secrets in a text that was not cut before.
    pub(crate) fn masked_whole_text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        lossy(self.masked(text.as_bytes()))
    }

    /// Masks secrets in the text of an error, which a guest, or the host for it, may have cut: a long one loses its end.
    pub(crate) fn masked_text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        lossy(self.secrets.read().masking.masked_cut(text.as_bytes(), MASKED_CUT_BYTES_MIN))
    }

    /// Masks secrets in the output of a script.
    pub(crate) fn masked_printed<'t>(&self, text: &'t str) -> Cow<'t, str> {
        lossy(self.secrets.read().masking.masked_cut(text.as_bytes(), MASKED_PRINTED_BYTES_MIN))
    }

    /// List for `-listEnv`: names and values, by name, with those of `.env` that the store does not have.
    pub(crate) fn environment_list(&self) -> Vec<(Box<str>, Box<str>)> {
        let mut all = self.file.clone();
        all.extend(self.environment.read().iter().map(|(name, value)| (name.clone(), value.clone())));
        all.into_iter().collect()
    }

    /// List for `-listSecrets`: names only.
    pub(crate) fn secret_names(&self) -> Vec<Box<str>> {
        self.secrets.read().values.keys().cloned().collect()
    }

    /// Sets a variable; returns the ticket with which it is durable.
    ///
    /// # Errors
    /// [`VariableError`]; nothing has changed then.
    pub(crate) fn set_environment(
        &self,
        store: &Store,
        name: &str,
        value: &str,
    ) -> Result<Ticket, VariableError> {
        check(name, value)?;
        let mut environment = self.environment.write();
        if environment.len() >= VARIABLES_MAX && !environment.contains_key(name) {
            return Err(VariableError::TooMany);
        }
        let row = EnvironmentRow { tenant: self.tenant, name: name.into(), value: value.into() };
        let ticket = append(store, Op::PutEnv(&row))?;
        environment.insert(name.into(), value.into());
        Ok(ticket)
    }

    /// Removes a variable; `None` when there is none of that name in the store.
    ///
    /// # Errors
    /// When the store takes nothing.
    pub(crate) fn remove_environment(&self, store: &Store, name: &str) -> Result<Option<Ticket>, StoreError> {
        let mut environment = self.environment.write();
        if !environment.contains_key(name) {
            return Ok(None);
        }
        let ticket = append(store, Op::DeleteEnv { tenant: self.tenant, name })?;
        environment.remove(name);
        Ok(Some(ticket))
    }

    /// Sets a secret; returns the ticket with which it is durable.
    ///
    /// # Errors
    /// [`VariableError`]; nothing has changed then.
    pub(crate) fn set_secret(&self, store: &Store, name: &str, value: &str) -> Result<Ticket, VariableError> {
        check(name, value)?;
        let mut secrets = self.secrets.write();
        if secrets.values.len() >= VARIABLES_MAX && !secrets.values.contains_key(name) {
            return Err(VariableError::TooMany);
        }
        let ticket = append(store, Op::PutSecret { tenant: self.tenant, name, value: value.as_bytes() })?;
        secrets.insert(name, Some(Zeroizing::new(value.as_bytes().to_vec())));
        Ok(ticket)
    }

    /// Removes a secret; `None` when there is none of that name.
    ///
    /// # Errors
    /// When the store takes nothing.
    pub(crate) fn remove_secret(&self, store: &Store, name: &str) -> Result<Option<Ticket>, StoreError> {
        let mut secrets = self.secrets.write();
        if !secrets.values.contains_key(name) {
            return Ok(None);
        }
        let ticket = append(store, Op::DeleteSecret { tenant: self.tenant, name })?;
        secrets.remove(name);
        Ok(Some(ticket))
    }
}

fn lossy(masked: Cow<'_, [u8]>) -> Cow<'_, str> {
    match masked {
        Cow::Borrowed(text) => String::from_utf8_lossy(text),
        Cow::Owned(text) => Cow::Owned(String::from_utf8_lossy(&text).into_owned()),
    }
}

fn append(store: &Store, op: Op<'_>) -> Result<Ticket, StoreError> {
    let mut batch = Batch::new();
    batch.push(op);
    store.append(batch)
}

fn check(name: &str, value: &str) -> Result<(), VariableError> {
    if !is_name(name) {
        return Err(VariableError::NameInvalid(name.chars().take(VARIABLE_NAME_BYTES_MAX).collect()));
    }
    if value.len() > VARIABLE_VALUE_BYTES_MAX {
        return Err(VariableError::ValueTooLong(value.len()));
    }
    Ok(())
}

/// Whether a name matches `[A-Za-z_][A-Za-z0-9_]*`, commands reference §10.
pub(crate) fn is_name(name: &str) -> bool {
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let is_word = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    starts_well && is_word && name.len() <= VARIABLE_NAME_BYTES_MAX
}

/// Removes the quotes round a value, commands reference §10.
pub(crate) fn unquoted(value: &str) -> &str {
    for quote in ['"', '\''] {
        let inner = value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
        if let Some(inner) = inner {
            return inner;
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use lotmq_store::{Durability, StoreOptions};

    use super::*;

    #[test]
    fn names_follow_the_reference() {
        for (name, expected) in [
            ("A", true),
            ("_a1", true),
            ("", false),
            ("1A", false),
            ("A-B", false),
            ("Ä", false),
            ("A B", false),
        ] {
            assert_eq!(is_name(name), expected, "{name:?}");
        }
        assert!(!is_name(&"x".repeat(VARIABLE_NAME_BYTES_MAX + 1)));
    }

    #[test]
    fn quotes_round_a_value_are_not_part_of_it() {
        for (value, expected) in
            [("a b", "a b"), ("\"a b\"", "a b"), ("'a'", "a"), ("\"", "\""), ("\"a", "\"a"), ("\"\"", "")]
        {
            assert_eq!(unquoted(value), expected, "{value}");
        }
    }

    #[test]
    fn store_wins_over_the_file() {
        let options = StoreOptions { durability: Durability::None, ..StoreOptions::new("unused") };
        let (store, _) = Store::open(options, Box::new(|_| {})).unwrap();
        let mut variables = Variables::new(TenantId::DEFAULT, VariableNames::NONE);
        variables.read_file("# comment\nSITE=north\nexport LINE='7'\nnonsense\n=x\n");
        assert_eq!(variables.environment("SITE").as_deref(), Some("north"));
        assert_eq!(variables.environment("LINE").as_deref(), Some("7"));
        variables.set_environment(&store, "SITE", "south=1").unwrap();
        assert_eq!(variables.environment("SITE").as_deref(), Some("south=1"));
        assert_eq!(variables.environment_list().len(), 2);
        assert!(variables.remove_environment(&store, "SITE").unwrap().is_some());
        assert!(variables.remove_environment(&store, "SITE").unwrap().is_none());
        assert_eq!(variables.environment("SITE").as_deref(), Some("north"));
        variables.set_secret(&store, "KEY", "v").unwrap();
        assert_eq!(variables.secret("KEY").unwrap().as_slice(), b"v");
        assert_eq!(variables.secret("NONE"), None);
        assert!(matches!(variables.set_secret(&store, "a b", "v"), Err(VariableError::NameInvalid(_))));
    }

    #[test]
    fn the_values_that_secrets_have_now_are_masked() {
        let options = StoreOptions { durability: Durability::None, ..StoreOptions::new("unused") };
        let (store, _) = Store::open(options, Box::new(|_| {})).unwrap();
        let variables = Variables::new(TenantId::DEFAULT, VariableNames::NONE);
        let masked = || variables.masked_text("hunter2, swordfish").into_owned();
        assert_eq!(masked(), "hunter2, swordfish");
        for (name, value, expected) in [
            ("A", "hunter2", "***, swordfish"),
            ("B", "hunter2", "***, swordfish"),
            ("A", "swordfish", "***, ***"),
            ("B", "other", "hunter2, ***"),
        ] {
            variables.set_secret(&store, name, value).unwrap();
            assert_eq!(masked(), expected, "{name}={value}");
        }
        variables.remove_secret(&store, "A").unwrap();
        assert_eq!(masked(), "hunter2, swordfish");
    }
}
