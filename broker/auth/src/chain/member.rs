//! Members of the login chain: parts of the broker that identify users who have no account.
//!
//! The chain asks its members in order, on a login thread. The first one that does not answer
//! [`MemberAnswer::Continue`] decides. Not here: the chain itself (`chain`), and what becomes of
//! claims ([`Principal::of_member`](crate::Principal::of_member)).

use crate::exchange::Method;
use crate::login::LoginRefusal;
use crate::peer::Peer;
use crate::principal::Claims;

/// A member of the login chain. Shared by all login threads.
pub trait LoginMember: Send + Sync {
    /// Its name, by which the configuration lists it. It is stored with sessions, so it never
    /// changes.
    fn name(&self) -> &str;

    /// Authentication method whose tokens the member takes in
    /// [`password`](MemberLogin::password); `None` if it takes passwords only.
    fn method(&self) -> Option<Method> {
        None
    }

    /// Answers a login. Called on a login thread, so it may compute for some milliseconds. It must
    /// not wait for the network: whoever waits holds up all other logins.
    fn authenticate(&self, login: &MemberLogin<'_>) -> MemberAnswer;
}

/// The facts of a CONNECT packet, as a member of the login chain sees them.
#[derive(Clone, Copy)]
pub struct MemberLogin<'a> {
    /// Name of the tenant.
    pub tenant: &'a str,
    /// Name of the listener.
    pub listener: &'a str,
    /// User Name without a tenant part; `None` if it is empty or absent.
    pub user_name: Option<&'a str>,
    /// Password, or Authentication Data of the member's [`method`](LoginMember::method).
    pub password: Option<&'a [u8]>,
    /// The Client Identifier, or the one that the broker assigned.
    pub client_id: &'a str,
    /// Address of the Client.
    pub peer: Peer,
    /// User that the client certificate names; `None` without a certificate, and if the listener
    /// does not take users from certificates.
    pub certificate_user: Option<&'a str>,
    /// The time in milliseconds since 1970.
    pub now_ms: u64,
}

impl std::fmt::Debug for MemberLogin<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let has_password = self.password.is_some();
        f.debug_struct("MemberLogin")
            .field("listener", &self.listener)
            .field("user_name", &self.user_name)
            .field("client_id", &self.client_id)
            .field("has_password", &has_password)
            .finish_non_exhaustive()
    }
}

/// Answer of a member to a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberAnswer {
    /// The member vouches for a user.
    Allow(Claims),
    /// The Client is refused, and no further member is asked.
    Deny(MemberDenial),
    /// The login is not for this member: the next one decides.
    Continue,
    /// The member could not decide, for this reason. The Client is refused, and the failure is
    /// counted.
    Fail(String),
}

/// Refusal by a member of the login chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberDenial {
    /// Reason for the log. It contains no secret and is never sent to the Client.
    pub reason: String,
    /// Refusal for the Client: [`LoginRefusal::BadCredentials`] or
    /// [`LoginRefusal::CredentialsExpired`], else [`LoginRefusal::DeniedByMember`].
    pub refusal: LoginRefusal,
}
