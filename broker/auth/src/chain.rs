//! The login chain of a listener: the members that are asked, in order, until one decides.
//!
//! Member `builtin` stands for the local user store: accounts, certificates and anonymous Clients.
//! A chain of it alone decides at once what needs no hashing. Every other chain runs on a login
//! thread, with the same fair order and the same waits after failures as passwords.
//!
//! Invariants: a member that fails or panics denies. A login that every member leaves to the next
//! one is refused. `root` of the default tenant is asked of the user store alone, so that no outage
//! locks the operator out. Not here: the threads (`logins` of the server).

mod member;
mod run;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use member::{LoginMember, MemberAnswer, MemberDenial, MemberLogin};
pub use run::{Certificate, ChainLogin};

use crate::directory::Directory;
use crate::exchange::Method;
use crate::login::{LoginStep, MemberFigures};

/// Name of the member that is the local user store.
pub const BUILT_IN_MEMBER: &str = "builtin";

/// A member in a chain.
#[derive(Clone)]
pub(crate) struct ChainMember {
    name: Arc<str>,
    /// `None` for the local user store.
    member: Option<Arc<dyn LoginMember>>,
    figures: Arc<MemberFigures>,
}

impl ChainMember {
    /// Whether it takes the tokens of this authentication method. The user store takes none.
    fn takes(&self, method: Method) -> bool {
        self.member.as_ref().and_then(|member| member.method()) == Some(method)
    }
}

/// All members of a broker, by name, with their figures.
pub struct LoginMembers(BTreeMap<Arc<str>, ChainMember>);

/// A listed member that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no login module '{name}'; configured are: {known}")]
pub struct UnknownMember {
    /// The name, escaped.
    pub name: String,
    /// Names of the members that exist.
    pub known: String,
}

impl LoginMembers {
    /// The user store and these members.
    pub fn new(members: impl IntoIterator<Item = Arc<dyn LoginMember>>) -> LoginMembers {
        let named = |name: &str, member| {
            let name: Arc<str> = name.into();
            (Arc::clone(&name), ChainMember { name, member, figures: Arc::default() })
        };
        let others = members.into_iter().map(|member| {
            let name = member.name().to_owned();
            named(&name, Some(member))
        });
        // Last, so that no member takes its place.
        LoginMembers(others.chain([named(BUILT_IN_MEMBER, None)]).collect())
    }

    /// Chain of these members, in this order.
    ///
    /// # Errors
    /// [`UnknownMember`].
    pub fn chain(&self, names: &[impl AsRef<str>]) -> Result<LoginChain, UnknownMember> {
        let find = |name: &str| {
            self.0.get(name).cloned().ok_or_else(|| UnknownMember {
                name: name.escape_debug().to_string(),
                known: self.0.keys().map(|known| &**known).collect::<Vec<_>>().join(", "),
            })
        };
        let members = names.iter().map(|name| find(name.as_ref())).collect::<Result<_, _>>()?;
        Ok(LoginChain { members })
    }

    /// Names and figures of all members, by name.
    pub fn figures(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<MemberFigures>)> {
        self.0.values().map(|member| (&member.name, &member.figures))
    }
}

impl Default for LoginMembers {
    fn default() -> LoginMembers {
        LoginMembers::new([])
    }
}

/// Members that a listener asks about a login, in order.
pub struct LoginChain {
    members: Box<[ChainMember]>,
}

impl Default for LoginChain {
    /// The local user store alone.
    fn default() -> LoginChain {
        LoginMembers::default().chain(&[BUILT_IN_MEMBER]).expect("the user store is always a member")
    }
}

impl LoginChain {
    /// Chain that asks nobody and refuses every login.
    pub fn of_nobody() -> LoginChain {
        LoginChain { members: Box::default() }
    }

    /// Whether the local user store is asked, and with it authentication methods such as SCRAM.
    pub fn has_built_in(&self) -> bool {
        self.members.iter().any(|member| member.member.is_none())
    }

    /// Whether a member takes the tokens of this authentication method.
    pub fn takes_bearer(&self, method: Method) -> bool {
        method.is_bearer() && self.members.iter().any(|member| member.takes(method))
    }

    /// Whether the local user store alone is asked.
    fn is_built_in_alone(&self) -> bool {
        matches!(&*self.members, [member] if member.member.is_none())
    }

    /// First step of a login: decides at once if the user store alone is asked. Otherwise the chain
    /// runs in [`Directory::check_login`].
    pub fn begin(self: &Arc<Self>, users: &Arc<Directory>, login: ChainLogin<'_>) -> LoginStep {
        if login.method.is_none() && (self.is_built_in_alone() || login.is_root_of_default()) {
            let figures = self.members.iter().find(|member| member.member.is_none());
            return run::ask_user_store(users, &login.request, login.certificate, figures);
        }
        run::begin(self, users, login)
    }
}

#[cfg(test)]
mod tests;
