//! Accounts, passwords, the login decision and the permission decision of Clients.
//!
//! Path of a CONNECT: [`Directory::begin_login`] → (on a hashing thread) [`Directory::check_login`]
//! → [`PendingLogin::verify`] → [`Directory::finish_login`] → an [`Identity`]. With an
//! authentication method: [`Directory::begin_exchange`] → [`Directory::step`] for each message.
//! A listener's [`LoginChain`] stands before that, and asks other members on a login thread.
//! Path of a PUBLISH, SUBSCRIBE or command: an implementation of [`Decide`] answers a [`Question`]
//! about that identity. The [`Rulebook`] asks the rules of the tenant, caches their answers, and
//! has the built-in ones.
//!
//! One [`Directory`] per tenant. Invariants: no I/O and no clock; a password is never kept, only
//! its Argon2id hash and, in memory, a keyed hash of verified passwords; `root` always exists once
//! it was created. Not here: storing accounts (the caller persists the [`Account`] that each change
//! returns), closing the sessions of removed users (the caller sweeps with
//! [`Directory::is_current`]), Reason Codes (`codec`).
//!
//! Further invariants, with the tests that guard them:
//!
//! - Users can grant only rights that they have: flags, membership of `admin`, the password of a
//!   user with more rights, names in rules. Tests
//!   `user_changes_are_decided_by_scope_and_privilege`, `user_change_needs_rights_named_by_rules`.
//! - `root` with its default password can log in from this machine only. Test
//!   `login_is_decided_by_name_password_and_peer`.
//! - Somebody who guesses passwords waits, and blocks nobody who comes from elsewhere. Tests
//!   `guesses_wait_and_nobody_is_kept_out_elsewhere`,
//!   `guesses_by_exchange_wait_as_those_by_password`, `looks_are_few`,
//!   `a_flood_delays_others_by_a_few_places`, `a_login_is_not_behind_a_flood_of_others`.
//! - An expired certificate is rejected. Test `a_certificate_that_has_ended_is_good_for_nothing`.
//! - A connection is local by a fact of the connection itself. Web pages and clients behind a proxy
//!   are never local. Tests `only_programs_of_this_machine_are_local`,
//!   `loopback_is_a_fact_of_the_connection_itself`.
//! - A session belongs to its user. No other user gets it, ends it, takes it over, or blocks its
//!   Client Identifier. Tests `nobody_keeps_an_identifier_from_others`,
//!   `nothing_of_an_anonymous_session_passes_to_a_user_nor_back`, `a_session_is_its_users_alone`.
//! - Rights of administrators come from accounts alone, by source and never by name. Tests
//!   `grant_gives_nothing_that_only_administrators_have`,
//!   `user_of_a_member_has_no_rights_of_an_account_with_its_name`,
//!   `rights_of_administrators_are_left_out_of_claims`.
//! - A substituted value never makes the filter of a grant wider. Test
//!   `substituted_value_never_makes_a_filter_wider`.
//! - A member of a login chain that fails denies. Test
//!   `member_that_fails_or_panics_denies_and_is_counted`.
//! - A SCRAM exchange does not show which users exist. Its verifiers are stored only while SCRAM is
//!   turned on. Tests `scram_challenge_does_not_reveal_whether_a_user_exists`,
//!   `scram_is_for_passwords_that_were_seen_while_it_was_on`.
//! - The result of a rule is used only for the same inputs and the same reads. Tests
//!   `a_rule_is_asked_once_for_all_that_it_looks_at`, `a_change_of_the_user_is_another_question`,
//!   `cached_decision_is_valid_while_its_reads_are_unchanged`.

mod account;
mod attempts;
pub mod built_in;
mod chain;
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
mod principal;
mod privilege;
mod reference;
mod remembered;
mod rulebook;
mod scope;
mod scram;
mod table;
mod verdicts;

pub use account::{Account, AccountRoom, Flag, Flags, UserError};
pub use chain::{
    BUILT_IN_MEMBER, Certificate, ChainLogin, LoginChain, LoginMember, LoginMembers, MemberAnswer,
    MemberDenial, MemberLogin, MemberReplied, MemberReply, MethodStep, UnknownMember, WaitingLogin,
    WaitingMember,
};
pub use decide::{AskedMessage, Authorization, Decide, Decision, Denier, Question};
pub use directory::{Ban, BanCause, BanPolicy, BanTarget, Bans, Directory, DirectoryOptions, TooManyBans};
pub use exchange::{Exchange, ExchangeStep};
pub use login::{
    ANSWER_BOUNDS, AlternativeKind, AnonymousLogin, AnswerTimes, AnsweredLogin, AnsweredStep,
    ClientCertificate, ConnackTexts, ConnectPacket, Identity, LogLines, LoginOrigin, LoginRefusal,
    LoginRequest, LoginStep, LoginWait, MemberChallenge, MemberCounts, MemberExchange, MemberFigures, Method,
    PausedLogin, PendingLogin, VerifiedLogin, WrittenLine,
};
pub use name::{NameError, check_group_name, check_user_name};
pub use opinion::{Answer, Ask, Opinion, Still, Validity};
pub use password::{Credential, ImportedHashError, PasswordCost, PasswordError};
pub use pattern::covers;
pub use peer::{Peer, Source};
pub use principal::{
    ClaimRefusal, Claims, Grant, GrantActions, GrantEffect, GrantList, GrantRefusal, Principal,
    PrincipalSource, SessionBounds,
};
pub use privilege::{NamedByRules, UserChange, UserChangeRefusal, check_user_change};
pub use reference::AccountReference;
pub use rulebook::{DecisionStep, Rule, Rulebook};
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
