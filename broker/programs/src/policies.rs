//! Policies of an asset: bounds that an administrator sets for a route or a module, beside its text
//! and grants.
//!
//! Invariant: a policy narrows. It never gives more than the route or the module has. Not here: the
//! place that stores policies (`route_orders`, `lotmq_operations::assets`), and the parser of
//! commands.

use std::collections::BTreeMap;
use std::time::Duration;

use lot_facts::{Facts, Trigger};
use lotmq_definitions::Owner;
use lotmq_host::{Grants, GuestLimits, TopicGrant, TrapKind};
use serde::{Deserialize, Serialize};

pub mod bound;

use self::bound::Bounds;
use super::grant_intersection::{both_topics, reaches};
use super::policy_enforcement::PolicyTopics;

/// Policies of an asset; stored as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policies {
    /// Whether the asset starts again after a failure.
    pub restart: Restart,
    /// Whether it begins with the broker, where it was running; otherwise it waits for `-run`.
    pub autostart: Autostart,
    /// Linear memory in MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<usize>,
    /// Time of a call in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<u64>,
    /// Places of the network, as `host:port`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub net: Option<Vec<Box<str>>>,
    /// Topic Filters of what it may read and write.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topics: Option<Vec<Box<str>>>,
    /// Bounds that an administrator has set; each policy is within them.
    #[serde(rename = "setByAdministrator", skip_serializing_if = "Bounds::are_none")]
    pub bounds: Bounds,
    /// Bounds of assets that are gone, by the name of their owner; empty for nobody. They hold for
    /// the next asset of the same name and owner. An administrator has set each of them, so there
    /// are as many as they have set.
    #[serde(rename = "keptFor", skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) kept_for: BTreeMap<Box<str>, Bounds>,
}

/// When an asset that has ended begins again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// When somebody starts it.
    Never,
    /// After traps and lost connections.
    #[default]
    OnFailure,
    /// After every end, also after a failure that needs a correction by the operator.
    Always,
}

/// Whether an asset that was running begins with the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Autostart(pub bool);

impl Default for Autostart {
    fn default() -> Self {
        Self(true)
    }
}

impl Policies {
    /// Returns the bounds that stay at the name of a removed asset: an administrator's, for the
    /// owner. `None` if there are none.
    pub fn kept(&self, owner: Option<&Owner>) -> Option<Self> {
        let mut kept_for = self.kept_for.clone();
        if !self.bounds.are_none() {
            let kept = kept_for.entry(key(owner)).or_default();
            *kept = std::mem::take(kept).and(&self.bounds);
        }
        Self { kept_for, ..Self::default() }.without_asset()
    }

    /// Policies that stay at the former name of a renamed asset. Its bounds move along.
    pub fn moved(&self) -> Option<Self> {
        Self { kept_for: self.kept_for.clone(), ..Self::default() }.without_asset()
    }

    /// These at a name without an asset; `None` if nothing is kept there.
    fn without_asset(self) -> Option<Self> {
        (!self.bounds.are_none() || !self.kept_for.is_empty()).then_some(self)
    }

    /// These for an asset of this owner, within the bounds that were kept for it.
    pub fn claimed_by(mut self, owner: Option<&Owner>) -> Self {
        match self.kept_for.remove(&*key(owner)) {
            Some(kept) => self.within(&kept),
            None => self,
        }
    }

    /// These for an asset that gets the name where `there` was kept.
    pub fn at_name_of(mut self, there: Self, owner: Option<&Owner>) -> Self {
        self = self.within(&there.bounds);
        self.kept_for = there.kept_for;
        self.claimed_by(owner)
    }

    /// These with further bounds.
    pub fn within(mut self, bounds: &Bounds) -> Self {
        self.bounds = self.bounds.and(bounds);
        self.bounds.clone().narrow(&mut self);
        self
    }

    /// Takes back a bound of assets that are gone.
    pub fn free_kept(&mut self, policy: &str) {
        for bounds in self.kept_for.values_mut() {
            bounds.take(policy, &Self::default());
        }
        self.kept_for.retain(|_, bounds| !bounds.are_none());
    }

    /// Takes back a bound at a name without an asset. `None` if nothing is kept there any more.
    pub fn freed(mut self, policy: &str) -> Option<Self> {
        self.free_kept(policy);
        let mut bounds = std::mem::take(&mut self.bounds);
        bounds.take(policy, &Self::default());
        Self { kept_for: self.kept_for, ..Self::default() }.within(&bounds).without_asset()
    }

    /// Whether bounds are kept here.
    pub fn are_kept(&self) -> bool {
        self.clone().without_asset().is_some()
    }

    /// These without what was kept of other assets, as they are shown.
    pub fn without_kept(&self) -> Self {
        Self { kept_for: BTreeMap::new(), ..self.clone() }
    }

    /// The reason why a guest has ended, with the policy of the route or module of this name
    /// because of which it has less than it needs.
    pub(crate) fn explain_end(&self, reason: String, name: &str) -> String {
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
    pub fn limits(&self, limits: GuestLimits) -> GuestLimits {
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
    pub fn grants(&self, grants: Grants) -> Grants {
        let Some(filters) = &self.topics else { return grants };
        let allowed = TopicGrant::Filters(filters.clone().into());
        Grants {
            read: both_topics(&grants.read, &allowed),
            write: both_topics(&grants.write, &allowed),
            ..grants
        }
    }

    /// Takes topics out of what starts a module that these policies do not name; a message tells it
    /// what is there. Returns what they are.
    pub fn narrow_trigger(&self, facts: &mut Facts) -> Option<PolicyTopics> {
        let (Some(allowed), Some(Trigger::Topic { filters })) = (&self.topics, &facts.trigger) else {
            return None;
        };
        let restricted = PolicyTopics { starting: filters.clone(), allowed: allowed.clone() };
        let granted = TopicGrant::Filters(filters.iter().map(|filter| filter.as_str().into()).collect());
        let TopicGrant::Filters(common) = both_topics(&granted, &TopicGrant::Filters(allowed.clone().into()))
        else {
            return None;
        };
        let filters: Vec<String> = common.iter().map(|filter| filter.to_string()).collect();
        facts.trigger = (!filters.is_empty()).then_some(Trigger::Topic { filters });
        Some(restricted)
    }

    /// Whether a place of the network, as `host:port`, is within these policies.
    pub(crate) fn allow_place(&self, place: &str) -> bool {
        self.net.as_ref().is_none_or(|places| places.iter().any(|allowed| reaches(allowed, place)))
    }
}

/// Key of an owner under which bounds are kept.
fn key(owner: Option<&Owner>) -> Box<str> {
    owner.map(|owner| Box::from(&*owner.name)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_of_an_asset_that_is_gone_hold_for_its_owner_only() {
        let owner = |name: &str| Some(Owner { name: name.into(), account: 7 });
        let (eve, vic) = (owner("eve"), owner("vic"));
        let mut bounded = Policies { memory: Some(3), ..Policies::default() };
        bounded.bounds.take("memory", &bounded.clone());
        let kept = bounded.kept(eve.as_ref()).expect("a bound");
        assert_eq!(kept.without_kept(), Policies::default(), "no bound holds for the name as such");
        assert_eq!(kept.clone().claimed_by(vic.as_ref()).memory, None);
        assert_eq!(kept.clone().claimed_by(None).memory, None);
        // The asset of vic comes and goes.
        let kept = kept.claimed_by(vic.as_ref()).kept(vic.as_ref()).expect("that of eve");
        let claimed = kept.clone().claimed_by(eve.as_ref());
        assert_eq!((claimed.memory, claimed.moved()), (Some(3), None));
        // It is stored, and taken back.
        let text = serde_json::to_string(&kept).unwrap();
        assert_eq!(serde_json::from_str::<Policies>(&text).unwrap(), kept);
        assert!(kept.clone().freed("time").is_some() && kept.freed("memory").is_none());
    }

    #[test]
    fn asset_that_gets_a_name_has_its_bounds_and_those_kept_there() {
        let bounded = |topics: &[&str]| {
            let mut policies = Policies { topics: Some(filters(topics)), ..Policies::default() };
            policies.bounds.take("topics", &policies.clone());
            policies
        };
        let there = bounded(&["a/x/#", "b"]).kept(None).expect("a bound");
        let moved = bounded(&["a/#"]).at_name_of(there, None);
        assert_eq!(moved.topics, Some(filters(&["a/x/#"])));
        assert!(moved.moved().is_none(), "its bounds go with it");
    }

    fn filters(names: &[&str]) -> Vec<Box<str>> {
        names.iter().map(|name| (*name).into()).collect()
    }

    #[test]
    fn guest_error_caused_by_a_policy_names_the_policy() {
        let policies = Policies { memory: Some(1), time: Some(5), ..Policies::default() };
        let memory = "memory minimum size of 19 pages exceeds memory limits (GUEST_HOST_CALL)";
        let told = policies.explain_end(memory.to_owned(), "Up");
        let why = "its policy `memory` gives it 1 MiB, which -asset-policy-set Up memory changes";
        assert_eq!(told, format!("{memory}: {why}"));
        let time = format!("out of time ({})", TrapKind::Time.code());
        assert!(policies.explain_end(time.clone(), "Up").contains("its policy `time` gives it 5 ms"));
        assert_eq!(Policies::default().explain_end(time.clone(), "Up"), time);
        assert_eq!(policies.explain_end("no answer".to_owned(), "Up"), "no answer");
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
    fn topic_policy_narrows_module_triggers_without_replacement() {
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
