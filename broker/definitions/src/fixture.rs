//! Test fixtures of this crate: a registry on a virtual clock, and short definitions.

use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use lot_facts::{Dependency, Facts, Kind, TopicFact, Trigger};

use crate::definition::{Definition, DefinitionKind, NewDefinition, Origin, Owner};
use crate::now::Now;
use crate::registry::{Installed, OnExisting, Registry, RegistryOptions};

/// A registry that has finished loading, and the time.
pub(crate) struct World {
    pub(crate) registry: Registry,
    pub(crate) now: Now,
}

impl World {
    pub(crate) fn new() -> World {
        let mut world = World::loading(RegistryOptions::new(TimeZone::UTC));
        world.registry.finish_loading(world.now);
        world
    }

    pub(crate) fn loading(options: RegistryOptions) -> World {
        let wall = "2026-11-20T09:00:00Z".parse().unwrap();
        World { registry: Registry::new(options), now: Now { elapsed: Duration::from_secs(5), wall } }
    }

    pub(crate) fn pass(&mut self, seconds: u64) {
        self.now.elapsed += Duration::from_secs(seconds);
        self.now.wall += SignedDuration::from_secs(i64::try_from(seconds).unwrap());
    }

    /// Installs an Action.
    pub(crate) fn add(&mut self, facts: Facts) -> Installed {
        self.registry.install(definition(facts), OnExisting::Replace, self.now).unwrap()
    }

    pub(crate) fn remove(&mut self, name: &str) -> crate::registry::Removed {
        self.registry.remove(DefinitionKind::Action, name, self.now).unwrap()
    }

    /// Names of those that a message on this topic would start.
    pub(crate) fn matching(&self, topic: &str) -> Vec<String> {
        let mut found = Vec::new();
        self.registry.matches(topic, &mut found);
        names(&found)
    }

    /// Names of those whose timer has fired by now.
    pub(crate) fn due(&mut self) -> Vec<String> {
        let mut found = Vec::new();
        self.registry.due(self.now, &mut found);
        names(&found)
    }
}

pub(crate) fn names(definitions: &[Arc<Definition>]) -> Vec<String> {
    definitions.iter().map(|definition| definition.name().to_string()).collect()
}

/// Facts of an Action with a trigger.
pub(crate) fn action(name: &str, trigger: Trigger) -> Facts {
    Facts { trigger: Some(trigger), ..Facts::new(Kind::Action, name) }
}

/// Facts of an Action with `ON TOPIC`.
pub(crate) fn on_topic(name: &str, filters: &[&str]) -> Facts {
    action(name, Trigger::Topic { filters: filters.iter().map(|filter| (*filter).to_owned()).collect() })
}

/// A pattern if there is a wildcard in it.
pub(crate) fn topic_facts(topics: &[&str]) -> Vec<TopicFact> {
    let fact = |topic: &&str| match *topic {
        "ANY" => TopicFact::Any,
        topic if topic.contains(['+', '#']) => TopicFact::Pattern(topic.to_owned()),
        topic => TopicFact::Exact(topic.to_owned()),
    };
    topics.iter().map(fact).collect()
}

pub(crate) fn needs(facts: Facts, kind: Kind, name: &str) -> Facts {
    let depends_on = vec![Dependency { kind, name: name.to_owned() }];
    Facts { depends_on, ..facts }
}

pub(crate) fn definition(facts: Facts) -> NewDefinition {
    NewDefinition {
        kind: facts.kind.into(),
        name: facts.name.as_str().into(),
        source: "DEFINE …".into(),
        origin: Origin::AdHoc,
        lines_before: 0,
        owner: Some(Owner { name: "root".into(), account: 1 }),
        facts: Arc::new(facts),
        installed_at: Timestamp::UNIX_EPOCH,
        order: None,
    }
}
