//! Principals: the identity that a login has proved, and its source.
//!
//! An account, an anonymous Client and a user for whom a member of the login chain vouches are
//! principals of different sources. Rights of administrators come from accounts alone: by source,
//! never by name. Groups and properties of an account are looked up in the
//! [`Directory`](crate::Directory), so that each change counts at once. A principal of a member
//! carries its own as [`Claims`], because the broker does not store that user.
//!
//! Invariants: a principal of a member is never `root`, has none of the four permission flags, and
//! is in no group `admin`. Its number and its quota key are those of no account. Not here: whether
//! a principal may still be used ([`Directory::is_current`](crate::Directory::is_current)).

mod grants;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

pub(crate) use grants::GrantNames;
pub use grants::{Grant, GrantActions, GrantEffect, GrantList, GrantRefusal};
use lotmq_shares::{external_account, quota_key};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::account::{Account, Flag};
use crate::limits::{CLAIMS_BYTES_MAX, GROUPS_PER_ACCOUNT_MAX, PROPERTIES_PER_ACCOUNT_MAX};
use crate::name::{NameError, check_group_name, check_user_name};
use crate::pattern::inner_filter;
use crate::reference::AccountReference;
use crate::{ADMIN_GROUP, ROOT};

/// Source of a principal: the part of the broker that has identified it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrincipalSource {
    /// Nothing: the Client came without a user name.
    Anonymous,
    /// The account of the local store with this number.
    Account {
        /// [`Account::number`].
        number: u64,
        /// [`Account::credential_version`] at login.
        credential_version: u64,
    },
    /// The member of the login chain with this name.
    Member(Arc<str>),
}

/// The source as log lines have it: `anonymous`, `account`, or `member` with its name.
impl std::fmt::Display for PrincipalSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            PrincipalSource::Anonymous => f.write_str("anonymous"),
            PrincipalSource::Account { .. } => f.write_str("account"),
            PrincipalSource::Member(member) => write!(f, "member {member}"),
        }
    }
}

/// Statements of a member of the login chain about a user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims {
    /// User name, by the rules of [`check_user_name`].
    pub user: String,
    /// Groups, as rules see them. Group `admin` is left out.
    pub groups: BTreeSet<String>,
    /// Properties, as rules see them. The four permission flags are left out.
    pub properties: BTreeMap<String, String>,
    /// Grants that decide about topics in place of rules; `None` if rules decide.
    pub grants: Option<GrantList>,
    /// End of the login in milliseconds since 1970; `None` if it has none. The broker ends the
    /// connection then, as it does for an expired certificate.
    pub valid_until_ms: Option<u64>,
    /// Bounds of the sessions, where they are lower than those of the broker.
    pub bounds: SessionBounds,
}

/// Bounds of a session that a member of the login chain sets. They lower those of the broker and
/// never raise them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SessionBounds {
    /// Longest Session Expiry Interval, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_expiry_sec: Option<u32>,
    /// Messages that the Client may publish in a second; at least one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages_per_sec: Option<u32>,
    /// Number of subscriptions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscriptions: Option<u32>,
}

/// Reason why claims make no principal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimRefusal {
    /// The user is `root`, which is an account of the local store and nothing else.
    #[error("only the local user store can identify root")]
    Root,
    /// The user name breaks a rule.
    #[error("user name '{user}': {reason}")]
    User {
        /// The name, escaped.
        user: String,
        /// The rule.
        reason: NameError,
    },
    /// An account of the local store has the name.
    #[error("an account of the broker has this user name")]
    NameOfAccount,
    /// The name of a group breaks a rule.
    #[error("group '{group}': {reason}")]
    Group {
        /// The name, escaped.
        group: String,
        /// The rule.
        reason: NameError,
    },
    /// There are more groups, more properties or more bytes than a principal may have.
    #[error("{count} {what}, the limit is {max}")]
    TooMuch {
        /// The thing that is counted.
        what: &'static str,
        /// Its number.
        count: usize,
        /// The limit.
        max: usize,
    },
}

/// Groups, properties and grants of [`Claims`].
type Rights<'a> = (&'a BTreeSet<String>, &'a BTreeMap<String, String>, &'a Option<GrantList>);

/// An identity that a login has proved. Shared by the sessions of one account.
#[derive(Debug, PartialEq, Eq)]
pub struct Principal {
    /// `None` for an anonymous one, whose name no rule can match.
    name: Option<Arc<str>>,
    source: PrincipalSource,
    number: u64,
    /// Claims of a member; the user in it is empty, for it is `name`.
    claims: Option<Box<Claims>>,
}

impl Principal {
    /// The principal of every Client without a user name.
    pub fn anonymous() -> Arc<Principal> {
        static ANONYMOUS: LazyLock<Arc<Principal>> = LazyLock::new(|| {
            let source = PrincipalSource::Anonymous;
            Arc::new(Principal { name: None, source, number: 0, claims: None })
        });
        Arc::clone(&ANONYMOUS)
    }

    /// Principal of an account as it is now.
    pub fn of_account(account: &Account) -> Principal {
        let Account { number, credential_version, .. } = *account;
        let source = PrincipalSource::Account { number, credential_version };
        Principal { name: Some(Arc::clone(&account.name)), source, number, claims: None }
    }

    /// Principal of an account that is known by its name and number alone, as the store names it.
    pub fn of_reference(account: AccountReference<'_>) -> Arc<Principal> {
        let AccountReference { name, number } = account;
        let source = PrincipalSource::Account { number, credential_version: 0 };
        Arc::new(Principal { name: Some(name.into()), source, number, claims: None })
    }

    /// Principal for which a member of the login chain vouches, with the names of the groups and
    /// properties that were left out because they are rights of administrators.
    ///
    /// # Errors
    /// [`ClaimRefusal`], also for `root`. A name that an account has is not refused here.
    pub fn of_member(
        member: &Arc<str>,
        mut claims: Claims,
    ) -> Result<(Principal, Vec<String>), ClaimRefusal> {
        let dropped = claims.drop_rights_of_administrators();
        claims.check()?;
        let name: Arc<str> = std::mem::take(&mut claims.user).into();
        let number = number_of_member(member, &name);
        let source = PrincipalSource::Member(Arc::clone(member));
        Ok((Principal { name: Some(name), source, number, claims: Some(Box::new(claims)) }, dropped))
    }

    /// User name; `None` for an anonymous principal.
    pub fn name(&self) -> Option<&Arc<str>> {
        self.name.as_ref()
    }

    /// Its source.
    pub fn source(&self) -> &PrincipalSource {
        &self.source
    }

    /// Name of the member that vouches for it; `None` for accounts and anonymous Clients.
    pub fn member(&self) -> Option<&Arc<str>> {
        match &self.source {
            PrincipalSource::Member(member) => Some(member),
            PrincipalSource::Anonymous | PrincipalSource::Account { .. } => None,
        }
    }

    /// Number of whoever owns what it does: that of the account, 0 for an anonymous Client, and for
    /// a principal of a member a hash of both names. The same after a restart.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Key of the share of its work; 0 for an anonymous one.
    pub fn quota_key(&self) -> u64 {
        quota_key(self.number)
    }

    /// [`Account::credential_version`] at login; 0 without an account.
    pub fn credential_version(&self) -> u64 {
        match self.source {
            PrincipalSource::Account { credential_version, .. } => credential_version,
            PrincipalSource::Anonymous | PrincipalSource::Member(_) => 0,
        }
    }

    /// Whether this is the account `root`.
    pub fn is_root(&self) -> bool {
        matches!(self.source, PrincipalSource::Account { .. }) && self.name.as_deref() == Some(ROOT)
    }

    /// Whether a member says that it is in this group. Groups of accounts are in the directory.
    pub fn in_group(&self, group: &str) -> bool {
        self.claims.as_ref().is_some_and(|claims| claims.groups.contains(group))
    }

    /// Property of which a member knows the value. Properties of accounts are in the directory.
    pub fn property(&self, name: &str) -> Option<&str> {
        self.claims.as_ref()?.properties.get(name).map(String::as_str)
    }

    /// Grants that decide about topics in place of rules.
    pub fn grants(&self) -> Option<&GrantList> {
        self.claims.as_ref()?.grants.as_ref()
    }

    /// Largest quality of service of a subscription to this Topic Filter, which is allowed: that of
    /// the grant about it, 2 without grants.
    pub fn subscription_qos_max(&self, filter: &str, client_id: &str) -> u8 {
        let names = GrantNames { user: self.name.as_deref().unwrap_or_default(), client_id };
        let about = |grants: &GrantList| {
            let grant = grants.first_about(GrantActions::Subscribe, inner_filter(filter), names);
            grant.map_or(2, Grant::qos_max)
        };
        self.grants().map_or(2, about)
    }

    /// Whether rules and grants see the same in both: only the ends of the logins may differ.
    pub fn has_rights_of(&self, other: &Principal) -> bool {
        (&self.name, &self.source, self.rights()) == (&other.name, &other.source, other.rights())
    }

    /// Claims that rules and grants look at.
    fn rights(&self) -> Option<Rights<'_>> {
        let Claims { user: _, groups, properties, grants, valid_until_ms: _, bounds: _ } =
            &**self.claims.as_ref()?;
        Some((groups, properties, grants))
    }

    /// End of the login, in milliseconds since 1970.
    pub fn valid_until_ms(&self) -> Option<u64> {
        self.claims.as_ref()?.valid_until_ms
    }

    /// Whether the login has not ended at this time, in milliseconds since 1970.
    pub fn is_valid_at(&self, now_ms: u64) -> bool {
        self.valid_until_ms().is_none_or(|end| now_ms < end)
    }

    /// Bounds of its sessions that a member has set.
    pub fn session_bounds(&self) -> SessionBounds {
        self.claims.as_ref().map(|claims| claims.bounds).unwrap_or_default()
    }

    /// Bytes of the claims, which each session of the user keeps; 0 for accounts and anonymous
    /// Clients.
    pub fn bytes(&self) -> u64 {
        self.claims.as_ref().map_or(0, |claims| claims.bytes() as u64)
    }

    /// Principal of a member as it is stored with what belongs to it; `None` for an account and for
    /// an anonymous Client, of which the store has the name alone.
    pub fn to_stored(&self) -> Option<Vec<u8>> {
        let (member, claims) = (self.member()?, self.claims.as_ref()?);
        let stored = StoredPrincipal {
            member: member.to_string(),
            name: self.name.as_deref()?.to_owned(),
            groups: claims.groups.clone(),
            properties: claims.properties.clone(),
            grants: claims.grants.clone(),
            valid_until_ms: claims.valid_until_ms,
            bounds: claims.bounds,
        };
        Some(serde_json::to_vec(&stored).expect("texts, numbers and lists of them are JSON"))
    }

    /// Principal of a member from its stored form; `None` if the bytes are none.
    pub fn from_stored(stored: &[u8]) -> Option<Principal> {
        let StoredPrincipal { member, name, groups, properties, grants, valid_until_ms, bounds } =
            serde_json::from_slice(stored).ok()?;
        let claims = Claims { user: name, groups, properties, grants, valid_until_ms, bounds };
        Some(Principal::of_member(&member.into(), claims).ok()?.0)
    }
}

/// The user name, with the member that vouches for it, as operators read it.
impl std::fmt::Display for Principal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.name.as_deref(), self.member()) {
            (None, _) => f.write_str("anonymous"),
            (Some(name), None) => f.write_str(name),
            (Some(name), Some(member)) => write!(f, "{name} ({member})"),
        }
    }
}

impl SessionBounds {
    /// Whether none is set.
    fn is_none(&self) -> bool {
        *self == SessionBounds::default()
    }
}

impl Claims {
    /// Takes group `admin` and the permission flags out, and returns their names.
    fn drop_rights_of_administrators(&mut self) -> Vec<String> {
        let mut dropped: Vec<String> = self.groups.take(ADMIN_GROUP).into_iter().collect();
        self.properties.retain(|name, _| {
            let is_flag = Flag::by_name(name).is_some();
            if is_flag {
                dropped.push(name.clone());
            }
            !is_flag
        });
        dropped
    }

    fn check(&self) -> Result<(), ClaimRefusal> {
        if self.user == ROOT {
            return Err(ClaimRefusal::Root);
        }
        let escaped =
            |text: &str| text.chars().take(ESCAPED_CHARS_MAX).flat_map(char::escape_debug).collect();
        check_user_name(&self.user)
            .map_err(|reason| ClaimRefusal::User { user: escaped(&self.user), reason })?;
        for group in &self.groups {
            check_group_name(group)
                .map_err(|reason| ClaimRefusal::Group { group: escaped(group), reason })?;
        }
        for (what, count, max) in [
            ("groups", self.groups.len(), GROUPS_PER_ACCOUNT_MAX),
            ("properties", self.properties.len(), PROPERTIES_PER_ACCOUNT_MAX),
            ("bytes of groups, properties and grants", self.bytes(), CLAIMS_BYTES_MAX),
        ] {
            if count > max {
                return Err(ClaimRefusal::TooMuch { what, count, max });
            }
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        let properties = self.properties.iter().map(|(name, value)| name.len() + value.len());
        let grants = self.grants.as_ref().map_or(0, GrantList::bytes);
        properties.chain(self.groups.iter().map(String::len)).sum::<usize>() + grants
    }
}

/// Characters of a refused name that the refusal shows.
const ESCAPED_CHARS_MAX: usize = 64;

/// Number of a principal of a member: a hash, in a range that no account number is in.
fn number_of_member(member: &str, name: &str) -> u64 {
    // No name contains NUL, so that no two pairs of names give the same bytes.
    let hash = Sha256::new().chain_update(member).chain_update([0]).chain_update(name).finalize();
    let mut number = [0; 8];
    number.copy_from_slice(&hash[..8]);
    external_account(u64::from_be_bytes(number))
}

/// A principal of a member as it is stored.
#[derive(Serialize, Deserialize)]
struct StoredPrincipal {
    member: String,
    name: String,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    groups: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    properties: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    grants: Option<GrantList>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    valid_until_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "SessionBounds::is_none")]
    bounds: SessionBounds,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::password::tests::cheap_credential;

    fn claims(user: &str) -> Claims {
        Claims { user: user.to_owned(), ..Claims::default() }
    }

    fn of(member: &str, claims: Claims) -> Result<(Principal, Vec<String>), ClaimRefusal> {
        Principal::of_member(&member.into(), claims)
    }

    #[test]
    fn member_cannot_identify_root_nor_a_name_that_looks_like_it() {
        assert_eq!(of("jwt", claims("root")), Err(ClaimRefusal::Root));
        for user in ["Root", "", "a/b", "+", "a\0b"] {
            let refused = of("jwt", claims(user));
            assert!(matches!(refused, Err(ClaimRefusal::User { .. })), "{user:?}: {refused:?}");
        }
    }

    #[test]
    fn rights_of_administrators_are_left_out_of_claims() {
        let groups = ["admin", "ops"].map(str::to_owned).into();
        let flags = ["AllowedUserManagement", "allowedsystemconfiguration", "site"];
        let properties = flags.map(|name| (name.to_owned(), "true".to_owned())).into();
        let (principal, dropped) = of("jwt", Claims { groups, properties, ..claims("ann") }).unwrap();
        assert_eq!(dropped, ["admin", "AllowedUserManagement", "allowedsystemconfiguration"]);
        assert!(principal.in_group("ops") && !principal.in_group("admin") && !principal.is_root());
        assert_eq!(principal.property("site"), Some("true"));
        assert_eq!(principal.property("AllowedUserManagement"), None);
    }

    #[test]
    fn claims_are_bounded() {
        let many = (0..=GROUPS_PER_ACCOUNT_MAX).map(|n| format!("g{n}")).collect();
        let long = [("p".to_owned(), "x".repeat(CLAIMS_BYTES_MAX))].into();
        for claims in [Claims { groups: many, ..claims("ann") }, Claims { properties: long, ..claims("ann") }]
        {
            assert!(matches!(of("jwt", claims), Err(ClaimRefusal::TooMuch { .. })));
        }
    }

    #[test]
    fn number_of_a_member_principal_is_stable_and_that_of_no_account() {
        let number = |member, user| of(member, claims(user)).unwrap().0.number();
        assert_eq!(number("jwt", "ann"), 0xF1F6_4D3F_D470_A9DD, "it names owners in the store");
        assert_ne!(number("jwt", "ann"), number("ldap", "ann"));
        assert_ne!(number("jwt", "ann"), number("jw", "tann"));
        let account = Principal::of_account(&Account::new("ann", cheap_credential("pw"), 1));
        let quota_keys = [quota_key(number("jwt", "ann")), quota_key(u64::MAX >> 1), account.quota_key()];
        assert!(quota_keys[0] > lotmq_shares::QUOTA_KEY_MASK);
        assert!(quota_keys[1..].iter().all(|key| *key <= lotmq_shares::QUOTA_KEY_MASK));
    }

    #[test]
    fn stored_principal_is_read_back_and_a_stored_root_is_none() {
        let grant = Grant::new(GrantEffect::Allow, GrantActions::All, "dev/%u/#").unwrap();
        let full = Claims {
            user: "ann".to_owned(),
            groups: ["ops".to_owned()].into(),
            properties: [("site".to_owned(), "lisbon".to_owned())].into(),
            grants: Some(GrantList::new(vec![grant]).unwrap()),
            valid_until_ms: Some(7),
            bounds: SessionBounds { subscriptions: Some(3), ..SessionBounds::default() },
        };
        for claims in [full, claims("bob")] {
            let (principal, _) = of("jwt", claims).unwrap();
            let stored = principal.to_stored().unwrap();
            assert_eq!(Principal::from_stored(&stored), Some(principal));
        }
        assert_eq!(Principal::anonymous().to_stored(), None);
        assert_eq!(Principal::from_stored(br#"{"member":"jwt","name":"root"}"#), None);
        assert_eq!(Principal::from_stored(b"{"), None);
    }

    #[test]
    fn subscription_gets_at_most_the_quality_of_service_of_its_grant() {
        let low = Grant::new(GrantEffect::Allow, GrantActions::All, "low/#").unwrap().up_to_qos(0).unwrap();
        let all = Grant::new(GrantEffect::Allow, GrantActions::All, "#").unwrap();
        let grants = Some(GrantList::new(vec![low, all]).unwrap());
        let (principal, _) = of("jwt", Claims { grants, ..claims("ann") }).unwrap();
        for (filter, expected) in [("low/x", 0), ("$share/g/low/x", 0), ("x", 2)] {
            assert_eq!(principal.subscription_qos_max(filter, "c"), expected, "{filter}");
        }
        assert_eq!(Principal::anonymous().subscription_qos_max("low/x", "c"), 2);
    }

    #[test]
    fn end_of_a_login_changes_no_rights() {
        let until = |valid_until_ms, group: &str| {
            let groups = [group.to_owned()].into();
            of("jwt", Claims { valid_until_ms, groups, ..claims("ann") }).unwrap().0
        };
        let before = until(Some(10), "ops");
        assert!(before.has_rights_of(&until(Some(20), "ops")));
        assert!(!before.has_rights_of(&until(Some(10), "guests")));
        assert!(!before.has_rights_of(&of("ldap", claims("ann")).unwrap().0));
    }

    #[test]
    fn login_ends_at_its_time() {
        let (principal, _) = of("jwt", Claims { valid_until_ms: Some(10), ..claims("ann") }).unwrap();
        assert!(principal.is_valid_at(9) && !principal.is_valid_at(10));
        assert!(Principal::anonymous().is_valid_at(u64::MAX));
    }
}
