//! Last errors of definitions on their way to the store, so that they survive a restart.
//!
//! They are kept values below `$LOT/Error/`, with a NUL in their topics as states have. The broker
//! writes all errors of a tenant together, at most once in [`ERRORS_KEPT_EVERY`] and before it
//! ends. So a program that fails at each message costs the flash of a gateway six writes an hour. A
//! crash loses the errors since the last write. The errors count in a sum of their own, so programs
//! that keep much leave room for them.
//!
//! Invariant: a kept error belongs to the deployed version. It is removed when that version is
//! replaced or removed.

use std::time::Duration;

use hashbrown::HashMap;
use lotmq_definitions::{
    Definition, DefinitionId, DefinitionKind, ErrorRecord, KeepRefused, LastValues, ValueKeeper,
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tracing::warn;

use super::Guests;
use crate::limits::ERRORS_KEPT_EVERY;

/// Beginning of the topics of all last errors.
const START: &str = "$LOT/Error/";

/// Last error as it is stored.
#[derive(Serialize, Deserialize)]
struct KeptError {
    kind: String,
    /// When the version was deployed, in milliseconds since 1970.
    installed_ms: i64,
    error: ErrorRecord,
}

/// Definitions of a tenant with errors that are not among its kept values yet.
#[derive(Default)]
pub struct KeptErrors(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    definitions: HashMap<DefinitionId, Arc<Definition>>,
    /// Time since the start of the broker at which some were last kept.
    kept_at: Option<Duration>,
}

impl KeptErrors {
    /// Notes that a definition has another last error.
    pub(super) fn note(&self, definition: &Arc<Definition>) {
        self.0.lock().definitions.insert(definition.id, Arc::clone(definition));
    }

    /// Puts what waits among the kept values, unless that was done a short time ago. `elapsed` is
    /// the time since the start of the broker.
    pub fn keep_some(&self, values: &LastValues, elapsed: Duration) {
        let mut waiting = self.0.lock();
        let is_due = waiting.kept_at.is_none_or(|at| elapsed.saturating_sub(at) >= ERRORS_KEPT_EVERY);
        if is_due && !waiting.definitions.is_empty() {
            waiting.kept_at = Some(elapsed);
            let definitions = waiting.definitions.drain().map(|(_, definition)| definition);
            tell_lost(definitions.filter_map(|definition| keep(values, &definition).err()));
        }
    }

    /// Puts all that waits among the kept values, also what nobody was told of yet.
    pub fn keep_all(&self, guests: &Guests) {
        guests.changed_errors.lock().iter().for_each(|(definition, _)| self.note(definition));
        let waiting = std::mem::take(&mut self.0.lock().definitions);
        let registry = guests.registry.read();
        let is_there = |definition: &Arc<Definition>| {
            registry.by_id(definition.id).is_some_and(|now| Arc::ptr_eq(now, definition))
        };
        let definitions = waiting.into_values().filter(is_there);
        tell_lost(definitions.filter_map(|definition| keep(&guests.values, &definition).err()));
    }

    /// Removes the error of a definition that is gone, or that another version has replaced.
    pub(super) fn forget(&self, values: &LastValues, definition: &Definition) {
        self.0.lock().definitions.remove(&definition.id);
        values.forget(&topic(definition.kind(), definition.name()));
    }
}

/// Gives the definitions that were restored their last errors; forgets those of others.
pub(super) fn restore(guests: &Guests) {
    let mut found = Vec::new();
    guests.values.each_kept(|topic, kept| {
        if is_error(topic) {
            found.push((topic.to_owned(), serde_json::from_slice::<KeptError>(kept.payload).ok()));
        }
    });
    for (topic, kept) in found {
        if !kept.is_some_and(|kept| give_back(guests, kept)) {
            guests.values.forget(&topic);
        }
    }
}

/// Whether the version that had the error is deployed.
fn give_back(guests: &Guests, kept: KeptError) -> bool {
    let Some(kind) = DefinitionKind::ALL.into_iter().find(|kind| kind.key() == kept.kind) else {
        return false;
    };
    let registry = guests.registry.read();
    let definition = registry.get(kind, &kept.error.action);
    let is_same =
        |known: &&Arc<Definition>| known.deployed.installed_at.as_millisecond() == kept.installed_ms;
    let Some(definition) = definition.filter(is_same) else { return false };
    definition.activity.restore_error(kept.error);
    true
}

/// Whether a kept value is the last error of a definition.
pub fn is_error(topic: &str) -> bool {
    topic.starts_with(START) && topic.ends_with('\0')
}

/// Keeps the last error of a definition; without room for it, it is lost with this process.
fn keep(values: &LastValues, definition: &Definition) -> Result<(), KeepRefused> {
    let Some(error) = definition.activity.last_error() else { return Ok(()) };
    let installed_ms = definition.deployed.installed_at.as_millisecond();
    let kept = KeptError { kind: definition.kind().key().to_owned(), installed_ms, error };
    let text = serde_json::to_vec(&kept).expect("strings and numbers always serialise");
    values.keep(ValueKeeper::of_error(definition), &topic(definition.kind(), definition.name()), &text)
}

/// Tells that errors have found no room, with one of the reasons.
fn tell_lost(mut refused: impl Iterator<Item = KeepRefused>) {
    if let Some(error) = refused.next() {
        let count = 1 + refused.count();
        warn!(count, %error, "last errors of definitions will not survive a restart");
    }
}

fn topic(kind: DefinitionKind, name: &str) -> String {
    format!("{START}{}/{name}/\0", kind.key())
}
