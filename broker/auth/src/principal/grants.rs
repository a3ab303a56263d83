//! Grants: rights of a principal from outside to publish and subscribe, as data.
//!
//! The first grant that is about an operation decides it, and an operation that no grant is about
//! is denied. `%u` and `%c` in a level of a filter stand for the user name and the Client
//! Identifier. A value with `/`, `+`, `#` or NUL would make the filter wider, so a grant with such
//! a value matches nothing. The same holds for an empty value.
//!
//! Cost: O(grants × levels), without an allocation. Not here: operations that are not about topics,
//! and topics below `$SYS`, about which rules are asked as well (`rulebook`).

use serde::{Deserialize, Serialize};

use crate::limits::{GRANT_FILTER_BYTES_MAX, GRANTS_PER_PRINCIPAL_MAX};

/// Effect of a grant on the operations that it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GrantEffect {
    /// Allows them.
    Allow,
    /// Denies them.
    Deny,
}

/// Operations that a grant is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GrantActions {
    /// PUBLISH, and the Will of a CONNECT.
    Publish,
    /// SUBSCRIBE, and each message that a subscription delivers.
    Subscribe,
    /// Both.
    All,
}

impl GrantActions {
    /// Whether they include an operation, which is [`Publish`](Self::Publish) or
    /// [`Subscribe`](Self::Subscribe).
    fn include(self, asked: GrantActions) -> bool {
        self == GrantActions::All || self == asked
    }
}

/// Reason why a grant is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GrantRefusal {
    /// The filter is no Topic Filter.
    #[error("'{filter}' in a grant is no topic filter: {reason}")]
    Filter {
        /// The filter, escaped.
        filter: String,
        /// The rule that it breaks.
        reason: &'static str,
    },
    /// The filter is longer than [`GRANT_FILTER_BYTES_MAX`].
    #[error("a filter in a grant has {bytes} bytes, the limit is {GRANT_FILTER_BYTES_MAX}")]
    FilterTooLong {
        /// Its bytes.
        bytes: usize,
    },
    /// The quality of service is above 2.
    #[error("quality of service {qos} in a grant is above 2")]
    QosAbove2 {
        /// The value.
        qos: u8,
    },
    /// There are more than [`GRANTS_PER_PRINCIPAL_MAX`].
    #[error("there are {count} grants, the limit is {GRANTS_PER_PRINCIPAL_MAX}")]
    TooMany {
        /// Number of grants.
        count: usize,
    },
}

/// One statement about what a principal may do with topics.
///
/// ```
/// use lotmq_auth::{Grant, GrantActions, GrantEffect};
/// let own = Grant::new(GrantEffect::Allow, GrantActions::All, "devices/%c/#")?;
/// let status = Grant::new(GrantEffect::Allow, GrantActions::Publish, "status/%u")?.up_to_qos(1)?;
/// # Ok::<(), lotmq_auth::GrantRefusal>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "StoredGrant", into = "StoredGrant")]
pub struct Grant {
    effect: GrantEffect,
    actions: GrantActions,
    filter: Box<str>,
    has_placeholders: bool,
    qos_max: u8,
    retain: bool,
}

impl Grant {
    /// Grant about a Topic Filter, for every quality of service and with retained messages.
    ///
    /// # Errors
    /// [`GrantRefusal::Filter`], [`GrantRefusal::FilterTooLong`].
    pub fn new(effect: GrantEffect, actions: GrantActions, filter: &str) -> Result<Grant, GrantRefusal> {
        check_filter(filter)?;
        let has_placeholders = filter.contains("%u") || filter.contains("%c");
        Ok(Grant { effect, actions, filter: filter.into(), has_placeholders, qos_max: 2, retain: true })
    }

    /// The same grant with a lower quality of service. A PUBLISH above it is denied, and a
    /// subscription gets at most this one.
    ///
    /// # Errors
    /// [`GrantRefusal::QosAbove2`].
    pub fn up_to_qos(self, qos: u8) -> Result<Grant, GrantRefusal> {
        if qos > 2 { Err(GrantRefusal::QosAbove2 { qos }) } else { Ok(Grant { qos_max: qos, ..self }) }
    }

    /// The same grant, which does not allow to retain a message.
    #[must_use]
    pub fn without_retain(self) -> Grant {
        Grant { retain: false, ..self }
    }

    /// Its Topic Filter, with placeholders.
    pub fn filter(&self) -> &str {
        &self.filter
    }

    /// Largest quality of service of what it allows, 0 to 2.
    pub fn qos_max(&self) -> u8 {
        self.qos_max
    }

    /// Whether it allows every message on its topics, whatever the quality of service and RETAIN.
    pub(crate) fn is_about_topics_alone(&self) -> bool {
        self.effect == GrantEffect::Deny || (self.qos_max == 2 && self.retain)
    }

    /// Whether it allows a message with this quality of service and RETAIN.
    pub(crate) fn allows_message(&self, qos: u8, retain: bool) -> bool {
        self.allows() && qos <= self.qos_max && (self.retain || !retain)
    }

    /// Whether it allows anything.
    pub(crate) fn allows(&self) -> bool {
        self.effect == GrantEffect::Allow
    }

    /// Whether its filter covers a Topic Name, or a Topic Filter that is subscribed to.
    fn covers(&self, asked: &str, names: GrantNames<'_>) -> bool {
        // Neither a wildcard nor a substituted value reaches the topics that begin with `$`.
        if asked.starts_with('$') && !self.filter.starts_with('$') {
            return false;
        }
        let mut asked_levels = asked.split('/');
        for level in self.filter.split('/') {
            if level == "#" {
                return true;
            }
            let covers = match asked_levels.next() {
                Some("#") | None => false,
                Some(_) if level == "+" => true,
                Some(text) if self.has_placeholders => stands_for(level, text, names).unwrap_or(false),
                Some(text) => text == level,
            };
            if !covers {
                return false;
            }
        }
        asked_levels.next().is_none()
    }
}

/// Values of the placeholders `%u` and `%c`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GrantNames<'a> {
    /// The user name.
    pub(crate) user: &'a str,
    /// The Client Identifier.
    pub(crate) client_id: &'a str,
}

/// Whether a level with placeholders stands for this level of a topic; `None` if it does not.
fn stands_for(mut level: &str, mut text: &str, names: GrantNames<'_>) -> Option<bool> {
    while let Some(at) = level.find('%') {
        let (literal, rest) = level.split_at(at);
        text = text.strip_prefix(literal)?;
        let value = match rest.as_bytes().get(1) {
            Some(b'u') => names.user,
            Some(b'c') => names.client_id,
            _ => {
                text = text.strip_prefix('%')?;
                level = &rest[1..];
                continue;
            }
        };
        if !is_plain(value) {
            return None;
        }
        text = text.strip_prefix(value)?;
        level = &rest[2..];
    }
    Some(level == text)
}

/// Whether a value can be a part of a level without making the filter wider.
fn is_plain(value: &str) -> bool {
    !value.is_empty() && !value.bytes().any(|byte| matches!(byte, b'/' | b'+' | b'#' | 0))
}

/// Checks that a text is a Topic Filter without a share name \[MQTT-4.7.1-1\].
fn check_filter(filter: &str) -> Result<(), GrantRefusal> {
    if filter.len() > GRANT_FILTER_BYTES_MAX {
        return Err(GrantRefusal::FilterTooLong { bytes: filter.len() });
    }
    let levels = filter.split('/').count();
    let broken = filter.split('/').enumerate().find_map(|(number, level)| match level {
        "#" if number + 1 < levels => Some("# is not its last level"),
        "#" | "+" => None,
        _ if level.contains(['#', '+']) => Some("a wildcard is a part of a level"),
        _ => None,
    });
    let broken = if filter.is_empty() { Some("it is empty") } else { broken };
    let broken = if filter.contains('\0') { Some("it contains NUL") } else { broken };
    let is_shared = filter == "$share" || filter.starts_with("$share/");
    let broken = if is_shared { Some("a grant names the filter behind the share name") } else { broken };
    match broken {
        Some(reason) => Err(GrantRefusal::Filter { filter: filter.escape_debug().to_string(), reason }),
        None => Ok(()),
    }
}

/// The grants of a principal, in the order in which they are asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Grant>", into = "Vec<Grant>")]
pub struct GrantList(Box<[Grant]>);

impl GrantList {
    /// Grants in this order; none at all denies every topic.
    ///
    /// # Errors
    /// [`GrantRefusal::TooMany`].
    pub fn new(grants: Vec<Grant>) -> Result<GrantList, GrantRefusal> {
        let count = grants.len();
        if count > GRANTS_PER_PRINCIPAL_MAX {
            Err(GrantRefusal::TooMany { count })
        } else {
            Ok(GrantList(grants.into()))
        }
    }

    /// Bytes of the filters.
    pub(crate) fn bytes(&self) -> usize {
        self.0.iter().map(|grant| grant.filter.len()).sum()
    }

    /// The first grant about an operation on a Topic Name or Topic Filter, which decides.
    pub(crate) fn first_about(
        &self,
        action: GrantActions,
        asked: &str,
        names: GrantNames<'_>,
    ) -> Option<&Grant> {
        self.0.iter().find(|grant| grant.actions.include(action) && grant.covers(asked, names))
    }

    /// Number of one of these grants, from 1.
    pub(crate) fn number_of(&self, grant: &Grant) -> usize {
        self.0.iter().position(|known| std::ptr::eq(known, grant)).map_or(0, |at| at + 1)
    }
}

impl TryFrom<Vec<Grant>> for GrantList {
    type Error = GrantRefusal;

    fn try_from(grants: Vec<Grant>) -> Result<GrantList, GrantRefusal> {
        GrantList::new(grants)
    }
}

impl From<GrantList> for Vec<Grant> {
    fn from(grants: GrantList) -> Vec<Grant> {
        grants.0.into_vec()
    }
}

/// A grant as it is stored with a session.
#[derive(Serialize, Deserialize)]
struct StoredGrant {
    effect: GrantEffect,
    actions: GrantActions,
    filter: String,
    qos_max: u8,
    retain: bool,
}

impl TryFrom<StoredGrant> for Grant {
    type Error = GrantRefusal;

    fn try_from(stored: StoredGrant) -> Result<Grant, GrantRefusal> {
        let grant = Grant::new(stored.effect, stored.actions, &stored.filter)?.up_to_qos(stored.qos_max)?;
        Ok(Grant { retain: stored.retain, ..grant })
    }
}

impl From<Grant> for StoredGrant {
    fn from(grant: Grant) -> StoredGrant {
        let Grant { effect, actions, filter, qos_max, retain, .. } = grant;
        StoredGrant { effect, actions, filter: filter.into(), qos_max, retain }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allow(filter: &str) -> Grant {
        Grant::new(GrantEffect::Allow, GrantActions::All, filter).unwrap()
    }

    fn deny(actions: GrantActions, filter: &str) -> Grant {
        Grant::new(GrantEffect::Deny, actions, filter).unwrap()
    }

    fn is_allowed(grants: &GrantList, action: GrantActions, asked: &str, client_id: &str) -> bool {
        let names = GrantNames { user: "ann", client_id };
        grants.first_about(action, asked, names).is_some_and(Grant::allows)
    }

    #[test]
    fn first_grant_about_a_topic_decides_and_the_rest_is_denied() {
        let secret = deny(GrantActions::Subscribe, "plant/secret/#");
        let grants = GrantList::new(vec![secret, allow("plant/#")]).unwrap();
        let (publish, subscribe) = (GrantActions::Publish, GrantActions::Subscribe);
        for (action, asked, expected) in [
            (publish, "plant/secret/x", true),
            (subscribe, "plant/secret/x", false),
            (subscribe, "plant/secret/+", false),
            (subscribe, "plant/#", true),
            (subscribe, "#", false),
            (publish, "other", false),
        ] {
            assert_eq!(is_allowed(&grants, action, asked, "c"), expected, "{action:?} {asked}");
        }
        assert!(!is_allowed(&GrantList::default(), publish, "plant/x", "c"), "no grants allow nothing");
    }

    #[test]
    fn grant_filter_covers_topics_and_narrower_filters() {
        for (filter, asked, expected) in [
            ("#", "a/b", true),
            ("#", "$SYS/broker/uptime", false),
            ("+/x", "$SYS/x", false),
            ("$SYS/broker/#", "$SYS/broker/uptime", true),
            ("a/#", "a", true),
            ("a/+", "a/+", true),
            ("a/+", "a/#", false),
            ("a/b", "a/+", false),
            ("a/b", "a/b/c", false),
            ("a/b/c", "a/b", false),
            ("a/%u", "a/ann", true),
            ("a/%u", "a/bob", false),
            ("a/%u", "a/%u", false),
            ("a/%u-%c/x", "a/ann-c1/x", true),
            ("a/%u-%c/x", "a/ann-c2/x", false),
            ("a/50%/%c", "a/50%/c1", true),
            ("a/%x%u", "a/%xann", true),
        ] {
            let grants = GrantList::new(vec![allow(filter)]).unwrap();
            assert_eq!(
                is_allowed(&grants, GrantActions::Subscribe, asked, "c1"),
                expected,
                "{filter} {asked}"
            );
        }
    }

    /// emqx#17596: a Client that calls itself `+` reads the topics of all others.
    #[test]
    fn substituted_value_never_makes_a_filter_wider() {
        let grants = GrantList::new(vec![allow("dev/%c/#"), allow("%c/status"), allow("%c")]).unwrap();
        for client_id in ["+", "#", "a/b", "a/#", "", "a\0", "$SYS"] {
            for asked in
                ["dev/a/x", "dev/+/x", "dev/#", "dev/a/b/x", "dev//x", "$SYS/status", "$SYS", "a/b", "#", "+"]
            {
                assert!(
                    !is_allowed(&grants, GrantActions::Subscribe, asked, client_id),
                    "{client_id:?} {asked}"
                );
            }
        }
        assert!(is_allowed(&grants, GrantActions::Subscribe, "dev/a/#", "a"));
    }

    #[test]
    fn filters_that_are_none_are_refused() {
        for filter in ["", "a/#/b", "a#", "a/b+", "a\0b", "$share/g/a", "$share"] {
            let refused = Grant::new(GrantEffect::Allow, GrantActions::All, filter);
            assert!(matches!(refused, Err(GrantRefusal::Filter { .. })), "{filter:?}: {refused:?}");
        }
        let long = "x".repeat(GRANT_FILTER_BYTES_MAX + 1);
        let refused = Grant::new(GrantEffect::Allow, GrantActions::All, &long);
        assert_eq!(refused, Err(GrantRefusal::FilterTooLong { bytes: long.len() }));
        assert_eq!(allow("a").up_to_qos(3), Err(GrantRefusal::QosAbove2 { qos: 3 }));
        let many = vec![allow("a"); GRANTS_PER_PRINCIPAL_MAX + 1];
        assert_eq!(GrantList::new(many), Err(GrantRefusal::TooMany { count: GRANTS_PER_PRINCIPAL_MAX + 1 }));
    }

    #[test]
    fn stored_grants_are_read_back_and_a_broken_one_is_refused() {
        let limited = allow("a/%u").up_to_qos(1).unwrap().without_retain();
        let grants = GrantList::new(vec![limited, deny(GrantActions::Publish, "b/#")]).unwrap();
        let stored = serde_json::to_string(&grants).unwrap();
        assert_eq!(serde_json::from_str::<GrantList>(&stored).unwrap(), grants);
        let broken = stored.replace("b/#", "b/#/c");
        assert!(serde_json::from_str::<GrantList>(&broken).is_err());
    }

    #[test]
    fn quality_of_service_and_retain_are_part_of_a_grant() {
        let limited = allow("a").up_to_qos(1).unwrap().without_retain();
        for (qos, retain, expected) in
            [(0, false, true), (1, false, true), (2, false, false), (0, true, false)]
        {
            assert_eq!(limited.allows_message(qos, retain), expected, "{qos} {retain}");
        }
        assert!(!limited.is_about_topics_alone() && allow("a").is_about_topics_alone());
    }
}
