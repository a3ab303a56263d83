//! Handling of messages that did not pass: carries out the fate of a batch, and rejects messages.
//!
//! Not here: the judgement (`fate`), and the end of a message (`dead_lettering`).

use std::time::Instant;

use lotmq_definitions::RunError;

use super::super::dead_lettering::give_up;
use super::fate::{BatchFacts, CallFailure, FirstStep, InstanceStatus, Recipients, WaitAfter, judge};
use super::{Driver, Handed, Serving, away};
use crate::routes::batch::PostBatch;
use crate::routes::mailbox::{Retries, RouteMessage};

/// Judges a batch with which a call has failed, and carries out its fate.
pub(super) async fn failed(
    serving: &mut Serving<'_>,
    mut batch: PostBatch,
    failure: CallFailure,
    reason: &str,
) {
    // An order to end pauses that comes from now on ends the pause below.
    let hurries = serving.driver.slot.hurries();
    let Some(first) = batch.first() else { return };
    let tries = Retries {
        count: first.retries.map_or(0, |before| before.count) + 1,
        since: first.retries.map_or_else(Instant::now, |before| before.since),
    };
    let status = InstanceStatus {
        is_at_once: serving.driver.is_at_once(),
        says_away: serving.instance.says_away(),
        longest_pause: serving.version.longest_pause(),
    };
    let fate = judge(failure, &facts(serving, &batch, tries), status);
    match fate.step {
        FirstStep::ReportAll => return report_all(serving, batch, reason),
        FirstStep::RejectFirst => {
            reject(serving, first, reason);
            batch.done();
        }
        FirstStep::CountTry => {
            let (now, reason) = (serving.driver.now(), serving.driver.masked(reason));
            serving.driver.route.update(|status| status.event_failed(&first.to, 0, &reason, now));
            batch.note_retries(tries);
        }
        FirstStep::NoteLoss => note_loss(serving, &batch, reason),
        FirstStep::None => {}
    }
    if !batch.is_empty() {
        let count = batch.len() as u64;
        serving.driver.route.note(|deliveries| deliveries.retried += count);
    }
    if fate.wait == WaitAfter::FarSide {
        away::begins(serving, reason);
    }
    if fate.separates {
        batch.separate();
    }
    let backs_off = batch.put_back(fate.back);
    serving.handed.iter_mut().for_each(|handed| handed.rests = backs_off);
    match fate.wait {
        WaitAfter::Pause if !backs_off => pause(serving, hurries).await,
        WaitAfter::FarSide if !backs_off => away::pauses(serving),
        WaitAfter::Pause | WaitAfter::FarSide | WaitAfter::None => {}
    }
}

fn facts(serving: &Serving<'_>, batch: &PostBatch, Retries { count, since }: Retries) -> BatchFacts {
    let recipients = |skipped: usize| {
        let takers = batch.iter().skip(skipped).map(|post| &post.to);
        Recipients::of(takers, |to| serving.driver.route.is_one_of_several(to))
    };
    BatchFacts {
        messages: batch.len(),
        recipients: recipients(0),
        behind_first: recipients(1),
        tries: count,
        tried_for: since.elapsed(),
    }
}

/// Pauses before the next try, unless there is a change, somebody asks whether the far side is
/// there, or orders that it goes on, since there were so many such orders.
pub(super) async fn pause(serving: &mut Serving<'_>, hurries: u64) {
    tokio::select! {
        () = tokio::time::sleep(serving.pause.next()) => {}
        () = serving.driver.slot.changed_or_asked(serving.number, hurries) => {}
    }
}

/// Reports messages that would wait with a running clock, and drops them.
fn report_all(serving: &Serving<'_>, mut batch: PostBatch, reason: &str) {
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
fn note_loss(serving: &mut Serving<'_>, batch: &PostBatch, reason: &str) {
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

/// Rejects a message that can never pass.
pub(super) fn reject(serving: &Serving<'_>, post: &RouteMessage, reason: &str) {
    let Driver { hosting, tenant, route, .. } = serving.driver;
    let reason = serving.driver.masked(reason);
    give_up((hosting, tenant, route), (&serving.version, &serving.services), (post, &reason), &serving.work);
}
