//! Uploaded modules of a tenant: WebAssembly components that run like Actions. Commands reference §14.
//!
//! A module is a definition of kind `Module` in the registry, deployed through the same code as LoT; kept here is what the registry has no
//! place for. What the bytes say about themselves is a hint: the facts may name a trigger, every capability is what was granted.
//!
//! Invariant: a module is in this list exactly while its definition is in the registry. Not here: the commands (`command::modules`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use lot_facts::{Facts, Kind, TopicFact, Trigger};
use lotmq_definitions::{DefinitionKind, Installed, NewDefinition, OnExisting, Origin, Owner};
use lotmq_host::{AfterTraps, Grants, Guest, GuestLimits, NameGrant, RunnerState, TopicGrant};
use lotmq_store::{Batch, ModuleRow, Op};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tracing::error;

use crate::guests::HasPrograms as _;
use crate::guests::{self, CompiledDefinition, DeployError, ExecutorCode, Hosting, authority};
use crate::management::managed::Managing as _;
use lotmq_core::tenant::Tenant;

/// Traps after which a module stays stopped, and within how long (commands reference §14.4).
const STOP_AFTER: (u32, Duration) = (5, Duration::from_secs(60));

/// Options of an upload; stored as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ModuleOptions {
    /// Free text for people.
    pub(crate) version: String,
    /// Topics that it may touch; `None` = all but `$SYS`.
    pub(crate) topics: Option<Vec<String>>,
    /// Topics whose messages start it; empty = the trigger that its facts name, else `topics`.
    pub(crate) on: Vec<String>,
    /// Linear memory in MiB.
    pub(crate) memory_mib: Option<usize>,
    /// Time of a run in milliseconds.
    pub(crate) time_ms: Option<u64>,
    /// Configuration for the module itself.
    pub(crate) config: Option<Value>,
    pub(crate) is_disabled: bool,
}

/// Installed module.
#[derive(Clone, Debug)]
pub(crate) struct Module {
    pub(crate) name: Arc<str>,
    pub(crate) options: ModuleOptions,
    pub(crate) hash: [u8; 32],
    /// Bytes as uploaded.
    pub(crate) bytes: Bytes,
    pub(crate) owner: Option<Owner>,
    pub(crate) installed_at_ms: u64,
}

/// Modules of a tenant.
#[derive(Default)]
pub(crate) struct Modules(RwLock<BTreeMap<Arc<str>, Arc<Module>>>);

impl Modules {
    pub(crate) fn get(&self, name: &str) -> Option<Arc<Module>> {
        self.0.read().get(name).cloned()
    }

    /// All modules, by name.
    pub(crate) fn all(&self) -> Vec<Arc<Module>> {
        self.0.read().values().cloned().collect()
    }

    /// Number and bytes of all modules.
    pub(crate) fn size(&self) -> (usize, usize) {
        let modules = self.0.read();
        (modules.len(), modules.values().map(|module| module.bytes.len()).sum())
    }

    pub(crate) fn remove(&self, name: &str) {
        self.0.write().remove(name);
    }

    pub(crate) fn insert(&self, module: Arc<Module>) {
        self.0.write().insert(Arc::clone(&module.name), module);
    }
}

/// Module that was installed.
#[derive(Debug)]
pub(crate) struct InstalledModule {
    pub(crate) installed: Installed,
    /// Exports that nobody calls.
    pub(crate) further_exports: Vec<String>,
}

/// Compiles and installs a module. What it needs to survive is added to `batch`.
///
/// # Errors
/// [`DeployError`]; what was there runs on.
pub(crate) fn install(
    tenant: &Arc<Tenant>,
    hosting: &Arc<Hosting>,
    module: Module,
    existing: OnExisting,
    batch: &mut Batch,
) -> Result<InstalledModule, DeployError> {
    let guest = hosting.loader().module(&module.bytes)?;
    let further_exports = guest.further_exports().to_vec();
    let new = new_definition(&module, &guest);
    let code = ExecutorCode {
        guest,
        grants: grants(&module.options),
        limits: limits(&module.options),
        after_traps: AfterTraps::Stop { traps: STOP_AFTER.0, within: STOP_AFTER.1 },
    };
    let compiled = CompiledDefinition::of_module(code, new, existing);
    let installed = guests::install(tenant, hosting, compiled, batch)?;
    batch.push(Op::PutModule(&row(tenant, &module)));
    let module = Arc::new(module);
    tenant.managed().modules.insert(Arc::clone(&module));
    if module.options.is_disabled {
        switch(tenant, hosting, &module, true, batch);
    }
    Ok(InstalledModule { installed, further_exports })
}

fn new_definition(module: &Module, guest: &Guest) -> NewDefinition {
    let reads = guest.imports().iter().any(|import| import.contains("topic-store"));
    let installed_at = i64::try_from(module.installed_at_ms).ok();
    NewDefinition {
        kind: DefinitionKind::Module,
        name: Arc::clone(&module.name),
        source: "".into(),
        origin: Origin::AdHoc,
        owner: module.owner.clone(),
        facts: Arc::new(facts(module, reads)),
        installed_at: installed_at.and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or_default(),
        order: None,
    }
}

/// Switches a module off or on, also one that was stopped after its last trap.
pub(crate) fn switch(
    tenant: &Arc<Tenant>,
    hosting: &Arc<Hosting>,
    module: &Module,
    is_disabled: bool,
    batch: &mut Batch,
) {
    let now = hosting.definitions_now();
    let changed = {
        let mut registry = tenant.programs().guests.registry.write();
        registry.set_disabled(DefinitionKind::Module, &module.name, is_disabled, now)
    };
    if let Ok(changed) = changed {
        tenant.programs().guests.settle(tenant, hosting, &changed);
    }
    if !is_disabled && let Some(runner) = runner(tenant, &module.name) {
        runner.enable();
    }
    let options = ModuleOptions { is_disabled, ..module.options.clone() };
    let module = Module { options, ..module.clone() };
    batch.push(Op::PutModule(&row(tenant, &module)));
    tenant.managed().modules.insert(Arc::new(module));
}

/// Adds to `batch` that the modules of `user` belong to nobody.
pub(crate) fn store_without_owner(tenant: &Tenant, user: &str, batch: &mut Batch) {
    for module in of_owner(tenant, user) {
        batch.push(Op::PutModule(&row(tenant, &module)));
    }
}

/// Takes the owner off the modules of `user`; for their definitions that is `Guests::disown`.
pub(crate) fn disown(tenant: &Tenant, user: &str) {
    for module in of_owner(tenant, user) {
        tenant.managed().modules.insert(Arc::new(module));
    }
}

/// Modules of a user, without their owner.
fn of_owner(tenant: &Tenant, user: &str) -> impl Iterator<Item = Module> {
    let all = tenant.managed().modules.all().into_iter();
    all.filter(move |module| module.owner.as_ref().is_some_and(|owner| *owner.name == *user))
        .map(|module| Module { owner: None, ..(*module).clone() })
}

fn runner(tenant: &Tenant, name: &str) -> Option<Arc<lotmq_host::Runner>> {
    let definition = tenant.programs().guests.registry.read().get(DefinitionKind::Module, name).cloned()?;
    tenant.programs().guests.runner(definition.id)
}

/// Data of `-moduleInfo`, and payload of `Modules/<name>`.
pub(crate) fn info(tenant: &Tenant, module: &Module) -> Value {
    let runner = runner(tenant, &module.name);
    let metrics = runner.as_ref().map(|runner| runner.metrics()).unwrap_or_default();
    let state = match runner.map(|runner| runner.state()) {
        _ if module.options.is_disabled => "disabled",
        Some(RunnerState::Failed) => "failed",
        _ => "enabled",
    };
    json!({
        "name": &*module.name,
        "tenant": &*tenant.name,
        "world": "action",
        "version": module.options.version,
        "sha256": data_encoding::HEXLOWER.encode(&module.hash),
        "bytes": module.bytes.len(),
        "state": state,
        "installedUtc": crate::process::clock::utc_text(module.installed_at_ms),
        "usedBy": [],
        "calls": metrics.runs,
        "traps": metrics.traps,
    })
}

/// Installs the stored modules. One that does not load any more is left out and stays in the store.
pub(crate) fn restore(hosting: &Arc<Hosting>, rows: Vec<ModuleRow>) {
    let tenants = hosting.tenants.all();
    for row in rows {
        let Some(tenant) = tenants.iter().find(|tenant| tenant.id == row.tenant) else { continue };
        let module = Module {
            name: row.name.as_str().into(),
            options: serde_json::from_str(&row.options).unwrap_or_default(),
            hash: row.hash,
            bytes: row.bytes,
            owner: authority::owner(&tenant.users, &row.owner),
            installed_at_ms: row.changed_at_ms,
        };
        // It is stored already: what installing would write is dropped.
        if let Err(reason) = install(tenant, hosting, module, OnExisting::Replace, &mut Batch::new()) {
            error!(tenant = &*tenant.name, definition = row.name, kind = "module", %reason, "definition not restored");
        }
    }
}

fn row(tenant: &Tenant, module: &Module) -> ModuleRow {
    ModuleRow {
        tenant: tenant.id,
        name: module.name.as_ref().into(),
        world: "action".to_owned(),
        options: serde_json::to_string(&module.options).expect("options are strings, numbers and JSON"),
        hash: module.hash,
        bytes: module.bytes.clone(),
        owner: module.owner.as_ref().map(|owner| owner.name.as_ref().to_owned()).unwrap_or_default(),
        origin: "command".to_owned(),
        order: module.installed_at_ms,
        changed_at_ms: module.installed_at_ms,
    }
}

/// Facts for the registry: the trigger, and as topics those that were granted.
fn facts(module: &Module, reads: bool) -> Facts {
    let options = &module.options;
    let mut facts = Facts::new(Kind::Action, &*module.name);
    let granted: Vec<TopicFact> = match &options.topics {
        None => vec![TopicFact::Any],
        Some(topics) => topics.iter().cloned().map(TopicFact::Pattern).collect(),
    };
    if reads {
        facts.reads.clone_from(&granted);
        facts.keeps.clone_from(&granted);
    }
    facts.writes = granted;
    let on =
        if options.on.is_empty() { options.topics.clone().unwrap_or_default() } else { options.on.clone() };
    let hinted = hint(&module.bytes).and_then(|facts| facts.trigger).filter(|_| options.on.is_empty());
    facts.trigger = hinted.or_else(|| (!on.is_empty()).then_some(Trigger::Topic { filters: on }));
    facts
}

fn grants(options: &ModuleOptions) -> Grants {
    let filters =
        |topics: &[String]| TopicGrant::Filters(topics.iter().map(|topic| topic.as_str().into()).collect());
    let (write, read) = match &options.topics {
        None => (TopicGrant::NotSystem, TopicGrant::NotSystem),
        Some(topics) => (filters(topics), filters(topics)),
    };
    // Secrets are for definitions that name them, which an upload cannot do yet.
    let config = options.config.as_ref().map(|config| config.to_string().into());
    Grants { write, read, environment: NameGrant::All, calls: NameGrant::All, config, ..Grants::default() }
}

fn limits(options: &ModuleOptions) -> GuestLimits {
    let defaults = GuestLimits::default();
    GuestLimits {
        memory_bytes: options.memory_mib.map_or(defaults.memory_bytes, |mib| mib << 20),
        time: options.time_ms.map_or(defaults.time, Duration::from_millis),
        ..defaults
    }
}

/// Facts that a component carries, as our compiler writes them.
fn hint(component: &[u8]) -> Option<Facts> {
    /// Length of magic number and version.
    const HEADER_LEN: usize = 8;
    const CUSTOM: u8 = 0;
    let mut rest = component.get(HEADER_LEN..)?;
    while let Some((id, after)) = rest.split_first() {
        let (len, after) = leb128(after)?;
        let (mut section, behind) = after.split_at_checked(len)?;
        rest = behind;
        if *id == CUSTOM {
            let (name_len, named) = leb128(section)?;
            let (name, content) = named.split_at_checked(name_len)?;
            section = content;
            if name == lot_facts::SECTION.as_bytes() {
                return serde_json::from_slice(section).ok();
            }
        }
    }
    None
}

/// Decodes an unsigned LEB128 number of at most 32 bits; returns it with the bytes behind it.
fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0_usize;
    for (n, byte) in bytes.iter().take(5).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * n);
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(n + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_found_in_a_component_and_nowhere_else() {
        let facts = serde_json::to_vec(&Facts::new(Kind::Action, "A")).unwrap();
        let mut component = b"\0asm\x0d\0\x01\0".to_vec();
        component.extend_from_slice(&[1, 2, 0xff, 0xff]);
        let name = lot_facts::SECTION.as_bytes();
        let len = 1 + name.len() + facts.len();
        component.extend_from_slice(&[
            0,
            u8::try_from(len & 0x7f).unwrap() | 0x80,
            u8::try_from(len >> 7).unwrap(),
        ]);
        component.push(u8::try_from(name.len()).unwrap());
        component.extend_from_slice(name);
        component.extend_from_slice(&facts);
        assert_eq!(hint(&component).unwrap().name, "A");
        for cut in [0, 7, 8, 9, 12, 13, 20, component.len() - 1] {
            assert!(hint(&component[..cut]).is_none(), "{cut}");
        }
        assert!(hint(&[0xff; 64]).is_none());
    }

    #[test]
    fn what_starts_a_module_is_told_or_hinted_or_what_it_may_touch() {
        let module = |options: ModuleOptions| Module {
            name: "m".into(),
            options,
            hash: [0; 32],
            bytes: Bytes::new(),
            owner: None,
            installed_at_ms: 0,
        };
        let filters = |module: &Module| match facts(module, true).trigger {
            Some(Trigger::Topic { filters }) => filters,
            _ => Vec::new(),
        };
        assert!(filters(&module(ModuleOptions::default())).is_empty());
        let topics = Some(vec!["a/#".to_owned()]);
        let touched = module(ModuleOptions { topics: topics.clone(), ..ModuleOptions::default() });
        assert_eq!(filters(&touched), ["a/#"]);
        let told = module(ModuleOptions { topics, on: vec!["a/in".into()], ..ModuleOptions::default() });
        assert_eq!(filters(&told), ["a/in"]);
        assert_eq!(facts(&told, true).reads, [TopicFact::Pattern("a/#".into())]);
        assert!(facts(&told, false).reads.is_empty());
    }
}
