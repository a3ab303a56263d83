//! Runs per second and core: match, run, one publish.

use crate::{
    clock, native,
    programs::{self, PROGRAMS, Program},
};
use lotmq_host::{
    Engine, Executor, ExecutorOptions, FinishedRun, Grants, GuestId, GuestLimits, Inline, InlineRuns,
    RunContext, RunOutcome, RunOutput, RunnerSpec, Sink, Trap,
};
use lotmq_router::filter_matches;
use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

const ROUNDS: usize = 9;

pub(crate) fn figures(wanted: &[String]) {
    let engine = programs::engine(None);
    println!("CPU time of match, run and publish, median of {ROUNDS} rounds (per second and core)");
    for program in programs_of(wanted) {
        let native = native_runs(program);
        let instance = instance_runs(&engine, program);
        let (inline, given_up) = inline_runs(&engine, program);
        let executor = executor_runs(&engine, program);
        println!(
            "{:17} native {native:>6.0?}; instance {}; inline {}, {given_up} given up; executor {}",
            program.name,
            rate(instance),
            rate(inline),
            rate(executor)
        );
    }
}

/// The programs that are named, or all.
fn programs_of(wanted: &[String]) -> Vec<&'static Program> {
    let named = |program: &&Program| wanted.iter().any(|want| want == program.name);
    let some: Vec<_> = PROGRAMS.iter().filter(named).collect();
    if some.is_empty() { PROGRAMS.iter().collect() } else { some }
}

fn rate(time: Duration) -> String {
    format!("{:>4} ns ({:.2} M/s)", time.as_nanos(), clock::per_second(1, time) / 1e6)
}

/// The same by hand in Rust, to compare with.
fn native_runs(program: &Program) -> Duration {
    const RUNS: u32 = 400_000;
    let action = native::action(program.name);
    let mut output = Vec::new();
    let times = clock::rounds(ROUNDS, clock::thread, || {
        for _ in 0..RUNS {
            output.clear();
            action(black_box(program.topic), black_box(program.payload), &mut output);
            black_box(&output);
        }
    });
    clock::median(&times) / RUNS
}

fn instance_runs(engine: &Engine, program: &Program) -> Duration {
    const RUNS: u32 = 200_000;
    let guest = programs::load(engine, &programs::compile(program.source).0);
    let grants = Arc::new(Grants::action());
    let mut instance = guest.instance(Arc::new(programs::Nobody), grants, GuestLimits::default()).unwrap();
    let mut output = RunOutput::new();
    let filter = program.filter();
    let times = clock::rounds(ROUNDS, clock::thread, || {
        for _ in 0..RUNS {
            assert!(filter_matches(&filter, program.topic));
            let outcome = instance.run(&program.event(), RunContext::new(GuestId(1)), &mut output);
            assert!(matches!(outcome, RunOutcome::Done(_)), "{outcome:?}");
            assert_eq!(output.writes(), program.publishes);
        }
    });
    clock::median(&times) / RUNS
}

fn inline_runs(engine: &Engine, program: &Program) -> (Duration, u32) {
    const RUNS: u32 = 200_000;
    /// Messages of a usual turn.
    const RUNS_PER_TURN: u32 = 32;
    let (component, facts) = programs::compile(program.source);
    let guest = programs::load(engine, &component);
    let executor = Executor::start(options(), |_| Box::new(Counter::default())).unwrap();
    let spec = RunnerSpec { is_pure: facts.is_pure(), ..programs::spec(1, guest) };
    let runner = executor.add(spec);
    let mut inline = InlineRuns::default();
    let mut output = RunOutput::new();
    let filter = program.filter();
    let mut given_up = 0;
    let times = clock::rounds(ROUNDS, clock::thread, || {
        for number in 0..RUNS {
            if number.is_multiple_of(RUNS_PER_TURN) {
                inline.end();
            }
            assert!(filter_matches(&filter, program.topic));
            match inline.run(&runner, &program.event(), 0, &mut output) {
                Inline::Finished(RunOutcome::Done(_)) => {
                    assert_eq!(output.writes(), program.publishes);
                }
                Inline::Finished(outcome) => panic!("{outcome:?}"),
                Inline::Post => given_up += 1,
            }
        }
    });
    (clock::median(&times) / RUNS, given_up)
}

/// Of the whole process: posting and running.
fn executor_runs(engine: &Engine, program: &Program) -> Duration {
    const RUNS: u32 = 200_000;
    const WAITING_MAX: u64 = 4_000;
    let guest = programs::load(engine, &programs::compile(program.source).0);
    let counter = Counter::default();
    let of_sink = counter.clone();
    let executor = Executor::start(options(), move |_| Box::new(of_sink.clone())).unwrap();
    let runner = executor.add(programs::spec(1, guest));
    let filter = program.filter();
    let mut posted = 0;
    let times = clock::rounds(ROUNDS, clock::process, || {
        for _ in 0..RUNS {
            assert!(filter_matches(&filter, program.topic));
            // Like the server, which makes the event anew for each message.
            runner.post(program.posted(), 0, 0).unwrap();
            posted += 1;
            while posted - counter.runs.load(Ordering::Relaxed) > WAITING_MAX {
                thread::sleep(Duration::from_micros(200));
            }
        }
        while counter.runs.load(Ordering::Relaxed) < posted {
            thread::sleep(Duration::from_micros(200));
        }
    });
    assert_eq!(counter.writes.load(Ordering::Relaxed), posted * u64::from(program.publishes));
    clock::median(&times) / RUNS
}

fn options() -> ExecutorOptions {
    ExecutorOptions { threads: 1, ..ExecutorOptions::default() }
}

/// Counts runs and what they write; reports are not among it.
#[derive(Clone, Default)]
pub(crate) struct Counter {
    pub(crate) runs: Arc<AtomicU64>,
    writes: Arc<AtomicU64>,
}

impl Sink for Counter {
    fn run_finished(&mut self, run: FinishedRun<'_>, output: &RunOutput) {
        assert!(matches!(run.outcome, RunOutcome::Done(_)), "{:?}", run.outcome);
        self.writes.fetch_add(output.writes().into(), Ordering::Relaxed);
        self.runs.fetch_add(1, Ordering::Relaxed);
    }
    fn start_failed(&mut self, _: &Arc<lotmq_host::Runner>, trap: &Trap) {
        panic!("does not start: {trap}");
    }
    fn turn_finished(&mut self) {}
}
