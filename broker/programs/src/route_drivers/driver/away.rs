//! A far side that is away from a guest which stays open for it: the guest has said so by interface
//! `far-side`, so it is asked again instead of being opened anew.
//!
//! Invariants: nothing that such a guest was handed is given up; it is handed nothing before the
//! pause is over or something is heard of the far side; it runs meanwhile.

use tokio::time::Instant;

use super::{Ended, Serving};
use crate::routes::driver_slot::DriverSlot;
use crate::routes::pause::Pause;
use crate::routes::version::Version;

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
        slot: &'a DriverSlot,
        number: u64,
    ) -> impl Future<Output = ()> + use<'a> {
        let until = self.until;
        async move {
            match until {
                Some(until) => drop(tokio::time::timeout_at(until, slot.changed(number)).await),
                None => slot.has_work(number).await,
            }
        }
    }
}

/// Notes that the guest has reported that the far side is away. Its instance stays open.
pub(super) fn begins(serving: &mut Serving<'_>, reason: &str) {
    let (driver, handed) = (serving.driver, serving.handed.take());
    let (now, reason) = (driver.now(), driver.masked(reason));
    driver.route.update(|status| status.is_away_for(&reason, now));
    driver.failed(&serving.version, ("ROUTE_AWAY", &reason), handed.as_ref());
    serving.away.is_said = true;
}

/// Hands the guest nothing for the next pause.
pub(super) fn pauses(serving: &mut Serving<'_>) {
    serving.away.until = Some(Instant::now() + serving.away.pause.next());
}

/// Waits until the guest is to be handed something again, and lets it run meanwhile; false where
/// there is a change.
pub(super) async fn waits(serving: &mut Serving<'_>) -> Result<bool, Ended> {
    while let Some(until) = serving.away.until {
        let next_run = serving.runs.as_ref().map_or(until, |runs| runs.next());
        tokio::select! {
            biased;
            () = serving.driver.slot.changed(serving.number) => return Ok(false),
            () = tokio::time::sleep_until(until) => serving.away.until = None,
            () = tokio::time::sleep_until(next_run) => serving.run_guest().await?,
        }
    }
    Ok(true)
}

/// Notes where something has been heard of a far side that was said to be away.
pub(super) fn looks_for_far_side(serving: &mut Serving<'_>) {
    if serving.away.is_said && !serving.driver.route.status().has_doubts() {
        serving.away = Away::not_said(&serving.version);
    }
}
