//! The users of one tenant and the login decision.
//!
//! Shared by all threads; readers take a short read lock, changes a write lock. Hashing happens
//! outside, on the caller's thread. Every change returns the record that the caller persists;
//! nothing is durable here.

mod bans;
mod logins;
mod principals;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

pub use bans::{Ban, BanCause, BanPolicy, BanTarget, Bans, TooManyBans};
use parking_lot::{Mutex, RwLock};

use crate::account::{Account, AccountRoom, UserError};
use crate::attempts::{AttemptKey, Attempts};
use crate::exchange::{Exchange, ExchangeState, ExchangeStep};
use crate::limits::{ACCOUNT_DETAILS_BYTES_MAX, ACCOUNTS_MAX, REMEMBERED_MAX, WAIT_MAX_MS};
use crate::login::{Identity, LoginRefusal, LoginRequest, Method};
use crate::password::{Credential, PasswordCost, PasswordError};
use crate::places::KnownPlaces;
use crate::principal::Principal;
use crate::reference::Numbers;
use crate::remembered::Remembered;
use crate::scram::{Challenge, ClientFirst, NONCE_BYTES, ScramSecret, ScramVerifier};
use crate::{ROOT, check_user_name};

/// Settings of a [`Directory`].
#[derive(Debug, Clone, Copy)]
pub struct DirectoryOptions {
    /// Cost of new hashes.
    pub cost: PasswordCost,
    /// Most remembered verifications, at least 2. Default [`REMEMBERED_MAX`].
    pub remembered_max: usize,
    /// Longest wait after failed logins, in milliseconds; 0 for none. Default [`WAIT_MAX_MS`].
    pub wait_max_ms: u64,
    /// Turns SCRAM on: where the salts of names without a password come from. The same at every
    /// start, or names could be told apart.
    pub scram: Option<ScramSecret>,
    /// Bounds of automatic bans.
    pub bans: BanPolicy,
}

impl Default for DirectoryOptions {
    fn default() -> DirectoryOptions {
        DirectoryOptions {
            cost: PasswordCost::default(),
            remembered_max: REMEMBERED_MAX,
            wait_max_ms: WAIT_MAX_MS,
            scram: None,
            bans: BanPolicy::OFF,
        }
    }
}

/// The accounts of one tenant, with what was verified before.
///
/// ```
/// use lotmq_auth::{Directory, DirectoryOptions, PasswordCost};
/// let options = DirectoryOptions { cost: PasswordCost::TEST, ..DirectoryOptions::default() };
/// let directory = Directory::new(options)?;
/// let root = directory.create_root(directory.hash("coreflux")?)?; // to be persisted
/// assert!(root.credential.is_default());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Directory {
    cost: PasswordCost,
    /// Hash that is verified in place of that of an unknown user.
    decoy: Credential,
    accounts: RwLock<Accounts>,
    remembered: Mutex<Remembered>,
    attempts: Mutex<Attempts>,
    places: Mutex<KnownPlaces>,
    generation: AtomicU64,
    /// Whether a principal with grants was here since the start.
    has_grants: AtomicBool,
    scram: Option<ScramSecret>,
    bans: Bans,
}

/// An account, with the principal that all its sessions share.
#[derive(Clone)]
pub(crate) struct KnownAccount {
    pub(crate) account: Arc<Account>,
    pub(crate) principal: Arc<Principal>,
}

impl KnownAccount {
    fn new(account: Account) -> KnownAccount {
        let principal = Arc::new(Principal::of_account(&account));
        KnownAccount { account: Arc::new(account), principal }
    }
}

struct Accounts {
    by_name: HashMap<Arc<str>, KnownAccount>,
    numbers: Numbers,
    /// Bytes of the properties and groups of all of them.
    details_bytes: usize,
    next_credential_version: u64,
}

impl Directory {
    /// An empty directory. Hashes one decoy, so it takes as long as one login.
    ///
    /// # Errors
    /// When the cost is invalid or the system gives no random numbers.
    pub fn new(options: DirectoryOptions) -> Result<Directory, PasswordError> {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|_| PasswordError::HashFailed)?;
        Ok(Directory {
            cost: options.cost,
            decoy: Credential::hash(&key, options.cost)?,
            accounts: RwLock::new(Accounts {
                by_name: HashMap::new(),
                numbers: Numbers::default(),
                details_bytes: 0,
                next_credential_version: 1,
            }),
            remembered: Mutex::new(Remembered::new(key, options.remembered_max)),
            attempts: Mutex::new(Attempts::new(options.wait_max_ms)),
            places: Mutex::default(),
            generation: AtomicU64::new(1),
            has_grants: AtomicBool::new(false),
            scram: options.scram,
            bans: Bans::new(options.bans),
        })
    }

    /// Bans of addresses, users and clients of the tenant.
    pub fn bans(&self) -> &Bans {
        &self.bans
    }

    /// Puts recovered accounts in, at start, without checks: they were checked when they were made.
    pub fn restore(&self, accounts: impl IntoIterator<Item = Account>) {
        let mut table = self.accounts.write();
        for account in accounts {
            table.next_credential_version =
                table.next_credential_version.max(account.credential_version.saturating_add(1));
            table.details_bytes += account.details_bytes();
            let number = account.number;
            let name = Arc::clone(&account.name);
            if let Some(before) = table.by_name.insert(name, KnownAccount::new(account)) {
                table.details_bytes -= before.account.details_bytes();
                table.numbers.remove(before.account.number);
            }
            table.numbers.insert(number);
        }
        self.changed();
    }

    /// Hashes a password at this directory's cost, for [`Directory::add_user`] and others. Slow:
    /// choose the thread.
    pub fn hash(&self, password: &str) -> Result<Credential, PasswordError> {
        let credential = Credential::hash(password.as_bytes(), self.cost)?;
        let salt = self.scram.map(|_| new_salt()).transpose()?;
        Ok(credential.with_scram(salt.map(|salt| ScramVerifier::new(password.as_bytes(), salt))))
    }

    /// Creates `root`.
    ///
    /// # Errors
    /// [`UserError::Exists`] when it is there.
    pub fn create_root(&self, credential: Credential) -> Result<Account, UserError> {
        self.add_user(ROOT, credential)
    }

    /// Adds a user without any permission.
    ///
    /// # Errors
    /// [`UserError::NameInvalid`], [`UserError::Exists`], [`UserError::TooManyUsers`].
    pub fn add_user(&self, name: &str, credential: Credential) -> Result<Account, UserError> {
        self.add_user_counted(name, credential, None)
    }

    /// Adds a user for a maker who is no administrator. The new account
    /// [counts for](Account::counts_for) the same user as its maker, and uses that share.
    ///
    /// # Errors
    /// As [`Directory::add_user`].
    pub fn add_user_counted(
        &self,
        name: &str,
        credential: Credential,
        maker: Option<&Account>,
    ) -> Result<Account, UserError> {
        check_user_name(name).map_err(|reason| UserError::NameInvalid { user: name.to_owned(), reason })?;
        let mut table = self.accounts.write();
        if table.by_name.contains_key(name) {
            return Err(UserError::Exists { user: name.to_owned() });
        }
        let who = if maker.is_some() { AccountRoom::OfOthers } else { AccountRoom::Whole };
        let (count, max) = (table.by_name.len(), who.of(ACCOUNTS_MAX));
        if count >= max {
            return Err(UserError::TooManyUsers { count, max, who });
        }
        let new = Account::new(name, credential, table.take_credential_version());
        let counts_for = maker.map(|maker| Arc::clone(maker.accountable()));
        let number = table.numbers.draw(name, maker.map(|maker| maker.number));
        let account = Account { counts_for, number, ..new };
        table.numbers.insert(number);
        table.by_name.insert(Arc::clone(&account.name), KnownAccount::new(account.clone()));
        self.changed();
        Ok(account)
    }

    /// Removes a user and returns the record that was. The user's sessions are no longer
    /// [current](Directory::is_current).
    ///
    /// # Errors
    /// [`UserError::RootProtected`], [`UserError::NotFound`].
    pub fn remove_user(&self, name: &str) -> Result<Arc<Account>, UserError> {
        if name == ROOT {
            return Err(UserError::RootProtected);
        }
        let mut table = self.accounts.write();
        let removed = table.by_name.remove(name);
        let account = removed.ok_or_else(|| UserError::NotFound { user: name.to_owned() })?.account;
        table.details_bytes -= account.details_bytes();
        table.numbers.remove(account.number);
        drop(table);
        self.remembered.lock().forget(name);
        self.places.lock().forget(name);
        self.changed();
        Ok(account)
    }

    /// Sets a new password. The user's sessions are no longer [current](Directory::is_current).
    ///
    /// # Errors
    /// [`UserError::NotFound`].
    pub fn change_password(&self, name: &str, credential: Credential) -> Result<Account, UserError> {
        let mut table = self.accounts.write();
        let version = table.take_credential_version();
        let account = table.edit(name, AccountRoom::Whole, |account| {
            account.credential = credential;
            account.credential_version = version;
            Ok(())
        })?;
        self.remembered.lock().forget(name);
        self.changed();
        Ok(account)
    }

    /// `-changeUserSettings`: one of the four flags (name in any case, value `true` or `false`),
    /// else a free property.
    ///
    /// # Errors
    /// [`UserError::NotFound`], [`UserError::TooManyDetails`] and those about settings.
    pub fn change_setting(&self, name: &str, setting: &str, value: &str) -> Result<Account, UserError> {
        self.change_setting_within(AccountRoom::Whole, name, (setting, value))
    }

    /// The same for a caller with this room.
    ///
    /// # Errors
    /// As [`Directory::change_setting`].
    pub fn change_setting_within(
        &self,
        room: AccountRoom,
        name: &str,
        (setting, value): (&str, &str),
    ) -> Result<Account, UserError> {
        self.edit(name, room, |account| account.set(setting, value))
    }

    /// `-addUserToGroup`; a group exists by being named.
    ///
    /// # Errors
    /// [`UserError::NotFound`], [`UserError::GroupNameInvalid`], [`UserError::TooManyGroups`],
    /// [`UserError::TooManyDetails`].
    pub fn add_to_group(&self, name: &str, group: &str) -> Result<Account, UserError> {
        self.add_to_group_within(AccountRoom::Whole, name, group)
    }

    /// The same for a caller with this room.
    ///
    /// # Errors
    /// As [`Directory::add_to_group`].
    pub fn add_to_group_within(
        &self,
        room: AccountRoom,
        name: &str,
        group: &str,
    ) -> Result<Account, UserError> {
        self.edit(name, room, |account| account.join(group))
    }

    /// `-removeUserFromGroup`.
    ///
    /// # Errors
    /// [`UserError::NotFound`], [`UserError::NotInGroup`].
    pub fn remove_from_group(&self, name: &str, group: &str) -> Result<Account, UserError> {
        self.edit(name, AccountRoom::Whole, |account| account.leave(group))
    }

    /// The account of this name.
    pub fn account(&self, name: &str) -> Option<Arc<Account>> {
        self.accounts.read().by_name.get(name).map(|known| Arc::clone(&known.account))
    }

    /// The account of this name, with its principal.
    pub(crate) fn known_account(&self, name: &str) -> Option<KnownAccount> {
        self.accounts.read().by_name.get(name).cloned()
    }

    /// All accounts, ordered by name.
    pub fn accounts(&self) -> Vec<Arc<Account>> {
        let mut all: Vec<_> =
            self.accounts.read().by_name.values().map(|known| Arc::clone(&known.account)).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// Whether `root` still has the password of a fresh installation: a reason to warn.
    pub fn root_has_default_password(&self) -> bool {
        self.account(ROOT).is_some_and(|root| root.credential.is_default())
    }

    /// Changes with every change of a user; verdicts that were cached under another number are
    /// void.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Keeps what SCRAM verifies the password of this login against; the changed account, to be
    /// persisted. `None` when the account has changed meanwhile.
    pub fn keep_verifier(&self, login: &Identity, verifier: ScramVerifier) -> Option<Account> {
        self.edit_of_login(login, |credential| credential.scram = Some(verifier))
    }

    /// Keeps a new hash of the password of this login in place of an imported one; the changed
    /// account, to be persisted. The password is the same, so sessions stay. `None` when the
    /// account has changed meanwhile.
    pub fn keep_rehashed(&self, login: &Identity, rehashed: Credential) -> Option<Account> {
        self.edit_of_login(login, |credential| {
            let scram = credential.scram.take();
            *credential = rehashed.with_scram(scram);
        })
    }

    fn edit_of_login(&self, login: &Identity, change: impl FnOnce(&mut Credential)) -> Option<Account> {
        let user = login.user()?;
        let mut table = self.accounts.write();
        let version = table.by_name.get(user)?.account.credential_version;
        if version != login.credential_version() {
            return None;
        }
        let kept = table.edit(user, AccountRoom::Whole, |account| {
            change(&mut account.credential);
            Ok(())
        });
        kept.ok()
    }

    /// Begins an exchange by the method of this name. `None` when there is no such method, or it is
    /// not turned on.
    pub fn begin_exchange(&self, method: &str) -> Option<Exchange> {
        let method = Method::by_name(method)?;
        let is_on = match method {
            Method::ScramSha256 => self.scram.is_some(),
            Method::Jwt | Method::OfMember(_) => false,
        };
        is_on.then_some(Exchange { method, state: ExchangeState::New, claimed: None })
    }

    /// Takes the Client's next message in an exchange; `None` for a packet without data. `request`
    /// says who it claims to be otherwise: a user name must be the one that the exchange proves, a
    /// password is not looked at.
    ///
    /// # Errors
    /// [`LoginRefusal::ExchangeFailed`], [`LoginRefusal::TooManyFailures`] and
    /// [`LoginRefusal::DefaultPasswordFromElsewhere`]. The exchange is over then.
    pub fn step(
        &self,
        exchange: &mut Exchange,
        data: Option<&[u8]>,
        request: &LoginRequest<'_>,
    ) -> Result<ExchangeStep, LoginRefusal> {
        match (std::mem::replace(&mut exchange.state, ExchangeState::Over), data) {
            (ExchangeState::New, None) => {
                // The client waits for the server to begin, which has nothing to say (RFC 4422
                // §5.1).
                exchange.state = ExchangeState::New;
                Ok(ExchangeStep::Challenge(Vec::new()))
            }
            (ExchangeState::New, Some(message)) => {
                let first = ClientFirst::parse(message).ok_or(LoginRefusal::ExchangeFailed)?;
                exchange.claimed = Some(first.user.clone().into_owned());
                let attempt = self.attempt(request, &first.user);
                self.check_wait(attempt, request.now_ms)?;
                let (state, data) = self.challenge(&first, attempt, request)?;
                exchange.state = state;
                Ok(ExchangeStep::Challenge(data))
            }
            (ExchangeState::Challenged { challenge, attempt, identity }, Some(message)) => {
                // Others may have failed since the challenge: many challenges in advance give no
                // more guesses.
                self.check_wait(attempt, request.now_ms)?;
                let identity = identity.filter(|identity| self.is_current(identity));
                let Some((identity, data)) = identity.zip(challenge.answer(message)) else {
                    self.attempts.lock().failed(attempt, request.now_ms);
                    return Err(LoginRefusal::ExchangeFailed);
                };
                self.proved(&identity, attempt);
                Ok(ExchangeStep::Done { identity, data })
            }
            (ExchangeState::Challenged { .. } | ExchangeState::Over, _) => Err(LoginRefusal::ExchangeFailed),
        }
    }

    fn check_wait(&self, attempt: AttemptKey, now_ms: u64) -> Result<(), LoginRefusal> {
        let must_wait = self.attempts.lock().must_wait(attempt, now_ms);
        if must_wait { Err(LoginRefusal::TooManyFailures) } else { Ok(()) }
    }

    /// The answer to a client's first message of SCRAM; the same for names that nobody has.
    fn challenge(
        &self,
        first: &ClientFirst<'_>,
        attempt: AttemptKey,
        request: &LoginRequest<'_>,
    ) -> Result<(ExchangeState, Vec<u8>), LoginRefusal> {
        let failed = LoginRefusal::ExchangeFailed;
        let secret = self.scram.ok_or(failed)?;
        if request.user_name.is_some_and(|name| !name.is_empty() && name != first.user) {
            return Err(failed);
        }
        let known = self.known_account(&first.user);
        if known.as_ref().is_some_and(|known| is_default_root_elsewhere(&known.account, request)) {
            return Err(LoginRefusal::DefaultPasswordFromElsewhere);
        }
        let known = known.and_then(|known| Some((known.account.credential.scram.clone()?, known.principal)));
        let identity = known.as_ref().map(|(_, principal)| {
            Identity::new(Arc::clone(principal), Arc::clone(&request.client_id), request.peer)
        });
        let unknown = || ScramVerifier::unknown(secret.salt(&first.user));
        let verifier = known.map_or_else(unknown, |(verifier, _)| verifier);
        let mut random = [0; NONCE_BYTES];
        getrandom::fill(&mut random).map_err(|_| failed)?;
        let (challenge, data) = Challenge::new(first, &random, verifier);
        Ok((ExchangeState::Challenged { challenge: Box::new(challenge), attempt, identity }, data))
    }

    fn edit(
        &self,
        name: &str,
        room: AccountRoom,
        change: impl FnOnce(&mut Account) -> Result<(), UserError>,
    ) -> Result<Account, UserError> {
        let account = self.accounts.write().edit(name, room, change)?;
        self.changed();
        Ok(account)
    }

    fn changed(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }
}

impl Accounts {
    fn take_credential_version(&mut self) -> u64 {
        let version = self.next_credential_version;
        self.next_credential_version += 1;
        version
    }

    /// Applies a change to a copy and keeps it only when the change succeeds and its additions have
    /// room.
    fn edit(
        &mut self,
        name: &str,
        who: AccountRoom,
        change: impl FnOnce(&mut Account) -> Result<(), UserError>,
    ) -> Result<Account, UserError> {
        let Some(slot) = self.by_name.get_mut(name) else {
            return Err(UserError::NotFound { user: name.to_owned() });
        };
        let mut account = Account::clone(&slot.account);
        change(&mut account)?;
        let (had, has) = (slot.account.details_bytes(), account.details_bytes());
        let (bytes, max) = (self.details_bytes - had + has, who.of(ACCOUNT_DETAILS_BYTES_MAX));
        if has > had && bytes > max {
            return Err(UserError::TooManyDetails { bytes, max, who });
        }
        self.details_bytes = bytes;
        match slot.principal.credential_version() == account.credential_version {
            true => slot.account = Arc::new(account.clone()),
            false => *slot = KnownAccount::new(account.clone()),
        }
        Ok(account)
    }
}

/// A random salt for SCRAM, so that nobody prepares a dictionary for a name.
fn new_salt() -> Result<[u8; 16], PasswordError> {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|_| PasswordError::HashFailed)?;
    Ok(salt)
}

/// Whether `root` comes with the password that everybody knows, and not from this machine.
fn is_default_root_elsewhere(account: &Account, request: &LoginRequest<'_>) -> bool {
    account.is_root() && account.credential.is_default() && !request.peer.is_loopback()
}

#[cfg(test)]
mod scram_tests;
#[cfg(test)]
mod tests;
