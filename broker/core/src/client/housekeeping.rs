//! Housekeeping of sessions: Clients that stay away, and drains of sessions that have ended.

use std::sync::Arc;
use std::time::Duration;

use lotmq_changes::SliceBounds;
use lotmq_session::Time;

use crate::client::session_end;
use crate::limits::{DRAIN_TIME_MAX, SLICE_BYTES_PER_MESSAGE, SLICE_MESSAGES};
use crate::turn::Turn;
use crate::turn::context::TurnContext;

/// Publishes Wills and ends sessions that are due, for a while: a hundred thousand may be due in
/// one second. True when others are left.
pub fn expire(turn: &mut Turn) -> bool {
    let context = Arc::clone(&turn.context);
    let (core, timers) = (&context.core, &context.expiry_timers);
    timers.sweep();
    let stretch = core.clock.stretch(DRAIN_TIME_MAX);
    while let Some(client) = timers.next_due(Time::from_millis(turn.lifetime_ms())) {
        session_end::timers_due(&client, turn);
        if stretch.is_over(&*core.clock) {
            return true;
        }
    }
    false
}

/// Time until the next Will, end of a session or message with a delay is due.
#[must_use]
pub fn next_expiry(turn: &Turn) -> Option<Duration> {
    let timers = [turn.context.expiry_timers.next(), turn.context.delayed.next()];
    let next = timers.into_iter().flatten().min()?;
    Some(next.since(Time::from_millis(turn.lifetime_ms())))
}

/// Goes on with all drains of ended sessions for a while. True when more could be done at once.
pub fn drain(turn: &mut Turn) -> bool {
    let context = Arc::clone(&turn.context);
    if context.session_drains.go_on(turn) {
        ask(&context);
    }
    context.session_drains.are_ready()
}

/// Has the store read the slice that the first drain wants.
fn ask(context: &Arc<TurnContext>) {
    let Some((session, after)) = context.session_drains.wanted() else { return };
    let asking = Arc::downgrade(context);
    let reply = move |slice| {
        if let Some(context) = asking.upgrade() {
            context.session_drains.read(slice);
            context.tell(|hooks| hooks.has_work());
        }
    };
    let bytes_max = SLICE_BYTES_PER_MESSAGE * SLICE_MESSAGES as u64;
    let bounds = SliceBounds::new(SLICE_MESSAGES, bytes_max);
    if context.core.log.read_queue(session, after, bounds, Box::new(reply)).is_err() {
        context.session_drains.stop();
    }
}
