//! One thread of the executor: takes definitions and errands from the run queue and gives them
//! bounded turns.

use super::{
    Errand, FinishedRun, Runner, Shared, Sink, ThreadArguments, mailbox::Job, owner::runs_for,
    poison::Poison, queue::Next, runner::Tally, spare_thread,
};
use crate::{
    ActionInstance, RunContext, RunOutcome, RunOutput, TrapKind,
    limits::{EXECUTOR_STACK_BYTES, RUNS_PER_TURN_MAX, WRITES_PER_LOOK},
    stack::register_stack,
};
use std::{
    cell::RefCell,
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

/// Sink for the results of a thread; host functions that wait know it too.
pub(super) type SharedSink = Rc<RefCell<Box<dyn Sink>>>;

/// Works until the executor is dropped.
pub(super) fn work(shared: &Arc<Shared>, arguments: ThreadArguments) {
    run(shared, arguments, || true);
}

/// Works until the executor is dropped, or until `stays`, which is asked before each turn and may
/// wait, says no.
pub(super) fn run(
    shared: &Arc<Shared>,
    ThreadArguments { sink, pulse }: ThreadArguments,
    stays: impl Fn() -> bool,
) {
    register_stack(EXECUTOR_STACK_BYTES);
    pulse.install();
    let sink = Rc::new(RefCell::new(sink));
    spare_thread::register(shared, &sink);
    let mut output = RunOutput::new();
    let mut next_sweep = Instant::now() + shared.sweep_period();
    while stays() {
        let beat = pulse.waits_one_beat(Instant::now());
        let until = if shared.has_warm() { next_sweep.min(beat) } else { beat };
        match shared.queue.next(until) {
            Next::Closed => return,
            Next::Run(runner) => {
                pulse.begins(Instant::now());
                runs_for(runner.owner());
                contained_turn(&runner, &sink, &mut output);
                shared.queue.turn_ended();
            }
            Next::Errand(errand) => {
                pulse.begins(Instant::now());
                runs_for(errand.owner());
                if contained_errand(&*errand, &sink) {
                    shared.queue.push_errand(errand);
                }
                shared.queue.turn_ended();
            }
            Next::Nothing => {}
        }
        if Instant::now() >= next_sweep {
            shared.sweep(false);
            next_sweep = Instant::now() + shared.sweep_period();
        }
    }
}

/// A panic of the broker's own code within a turn costs that turn, not the thread.
fn contained_turn(runner: &Arc<Runner>, sink: &SharedSink, output: &mut RunOutput) {
    if catch_unwind(AssertUnwindSafe(|| turn(runner, sink, output))).is_err() {
        tracing::error!(runner = runner.name(), "a host function or sink panicked");
        runner.end_trapped(None, Duration::ZERO);
    }
}

/// Does some of an errand. Whether something is left, as far as is known: of what panicked, the
/// rest.
fn contained_errand(errand: &dyn Errand, sink: &SharedSink) -> bool {
    let carried_out = catch_unwind(AssertUnwindSafe(|| sink.borrow_mut().carry_out(errand)));
    carried_out.unwrap_or_else(|_| {
        tracing::error!("an errand panicked");
        true
    })
}

fn turn(runner: &Arc<Runner>, sink: &SharedSink, output: &mut RunOutput) {
    let Some((instance, version)) = runner.begin_turn() else { return };
    let mut instance = match instance.map_or_else(|| runner.instance(), Ok) {
        Ok(instance) => instance,
        Err(trap) if trap.kind == TrapKind::Pool => return runner.end_without_instance(),
        Err(trap) => {
            sink.borrow_mut().start_failed(runner, &trap);
            sink.borrow_mut().turn_finished();
            return runner.end_trapped(None, Duration::ZERO);
        }
    };
    let trapped = run_jobs(runner, version, &mut instance, sink, output);
    sink.borrow_mut().turn_finished();
    match trapped {
        Ok(()) => runner.end_turn(Some(instance), version),
        Err(Trapped { poison, took }) => {
            drop(instance);
            runner.end_trapped(poison, took);
        }
    }
}

/// A turn ended with a trap; its instance is of no use any more.
struct Trapped {
    /// The message of the run.
    poison: Option<Poison>,
    /// How long the run took at most.
    took: Duration,
}

/// Runs events until there are none, the turn is long enough, or one traps.
fn run_jobs(
    runner: &Arc<Runner>,
    version: u64,
    instance: &mut ActionInstance,
    sink: &SharedSink,
    output: &mut RunOutput,
) -> Result<(), Trapped> {
    let began = Instant::now();
    let mut taken = Taken { runner, version, jobs: VecDeque::new(), tally: Tally::default() };
    for number in 1..=RUNS_PER_TURN_MAX {
        let Some(job) = taken.next() else { break };
        if !run_job(runner, &job, instance, sink, output, &mut taken.tally) {
            return Err(Trapped { poison: Poison::of(&job.event.as_event()), took: began.elapsed() });
        }
        // Carrying out many writes takes time as well.
        let may_be_long = instance.was_long() || output.writes() > WRITES_PER_LOOK;
        if (number.is_multiple_of(8) || may_be_long) && began.elapsed() > runner.turn_time_max() {
            break;
        }
    }
    Ok(())
}

/// Runs one event. Whether the instance is still good.
fn run_job(
    runner: &Arc<Runner>,
    job: &Job,
    instance: &mut ActionInstance,
    sink: &SharedSink,
    output: &mut RunOutput,
    tally: &mut Tally,
) -> bool {
    let event = job.event.as_event();
    let (outcome, timing) = match runner.refuses(&event) {
        Some(refusal) => {
            output.clear();
            (RunOutcome::Failed(refusal), None)
        }
        None => {
            let began = runner.is_measured(tally.runs).then(Instant::now);
            let run = RunContext { hops: job.hops, ..RunContext::new(runner.id()) };
            let outcome = instance.run(&event, run, output);
            let timing = tally.count(&outcome, began, Some(instance));
            (outcome, timing)
        }
    };
    let outcome = &outcome;
    let finished = FinishedRun { runner, event: &job.event, hops: job.hops, tag: job.tag, outcome, timing };
    sink.borrow_mut().run_finished(finished, output);
    !matches!(outcome, RunOutcome::Trapped(_))
}

/// Events that were taken out of the mailbox for this turn. Those that have not begun to run when
/// it ends go back, and those that have run are counted, also when it ends by a panic.
struct Taken<'a> {
    runner: &'a Runner,
    version: u64,
    jobs: VecDeque<Job>,
    tally: Tally,
}

impl Taken<'_> {
    /// The next event; `None` when there is none, or when other code was put in place.
    fn next(&mut self) -> Option<Job> {
        if self.jobs.is_empty() {
            self.runner.take_jobs(self.version, &mut self.jobs);
        }
        if self.runner.may_run(self.version) { self.jobs.pop_front() } else { None }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.runner.add_runs(&self.tally);
        if !self.jobs.is_empty() {
            self.runner.put_back(&mut self.jobs);
        }
    }
}
