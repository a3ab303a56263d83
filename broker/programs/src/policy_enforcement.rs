//! Modules that a policy keeps from messages which would start them: how many those were, and the
//! first in the log.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use lotmq_definitions::Definition;
use lotmq_router::filter_matches;
use parking_lot::RwLock;
use tracing::warn;

/// Topics that would start a module, and those of them that its policy names.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyTopics {
    pub(super) starting: Vec<String>,
    pub(super) allowed: Vec<Box<str>>,
}

impl PolicyTopics {
    fn refuse(&self, topic: &str) -> bool {
        self.starting.iter().any(|filter| filter_matches(filter, topic))
            && !self.allowed.iter().any(|filter| filter_matches(filter, topic))
    }
}

/// Module that a policy keeps from messages.
pub(crate) struct RestrictedModule {
    topics: PolicyTopics,
    pub(super) definition: Arc<Definition>,
    refused: AtomicU64,
}

impl RestrictedModule {
    /// Counts a message that was refused; tells of the first.
    pub(super) fn refuses(&self, topic: &str) {
        if self.refused.fetch_add(1, Relaxed) == 0 {
            let module = &**self.definition.name();
            warn!(target: "modules", module, topic, "policy topics of a module refuses a message; further ones are only counted");
        }
    }
}

/// Such modules of a tenant, by name.
#[derive(Default)]
pub struct RestrictedModules(RwLock<BTreeMap<Box<str>, Arc<RestrictedModule>>>);

impl RestrictedModules {
    /// Takes what a module that was installed is kept from; the count of one before it goes on.
    pub(super) fn put(&self, definition: &Arc<Definition>, topics: Option<PolicyTopics>) {
        let mut modules = self.0.write();
        let before = modules.remove(&**definition.name()).map_or(0, |before| before.refused.load(Relaxed));
        if let Some(topics) = topics {
            let (definition, refused) = (Arc::clone(definition), before.into());
            let name: Box<str> = (&**definition.name()).into();
            modules.insert(name, Arc::new(RestrictedModule { topics, definition, refused }));
        }
    }

    /// Forgets a module that is gone.
    pub(super) fn remove(&self, name: &str) {
        self.0.write().remove(name);
    }

    /// Modules that are kept from messages on a topic.
    pub(super) fn refusing(&self, topic: &str) -> Vec<Arc<RestrictedModule>> {
        self.0.read().values().filter(|module| module.topics.refuse(topic)).cloned().collect()
    }

    /// Number of messages that a module was kept from.
    pub fn refused(&self, name: &str) -> u64 {
        self.0.read().get(name).map_or(0, |module| module.refused.load(Relaxed))
    }
}
