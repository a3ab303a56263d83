//! Bounds that an administrator has set for the asset of another user, by the policy.
//!
//! Invariants: each policy of an asset is within its bound; a bound goes by an administrator's
//! command alone, and stays at the asset's name when the asset goes.

use lotmq_host::TopicGrant;
use serde::{Deserialize, Serialize};

use super::{Autostart, Policies, Restart};
use crate::guests::in_common::{both_topics, reaches};

/// Bounds of an asset; `None` for a policy that the owner sets alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Bounds {
    #[serde(skip_serializing_if = "Option::is_none")]
    restart: Option<Restart>,
    #[serde(skip_serializing_if = "Option::is_none")]
    autostart: Option<Autostart>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    net: Option<Vec<Box<str>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topics: Option<Vec<Box<str>>>,
}

impl Bounds {
    /// Takes a policy as it is in `policies` for a bound; none where it is the default.
    pub(crate) fn take(&mut self, policy: &str, policies: &Policies) {
        match policy {
            "restart" => self.restart = Some(policies.restart).filter(|it| *it != Restart::default()),
            "autostart" => self.autostart = Some(policies.autostart).filter(|it| *it != Autostart::default()),
            "memory" => self.memory = policies.memory,
            "time" => self.time = policies.time,
            "net" => self.net.clone_from(&policies.net),
            "topics" => self.topics.clone_from(&policies.topics),
            _ => {}
        }
    }

    /// Policies that are not within these bounds, narrowed to them; whether there were any.
    pub(crate) fn narrow(&self, policies: &mut Policies) -> bool {
        let before = policies.clone();
        if let Some(bound) = self.restart {
            policies.restart = policies.restart.min(bound);
        }
        if let Some(bound) = self.autostart {
            policies.autostart = Autostart(policies.autostart.0 && bound.0);
        }
        if let Some(bound) = self.memory {
            policies.memory = Some(policies.memory.map_or(bound, |memory| memory.min(bound)));
        }
        if let Some(bound) = self.time {
            policies.time = Some(policies.time.map_or(bound, |time| time.min(bound)));
        }
        if let Some(bound) = &self.net {
            let is_within = |place: &str| bound.iter().any(|bound| reaches(bound, place));
            if !policies.net.as_ref().is_some_and(|places| places.iter().all(|place| is_within(place))) {
                policies.net = Some(bound.clone());
            }
        }
        if let Some(bound) = &self.topics {
            let is_within = |filters: &Vec<Box<str>>| filters.iter().all(|filter| covers(bound, filter));
            if !policies.topics.as_ref().is_some_and(is_within) {
                policies.topics = Some(bound.clone());
            }
        }
        *policies != before
    }

    /// Whether nothing is bounded.
    pub(crate) fn are_none(&self) -> bool {
        *self == Self::default()
    }

    /// These bounds, and those of `other` for policies that have none here.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            restart: self.restart.or(other.restart),
            autostart: self.autostart.or(other.autostart),
            memory: self.memory.or(other.memory),
            time: self.time.or(other.time),
            net: self.net.or(other.net),
            topics: self.topics.or(other.topics),
        }
    }
}

/// Whether every topic that a filter matches is matched by one of these.
fn covers(bound: &[Box<str>], filter: &str) -> bool {
    let grant = |filters: &[Box<str>]| TopicGrant::Filters(filters.to_vec().into());
    let TopicGrant::Filters(common) = both_topics(&grant(bound), &grant(&[filter.into()])) else {
        return false;
    };
    common.iter().any(|common| **common == *filter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Option<Vec<Box<str>>> {
        Some(names.iter().map(|name| (*name).into()).collect())
    }

    #[test]
    fn policies_are_narrowed_to_their_bounds() {
        let bounds = Bounds {
            restart: Some(Restart::Never),
            autostart: Some(Autostart(false)),
            memory: Some(10),
            time: None,
            net: names(&["10.0.0.1:*"]),
            topics: names(&["a/#", "b/+"]),
        };
        let mut none = Policies::default();
        assert!(bounds.narrow(&mut none));
        assert_eq!((none.restart, none.autostart, none.memory), (Restart::Never, Autostart(false), Some(10)));
        assert_eq!((&none.net, &none.topics, none.time), (&bounds.net, &bounds.topics, None));
        assert!(!bounds.narrow(&mut none), "they are within their own bounds");
        for (net, topics, is_within) in [
            (&["10.0.0.1:502"][..], &["a/b", "b/c", "a/+/#"][..], true),
            (&[], &[], true),
            (&["10.0.0.2:502"], &["a/b"], false),
            (&["10.0.0.1:502"], &["b/#"], false),
            (&["10.0.0.1:502"], &["#"], false),
            (&["10.0.0.1:502"], &["a/b", "c"], false),
        ] {
            let mut asked =
                Policies { net: names(net), topics: names(topics), memory: Some(5), ..none.clone() };
            assert_eq!(!bounds.narrow(&mut asked), is_within, "{net:?} {topics:?}");
            assert_eq!(asked.memory, Some(5));
        }
    }

    #[test]
    fn bounds_are_stored_and_read_back() {
        let mut policies = Policies { memory: Some(3), ..Policies::default() };
        policies.bounds.take("memory", &policies.clone());
        let text = serde_json::to_string(&policies).unwrap();
        assert_eq!(serde_json::from_str::<Policies>(&text).unwrap(), policies);
        policies.bounds.take("memory", &Policies::default());
        assert!(policies.bounds.are_none());
        assert!(!serde_json::to_string(&policies).unwrap().contains("setByAdministrator"));
    }
}
