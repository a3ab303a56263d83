//! Runs on the thread that has the event: beside one another where that makes no difference, one
//! after the other elsewhere.

use crate::support::{Broker, PUBLISH_PAYLOAD, Text, executor, message, owned, published, spec};
use lotmq_host::{
    Guest, GuestLimits, Inline, InlineRuns, RunOutcome, RunOutput, Runner, RunnerSpec, RunnerStarts,
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

const ASK: &str = "(call $env (i32.const 80) (i32.const 6) (i32.const 32))";
const CALL: &str =
    "(call $call_action (i32.const 80) (i32.const 6) (i32.const 0) (i32.const 0) (i32.const 32))";
const LONG: Duration = Duration::from_secs(30);

/// Asks for an environment value, then publishes, or traps when the payload has three bytes.
fn asking() -> Guest {
    let on_message = format!(
        "{ASK} (if (i32.eq (local.get $payload_len) (i32.const 3)) (then unreachable)) {PUBLISH_PAYLOAD}"
    );
    Text { on_message: &on_message, ..Text::default() }.guest()
}

fn run(runner: &Arc<Runner>) -> (Inline, usize) {
    run_with(runner, b"x")
}

fn run_with(runner: &Arc<Runner>, payload: &[u8]) -> (Inline, usize) {
    let mut output = RunOutput::new();
    let inline = InlineRuns::default().run(runner, &message("in", payload), 0, &mut output);
    (inline, published(&output).len())
}

fn done() -> Inline {
    Inline::Finished(RunOutcome::Done(Vec::new()))
}

/// Runs a definition on a thread of its own, and once more while it waits there for the answer to a
/// question. So many runs wait for one.
fn run_during_runs(waiting: usize, is_pure: bool, during: impl FnOnce(&Arc<Runner>)) -> (Inline, usize) {
    let (executor, _seen) = executor(1);
    let (asked, is_asked) = mpsc::channel();
    let (answer, answers) = mpsc::channel::<()>();
    let (questions, answers) = (AtomicUsize::new(0), parking_lot::Mutex::new(answers));
    let ask = move || {
        // That of the test's thread, the last one, is answered at once.
        if questions.fetch_add(1, Ordering::SeqCst) < waiting {
            // Of the first one it is waited for.
            let _ = asked.send(());
            answers.lock().recv_timeout(LONG).unwrap();
        }
    };
    let services = Arc::new(Broker { asked: Some(Box::new(ask)), ..Broker::default() });
    let runner = executor.add(RunnerSpec { services, is_pure, ..spec(1, asking()) });
    thread::scope(|scope| {
        let first = scope.spawn(|| run(&runner));
        is_asked.recv_timeout(LONG).unwrap();
        during(&runner);
        let second = run(&runner);
        (0..waiting).for_each(|_| answer.send(()).unwrap());
        assert_eq!(first.join().unwrap(), (done(), 1));
        second
    })
}

#[test]
fn runs_of_pure_definitions_overlap() {
    assert_eq!(run_during_runs(1, true, |_| {}), (done(), 1));
}

#[test]
fn other_runs_do_not_overlap() {
    assert_eq!(run_during_runs(1, false, |_| {}), (Inline::Post, 0));
}

#[test]
fn nothing_overtakes_what_was_posted() {
    // It waits in the mailbox, or runs and waits for its answer.
    let second = run_during_runs(2, true, |runner| {
        runner.post(owned("in", b"y"), 0, 0).unwrap();
    });
    assert_eq!(second, (Inline::Post, 0));
}

#[test]
fn other_code_that_is_not_pure_has_the_definition_for_itself() {
    let (executor, _seen) = executor(1);
    let (asked, is_asked) = mpsc::channel();
    let (answer, answers) = mpsc::channel::<()>();
    let answers = parking_lot::Mutex::new(answers);
    let ask = move || {
        asked.send(()).unwrap();
        answers.lock().recv_timeout(LONG).unwrap();
    };
    let runner = executor.add(RunnerSpec { is_pure: true, ..spec(1, asking()) });
    let mut runs = InlineRuns::default();
    let mut output = RunOutput::new();
    assert_eq!(runs.run(&runner, &message("in", b"x"), 0, &mut output), done());
    let services = Arc::new(Broker { asked: Some(Box::new(ask)), ..Broker::default() });
    runner.replace(asking(), services, Arc::new(lotmq_host::Grants::action()), GuestLimits::default(), false);
    thread::scope(|scope| {
        // This thread drops its instance of the old code.
        let first = scope.spawn(|| runs.run(&runner, &message("in", b"x"), 0, &mut output));
        is_asked.recv_timeout(LONG).unwrap();
        assert_eq!(run(&runner), (Inline::Post, 0));
        answer.send(()).unwrap();
        assert_eq!(first.join().unwrap(), done());
    });
}

#[test]
fn a_thread_has_a_definition_until_its_runs_have_ended() {
    let (executor, seen) = executor(1);
    let runner = executor.add(RunnerSpec { is_pure: false, ..spec(1, asking()) });
    let mut runs = InlineRuns::default();
    let mut output = RunOutput::new();
    for _ in 0..2 {
        assert_eq!(runs.run(&runner, &message("in", b"x"), 0, &mut output), done());
    }
    // The effects of those runs may not be in force yet.
    assert_eq!(run(&runner), (Inline::Post, 0));
    runner.post(owned("in", b"x"), 0, 7).unwrap();
    assert!(seen.recv_timeout(Duration::from_millis(50)).is_err());
    runs.end();
    assert_eq!(seen.recv_timeout(LONG).unwrap().tag, 7);
}

#[test]
fn events_posted_in_one_batch_start_when_the_batch_is_dropped() {
    let (executor, seen) = executor(1);
    let runner = executor.add(spec(1, asking()));
    let mut starts = RunnerStarts::default();
    for _ in 0..2 {
        runner.post_one_of(owned("in", b"x"), 0, &mut starts).unwrap();
    }
    assert!(seen.recv_timeout(Duration::from_millis(50)).is_err());
    drop(starts);
    for _ in 0..2 {
        seen.recv_timeout(LONG).unwrap();
    }
}

#[test]
fn trap_during_another_run_ends_only_its_run_and_pauses_the_runner() {
    let second = run_during_runs(1, true, |runner| {
        let trapped = run_with(runner, b"bad");
        assert!(matches!(trapped, (Inline::Finished(RunOutcome::Trapped(_)), 0)), "{trapped:?}");
    });
    assert_eq!(second, (Inline::Post, 0));
}

#[test]
fn a_panic_of_the_host_pauses_a_definition_and_does_not_end_it() {
    let (executor, seen) = executor(1);
    let times = AtomicUsize::new(0);
    let ask = move || assert!(times.fetch_add(1, Ordering::SeqCst) > 0, "the first question");
    let services = Arc::new(Broker { asked: Some(Box::new(ask)), ..Broker::default() });
    let runner = executor.add(RunnerSpec { services, ..spec(1, asking()) });
    catch_unwind(AssertUnwindSafe(|| run(&runner))).unwrap_err();
    runner.post(owned("in", b"x"), 0, 7).unwrap();
    assert_eq!(seen.recv_timeout(LONG).unwrap().tag, 7);
}

#[test]
fn a_callee_that_is_replaced_during_a_call_does_not_come_back() {
    let (executor, seen) = executor(1);
    let publish = PUBLISH_PAYLOAD.replace("$payload_len", "$inputs_len").replace("$payload", "$inputs");
    let ask_and_publish = format!("{ASK} {publish}");
    let old = Text { call: &ask_and_publish, ..Text::default() }.guest();
    let new = Text::default().guest();
    let callee: Arc<parking_lot::Mutex<Option<Arc<Runner>>>> = Arc::default();
    let replaced = Arc::clone(&callee);
    let ask = move || {
        let runner = replaced.lock().clone().unwrap();
        let services = Arc::new(Broker::default());
        runner.replace(
            new.clone(),
            services,
            Arc::new(lotmq_host::Grants::action()),
            GuestLimits::default(),
            false,
        );
    };
    let services = Arc::new(Broker { asked: Some(Box::new(ask)), ..Broker::default() });
    let runner = executor.add(RunnerSpec { services: services.clone(), ..spec(2, old) });
    *callee.lock() = Some(Arc::clone(&runner));
    services.callees.lock().insert("callee".into(), runner);
    let guest = Text { on_message: CALL, ..Text::default() }.guest();
    let caller = executor.add(RunnerSpec { services: services.clone(), ..spec(1, guest) });
    let writes: Vec<usize> = (0..2)
        .map(|_| {
            caller.post(owned("in", b"x"), 0, 0).unwrap();
            seen.recv_timeout(LONG).unwrap().published.len()
        })
        .collect();
    assert_eq!(writes, [1, 0], "the second call is of the new code");
    services.callees.lock().clear();
    *callee.lock() = None;
}

#[test]
fn a_run_is_given_up_for_its_slice_and_without_one_for_its_time_only() {
    let endless = Text { on_message: "(loop $again (br $again))", ..Text::default() }.guest();
    let (executor, _seen) = executor(1);
    let limits = GuestLimits { time: Duration::from_millis(100), ..GuestLimits::default() };
    for (slice, is_given_up) in [(limits.slice, true), (Duration::MAX, false)] {
        let limits = GuestLimits { slice, ..limits };
        let runner = executor.add(RunnerSpec { limits, ..spec(1, endless.clone()) });
        let (inline, _) = run(&runner);
        assert_eq!(inline == Inline::Post, is_given_up, "{slice:?}: {inline:?}");
    }
}
