//! The built-in rules of the commands reference §7.3 and §8, as a table: they must hold whatever
//! becomes of guests.
//!
//! Their answers take part in the decision at their priorities, like those of any rule
//! ([`rulebook`](crate::rulebook)). Their readable text is in [`built_in`](crate::built_in); a test
//! of the server compares the compiled texts with this table.

use std::sync::Arc;

use crate::account::{Account, Flag};
use crate::built_in::BRIDGE_STATE;
use crate::decide::{Authorization, Question};
use crate::directory::Directory;
use crate::pattern::{covers, inner_filter};
use crate::scope::Scope;

/// The tree that every authenticated user may read, and all that an anonymous Client on loopback
/// gets of `$SYS/#`.
const SYS_BROKER: &str = "$SYS/broker/#";

/// Readable by users who may call commands.
const COMMAND_OUTPUT: &str = "$SYS/Coreflux/Command/Output";

/// Readable by those who manage users or the system.
const PROJECTS: &str = "$SYS/Coreflux/Projects/#";

/// Priority of the built-in rules that decide.
const FIRST: u64 = 10;

/// Priority of the built-in rules whose grants other rules may widen.
const SECOND: u64 = 20;

/// Built-in rules over the flags and groups of one tenant's [`Directory`].
pub(crate) struct PermissionTable {
    directory: Arc<Directory>,
}

impl PermissionTable {
    /// The table over these users.
    pub(crate) fn new(directory: Arc<Directory>) -> PermissionTable {
        PermissionTable { directory }
    }

    /// The opinions of the built-in rules on a question, by ascending priority; nothing where none
    /// has one.
    pub(crate) fn opinions(&self, question: &Question<'_>) -> [(u64, Option<Authorization>); 2] {
        let first = match question.scope {
            Scope::Connect | Scope::Publish | Scope::Subscribe | Scope::PublishSys => None,
            Scope::SubscribeSys => self.subscribe_sys(question),
            Scope::CommandCall => Some(self.holder(question, may_call_commands).into()),
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
                self.allowed(question, |account| account.has(Flag::SystemConfiguration))
            }
            Scope::UserManagementCreation
            | Scope::UserManagementRemove
            | Scope::UserManagementPasswordChange
            | Scope::UserManagementUpdate => {
                self.allowed(question, |account| account.has(Flag::UserManagement))
            }
            Scope::LogManagementCreation
            | Scope::LogManagementUpdate
            | Scope::LogManagementRemove
            | Scope::LogManagementRead => self.allowed(question, |account| account.has(Flag::LogManagement)),
            Scope::AssetManagementCreation
            | Scope::AssetManagementUpdate
            | Scope::AssetManagementRemove
            | Scope::AssetManagementStart
            | Scope::AssetManagementStop => self.allowed(question, may_manage_assets),
            // No built-in rule names it, so nobody but root may, until another rule says so.
            Scope::ShellCommand => None,
        };
        let is_of_tree = question.scope == Scope::PublishSys
            || (question.scope == Scope::SubscribeSys && question.topic.is_some());
        let second = is_of_tree.then(|| self.allowed(question, Account::is_admin)).flatten();
        let second = second.or_else(|| publish_bridge_state(question));
        [(FIRST, first), (SECOND, second)]
    }

    /// Built-ins `AllowSubscribeCommandOutput` and `AllowSubscribeSysBroker`.
    fn subscribe_sys(&self, question: &Question<'_>) -> Option<Authorization> {
        let filter = question.topic.map(inner_filter)?;
        if covers(COMMAND_OUTPUT, filter) {
            return Some(self.holder(question, may_call_commands).into());
        }
        if covers(PROJECTS, filter) {
            return Some(self.holder(question, may_read_projects).into());
        }
        let identity = question.identity;
        let is_local_anonymous = identity.user().is_none() && identity.peer.is_loopback();
        if covers(SYS_BROKER, filter) {
            let is_user = identity.principal.member().is_some() || self.holder(question, |_| true);
            return Some((is_local_anonymous || is_user).into());
        }
        (is_local_anonymous && filter == "$SYS/#").then_some(Authorization::AllowOnly(SYS_BROKER))
    }

    /// Allows users who fit; has no answer for others.
    fn allowed(&self, question: &Question<'_>, fits: impl FnOnce(&Account) -> bool) -> Option<Authorization> {
        self.holder(question, fits).then_some(Authorization::Allow)
    }

    /// Whether the account of the asking user exists and fits; never true for users of members, who
    /// have no rights of administrators, and for anonymous ones.
    fn holder(&self, question: &Question<'_>, fits: impl FnOnce(&Account) -> bool) -> bool {
        self.directory.account_of(question.identity).is_some_and(|account| fits(&account))
    }
}

/// Built-in `AllowPublishBridgeState`: a bridge may publish its own connection state.
fn publish_bridge_state(question: &Question<'_>) -> Option<Authorization> {
    let topic = question.topic.filter(|_| question.scope == Scope::PublishSys)?;
    let is_own = covers(BRIDGE_STATE, topic)
        && !question.identity.client_id.is_empty()
        && topic.split('/').nth(3) == Some(&*question.identity.client_id);
    is_own.then_some(Authorization::Allow)
}

/// Whether an account may call commands and read their output, first rows of §7.3. Some flags are
/// only usable with commands, so their holders may, too.
fn may_call_commands(account: &Account) -> bool {
    may_read_projects(account) || account.has(Flag::LogManagement)
}

fn may_read_projects(account: &Account) -> bool {
    account.is_admin() || account.has(Flag::UserManagement)
}

/// Commands reference §13.1.
fn may_manage_assets(account: &Account) -> bool {
    account.has(Flag::AssetManipulation) || account.has(Flag::SystemConfiguration)
}

#[cfg(test)]
mod tests;
