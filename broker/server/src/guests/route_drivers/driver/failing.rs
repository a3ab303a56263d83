//! Handling of messages that did not pass: they are retried, back off, are split, or are given up.
//!
//! Not here: the choice by class of failure (`driver`), and the end of a message
//! (`dead_lettering`).

use std::time::Instant;

use lotmq_definitions::RunError;

use super::super::dead_lettering::give_up;
use super::{Driver, Handed, Serving, away};
use crate::guests::limits::{ROUTE_RETRIES_MIN, ROUTE_RETRY_TIME_MIN};
use crate::guests::routes::batch::PostBatch;
use crate::guests::routes::mailbox::{Retries, RouteMessage};
use crate::guests::routes::pause::Pause;

/// Tries the same again after a pause, unless that has been done for long enough.
pub(super) async fn retry(serving: &mut Serving<'_>, mut batch: PostBatch, reason: &str) {
    if serving.driver.is_at_once() {
        return would_wait(serving, batch, reason);
    }
    if serving.instance.says_away() {
        return away::keeps(serving, batch, reason);
    }
    // An order to end pauses that comes from now on ends the pause below.
    let hurries = serving.driver.slot.hurries();
    let Some(post) = batch.first() else { return };
    let first_time = Retries { count: 1, since: Instant::now() };
    let retries = post.retries.map_or(first_time, |before| Retries { count: before.count + 1, ..before });
    if retries.count >= ROUTE_RETRIES_MIN && retries.since.elapsed() >= ROUTE_RETRY_TIME_MIN {
        reject(serving, post, reason);
        batch.done();
    } else {
        let (now, reason) = (serving.driver.now(), serving.driver.masked(reason));
        serving.driver.route.update(|status| status.event_failed(&post.to, 0, &reason, now));
        batch.note_retries(retries);
    }
    comes_again(serving, &batch);
    if !goes_to_rest(serving, batch, Pause::retrying) {
        pause(serving, hurries).await;
    }
}

/// Whether what a batch is for may rest while others of the route pass. A batch for several is to
/// be taken apart first: nobody knows whose fault it was. Tags do not rest, as the order of what is
/// written to a machine matters.
pub(super) fn may_rest(serving: &Serving<'_>, batch: &PostBatch) -> bool {
    if batch.iter().any(|post| post.to.is_tag()) {
        return false;
    }
    let Some(to) = batch.for_one() else {
        batch.part();
        return false;
    };
    serving.driver.route.is_one_of_several(to)
}

/// Puts a batch back; what it is for rests for these pauses, if it may, and whether it does.
pub(super) fn goes_to_rest(serving: &Serving<'_>, batch: PostBatch, pauses: impl FnOnce() -> Pause) -> bool {
    may_rest(serving, &batch) && batch.put_back_resting(pauses)
}

/// Lets what a batch is for rest, if it may; else there may be too much in it.
pub(super) fn rests_or_is_halved(serving: &mut Serving<'_>, batch: PostBatch) {
    match may_rest(serving, &batch) {
        true => rests(serving, batch),
        false => batch.put_back_halved(),
    }
}

/// Lets what a batch is for rest, because the instance has lost the far side with it.
pub(super) fn rests(serving: &mut Serving<'_>, batch: PostBatch) {
    let rests = batch.put_back_resting(|| Pause::reconnecting().at_most(serving.version.longest_pause()));
    serving.handed.iter_mut().for_each(|handed| handed.rests = rests);
}

/// Pauses before the next try, unless there is a change, somebody asks whether the far side is
/// there, or orders that it goes on, since there were so many such orders.
pub(super) async fn pause(serving: &mut Serving<'_>, hurries: u64) {
    tokio::select! {
        () = tokio::time::sleep(serving.pause.next()) => {}
        () = serving.driver.slot.changed_or_asked(serving.number, hurries) => {}
    }
}

/// Handles a batch that did not pass: a single message is rejected; several are tried again by
/// halves, until it is known which did not pass.
pub(super) fn refused(serving: &Serving<'_>, mut batch: PostBatch, reason: &str) {
    match batch.first() {
        Some(post) if batch.len() == 1 => {
            reject(serving, post, reason);
            batch.done();
        }
        _ => {
            comes_again(serving, &batch);
            batch.put_back_halved();
        }
    }
}

/// Handles a batch at which the guest broke. It rejects a single message and retries several one by
/// one. Effects before the break happen a second time, but not once for each half.
pub(super) fn broken_at(serving: &Serving<'_>, batch: PostBatch, reason: &str) {
    if batch.len() == 1 {
        return refused(serving, batch, reason);
    }
    comes_again(serving, &batch);
    batch.put_back_singly();
}

/// Tells of messages which would wait here if anything did, and would come again.
pub(super) fn would_wait(serving: &Serving<'_>, mut batch: PostBatch, reason: &str) {
    let reason = serving.driver.masked(reason);
    while let Some(post) = batch.first() {
        let message = post.to.with_reason(&reason);
        let (topic, payload) = (&*post.message.topic, &*post.message.payload);
        let error =
            RunError { code: "ROUTE_WAITS", message: &message, topic, payload, ..RunError::default() };
        serving.driver.record(&serving.version, &error, post.hops);
        batch.done();
    }
}

/// Notes that the instance has lost the far side, or got no answer, when it had these messages,
/// which are to come again.
pub(super) fn has_lost(serving: &mut Serving<'_>, batch: &PostBatch, reason: &str) {
    comes_again(serving, batch);
    serving.handed = Handed::first_of(batch);
    let (now, reason) = (serving.driver.now(), serving.driver.masked(reason));
    serving.driver.route.update(|status| {
        status.is_doubtful(now);
        let mut last = None;
        for post in batch.iter().filter(|post| last.replace(&post.to) != Some(&post.to)) {
            status.event_waits(&post.to, &reason, now);
        }
    });
}

/// Counts messages that did not pass and are to come again.
fn comes_again(serving: &Serving<'_>, batch: &PostBatch) {
    let count = batch.len() as u64;
    serving.driver.route.note(|deliveries| deliveries.retried += count);
}

/// Rejects a message that can never pass.
pub(super) fn reject(serving: &Serving<'_>, post: &RouteMessage, reason: &str) {
    let Driver { hosting, tenant, route, .. } = serving.driver;
    let reason = serving.driver.masked(reason);
    give_up((hosting, tenant, route), (&serving.version, &serving.services), (post, &reason), &serving.work);
}
