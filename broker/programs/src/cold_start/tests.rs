//! The order of the work of a start, and its budget.

use std::sync::Arc;

use super::*;

/// Job of an owner that notes in which order it was taken.
struct Job {
    owner: u64,
    order: CompileOrder,
    attempts: FailedAttempts,
}

impl DeferredCompile for Job {
    fn owner(&self) -> OwnerKey {
        OwnerKey { tenant: 1, quota_key: self.owner }
    }

    fn order(&self) -> CompileOrder {
        self.order
    }

    fn attempts(&self) -> &FailedAttempts {
        &self.attempts
    }

    fn is_wanted(&self) -> bool {
        true
    }

    fn name(&self) -> String {
        format!("{:?} of {}", self.order, self.owner)
    }

    fn pass(&self) -> Pass {
        Pass::Only
    }

    fn compile(&mut self) {}

    fn failure(&self) -> Option<&str> {
        None
    }

    fn put_in(self: Box<Self>) -> NextStep {
        NextStep::Done
    }
}

fn job(owner: u64, order: CompileOrder, failures: u32) -> Box<dyn DeferredCompile> {
    Box::new(Job { owner, order, attempts: FailedAttempts { failures, reason: "signal 9".to_owned() } })
}

#[test]
fn owners_take_turns_among_jobs_of_one_order() {
    let cold_start = ColdStart::default();
    for (owner, order) in [
        (1, CompileOrder::Large),
        (1, CompileOrder::Large),
        (1, CompileOrder::Large),
        (2, CompileOrder::Large),
        (1, CompileOrder::Running),
        (3, CompileOrder::Small),
    ] {
        cold_start.push(job(owner, order, 0));
    }
    let taken: Vec<String> = std::iter::from_fn(|| cold_start.next()).map(|job| job.name()).collect();
    let expected = ["Small of 3", "Large of 1", "Large of 2", "Large of 1", "Large of 1", "Running of 1"];
    assert_eq!(taken, expected);
    assert!(!cold_start.is_over(), "all of them are under way");
    taken.iter().for_each(|_| cold_start.ended());
    assert!(cold_start.is_over());
}

#[test]
fn compile_retry_is_listed_waits_and_ends_with_the_broker() {
    let cold_start = Arc::new(ColdStart::default());
    cold_start.push_later(job(1, CompileOrder::Large, 7));
    let attempts = FailedAttempts { failures: 7, reason: "signal 9".to_owned() };
    assert_eq!(cold_start.retries(8), [("Large of 1".to_owned(), attempts)]);
    assert!(!cold_start.is_over());
    let waiting = std::thread::spawn({
        let cold_start = Arc::clone(&cold_start);
        move || cold_start.next().is_none()
    });
    let mut state = cold_start.state.lock();
    assert!(state.wake_retries(Instant::now()).is_some());
    assert!(state.take().is_none(), "it is not due");
    assert_eq!(state.wake_retries(Instant::now() + COLD_START_RETRY_MAX), None);
    assert!(state.take().is_some());
    state.retries.push(Retry {
        at: Instant::now() + COLD_START_RETRY_MAX,
        order: CompileOrder::Large,
        job: job(1, CompileOrder::Large, 1),
    });
    drop(state);
    cold_start.stop();
    assert!(waiting.join().unwrap());
}

#[test]
fn pauses_between_attempts_double_up_to_a_bound() {
    let seconds = [1, 2, 3, 9, 10, 11, 40, u32::MAX].map(|failures| retry_pause(failures).as_secs());
    assert_eq!(seconds, [1, 2, 4, 256, 512, 600, 600, 600]);
}

#[test]
fn the_budget_is_for_programs_without_cached_code_and_small_ones_fit_behind_large_ones() {
    let cold_start = ColdStart::default();
    let engine = Engine::new(&lotmq_host::EngineOptions::default()).unwrap();
    let defers = |bytes: usize| cold_start.defers(&engine, &vec![0; bytes]);
    assert!(!defers(COLD_START_BYTES - 10));
    assert!(defers(11), "it does not fit");
    assert!(!defers(10), "this one does");
    assert!(defers(1));
}

#[test]
fn deciding_programs_come_first_and_large_ones_last() {
    let mut places = [
        CompileOrder::Running,
        CompileOrder::of(false, WORKER_PROGRAM_BYTES),
        CompileOrder::of(false, 1),
        CompileOrder::of(true, 1 << 20),
    ];
    places.sort();
    assert_eq!(
        places,
        [CompileOrder::Deciding, CompileOrder::Small, CompileOrder::Large, CompileOrder::Running]
    );
}
