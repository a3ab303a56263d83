//! A far side that is away from a guest which stays open for it: the guest has said so by interface
//! `far-side`, so it is asked again instead of being opened anew.
//!
//! Invariants: nothing that such a guest was handed is given up; it is handed nothing before the
//! pause is over or something is heard of the far side; it runs meanwhile.

use tokio::time::Instant;

use super::{Ended, Serving, failing};
use crate::guests::routes::batch::PostBatch;
use crate::guests::routes::pause::Pause;
use crate::guests::routes::seat::RouteSeat;
use crate::guests::routes::version::Version;

/// Back-off after a guest has reported that the far side is away.
pub(super) struct Away {
    /// Whether it has, and nothing has been heard of the far side since.
    is_said: bool,
    /// When it is handed something again; `None` where it may be at once.
    until: Option<Instant>,
    pause: Pause,
}

impl Away {
    /// That of a guest that has said nothing.
    pub(super) fn not_said(version: &Version) -> Away {
        let pause = Pause::reconnecting().fast_for(version.fast_attempts()).at_most(version.longest_pause());
        Away { is_said: false, until: None, pause }
    }

    /// Whether it has said so, and nothing has been heard of the far side since.
    pub(super) fn is_said(&self) -> bool {
        self.is_said
    }

    /// Waits until there is work that the guest is to return from `run` for.
    pub(super) fn has_work<'a>(
        &self,
        seat: &'a RouteSeat,
        number: u64,
    ) -> impl Future<Output = ()> + use<'a> {
        let until = self.until;
        async move {
            match until {
                Some(until) => drop(tokio::time::timeout_at(until, seat.changed(number)).await),
                None => seat.has_work(number).await,
            }
        }
    }
}

/// Keeps the instance, and what it was handed for later.
pub(super) fn keeps(serving: &mut Serving<'_>, batch: PostBatch, reason: &str) {
    failing::has_lost(serving, &batch, reason);
    let (driver, handed) = (serving.driver, serving.handed.take());
    let (now, reason) = (driver.now(), driver.masked(reason));
    driver.route.update(|standing| standing.is_away_for(&reason, now));
    driver.failed(&serving.version, ("ROUTE_AWAY", &reason), handed.as_ref());
    serving.away.is_said = true;
    let longest = serving.version.longest_pause();
    if !failing::goes_to_rest(serving, batch, || Pause::reconnecting().at_most(longest)) {
        serving.away.until = Some(Instant::now() + serving.away.pause.next());
    }
}

/// Waits until the guest is to be handed something again, and lets it run meanwhile; false where
/// there is a change.
pub(super) async fn waits(serving: &mut Serving<'_>) -> Result<bool, Ended> {
    while let Some(until) = serving.away.until {
        let next_run = serving.runs.as_ref().map_or(until, |runs| runs.next());
        tokio::select! {
            biased;
            () = serving.driver.seat.changed(serving.number) => return Ok(false),
            () = tokio::time::sleep_until(until) => serving.away.until = None,
            () = tokio::time::sleep_until(next_run) => serving.run_guest().await?,
        }
    }
    Ok(true)
}

/// Notes where something has been heard of a far side that was said to be away.
pub(super) fn looks_for_far_side(serving: &mut Serving<'_>) {
    if serving.away.is_said && !serving.driver.route.standing().has_doubts() {
        serving.away = Away::not_said(&serving.version);
    }
}
