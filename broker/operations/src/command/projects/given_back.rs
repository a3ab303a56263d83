//! Giving back what a loaded project had displaced.

use std::sync::Arc;

use lotmq_changes::{Batch, DefinitionRow, Op};
use lotmq_core::tenant::Tenant;
use lotmq_definitions::{DefinitionKind, Origin};
use tracing::error;

use crate::command::verb::Call;
use crate::managed::Managing as _;
use crate::projects::displaced::PREFIX;
use crate::sys;
use lotmq_programs::HasPrograms as _;
use lotmq_programs::{install_stored, scripts};

/// Deploys displaced definitions again whose names are not `coming` and that nobody has defined
/// anew; their kinds and names. The caller holds the lock of changes.
pub(super) fn give_back(
    call: &mut Call<'_>,
    is_coming: impl Fn(&str, &str) -> bool,
    batch: &mut Batch,
) -> Vec<(String, String)> {
    let tenant = Arc::clone(call.tenant);
    let mut given = Vec::new();
    let is_taken = |kind: &str, name: &str| is_coming(kind, name) || is_of_a_project(&tenant, kind, name);
    for row in tenant.managed().projects.displaced.take(is_taken) {
        let kind = format!("{PREFIX}{}", row.kind);
        batch.push(Op::DeleteDefinition { tenant: tenant.id, kind: &kind, name: &row.name });
        if origin_of(&tenant, &row.kind, &row.name).is_some() {
            continue;
        }
        match deploy(call, &row, batch) {
            Ok(()) => given.push((row.kind, row.name)),
            Err(reason) => error!(
                tenant = &*tenant.name,
                definition = row.name,
                kind = row.kind,
                reason,
                "a definition that a project had replaced cannot be given back"
            ),
        }
    }
    given
}

/// Whether a loaded project defines this.
pub(super) fn is_of_a_project(tenant: &Tenant, kind: &str, name: &str) -> bool {
    origin_of(tenant, kind, name).is_some_and(|origin| origin != Origin::AdHoc)
}

/// Returns the origin of an existing definition or script, by its kind as the store writes it.
pub(super) fn origin_of(tenant: &Tenant, kind: &str, name: &str) -> Option<Origin> {
    if kind == scripts::KIND {
        return tenant.programs().scripts.origin(name);
    }
    let kind = DefinitionKind::ALL.into_iter().find(|known| known.key() == kind)?;
    let registry = tenant.programs().guests.registry.read();
    registry.get(kind, name).map(|known| known.deployed.origin.clone())
}

fn deploy(call: &mut Call<'_>, row: &DefinitionRow, batch: &mut Batch) -> Result<(), String> {
    let installed = install_stored(call.tenant, call.hosting, row, batch)?;
    call.changed_topics.extend(installed.iter().flat_map(sys::installed_topics));
    Ok(())
}
