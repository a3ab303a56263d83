//! Proof that the far side is there when an instance is open again that has lost it in a call: a
//! system that is frozen takes connections all the same.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use lotmq_host::route::{Abilities, Failure};

use super::{Driver, Opened, count_call, text_of, trapped};
use crate::routes::version::Version;

/// How an instance has lost the far side in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LostFarSide {
    /// Something had passed before, or it had been well for long.
    First,
    /// Nothing had passed since it was opened.
    Unheard,
}

/// Time beside that of one call in which an instance that has lost the far side had not had it.
const SOON_AFTER_A_CALL: Duration = Duration::from_secs(20);

/// How an instance has lost the far side that was opened then.
pub(super) fn loss(driver: &Driver, version: &Version, (opened, at): (Instant, Timestamp)) -> LostFarSide {
    let is_soon = opened.elapsed() < version.call_time() + SOON_AFTER_A_CALL;
    let is_unheard = is_soon && !driver.route.status().has_passed_since(at);
    if is_unheard { LostFarSide::Unheard } else { LostFarSide::First }
}

/// Asks an instance that was opened whether the far side answers: a system that is frozen takes
/// connections all the same. False where its guest cannot say that, and what it does then shows it;
/// true where it does nothing by itself.
///
/// # Errors
/// It does not answer.
pub(super) async fn prove(
    driver: &Driver,
    version: &Version,
    opened: &mut Opened,
    loss: LostFarSide,
) -> Result<bool, String> {
    let Opened { instance, abilities, figures, .. } = opened;
    let runs = abilities.contains(Abilities::RUN) && !driver.is_at_once();
    if driver.route.waiting().0 > 0 {
        // A waiting message goes out at once and proves more than a question, which the other side
        // may take for a request.
        return Ok(false);
    }
    if !abilities.contains(Abilities::REQUEST) {
        return Ok(!runs);
    }
    count_call(figures.as_ref());
    match tokio::time::timeout(version.call_time(), instance.request("probe", b"{}")).await {
        // If a loss followed an earlier good answer, the guest has not asked the far side.
        Ok(Ok(Ok(_))) => Ok(loss == LostFarSide::First || !runs),
        // It may not know the question.
        Ok(Ok(Err(Failure::Reject(_)))) => Ok(!runs),
        Ok(Ok(Err(failure))) => Err(text_of(failure)),
        Ok(Err(trap)) => Err(trapped(figures.as_ref(), &trap)),
        Err(_) => Err(version.too_long("request", instance)),
    }
}
