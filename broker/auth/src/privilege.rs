//! Which changes of users a user may make, beyond the scope of the command: commands reference §7.1, §7.3.
//!
//! One's own password may always be changed; `root` is changed by `root` alone; nobody gives what he does not have.

use crate::account::{Account, Flag};
use crate::decide::{Decide, Question};
use crate::directory::Directory;
use crate::login::Identity;
use crate::scope::Scope;
use crate::{ADMIN_GROUP, ROOT};

/// A change that a command asks for. `user` is the one to be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are the arguments of the command that each variant names")]
pub enum UserChange<'a> {
    /// `-addUser`.
    Add { user: &'a str },
    /// `-removeUser`.
    Remove { user: &'a str },
    /// `-changeUserPassword`.
    Password { user: &'a str },
    /// `-changeUserSettings`.
    Setting { user: &'a str, setting: &'a str },
    /// `-addUserToGroup`.
    JoinGroup { user: &'a str, group: &'a str },
    /// `-removeUserFromGroup`.
    LeaveGroup { user: &'a str, group: &'a str },
}

/// Why the change is not allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UserChangeRefusal {
    /// The scope of the command is denied; the reply is the general permission message.
    #[error("scope {} is denied", scope.name())]
    ScopeDenied {
        /// The scope that was asked.
        scope: Scope,
    },
    /// Only `root` changes `root`.
    #[error("Only root may change root.")]
    RootProtected,
    /// The change would give somebody a flag that the asking user does not hold.
    #[error("You cannot grant {} because you do not have it.", flag.name())]
    FlagNotHeld {
        /// The flag.
        flag: Flag,
    },
    /// Membership of `admin` is given and taken by admins only.
    #[error("Only admins may change the members of group admin.")]
    AdminGroupProtected,
    /// A new password for this user would let the asking user act with a flag or membership that he does not hold.
    #[error("You cannot change the password of {user}, who has permissions that you do not have.")]
    TargetHasMore {
        /// The user to be changed.
        user: String,
    },
}

/// Decides whether `actor` may make the change; asks `decide` for the command's scope first.
///
/// # Errors
/// The refusal; [`UserChangeRefusal::ScopeDenied`] when the scope alone forbids it.
pub fn check_user_change(
    decide: &dyn Decide,
    directory: &Directory,
    actor: &Identity,
    change: UserChange<'_>,
) -> Result<(), UserChangeRefusal> {
    let (scope, user) = change.scope_and_user();
    let is_own_password = scope == Scope::UserManagementPasswordChange && actor.user.as_deref() == Some(user);
    if actor.is_root() || is_own_password {
        return Ok(());
    }
    if !decide.decide(&Question::operation(actor, scope)).is_allowed() {
        return Err(UserChangeRefusal::ScopeDenied { scope });
    }
    if user == ROOT {
        return Err(UserChangeRefusal::RootProtected);
    }
    let account = actor.user.as_deref().and_then(|name| directory.account(name));
    check_privilege(account.as_deref(), directory, change)
}

impl<'a> UserChange<'a> {
    fn scope_and_user(self) -> (Scope, &'a str) {
        match self {
            UserChange::Add { user } => (Scope::UserManagementCreation, user),
            UserChange::Remove { user } => (Scope::UserManagementRemove, user),
            UserChange::Password { user } => (Scope::UserManagementPasswordChange, user),
            UserChange::Setting { user, .. }
            | UserChange::JoinGroup { user, .. }
            | UserChange::LeaveGroup { user, .. } => (Scope::UserManagementUpdate, user),
        }
    }
}

/// Nobody gives what he does not have. An actor without an account (a rule let it in) has nothing.
fn check_privilege(
    actor: Option<&Account>,
    directory: &Directory,
    change: UserChange<'_>,
) -> Result<(), UserChangeRefusal> {
    let holds = |flag| actor.is_some_and(|account| account.has(flag));
    let is_admin = actor.is_some_and(Account::is_admin);
    match change {
        UserChange::Add { .. } | UserChange::Remove { .. } => Ok(()),
        UserChange::Setting { setting, .. } => match Flag::by_name(setting) {
            Some(flag) if !holds(flag) => Err(UserChangeRefusal::FlagNotHeld { flag }),
            _ => Ok(()),
        },
        UserChange::JoinGroup { group, .. } | UserChange::LeaveGroup { group, .. } => {
            if group == ADMIN_GROUP && !is_admin {
                return Err(UserChangeRefusal::AdminGroupProtected);
            }
            Ok(())
        }
        UserChange::Password { user } => match directory.account(user) {
            Some(target) if has_more(&target, holds, is_admin) => {
                Err(UserChangeRefusal::TargetHasMore { user: user.to_owned() })
            }
            _ => Ok(()),
        },
    }
}

fn has_more(target: &Account, holds: impl Fn(Flag) -> bool, is_admin: bool) -> bool {
    Flag::ALL.into_iter().any(|flag| target.has(flag) && !holds(flag)) || (target.is_admin() && !is_admin)
}

#[cfg(test)]
mod tests;
