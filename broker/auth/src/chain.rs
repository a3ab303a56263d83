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

pub use member::{
    LoginMember, MemberAnswer, MemberDenial, MemberLogin, MemberReplied, MemberReply, MethodStep,
    WaitingLogin, WaitingMember,
};
pub use run::{Certificate, ChainLogin};

use crate::directory::Directory;
use crate::limits::{DENIED_LINES_PER_SECOND, FAILED_LINES_PER_SECOND};
use crate::login::{LogLines, LoginStep, MemberFigures, Method};

/// Name of the member that is the local user store.
pub const BUILT_IN_MEMBER: &str = "builtin";

/// A member in a chain.
#[derive(Clone)]
pub(crate) struct ChainMember {
    name: Arc<str>,
    member: MemberKind,
    figures: Arc<MemberFigures>,
    lines: Arc<MemberLines>,
}

/// Rate limits of the log lines about one member, which anybody who can connect may cause.
#[derive(Debug, Default)]
struct MemberLines {
    /// Failures and refused answers.
    failed: LogLines<FAILED_LINES_PER_SECOND>,
    denied: LogLines<DENIED_LINES_PER_SECOND>,
    /// Rights of administrators that were left out.
    left_out: LogLines<FAILED_LINES_PER_SECOND>,
}

/// The part of the broker that a member asks.
#[derive(Clone)]
pub(crate) enum MemberKind {
    /// The local user store.
    UserStore,
    /// One that answers at once.
    Prompt(Arc<dyn LoginMember>),
    /// One that answers later.
    Waiting(Arc<dyn WaitingMember>),
}

impl ChainMember {
    fn is_user_store(&self) -> bool {
        matches!(self.member, MemberKind::UserStore)
    }

    /// Whether it takes the messages of this authentication method. The user store has exchanges of
    /// its own.
    fn takes(&self, method: &Method) -> bool {
        match (&self.member, method) {
            (MemberKind::Prompt(member), _) => member.method().as_ref() == Some(method),
            (MemberKind::Waiting(member), Method::OfMember(name)) => member.takes(name),
            (MemberKind::UserStore | MemberKind::Waiting(_), _) => false,
        }
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
    /// The user store and these members, which answer at once.
    pub fn new(members: impl IntoIterator<Item = Arc<dyn LoginMember>>) -> LoginMembers {
        let members = members.into_iter().map(|member| (member.name().into(), MemberKind::Prompt(member)));
        LoginMembers::default().with(members)
    }

    /// These and others that answer later.
    #[must_use]
    pub fn and_waiting(self, members: impl IntoIterator<Item = Arc<dyn WaitingMember>>) -> LoginMembers {
        let members = members.into_iter().map(|member| (member.name().into(), MemberKind::Waiting(member)));
        self.with(members)
    }

    /// Adds members. The one that has a name first keeps it.
    fn with(mut self, members: impl Iterator<Item = (Arc<str>, MemberKind)>) -> LoginMembers {
        for (name, member) in members {
            let (figures, lines) = Default::default();
            let new = ChainMember { name: Arc::clone(&name), member, figures, lines };
            self.0.entry(name).or_insert(new);
        }
        self
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
    /// The user store alone.
    fn default() -> LoginMembers {
        let built_in = (BUILT_IN_MEMBER.into(), MemberKind::UserStore);
        LoginMembers(BTreeMap::new()).with(std::iter::once(built_in))
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
        self.members.iter().any(ChainMember::is_user_store)
    }

    /// Whether a member is asked that needs the whole [`ConnectPacket`].
    pub fn needs_packet(&self) -> bool {
        self.members.iter().any(|member| matches!(member.member, MemberKind::Waiting(_)))
    }

    /// Whether a member takes the messages of this authentication method.
    pub fn takes(&self, method: &Method) -> bool {
        self.members.iter().any(|member| member.takes(method))
    }

    /// Whether the local user store alone is asked.
    fn is_built_in_alone(&self) -> bool {
        matches!(&*self.members, [member] if member.is_user_store())
    }

    /// First step of a login: decides at once if the user store alone is asked. Otherwise the chain
    /// runs in [`Directory::check_login`].
    pub fn begin(self: &Arc<Self>, users: &Arc<Directory>, login: ChainLogin<'_>) -> LoginStep {
        if login.method.is_none() && (self.is_built_in_alone() || login.is_root_of_default()) {
            let figures = self.members.iter().find(|member| member.is_user_store());
            return run::ask_user_store(users, &login.request, login.certificate, figures);
        }
        run::begin(self, users, login)
    }
}

#[cfg(test)]
mod line_tests;
#[cfg(test)]
mod tests;
