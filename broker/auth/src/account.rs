//! One account as it is kept and persisted: name, credential, flags, free properties, groups.
//!
//! The [`Directory`](crate::Directory) changes accounts and returns the changed record; the caller
//! persists it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::limits::{
    GROUPS_PER_ACCOUNT_MAX, OF_OTHERS_PART, PROPERTIES_PER_ACCOUNT_MAX, SETTING_NAME_BYTES_MAX,
    SETTING_VALUE_BYTES_MAX,
};
use crate::name::NameError;
use crate::password::Credential;
use crate::reference::number_of_name;
use crate::{ADMIN_GROUP, ROOT};

/// A user's record. Serialisable as it is persisted; `Debug` shows no hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Name, unique in the tenant, case-sensitive.
    pub name: Arc<str>,
    /// Credential that a password is verified against.
    pub credential: Credential,
    /// Changes with every new password and is never reused by another account of the directory's
    /// life time. Sessions that carry an older one are to be closed.
    pub credential_version: u64,
    /// Identifies the account. A new password and a restart keep it, and no other account ever has
    /// it, not even one of the same name. Not 0. See [`AccountReference`](crate::AccountReference).
    /// Its lower bits select the [share](lotmq_shares::quota_key) of its work.
    #[serde(default)]
    pub number: u64,
    /// The four permission flags.
    #[serde(default)]
    pub flags: Flags,
    /// Free properties, `-changeUserSettings <user> <name> <value>`; rules see them as
    /// `USER HAS <name>`.
    #[serde(default)]
    pub properties: BTreeMap<String, String>,
    /// Groups of which the user is a member.
    #[serde(default)]
    pub groups: BTreeSet<String>,
    /// Name of the user manager who made the account, or of the user that this manager counts for.
    /// `None` if an administrator made it. The audit counts its records for that user. Shares
    /// follow from the [number](Account::number).
    #[serde(default)]
    pub counts_for: Option<Arc<str>>,
}

/// The stored setting that says whom an account counts for. No command can set one of this name: it
/// has a control character.
const COUNTS_FOR: &str = "\u{1}counts-for";

/// The stored setting with the account's number, where that does not follow from its name.
const NUMBER: &str = "\u{1}number";

impl Account {
    /// Returns an account without flags, properties and groups, unchecked. Only for restoring
    /// stored accounts: to add a user, use [`Directory::add_user`](crate::Directory::add_user).
    pub fn new(name: &str, credential: Credential, credential_version: u64) -> Account {
        Account {
            name: name.into(),
            credential,
            credential_version,
            number: number_of_name(name),
            flags: Flags::default(),
            properties: BTreeMap::new(),
            groups: BTreeSet::new(),
            counts_for: None,
        }
    }

    /// Returns the user whom the accounts that it makes count for.
    pub fn accountable(&self) -> &Arc<str> {
        self.counts_for.as_ref().unwrap_or(&self.name)
    }

    /// Returns the settings to store, as names and values: flags that are set, free properties, the
    /// user it counts for, and its number. [`restore_setting`](Account::restore_setting) takes them
    /// back.
    pub fn settings(&self) -> Vec<(String, String)> {
        let flags = Flag::ALL.into_iter().filter(|flag| self.flags.contains(*flag));
        let flags = flags.map(|flag| (flag.name().to_owned(), "true".to_owned()));
        let counts_for = self.counts_for.iter().map(|user| (COUNTS_FOR.to_owned(), user.to_string()));
        let properties = self.properties.iter().map(|(name, value)| (name.clone(), value.clone()));
        let number = (self.number != number_of_name(&self.name)).then(|| self.number.to_string());
        let number = number.map(|number| (NUMBER.to_owned(), number));
        flags.chain(properties).chain(counts_for).chain(number).collect()
    }

    /// Puts back a stored setting, without the bounds that held when it was made.
    pub fn restore_setting(&mut self, name: String, value: String) {
        match Flag::by_name(&name) {
            Some(flag) => self.flags.set(flag, value == "true"),
            None if name == COUNTS_FOR => self.counts_for = Some(value.into()),
            None if name == NUMBER => self.number = value.parse().unwrap_or(self.number),
            None => drop(self.properties.insert(name, value)),
        }
    }

    /// A property as rules see it; a flag (its name in any case) is `true` when it is set, else it
    /// is not there.
    pub fn property(&self, name: &str) -> Option<&str> {
        match Flag::by_name(name) {
            Some(flag) => self.has(flag).then_some("true"),
            None => self.properties.get(name).map(String::as_str),
        }
    }

    /// Whether this is the account that bypasses all rules.
    pub fn is_root(&self) -> bool {
        &*self.name == ROOT
    }

    /// Whether the flag is set; `root` has them all.
    pub fn has(&self, flag: Flag) -> bool {
        self.is_root() || self.flags.contains(flag)
    }

    /// "Admin" of the commands reference §7.2: `root`, a holder of `AllowedSystemConfiguration`, or
    /// a member of `admin`.
    pub fn is_admin(&self) -> bool {
        self.has(Flag::SystemConfiguration) || self.groups.contains(ADMIN_GROUP)
    }

    /// Bytes of its properties and groups.
    pub(crate) fn details_bytes(&self) -> usize {
        let properties = self.properties.iter().map(|(name, value)| name.len() + value.len());
        properties.chain(self.groups.iter().map(String::len)).sum()
    }

    /// Sets a flag (its name in any case) or a free property.
    pub(crate) fn set(&mut self, setting: &str, value: &str) -> Result<(), UserError> {
        match Flag::by_name(setting) {
            Some(flag) => self.flags.set(flag, parse_flag(flag, value)?),
            None => self.set_property(setting, value)?,
        }
        Ok(())
    }

    fn set_property(&mut self, name: &str, value: &str) -> Result<(), UserError> {
        if name.is_empty() || name.len() > SETTING_NAME_BYTES_MAX || name.chars().any(char::is_control) {
            return Err(UserError::SettingNameInvalid { setting: name.to_owned() });
        }
        if value.len() > SETTING_VALUE_BYTES_MAX {
            return Err(UserError::SettingTooLong { setting: name.to_owned(), bytes: value.len() });
        }
        if !self.properties.contains_key(name) && self.properties.len() >= PROPERTIES_PER_ACCOUNT_MAX {
            return Err(UserError::TooManyProperties { user: self.name.to_string() });
        }
        self.properties.insert(name.to_owned(), value.to_owned());
        Ok(())
    }

    /// Adds the user to a group; being in it already is fine.
    pub(crate) fn join(&mut self, group: &str) -> Result<(), UserError> {
        crate::check_group_name(group)
            .map_err(|reason| UserError::GroupNameInvalid { group: group.to_owned(), reason })?;
        if !self.groups.contains(group) && self.groups.len() >= GROUPS_PER_ACCOUNT_MAX {
            return Err(UserError::TooManyGroups { user: self.name.to_string() });
        }
        self.groups.insert(group.to_owned());
        Ok(())
    }

    /// Removes the user from a group.
    pub(crate) fn leave(&mut self, group: &str) -> Result<(), UserError> {
        if self.groups.remove(group) {
            return Ok(());
        }
        Err(UserError::NotInGroup { user: self.name.to_string(), group: group.to_owned() })
    }
}

/// `true` and `false` in any case, nothing else: a typo must not grant a permission.
fn parse_flag(flag: Flag, value: &str) -> Result<bool, UserError> {
    match value {
        v if v.eq_ignore_ascii_case("true") => Ok(true),
        v if v.eq_ignore_ascii_case("false") => Ok(false),
        v => Err(UserError::FlagValueInvalid { flag: flag.name(), value: v.to_owned() }),
    }
}

/// A permission flag of an account, commands reference §7.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Flag {
    /// `AllowedSystemConfiguration`: definitions, configuration, environment, projects; makes an
    /// admin.
    SystemConfiguration,
    /// `AllowedUserManagement`: users, their settings and groups.
    UserManagement,
    /// `AllowedLogManagement`: trace logs.
    LogManagement,
    /// `AllowedAssetManipulation`: assets.
    AssetManipulation,
}

impl Flag {
    /// All flags.
    pub const ALL: [Flag; 4] =
        [Flag::SystemConfiguration, Flag::UserManagement, Flag::LogManagement, Flag::AssetManipulation];

    /// The flag as commands and `Config/Users` spell it.
    pub fn name(self) -> &'static str {
        match self {
            Flag::SystemConfiguration => "AllowedSystemConfiguration",
            Flag::UserManagement => "AllowedUserManagement",
            Flag::LogManagement => "AllowedLogManagement",
            Flag::AssetManipulation => "AllowedAssetManipulation",
        }
    }

    /// The flag of this name in any case, so that a wrong capital does not silently become a free
    /// property.
    pub fn by_name(name: &str) -> Option<Flag> {
        Flag::ALL.into_iter().find(|flag| flag.name().eq_ignore_ascii_case(name))
    }
}

/// A set of [`Flag`]s.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Flags(u8);

impl Flags {
    /// Whether the flag is in the set.
    pub fn contains(self, flag: Flag) -> bool {
        self.0 & Flags::bit(flag) != 0
    }

    /// Adds or removes the flag.
    pub fn set(&mut self, flag: Flag, value: bool) {
        if value {
            self.0 |= Flags::bit(flag);
        } else {
            self.0 &= !Flags::bit(flag);
        }
    }

    /// The bits are persisted and must not change.
    fn bit(flag: Flag) -> u8 {
        match flag {
            Flag::SystemConfiguration => 1,
            Flag::UserManagement => 2,
            Flag::LogManagement => 4,
            Flag::AssetManipulation => 8,
        }
    }
}

/// Part of the bounds of a tenant's users that is open to the changing user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountRoom {
    /// All of it, as administrators have.
    Whole,
    /// The part that users without administrator rights can fill; the rest is reserved for
    /// administrators.
    OfOthers,
}

impl AccountRoom {
    /// How much it is of `max`.
    pub(crate) fn of(self, max: usize) -> usize {
        let (numerator, denominator) = OF_OTHERS_PART;
        match self {
            AccountRoom::Whole => max,
            AccountRoom::OfOthers => max / denominator * numerator,
        }
    }
}

impl fmt::Display for AccountRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AccountRoom::Whole => "everybody",
            AccountRoom::OfOthers => "who is no administrator",
        })
    }
}

/// Why a change of the users was refused. The texts are replies of commands and begin accordingly.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UserError {
    /// `-addUser` of a name that is taken.
    #[error("User {user} already exists.")]
    Exists {
        /// The name.
        user: String,
    },
    /// No account has this name.
    #[error("User {user} not found.")]
    NotFound {
        /// The name.
        user: String,
    },
    /// `root` exists always.
    #[error("User root cannot be removed.")]
    RootProtected,
    /// The name breaks the rules of §7.1.
    #[error("User name '{user}' is invalid: {reason}.")]
    NameInvalid {
        /// The name.
        user: String,
        /// Reason why it is invalid.
        reason: NameError,
    },
    /// The group's name breaks the rules of §7.1.
    #[error("Group name '{group}' is invalid: {reason}.")]
    GroupNameInvalid {
        /// The name.
        group: String,
        /// Reason why it is invalid.
        reason: NameError,
    },
    /// `-removeUserFromGroup` of a user who is not in it.
    #[error("User {user} is not in group {group}.")]
    NotInGroup {
        /// The user.
        user: String,
        /// The group.
        group: String,
    },
    /// A flag takes `true` or `false` only.
    #[error("Setting {flag} takes true or false, not '{value}'.")]
    FlagValueInvalid {
        /// The flag.
        flag: &'static str,
        /// The value given.
        value: String,
    },
    /// Empty, longer than [`SETTING_NAME_BYTES_MAX`], or with control characters.
    #[error(
        "Setting name '{setting}' is invalid: 1 to {SETTING_NAME_BYTES_MAX} bytes without control characters."
    )]
    SettingNameInvalid {
        /// The name.
        setting: String,
    },
    /// The value is longer than [`SETTING_VALUE_BYTES_MAX`].
    #[error("Setting {setting} has {bytes} bytes, the limit is {SETTING_VALUE_BYTES_MAX}.")]
    SettingTooLong {
        /// The name.
        setting: String,
        /// Length of the value.
        bytes: usize,
    },
    /// The account has [`PROPERTIES_PER_ACCOUNT_MAX`] properties.
    #[error("User {user} already has {PROPERTIES_PER_ACCOUNT_MAX} settings.")]
    TooManyProperties {
        /// The user.
        user: String,
    },
    /// The account is in [`GROUPS_PER_ACCOUNT_MAX`] groups.
    #[error("User {user} is already in {GROUPS_PER_ACCOUNT_MAX} groups.")]
    TooManyGroups {
        /// The user.
        user: String,
    },
    /// The tenant has as many accounts as it may have by this change.
    #[error("There are already {count} users, limit {max} for {who}.")]
    TooManyUsers {
        /// How many there are.
        count: usize,
        /// How many there may be.
        max: usize,
        /// For whom that holds.
        who: AccountRoom,
    },
    /// The properties and groups of all accounts have as many bytes as they may have by this
    /// change.
    #[error("Settings and groups of all users would have {bytes} bytes, limit {max} for {who}.")]
    TooManyDetails {
        /// How many they would have.
        bytes: usize,
        /// How many they may have.
        max: usize,
        /// For whom that holds.
        who: AccountRoom,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::password::tests::cheap_credential;

    fn account(name: &str) -> Account {
        Account::new(name, cheap_credential("secret"), 1)
    }

    #[test]
    fn settings_are_flags_or_free_properties() {
        let mut bob = account("bob");
        bob.set("allowedusermanagement", "TRUE").unwrap();
        assert!(bob.has(Flag::UserManagement), "a flag's name in any case is the flag");
        assert!(bob.properties.is_empty());
        bob.set("AllowedUserManagement", "false").unwrap();
        assert!(!bob.has(Flag::UserManagement));
        assert_eq!(
            bob.set("AllowedUserManagement", "yes"),
            Err(UserError::FlagValueInvalid { flag: "AllowedUserManagement", value: "yes".into() })
        );
        bob.set("Line", "7").unwrap();
        assert_eq!(bob.properties.get("Line").map(String::as_str), Some("7"));
        assert!(matches!(bob.set("", "x"), Err(UserError::SettingNameInvalid { .. })));
        assert!(matches!(
            bob.set("Line", &"x".repeat(5000)),
            Err(UserError::SettingTooLong { bytes: 5000, .. })
        ));
    }

    #[test]
    fn properties_and_groups_are_bounded() {
        let mut bob = account("bob");
        for n in 0..PROPERTIES_PER_ACCOUNT_MAX {
            bob.set(&format!("p{n}"), "1").unwrap();
        }
        assert_eq!(bob.set("one more", "1"), Err(UserError::TooManyProperties { user: "bob".into() }));
        bob.set("p0", "2").expect("replacing needs no room");
        for n in 0..GROUPS_PER_ACCOUNT_MAX {
            bob.join(&format!("g{n}")).unwrap();
        }
        assert_eq!(bob.join("one more"), Err(UserError::TooManyGroups { user: "bob".into() }));
        assert_eq!(
            bob.leave("one more"),
            Err(UserError::NotInGroup { user: "bob".into(), group: "one more".into() })
        );
    }

    #[test]
    fn settings_come_back_as_they_were_stored() {
        let mut bob = account("bob");
        bob.set("AllowedLogManagement", "true").unwrap();
        bob.set("AllowedUserManagement", "true").unwrap();
        bob.set("AllowedUserManagement", "false").unwrap();
        bob.set("Line", "7").unwrap();
        let stored = bob.settings();
        assert_eq!(stored, [("AllowedLogManagement".into(), "true".into()), ("Line".into(), "7".to_owned())]);
        let mut restored = Account { flags: Flags::default(), properties: BTreeMap::new(), ..bob.clone() };
        for (name, value) in stored {
            restored.restore_setting(name, value);
        }
        assert_eq!(restored, bob);
    }

    #[test]
    fn admin_is_root_or_flag_or_group() {
        assert!(account("root").is_admin());
        assert!(Flag::ALL.into_iter().all(|flag| account("root").has(flag)));
        let mut bob = account("bob");
        assert!(!bob.is_admin());
        bob.join("admin").unwrap();
        assert!(bob.is_admin() && !bob.has(Flag::SystemConfiguration));
        let mut eve = account("eve");
        eve.set("AllowedSystemConfiguration", "true").unwrap();
        assert!(eve.is_admin());
    }

    #[test]
    fn record_round_trips_as_json_and_debug_hides_the_hash() {
        let mut bob = account("bob");
        bob.set("AllowedLogManagement", "true").unwrap();
        bob.join("shift-1").unwrap();
        let text = serde_json::to_string(&bob).unwrap();
        assert_eq!(serde_json::from_str::<Account>(&text).unwrap(), bob);
        assert!(!format!("{bob:?}").contains("argon2id"));
    }
}
