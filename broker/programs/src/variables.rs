//! Environment variables and secrets of a tenant: what `GET ENV` and `GET SECRET` see and what
//! `-setEnv` and `-setSecret` change.
//!
//! A change by a command is with the store before it is visible. One by a run is visible first, and
//! marked until the store has it: of all changes of a name while the store is at the former ones,
//! the newest alone is written, so that runs fill no queue.
//!
//! Invariants: the changes of a name reach the store in the order in which they become visible;
//! values of secrets leave this module only for the guest that asked for them, never for replies,
//! topics or logs. Not here: encryption at rest (`store`).

mod masking;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lotmq_changes::{Batch, EnvironmentRow, Log, Op, RecoveredSecret, StoreError, TenantId, Ticket};
use lotmq_config::{Limits, VariableNames, is_of_broker, process_variable};
use lotmq_core::limits::Limit;
use parking_lot::{Mutex, RwLock};
use zeroize::Zeroizing;

use self::masking::Masking;
use crate::limits::{
    COMMIT_PATIENCE, MASKED_CUT_BYTES_MIN, MASKED_LINE_BYTES_MIN, MASKED_PRINTED_BYTES_MIN,
    VARIABLE_NAME_BYTES_MAX, VARIABLE_VALUE_BYTES_MAX, VARIABLES_SAVED_BYTES,
};

/// Value that is wiped from memory when it is dropped.
type Secret = Arc<Zeroizing<Vec<u8>>>;

/// Names with changes by runs that are not stored yet. A repeated change queues at the end.
#[derive(Default)]
struct UnsavedNames {
    /// Those that are saved next.
    due: BTreeSet<Box<str>>,
    later: BTreeSet<Box<str>>,
}

impl UnsavedNames {
    fn insert(&mut self, name: &str) {
        if !self.due.contains(name) {
            self.later.insert(name.into());
        }
    }

    fn remove(&mut self, name: &str) {
        self.due.remove(name);
        self.later.remove(name);
    }

    fn contains(&self, name: &str) -> bool {
        self.due.contains(name) || self.later.contains(name)
    }

    fn is_empty(&self) -> bool {
        self.due.is_empty() && self.later.is_empty()
    }

    fn take_next(&mut self) -> Option<Box<str>> {
        if self.due.is_empty() {
            self.due = std::mem::take(&mut self.later);
        }
        self.due.pop_first()
    }
}

/// Room for environment variables, and as much for secrets.
#[derive(Clone, Copy, Debug)]
pub struct VariableRoom {
    count: usize,
    /// Bytes of names and values.
    bytes: usize,
}

impl VariableRoom {
    /// Returns the room that the limits of a configuration leave.
    pub fn of(limits: &Limits) -> Self {
        Self {
            count: limits.variables as usize,
            bytes: usize::try_from(limits.variable_bytes).unwrap_or(usize::MAX),
        }
    }

    /// Part that programs may fill: three quarters. The rest is for the commands of administrators.
    fn of_programs(self) -> Self {
        Self { count: self.count - self.count.div_ceil(4), bytes: self.bytes - self.bytes / 4 }
    }

    /// Checks that a value fits in. `before` is the size of the value that it replaces.
    fn check(
        self,
        (count, bytes): (usize, usize),
        before: Option<usize>,
        new: usize,
    ) -> Result<(), VariableError> {
        let replaced = before.unwrap_or(0);
        if before.is_none() && count >= self.count {
            Err(VariableError::TooMany(self.count))
        } else if new > replaced && bytes - replaced + new > self.bytes {
            Err(VariableError::TooManyBytes(self.bytes))
        } else {
            Ok(())
        }
    }
}

/// Environment variables by name.
#[derive(Default)]
struct Environment {
    values: BTreeMap<Box<str>, Box<str>>,
    /// Bytes of names and values.
    bytes: usize,
    unsaved: UnsavedNames,
}

impl Environment {
    fn check_room(&self, room: VariableRoom, name: &str, value: &str) -> Result<(), VariableError> {
        let before = self.values.get(name).map(|value| name.len() + value.len());
        room.check((self.values.len(), self.bytes), before, name.len() + value.len())
    }

    fn insert(&mut self, name: &str, value: &str) {
        self.remove(name);
        self.bytes += name.len() + value.len();
        self.values.insert(name.into(), value.into());
    }

    /// Removes a variable; whether there was one.
    fn remove(&mut self, name: &str) -> bool {
        let removed = self.values.remove(name);
        self.bytes -= removed.as_ref().map_or(0, |value| name.len() + value.len());
        removed.is_some()
    }
}

/// Secrets by name, and what masks their values.
#[derive(Default)]
struct Secrets {
    /// `None` for a secret that was encrypted with another key and cannot be read.
    values: BTreeMap<Box<str>, Option<Secret>>,
    /// Bytes of names and values.
    bytes: usize,
    masking: Masking,
    unsaved: UnsavedNames,
}

impl Secrets {
    fn check_room(&self, room: VariableRoom, name: &str, value: &str) -> Result<(), VariableError> {
        let before = self.values.get(name).map(|value| secret_bytes(name, value.as_ref()));
        room.check((self.values.len(), self.bytes), before, name.len() + value.len())
    }

    fn insert(&mut self, name: &str, value: Option<Zeroizing<Vec<u8>>>) {
        self.remove(name);
        let value = value.map(Arc::new);
        if let Some(value) = &value {
            self.masking.add(value);
        }
        self.bytes += secret_bytes(name, value.as_ref());
        self.values.insert(name.into(), value);
    }

    /// Removes a secret; whether there was one.
    fn remove(&mut self, name: &str) -> bool {
        let removed = self.values.remove(name);
        self.bytes -= removed.as_ref().map_or(0, |value| secret_bytes(name, value.as_ref()));
        if let Some(Some(value)) = &removed {
            self.masking.remove(value);
        }
        removed.is_some()
    }
}

/// Bytes that a secret counts for; one that cannot be read has those of its name.
fn secret_bytes(name: &str, value: Option<&Secret>) -> usize {
    name.len() + value.map_or(0, |value| value.len())
}

/// Environment variables and secrets of a tenant.
pub struct Variables {
    tenant: TenantId,
    room: VariableRoom,
    environment: RwLock<Environment>,
    /// Names from the file `.env`, behind those of the store.
    file: BTreeMap<Box<str>, Box<str>>,
    /// Variables of the process that may be read.
    process: VariableNames,
    secrets: RwLock<Secrets>,
    /// Ticket of the changes by runs that were handed to the store last. Locked before the others.
    saving: Mutex<Option<Ticket>>,
}

/// Reason why a variable or secret was not set.
#[derive(Debug, thiserror::Error)]
pub enum VariableError {
    /// The name is not `[A-Za-z_][A-Za-z0-9_]*` or too long.
    #[error(
        "'{0}' is not a name: letters, digits and _, not beginning with a digit, at most {VARIABLE_NAME_BYTES_MAX} characters."
    )]
    NameInvalid(String),
    /// The value is longer than [`VARIABLE_VALUE_BYTES_MAX`].
    #[error("The value has {0} bytes, the limit is {VARIABLE_VALUE_BYTES_MAX}.")]
    ValueTooLong(usize),
    /// There would be more than `limits.variables`, or for a program three quarters of them.
    #[error("There are already {0}.")]
    TooMany(usize),
    /// More bytes than `limits.variable_bytes`, or for a program three quarters of them.
    #[error("All of them would take more than {0} bytes.")]
    TooManyBytes(usize),
    /// The store takes nothing.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl VariableError {
    /// The limit that would be exceeded.
    pub fn limit(&self) -> Option<Limit> {
        match self {
            Self::TooMany(_) => Some(Limit::Variables),
            Self::TooManyBytes(_) => Some(Limit::VariableBytes),
            Self::NameInvalid(_) | Self::ValueTooLong(_) | Self::Store(_) => None,
        }
    }
}

impl Variables {
    /// Returns the variables of a tenant that has none yet.
    pub fn new(tenant: TenantId, process: VariableNames, room: VariableRoom) -> Self {
        Self {
            tenant,
            room,
            environment: RwLock::default(),
            file: BTreeMap::new(),
            process,
            secrets: RwLock::default(),
            saving: Mutex::default(),
        }
    }

    /// Restores a stored row, at a start.
    pub fn restore_environment(&self, row: EnvironmentRow) {
        self.environment.write().insert(&row.name, &row.value);
    }

    /// Puts back what was stored, at start.
    pub fn restore_secret(&self, secret: RecoveredSecret) {
        self.secrets.write().insert(&secret.name, secret.value);
    }

    /// Adds the text of a file `.env`: lines `NAME=value`; blank ones, comments and lines without a
    /// name are skipped, and those that configure the broker.
    pub fn read_file(&mut self, text: &str) {
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

    /// Returns the value for `GET ENV`: from the store, then `.env`, then a listed variable of the
    /// process. The latter two never contain settings of the broker.
    pub fn environment(&self, name: &str) -> Option<String> {
        let of_process = || self.process.contains(name).then(|| process_variable(name)).flatten();
        if let Some(value) = self.environment.read().values.get(name) {
            return Some(value.as_ref().to_owned());
        }
        self.file.get(name).map(|value| value.as_ref().to_owned()).or_else(of_process)
    }

    /// Value for `GET SECRET`.
    pub(crate) fn secret(&self, name: &str) -> Option<Zeroizing<Vec<u8>>> {
        self.secrets.read().values.get(name)?.as_deref().cloned()
    }

    /// Masks all secrets in bytes for people to read; a value may have come by any message.
    pub(crate) fn masked<'t>(&self, text: &'t [u8]) -> Cow<'t, [u8]> {
        self.secrets.read().masking.masked(text)
    }

    /// Masks secrets in the first bytes of a text that is given whole.
    pub(crate) fn masked_up_to<'t>(&self, text: &'t [u8], bytes_max: usize) -> Cow<'t, [u8]> {
        self.secrets.read().masking.masked_up_to(text, bytes_max)
    }

    /// Masks secrets in a text that was not cut before.
    pub fn masked_whole_text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        lossy(self.masked(text.as_bytes()))
    }

    /// Masks secrets in the text of an error that may have been cut. A long text loses its end.
    pub fn masked_text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        lossy(self.secrets.read().masking.masked_cut(text.as_bytes(), MASKED_CUT_BYTES_MIN))
    }

    /// Masks secrets in a line that a guest prints.
    pub(crate) fn masked_line<'t>(&self, text: &'t str) -> Cow<'t, str> {
        lossy(self.secrets.read().masking.masked_line(text.as_bytes(), MASKED_LINE_BYTES_MIN))
    }

    /// Masks secrets in the output of a script.
    pub(crate) fn masked_printed<'t>(&self, text: &'t str) -> Cow<'t, str> {
        lossy(self.secrets.read().masking.masked_cut(text.as_bytes(), MASKED_PRINTED_BYTES_MIN))
    }

    /// Returns the list for `-listEnv`, by name, with the names of `.env` that the store lacks.
    pub fn environment_list(&self) -> Vec<(Box<str>, Box<str>)> {
        let mut all = self.file.clone();
        all.extend(self.environment.read().values.iter().map(|(name, value)| (name.clone(), value.clone())));
        all.into_iter().collect()
    }

    /// Whether a secret is stored that the key of this broker does not open.
    pub(crate) fn is_locked(&self, name: &str) -> bool {
        matches!(self.secrets.read().values.get(name), Some(None))
    }

    /// Names of the secrets that the key of this broker does not open.
    pub fn locked_secrets(&self) -> Vec<Box<str>> {
        let secrets = self.secrets.read();
        let locked = secrets.values.iter().filter(|(_, value)| value.is_none());
        locked.map(|(name, _)| name.clone()).collect()
    }

    /// List for `-listSecrets`: names only.
    pub fn secret_names(&self) -> Vec<Box<str>> {
        self.secrets.read().values.keys().cloned().collect()
    }

    /// Sets a variable for a command; returns the ticket with which it is durable.
    ///
    /// # Errors
    /// [`VariableError`]; nothing has changed then.
    pub fn set_environment(&self, log: &dyn Log, name: &str, value: &str) -> Result<Ticket, VariableError> {
        check(name, value)?;
        let mut environment = self.environment.write();
        environment.check_room(self.room, name, value)?;
        let row = EnvironmentRow { tenant: self.tenant, name: name.into(), value: value.into() };
        let ticket = append(log, Op::PutEnv(&row))?;
        environment.unsaved.remove(name);
        environment.insert(name, value);
        Ok(ticket)
    }

    /// Removes a variable for a command; returns its ticket, `None` if it is not stored.
    ///
    /// # Errors
    /// If the store takes nothing.
    pub fn remove_environment(&self, log: &dyn Log, name: &str) -> Result<Option<Ticket>, StoreError> {
        let mut environment = self.environment.write();
        let is_there = environment.values.contains_key(name);
        if !is_there && !environment.unsaved.contains(name) {
            return Ok(None);
        }
        let ticket = append(log, Op::DeleteEnv { tenant: self.tenant, name })?;
        environment.unsaved.remove(name);
        environment.remove(name);
        Ok(is_there.then_some(ticket))
    }

    /// Sets or removes a variable for a run. True if it is the first change that waits to be
    /// [saved](Variables::save).
    ///
    /// # Errors
    /// [`VariableError`]; nothing has changed then.
    pub fn keep_environment(
        &self,
        log: &dyn Log,
        name: &str,
        value: Option<&str>,
    ) -> Result<bool, VariableError> {
        let mut environment = self.environment.write();
        let is_changed = match value {
            Some(value) => {
                check(name, value)?;
                environment.check_room(self.room.of_programs(), name, value)?;
                environment.insert(name, value);
                true
            }
            None => environment.remove(name),
        };
        let is_first = is_changed && environment.unsaved.is_empty();
        if is_changed {
            environment.unsaved.insert(name);
        }
        drop(environment);
        self.save(log);
        Ok(is_first && self.has_unsaved())
    }

    /// Sets or removes a variable that another process has stored or removed.
    pub fn apply_environment(&self, name: &str, value: Option<&str>) {
        let mut environment = self.environment.write();
        environment.unsaved.remove(name);
        match value {
            Some(value) => environment.insert(name, value),
            None => drop(environment.remove(name)),
        }
    }

    /// Sets or removes a secret that another process has stored or removed. `Some(None)` is one
    /// that the key of this broker does not open.
    pub fn apply_secret(&self, name: &str, value: Option<Option<Zeroizing<Vec<u8>>>>) {
        let mut secrets = self.secrets.write();
        secrets.unsaved.remove(name);
        match value {
            Some(value) => secrets.insert(name, value),
            None => drop(secrets.remove(name)),
        }
    }

    /// Sets a secret for a command; returns the ticket with which it is durable.
    ///
    /// # Errors
    /// [`VariableError`]; nothing has changed then.
    pub fn set_secret(&self, log: &dyn Log, name: &str, value: &str) -> Result<Ticket, VariableError> {
        check(name, value)?;
        let mut secrets = self.secrets.write();
        secrets.check_room(self.room, name, value)?;
        let ticket = append(log, Op::PutSecret { tenant: self.tenant, name, value: value.as_bytes() })?;
        secrets.unsaved.remove(name);
        secrets.insert(name, Some(Zeroizing::new(value.as_bytes().to_vec())));
        Ok(ticket)
    }

    /// Removes a secret for a command; returns its ticket, `None` if there is no such secret.
    ///
    /// # Errors
    /// If the store takes nothing.
    pub fn remove_secret(&self, log: &dyn Log, name: &str) -> Result<Option<Ticket>, StoreError> {
        let mut secrets = self.secrets.write();
        let is_there = secrets.values.contains_key(name);
        if !is_there && !secrets.unsaved.contains(name) {
            return Ok(None);
        }
        let ticket = append(log, Op::DeleteSecret { tenant: self.tenant, name })?;
        secrets.unsaved.remove(name);
        secrets.remove(name);
        Ok(is_there.then_some(ticket))
    }

    /// Sets a secret for a run, or removes it. True as of [`Variables::keep_environment`].
    ///
    /// # Errors
    /// [`VariableError`]; nothing has changed then.
    pub(crate) fn keep_secret(
        &self,
        log: &dyn Log,
        name: &str,
        value: Option<&str>,
    ) -> Result<bool, VariableError> {
        let mut secrets = self.secrets.write();
        let is_changed = match value {
            Some(value) => {
                check(name, value)?;
                secrets.check_room(self.room.of_programs(), name, value)?;
                secrets.insert(name, Some(Zeroizing::new(value.as_bytes().to_vec())));
                true
            }
            None => secrets.remove(name),
        };
        let is_first = is_changed && secrets.unsaved.is_empty();
        if is_changed {
            secrets.unsaved.insert(name);
        }
        drop(secrets);
        self.save(log);
        Ok(is_first && self.has_unsaved())
    }

    /// Whether changes by runs are not with the store yet.
    pub fn has_unsaved(&self) -> bool {
        !self.environment.read().unsaved.is_empty() || !self.secrets.read().unsaved.is_empty()
    }

    /// Saves changes by runs. They stay if the store fails, is behind or still saves former ones.
    pub fn save(&self, log: &dyn Log) {
        if !self.has_unsaved() {
            return;
        }
        // A save in progress leaves the newest changes to the next round.
        let Some(mut saving) = self.saving.try_lock() else { return };
        let is_busy = saving.is_some_and(|former| log.settled(former).is_none());
        if is_busy || log.failure().is_some() || log.is_congested(0) {
            return;
        }
        // Changes that the store rejects stay.
        if let Ok(ticket) = self.offer(log) {
            *saving = Some(ticket);
        }
    }

    /// Hands all changes by runs to the store, also those that another caller is about to save.
    ///
    /// # Errors
    /// If the store does not take them: then they stay.
    pub(crate) fn hand_over(&self, log: &dyn Log) -> Result<(), StoreError> {
        let mut saving = self.saving.lock();
        while self.has_unsaved() {
            *saving = Some(self.offer(log)?);
        }
        Ok(())
    }

    /// Stores all changes by runs, as the broker stops.
    ///
    /// # Errors
    /// When they are not stored.
    pub fn save_all(&self, log: &dyn Log) -> Result<(), StoreError> {
        let _saving = self.saving.lock();
        while self.has_unsaved() {
            let ticket = match self.offer(log) {
                Err(StoreError::Full { .. }) => log.last_ticket(),
                offered => offered?,
            };
            log.wait_for(ticket, COMMIT_PATIENCE)?;
        }
        Ok(())
    }

    /// Offers changes by runs to the store, so many that they make about [`VARIABLES_SAVED_BYTES`].
    fn offer(&self, log: &dyn Log) -> Result<Ticket, StoreError> {
        let tenant = self.tenant;
        let (mut environment, mut secrets) = (self.environment.write(), self.secrets.write());
        let mut batch = Batch::new();
        // Neither kind keeps the other waiting.
        let (Secrets { values, unsaved, .. }, mut names) = (&mut *secrets, BTreeSet::new());
        while batch.bytes() < VARIABLES_SAVED_BYTES / 2
            && let Some(name) = unsaved.take_next()
        {
            match values.get(&name) {
                Some(Some(value)) => {
                    batch.push(Op::PutSecret { tenant, name: &name, value: value.as_slice() })
                }
                Some(None) | None => batch.push(Op::DeleteSecret { tenant, name: &name }),
            }
            names.insert(name);
        }
        let (Environment { values, unsaved, .. }, mut variables) = (&mut *environment, BTreeSet::new());
        while batch.bytes() < VARIABLES_SAVED_BYTES
            && let Some(name) = unsaved.take_next()
        {
            match values.get(&name) {
                Some(value) => {
                    let (name, value) = (name.as_ref().to_owned(), value.as_ref().to_owned());
                    batch.push(Op::PutEnv(&EnvironmentRow { tenant, name, value }));
                }
                None => batch.push(Op::DeleteEnv { tenant, name: &name }),
            }
            variables.insert(name);
        }
        if batch.is_empty() {
            return Ok(log.last_ticket());
        }
        log.offer(batch).map_err(|(error, _)| {
            environment.unsaved.due.append(&mut variables);
            secrets.unsaved.due.append(&mut names);
            error
        })
    }
}

fn lossy(masked: Cow<'_, [u8]>) -> Cow<'_, str> {
    match masked {
        Cow::Borrowed(text) => String::from_utf8_lossy(text),
        Cow::Owned(text) => Cow::Owned(String::from_utf8_lossy(&text).into_owned()),
    }
}

fn append(log: &dyn Log, op: Op<'_>) -> Result<Ticket, StoreError> {
    let mut batch = Batch::new();
    batch.push(op);
    log.append(batch)
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
pub fn is_name(name: &str) -> bool {
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let is_word = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    starts_well && is_word && name.len() <= VARIABLE_NAME_BYTES_MAX
}

/// Removes the quotes round a value, commands reference §10.
pub fn unquoted(value: &str) -> &str {
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
    use lotmq_store::{Durability, Store, StoreOptions};

    use super::*;

    fn room() -> VariableRoom {
        VariableRoom::of(&lotmq_config::Config::default().limits)
    }

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
        let mut variables = Variables::new(TenantId::DEFAULT, VariableNames::NONE, room());
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
        let variables = Variables::new(TenantId::DEFAULT, VariableNames::NONE, room());
        let masked = || variables.masked_text("hunter2-x, swordfish").into_owned();
        assert_eq!(masked(), "hunter2-x, swordfish");
        for (name, value, expected) in [
            ("A", "hunter2-x", "***, swordfish"),
            ("B", "hunter2-x", "***, swordfish"),
            ("A", "swordfish", "***, ***"),
            ("B", "other", "hunter2-x, ***"),
        ] {
            variables.set_secret(&store, name, value).unwrap();
            assert_eq!(masked(), expected, "{name}={value}");
        }
        let line = "a line that nobody has cut ".repeat(100);
        assert_eq!(variables.masked_line(&line), line, "it is shorter than lines are cut");
        let cut = "x".repeat(lotmq_host::limits::MESSAGE_BYTES_MAX);
        let kept = variables.masked_line(&cut).into_owned();
        assert!(
            kept.len() < cut.len() && kept.ends_with("x…"),
            "a secret may stand at its end in part: {kept}"
        );
        assert_eq!(variables.masked_line(&(cut[3..].to_owned() + "…")), kept[3..], "it has one mark");
        variables.remove_secret(&store, "A").unwrap();
        assert_eq!(masked(), "hunter2-x, swordfish");
    }

    /// A store on the disk.
    fn stored(directory: &std::path::Path) -> (Store, lotmq_changes::Recovered) {
        let options = StoreOptions { durability: Durability::Os, ..StoreOptions::new(directory) };
        Store::open(options, Box::new(|_| {})).unwrap()
    }

    #[test]
    fn variables_kept_by_runs_do_not_fill_the_store_queue() {
        let directory = tempfile::tempdir().unwrap();
        let (store, _) = stored(directory.path());
        let variables = Variables::new(TenantId::DEFAULT, VariableNames::NONE, room());
        let large = "v".repeat(VARIABLE_VALUE_BYTES_MAX);
        for number in 0..2_000 {
            variables.keep_environment(&store, "LARGE", Some(&large)).unwrap();
            variables.keep_environment(&store, "COUNT", Some(&number.to_string())).unwrap();
            variables.keep_secret(&store, "KEY", Some(&number.to_string())).unwrap();
            let waiting = store.metrics().waiting_bytes;
            assert!(waiting <= 2 * VARIABLES_SAVED_BYTES as u64, "{waiting} bytes wait");
        }
        assert_eq!(variables.environment("COUNT").as_deref(), Some("1999"));
        variables.save_all(&store).unwrap();
        drop(store);
        let (_store, recovered) = stored(directory.path());
        let row = recovered.environment.iter().find(|row| row.name == "COUNT").unwrap();
        assert_eq!(row.value, "1999");
        let secret = recovered.secrets.iter().find(|row| row.name == "KEY").unwrap();
        assert_eq!(secret.value.as_deref().map(Vec::as_slice), Some(&b"1999"[..]));
    }

    #[test]
    fn programs_leave_room_to_commands() {
        let directory = tempfile::tempdir().unwrap();
        let (store, _) = stored(directory.path());
        let variables = Variables::new(TenantId::DEFAULT, VariableNames::NONE, room());
        let keep = |name: &str, value| {
            let kept = variables.keep_environment(&store, name, value);
            let secret = variables.keep_secret(&store, name, value);
            assert_eq!(kept.is_ok(), secret.is_ok());
            kept.is_ok()
        };
        for number in 0..room().of_programs().count {
            assert!(keep(&format!("V{number}"), Some("1")));
        }
        assert!(!keep("ANOTHER", Some("1")) && keep("V7", Some("2")), "what is there can be changed");
        variables.set_environment(&store, "SITE", "north").unwrap();
        variables.set_secret(&store, "KEY", "k").unwrap();
        // Room comes back with what goes: of a command's name it is a program's then.
        assert!(keep("V7", None) && keep("V8", None));
        assert!(keep("ANOTHER", Some("1")) && !keep("ONE_MORE", Some("1")));
        variables.save_all(&store).unwrap();
        drop(store);
        let (store, recovered) = stored(directory.path());
        let variables = Variables::new(TenantId::DEFAULT, VariableNames::NONE, room());
        recovered.environment.into_iter().for_each(|row| variables.restore_environment(row));
        assert!(variables.keep_environment(&store, "ONE_MORE", Some("1")).is_err());
        assert!(variables.set_environment(&store, "ONE_MORE", "1").is_ok());
    }

    #[test]
    fn the_bytes_of_all_values_are_bounded() {
        let directory = tempfile::tempdir().unwrap();
        let (store, _) = stored(directory.path());
        let room = VariableRoom { count: 10, bytes: 100 };
        let variables = Variables::new(TenantId::DEFAULT, VariableNames::NONE, room);
        let long = |bytes: usize| "v".repeat(bytes);
        let set = |name: &str, bytes: usize| {
            let set = variables.set_environment(&store, name, &long(bytes)).map(drop);
            let secret = variables.set_secret(&store, name, &long(bytes)).map(drop);
            assert_eq!(set.is_ok(), secret.is_ok());
            set
        };
        assert!(set("A", 49).is_ok() && set("B", 48).is_ok());
        let refused = set("C", 1).unwrap_err();
        assert_eq!(refused.limit(), Some(Limit::VariableBytes));
        assert_eq!(refused.to_string(), "All of them would take more than 100 bytes.");
        assert!(
            set("B", 50).is_err() && set("B", 49).is_ok() && set("B", 10).is_ok() && set("C", 30).is_ok()
        );
        // Programs leave a quarter of it.
        let keep = |bytes: usize| variables.keep_environment(&store, "C", Some(&long(bytes))).is_ok();
        assert!(
            !keep(31) && keep(13) && !keep(14) && variables.set_environment(&store, "C", &long(14)).is_ok()
        );
        assert!(variables.remove_secret(&store, "A").unwrap().is_some());
        variables.set_secret(&store, "D", &long(49)).unwrap();
    }

    #[test]
    fn names_that_change_all_the_time_keep_no_other_waiting() {
        let mut unsaved = UnsavedNames::default();
        ["a", "b", "z"].iter().for_each(|name| unsaved.insert(name));
        for expected in ["a", "b", "z", "a"] {
            let next = unsaved.take_next();
            assert_eq!(next.as_deref(), Some(expected));
            unsaved.insert("a");
            unsaved.insert("b");
        }
    }
}
