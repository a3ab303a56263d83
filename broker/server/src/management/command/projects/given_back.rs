//! Giving back what the loaded project had displaced.

use std::sync::Arc;

use lot_facts::Kind;
use lotmq_definitions::DefinitionKind;
use lotmq_store::{Batch, DefinitionRow, Op};
use tracing::error;

use crate::guests::HasPrograms as _;
use crate::guests::{install_stored, scripts};
use crate::management::command::verb::Call;
use crate::management::managed::Managing as _;
use crate::management::projects::displaced::PREFIX;
use crate::management::sys;

/// Deploys displaced definitions again whose names are not `coming` and that nobody has defined anew; their kinds and names. The caller holds the lock of
/// changes.
pub(super) fn give_back(
    call: &mut Call<'_>,
    is_coming: impl Fn(&str, &str) -> bool,
    batch: &mut Batch,
) -> Vec<(String, String)> {
    let tenant = Arc::clone(call.tenant);
    let mut given = Vec::new();
    for row in tenant.managed().projects.displaced.take(is_coming) {
        let kind = format!("{PREFIX}{}", row.kind);
        batch.push(Op::DeleteDefinition { tenant: tenant.id, kind: &kind, name: &row.name });
        if is_defined(call, &row) {
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

fn is_defined(call: &Call<'_>, row: &DefinitionRow) -> bool {
    if row.kind == scripts::KIND {
        return call.tenant.programs().scripts.contains(&row.name);
    }
    let registry = call.tenant.programs().guests.registry.read();
    Kind::LOAD_ORDER.iter().any(|kind| {
        DefinitionKind::from(*kind).key() == row.kind && registry.get((*kind).into(), &row.name).is_some()
    })
}

fn deploy(call: &mut Call<'_>, row: &DefinitionRow, batch: &mut Batch) -> Result<(), String> {
    let installed = install_stored(call.tenant, &call.broker.hosting, row, batch)?;
    call.changed_topics.extend(installed.iter().flat_map(sys::installed_topics));
    Ok(())
}
