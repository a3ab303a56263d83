//! `-actionTrace`: which Actions are traced, and until when. Commands reference §4.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::definition::{Definition, DefinitionKind};
use crate::limits::TRACE_ARMED;
use crate::now::Now;
use crate::record::utc_text;
use crate::registry::{NotFound, Registry};

/// One row of `-actionTrace status`, and the data of `-actionTrace <name>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TraceStatus {
    /// Name of the Action.
    pub action: Arc<str>,
    /// Topic on which each run is published, for users who may read it.
    pub topic: String,
    /// Until when its runs are traced, as RFC 3339 text in UTC.
    pub expires_utc: String,
}

impl TraceStatus {
    fn of(definition: &Definition, until: Timestamp) -> Self {
        let topic = format!("{}/Trace", definition.sys_topic());
        Self { action: Arc::clone(definition.name()), topic, expires_utc: utc_text(until) }
    }
}

impl Registry {
    /// Traces an Action for [`TRACE_ARMED`] from now; a replacement of it goes on being traced.
    ///
    /// # Errors
    /// [`NotFound`].
    pub fn trace(&mut self, name: &str, now: Now) -> Result<TraceStatus, NotFound> {
        let id = self.id_of(DefinitionKind::Action, name)?;
        let until = expiry(now);
        let definition = &self.entries[&id].definition;
        definition.activity.trace_until(Some(until));
        Ok(TraceStatus::of(definition, until))
    }

    /// Traces every Action for [`TRACE_ARMED`] from now, those deployed meanwhile too.
    pub fn trace_all(&mut self, now: Now) -> Vec<TraceStatus> {
        let until = expiry(now);
        self.trace_all_until = Some(until);
        for definition in self.list(DefinitionKind::Action) {
            definition.activity.trace_until(Some(until));
        }
        self.trace_status(now)
    }

    /// Ends all traces.
    pub fn trace_off(&mut self) {
        self.trace_all_until = None;
        for definition in self.list(DefinitionKind::Action) {
            definition.activity.trace_until(None);
        }
    }

    /// Ends the trace of one Action.
    ///
    /// # Errors
    /// [`NotFound`].
    pub fn trace_remove(&mut self, name: &str) -> Result<(), NotFound> {
        let id = self.id_of(DefinitionKind::Action, name)?;
        self.entries[&id].definition.activity.trace_until(None);
        Ok(())
    }

    /// The Actions that are traced now.
    pub fn trace_status(&self, now: Now) -> Vec<TraceStatus> {
        let armed = self.list(DefinitionKind::Action).filter_map(|definition| {
            let until = definition.activity.traced_until(now.wall)?;
            Some(TraceStatus::of(definition, until))
        });
        armed.collect()
    }
}

fn expiry(now: Now) -> Timestamp {
    let span = SignedDuration::try_from(TRACE_ARMED).unwrap_or(SignedDuration::ZERO);
    now.wall.checked_add(span).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use crate::fixture::{World, on_topic};

    fn traced(world: &World) -> Vec<String> {
        world.registry.trace_status(world.now).iter().map(|status| status.action.to_string()).collect()
    }

    #[test]
    fn traces_expire_survive_replacement_and_end_on_demand() {
        let mut world = World::new();
        for name in ["A", "B"] {
            world.add(on_topic(name, &["a"]));
        }
        let status = world.registry.trace("A", world.now).unwrap();
        assert_eq!(
            serde_json::to_string(&status).unwrap(),
            r#"{"action":"A","topic":"$SYS/Coreflux/Actions/A/Trace","expiresUtc":"2026-11-20T09:05:00.000Z"}"#
        );
        world.add(on_topic("A", &["b"]));
        assert_eq!(traced(&world), ["A"], "one traces while one edits");
        world.pass(300);
        assert!(traced(&world).is_empty());
        assert_eq!(
            world.registry.trace("Nope", world.now).unwrap_err().to_string(),
            "Action 'Nope' not found."
        );
        assert!(world.registry.trace_remove("Nope").is_err());
    }

    #[test]
    fn all_covers_what_is_deployed_meanwhile() {
        let mut world = World::new();
        world.add(on_topic("A", &["a"]));
        assert_eq!(world.registry.trace_all(world.now).len(), 1);
        world.add(on_topic("B", &["a"]));
        assert_eq!(traced(&world), ["A", "B"]);
        world.registry.trace_remove("A").unwrap();
        assert_eq!(traced(&world), ["B"]);
        world.registry.trace_off();
        world.add(on_topic("C", &["a"]));
        assert!(traced(&world).is_empty());
    }
}
