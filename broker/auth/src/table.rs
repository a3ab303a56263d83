//! The permissions of the commands reference §7.3 and §8 as a table, until rules decide.
//!
//! It answers what the built-in rules and the three seeds of a fresh installation answer. Invariants: `root` may do
//! everything; a scope without a row is denied, as it would be without a rule.

use std::sync::Arc;

use crate::account::{Account, Flag};
use crate::decide::{Decide, Question, Verdict};
use crate::directory::Directory;
use crate::pattern::{covers, inner_filter};
use crate::scope::{Scope, is_under_sys};

/// The tree that every authenticated user may read, and all that an anonymous Client on loopback gets of `$SYS/#`.
const SYS_BROKER: &str = "$SYS/broker/#";

/// Readable by those who may call commands.
const COMMAND_READERS: [&str; 2] = ["$SYS/Coreflux/Command/Output", "$SYS/Coreflux/Projects/#"];

/// [`Decide`] by the fixed table, with the flags and groups of one tenant's [`Directory`].
pub struct PermissionTable {
    directory: Arc<Directory>,
}

impl PermissionTable {
    /// The table over these users.
    pub fn new(directory: Arc<Directory>) -> PermissionTable {
        PermissionTable { directory }
    }
}

impl Decide for PermissionTable {
    fn decide(&self, question: &Question<'_>) -> Verdict {
        if question.identity.is_root() {
            return Verdict::Allow;
        }
        match question.scope {
            Scope::Connect => Verdict::Allow,
            Scope::Publish => self.publish(question),
            Scope::Subscribe => self.subscribe(question),
            Scope::PublishSys => self.holder(question, Account::is_admin).into(),
            Scope::SubscribeSys => self.subscribe_sys(question),
            Scope::CommandCall => self.holder(question, may_call_commands).into(),
            Scope::SystemConfiguration
            | Scope::RuleManagementCreation
            | Scope::RuleManagementRemove
            | Scope::ModelManagementCreation
            | Scope::ModelManagementRemove
            | Scope::ActionManagementCreation
            | Scope::ActionManagementRemove
            | Scope::ActionManagementRun
            | Scope::RouteManagementCreation
            | Scope::RouteManagementRemove
            | Scope::ModuleManagementCreation
            | Scope::ModuleManagementRemove => {
                self.holder(question, |account| account.has(Flag::SystemConfiguration)).into()
            }
            Scope::UserManagementCreation
            | Scope::UserManagementRemove
            | Scope::UserManagementPasswordChange
            | Scope::UserManagementUpdate => {
                self.holder(question, |account| account.has(Flag::UserManagement)).into()
            }
            Scope::LogManagementCreation
            | Scope::LogManagementUpdate
            | Scope::LogManagementRemove
            | Scope::LogManagementRead => {
                self.holder(question, |account| account.has(Flag::LogManagement)).into()
            }
            Scope::AssetManagementCreation
            | Scope::AssetManagementUpdate
            | Scope::AssetManagementRemove
            | Scope::AssetManagementStart
            | Scope::AssetManagementStop => self.holder(question, may_manage_assets).into(),
            // No built-in rule names it, so nobody but root may.
            Scope::ShellCommand => Verdict::Deny,
        }
    }

    fn generation(&self) -> u64 {
        self.directory.generation()
    }
}

impl PermissionTable {
    /// Seed `AllowPublishTopic`; its `#` does not reach first levels that begin with `$`.
    fn publish(&self, question: &Question<'_>) -> Verdict {
        match question.topic {
            Some(topic) if is_under_sys(topic) => self.holder(question, Account::is_admin).into(),
            Some(topic) => covers("#", topic).into(),
            None => Verdict::Deny,
        }
    }

    /// Seed `AllowSubscribeTopic`, decided on the filter behind `$share/<group>/`.
    fn subscribe(&self, question: &Question<'_>) -> Verdict {
        match question.topic.map(inner_filter) {
            Some(filter) if is_under_sys(filter) => self.subscribe_sys(question),
            Some(filter) => covers("#", filter).into(),
            None => Verdict::Deny,
        }
    }

    /// Built-ins `AllowSubscribeCommandOutput` (10), `AllowSubscribeSysBroker` (10), `AllowSubscribeSysClient` (20).
    fn subscribe_sys(&self, question: &Question<'_>) -> Verdict {
        let Some(filter) = question.topic.map(inner_filter) else { return Verdict::Deny };
        if COMMAND_READERS.iter().any(|pattern| covers(pattern, filter)) {
            return self.holder(question, may_call_commands).into();
        }
        let is_local_anonymous = question.identity.user.is_none() && question.identity.peer.is_loopback();
        if covers(SYS_BROKER, filter) {
            return (is_local_anonymous || self.holder(question, |_| true)).into();
        }
        if is_local_anonymous && filter == "$SYS/#" {
            return Verdict::AllowOnly(SYS_BROKER);
        }
        self.holder(question, Account::is_admin).into()
    }

    /// Whether the asking user exists and fits; never true for an anonymous one.
    fn holder(&self, question: &Question<'_>, fits: impl FnOnce(&Account) -> bool) -> bool {
        let Some(user) = &question.identity.user else { return false };
        self.directory.account(user).is_some_and(|account| fits(&account))
    }
}

/// Holders of CommandCall and readers of its output, first rows of §7.3.
fn may_call_commands(account: &Account) -> bool {
    account.is_admin() || account.has(Flag::UserManagement)
}

/// Commands reference §13.1.
fn may_manage_assets(account: &Account) -> bool {
    account.has(Flag::AssetManipulation) || account.has(Flag::SystemConfiguration)
}

#[cfg(test)]
mod tests;
