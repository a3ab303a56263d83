//! Records of a tenant's assets that are modules or instances of them, by name; and what
//! subscribers were last told of every asset.
//!
//! A record is stored as a setting, in the batch of whatever changes it. Orders for routes are with
//! the guests (`route_orders`). Not here: what makes instances run ([`assets`](super::assets)).

use std::collections::BTreeMap;
use std::sync::Arc;

use lotmq_auth::Directory;
use lotmq_changes::{Batch, Op, SettingRow, TenantId};
use lotmq_definitions::Owner;
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tracing::error;

use lotmq_programs::authority;
use lotmq_programs::policies::Policies;

/// Prefix of the names of settings that hold records; their value is JSON.
const SETTING: &str = "assets.module/";

/// Record of an asset.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct AssetRecord {
    pub(crate) policies: Policies,
    /// Record of an installed instance; `None` for the policies of an uploaded module.
    pub(crate) instance: Option<InstanceRecord>,
}

/// Record of an installed instance of a module.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct InstanceRecord {
    /// Name of the module.
    pub(crate) package: Arc<str>,
    pub(crate) is_stopped: bool,
    pub(crate) config: Option<Value>,
    pub(crate) owner: Option<Owner>,
    pub(crate) installed_at_ms: u64,
}

/// Stored form of a record.
#[derive(Serialize, Deserialize)]
struct StoredAsset {
    policies: Policies,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<StoredInstance>,
}

#[derive(Serialize, Deserialize)]
struct StoredInstance {
    package: String,
    #[serde(default)]
    is_stopped: bool,
    #[serde(default)]
    config: Option<Value>,
    /// Name of the user; empty where it belongs to nobody.
    #[serde(default)]
    owner: String,
    #[serde(default)]
    installed_at_ms: u64,
}

/// Last observed state of an asset.
#[derive(Debug)]
struct SeenAsset {
    state: &'static str,
    since_ms: u64,
    /// Last state that subscribers received.
    told: Option<String>,
}

/// Assets of a tenant.
#[derive(Default)]
pub struct Assets {
    records: RwLock<BTreeMap<Arc<str>, Arc<AssetRecord>>>,
    seen: Mutex<BTreeMap<Box<str>, SeenAsset>>,
}

impl Assets {
    /// Restores the records of a tenant, at a start. Stops assets that must not start by
    /// themselves. A record that cannot be read is left out and stays in the store.
    pub fn restore(&self, tenant: TenantId, settings: &[SettingRow], users: &Directory) {
        let mut records = self.records.write();
        for row in settings.iter().filter(|row| row.tenant == tenant) {
            let Some(name) = row.name.strip_prefix(SETTING) else { continue };
            match serde_json::from_str::<StoredAsset>(&row.value) {
                Ok(stored) => drop(records.insert(name.into(), Arc::new(restored(stored, users)))),
                Err(error) => error!(setting = row.name, %error, "asset not restored"),
            }
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<Arc<AssetRecord>> {
        self.records.read().get(name).cloned()
    }

    /// Policies of a module, or of an instance of one.
    pub(crate) fn policies(&self, name: &str) -> Policies {
        self.get(name).map(|record| record.policies.clone()).unwrap_or_default()
    }

    /// Record of an installed instance.
    pub(crate) fn instance(&self, name: &str) -> Option<InstanceRecord> {
        self.get(name)?.instance.clone()
    }

    /// Installed instances, by name.
    pub(crate) fn instances(&self) -> Vec<(Arc<str>, Arc<AssetRecord>)> {
        let records = self.records.read();
        let instances = records.iter().filter(|(_, record)| record.instance.is_some());
        instances.map(|(name, record)| (Arc::clone(name), Arc::clone(record))).collect()
    }

    /// Names of the instances of a module.
    pub(crate) fn of_package(&self, package: &str) -> Vec<Arc<str>> {
        let is_of = |record: &AssetRecord| record.instance.as_ref().is_some_and(|it| *it.package == *package);
        let records = self.records.read();
        records.iter().filter(|(_, record)| is_of(record)).map(|(name, _)| Arc::clone(name)).collect()
    }

    /// Puts a record, and adds it to `batch`.
    pub(crate) fn put(&self, tenant: TenantId, name: &str, record: AssetRecord, batch: &mut Batch) {
        store(tenant, name, &record, batch);
        self.records.write().insert(name.into(), Arc::new(record));
    }

    /// Policies that a module or an instance works with: of an instance, its own ones within the
    /// bounds of its module.
    pub(crate) fn effective(&self, record: &AssetRecord) -> Policies {
        let policies = record.policies.clone();
        match &record.instance {
            Some(instance) => policies.within(&self.policies(&instance.package).bounds),
            None => policies,
        }
    }

    /// Removes the record of an asset of this owner, and adds that to `batch`. Bounds of an
    /// administrator stay for the next asset of this name and owner.
    pub(crate) fn remove(&self, tenant: TenantId, name: &str, owner: Option<&Owner>, batch: &mut Batch) {
        self.leave(tenant, name, self.policies(name).kept(owner), batch);
    }

    /// Removes the record of an asset that has another name now, and adds that to `batch`.
    pub(crate) fn moved(&self, tenant: TenantId, name: &str, batch: &mut Batch) {
        self.leave(tenant, name, self.policies(name).moved(), batch);
    }

    /// Leaves at a name without an asset what is kept there, and adds that to `batch`.
    pub(crate) fn leave(&self, tenant: TenantId, name: &str, kept: Option<Policies>, batch: &mut Batch) {
        match kept {
            Some(policies) => self.put(tenant, name, AssetRecord { policies, instance: None }, batch),
            None => self.delete(tenant, name, batch),
        }
    }

    /// Removes a record with all its bounds, and adds that to `batch`.
    fn delete(&self, tenant: TenantId, name: &str, batch: &mut Batch) {
        if self.records.write().remove(name).is_some() {
            batch.push(Op::DeleteSetting { tenant, name: &format!("{SETTING}{name}") });
        }
    }

    /// Takes the owner off the instances of `user`, and adds that to `batch`; for their definitions
    /// that is `Guests::disown`.
    pub(crate) fn disown(&self, tenant: TenantId, user: &str, batch: &mut Batch) {
        for (name, record) in self.instances() {
            let Some(instance) = record.instance.as_ref() else { continue };
            if instance.owner.as_ref().is_some_and(|owner| *owner.name == *user) {
                let instance = Some(InstanceRecord { owner: None, ..instance.clone() });
                self.put(tenant, &name, AssetRecord { instance, ..(*record).clone() }, batch);
            }
        }
    }

    /// Notes the state of an asset; since when it has it, as far as anybody has looked.
    pub(crate) fn sees(&self, name: &str, state: &'static str, now_ms: u64) -> u64 {
        let mut seen = self.seen.lock();
        let known =
            seen.entry(name.into()).or_insert_with(|| SeenAsset { state, since_ms: now_ms, told: None });
        if known.state != state {
            (known.state, known.since_ms) = (state, now_ms);
        }
        known.since_ms
    }

    /// Notes what subscribers are told of an asset; whether it is something else than before.
    pub(crate) fn tells(&self, name: &str, text: &str) -> bool {
        let mut seen = self.seen.lock();
        let Some(known) = seen.get_mut(name) else { return true };
        let is_new = known.told.as_deref() != Some(text);
        if is_new {
            known.told = Some(text.to_owned());
        }
        is_new
    }

    /// Forgets assets that are not there any more; those of which subscribers were told.
    pub(crate) fn forget_gone(&self, is_there: impl Fn(&str) -> bool) -> Vec<Box<str>> {
        let mut seen = self.seen.lock();
        let gone: Vec<Box<str>> = seen.keys().filter(|name| !is_there(name)).cloned().collect();
        gone.into_iter().filter(|name| seen.remove(name).is_some_and(|known| known.told.is_some())).collect()
    }
}

fn restored(stored: StoredAsset, users: &Directory) -> AssetRecord {
    let begins = stored.policies.autostart.0;
    let instance = stored.instance.map(|instance| InstanceRecord {
        package: instance.package.as_str().into(),
        is_stopped: instance.is_stopped || !begins,
        config: instance.config,
        owner: authority::owner(users, &instance.owner),
        installed_at_ms: instance.installed_at_ms,
    });
    AssetRecord { policies: stored.policies, instance }
}

fn store(tenant: TenantId, name: &str, record: &AssetRecord, batch: &mut Batch) {
    let instance = record.instance.as_ref().map(|instance| StoredInstance {
        package: instance.package.as_ref().to_owned(),
        is_stopped: instance.is_stopped,
        config: instance.config.clone(),
        owner: instance.owner.as_ref().map(|owner| owner.name.as_ref().to_owned()).unwrap_or_default(),
        installed_at_ms: instance.installed_at_ms,
    });
    let stored = StoredAsset { policies: record.policies.clone(), instance };
    let value = serde_json::to_string(&stored).expect("a record is texts, numbers and JSON");
    batch.push(Op::PutSetting(&SettingRow { tenant, name: format!("{SETTING}{name}"), value }));
}
