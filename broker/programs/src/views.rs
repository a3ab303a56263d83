//! Panels and Themes: stored and published, never run (LoT reference §13).
//!
//! Invariant: the state of a Panel in its facts is the one in force: that of its text, or what
//! `-updateVisuState` said since.

use std::sync::Arc;

use lot_facts::{Facts, ViewFacts, ViewState};
use lotmq_changes::{Batch, DefinitionRow};
use lotmq_definitions::{Definition, Installed, NewDefinition};

use super::compile::{CompiledDefinition, DeployError};
use super::install::install;
use crate::hosting::Hosting;
use lotmq_core::tenant::Tenant;

/// Sets the state of a Panel.
///
/// # Errors
/// As [`install`].
pub fn set_state(
    tenant: &Arc<Tenant>,
    hosting: &Arc<Hosting>,
    panel: &Definition,
    state: ViewState,
    batch: &mut Batch,
) -> Result<Installed, DeployError> {
    let facts = Arc::new(in_state(panel.facts().clone(), state));
    let owner = panel.owner().cloned();
    let new = NewDefinition { facts, owner, ..panel.deployed.clone() };
    install(tenant, hosting, CompiledDefinition::of_view(new), batch)
}

/// Facts of a Panel or Theme; `None` for all else.
pub fn view(definition: &Definition) -> Option<&ViewFacts> {
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
