//! Bounds that an administrator has set for the asset of another user, by the policy.
//!
//! Invariants: each policy of an asset is within its bound. A bound goes by an administrator's
//! command alone. It goes with an asset that is renamed, and is kept for the owner at the name of
//! one that is removed. Two bounds hold both.

use lotmq_host::TopicGrant;
use serde::{Deserialize, Serialize};

use super::{Autostart, Policies, Restart};
use crate::grant_intersection::{both_topics, reaches};

/// Bounds of an asset; `None` for a policy that the owner sets alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Bounds {
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
    pub fn take(&mut self, policy: &str, policies: &Policies) {
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
    pub fn narrow(&self, policies: &mut Policies) -> bool {
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
            match &policies.net {
                Some(places) if places.iter().all(|place| is_within(place)) => {}
                Some(places) => policies.net = Some(both_places(places, bound)),
                None => policies.net = Some(bound.clone()),
            }
        }
        if let Some(bound) = &self.topics {
            let is_within = |filters: &Vec<Box<str>>| filters.iter().all(|filter| covers(bound, filter));
            match &policies.topics {
                Some(filters) if is_within(filters) => {}
                Some(filters) => policies.topics = Some(both_filters(filters, bound)),
                None => policies.topics = Some(bound.clone()),
            }
        }
        *policies != before
    }

    /// Whether nothing is bounded.
    pub(crate) fn are_none(&self) -> bool {
        *self == Self::default()
    }

    /// These bounds and others: what is within both.
    pub(crate) fn and(self, other: &Self) -> Self {
        Self {
            restart: least(self.restart, other.restart),
            autostart: match (self.autostart, other.autostart) {
                (Some(own), Some(other)) => Some(Autostart(own.0 && other.0)),
                (own, other) => own.or(other),
            },
            memory: least(self.memory, other.memory),
            time: least(self.time, other.time),
            net: both(self.net, other.net.as_deref(), both_places),
            topics: both(self.topics, other.topics.as_deref(), both_filters),
        }
    }
}

fn least<T: Copy + Ord>(own: Option<T>, other: Option<T>) -> Option<T> {
    own.into_iter().chain(other).min()
}

type NameList = Vec<Box<str>>;

/// Names that two lists have in common.
type CommonNames = fn(&[Box<str>], &[Box<str>]) -> NameList;

fn both(own: Option<NameList>, other: Option<&[Box<str>]>, common: CommonNames) -> Option<NameList> {
    match (own, other) {
        (Some(own), Some(other)) => Some(common(&own, other)),
        (own, other) => own.or_else(|| other.map(<[_]>::to_vec)),
    }
}

/// Places that are within both lists.
fn both_places(one: &[Box<str>], other: &[Box<str>]) -> NameList {
    let within = |places: &[Box<str>], bound: &[Box<str>]| -> NameList {
        places.iter().filter(|place| bound.iter().any(|bound| reaches(bound, place))).cloned().collect()
    };
    let mut common = within(one, other);
    common.extend(within(other, one));
    common.sort_unstable();
    common.dedup();
    common
}

/// Topic Filters of the topics that both lists match.
fn both_filters(one: &[Box<str>], other: &[Box<str>]) -> NameList {
    let grant = |filters: &[Box<str>]| TopicGrant::Filters(filters.to_vec().into());
    match both_topics(&grant(one), &grant(other)) {
        TopicGrant::Filters(common) => common.to_vec(),
        TopicGrant::None | TopicGrant::NotSystem => Vec::new(),
    }
}

/// Whether every topic that a filter matches is matched by one of these.
fn covers(bound: &[Box<str>], filter: &str) -> bool {
    both_filters(bound, &[filter.into()]).iter().any(|common| **common == *filter)
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
    fn two_bounds_hold_both() {
        let bounds = |restart, memory, net: &[&str], topics: &[&str]| Bounds {
            restart: Some(restart),
            memory,
            net: names(net),
            topics: names(topics),
            ..Bounds::default()
        };
        let one = bounds(Restart::OnFailure, Some(10), &["10.0.0.1:*", "10.0.0.2:80"], &["a/#", "b"]);
        let other = bounds(Restart::Never, None, &["10.0.0.1:502", "10.0.0.3:80"], &["a/x/+", "c"]);
        let both = bounds(Restart::Never, Some(10), &["10.0.0.1:502"], &["a/x/+"]);
        assert_eq!(one.clone().and(&other), both);
        assert_eq!(other.and(&one), both);
        assert_eq!(one.clone().and(&Bounds::default()), one);
        // A policy that is beyond its bound keeps what is within.
        let mut policies = Policies { topics: names(&["a/x", "d"]), ..Policies::default() };
        one.narrow(&mut policies);
        assert_eq!(policies.topics, names(&["a/x"]));
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
