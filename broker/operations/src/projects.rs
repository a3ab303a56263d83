//! Projects of a tenant: folders of programs, uploaded as archives, any of which may be loaded.
//! Commands reference §12.
//!
//! ```text
//! zip64, path ─▶ archive (checked) ─▶ store
//! -loadProject ─▶ compiled ─▶ installed, as what the project owns
//! ```
//!
//! Invariants: entities of a loaded project name it in their origin, belong to no other one, and
//! are removed when it is unloaded. Only a list of the files is in memory. The former version of
//! each project is kept, too. Not here: reports about them (`tenant_projects`), and the commands,
//! which also compile and install them (`command::projects`).

pub(crate) mod archive;
pub(crate) mod displaced;
pub(crate) mod folder;
mod opened;

pub use archive::ArchiveError;
pub use folder::{FolderError, pack};
pub use opened::{opened_administration, replacement_fingerprint};

use std::collections::BTreeMap;
use std::sync::Arc;

use lotmq_changes::{Batch, Op, ProjectRow, SettingRow, TenantId};
use lotmq_definitions::Owner;
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tracing::warn;

use lotmq_core::tenant::Tenant;
use lotmq_process::clock::utc_text;
use lotmq_programs::authority;

/// Setting of a tenant that names its loaded projects.
const ACTIVE: &str = "project.active";

/// Stands before the name under which the version before of a project is stored: no name of a
/// project has it.
const FORMER: &str = "~";

/// Projects of a tenant.
#[derive(Default)]
pub(crate) struct Projects {
    state: RwLock<State>,
    pub(crate) displaced: displaced::Displaced,
}

#[derive(Default)]
struct State {
    all: BTreeMap<Arc<str>, Arc<Project>>,
    /// Versions before, by the names of their projects.
    former: BTreeMap<Arc<str>, Arc<Project>>,
    /// In the order in which they were loaded.
    active: Vec<Active>,
}

/// Stored project.
#[derive(Debug)]
pub(crate) struct Project {
    pub(crate) name: Arc<str>,
    /// Source of the project: `upload`, or a path.
    pub(crate) source: String,
    pub(crate) manifest: Manifest,
    /// Owner, who stored it and for whom it is deployed.
    pub(crate) owner: Option<Owner>,
    pub(crate) changed_at_ms: u64,
}

/// Manifest: the contents of the archive of a project; stored as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// Length of the archive.
    pub(crate) bytes: usize,
    /// Its digest in hexadecimal.
    pub(crate) sha256: String,
    /// Files by name, in the order in which they are loaded.
    pub(crate) files: Vec<ManifestFile>,
}

/// File of a project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ManifestFile {
    /// Path with `/` between folders.
    pub(crate) path: String,
    pub(crate) bytes: u64,
}

/// A loaded project, and since when; stored as JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Active {
    pub(crate) name: Arc<str>,
    pub(crate) loaded_at: String,
}

/// The setting as it is stored; brokers that loaded one project at most have written that one.
#[derive(Deserialize)]
#[serde(untagged)]
enum StoredActive {
    All(Vec<Active>),
    One(Active),
}

impl Projects {
    /// Takes in the stored projects of a tenant.
    pub(crate) fn restore(&self, tenant: &Tenant, rows: Vec<ProjectRow>, settings: &[SettingRow]) {
        let mut state = self.state.write();
        for row in rows {
            let is_former = row.name.starts_with(FORMER);
            let project = Project::restored(tenant, row);
            let place = if is_former { &mut state.former } else { &mut state.all };
            place.insert(Arc::clone(&project.name), Arc::new(project));
        }
        let is_marker = |row: &&SettingRow| row.tenant == tenant.id && row.name == ACTIVE;
        let Some(marker) = settings.iter().find(is_marker) else { return };
        match serde_json::from_str(&marker.value) {
            Ok(StoredActive::All(active)) => state.active = active,
            Ok(StoredActive::One(active)) => state.active = vec![active],
            Err(error) => {
                warn!(tenant = &*tenant.name, %error, "which projects are loaded cannot be read");
            }
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<Arc<Project>> {
        self.state.read().all.get(name).cloned()
    }

    /// The version before of a project.
    pub(crate) fn former(&self, name: &str) -> Option<Arc<Project>> {
        self.state.read().former.get(name).cloned()
    }

    /// Keeps the version before of a project, or forgets it.
    pub(crate) fn keep_former(&self, name: &str, former: Option<Arc<Project>>) {
        let mut state = self.state.write();
        match former {
            Some(former) => state.former.insert(Arc::clone(&former.name), former),
            None => state.former.remove(name),
        };
    }

    /// All projects, by name.
    pub(crate) fn all(&self) -> Vec<Arc<Project>> {
        self.state.read().all.values().cloned().collect()
    }

    /// Number of projects, and bytes of their archives, with those of the versions before.
    pub(crate) fn size(&self) -> (usize, usize) {
        let state = self.state.read();
        let archives = state.all.values().chain(state.former.values());
        (state.all.len(), archives.map(|project| project.manifest.bytes).sum())
    }

    pub(crate) fn insert(&self, project: Arc<Project>) {
        self.state.write().all.insert(Arc::clone(&project.name), project);
    }

    pub(crate) fn remove(&self, name: &str) {
        let mut state = self.state.write();
        state.all.remove(name);
        state.former.remove(name);
    }

    /// Adds to `batch` that the projects of `user` belong to nobody.
    pub(crate) fn store_without_owner(&self, tenant: TenantId, user: &str, batch: &mut Batch) {
        let state = self.state.read();
        for project in state.all.values().filter(|project| project.is_of(user)) {
            batch.push(Op::ChangeProject(&project.without_owner().stored(tenant)));
        }
        for project in state.former.values().filter(|project| project.is_of(user)) {
            batch.push(Op::ChangeProject(&project.without_owner().stored_as_former(tenant)));
        }
    }

    /// Takes the owner off the projects of `user`.
    pub(crate) fn disown(&self, user: &str) {
        let State { all, former, active: _ } = &mut *self.state.write();
        for project in all.values_mut().chain(former.values_mut()).filter(|project| project.is_of(user)) {
            *project = Arc::new(project.without_owner());
        }
    }

    /// Loaded projects, in the order in which they were loaded.
    pub(crate) fn active(&self) -> Vec<Active> {
        self.state.read().active.clone()
    }

    pub(crate) fn is_active(&self, name: &str) -> bool {
        is_among(&self.state.read().active, name)
    }

    pub(crate) fn set_active(&self, active: Vec<Active>) {
        self.state.write().active = active;
    }

    /// Payload of `Projects/list`, data of `-listProjects`.
    pub(crate) fn list(&self) -> Value {
        let state = self.state.read();
        let row = |project: &Arc<Project>| project.row(is_among(&state.active, &project.name));
        state.all.values().map(row).collect()
    }

    /// Payload of `Projects/active`.
    pub(crate) fn active_json(&self) -> String {
        let active = self.active();
        match active.last() {
            None => json!({ "status": "unloaded" }),
            Some(Active { name, loaded_at }) => json!({
                "status": "loaded", "name": &**name, "loadedAt": loaded_at, "projects": active,
            }),
        }
        .to_string()
    }
}

/// Whether a project is among the loaded ones.
fn is_among(active: &[Active], name: &str) -> bool {
    active.iter().any(|active| *active.name == *name)
}

/// Adds to a batch which projects are loaded.
pub(crate) fn store_active(tenant: TenantId, active: &[Active], batch: &mut Batch) {
    if active.is_empty() {
        batch.push(Op::DeleteSetting { tenant, name: ACTIVE });
        return;
    }
    let value = serde_json::to_string(active).expect("texts");
    batch.push(Op::PutSetting(&SettingRow { tenant, name: ACTIVE.to_owned(), value }));
}

/// Name under which the version before of a project is stored.
pub(crate) fn former_name(name: &str) -> String {
    format!("{FORMER}{name}")
}

impl Project {
    fn restored(tenant: &Tenant, row: ProjectRow) -> Self {
        Self {
            name: row.name.strip_prefix(FORMER).unwrap_or(&row.name).into(),
            source: row.source,
            manifest: serde_json::from_str(&row.manifest).unwrap_or_default(),
            owner: authority::owner(&tenant.users, &row.owner),
            changed_at_ms: row.changed_at_ms,
        }
    }

    fn is_of(&self, user: &str) -> bool {
        self.owner.as_ref().is_some_and(|owner| *owner.name == *user)
    }

    fn without_owner(&self) -> Self {
        let Self { name, source, manifest, owner: _, changed_at_ms } = self;
        Self {
            name: Arc::clone(name),
            source: source.clone(),
            manifest: manifest.clone(),
            owner: None,
            changed_at_ms: *changed_at_ms,
        }
    }

    /// Stored form.
    pub(crate) fn stored(&self, tenant: TenantId) -> ProjectRow {
        ProjectRow {
            tenant,
            name: self.name.as_ref().to_owned(),
            source: self.source.clone(),
            manifest: serde_json::to_string(&self.manifest).expect("texts and numbers"),
            owner: self.owner.as_ref().map(|owner| owner.name.as_ref().to_owned()).unwrap_or_default(),
            changed_at_ms: self.changed_at_ms,
        }
    }

    /// Stored form of the version before.
    pub(crate) fn stored_as_former(&self, tenant: TenantId) -> ProjectRow {
        ProjectRow { name: former_name(&self.name), ..self.stored(tenant) }
    }

    pub(crate) fn row(&self, is_active: bool) -> Value {
        json!({
            "name": &*self.name,
            "status": if is_active { "loaded" } else { "available" },
            "files": self.manifest.files.len(),
            "source": self.source,
            "updatedAt": utc_text(self.changed_at_ms),
        })
    }

    /// Data of `-projectManifest`, payload of `Projects/<N>/manifest`.
    pub(crate) fn manifest(&self) -> Value {
        let Manifest { bytes, sha256, files } = &self.manifest;
        json!({ "name": &*self.name, "bytes": bytes, "sha256": sha256, "files": files })
    }

    /// Name of a retained topic of the project.
    pub(crate) fn topic(&self, leaf: &str) -> String {
        format!("$SYS/Coreflux/Projects/{}/{leaf}", self.name)
    }
}

/// Characters of a fingerprint, in hexadecimal.
pub(crate) const FINGERPRINT_CHARS: usize = 32;

/// Fingerprint of the text of a definition, by which `-agreed` names it: SHA-256 of it without
/// blanks at its ends, the first half in hexadecimal; `none` where there is none.
pub fn text_fingerprint(text: Option<&str>) -> String {
    let Some(text) = text else { return "none".to_owned() };
    fingerprint(&Sha256::digest(text.trim()))
}

/// The first half of a digest, in hexadecimal.
pub(crate) fn fingerprint(digest: &[u8]) -> String {
    let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.chars().take(FINGERPRINT_CHARS).collect()
}

/// Whether a project may have this name: a level of a topic that every file system takes, and no
/// option of a command.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= crate::limits::PROJECT_NAME_BYTES_MAX
        && name.trim() == name
        && !name.starts_with('-')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ' '))
        && !matches!(name, "." | "..")
}
