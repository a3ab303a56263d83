//! Principals of the directory's tenant: those of its accounts, and those of members of the login
//! chain.
//!
//! Invariant: nothing finds an account for a principal of a member. An account wins a name: while
//! there is one, no principal of a member has that name.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Directory;
use crate::account::Account;
use crate::login::Identity;
use crate::principal::{ClaimRefusal, Claims, Principal, PrincipalSource};

impl Directory {
    /// Account of an identity, if it still exists. `None` for users of members, also when an
    /// account has their name.
    pub fn account_of(&self, identity: &Identity) -> Option<Arc<Account>> {
        let PrincipalSource::Account { .. } = identity.principal.source() else { return None };
        self.account(identity.user()?)
    }

    /// Principal of the account of this name, with its present credential.
    pub fn principal(&self, name: &str) -> Option<Arc<Principal>> {
        Some(self.known_account(name)?.principal)
    }

    /// Whether a principal may still be used: an account exists and has the credential with which
    /// it logged in, or no account has the name of a user of a member.
    ///
    /// Anonymous ones are always current; whether they may still come is the listener's setting.
    /// Not here: the end of a login, which needs a clock ([`Principal::is_valid_at`]).
    pub fn is_current(&self, identity: &Identity) -> bool {
        let Some(user) = identity.user() else { return true };
        let known = self.account(user);
        match *identity.principal.source() {
            PrincipalSource::Anonymous => true,
            PrincipalSource::Account { credential_version, .. } => {
                known.is_some_and(|account| account.credential_version == credential_version)
            }
            PrincipalSource::Member(_) => known.is_none(),
        }
    }

    /// Whether the user of a principal exists: an account of its name, or for a user of a member no
    /// account of that name. True for anonymous ones.
    pub fn exists(&self, identity: &Identity) -> bool {
        match identity.principal.source() {
            PrincipalSource::Anonymous => true,
            PrincipalSource::Account { .. } => self.account_of(identity).is_some(),
            PrincipalSource::Member(_) => self.is_current(identity),
        }
    }

    /// Principal for which a member of the login chain vouches, with the names of the groups and
    /// properties that were left out because they are rights of administrators.
    ///
    /// # Errors
    /// [`ClaimRefusal`]; [`ClaimRefusal::NameOfAccount`] while an account has the name.
    pub fn vouched(
        &self,
        member: &Arc<str>,
        claims: Claims,
    ) -> Result<(Arc<Principal>, Vec<String>), ClaimRefusal> {
        let (principal, dropped) = Principal::of_member(member, claims)?;
        if principal.name().is_some_and(|name| self.account(name).is_some()) {
            return Err(ClaimRefusal::NameOfAccount);
        }
        self.note_grants(&principal);
        Ok((Arc::new(principal), dropped))
    }

    /// Principal of a member from its stored form; `None` if the bytes are none.
    pub fn restored_principal(&self, stored: &[u8]) -> Option<Arc<Principal>> {
        let principal = Principal::from_stored(stored)?;
        self.note_grants(&principal);
        Some(Arc::new(principal))
    }

    /// Whether rules alone decide about the topics of all sessions.
    pub(crate) fn has_grants(&self) -> bool {
        self.has_grants.load(Ordering::Acquire)
    }

    /// From the first principal with grants on, topics are not the same for all sessions.
    fn note_grants(&self, principal: &Principal) {
        if principal.grants().is_some() && !self.has_grants.swap(true, Ordering::AcqRel) {
            self.changed();
        }
    }
}
