//! Runs of a guest between its deliveries: what it polls, reads and serves.
//!
//! A guest is called from one place at a time. While it runs, work that comes is announced to it,
//! and it returns soon; it runs again when the work is done, so that neither keeps the other from
//! its turn.

mod tags;

use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::SignedDuration;
use lotmq_host::route::{Abilities, Failure};
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout};

use super::{Ended, Serving, away, count_call, text_of, trapped};
use crate::limits::ROUTE_RUN_TIME;
use crate::routes::asked_run::{AskedRun, RunBounds};
use crate::routes::driver_slot::Work;
use crate::routes::pause::Pause;
use crate::routes::runner::RouteRunner;
use tags::TagsAsked;

/// Period at which a run that was asked for is looked at.
const BROUGHT_LOOK: Duration = Duration::from_millis(1);

/// Time after which an instance that was opened again is connected when its runs pass and bring
/// nothing.
const QUIET_PROOF: Duration = Duration::from_secs(10);

/// Longest wait for the end of a run that was asked for, once the guest is told that there is other
/// work: a case is not to wait for as long as a far side may.
const ASKED_RUN_PATIENCE: Duration = Duration::from_secs(10);

/// Longest pause behind a run that has failed and brought something all the same.
const LONGEST_PAUSE_OF_PART: Duration = Duration::from_secs(1);

/// Conclusion about the far side from a run that failed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Silence {
    /// Nothing.
    None,
    /// It counts as away where all runs have failed for as long as it may take to answer.
    IfItLasts,
    /// It is away.
    Said,
}

/// When a guest runs again.
pub(super) struct Runs {
    next: Instant,
    pause: Pause,
    tags: TagsAsked,
}

impl Runs {
    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// A guest that wants to run at once.
    pub(super) fn at_once() -> Runs {
        Runs { next: Instant::now(), pause: Pause::retrying(), tags: TagsAsked::at_once() }
    }
}

impl Serving<'_> {
    /// Waits for the next work, while the guest runs if it does that; `None` when there is a
    /// change. After work it is the guest's turn to run, after a run that of work.
    pub(super) async fn next_work(&mut self) -> Result<Option<Work>, Ended> {
        if !away::waits(self).await? {
            return Ok(None);
        }
        let slot = &self.driver.slot;
        let mut has_run = false;
        loop {
            let Some(runs) = &mut self.runs else { return Ok(slot.next_work(self.number).await) };
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(runs.next), if !has_run => {}
                work = slot.next_work(self.number) => return Ok(work),
                () = tokio::time::sleep_until(runs.next) => {}
            }
            self.run_guest().await?;
            has_run = true;
        }
    }

    /// Lets the guest run until it has done what it wants, or there is other work for it.
    pub(super) async fn run_guest(&mut self) -> Result<(), Ended> {
        let call_time = self.version.call_time();
        let work = self.instance.host_work();
        let has_work = self.away.has_work(&self.driver.slot, self.number);
        // Messages that this run brings are not caused by a message.
        self.instance.comes_behind(0);
        count_call(self.figures.as_ref());
        let before = self.driver.route.brought();
        let until_ms = u32::try_from(ROUTE_RUN_TIME.as_millis()).unwrap_or(u32::MAX);
        let ran = {
            let mut ran = std::pin::pin!(self.instance.run(until_ms));
            let has_work = std::pin::pin!(has_work);
            tokio::select! {
                biased;
                ran = in_time(&self.driver.route, ROUTE_RUN_TIME + call_time, &mut ran) => ran,
                () = has_work => {
                    work.announce();
                    in_time(&self.driver.route, call_time, &mut ran).await
                }
            }
        };
        work.done();
        let has_brought = self.driver.route.brought() > before;
        self.driver.route.has_run(before, self.driver.now());
        away::looks_for_far_side(self);
        match ran {
            Ok(Ok(Ok(after_ms))) => {
                self.runs_after(Duration::from_millis(after_ms.into()));
                // Of one that has just been opened again it says nothing that it has run: it may
                // not have been time for what it asks.
                if self.is_proven() {
                    self.driver.route.runs_well();
                }
                self.ask_for_tags(false).await
            }
            Ok(Ok(Err(failure @ (Failure::Retry(_) | Failure::Reject(_))))) => {
                let silence = match failure {
                    Failure::Retry(_) if self.instance.says_away() => Silence::Said,
                    Failure::Retry(_) => Silence::IfItLasts,
                    Failure::Reconnect(_) | Failure::Reject(_) | Failure::Fatal(_) => Silence::None,
                };
                // If only a part of it has failed, the rest goes on at its pace.
                let longest = if has_brought { LONGEST_PAUSE_OF_PART } else { Duration::MAX };
                self.runs_after_failing(&text_of(failure), silence, longest);
                self.ask_for_tags(true).await
            }
            Ok(Ok(Err(failure))) => Err(super::ended(failure)),
            Ok(Err(trap)) => Err(Ended::Away(trapped(self.figures.as_ref(), &trap))),
            Err(_) => Err(Ended::Away(self.version.too_long("run", &self.instance))),
        }
    }

    /// Lets the guest run once, where time stands still, and tells how that went.
    pub(super) async fn run_as_asked(&mut self, AskedRun { bounds, outcome }: AskedRun) -> Option<Ended> {
        // The caller may have gone.
        let tell = |went| drop(outcome.try_send(went));
        if !self.abilities.contains(Abilities::RUN) {
            tell(Err("its guest does not run by itself: it has no ability RUN".to_owned()));
            return None;
        }
        let patience = self.version.call_time().min(ASKED_RUN_PATIENCE);
        let work = self.instance.host_work();
        self.instance.comes_behind(0);
        count_call(self.figures.as_ref());
        let until_ms = u32::try_from(bounds.time.as_millis()).unwrap_or(u32::MAX);
        let ran = {
            let mut ran = std::pin::pin!(self.instance.run(until_ms));
            tokio::select! {
                biased;
                ran = &mut ran => Ok(ran),
                () = reached(&bounds, &self.driver.route) => {
                    work.announce();
                    timeout(patience, ran).await
                }
            }
        };
        work.done();
        let (went, ended) = match ran {
            Ok(Ok(Ok(after_ms))) => (Ok(Duration::from_millis(after_ms.into())), None),
            Ok(Ok(Err(failure @ (Failure::Retry(_) | Failure::Reject(_))))) => {
                (Err(self.driver.masked(&text_of(failure))), None)
            }
            Ok(Ok(Err(failure))) => (Ok(Duration::ZERO), Some(super::ended(failure))),
            Ok(Err(trap)) => (Ok(Duration::ZERO), Some(Ended::Away(trapped(self.figures.as_ref(), &trap)))),
            Err(_) => {
                let reason = format!("its run did not end within {} s of being told to", patience.as_secs());
                (Ok(Duration::ZERO), Some(Ended::Away(reason)))
            }
        };
        tell(went);
        ended
    }

    /// Asks the guest which tags have no value, behind a run.
    async fn ask_for_tags(&mut self, has_failed: bool) -> Result<(), Ended> {
        let Some(runs) = self.runs.as_mut().filter(|_| self.abilities.contains(Abilities::REQUEST)) else {
            return Ok(());
        };
        let (instance, figures) = (&mut self.instance, self.figures.as_ref());
        runs.tags.ask(self.driver, &self.version, instance, figures, has_failed).await
    }

    fn runs_after(&mut self, time: Duration) {
        if let Some(runs) = &mut self.runs {
            (runs.next, runs.pause) = (Instant::now() + time, Pause::retrying());
        }
    }

    /// Whether a run that brings nothing says that the far side is there: it was not opened just
    /// now.
    fn is_proven(&self) -> bool {
        !self.away.is_said()
            && (self.driver.route.status().unproven() == 0 || self.opened.elapsed() >= QUIET_PROOF)
    }

    /// Notes a run that failed, behind which there is a pause, this long at most.
    fn runs_after_failing(&mut self, reason: &str, silence: Silence, longest: Duration) {
        let (now, reason) = (self.driver.now(), self.driver.masked(reason));
        let patience = SignedDuration::try_from(self.version.call_time()).unwrap_or(SignedDuration::MAX);
        self.driver.route.update(|status| {
            let has_lasted = || status.runs_have_failed_for(now).is_some_and(|time| time >= patience);
            let is_silent = silence == Silence::Said || (silence == Silence::IfItLasts && has_lasted());
            status.run_failed(&reason, is_silent, now);
        });
        if let Some(runs) = &mut self.runs {
            runs.next = Instant::now() + runs.pause.next().min(longest);
        }
    }
}

/// Result of a call within this time, in which waits for room of what it brings do not count: the
/// far side is not silent meanwhile.
async fn in_time<T>(
    route: &RouteRunner,
    time: Duration,
    mut call: impl Future<Output = T> + Unpin,
) -> Result<T, Elapsed> {
    let mut left = time;
    loop {
        let before = route.ingest_waits.total();
        let ended = timeout(left, &mut call).await;
        left = route.ingest_waits.total() - before;
        if ended.is_ok() || left.is_zero() {
            return ended;
        }
    }
}

/// Waits until a run has reached one of its bounds.
async fn reached(bounds: &RunBounds, route: &RouteRunner) {
    let (began, before) = (Instant::now(), route.brought());
    let is_enough = || {
        bounds.is_enough.load(Ordering::Acquire)
            || bounds.brings.is_some_and(|wanted| route.brought() - before >= wanted)
    };
    while began.elapsed() < bounds.time && !is_enough() {
        tokio::time::sleep(BROUGHT_LOOK).await;
    }
}
