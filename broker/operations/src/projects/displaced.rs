//! Definitions that a loaded project has displaced: added by hand under a name that the project
//! defines too.
//!
//! They are stored beside the definitions, do nothing, and are given back when the project is
//! unloaded, or another version of it does not define the name any more.

use std::collections::BTreeMap;

use lot_facts::Kind;
use lotmq_changes::{Batch, DefinitionRow, Op};
use lotmq_definitions::DefinitionKind;
use parking_lot::Mutex;

/// Prefix of the kind in the store's table of definitions.
pub(crate) const PREFIX: &str = "displaced ";

/// Displaced definitions of a tenant, by kind and name.
#[derive(Default)]
pub(crate) struct Displaced(Mutex<BTreeMap<(String, String), DefinitionRow>>);

impl Displaced {
    /// Takes a stored row of a displaced definition; returns any other row.
    pub(crate) fn restore(&self, mut row: DefinitionRow) -> Option<DefinitionRow> {
        let Some(kind) = row.kind.strip_prefix(PREFIX).map(str::to_owned) else { return Some(row) };
        row.kind = kind;
        self.0.lock().insert((row.kind.clone(), row.name.clone()), row);
        None
    }

    /// Keeps a definition that a project has just replaced.
    pub(crate) fn keep(&self, row: DefinitionRow, batch: &mut Batch) {
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

    /// Name of the owner of a displaced definition; empty for nobody.
    pub(crate) fn owner(&self, kind: &str, name: &str) -> Option<String> {
        self.0.lock().get(&(kind.to_owned(), name.to_owned())).map(|row| row.owner.clone())
    }

    /// Names of the displaced definitions of a kind.
    pub(crate) fn of_kind(&self, kind: &str) -> Vec<String> {
        self.0.lock().keys().filter(|(of, _)| of == kind).map(|(_, name)| name.clone()).collect()
    }

    /// Removes a displaced definition, so that it is not given back. False if there is none.
    pub(crate) fn remove(&self, kind: &str, name: &str, batch: &mut Batch) -> bool {
        let Some(row) = self.0.lock().remove(&(kind.to_owned(), name.to_owned())) else { return false };
        let kind = format!("{PREFIX}{kind}");
        batch.push(Op::DeleteDefinition { tenant: row.tenant, kind: &kind, name });
        true
    }

    /// Kinds and names of the displaced definitions.
    pub(crate) fn names(&self) -> Vec<(String, String)> {
        self.0.lock().keys().cloned().collect()
    }

    /// Takes the displaced definitions whose place is not `taken`, in load order.
    pub(crate) fn take(&self, is_taken: impl Fn(&str, &str) -> bool) -> Vec<DefinitionRow> {
        let mut all = self.0.lock();
        let mut taken: Vec<DefinitionRow> =
            all.extract_if(.., |(kind, name), _| !is_taken(kind, name)).map(|(_, row)| row).collect();
        taken.sort_by_key(|row| {
            Kind::LOAD_ORDER.iter().position(|kind| DefinitionKind::from(*kind).key() == row.kind)
        });
        taken
    }
}

fn stored(row: &DefinitionRow) -> DefinitionRow {
    DefinitionRow { kind: format!("{PREFIX}{}", row.kind), ..row.clone() }
}
