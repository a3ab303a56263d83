//! Projects of the tenants: restored when the broker starts, and what is told of them, which goes
//! by what they own now.

use std::collections::BTreeMap;
use std::sync::Arc;

use lotmq_changes::{DefinitionRow, ProjectRow, SettingRow};
use lotmq_definitions::Origin;
use serde_json::{Value, json};

use crate::managed::Managing as _;
use crate::projects::Project;
use lotmq_core::tenant::Tenant;
use lotmq_programs::HasPrograms as _;

/// Restores the projects of all tenants.
pub fn restore(tenants: &[Arc<Tenant>], mut rows: Vec<ProjectRow>, settings: &[SettingRow]) {
    for tenant in tenants {
        let of_tenant = rows.extract_if(.., |row| row.tenant == tenant.id).collect();
        tenant.managed().projects.restore(tenant, of_tenant, settings);
    }
}

/// Takes the displaced definitions out of the stored rows, for the loaded projects; returns the
/// other rows.
pub fn restore_displaced(tenants: &[Arc<Tenant>], rows: Vec<DefinitionRow>) -> Vec<DefinitionRow> {
    let of = |row: DefinitionRow| match tenants.iter().find(|tenant| tenant.id == row.tenant) {
        Some(tenant) => tenant.managed().projects.displaced.restore(row),
        None => Some(row),
    };
    rows.into_iter().filter_map(of).collect()
}

/// Data of `-projectStatus`, payload of `Projects/<N>/status`.
pub(crate) fn status(tenant: &Tenant, project: &Project) -> Value {
    let active = tenant.managed().projects.active().into_iter().find(|active| active.name == project.name);
    let mut status = project.row(active.is_some());
    let counts = owned(tenant).into_iter().filter(|(_, origin)| owns(project, origin)).fold(
        BTreeMap::<String, usize>::new(),
        |mut counts, (key, _)| {
            let kind = key.split(':').next().unwrap_or_default();
            *counts.entry(kind.to_owned()).or_default() += 1;
            counts
        },
    );
    status["loadedAt"] = json!(active.map(|active| active.loaded_at));
    status["counts"] = json!(counts);
    status
}

fn owns(project: &Project, origin: &Origin) -> bool {
    matches!(origin, Origin::Project { project: name, .. } if *name == project.name)
}

/// Retained topics of the project with their payloads.
pub(crate) fn topics(tenant: &Tenant, project: &Project) -> [(String, String); 2] {
    [
        (project.topic("status"), status(tenant, project).to_string()),
        (project.topic("manifest"), project.manifest().to_string()),
    ]
}

/// Origins of all definitions and Python scripts, for `Entities/ownership`.
pub(crate) fn owned(tenant: &Tenant) -> BTreeMap<String, Origin> {
    let mut owned = tenant.programs().guests.registry.read().ownership();
    let scripts =
        tenant.programs().scripts.origins().into_iter().filter(|(_, origin)| *origin != Origin::AdHoc);
    owned.extend(scripts.map(|(name, origin)| (format!("python:{name}"), origin)));
    owned
}
