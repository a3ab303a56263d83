//! Catalog of a tenant's modules: what is known of uploaded components, with their options, and the
//! version before each. Commands reference §14.
//!
//! Their bytes are in the store alone ([`components`](super::components)).
//!
//! Not here: what makes them run and stores them ([`modules`](super::modules)), and uploads whose
//! bytes are still coming ([`uploads`](super::uploads)).

pub mod grants;
pub mod route_description;

use std::collections::BTreeMap;
use std::sync::Arc;

use lot_route_catalogue::RouteType;
use lotmq_definitions::Owner;
use lotmq_host::{Capability, World};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use grants::{GrantSet, ModuleManifest, NamedGrant};

/// Options of an upload; stored as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ModuleOptions {
    /// Free text for people.
    pub(crate) version: String,
    /// Topics that it may read and write, as `-topics` names them; also among `granted`.
    pub(crate) topics: Option<Vec<String>>,
    /// All that it may do; `None` of what a broker stored that knew no grants.
    pub(crate) granted: Option<GrantSet>,
    /// Topics whose messages start it; empty = the trigger that its facts name, else `topics`.
    pub(crate) on: Vec<String>,
    /// Linear memory in MiB.
    pub(crate) memory_mib: Option<usize>,
    /// Time of a run in milliseconds.
    pub(crate) time_ms: Option<u64>,
    /// Configuration for the module itself.
    pub(crate) config: Option<Value>,
    /// Signature of its bytes, as `-sig` names it.
    pub(crate) signature: Option<String>,
    /// Key that made it, when it was installed.
    pub(crate) signed_by: Option<String>,
    pub(crate) is_disabled: bool,
}

impl ModuleOptions {
    /// Returns the grants of the module. A module that was stored without grants has its topics and
    /// its state, but no values, secrets or calls.
    pub(crate) fn granted(&self) -> GrantSet {
        self.granted.clone().unwrap_or_else(|| {
            let mut granted = self.topics.as_ref().map_or_else(default_topics, grants::of_topics);
            granted.insert(NamedGrant { capability: Capability::KeepState, name: "".into() });
            granted
        })
    }
}

/// Grants of a module that says nothing of what it needs, installed by a command that says nothing
/// either: all topics but those that begin with `$`.
pub(crate) fn default_topics() -> GrantSet {
    grants::of_topics([&"#".to_owned()])
}

/// Content of a component's manifest.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    /// Grants that it asks for; `None` without a manifest.
    pub(crate) asked: Option<GrantSet>,
    /// Its description for users.
    pub(crate) description: String,
    /// JSON Schema of its configuration.
    pub(crate) configuration: Option<Value>,
    /// Type of its routes, if it describes them.
    pub(crate) routes: Option<Arc<RouteType>>,
}

impl Said {
    /// Reads the manifest of a module's component, and the description of its routes. One that
    /// cannot be used says nothing: another version of the broker took it.
    pub(crate) fn of(module: &Module, component: &[u8]) -> Self {
        let mut said = Self::default();
        if let Some(manifest) = grants::manifest(component).ok().flatten() {
            let ModuleManifest { asks, description, configuration } = manifest;
            said = Self { asked: Some(asks.into_iter().collect()), description, configuration, routes: None };
        }
        let routes = route_description::of_component(&module.name, module.world, component).ok().flatten();
        if let Some(kind) = &routes
            && said.description.is_empty()
        {
            said.description.clone_from(&kind.description);
        }
        Self { routes: routes.map(Arc::new), ..said }
    }
}

/// Installed module.
#[derive(Clone, Debug)]
pub struct Module {
    pub(crate) name: Arc<str>,
    /// `Action`, `Rule`, `Route` or `Auth`.
    pub world: World,
    pub(crate) options: ModuleOptions,
    /// SHA-256 of its component.
    pub(crate) hash: [u8; 32],
    /// Bytes of its component.
    pub(crate) component_bytes: usize,
    /// Manifest of its component, known after compilation. A former version has none after a start.
    pub(crate) said: Said,
    pub(crate) owner: Option<Owner>,
    pub(crate) installed_at_ms: u64,
}

/// Stored module that a start could not restore. It does nothing until it is added again.
#[derive(Clone, Debug)]
pub(crate) struct LostModule {
    pub(crate) name: Arc<str>,
    /// Name of its world; `None` if its row is damaged.
    pub(crate) world: Option<String>,
    pub(crate) owner: Option<Owner>,
    /// Reason for people.
    pub(crate) reason: String,
    pub(crate) found_at_ms: u64,
    /// Whether its row is in the store; otherwise it is put aside in the quarantine.
    pub(crate) is_stored: bool,
}

/// Modules of a tenant.
#[derive(Default)]
pub(crate) struct Modules {
    present: RwLock<BTreeMap<Arc<str>, Arc<Module>>>,
    /// The versions before them, as far as they are kept.
    former: RwLock<BTreeMap<Arc<str>, Arc<Module>>>,
    /// Modules that the start could not restore.
    lost: RwLock<BTreeMap<Arc<str>, LostModule>>,
}

impl Modules {
    pub(crate) fn get(&self, name: &str) -> Option<Arc<Module>> {
        self.present.read().get(name).cloned()
    }

    /// The version before a module.
    pub(crate) fn former(&self, name: &str) -> Option<Arc<Module>> {
        self.former.read().get(name).cloned()
    }

    /// All modules, by name.
    pub(crate) fn all(&self) -> Vec<Arc<Module>> {
        self.present.read().values().cloned().collect()
    }

    /// The versions before them, as far as they are kept.
    pub(crate) fn all_former(&self) -> Vec<Arc<Module>> {
        self.former.read().values().cloned().collect()
    }

    pub(crate) fn count(&self) -> usize {
        self.present.read().len()
    }

    /// Bytes of all modules but the one of this name, versions before them included, each with its
    /// owner.
    pub(crate) fn bytes_besides(&self, name: &str) -> Vec<(Option<Owner>, usize)> {
        let others = self.all().into_iter().chain(self.all_former()).filter(|module| *module.name != *name);
        others.map(|module| (module.owner.clone(), module.component_bytes)).collect()
    }

    /// The module of another name that describes a type of routes of this name.
    pub(crate) fn describes(&self, kind: &str, besides: &str) -> Option<Arc<Module>> {
        let describes = |module: &&Arc<Module>| {
            *module.name != *besides && module.said.routes.as_ref().is_some_and(|known| known.name == kind)
        };
        self.present.read().values().find(describes).cloned()
    }

    /// Owners of all modules but the one of this name.
    pub(crate) fn owners_besides(&self, name: &str) -> Vec<Option<Owner>> {
        let present = self.present.read();
        present.values().filter(|module| *module.name != *name).map(|module| module.owner.clone()).collect()
    }

    pub(crate) fn remove(&self, name: &str) {
        self.present.write().remove(name);
        self.former.write().remove(name);
        self.lost.write().remove(name);
    }

    /// Module of this name that the start could not restore.
    pub(crate) fn lost(&self, name: &str) -> Option<LostModule> {
        self.lost.read().get(name).cloned()
    }

    /// All modules that the start could not restore, by name.
    pub(crate) fn all_lost(&self) -> Vec<LostModule> {
        self.lost.read().values().cloned().collect()
    }

    /// Notes a module that cannot be restored, unless another one of its name is there.
    pub(crate) fn lose(&self, lost: LostModule) {
        if self.get(&lost.name).is_none() {
            self.lost.write().insert(Arc::clone(&lost.name), lost);
        }
    }

    pub(crate) fn insert(&self, module: Arc<Module>) {
        self.lost.write().remove(&module.name);
        self.present.write().insert(Arc::clone(&module.name), module);
    }

    /// Keeps a version before, in the place of the one that was kept; `None` keeps none.
    pub(crate) fn keep(&self, name: &str, former: Option<Arc<Module>>) {
        let mut kept = self.former.write();
        match former {
            Some(former) => kept.insert(Arc::clone(&former.name), former),
            None => kept.remove(name),
        };
    }
}
