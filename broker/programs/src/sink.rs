//! Sink of ended runs on an executor thread: their effects go out through the thread's own turn.

use std::any::Any;
use std::sync::Arc;

use lotmq_definitions::{Definition, RunError};
use lotmq_host::{
    self as host, Errand, FinishedRun, Lease, MESSAGE_PAUSED, OwnedEvent, RunOutcome, RunOutput, RunWait,
    Sink, Trap,
};
use tracing::warn;

use super::effects;
use super::guest_id::definition_id;
use super::records;
use super::relay::OwnerRelay;
use super::relaying;
use super::run::{Run, Started};
use super::run_action::RunReport;
use crate::HasPrograms as _;
use crate::hosting::Hosting;
use crate::limits::WRITES_AT_ONCE_MAX;
use lotmq_core::tenant::Tenant;
use lotmq_core::turn::Turn;
use lotmq_process::this_turn;

/// Sink of one executor thread.
pub struct GuestSink {
    hosting: Arc<Hosting>,
    has_turn: bool,
}

impl GuestSink {
    /// Returns a sink for an executor of this hosting.
    pub fn new(hosting: &Arc<Hosting>) -> Self {
        Self { hosting: Arc::clone(hosting), has_turn: false }
    }

    fn turn<R>(&mut self, work: impl FnOnce(&mut Turn) -> R) -> R {
        if !self.has_turn {
            this_turn::install(Arc::clone(&self.hosting.context), None);
            self.has_turn = true;
        }
        this_turn::with(work)
    }

    fn find(&self, runner: &host::Runner) -> Option<(Arc<Tenant>, Arc<Definition>)> {
        let tenants = self.hosting.tenants.all();
        let tenant = tenants.get(runner.tenant() as usize)?;
        let found = tenant.programs().guests.registry.read().by_id(definition_id(runner.id())).cloned()?;
        Some((Arc::clone(tenant), found))
    }
}

impl Sink for GuestSink {
    fn run_finished(&mut self, run: FinishedRun<'_>, output: &RunOutput) {
        // Removed or taken over while it ran: once that has been answered, nothing of it goes out
        // any more, and its errors are nobody's.
        let Some((tenant, definition)) = self.find(run.runner) else {
            if output.writes() > 0 {
                let (definition, count) = (run.runner.name(), output.writes());
                self.hosting.core.counters.guest_effects_dropped.add(count.into());
                let tenants = self.hosting.tenants.all();
                let tenant = tenants.get(run.runner.tenant() as usize).map(|tenant| &*tenant.name);
                warn!(
                    tenant,
                    definition,
                    count,
                    "effects dropped: the definition that ran was removed or taken over meanwhile"
                );
            }
            return;
        };
        if matches!(run.event, OwnedEvent::Timer) {
            definition.activity.release_tick();
        }
        if matches!(run.outcome, RunOutcome::Failed(error) if error.code == MESSAGE_PAUSED) {
            self.hosting.core.counters.guest_events_dropped.add(1);
        }
        let trace_id = if run.tag == 0 { String::new() } else { records::trace_id() };
        let finished = Run {
            trace_id: &trace_id,
            tenant: &tenant,
            hops: run.hops,
            trigger: trigger(run.event),
            outcome: run.outcome,
            timing: run.timing,
        };
        let mut carry_out = || {
            self.turn(|turn| {
                // A run may have taken long since the turn before.
                turn.tick();
                let undone = effects::carry_out(turn, &definition, &finished, output);
                if let OwnedEvent::Message(message) = run.event {
                    turn.guests.ended_runs.extend(message.lease.clone().map(Lease::into_held));
                }
                undone
            })
        };
        // Much that goes to many takes longer than a run may: others have their turns on another
        // thread meanwhile.
        let is_much = output.writes() > WRITES_AT_ONCE_MAX;
        let undone = if is_much { host::away(RunWait::Writes, carry_out) } else { carry_out() };
        if run.tag != 0 {
            let report = RunReport {
                trace_id,
                published: records::published(&tenant.programs().variables, undone.done(output)),
                dropped: undone.messages(output),
                ..RunReport::default()
            };
            tenant.programs().guests.answer(&tenant.programs().variables, &definition, &run, report);
        }
    }

    fn start_failed(&mut self, runner: &Arc<host::Runner>, trap: &Trap) {
        let Some((tenant, definition)) = self.find(runner) else { return };
        let error = RunError { code: trap.kind.code(), message: &trap.message, ..RunError::default() };
        self.turn(|turn| records::record(turn, &tenant, &definition, &error, 0));
    }

    fn carry_out(&mut self, errand: &dyn Errand) -> bool {
        let relay = (errand as &dyn Any).downcast_ref::<OwnerRelay>().expect("all errands are relays");
        let tenants = self.hosting.tenants.all();
        let Some(tenant) = tenants.get(errand.owner().tenant as usize) else {
            errand.forget();
            return false;
        };
        self.turn(|turn| {
            turn.tick();
            let is_left = relaying::hand_on(relay, turn, tenant);
            turn.flush();
            is_left
        })
    }

    fn turn_finished(&mut self) {
        self.turn(|turn| {
            turn.tick();
            turn.flush();
        });
    }
}

/// Message that started a run.
fn trigger(event: &OwnedEvent) -> Option<Started<'_>> {
    let message = match event {
        OwnedEvent::Message(message) => message,
        OwnedEvent::Call { trigger, .. } => trigger.as_ref()?,
        OwnedEvent::Start
        | OwnedEvent::Timer
        | OwnedEvent::Connected(_)
        | OwnedEvent::Disconnected { .. }
        | OwnedEvent::Subscribed { .. } => return None,
    };
    Some(Started { topic: &message.topic, payload: &message.payload, client_id: &message.client_id })
}
