//! Removing entities by name, or all of a kind. Commands reference §4.

use std::sync::Arc;

use lotmq_definitions::DefinitionKind;
use lotmq_store::Batch;

use super::add_entity::entity_type;
use super::reply::{Done, Refusal};
use super::verb::Call;
use crate::guests::Guests;
use crate::guests::HasPrograms as _;
use crate::management::sys;

/// Removes one entity.
///
/// # Errors
/// When there is none of that name.
pub(super) fn remove(call: &mut Call<'_>, kind: DefinitionKind) -> Result<Done, Refusal> {
    let name = call.argument("name")?;
    call.about(entity_type(kind), &name);
    let mut batch = Batch::new();
    let _changes = call.broker.commands.changes.lock();
    let removed = Guests::remove(call.tenant, &call.broker.hosting, kind, &name, &mut batch)
        .map_err(|missing| Refusal::not_found(missing.to_string()))?;
    call.changed_topics.extend(sys::removed_topics(&removed.definition));
    call.commit(batch)?;
    Ok(Done::new(format!("{} '{name}' removed successfully!", kind.title())))
}

/// Removes all entities of a kind; `plural` is the word of the reply that clients look for.
///
/// # Errors
/// When the removal is not stored.
pub(super) fn remove_all(call: &mut Call<'_>, kind: DefinitionKind, plural: &str) -> Result<Done, Refusal> {
    call.arguments(&[], 0)?;
    let mut batch = Batch::new();
    let _changes = call.broker.commands.changes.lock();
    let names: Vec<Arc<str>> = {
        let registry = call.tenant.programs().guests.registry.read();
        registry.list(kind).map(|definition| Arc::clone(definition.name())).collect()
    };
    for name in names {
        if let Ok(removed) = Guests::remove(call.tenant, &call.broker.hosting, kind, &name, &mut batch) {
            call.changed_topics.extend(sys::removed_topics(&removed.definition));
        }
    }
    call.commit(batch)?;
    Ok(Done::new(format!("Removed all {plural} successfully")))
}
