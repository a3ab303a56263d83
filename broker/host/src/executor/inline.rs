//! Runs of a definition on the thread that has the event, in short slices.
//!
//! A run needs the definition for itself, unless it is [pure](super::RunnerSpec::is_pure). A pure
//! definition has an instance for each thread that has events for it. These threads neither wait
//! for one another nor write to the same memory. Any other run keeps the definition until these
//! runs [end](InlineRuns::end). By then its effects are in force and with their receivers, so the
//! next run reads them, on whatever thread.
//!
//! If many messages wait for a pure definition, one call of its guest runs all of them. Most of the
//! cost of a small run is the call itself.
//!
//! Invariant: an inline run begins only when nothing waits or runs that this thread has posted. So
//! events of one thread keep their order.

use super::{
    Runner,
    mailbox::Activity,
    poison::Poison,
    runner::{RUNS_PER_MEASURED, Tally},
    spare::Taken,
};
use crate::{
    ActionInstance, Event, MessageBatch, RunContext, RunOutcome, RunOutput,
    batch::Written,
    limits::{HOPS_MAX, INLINE_HELD_MAX, INLINE_SLICE},
};
use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// How an inline run went.
#[derive(Debug, Clone, PartialEq)]
pub enum Inline {
    /// It ran to an end; the effects are in the output.
    Finished(RunOutcome),
    /// It did not run, or was given up without a trace: post the event instead. The definition is
    /// busy, has mail, pauses or is closed, or the run took longer than its slice.
    Post,
}

/// Runs definitions inline for one thread, and holds instances of pure ones meanwhile, and the
/// others themselves.
#[derive(Default)]
pub struct InlineRuns {
    held: Vec<Held>,
    alone: Vec<Alone>,
}

/// A definition that a thread has for itself.
struct Alone {
    runner: Arc<Runner>,
    instance: Option<Box<ActionInstance>>,
    version: u64,
}

/// An instance of a pure definition that a thread holds.
struct Held {
    taken: Taken<Arc<Runner>>,
    tally: Tally,
}

impl InlineRuns {
    /// Runs the event here and now, in a slice of [`INLINE_SLICE`](crate::limits::INLINE_SLICE),
    /// when nothing is ahead of it. The server decides for which definitions it asks for this:
    /// bounded ones with a mean run time far below the slice. The thread should have
    /// [registered its stack](crate::register_stack), [ends](Self::end) these runs soon: when their
    /// effects are with their receivers, and before it posts anything.
    pub fn run(
        &mut self,
        runner: &Arc<Runner>,
        event: &Event<'_>,
        hops: u8,
        output: &mut RunOutput,
    ) -> Inline {
        if hops > HOPS_MAX {
            return Inline::Post;
        }
        if let Some(refusal) = runner.refuses(event) {
            output.clear();
            return Inline::Finished(RunOutcome::Failed(refusal));
        }
        match self.held(runner) {
            Some(held) => held.run(event, hops, output),
            None => self.run_alone(runner, event, hops, output),
        }
    }

    /// One run that has the definition for itself.
    fn run_alone(
        &mut self,
        runner: &Arc<Runner>,
        event: &Event<'_>,
        hops: u8,
        output: &mut RunOutput,
    ) -> Inline {
        let found = self.alone.iter().position(|alone| Arc::ptr_eq(&alone.runner, runner));
        let at = match found {
            Some(at) if self.alone[at].is_good() => at,
            Some(at) => {
                self.alone.remove(at);
                return Inline::Post;
            }
            None => {
                if self.alone.len() >= INLINE_HELD_MAX {
                    self.alone.remove(0);
                }
                let Some(alone) = Alone::begin(runner) else { return Inline::Post };
                self.alone.push(alone);
                self.alone.len() - 1
            }
        };
        let inline = self.alone[at].run(event, hops, output);
        if self.alone[at].instance.is_none() {
            self.alone.remove(at);
        }
        inline
    }

    /// An instance for this thread alone, where the definition is pure and not busy otherwise.
    fn held(&mut self, runner: &Arc<Runner>) -> Option<&mut Held> {
        let found = self.held.iter().position(|held| Arc::ptr_eq(&held.taken.runner, runner));
        if let Some(at) = found {
            if self.held[at].taken.is_good() {
                return self.held.get_mut(at);
            }
            self.held.remove(at);
        }
        if !runner.may_be_held() {
            return None;
        }
        if self.held.len() >= INLINE_HELD_MAX {
            self.held.remove(0);
        }
        let taken = Taken::new(Arc::clone(runner)).ok()?;
        self.held.push(Held { taken, tally: Tally::default() });
        self.held.last_mut()
    }

    /// How many of so many messages that wait for a definition [`run_batch`](Self::run_batch) would
    /// take now; below 2 where it takes none.
    pub fn batch_max(&mut self, runner: &Arc<Runner>, waiting: usize) -> usize {
        match self.held(runner) {
            Some(held) if held.takes_batches() => runner.batch_max(waiting),
            Some(_) | None => 1,
        }
    }

    /// Runs a pure definition for the messages of a batch, all with so many hops. Its runs are
    /// given one by one; those that are not done have had no effect. `None` when none is done.
    pub fn run_batch(&mut self, runner: &Arc<Runner>, batch: &MessageBatch, hops: u8) -> Option<BatchRuns> {
        if hops > HOPS_MAX {
            return None;
        }
        self.held(runner)?.run_batch(batch, hops)
    }

    /// Releases all held definitions.
    pub fn end(&mut self) {
        self.held.clear();
        self.alone.clear();
    }
}

impl Alone {
    /// Has a definition that does nothing, and waits for nothing.
    fn begin(runner: &Arc<Runner>) -> Option<Alone> {
        let (instance, version) = runner.begin_alone()?;
        let mut alone = Alone { runner: Arc::clone(runner), instance, version };
        if alone.instance.is_none() {
            alone.instance = runner.instance().ok();
        }
        alone.is_good().then_some(alone)
    }

    /// Whether there is an instance, and of the code in force.
    fn is_good(&self) -> bool {
        self.instance.is_some() && self.runner.may_run(self.version)
    }

    /// One run. There is no instance behind it when the definition was let go of.
    fn run(&mut self, event: &Event<'_>, hops: u8, output: &mut RunOutput) -> Inline {
        let runner = &self.runner;
        let Some(mut instance) = self.instance.take() else { return Inline::Post };
        let unwinding = EndsUnwinding(runner);
        let measured = runner.is_measured(0).then(Instant::now);
        let outcome = instance.run_sliced(event, context(runner, hops), output);
        runner.account(&outcome, measured, &instance);
        drop(unwinding);
        match outcome {
            RunOutcome::SliceExpired => return Inline::Post,
            RunOutcome::Trapped(_) => runner.end_trapped(Poison::of(event), INLINE_SLICE),
            RunOutcome::Done(_) | RunOutcome::Failed(_) => self.instance = Some(instance),
        }
        Inline::Finished(outcome)
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        // A panic in its effects counts like one of a worker.
        let _unwinding = EndsUnwinding(&self.runner);
        if !thread::panicking() {
            self.runner.end_turn(self.instance.take(), self.version);
        }
    }
}

/// Ends an inline run that a panic of the broker's own code has interrupted, as one of a worker is
/// ended.
struct EndsUnwinding<'a>(&'a Runner);

impl Drop for EndsUnwinding<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.end_trapped(None, Duration::ZERO);
        }
    }
}

impl Held {
    fn run(&mut self, event: &Event<'_>, hops: u8, output: &mut RunOutput) -> Inline {
        let runner = &self.taken.runner;
        let Some(mut instance) = self.taken.instance.take() else { return Inline::Post };
        let is_measured = runner.is_traced() || self.tally.runs.is_multiple_of(RUNS_PER_MEASURED);
        let began = is_measured.then(Instant::now);
        let outcome = instance.run_sliced(event, context(runner, hops), output);
        self.tally.count(&outcome, began, Some(&instance));
        match outcome {
            RunOutcome::SliceExpired => Inline::Post,
            RunOutcome::Trapped(_) => {
                // Other runs go on, and the next trap decides.
                runner.add_runs(&std::mem::take(&mut self.tally));
                runner.trapped_while(Activity::Idle, Poison::of(event), INLINE_SLICE);
                Inline::Finished(outcome)
            }
            RunOutcome::Done(_) | RunOutcome::Failed(_) => {
                self.taken.instance = Some(instance);
                Inline::Finished(outcome)
            }
        }
    }
}

impl Held {
    fn takes_batches(&self) -> bool {
        self.taken.instance.as_ref().is_some_and(|instance| instance.takes_batches())
    }

    fn run_batch(&mut self, batch: &MessageBatch, hops: u8) -> Option<BatchRuns> {
        let runner = &self.taken.runner;
        let mut instance = self.taken.instance.take()?;
        let began = Instant::now();
        let written = instance.run_batch(batch, context(runner, hops));
        let elapsed = began.elapsed();
        if written.as_ref().is_none_or(|written| (written.done() as usize) < batch.len()) {
            runner.pause_batches();
        }
        let written = written?;
        self.taken.instance = Some(instance);
        self.tally.measure(u64::from(written.done()), elapsed);
        Some(BatchRuns { runner: Arc::clone(runner), written, tally: Tally::default() })
    }
}

/// The runs of a batch, in the order of its messages.
pub struct BatchRuns {
    runner: Arc<Runner>,
    written: Written,
    tally: Tally,
}

impl BatchRuns {
    /// Returns the outcome of the run of the next message, and puts its effects into `output`.
    /// `None` when the message has to run by itself.
    pub fn next_run(&mut self, output: &mut RunOutput) -> Option<RunOutcome> {
        let outcome = self.written.next_run(output);
        match &outcome {
            Some(outcome) => {
                self.tally.count(outcome, None, None);
            }
            None => self.runner.pause_batches(),
        }
        outcome
    }
}

impl std::fmt::Debug for BatchRuns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BatchRuns").field("runner", &self.runner).finish_non_exhaustive()
    }
}

impl Drop for BatchRuns {
    fn drop(&mut self) {
        self.runner.add_runs(&self.tally);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.taken.runner.add_runs(&self.tally);
    }
}

fn context(runner: &Runner, hops: u8) -> RunContext {
    RunContext { hops, ..RunContext::new(runner.id()) }
}

impl Runner {
    /// Whether threads may hold instances of it: nothing that one of them has posted waits or runs.
    fn may_be_held(&self) -> bool {
        let mailbox = self.mailbox.lock();
        mailbox.is_pure && mailbox.activity == Activity::Idle
    }

    fn begin_alone(&self) -> Option<(Option<Box<ActionInstance>>, u64)> {
        let mut mailbox = self.mailbox.lock();
        (mailbox.activity == Activity::Idle).then(|| Self::begin(&mut mailbox))
    }
}
