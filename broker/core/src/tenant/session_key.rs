//! Keys of sessions: by user, source of the user and Client Identifier.

use std::sync::Arc;

use hashbrown::Equivalent;
use lotmq_auth::{Identity, Principal};

/// Key of a session in its tenant, by which it is taken over \[MQTT-3.1.4-3\].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey<'a> {
    /// The Client Identifier.
    pub client_id: &'a str,
    /// Name of the user whose session it is; `None` for those who came without one.
    pub user: Option<&'a str>,
    /// Member of the login chain that vouches for the user; `None` for an account. Users of one
    /// name and different sources never meet.
    pub member: Option<&'a str>,
}

impl<'a> SessionKey<'a> {
    /// Key of a session with this Client Identifier, of this principal.
    pub(crate) fn new(client_id: &'a str, principal: &'a Principal) -> Self {
        let text = |name: &'a Arc<str>| &**name;
        Self { client_id, user: principal.name().map(text), member: principal.member().map(text) }
    }
}

impl<'a> From<&'a Identity> for SessionKey<'a> {
    fn from(identity: &'a Identity) -> Self {
        Self::new(&identity.client_id, &identity.principal)
    }
}

/// Owned [`SessionKey`], which may outlive its session. Its hash is the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeptSessionKey {
    client_id: Arc<str>,
    user: Option<Arc<str>>,
    member: Option<Arc<str>>,
}

impl KeptSessionKey {
    /// Key of a session with this Client Identifier, of this principal.
    pub(crate) fn new(client_id: Arc<str>, principal: &Principal) -> Self {
        Self { client_id, user: principal.name().cloned(), member: principal.member().cloned() }
    }

    /// Borrowed key, for lookups.
    pub fn key(&self) -> SessionKey<'_> {
        SessionKey { client_id: &self.client_id, user: self.user.as_deref(), member: self.member.as_deref() }
    }
}

impl Equivalent<KeptSessionKey> for SessionKey<'_> {
    fn equivalent(&self, kept: &KeptSessionKey) -> bool {
        *self == kept.key()
    }
}
