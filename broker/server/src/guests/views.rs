//! Panels and Themes: stored and published, never run (LoT reference §13).
//!
//! Invariant: the state of a Panel in its facts is the one in force: that of its text, or what `-updateVisuState` said since.

use std::sync::Arc;

use lot_facts::{Facts, ViewFacts, ViewState};
use lotmq_definitions::{Definition, NewDefinition, OnExisting};
use lotmq_store::{Batch, DefinitionRow, Op};

use super::deploy::row;
use super::{DeployError, Deployed};
use crate::guests::HasPrograms as _;
use crate::guests::hosting::Hosting;
use lotmq_core::tenant::Tenant;

/// Installs a Panel or Theme, or replaces the one of that name.
///
/// # Errors
/// [`DeployError::Install`]; nothing has changed then.
pub(super) fn deploy(
    tenant: &Tenant,
    hosting: &Hosting,
    new: NewDefinition,
    existing: OnExisting,
    batch: &mut Batch,
) -> Result<Deployed, DeployError> {
    let mut registry = tenant.programs().guests.registry.write();
    let installed = registry.install(new, existing, hosting.definitions_now())?;
    batch.push(Op::PutDefinition(&stored(tenant, &installed.definition)));
    Ok(installed)
}

/// Sets the state of a Panel.
///
/// # Errors
/// As [`deploy`].
pub(crate) fn set_state(
    tenant: &Tenant,
    hosting: &Hosting,
    panel: &Definition,
    state: ViewState,
    batch: &mut Batch,
) -> Result<Deployed, DeployError> {
    let facts = Arc::new(in_state(panel.facts().clone(), state));
    let owner = panel.owner().cloned();
    let new = NewDefinition { facts, owner, ..panel.deployed.clone() };
    deploy(tenant, hosting, new, OnExisting::Replace, batch)
}

/// Facts of a Panel or Theme; `None` for all else.
pub(crate) fn view(definition: &Definition) -> Option<&ViewFacts> {
    definition.facts().view.as_deref()
}

/// Facts of a stored view, with its stored state.
pub(super) fn restored(facts: Facts, row: &DefinitionRow) -> Facts {
    match serde_json::from_slice(&row.state) {
        Ok(state) => in_state(facts, state),
        Err(_) => facts,
    }
}

fn in_state(mut facts: Facts, state: ViewState) -> Facts {
    if let Some(view) = &mut facts.view {
        view.state = state;
    }
    facts
}

/// Stored form of a view: with its state beside its text.
pub(super) fn stored(tenant: &Tenant, definition: &Definition) -> DefinitionRow {
    let state = view(definition).map(|view| serde_json::to_vec(&view.state).expect("a state is a text"));
    DefinitionRow { state: state.unwrap_or_default(), ..row(tenant, definition) }
}
