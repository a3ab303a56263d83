//! Effects of runs, carried out in the turn of the thread that has them: messages, kept values,
//! reports.

use std::sync::Arc;

use lotmq_codec::QoS;
use lotmq_definitions::{Definition, DefinitionId, Owner, RunError, ValueKeeper};
use lotmq_host::limits::{WRITE_BYTES_PER_RUN_MAX, WRITES_PER_RUN_MAX};
use lotmq_host::{Effect, PostError, Qos, RunOutcome, RunOutput, Severity};
use tracing::{debug, trace};

use super::authority::Writers;
use super::broker_hooks::published_to_tree;
use super::locked_secrets;
use super::metrics::METRIC_LIMIT;
use super::recorder::RunEvent;
use super::records;
use super::run::{Run, Started};
use crate::HasPrograms as _;
use lotmq_core::message::{Message, MessageParts};
use lotmq_core::reason::NotTaken;
use lotmq_core::tenant::Tenant;
use lotmq_core::tenant::publication::Publication;
use lotmq_core::tenant::retain::Keeper;
use lotmq_core::tenant::system_topics;
use lotmq_core::turn::Turn;
use lotmq_core::turn::fan_out::delay;
use lotmq_core::turn::internal::encoded;
use lotmq_process::clock::definitions_now;
use lotmq_process::clock::timestamp;

/// Code of messages with a delay that were not taken.
const DELAY_REFUSED: &str = "DELAY_REFUSED";

/// Effects of a run that were not carried out: their places, ascending.
#[derive(Default)]
pub struct Undone(Vec<usize>);

impl Undone {
    /// Effects that were carried out.
    pub(super) fn done<'a>(&self, output: &'a RunOutput) -> impl Iterator<Item = Effect<'a>> {
        let all = output.effects().enumerate();
        all.filter(|(place, _)| self.0.binary_search(place).is_err()).map(|(_, (_, effect))| effect)
    }

    /// Number of messages among the effects that were not carried out.
    pub(super) fn messages(&self, output: &RunOutput) -> usize {
        let is_message = |(_, effect): &(_, Effect<'_>)| matches!(effect, Effect::Publish { .. });
        output
            .effects()
            .enumerate()
            .filter(|(place, it)| is_message(it) && self.0.binary_search(place).is_ok())
            .count()
    }
}

/// Carries out the effects of a run, in program order, and records how it ended.
pub fn carry_out(turn: &mut Turn, definition: &Arc<Definition>, run: &Run<'_>, output: &RunOutput) -> Undone {
    let mut writers = Writers::new(run.tenant, definition);
    let mut undone = Undone::default();
    let mut failed = Failed::default();
    for (place, (writer, effect)) in output.effects().enumerate() {
        let hops = run.hops.saturating_add(1);
        if let Effect::Publish { topic, payload, .. } = effect
            && system_topics::is_system(topic)
        {
            let is_done = writers.acting(writer).is_some_and(|(definition, identity)| {
                published_to_tree(turn, run.tenant, (&definition, identity), (topic, payload), hops)
            });
            undone.0.extend((!is_done).then_some(place));
            continue;
        }
        let Some(by) = writers.definition_of(writer) else {
            undone.0.push(place);
            continue;
        };
        match effect {
            Effect::Publish { topic, payload, qos, retain, properties, expiry_seconds } => {
                let owner = by.owner();
                let message = GuestMessage { topic, payload, qos, retain, properties, expiry_seconds };
                if let Some(recorder) = run.tenant.programs().guests.recorder.get() {
                    recorder.sees(by.name(), message.run_event());
                }
                let sent = message.publish(turn, run.tenant, Sender { owner, origin: None, hops });
                undone.0.extend(sent.is_err().then_some(place));
                if let Err(Unpublished::NotDelayed(reason)) = sent {
                    let message = format!("message to '{topic}' was not taken: {reason}");
                    failed.record(turn, by, run, (DELAY_REFUSED, &message, 0, 0));
                }
            }
            Effect::Keep { topic, payload } => keep(turn, (by, &mut failed), run, (topic, payload)),
            Effect::Forget { topic } => run.tenant.programs().guests.values.forget(topic),
            Effect::Log { level, text } => {
                records::tell_line(turn, run.tenant, by, (level, text));
            }
            Effect::Metric { name, change } => {
                if let Err(refused) = run.tenant.programs().guests.metrics.change(by, name, change) {
                    failed.record(turn, by, run, (METRIC_LIMIT, &refused.to_string(), 0, 0));
                }
            }
            Effect::Report { severity: Severity::Warning, code, message, line, column } => {
                turn.core.counters.guest_warnings.add(1);
                let warning = RunError { code, message, line, column, ..RunError::default() };
                records::warn(turn, run.tenant, by, &warning);
            }
            Effect::Report { severity: Severity::Error, code, message, line, column } => {
                // A callee's report belongs to the callee.
                let locked = locked_secrets::masked_report(run.tenant, by, (code, message));
                let message = locked.as_deref().unwrap_or(message);
                failed.record(turn, by, run, (code, message, line, column));
            }
        }
    }
    writers.tell(turn, run);
    ended(turn, (definition, failed), run, (output, &undone));
    undone
}

fn keep(
    turn: &mut Turn,
    (definition, failed): (&Arc<Definition>, &mut Failed),
    run: &Run<'_>,
    (topic, payload): (&str, &[u8]),
) {
    let values = &run.tenant.programs().guests.values;
    if let Err(refused) = values.keep(ValueKeeper::of(definition), topic, payload) {
        failed.record(turn, definition, run, ("KEEP_LIMIT", &refused.to_string(), 0, 0));
        return;
    }
    if turn.core.settings.keep_visible_retained {
        let parts = MessageParts {
            topic,
            properties: &[],
            payload,
            qos: QoS::AtMostOnce,
            retain: true,
            expires_at_ms: None,
        };
        let keeper = Keeper::of(None, definition.owner());
        if let Err(limit) = run.tenant.retain(&Arc::new(Message::new(0, parts)), keeper, turn) {
            turn.core.limits.elsewhere.note(limit, &topic, turn.now());
        }
    }
}

/// Message that a guest publishes.
pub struct GuestMessage<'a> {
    pub topic: &'a str,
    pub payload: &'a [u8],
    pub qos: Qos,
    pub retain: bool,
    /// Encoded, with the expiry.
    pub properties: &'a [u8],
    pub expiry_seconds: Option<u32>,
}

/// Reason why a message of a guest was not published.
pub enum Unpublished {
    /// No packet can hold it, which is counted and logged.
    Unencodable,
    /// It asks for a delay, and was not taken.
    NotDelayed(NotTaken),
}

/// Guest that publishes.
#[derive(Clone, Copy)]
pub struct Sender<'a> {
    /// User to whom it belongs.
    pub owner: Option<&'a Owner>,
    /// Route that it is; nothing that it publishes comes back to it.
    pub origin: Option<DefinitionId>,
    pub hops: u8,
}

impl<'m> GuestMessage<'m> {
    /// A message of QoS 0 that says nothing else.
    pub fn new(topic: &'m str, payload: &'m [u8]) -> Self {
        let (qos, retain) = (Qos::AtMostOnce, false);
        GuestMessage { topic, payload, qos, retain, properties: &[], expiry_seconds: None }
    }

    /// Publishes it in the turn.
    ///
    /// # Errors
    /// [`Unpublished`].
    pub fn publish(
        &self,
        turn: &mut Turn,
        tenant: &Arc<Tenant>,
        sender: Sender<'_>,
    ) -> Result<(), Unpublished> {
        turn.counts.publish_internal += 1;
        let Sender { owner, origin, hops } = sender;
        let publication = self.in_turn(turn, hops).ok_or(Unpublished::Unencodable)?;
        let guests = &tenant.programs().guests;
        let recorder = origin.and_then(|_| guests.recorder.get());
        if let (Some(recorder), Some(route)) = (recorder, origin.and_then(|id| guests.route_by_id(id))) {
            let by = &route.version().definition;
            recorder.sees(by.name(), self.run_event());
        }
        let publication = Publication { owner, origin, ..publication };
        if let Some(delayed) = delay(turn, tenant, &publication) {
            return delayed.map_err(Unpublished::NotDelayed);
        }
        turn.publish(tenant, &publication);
        Ok(())
    }

    pub(super) fn run_event(&self) -> RunEvent {
        RunEvent::published((self.topic, self.payload), self.qos, self.retain, self.properties)
    }

    /// The message as the turn can publish it; `None` when no packet can hold it.
    pub(super) fn in_turn<'a>(&self, turn: &mut Turn, hops: u8) -> Option<Publication<'a>> {
        let GuestMessage { topic, payload, retain, properties, expiry_seconds, .. } = *self;
        let qos = codec_qos(self.qos);
        if properties.is_empty() && expiry_seconds.is_none() {
            return encoded(turn, topic, payload, qos, retain, hops);
        }
        let expires_at_ms = expiry_seconds.map(|seconds| turn.lifetime_ms() + u64::from(seconds) * 1000);
        let parts = MessageParts { topic, properties, payload, qos, retain, expires_at_ms };
        Some(Publication { hops, ..Publication::copied(&mut turn.arena, parts, None) })
    }
}

pub(super) fn codec_qos(qos: Qos) -> QoS {
    match qos {
        Qos::AtMostOnce => QoS::AtMostOnce,
        Qos::AtLeastOnce => QoS::AtLeastOnce,
        Qos::ExactlyOnce => QoS::ExactlyOnce,
    }
}

/// Returns the text of an error that a run has reported without ending.
fn reported_error(effect: &Effect<'_>) -> Option<String> {
    match effect {
        Effect::Report { severity: Severity::Error, code, message, .. } => {
            Some(format!("{message} ({code})"))
        }
        Effect::Report { .. }
        | Effect::Publish { .. }
        | Effect::Keep { .. }
        | Effect::Forget { .. }
        | Effect::Log { .. }
        | Effect::Metric { .. } => None,
    }
}

/// Notes the end of a run: counters, an error, a trace.
fn ended(
    turn: &mut Turn,
    (definition, mut failed): (&Arc<Definition>, Failed),
    run: &Run<'_>,
    (output, undone): (&RunOutput, &Undone),
) {
    let error = match run.outcome {
        RunOutcome::Done(_) | RunOutcome::SliceExpired => None,
        RunOutcome::Failed(error) => Some(error.clone()),
        RunOutcome::Trapped(trap) => Some(trap.clone().into()),
    };
    // Beside an error, which has the time of the clock, one that is a tick older looks as if it
    // were of a run before.
    let is_clean = error.is_none() && failed.0.is_empty();
    let now = if is_clean { timestamp(turn.wall_ms()) } else { definitions_now(&*turn.core.clock).wall };
    definition.activity.run_ended(now);
    // Neither the message of an error nor what was published: both may hold payloads.
    trace!(
        target: "lot",
        definition = &**definition.name(),
        topic = run.trigger.map(|trigger| trigger.topic),
        client_id = run.trigger.map(|trigger| trigger.client_id),
        result = error.as_ref().map_or("success", |error| &error.code),
        line = error.as_ref().map(|error| error.line),
        "run"
    );
    if let RunOutcome::Done(outputs) = run.outcome
        && !outputs.is_empty()
        && let Some(recorder) = run.tenant.programs().guests.recorder.get()
    {
        recorder.sees(definition.name(), RunEvent::Returned(outputs.clone()));
    }
    if let Some(error) = &error {
        debug!(target: "lot", definition = &**definition.name(), code = &*error.code, line = error.line, column = error.column, "run failed");
        failed.record(turn, definition, run, (&error.code, &error.message, error.line, error.column));
    }
    // A run of LoT has ended with that very error.
    let is_told = error.as_ref().is_some_and(|error| error.code == "LOT609");
    if output.writes_refused() > 0 && !is_told {
        let (refused, mib) = (output.writes_refused(), WRITE_BYTES_PER_RUN_MAX >> 20);
        let message = format!(
            "{refused} writes beyond the {WRITES_PER_RUN_MAX} messages or {mib} MiB of a run were dropped"
        );
        failed.record(turn, definition, run, ("WRITE_LIMIT", &message, 0, 0));
    }
    records::suppress_lines(run.tenant, definition, output.lines_dropped().into());
    if definition.activity.is_traced(|| now) {
        let now = definitions_now(&*turn.core.clock).wall;
        // A run that goes on behind an error, as behind a division by zero, has not succeeded.
        let reported = || output.effects().find_map(|(_, effect)| reported_error(&effect));
        let error = error.map(|error| error.message).or_else(reported);
        let trace = records::trace(definition, run, undone.done(output), now, error);
        records::publish_trace(turn, run.tenant, definition, &trace, run.hops.saturating_add(1));
    }
}

/// Definitions that have told of an error in a run: the run's own, and those that it calls.
#[derive(Default)]
struct Failed(Vec<DefinitionId>);

impl Failed {
    fn record(
        &mut self,
        turn: &mut Turn,
        definition: &Arc<Definition>,
        run: &Run<'_>,
        (code, message, line, column): (&str, &str, u32, u32),
    ) {
        let is_follow_up = self.0.contains(&definition.id);
        if !is_follow_up {
            self.0.push(definition.id);
        }
        let Started { topic, payload, .. } = run.trigger.unwrap_or_default();
        let error =
            RunError { code, message, line, column, topic, payload, is_follow_up, ..RunError::default() };
        records::record(turn, run.tenant, definition, &error, run.hops.saturating_add(1));
    }
}

/// Records an event that a mailbox did not take. Of a flood of them one has a record, and the
/// others are counted together, by [`records::refused`].
pub(super) fn not_taken(
    turn: &mut Turn,
    tenant: &Arc<Tenant>,
    definition: &Arc<Definition>,
    error: &PostError,
    message: &Message,
) {
    let MessageParts { topic, payload, .. } = message.parts();
    event_not_taken(turn, tenant, definition, error, (topic, payload));
}

/// Records an event that a mailbox did not take, as [`not_taken`]; the event need not be a message.
pub(super) fn event_not_taken(
    turn: &mut Turn,
    tenant: &Arc<Tenant>,
    definition: &Arc<Definition>,
    error: &PostError,
    message: (&str, &[u8]),
) {
    events_not_taken(turn, tenant, definition, (error, 1), message);
}

/// Records that so many events were not taken, for the same reason, of which this is the first.
pub(super) fn events_not_taken(
    turn: &mut Turn,
    tenant: &Arc<Tenant>,
    definition: &Arc<Definition>,
    (error, count): (&PostError, u64),
    (topic, payload): (&str, &[u8]),
) {
    let counters = &turn.core.counters;
    let (code, counter) = match error {
        PostError::TooManyHops { .. } => ("HOP_LIMIT", &counters.hops_exceeded),
        PostError::Stopped => (records::STOPPED, &counters.guest_events_dropped),
        PostError::TooManyTakers { .. } => (records::TOO_MANY_TAKERS, &counters.guest_events_dropped),
        PostError::Full { .. } | _ => (records::full_code(definition), &counters.guest_events_dropped),
    };
    counter.add(count);
    // The broker counts its own messages about guests but does not record them. A record would
    // trigger further messages without end.
    let has_record = !system_topics::is_system(topic)
        && (matches!(error, PostError::TooManyHops { .. }) || definition.activity.note_refused(count));
    if has_record {
        let error = RunError { code, message: &error.to_string(), topic, payload, ..RunError::default() };
        records::record(turn, tenant, definition, &error, 0);
    }
}
