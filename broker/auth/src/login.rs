//! Values of the login decision: the contents of a CONNECT, and the possible results. The decision
//! itself is in `directory`.

mod challenge;
mod figures;
mod log_lines;
mod method;
mod packet;

use std::sync::Arc;

pub use challenge::{MemberChallenge, MemberExchange};
pub(crate) use figures::MemberResult;
pub use figures::{ANSWER_BOUNDS, AnswerTimes, MemberCounts, MemberFigures};
pub use log_lines::{LogLines, WrittenLine};
use lotmq_shares::OwnerKey;
pub use method::Method;
pub use packet::{AlternativeKind, ClientCertificate, ConnectPacket};
use zeroize::Zeroizing;

use crate::account::Account;
use crate::attempts::AttemptKey;
use crate::password::{Credential, PasswordCost};
use crate::peer::{Peer, Source};
use crate::principal::Principal;
use crate::scram::ScramVerifier;

/// Identity of a session. Kept with the session and put into every [`Question`](crate::Question).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// User, account or nobody, as the login has proved.
    pub principal: Arc<Principal>,
    /// The Client Identifier.
    pub client_id: Arc<str>,
    /// From where it came.
    pub peer: Peer,
    /// MQTT version that it speaks, as in CONNECT; `None` without a connection.
    pub protocol_version: Option<u8>,
}

impl Identity {
    /// A session of this principal, without a connection yet.
    pub fn new(principal: Arc<Principal>, client_id: Arc<str>, peer: Peer) -> Identity {
        Identity { principal, client_id, peer, protocol_version: None }
    }

    /// A session without a user.
    pub fn anonymous(client_id: Arc<str>, peer: Peer) -> Identity {
        Identity::new(Principal::anonymous(), client_id, peer)
    }

    /// Name of the user; `None` for an anonymous one, whose name no rule can match.
    pub fn user(&self) -> Option<&Arc<str>> {
        self.principal.name()
    }

    /// Name of the user as text.
    pub fn user_name(&self) -> Option<&str> {
        self.user().map(|user| &**user)
    }

    /// [`Principal::number`]; 0 for an anonymous session.
    pub fn account(&self) -> u64 {
        self.principal.number()
    }

    /// [`Principal::credential_version`]; 0 without an account.
    pub fn credential_version(&self) -> u64 {
        self.principal.credential_version()
    }

    /// Key of the share of its work; 0 for an anonymous session.
    pub fn quota_key(&self) -> u64 {
        self.principal.quota_key()
    }

    /// Owner of what it does, in the tenant of this number.
    pub fn owner_key(&self, tenant: u32) -> OwnerKey {
        OwnerKey { tenant, quota_key: self.quota_key() }
    }

    /// Whether both are of one user: the name is the same, and its source.
    pub fn is_same_user(&self, other: &Identity) -> bool {
        self.user() == other.user() && self.principal.member() == other.principal.member()
    }

    /// Whether this is the account `root`.
    pub fn is_root(&self) -> bool {
        self.principal.is_root()
    }
}

/// Policy for logins without a user name: `AnonymousLogin`, commands reference §9.1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AnonymousLogin {
    /// Not set explicitly: allowed, but from loopback only.
    #[default]
    FromLoopback,
    /// Explicitly `true`: allowed from everywhere.
    FromEverywhere,
    /// Explicitly `false`.
    Refused,
}

impl AnonymousLogin {
    /// Whether an anonymous peer is let in.
    pub fn admits(self, peer: Peer) -> bool {
        match self {
            AnonymousLogin::FromLoopback => peer.is_loopback(),
            AnonymousLogin::FromEverywhere => true,
            AnonymousLogin::Refused => false,
        }
    }
}

/// The facts of a CONNECT on which the login is decided.
#[derive(Debug, Clone)]
pub struct LoginRequest<'a> {
    /// User Name, without a tenant part. An empty one counts as none: web clients send it when the
    /// field is left blank.
    pub user_name: Option<&'a str>,
    /// Password.
    pub password: Option<&'a [u8]>,
    /// Client Identifier, or the one that the broker assigned.
    pub client_id: Arc<str>,
    /// From where it came.
    pub peer: Peer,
    /// Policy of this listener for logins without a user name.
    pub anonymous: AnonymousLogin,
    /// When it comes, in milliseconds of a clock that never goes back.
    pub now_ms: u64,
}

/// First result of a login.
#[allow(
    clippy::large_enum_variant,
    reason = "a login is moved a few times, and a box would be an allocation for each"
)]
#[derive(Debug)]
pub enum LoginStep {
    /// Let in without hashing: anonymous, or the password is remembered.
    Admitted(Identity),
    /// Not let in.
    Refused(LoginRefusal),
    /// The password must be hashed: go on with
    /// [`Directory::check_login`](crate::Directory::check_login) and [`PendingLogin::verify`] on a
    /// thread where 20 ms hurt nobody.
    Verify(PendingLogin),
    /// A member of the chain is asked, and answers later: go on with [`PausedLogin::ask`].
    /// Only [`Directory::check_login`](crate::Directory::check_login) gives it.
    Ask(PausedLogin),
}

/// Reason why a login is refused. All but one reach the peer without detail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoginRefusal {
    /// No such user, or another password; never told apart. Bad User Name or Password.
    #[error("bad user name or password")]
    BadCredentials,
    /// No user name, where that is not allowed. Not authorized.
    #[error("anonymous login is not allowed here")]
    AnonymousNotAllowed,
    /// The certificate of the client, which is asked who it is, names no user that there is. Not
    /// authorized.
    #[error("the client certificate names no user")]
    CertificateOfNobody,
    /// The certificate of the client has ended since it was shown. Not authorized.
    #[error("the client certificate has expired")]
    CertificateExpired,
    /// `root` still has the password of a fresh installation and the peer is not on this machine.
    /// Not authorized.
    #[error(
        "root still has the default password and may log in from this machine only; set one with \
         -changeUserPassword root <password> or LOTMQ_ROOT_PASSWORD at first start"
    )]
    DefaultPasswordFromElsewhere,
    /// Too many logins as this user from this address have failed, and the time has not passed
    /// after which the next one is looked at. Connection rate exceeded.
    #[error("too many logins as this user from this address have failed; try again later")]
    TooManyFailures,
    /// Too many logins have come from this address within a second. Connection rate exceeded.
    #[error("too many logins from this address; try again later")]
    TooManyFromAddress,
    /// The password or token came without TLS, which `auth.passwords_need_tls` does not allow. Not
    /// authorized.
    #[error(
        "passwords and tokens are taken over TLS alone (auth.passwords_need_tls); this one was readable on its way"
    )]
    Readable,
    /// The address, the user or the client is banned. Banned.
    #[error("the address, the user or the client is banned")]
    Banned,
    /// Too many passwords wait to be checked. Server busy.
    #[error("too many passwords wait to be checked; try again later")]
    Busy,
    /// An exchange did not prove who the Client is: no such user, another password, a message out
    /// of order; never told apart. Not authorized.
    #[error("authentication failed")]
    ExchangeFailed,
    /// The token, or another proof of limited life, has expired. Not authorized.
    #[error("the credentials have expired")]
    CredentialsExpired,
    /// A member of the login chain refused the Client. Not authorized.
    #[error("the login was refused")]
    DeniedByMember,
    /// A member of the login chain named a user whose name it may not use: `root`, that of an
    /// account, or none that rules could match. Not authorized.
    #[error("the user name is not one that this login may have")]
    NameNotAllowed,
    /// A member of the login chain could not decide. Server unavailable.
    #[error("the login could not be checked; try again later")]
    CheckFailed,
}

/// Origin of a login, used only to order many logins that wait. It is never reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoginOrigin {
    /// Address that it comes from.
    pub source: Source,
    /// Stands for the user whom it names.
    pub user: u64,
    /// There is a user of the name.
    pub is_known: bool,
    /// The user has logged in from there before, without a failed login as that user since.
    pub is_familiar: bool,
}

/// Wait after failed logins as one user from one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginWait {
    /// The user; `None` for a name that nobody has.
    pub user: Option<Arc<str>>,
    /// Source of the failed logins.
    pub source: Source,
    /// Failures since the last success.
    pub failures: u32,
    /// How long the next one has to wait, in milliseconds.
    pub left_ms: u64,
}

/// Decision of a login in place of its password, on a login thread.
pub(crate) trait DecideLogin: Send {
    /// Decides the login at this time, in milliseconds of a clock that never goes back.
    fn decide(self: Box<Self>, pending: PendingLogin, now_ms: u64) -> LoginStep;
}

/// Texts that a member adds to CONNACK.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConnackTexts {
    /// Reason Code of a refusal, a failure that CONNACK may have; `None` for that of the refusal.
    pub reason_code: Option<u8>,
    /// Reason String.
    pub reason: Option<Box<str>>,
    /// User Properties, in order.
    pub user_properties: Vec<(Box<str>, Box<str>)>,
    /// Authentication Data, after an authentication by a method of the member.
    pub data: Option<Vec<u8>>,
}

/// A login that waits for the answer of a member of its chain.
pub struct PausedLogin {
    /// Asks the member.
    pub(crate) ask: Box<dyn FnOnce(Resume) + Send>,
}

/// Takes a login back with the answer of its member, on any thread.
pub(crate) type Resume = Box<dyn FnOnce(AnsweredLogin) + Send>;

/// A login whose member has answered.
pub struct AnsweredLogin {
    /// Origin of the login, which orders logins that wait.
    pub origin: LoginOrigin,
    /// Goes on with the chain at a time.
    pub(crate) go_on: Box<dyn FnOnce(u64) -> AnsweredStep + Send>,
}

/// Next step of a login whose member has answered.
#[allow(clippy::large_enum_variant, reason = "it is moved twice, and a box would be an allocation")]
#[derive(Debug)]
pub enum AnsweredStep {
    /// Step of the chain, and the texts of the member that has decided.
    Decided(LoginStep, Option<Box<ConnackTexts>>),
    /// The member has one more message for the Client.
    Challenge(MemberChallenge),
}

impl PausedLogin {
    /// Asks the member. `resume` gets the login back with the answer, on any thread.
    pub fn ask(self, resume: impl FnOnce(AnsweredLogin) + Send + 'static) {
        (self.ask)(Box::new(resume));
    }
}

impl std::fmt::Debug for PausedLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PausedLogin").finish_non_exhaustive()
    }
}

impl AnsweredLogin {
    /// Goes on with the chain, at this time in milliseconds of a clock that never goes back.
    pub fn go_on(self, now_ms: u64) -> AnsweredStep {
        (self.go_on)(now_ms)
    }
}

/// A login whose password waits for its Argon2id, or which waits for its chain. Holds the password
/// until it is dropped, then wipes it.
pub struct PendingLogin {
    pub(crate) identity: Identity,
    pub(crate) attempt: AttemptKey,
    pub(crate) credential: Credential,
    pub(crate) is_known: bool,
    /// The user has logged in from there before, without a failed login as that user since.
    pub(crate) is_familiar: bool,
    pub(crate) password: Zeroizing<Vec<u8>>,
    /// Salt for a SCRAM verifier, where one is wanted and not there yet.
    pub(crate) scram_salt: Option<[u8; 16]>,
    /// Cost of a new hash, where an imported one is to be replaced.
    pub(crate) rehash_cost: Option<PasswordCost>,
    /// Figures in which the outcome counts.
    pub(crate) figures: Option<Arc<MemberFigures>>,
    /// Chain that decides in place of the password.
    pub(crate) chain: Option<Box<dyn DecideLogin>>,
}

impl PendingLogin {
    /// For a user that exists.
    pub(crate) fn of(
        account: &Account,
        principal: Arc<Principal>,
        attempt: AttemptKey,
        request: &LoginRequest<'_>,
        password: &[u8],
    ) -> PendingLogin {
        PendingLogin {
            identity: Identity::new(principal, Arc::clone(&request.client_id), request.peer),
            attempt,
            credential: account.credential.clone(),
            is_known: true,
            is_familiar: false,
            password: Zeroizing::new(password.to_vec()),
            scram_salt: None,
            rehash_cost: None,
            figures: None,
            chain: None,
        }
    }

    /// Login of an unknown user: takes as long, so that the time reveals nothing.
    pub(crate) fn of_nobody(
        decoy: &Credential,
        attempt: AttemptKey,
        request: &LoginRequest<'_>,
        password: &[u8],
    ) -> PendingLogin {
        PendingLogin {
            identity: Identity::anonymous(Arc::clone(&request.client_id), request.peer),
            attempt,
            credential: decoy.clone(),
            is_known: false,
            is_familiar: false,
            password: Zeroizing::new(password.to_vec()),
            scram_salt: None,
            rehash_cost: None,
            figures: None,
            chain: None,
        }
    }

    /// Returns the origin, which orders logins that wait.
    pub fn origin(&self) -> LoginOrigin {
        let (source, user) = self.attempt.parts();
        LoginOrigin { source, user, is_known: self.is_known, is_familiar: self.is_familiar }
    }

    /// Hashes and compares. About 20 ms of one core and 19 MiB at the default cost.
    pub fn verify(self) -> VerifiedLogin {
        let is_right = self.credential.verify(&self.password) && self.is_known;
        let salt = self.scram_salt.filter(|_| is_right);
        let scram = salt.map(|salt| ScramVerifier::new(&self.password, salt));
        // Made of wrong passwords as well, so that the time does not tell imported accounts apart.
        let rehashed = self.rehash_cost.and_then(|cost| Credential::hash(&self.password, cost).ok());
        VerifiedLogin { is_right, pending: self, scram, rehashed: rehashed.filter(|_| is_right) }
    }
}

impl std::fmt::Debug for PendingLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PendingLogin").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// A login whose password was compared; give it to
/// [`Directory::finish_login`](crate::Directory::finish_login).
#[derive(Debug)]
pub struct VerifiedLogin {
    pub(crate) pending: PendingLogin,
    pub(crate) is_right: bool,
    scram: Option<ScramVerifier>,
    rehashed: Option<Credential>,
}

impl VerifiedLogin {
    /// A verifier for SCRAM that was made of the password, which was right; for
    /// [`Directory::keep_verifier`](crate::Directory::keep_verifier).
    pub fn take_verifier(&mut self) -> Option<ScramVerifier> {
        self.scram.take()
    }

    /// A new hash of the password, which was right, in place of an imported one; for
    /// [`Directory::keep_rehashed`](crate::Directory::keep_rehashed).
    pub fn take_rehashed(&mut self) -> Option<Credential> {
        self.rehashed.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_a_fact_of_the_connection_itself() {
        for (peer, expected) in [
            (Peer::Tcp("127.0.0.1".parse().unwrap()), true),
            (Peer::Tcp("127.9.9.9".parse().unwrap()), true),
            (Peer::Tcp("::1".parse().unwrap()), true),
            (Peer::Tcp("::ffff:127.0.0.1".parse().unwrap()), true),
            (Peer::Tcp("192.168.1.2".parse().unwrap()), false),
            (Peer::Tcp("::ffff:10.0.0.1".parse().unwrap()), false),
            (Peer::Tcp("0.0.0.0".parse().unwrap()), false),
            (Peer::Unix, true),
            (Peer::Proxied("127.0.0.1".parse().unwrap()), false),
            (Peer::Guest, false),
            (Peer::Unknown, false),
        ] {
            assert_eq!(peer.is_loopback(), expected, "{peer:?}");
        }
    }

    #[test]
    fn no_proxied_address_looks_like_this_machine_to_rules() {
        for (peer, expected) in [
            (Peer::Tcp("::ffff:127.0.0.1".parse().unwrap()), "127.0.0.1"),
            (Peer::Unix, "unix"),
            (Peer::Proxied("192.0.2.7".parse().unwrap()), "192.0.2.7"),
            (Peer::Proxied("127.0.0.1".parse().unwrap()), "proxied"),
            (Peer::Proxied("::ffff:127.0.0.9".parse().unwrap()), "proxied"),
            (Peer::Proxied("::1".parse().unwrap()), "proxied"),
        ] {
            assert_eq!(peer.address(), expected, "{peer:?}");
        }
    }
}
