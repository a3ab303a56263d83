//! Runs of `ON WINDOW`: windows that have closed, on the thread of the timers. Windows of messages
//! close in the turn of their last message.
//!
//! The broker checks the rights of the owner again when it starts the run. A run that does not fit
//! into its mailbox is retried. Not here: when a window closes, and its figures (`definitions`).

use std::sync::Arc;
use std::time::Duration;

use lotmq_auth::Authorization;
use lotmq_definitions::limits::{WATCHED_BYTES_MAX, WATCHED_TOPIC_BYTES_MAX};
use lotmq_definitions::{ClosedWindow, Now, RunError, Sampled, WindowTrouble, WindowWatch};
use lotmq_host::{OwnedEvent, OwnedMessage};

use super::round_robin::RoundResult;
use super::{Guests, records, rights};
use crate::HasPrograms as _;
use crate::limits::ROWS_PER_REPORT;
use lotmq_core::tenant::Tenant;
use lotmq_core::turn::Turn;
use lotmq_process::clock::timestamp;

/// Code of the error of a definition whose windows reach a bound.
const WINDOW_LIMIT: &str = "WINDOW_LIMIT";

/// Code of the warning about a message that has no number.
const WINDOW_VALUE: &str = "WINDOW_VALUE";

/// Time after which a run that was not taken is tried again.
const AGAIN: Duration = Duration::from_millis(100);

/// Closes the windows of time whose end has come, tells those that have closed, as many as one
/// round may, and keeps what they hold.
pub fn run_windows(turn: &mut Turn, tenant: &Arc<Tenant>, now: Now) -> RoundResult {
    let guests = &tenant.programs().guests;
    let windows: Vec<Arc<WindowWatch>> = {
        let registry = guests.registry.read();
        registry.all_windows().map(Arc::clone).collect()
    };
    tenant.programs().window_rounds.round(
        &windows,
        |window| window.definition.id,
        |window, most| {
            let closed = window.close_due(now);
            let (mut told, mut started) = (0, 0);
            while told < most
                && let Some(closed) = window.next_closed(now)
            {
                told += 1;
                started += usize::from(tell(tenant, window, closed, now));
            }
            let rows = window.save_some(now);
            troubles(turn, tenant, window);
            (told + (closed + rows) / ROWS_PER_REPORT, started)
        },
    )
}

/// Notes, before the broker ends, what the windows of a tenant hold among its kept values.
pub fn keep_windows(guests: &Guests) {
    guests.registry.read().all_windows().for_each(|window| window.save_all());
}

/// Figures of the window that closes with a message, if one does.
pub(super) fn closed_with(
    tenant: &Tenant,
    window: &WindowWatch,
    (topic, payload): (&str, &[u8]),
    received_ms: u64,
) -> Option<Vec<u8>> {
    match window.take(topic, payload, received_ms) {
        Sampled::Closed(figures) => Some(figures),
        Sampled::Counted | Sampled::Refused => None,
        Sampled::Bad => {
            let message = format!("a message on {topic} has no number for the window");
            let warning = RunError { code: WINDOW_VALUE, message: &message, ..RunError::default() };
            // The next look at the windows publishes what is to be, at the latest.
            records::warn_later(tenant, &window.definition, &warning, timestamp(received_ms));
            None
        }
    }
}

/// Starts a run that is told of a window. False when its owner may not know, or when it has to
/// wait.
fn tell(tenant: &Tenant, window: &WindowWatch, closed: ClosedWindow, now: Now) -> bool {
    let guests = &tenant.programs().guests;
    let definition = &window.definition;
    let decision = rights::may_hear(tenant, guests.authority, &closed.topic, definition);
    if decision.authorization != Authorization::Allow {
        return false;
    }
    let Some(runner) = guests.runner(definition.id) else { return false };
    let message = OwnedMessage {
        received_ms: u64::try_from(now.wall.as_millisecond()).unwrap_or(0),
        ..OwnedMessage::new(&*closed.topic, closed.figures.clone())
    };
    let is_taken = runner.post(OwnedEvent::Message(Arc::new(message)), 0, 0).is_ok();
    if !is_taken {
        window.tell_again_at(closed, now.elapsed + AGAIN);
    }
    is_taken
}

/// Notes what went wrong with windows since the last look.
fn troubles(turn: &mut Turn, tenant: &Tenant, window: &WindowWatch) {
    let trouble = window.take_trouble();
    if trouble == WindowTrouble::default() {
        return;
    }
    let WindowTrouble { refused, lost, unkept } = trouble;
    let topics = window.topics_max();
    for (count, message) in [
        (
            refused,
            format!(
                "{refused} messages came on topics without a window: {topics} others have one, which is the limit, or these have more than {WATCHED_TOPIC_BYTES_MAX} bytes, or what all definitions of their owner watch has its share of {} MiB",
                WATCHED_BYTES_MAX >> 20
            ),
        ),
        (lost, format!("{lost} windows were not told: the mailbox was full for too long")),
        (
            unkept,
            format!(
                "{unkept} windows will not survive a restart: the kept values are full, or those of their owner have their share (-listKept shows whose they are)"
            ),
        ),
    ] {
        if count > 0 {
            let error = RunError { code: WINDOW_LIMIT, message: &message, ..RunError::default() };
            records::record(turn, tenant, &window.definition, &error, 0);
        }
    }
}
