//! Who a Client is and what it may do: accounts, passwords, the login decision and the permission
//! decision.
//!
//! On the way of a CONNECT: [`Directory::begin_login`] → (on a hashing thread)
//! [`Directory::check_login`] → [`PendingLogin::verify`] → [`Directory::finish_login`] → an
//! [`Identity`]; with an authentication method [`Directory::begin_exchange`] → [`Directory::step`]
//! for each message instead. On the way of a PUBLISH, SUBSCRIBE or command: a [`Question`] about
//! that identity is put to whoever implements [`Decide`]: the [`Rulebook`] asks the rules of the
//! tenant, remembers what they said, and has the built-in ones.
//!
//! One [`Directory`] per tenant. Invariants: no I/O and no clock; a password is never kept, only
//! its Argon2id hash and, in memory, a keyed hash of what was verified; `root` always exists once
//! it was created. Not here: storing accounts (the caller persists the [`Account`] that each change
//! returns), closing the sessions of removed users (the caller sweeps with
//! [`Directory::is_current`]), Reason Codes (`codec`).

mod account;
mod attempts;
pub mod built_in;
mod decide;
mod directory;
mod exchange;
pub mod limits;
mod login;
mod name;
mod opinion;
mod password;
mod pattern;
mod peer;
mod places;
mod privilege;
mod reference;
mod remembered;
mod rulebook;
mod scope;
mod scram;
mod table;
mod verdicts;

pub use account::{Account, AccountRoom, Flag, Flags, UserError};
pub use decide::{AskedMessage, Authorization, Decide, Decision, Denier, Question};
pub use directory::{Directory, DirectoryOptions};
pub use exchange::{Exchange, ExchangeStep, Method};
pub use login::{
    AnonymousLogin, Identity, LoginOrigin, LoginRefusal, LoginRequest, LoginStep, LoginWait, PendingLogin,
    VerifiedLogin,
};
pub use name::{NameError, check_group_name, check_user_name};
pub use opinion::{Answer, Ask, Opinion, Still, Validity};
pub use password::{Credential, PasswordCost, PasswordError};
pub use pattern::covers;
pub use peer::{Peer, Source};
pub use privilege::{NamedByRules, UserChange, UserChangeRefusal, check_user_change};
pub use reference::AccountReference;
pub use rulebook::{Rule, Rulebook};
pub use scope::{Scope, UnknownScope};
#[doc(hidden)]
pub use scram::fuzz_scram;
pub use scram::{ScramSecret, ScramVerifier};

/// Name of the account that always exists, cannot be removed and bypasses all rules, commands
/// reference §7.1.
pub const ROOT: &str = "root";

/// Password of [`ROOT`] on a fresh data directory, commands reference §9.1. While it is set, `root`
/// logs in from loopback only.
pub const DEFAULT_ROOT_PASSWORD: &str = "coreflux";

/// Members of this group count as admins, commands reference §7.2.
pub const ADMIN_GROUP: &str = "admin";
