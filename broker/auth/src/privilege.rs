//! Permissions for changes of users, beyond the scope of the command: commands reference §7.1,
//! §7.3.
//!
//! Users may always change their own password. Only `root` changes `root`. No user grants a right
//! that they lack, nor removes or takes over a user with more rights. Groups, properties and names
//! that rules use are rights, too ([`NamedByRules`]). Users who may configure the system may change
//! rules, so they have all of these rights.

use crate::account::{Account, Flag};
use crate::decide::{Decide, Question};
use crate::directory::Directory;
use crate::login::Identity;
use crate::scope::Scope;
use crate::{ADMIN_GROUP, ROOT};

/// User attributes that the rules of a tenant use, so that having them is a right.
pub trait NamedByRules {
    /// Whether a rule names this user.
    fn user(&self, name: &str) -> bool;
    /// Whether a rule gives something to users whose names it does not say, such as those that a
    /// level of the topic says.
    fn any_user(&self) -> bool;
    /// Whether a rule looks at the membership of this group.
    fn group(&self, name: &str) -> bool;
    /// Whether a rule looks at this property.
    fn property(&self, name: &str) -> bool;
}

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
    Setting { user: &'a str, setting: &'a str, value: &'a str },
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
    /// The change would give a user a flag that the asking user does not hold.
    #[error("You cannot grant {} because you do not have it.", flag.name())]
    FlagNotHeld {
        /// The flag.
        flag: Flag,
    },
    /// Membership of `admin` is given and taken by admins only.
    #[error("Only admins may change the members of group admin.")]
    AdminGroupProtected,
    /// The user to be removed, or to get a new password, has a flag, a membership or something that
    /// rules name which the asking user has not.
    #[error("You cannot {what} {user}, who has permissions that you do not have.")]
    TargetHasMore {
        /// The requested change: `remove`, `change the password of`.
        what: &'static str,
        /// The user to be changed.
        user: String,
    },
    /// Rules name the user that would be added.
    #[error("You cannot add {user}: rules name this user.")]
    UserNamedByRules {
        /// The user.
        user: String,
    },
    /// Rules look at the membership of the group, and the asking user is no member.
    #[error("You cannot change the members of group {group}: rules name it, and you are not a member.")]
    GroupNamedByRules {
        /// The group.
        group: String,
    },
    /// Rules look at the membership of the group, and it is the asking user's own.
    #[error("You cannot change your own membership of group {group}: rules name it.")]
    OwnMembership {
        /// The group.
        group: String,
    },
    /// Rules look at the property, and the asking user does not have that value of it.
    #[error("You cannot set {setting} to this value: rules name it, and you do not have it.")]
    PropertyNamedByRules {
        /// The property.
        setting: String,
    },
}

/// Decides whether `actor` may make the change; asks `decide` for the command's scope first.
///
/// # Errors
/// The refusal; [`UserChangeRefusal::ScopeDenied`] when the scope alone forbids it.
pub fn check_user_change(
    decide: &dyn Decide,
    (directory, named): (&Directory, &dyn NamedByRules),
    actor: &Identity,
    change: UserChange<'_>,
) -> Result<(), UserChangeRefusal> {
    let (scope, user) = change.scope_and_user();
    let account = directory.account_of(actor);
    let is_own = account.as_ref().is_some_and(|account| *account.name == *user);
    let is_own_password = scope == Scope::UserManagementPasswordChange && is_own;
    if actor.is_root() || is_own_password {
        return Ok(());
    }
    if !decide.decide(&Question::operation(actor, scope)).is_allowed() {
        return Err(UserChangeRefusal::ScopeDenied { scope });
    }
    if user == ROOT {
        return Err(UserChangeRefusal::RootProtected);
    }
    Actor { account: account.as_deref(), named }.check(directory, change)
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

/// User that asks for a change. A user without an account (let in by a rule) has no rights.
struct Actor<'a> {
    account: Option<&'a Account>,
    named: &'a dyn NamedByRules,
}

impl Actor<'_> {
    fn check(&self, directory: &Directory, change: UserChange<'_>) -> Result<(), UserChangeRefusal> {
        let has_more = |user: &str| directory.account(user).is_some_and(|target| self.has_less_than(&target));
        let more = |what, user: &str| Err(UserChangeRefusal::TargetHasMore { what, user: user.to_owned() });
        match change {
            UserChange::Add { user } if !self.may_all() && self.named.user(user) => {
                Err(UserChangeRefusal::UserNamedByRules { user: user.to_owned() })
            }
            UserChange::Add { .. } => Ok(()),
            UserChange::Remove { user } if has_more(user) => more("remove", user),
            UserChange::Password { user } if has_more(user) => more("change the password of", user),
            UserChange::Remove { .. } | UserChange::Password { .. } => Ok(()),
            UserChange::Setting { setting, value, .. } => self.check_setting(setting, value),
            UserChange::JoinGroup { group, .. } => self.check_group(group),
            // Not to be a member may be the right.
            UserChange::LeaveGroup { user, group }
                if self.is(user) && self.is_in(group) && !self.may_all() && self.named.group(group) =>
            {
                Err(UserChangeRefusal::OwnMembership { group: group.to_owned() })
            }
            UserChange::LeaveGroup { group, .. } => self.check_group(group),
        }
    }

    fn check_setting(&self, setting: &str, value: &str) -> Result<(), UserChangeRefusal> {
        match Flag::by_name(setting) {
            Some(flag) if self.holds(flag) => Ok(()),
            Some(flag) => Err(UserChangeRefusal::FlagNotHeld { flag }),
            None if self.may_all() || !self.named.property(setting) => Ok(()),
            None if self.property(setting) == Some(value) => Ok(()),
            None => Err(UserChangeRefusal::PropertyNamedByRules { setting: setting.to_owned() }),
        }
    }

    fn check_group(&self, group: &str) -> Result<(), UserChangeRefusal> {
        if group == ADMIN_GROUP {
            let is_admin = self.account.is_some_and(Account::is_admin);
            return if is_admin { Ok(()) } else { Err(UserChangeRefusal::AdminGroupProtected) };
        }
        if self.may_all() || self.is_in(group) || !self.named.group(group) {
            return Ok(());
        }
        Err(UserChangeRefusal::GroupNamedByRules { group: group.to_owned() })
    }

    /// Whether a user has a right that the actor lacks.
    fn has_less_than(&self, target: &Account) -> bool {
        if Flag::ALL.into_iter().any(|flag| target.has(flag) && !self.holds(flag)) {
            return true;
        }
        if target.is_admin() && !self.account.is_some_and(Account::is_admin) {
            return true;
        }
        if self.may_all() {
            return false;
        }
        let has_group = |group: &String| !self.is_in(group) && self.named.group(group);
        let has_property = |(name, value): (&String, &String)| {
            self.property(name) != Some(value) && self.named.property(name)
        };
        target.groups.iter().any(has_group)
            || target.properties.iter().any(has_property)
            || self.named.user(&target.name)
            || self.named.any_user()
    }

    fn holds(&self, flag: Flag) -> bool {
        self.account.is_some_and(|account| account.has(flag))
    }

    /// Whether the actor may change rules.
    fn may_all(&self) -> bool {
        self.holds(Flag::SystemConfiguration)
    }

    fn is(&self, user: &str) -> bool {
        self.account.is_some_and(|account| *account.name == *user)
    }

    fn is_in(&self, group: &str) -> bool {
        self.account.is_some_and(|account| account.groups.contains(group))
    }

    fn property(&self, name: &str) -> Option<&str> {
        self.account.and_then(|account| account.property(name))
    }
}

#[cfg(test)]
mod tests;
