//! Members of the login chain: parts of the broker that identify users who have no account.
//!
//! The chain asks its members in order, on a login thread. The first one that does not answer
//! [`MemberAnswer::Continue`] decides. A [`LoginMember`] answers at once, a [`WaitingMember`]
//! later. Not here: the chain itself (`chain`), and what becomes of claims
//! ([`Principal::of_member`](crate::Principal::of_member)).

use std::sync::Arc;

use zeroize::Zeroizing;

use crate::login::{ConnackTexts, ConnectPacket, LoginRefusal, Method};
use crate::peer::{Peer, Source};
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
    /// One more message for the Client, in an authentication by the member's own method.
    Challenge(Vec<u8>),
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

/// A member of the login chain that answers later, such as a guest that asks a server. The login
/// waits for its answer, and no thread does.
pub trait WaitingMember: Send + Sync {
    /// Its name, by which the configuration lists it. It is stored with sessions, so it never
    /// changes.
    fn name(&self) -> &str;

    /// Whether it knows the authentication method of this name (MQTT 5.0 §4.12).
    fn takes(&self, _method: &str) -> bool {
        false
    }

    /// Asks about a login, or about a step of an authentication by a method that it knows. Returns
    /// at once. `reply` may be used on any thread.
    fn ask(&self, login: WaitingLogin, reply: MemberReply);

    /// An authentication that it has answered with a challenge is over before its end.
    fn forget(&self, _connection: u64) {}
}

/// A login as a [`WaitingMember`] gets it.
#[derive(Debug, Clone)]
pub struct WaitingLogin {
    /// Name of the tenant.
    pub tenant: Box<str>,
    /// Name of the listener.
    pub listener: Box<str>,
    /// User Name without a tenant part; `None` if it is empty or absent.
    pub user_name: Option<Box<str>>,
    /// Address of the Client, for a fair order.
    pub source: Source,
    /// CONNECT and facts of its connection.
    pub packet: Arc<ConnectPacket>,
    /// Step of an authentication by a method of the member; `None` for a password.
    pub step: Option<Box<MethodStep>>,
}

/// Message of a Client in an authentication by a method of a member.
#[derive(Clone)]
pub struct MethodStep {
    /// Name of the method.
    pub method: Arc<str>,
    /// Authentication Data; empty if the packet has none.
    pub data: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for MethodStep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MethodStep").field("method", &self.method).finish_non_exhaustive()
    }
}

/// Answer of a [`WaitingMember`], with its texts for CONNACK.
#[derive(Debug)]
pub struct MemberReplied {
    /// The answer.
    pub answer: MemberAnswer,
    /// Texts for CONNACK; `None` for none.
    pub connack: Option<Box<ConnackTexts>>,
}

/// Takes the one answer to a login. Dropped without one, the login fails.
pub struct MemberReply(Option<Box<dyn FnOnce(MemberReplied) + Send>>);

impl MemberReply {
    /// Reply that hands the answer to this function.
    pub fn new(take: impl FnOnce(MemberReplied) + Send + 'static) -> MemberReply {
        MemberReply(Some(Box::new(take)))
    }

    /// Answers.
    pub fn send(mut self, replied: MemberReplied) {
        if let Some(take) = self.0.take() {
            take(replied);
        }
    }

    /// Fails the login, for this reason.
    pub fn fail(self, reason: impl Into<String>) {
        self.send(MemberReplied { answer: MemberAnswer::Fail(reason.into()), connack: None });
    }
}

impl Drop for MemberReply {
    fn drop(&mut self) {
        if let Some(take) = self.0.take() {
            let answer = MemberAnswer::Fail("it gave no answer".to_owned());
            take(MemberReplied { answer, connack: None });
        }
    }
}

impl std::fmt::Debug for MemberReply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemberReply").finish_non_exhaustive()
    }
}
