//! Removing entities by name, or all of a kind. Commands reference §4.

use std::sync::Arc;

use lotmq_changes::Batch;
use lotmq_definitions::{DefinitionKind, Need};
use serde_json::{Value, json};

use super::add_entity::entity_type;
use super::dependents::left_without;
use super::ownership::{self, ByHand, Removal};
use super::reply::{Done, Refusal};
use super::verb::Call;
use crate::limits::DEPENDENTS_CHECKED_MAX;
use crate::managed::Managing as _;
use crate::sys;
use lotmq_core::tenant::Tenant;
use lotmq_programs::Guests;
use lotmq_programs::HasPrograms as _;

/// Removes one entity.
///
/// # Errors
/// When there is none of that name, or it belongs to another user and the command does not say that
/// it is to go all the same.
pub(super) fn remove(call: &mut Call<'_>, kind: DefinitionKind) -> Result<Done, Refusal> {
    let (removal, name) = (Removal::of(call), call.text("name"));
    call.about(entity_type(kind), name);
    let mut batch = Batch::new();
    let _changes = call.commands.changes.lock();
    removal.check_definitions(call, kind, [name])?;
    let stored_kind = (kind.title(), kind.key());
    removal.check_displaced(call, stored_kind, [name])?;
    let left = LeftMessages::of(call.tenant, kind, name);
    let of_project = of_project(call, kind, name);
    let removed = Guests::remove(call.tenant, call.hosting, kind, name, &mut batch)
        .map_err(|missing| Refusal::not_found(missing.to_string()))?;
    call.changed_topics.extend(sys::removed_topics(&removed.definition));
    let displaced = ownership::remove_displaced(call, stored_kind, [name], &mut batch);
    let needed_by = left_without(call, &Need::Definition(kind, name.into()));
    call.commit(batch)?;
    let done = left.report(format!("{} '{name}' removed successfully!", kind.title()));
    Ok(Done { warnings: of_project.into_iter().chain(displaced).chain(needed_by).collect(), ..done })
}

/// Warning of what a project brings back.
fn of_project(call: &Call<'_>, kind: DefinitionKind, name: &str) -> Option<Value> {
    let project = ownership::project_of(call, kind, name)?;
    Some(ownership::warning(ByHand::Removed, kind.title(), name, &project))
}

/// Messages that go with routes which are removed.
#[derive(Default)]
pub(super) struct LeftMessages {
    waiting: u64,
    waiting_bytes: u64,
    dead_letters: u64,
}

impl LeftMessages {
    /// Those of a definition; nothing of what is no route.
    pub(super) fn of(tenant: &Tenant, kind: DefinitionKind, name: &str) -> LeftMessages {
        if kind != DefinitionKind::Route {
            return LeftMessages::default();
        }
        let guests = &tenant.programs().guests;
        let id = guests.registry.read().get(kind, name).map(|definition| definition.id);
        let Some(route) = id.and_then(|id| guests.route_by_id(id)) else { return LeftMessages::default() };
        let (waiting, waiting_bytes) = route.waiting();
        let dead_letters = route.dead_letters.figures().waiting.messages;
        LeftMessages { waiting, waiting_bytes, dead_letters }
    }

    fn add(&mut self, other: &LeftMessages) {
        self.waiting += other.waiting;
        self.waiting_bytes += other.waiting_bytes;
        self.dead_letters += other.dead_letters;
    }

    /// A reply with what went, if anything did, in its data: its words are what clients look for.
    fn report(&self, message: String) -> Done {
        let done = Done::new(message);
        if self.waiting + self.dead_letters == 0 { done } else { done.with_data(self.marked(json!({}))) }
    }

    /// Adds them to the row of a route, if there are any.
    pub(super) fn marked(&self, mut row: Value) -> Value {
        if self.waiting + self.dead_letters > 0 {
            row["waiting"] = self.waiting.into();
            row["waitingBytes"] = self.waiting_bytes.into();
            row["deadLetters"] = self.dead_letters.into();
        }
        row
    }
}

/// Removes all entities of a kind; `plural` is the word of the reply that clients look for.
///
/// # Errors
/// Those of [`remove_where`].
pub(super) fn remove_all(call: &mut Call<'_>, kind: DefinitionKind, plural: &str) -> Result<Done, Refusal> {
    let RemovedEntities { left, warnings, .. } = remove_where(call, kind, |_| true)?;
    Ok(Done { warnings, ..left.report(format!("Removed all {plural} successfully")) })
}

/// Outcome of the removal of several entities.
pub(super) struct RemovedEntities {
    pub(super) names: Vec<Arc<str>>,
    /// Messages that went with them.
    left: LeftMessages,
    /// Warnings of what projects bring back, and of others that need what is gone.
    pub(super) warnings: Vec<Value>,
}

/// Removes the entities of a kind whose names `goes` says yes to.
///
/// # Errors
/// When one of them belongs to another user and the command does not say that it is to go all the
/// same, and when the removal is not stored.
pub(super) fn remove_where(
    call: &mut Call<'_>,
    kind: DefinitionKind,
    goes: impl Fn(&str) -> bool,
) -> Result<RemovedEntities, Refusal> {
    let removal = Removal::of(call);
    let mut batch = Batch::new();
    let _changes = call.commands.changes.lock();
    let names: Vec<Arc<str>> = {
        let registry = call.tenant.programs().guests.registry.read();
        let all = registry.list(kind).map(|definition| Arc::clone(definition.name()));
        all.filter(|name| goes(name)).collect()
    };
    removal.check_definitions(call, kind, names.iter().map(|name| &**name))?;
    let stored_kind = (kind.title(), kind.key());
    // Also those in whose place nothing is any more.
    let mut displaced = call.tenant.managed().projects.displaced.of_kind(kind.key());
    displaced.retain(|name| goes(name));
    removal.check_displaced(call, stored_kind, displaced.iter().map(|name| &**name))?;
    let mut left = LeftMessages::default();
    let of_projects: Vec<Value> = names.iter().filter_map(|name| of_project(call, kind, name)).collect();
    for name in &names {
        left.add(&LeftMessages::of(call.tenant, kind, name));
        if let Ok(removed) = Guests::remove(call.tenant, call.hosting, kind, name, &mut batch) {
            call.changed_topics.extend(sys::removed_topics(&removed.definition));
        }
    }
    if kind == DefinitionKind::Rule {
        super::rules::count_changed(call);
    }
    let displaced =
        ownership::remove_displaced(call, stored_kind, displaced.iter().map(|name| &**name), &mut batch);
    let needs = names.iter().map(|name| Need::Definition(kind, Arc::clone(name)));
    let left_without = needs.filter_map(|need| left_without(call, &need));
    let warnings =
        of_projects.into_iter().chain(displaced).chain(left_without).take(DEPENDENTS_CHECKED_MAX).collect();
    call.commit(batch)?;
    Ok(RemovedEntities { names, left, warnings })
}
