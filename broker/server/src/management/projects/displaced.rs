//! Definitions that the loaded project has displaced: added by hand under a name that the project defines too.
//!
//! They are stored beside the definitions, do nothing, and are given back when the project is unloaded, or another version of it does not define the
//! name any more.

use std::collections::BTreeMap;
use std::sync::Arc;

use lot_facts::Kind;
use lotmq_definitions::DefinitionKind;
use lotmq_store::{Batch, DefinitionRow, Op};
use parking_lot::Mutex;
use tracing::error;

use crate::guests::HasPrograms as _;
use crate::guests::{install_stored, scripts};
use crate::management::command::Call;
use crate::management::managed::Managing as _;
use crate::management::sys;
use lotmq_core::tenant::Tenants;

/// Prefix of the kind in the store's table of definitions.
const PREFIX: &str = "displaced ";

/// Displaced definitions of a tenant, by kind and name.
#[derive(Default)]
pub(crate) struct Displaced(Mutex<BTreeMap<(String, String), DefinitionRow>>);

impl Displaced {
    /// Takes a stored row of a displaced definition; returns any other row.
    fn restore(&self, mut row: DefinitionRow) -> Option<DefinitionRow> {
        let Some(kind) = row.kind.strip_prefix(PREFIX).map(str::to_owned) else { return Some(row) };
        row.kind = kind;
        self.0.lock().insert((row.kind.clone(), row.name.clone()), row);
        None
    }

    /// Keeps a definition that a project has just replaced.
    pub(super) fn keep(&self, row: DefinitionRow, batch: &mut Batch) {
        batch.push(Op::PutDefinition(&stored(&row)));
        self.0.lock().insert((row.kind.clone(), row.name.clone()), row);
    }

    /// Takes the owner off the displaced definitions of a removed user.
    pub(crate) fn disown(&self, user: &str, batch: &mut Batch) {
        for row in self.0.lock().values_mut().filter(|row| row.owner == user) {
            row.owner.clear();
            batch.push(Op::PutDefinition(&stored(row)));
        }
    }

    /// Takes the displaced definitions that are not `coming`, in load order.
    fn take(&self, is_coming: impl Fn(&str, &str) -> bool) -> Vec<DefinitionRow> {
        let mut all = self.0.lock();
        let mut taken: Vec<DefinitionRow> =
            all.extract_if(.., |(kind, name), _| !is_coming(kind, name)).map(|(_, row)| row).collect();
        taken.sort_by_key(|row| {
            Kind::LOAD_ORDER.iter().position(|kind| DefinitionKind::from(*kind).key() == row.kind)
        });
        taken
    }
}

fn stored(row: &DefinitionRow) -> DefinitionRow {
    DefinitionRow { kind: format!("{PREFIX}{}", row.kind), ..row.clone() }
}

/// Takes the displaced definitions out of the stored rows, for the loaded projects; returns the other rows.
pub(crate) fn restore(tenants: &Tenants, rows: Vec<DefinitionRow>) -> Vec<DefinitionRow> {
    let tenants = tenants.all();
    let of = |row: DefinitionRow| match tenants.iter().find(|tenant| tenant.id == row.tenant) {
        Some(tenant) => tenant.managed().projects.displaced.restore(row),
        None => Some(row),
    };
    rows.into_iter().filter_map(of).collect()
}

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
