//! Policies of an asset: bounds that an administrator sets for a route or a module, beside what its text and its grants say.
//!
//! Invariant: a policy narrows. What it names beyond what the route or the module has is not given. Not here: where they are kept (`route_orders`, `management::assets`),
//! and how they are read from a command.

use std::time::Duration;

use lot_facts::{Facts, Trigger};
use lotmq_host::{Grants, GuestLimits, TopicGrant, TrapKind};
use serde::{Deserialize, Serialize};

pub(crate) mod bound;

use self::bound::Bounds;
use super::in_common::{both_topics, reaches};
use super::policed::PolicedTopics;

/// Policies of an asset; stored as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Policies {
    pub(crate) restart: Restart,
    /// Whether it begins with the broker, where it was running; otherwise it waits for `-run`.
    pub(crate) autostart: Autostart,
    /// Linear memory in MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) memory: Option<usize>,
    /// Time of a call in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) time: Option<u64>,
    /// Places of the network, as `host:port`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) net: Option<Vec<Box<str>>>,
    /// Topic Filters of what it may read and write.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) topics: Option<Vec<Box<str>>>,
    /// Bounds that an administrator has set; each policy is within them.
    #[serde(rename = "setByAdministrator", skip_serializing_if = "Bounds::are_none")]
    pub(crate) bounds: Bounds,
}

/// When an asset that has ended begins again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Restart {
    /// When somebody starts it.
    Never,
    /// After traps and lost connections.
    #[default]
    OnFailure,
    /// Whatever ended it, also what its guest says that only people can correct.
    Always,
}

/// Whether an asset that was running begins with the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Autostart(pub(crate) bool);

impl Default for Autostart {
    fn default() -> Self {
        Self(true)
    }
}

impl Policies {
    /// What stays of these at the name of an asset that goes: bounds of an administrator; `None`
    /// where there are none.
    pub(crate) fn kept(&self) -> Option<Self> {
        let mut kept = Self { bounds: self.bounds.clone(), ..Self::default() };
        kept.bounds.clone().narrow(&mut kept);
        (!kept.bounds.are_none()).then_some(kept)
    }

    /// These within the bounds that were kept at the name which the asset gets.
    pub(crate) fn within(mut self, kept: &Self) -> Self {
        self.bounds = self.bounds.or(kept.bounds.clone());
        self.bounds.clone().narrow(&mut self);
        self
    }

    /// The reason why a guest has ended, with the policy of the route or module of this name because of which it has less than it needs.
    pub(crate) fn told_in(&self, reason: String, name: &str) -> String {
        // As wasmtime says that a module needs more from its first moment on.
        let is_memory = reason.contains("exceeds memory limits");
        let (policy, has) = match (self.memory, self.time) {
            (Some(mib), _) if is_memory => ("memory", format!("{mib} MiB")),
            (_, Some(ms)) if reason.contains(TrapKind::Time.code()) => ("time", format!("{ms} ms")),
            _ => return reason,
        };
        format!(
            "{reason}: its policy `{policy}` gives it {has}, which -asset-policy-set {name} {policy} changes"
        )
    }

    /// Limits of an instance within these policies.
    pub(crate) fn limits(&self, limits: GuestLimits) -> GuestLimits {
        let memory_bytes = self.memory.map_or(usize::MAX, |mib| mib.saturating_mul(1 << 20));
        let time = self.time.map_or(Duration::MAX, Duration::from_millis);
        GuestLimits {
            memory_bytes: limits.memory_bytes.min(memory_bytes),
            time: limits.time.min(time),
            restarts: limits.restarts && self.restart != Restart::Never,
            ..limits
        }
    }

    /// Grants within these policies.
    pub(crate) fn grants(&self, grants: Grants) -> Grants {
        let Some(filters) = &self.topics else { return grants };
        let allowed = TopicGrant::Filters(filters.clone().into());
        Grants {
            read: both_topics(&grants.read, &allowed),
            write: both_topics(&grants.write, &allowed),
            ..grants
        }
    }

    /// Takes topics out of what starts a module that these policies do not name; a message tells it what is there. Returns what they are.
    pub(crate) fn narrow_trigger(&self, facts: &mut Facts) -> Option<PolicedTopics> {
        let (Some(allowed), Some(Trigger::Topic { filters })) = (&self.topics, &facts.trigger) else {
            return None;
        };
        let policed = PolicedTopics { starting: filters.clone(), allowed: allowed.clone() };
        let granted = TopicGrant::Filters(filters.iter().map(|filter| filter.as_str().into()).collect());
        let TopicGrant::Filters(common) = both_topics(&granted, &TopicGrant::Filters(allowed.clone().into()))
        else {
            return None;
        };
        let filters: Vec<String> = common.iter().map(|filter| filter.to_string()).collect();
        facts.trigger = (!filters.is_empty()).then_some(Trigger::Topic { filters });
        Some(policed)
    }

    /// Whether a place of the network, as `host:port`, is within these policies.
    pub(crate) fn allow_place(&self, place: &str) -> bool {
        self.net.as_ref().is_none_or(|places| places.iter().any(|allowed| reaches(allowed, place)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filters(names: &[&str]) -> Vec<Box<str>> {
        names.iter().map(|name| (*name).into()).collect()
    }

    #[test]
    fn what_a_guest_lacks_by_its_policies_is_told_with_them() {
        let policies = Policies { memory: Some(1), time: Some(5), ..Policies::default() };
        let memory = "memory minimum size of 19 pages exceeds memory limits (GUEST_HOST_CALL)";
        let told = policies.told_in(memory.to_owned(), "Up");
        let why = "its policy `memory` gives it 1 MiB, which -asset-policy-set Up memory changes";
        assert_eq!(told, format!("{memory}: {why}"));
        let time = format!("out of time ({})", TrapKind::Time.code());
        assert!(policies.told_in(time.clone(), "Up").contains("its policy `time` gives it 5 ms"));
        assert_eq!(Policies::default().told_in(time.clone(), "Up"), time);
        assert_eq!(policies.told_in("no answer".to_owned(), "Up"), "no answer");
    }

    #[test]
    fn policies_narrow_and_never_widen() {
        let policies = Policies {
            memory: Some(8),
            time: Some(500),
            topics: Some(filters(&["plant/#", "other/a"])),
            net: Some(filters(&["*.example:502"])),
            ..Policies::default()
        };
        let limits =
            GuestLimits { memory_bytes: 64 << 20, time: Duration::from_secs(1), ..GuestLimits::default() };
        let bounded = policies.limits(limits);
        assert_eq!((bounded.memory_bytes, bounded.time), (8 << 20, Duration::from_millis(500)));
        let small = GuestLimits { memory_bytes: 1 << 20, time: Duration::from_millis(5), ..limits };
        assert_eq!((policies.limits(small).memory_bytes, policies.limits(small).time), (1 << 20, small.time));
        let granted = |names: &[&str]| TopicGrant::Filters(filters(names).into());
        let grants = Grants {
            read: granted(&["plant/1/#", "secret/#"]),
            write: TopicGrant::NotSystem,
            ..Grants::default()
        };
        let narrowed = policies.grants(grants.clone());
        assert_eq!(narrowed.read, granted(&["plant/1/#"]));
        assert_eq!(narrowed.write, granted(&["plant/#", "other/a"]));
        assert_eq!(Policies::default().grants(grants.clone()).read, grants.read);
        assert!(policies.allow_place("plc.example:502") && !policies.allow_place("plc.example:503"));
        assert!(Policies::default().allow_place("anywhere:1"));
    }

    #[test]
    fn what_starts_a_module_is_narrowed_and_nothing_takes_its_place() {
        let started_by = |on: &[&str], topics: &[&str]| {
            let mut facts = Facts::new(lot_facts::Kind::Action, "m");
            let on = on.iter().map(|filter| (*filter).to_owned()).collect();
            facts.trigger = Some(Trigger::Topic { filters: on });
            Policies { topics: Some(filters(topics)), ..Policies::default() }.narrow_trigger(&mut facts);
            match facts.trigger {
                Some(Trigger::Topic { filters }) => filters,
                _ => Vec::new(),
            }
        };
        assert_eq!(started_by(&["raw/#"], &["raw/a", "b"]), ["raw/a"]);
        assert!(started_by(&["raw/#"], &["b/#"]).is_empty());
        assert!(started_by(&["raw/#"], &[]).is_empty());
    }

    #[test]
    fn policies_are_stored_and_older_ones_are_read() {
        let policies = Policies {
            restart: Restart::Never,
            autostart: Autostart(false),
            net: Some(Vec::new()),
            ..Policies::default()
        };
        let text = serde_json::to_string(&policies).unwrap();
        assert_eq!(text, r#"{"restart":"never","autostart":false,"net":[]}"#);
        assert_eq!(serde_json::from_str::<Policies>(&text).unwrap(), policies);
        assert_eq!(serde_json::from_str::<Policies>("{}").unwrap(), Policies::default());
    }
}
