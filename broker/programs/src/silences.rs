//! Runs of `ON SILENCE`: topics that have been silent for so long, on the thread of the timers.
//!
//! The broker checks the rights again when it starts the run. The owner may have lost the right
//! since the last message, and the right to a topic without messages was never checked. A run that
//! does not fit into its mailbox is retried. Not here: when a topic is silent (`definitions`).

use std::sync::Arc;
use std::time::Duration;

use lotmq_auth::Authorization;
use lotmq_definitions::limits::{WATCHED_BYTES_MAX, WATCHED_TOPIC_BYTES_MAX};
use lotmq_definitions::{Now, RunError, SilenceTrouble, SilenceWatch};
use lotmq_host::{OwnedEvent, OwnedMessage};

use super::round_robin::RoundResult;
use super::{Guests, records, rights};
use crate::HasPrograms as _;
use crate::limits::ROWS_PER_REPORT;
use lotmq_core::tenant::Tenant;
use lotmq_core::turn::Turn;

/// Code of the error of a definition that would have to watch too many topics.
const SILENCE_LIMIT: &str = "SILENCE_LIMIT";

/// Time after which a run that was not taken is tried again.
const AGAIN: Duration = Duration::from_millis(100);

/// Starts what waits for a silence that has lasted long enough, as much as one round may.
pub fn run_silences(turn: &mut Turn, tenant: &Arc<Tenant>, now: Now) -> RoundResult {
    let guests = &tenant.programs().guests;
    let watches: Vec<Arc<SilenceWatch>> = {
        let registry = guests.registry.read();
        registry.all_silence_watches().map(Arc::clone).collect()
    };
    tenant.programs().silence_rounds.round(
        &watches,
        |watch| watch.definition.id,
        |watch, most| {
            let mut silent = Vec::new();
            let done = watch.due(now.elapsed, most, |topic| silent.push(topic));
            let started = silent.iter().filter(|topic| tell(tenant, watch, topic, now)).count();
            let rows = watch.save_some(now.elapsed);
            let trouble = watch.take_trouble();
            if trouble != SilenceTrouble::default() {
                tell_trouble(turn, tenant, watch, &trouble);
            }
            (done + rows / ROWS_PER_REPORT, started)
        },
    )
}

/// Notes, before the broker ends, which topics a tenant's watches hear of.
pub fn keep_silences(guests: &Guests) {
    guests.registry.read().all_silence_watches().for_each(|watch| watch.save_all());
}

/// Notes what went wrong with a watch since the last look.
fn tell_trouble(turn: &mut Turn, tenant: &Tenant, watch: &SilenceWatch, trouble: &SilenceTrouble) {
    let SilenceTrouble { refused, unkept } = *trouble;
    for (count, message) in [
        (
            refused,
            format!(
                "{refused} messages came on topics that are not watched for silence: {} others are, which is the limit, or these have more than {WATCHED_TOPIC_BYTES_MAX} bytes, or what all definitions of their owner watch has its share of {} MiB",
                watch.topics_max(),
                WATCHED_BYTES_MAX >> 20
            ),
        ),
        (
            unkept,
            format!(
                "{unkept} topics that are watched for silence will not be remembered over a restart: the kept values are full, or those of their owner have their share (-listKept shows whose they are)"
            ),
        ),
    ] {
        if count > 0 {
            let error = RunError { code: SILENCE_LIMIT, message: &message, ..RunError::default() };
            records::record(turn, tenant, &watch.definition, &error, 0);
        }
    }
}

/// Starts a run that is told of a silent topic. False when its owner may not know, or when it has
/// to wait.
fn tell(tenant: &Tenant, watch: &SilenceWatch, topic: &str, now: Now) -> bool {
    let guests = &tenant.programs().guests;
    let definition = &watch.definition;
    let decision = rights::may_hear(tenant, guests.authority, topic, definition);
    if decision.authorization != Authorization::Allow {
        if watch.names(topic) {
            // The owner may get the right later.
            watch.count_from(topic, now.elapsed);
        }
        return false;
    }
    let Some(runner) = guests.runner(definition.id) else { return false };
    let payload = guests.values.read(topic, |value| value.unwrap_or_default().to_vec());
    let message = OwnedMessage {
        received_ms: u64::try_from(now.wall.as_millisecond()).unwrap_or(0),
        ..OwnedMessage::new(topic, payload)
    };
    let is_taken = runner.post(OwnedEvent::Message(Arc::new(message)), 0, 0).is_ok();
    if !is_taken {
        watch.tell_again_at(topic, now.elapsed + AGAIN);
    }
    is_taken
}
