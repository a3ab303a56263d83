//! Containment: a faulty guest costs the others nothing.

use crate::support::{
    Broker, PUBLISH_PAYLOAD, Seen, Text, engine, executor, executor_with, message, owned, published,
    run_once, spec, until_all_have_woken,
};
use lotmq_host::{
    Acting, CompilingSpec, Executor, ExecutorOptions, FinishedRun, Grants, GuestId, GuestLimits, Inline,
    InlineRuns, MESSAGE_PAUSED, MailboxOptions, PostError, Posted, RunOutcome, RunOutput, Runner, RunnerSpec,
    RunnerStarts, RunnerState, Sink, Trap, TrapKind,
    limits::{CALL_BYTES_MAX, CALL_DEPTH_MAX, EXECUTOR_SILENCE_MAX, HOPS_MAX, WRITES_PER_RUN_MAX},
};
use lotmq_pulse::Pulses;
use std::{
    sync::{
        Arc, Barrier,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    task::{Context, Poll, Wake, Waker},
    time::{Duration, Instant},
};

const LOOP: &str = "(loop $again (br $again))";
const RECURSE: &str = "(call $deeper (i64.const 1)) drop";
const DEEPER: &str = "(func $deeper (param i64) (result i64) (i64.add (call $deeper (i64.add (local.get 0) (i64.const 1))) (i64.const 1)))";
const ALLOCATE: &str = "(loop $again (drop (call $realloc (i32.const 0) (i32.const 0) (i32.const 8) (i32.const 1000000))) (br $again))";
const PANIC: &str = "unreachable";
const WILD_READ: &str = "(drop (i32.load (i32.const 0x7fff0000)))";
const DIVIDE: &str = "(drop (i32.div_s (i32.const 1) (local.get $i)))";

const GOOD: Text<'_> = Text { on_message: PUBLISH_PAYLOAD, more: "", on_event: "", call: "" };

/// A good neighbour runs on the same single thread before and after the bad guest.
fn bad_guest_beside_a_good_one(on_message: &str, limits: GuestLimits) -> Seen {
    let (executor, seen) = executor(1);
    let bad_text = Text { on_message, more: DEEPER, ..Text::default() };
    let bad = executor.add(RunnerSpec { limits, ..spec(1, bad_text.guest()) });
    let good = executor.add(spec(2, GOOD.guest()));
    for number in 0..10_u8 {
        good.post(owned("in", &[number]), 0, 0).unwrap();
        bad.post(owned("in", b"x"), 0, 0).unwrap();
    }
    let (good_runs, bad_run) = wait_for(&seen, 10);
    let expected: Vec<_> = (0..10_u8).map(|number| ("out".to_owned(), vec![number])).collect();
    assert_eq!(good_runs, expected, "the neighbour lost or reordered something");
    until_pausing(&bad);
    assert_eq!(bad.metrics().traps, 1);
    assert_eq!(bad.metrics().waiting, 9, "what waits must not be lost");
    bad_run
}

#[test]
fn the_time_of_a_run_that_was_stopped_is_counted_though_it_was_not_to_be_measured() {
    let (executor, seen) = executor(1);
    let on_message = "(if (local.get $payload_len) (then (loop $again (br $again))))";
    let limits = GuestLimits { time: Duration::from_millis(200), ..GuestLimits::default() };
    let text = Text { on_message, ..Text::default() };
    let runner = executor.add(RunnerSpec { limits, ..spec(1, text.guest()) });
    // The first is measured, the second is not.
    for payload in [&b""[..], b"x"] {
        runner.post(owned("in", payload), 0, 0).unwrap();
        drop(seen.recv().unwrap());
    }
    until_pausing(&runner);
    let metrics = runner.metrics();
    assert_eq!((metrics.runs, metrics.traps, metrics.run_times.count()), (2, 1, 1));
    assert!(metrics.time >= Duration::from_millis(150), "{:?}", metrics.time);
}

#[test]
fn a_run_that_goes_on_is_seen_in_the_figures() {
    let (executor, seen) = executor(1);
    let limits = GuestLimits { time: Duration::from_millis(500), ..GuestLimits::default() };
    let text = Text { on_message: LOOP, ..Text::default() };
    let runner = executor.add(RunnerSpec { limits, ..spec(1, text.guest()) });
    assert_eq!(runner.metrics().turn, Duration::ZERO);
    runner.post(owned("in", b"x"), 0, 0).unwrap();
    while runner.metrics().turn < Duration::from_millis(50) {
        assert_eq!(runner.metrics().runs, 0, "it was not seen while it ran");
        std::thread::yield_now();
    }
    drop(seen.recv().unwrap());
    until_pausing(&runner);
    assert_eq!(runner.metrics().turn, Duration::ZERO);
}

/// The sink hears of a trap a moment before the pause begins.
fn until_pausing(runner: &Runner) {
    while !matches!(runner.state(), RunnerState::Pausing(_)) {
        std::thread::yield_now();
    }
}

/// Waits until definition 2 has published so often and definition 1 has ended a run.
fn wait_for(seen: &Receiver<Seen>, publishes: usize) -> (Vec<(String, Vec<u8>)>, Seen) {
    let (mut good, mut bad) = (Vec::new(), None);
    while good.len() < publishes || bad.is_none() {
        let run = seen.recv_timeout(Duration::from_secs(30)).expect("the executor stands still");
        if run.definition.0 == 1 {
            bad.get_or_insert(run);
        } else {
            good.extend(run.published);
        }
    }
    (good, bad.unwrap())
}

#[test]
fn a_message_runs_the_guest_and_its_publish_comes_out() {
    let (outcome, output) = run_once(GOOD, &message("in", b"hello"));
    assert_eq!(outcome, RunOutcome::Done(Vec::new()));
    assert_eq!(published(&output), [("out".to_owned(), b"hello".to_vec())]);
}

#[test]
fn every_way_to_misbehave_is_a_trap_that_says_what_happened() {
    let limits = GuestLimits {
        time: Duration::from_millis(100),
        memory_bytes: 4 * 1024 * 1024,
        ..GuestLimits::default()
    };
    for (name, on_message, kind, text) in [
        ("loop", LOOP, TrapKind::Time, "the run took longer than 100 ms"),
        ("recursion", RECURSE, TrapKind::Stack, "the guest recursed too deep"),
        ("memory", ALLOCATE, TrapKind::Memory, "the guest needs more than its 4096 KiB of memory"),
        ("panic", PANIC, TrapKind::Unreachable, "the guest gave up (panic or abort)"),
        ("wild read", WILD_READ, TrapKind::OutOfBounds, "wasm trap: out of bounds memory access"),
        ("division", DIVIDE, TrapKind::Arithmetic, "wasm trap: integer divide by zero"),
    ] {
        let run = bad_guest_beside_a_good_one(on_message, limits);
        let RunOutcome::Trapped(trap) = run.outcome else { panic!("{name}: {:?}", run.outcome) };
        assert_eq!((trap.kind, trap.message.as_str()), (kind, text), "{name}");
    }
}

/// Calls an Action with so many inputs of 1 KiB each, all of whose names lie in the same place.
fn inputs_in_one_place(count: u32) -> String {
    format!(
        "(drop (memory.grow (i32.const 32)))
         (loop $again
            (i32.store (i32.add (i32.const 131072) (i32.mul (local.get $i) (i32.const 24))) (i32.const 65536))
            (i32.store (i32.add (i32.const 131076) (i32.mul (local.get $i) (i32.const 24))) (i32.const 1024))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $again (i32.lt_u (local.get $i) (i32.const {count}))))
         (call $call_action (i32.const 80) (i32.const 6) (i32.const 131072) (i32.const {count}) (i32.const 32))"
    )
}

#[test]
fn a_call_copies_no_more_out_of_a_guest_however_small_the_guest_is() {
    let outcome = |count| {
        let on_message = inputs_in_one_place(count);
        run_once(Text { on_message: &on_message, ..Text::default() }, &message("in", b"1")).0
    };
    assert_eq!(outcome(20_000), RunOutcome::Done(Vec::new()));
    const { assert!(40_000 * 1024 > CALL_BYTES_MAX) };
    let RunOutcome::Trapped(trap) = outcome(40_000) else { panic!("it was copied") };
    assert_eq!(trap.kind, TrapKind::HostCall);
    assert!(trap.message.contains("too much data"), "{trap:?}");
}

#[test]
fn output_of_a_run_before_its_trap_is_published() {
    let on_message = format!("{PUBLISH_PAYLOAD} unreachable");
    let (outcome, output) =
        run_once(Text { on_message: &on_message, ..Text::default() }, &message("in", b"1"));
    assert!(matches!(outcome, RunOutcome::Trapped(_)));
    assert_eq!(published(&output).len(), 1);
}

#[test]
fn a_publish_flood_ends_at_the_bound_and_the_run_goes_on() {
    let on_message = format!(
        "(loop $again {PUBLISH_PAYLOAD} (local.set $i (i32.add (local.get $i) (i32.const 1)))
         (br_if $again (i32.lt_u (local.get $i) (i32.const 20000))))"
    );
    let (outcome, output) =
        run_once(Text { on_message: &on_message, ..Text::default() }, &message("in", b"1"));
    assert_eq!(outcome, RunOutcome::Done(Vec::new()));
    assert_eq!(output.writes(), WRITES_PER_RUN_MAX);
    assert_eq!(output.writes_refused(), 20_000 - WRITES_PER_RUN_MAX);
}

#[test]
fn a_trap_storm_delays_only_itself() {
    let (executor, seen) = executor(1);
    let bad = executor.add(spec(1, Text { on_message: PANIC, ..Text::default() }.guest()));
    let good = executor.add(spec(2, GOOD.guest()));
    for _ in 0..1000 {
        bad.post(owned("in", b"x"), 0, 0).unwrap();
        good.post(owned("in", b"y"), 0, 0).unwrap();
    }
    let mut traps = 0;
    let mut publishes = 0;
    while publishes < 1000 || traps < 2 {
        let run = seen.recv_timeout(Duration::from_secs(30)).unwrap();
        traps += usize::from(run.definition.0 == 1);
        publishes += run.published.len();
    }
    assert!(bad.metrics().waiting > 900, "pauses keep the storm from running: {:?}", bad.metrics());
}

#[test]
fn a_definition_that_traps_on_everything_has_failed_and_comes_back_by_itself() {
    let (executor, seen) = executor(1);
    let bad = executor.add(spec(1, Text { on_message: PANIC, ..Text::default() }.guest()));
    for payload in [b"1", b"2", b"3", b"4", b"5", b"6"] {
        bad.post(owned("in", payload), 0, 0).unwrap();
    }
    for _ in 0..5 {
        seen.recv_timeout(Duration::from_secs(30)).unwrap();
    }
    while !matches!(bad.state(), RunnerState::Failed(_)) {
        std::thread::yield_now();
    }
    // The mailbox keeps its events and accepts new ones. The definition runs again after its pause.
    bad.post(owned("in", b"7"), 0, 7).unwrap();
    assert_eq!((bad.metrics().dropped, bad.metrics().waiting), (0, 2));
    while seen.recv_timeout(Duration::from_secs(30)).unwrap().tag != 7 {}
    assert!(matches!(bad.state(), RunnerState::Failed(_)));
    bad.enable();
    assert_eq!(bad.state(), RunnerState::Enabled);
}

#[test]
fn a_run_that_ends_is_the_end_of_a_failure() {
    let (executor, seen) = executor(1);
    let runner = executor.add(spec(1, Text { on_message: POISONED_BY_P, ..Text::default() }.guest()));
    for number in 0..5_u8 {
        runner.post(owned("in", &[b'p', number]), 0, 0).unwrap();
        seen.recv_timeout(Duration::from_secs(30)).unwrap();
    }
    while !matches!(runner.state(), RunnerState::Failed(_)) {
        std::thread::yield_now();
    }
    runner.post(owned("in", b"good"), 0, 9).unwrap();
    assert_eq!(seen.recv_timeout(Duration::from_secs(30)).unwrap().tag, 9);
    // Runs are counted when their turn ends.
    while runner.state() != RunnerState::Enabled {
        std::thread::yield_now();
    }
}

/// Traps on messages that begin with `p`, and publishes others.
const POISONED_BY_P: &str = r#"
    (if (i32.eq (i32.load8_u (local.get $payload)) (i32.const 112)) (then unreachable))
    (call $publish (i32.const 64) (i32.load (i32.const 60)) (local.get $payload) (local.get $payload_len)
        (i32.const 0) (i32.const 0) (i32.const 32))"#;

#[test]
fn a_message_that_traps_again_and_again_pauses_and_the_others_go_on() {
    let (executor, seen) = executor(1);
    let guest = Text { on_message: POISONED_BY_P, ..Text::default() }.guest();
    let runner = executor.add(spec(1, guest));
    let began = Instant::now();
    let (mut traps, mut refused) = (0, 0);
    for round in 0..200_u8 {
        runner.post(owned("in", &[round % 100]), 0, 0).unwrap();
        runner.post(owned("in", b"poison"), 0, 0).unwrap();
        for _ in 0..2 {
            let run = seen.recv_timeout(Duration::from_secs(30)).unwrap();
            match &run.outcome {
                RunOutcome::Done(_) => assert_eq!(run.published, [("out".to_owned(), vec![round % 100])]),
                RunOutcome::Trapped(_) => traps += 1,
                RunOutcome::Failed(error) => {
                    assert_eq!((error.code.as_str(), run.published.len()), (MESSAGE_PAUSED, 0));
                    refused += 1;
                }
                RunOutcome::SliceExpired => panic!("it is not inline"),
            }
        }
    }
    // At most one of each pause: 0, 100, 200, … ms.
    let pauses = (began.elapsed().as_millis() / 100 + 1).ilog2() + 2;
    assert!(traps <= pauses, "{traps} traps in {:?}", began.elapsed());
    assert_eq!(traps + refused, 200);
    assert_eq!(runner.metrics().dropped, u64::from(refused), "what is refused is counted");
    assert!(!matches!(runner.state(), RunnerState::Failed(_)), "one message does not fail it");
}

#[test]
fn different_messages_that_trap_hold_up_the_others_for_moments_only() {
    let (executor, seen) = executor(1);
    let guest = Text { on_message: POISONED_BY_P, ..Text::default() }.guest();
    let runner = executor.add(spec(1, guest));
    let began = Instant::now();
    for round in 0..100_u8 {
        runner.post(owned("in", &[round]), 0, 0).unwrap();
        runner.post(owned("in", &[b'p', round]), 0, 0).unwrap();
    }
    let mut published = 0;
    while published < 99 {
        published += seen.recv_timeout(Duration::from_secs(30)).unwrap().published.len();
    }
    // With pauses of the definition it would take hours.
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[test]
fn a_full_mailbox_refuses_and_counts() {
    let (executor, seen) = executor(1);
    let mailbox = MailboxOptions { messages_max: 3, ..MailboxOptions::default() };
    let guest = Text { on_message: PANIC, ..Text::default() }.guest();
    let slow = executor.add(RunnerSpec { mailbox, ..spec(1, guest) });
    slow.post(owned("in", b"x"), 0, 0).unwrap();
    seen.recv_timeout(Duration::from_secs(30)).unwrap();
    until_pausing(&slow);
    let posted: Vec<_> = (0..5).map(|tag| slow.post(owned("in", b"x"), 0, tag).is_ok()).collect();
    assert_eq!(posted, [true, true, true, false, false]);
    assert_eq!((slow.metrics().waiting, slow.metrics().dropped), (3, 2));
}

/// Meets somebody at `barrier` twice when its first run has ended, and panics at tag 3.
struct Fragile {
    seen: Sender<u64>,
    barrier: Arc<Barrier>,
    has_met: bool,
}

impl Sink for Fragile {
    fn run_finished(&mut self, run: FinishedRun<'_>, _output: &RunOutput) {
        if !std::mem::replace(&mut self.has_met, true) {
            self.barrier.wait();
            self.barrier.wait();
        }
        assert!(run.tag != 3, "a fault of the broker's own");
        self.seen.send(run.tag).ok();
    }
    fn start_failed(&mut self, _: &Arc<Runner>, trap: &Trap) {
        panic!("{trap}");
    }
    fn turn_finished(&mut self) {}
}

fn fragile() -> (Executor, Arc<Barrier>, Receiver<u64>) {
    fragile_with(Pulses::default())
}

fn fragile_with(pulses: Pulses) -> (Executor, Arc<Barrier>, Receiver<u64>) {
    let (sender, seen) = mpsc::channel();
    let barrier = Arc::new(Barrier::new(2));
    let options = ExecutorOptions { threads: 1, pulses, ..ExecutorOptions::default() };
    let met = barrier.clone();
    let sink = move |_| -> Box<dyn Sink> {
        Box::new(Fragile { seen: sender.clone(), barrier: met.clone(), has_met: false })
    };
    (Executor::start(options, sink).unwrap(), barrier, seen)
}

/// However many definitions somebody has, another one's is next but one.
#[test]
fn owners_take_turns() {
    let (executor, barrier, seen) = fragile();
    let add = |id: u64, account: u64| {
        let acting = Acting { account: Arc::new(AtomicU64::new(account)), ..Acting::default() };
        let grants = Arc::new(Grants { acting, ..Grants::action() });
        executor.add(RunnerSpec { grants, ..spec(id, GOOD.guest()) })
    };
    let first = add(1, 7);
    first.post(owned("in", b"x"), 0, 100).unwrap();
    barrier.wait();
    let many: Vec<_> = (2..8).map(|id| add(id, 7)).collect();
    for (runner, number) in many.iter().zip(0..) {
        for message in 0..3 {
            runner.post(owned("in", b"x"), 0, 200 + 10 * number + message).unwrap();
        }
    }
    add(8, 9).post(owned("in", b"x"), 0, 999).unwrap();
    barrier.wait();
    let order: Vec<_> = (0..20).map(|_| seen.recv_timeout(Duration::from_secs(30)).unwrap()).collect();
    assert_eq!(order[..5], [100, 200, 201, 202, 999], "{order:?}");
}

#[test]
fn a_panic_in_the_broker_loses_one_event_and_keeps_the_order() {
    let (executor, barrier, seen) = fragile();
    let runner = executor.add(spec(1, GOOD.guest()));
    // While the first one is held, the others come together and are taken together.
    runner.post(owned("in", b"x"), 0, 0).unwrap();
    barrier.wait();
    for tag in 1..10 {
        runner.post(owned("in", b"x"), 0, tag).unwrap();
    }
    barrier.wait();
    for expected in [0, 1, 2, 4, 5, 6, 7, 8, 9] {
        assert_eq!(seen.recv_timeout(Duration::from_secs(30)), Ok(expected));
    }
    assert_eq!((runner.metrics().waiting, runner.metrics().dropped), (0, 0));
}

#[test]
fn a_thread_that_stands_still_is_missed() {
    let pulses = Pulses::default();
    let (executor, barrier, seen) = fragile_with(pulses.clone());
    let runner = executor.add(spec(1, GOOD.guest()));
    let at_work = || -> Vec<String> {
        let silent = pulses.silent(Instant::now() + EXECUTOR_SILENCE_MAX).into_iter();
        silent.filter(|silence| !silence.is_waiting).map(|silence| silence.name).collect()
    };
    assert_eq!(at_work(), [""; 0], "it has nothing to do");
    runner.post(owned("in", b"x"), 0, 0).unwrap();
    barrier.wait();
    assert_eq!(pulses.silent(Instant::now()), [], "it is not long");
    assert_eq!(at_work(), ["executor thread 0"]);
    barrier.wait();
    seen.recv_timeout(Duration::from_secs(30)).unwrap();
    while !at_work().is_empty() {
        std::thread::yield_now();
    }
}

#[test]
fn threads_without_work_show_that_they_could_do_some() {
    let pulses = Pulses::default();
    let options = ExecutorOptions { threads: 2, pulses: pulses.clone(), ..ExecutorOptions::default() };
    let _executor = executor_with(options);
    until_all_have_woken(&pulses, 2);
}

/// Counts how often it is woken.
#[derive(Default)]
struct Called(AtomicUsize);

impl Wake for Called {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn events_wait_in_order_for_code_that_is_still_being_compiled() {
    let (executor, seen) = executor(1);
    let guest = GOOD.guest();
    let mailbox = MailboxOptions { messages_max: 8, ..MailboxOptions::default() };
    let spec = CompilingSpec { id: GuestId(1), name: "late".into(), tenant: 0, account: 0, mailbox };
    let runner = executor.add_compiling(spec, engine());
    assert_eq!(runner.state(), RunnerState::Compiling);
    let mut inline = InlineRuns::default();
    let run = inline.run(&runner, &message("in", b"x"), 0, &mut RunOutput::new());
    assert_eq!(run, Inline::Post, "nothing runs in a turn");
    let called = Arc::new(Called::default());
    let waker = Waker::from(called.clone());
    let room = || runner.poll_room(&Context::from_waker(&waker));
    for tag in 0..8 {
        runner.post_held_back(owned("in", b"x"), 0, &mut RunnerStarts::default()).unwrap();
        assert_eq!(room().is_pending(), tag >= 2, "senders wait as for a busy one: {tag}");
    }
    runner.enable();
    assert_eq!((runner.state(), runner.metrics().waiting), (RunnerState::Compiling, 8));
    assert!(executor.is_at_rest());
    let (services, grants) = (Arc::new(Broker::default()), Arc::new(Grants::action()));
    runner.replace(guest, services, grants, GuestLimits::default(), false);
    (0..8).for_each(|_| drop(seen.recv_timeout(Duration::from_secs(30)).unwrap()));
    while called.0.load(Ordering::Relaxed) == 0 {
        std::thread::yield_now();
    }
    assert!(executor.wait_for_rest(Duration::from_secs(30)));
    assert_eq!((runner.state(), runner.metrics().runs), (RunnerState::Enabled, 8));
}

#[test]
fn sender_to_a_crowded_mailbox_is_woken_when_room_is_free() {
    let (executor, barrier, seen) = fragile();
    let mailbox = MailboxOptions { messages_max: 8, ..MailboxOptions::default() };
    let runner = executor.add(RunnerSpec { mailbox, ..spec(1, GOOD.guest()) });
    let called = Arc::new(Called::default());
    let waker = Waker::from(called.clone());
    let room = || runner.poll_room(&Context::from_waker(&waker));
    runner.post(owned("in", b"x"), 0, 0).unwrap();
    barrier.wait();
    let posted: Vec<_> = (4..9).map(|tag| runner.post(owned("in", b"x"), 0, tag)).collect();
    assert_eq!(posted, [Posted::Roomy, Posted::Roomy, Posted::Roomy, Posted::Roomy, Posted::Crowded].map(Ok));
    assert_eq!([room(), room()], [Poll::Pending; 2]);
    for tag in 9..13 {
        assert_eq!(
            runner.post_held_back(owned("in", b"x"), 0, &mut RunnerStarts::default()),
            Ok(Posted::Crowded),
            "{tag}"
        );
    }
    assert_eq!(runner.post(owned("in", b"x"), 0, 13), Err(PostError::Full { messages: 9 }));
    assert_eq!(called.0.load(Ordering::Relaxed), 0);
    barrier.wait();
    for expected in [0, 4, 5, 6, 7, 8, 0, 0, 0, 0] {
        assert_eq!(seen.recv_timeout(Duration::from_secs(30)), Ok(expected));
    }
    while called.0.load(Ordering::Relaxed) == 0 {
        std::thread::yield_now();
    }
    assert_eq!((room(), called.0.load(Ordering::Relaxed)), (Poll::Ready(()), 1));
}

#[test]
fn nobody_waits_for_a_definition_that_pauses() {
    let (executor, seen) = executor(1);
    let mailbox = MailboxOptions { messages_max: 1, ..MailboxOptions::default() };
    let guest = Text { on_message: PANIC, ..Text::default() }.guest();
    let bad = executor.add(RunnerSpec { mailbox, ..spec(1, guest) });
    bad.post(owned("in", b"x"), 0, 0).unwrap();
    seen.recv_timeout(Duration::from_secs(30)).unwrap();
    until_pausing(&bad);
    assert_eq!(bad.post(owned("in", b"x"), 0, 1), Ok(Posted::Crowded));
    assert_eq!(bad.poll_room(&Context::from_waker(Waker::noop())), Poll::Ready(()));
}

#[test]
fn wait_for_rest_returns_after_all_runs_have_finished() {
    const LONG: Duration = Duration::from_secs(30);
    const MESSAGES: usize = 500;
    let (executor, seen) = executor(2);
    assert!(executor.wait_for_rest(Duration::ZERO));
    let runners = [1, 2].map(|id| executor.add(spec(id, GOOD.guest())));
    for _ in 0..MESSAGES {
        for runner in &runners {
            runner.post(owned("in", b"x"), 0, 0).unwrap();
        }
    }
    assert!(executor.wait_for_rest(LONG));
    assert_eq!(seen.try_iter().count(), 2 * MESSAGES);
    // Events behind a trap still run.
    let bad = executor.add(spec(3, Text { on_message: PANIC, ..Text::default() }.guest()));
    for _ in 0..2 {
        bad.post(owned("in", b"x"), 0, 0).unwrap();
    }
    seen.recv_timeout(LONG).unwrap();
    until_pausing(&bad);
    assert!(!executor.wait_for_rest(Duration::ZERO));
    bad.close();
    assert!(executor.wait_for_rest(LONG));
}

#[test]
fn a_stepped_executor_runs_in_the_order_of_what_was_posted_however_long_that_took() {
    let options = ExecutorOptions {
        threads: 1,
        is_stepped: true,
        turn_time_max: Duration::MAX,
        ..ExecutorOptions::default()
    };
    let (executor, seen) = executor_with(options);
    let runners = [1, 2].map(|id| executor.add(spec(id, GOOD.guest())));
    for _ in 0..20 {
        for round in 0..3 {
            for runner in &runners {
                runner.post(owned("in", &[round]), 0, 0).unwrap();
                std::thread::yield_now();
            }
        }
        assert!(seen.try_recv().is_err(), "nothing runs before somebody waits for it");
        assert!(executor.wait_for_rest(Duration::from_secs(30)));
        let order: Vec<u64> = seen.try_iter().map(|run| run.definition.0).collect();
        assert_eq!(order, [1, 1, 1, 2, 2, 2]);
    }
}

#[test]
fn order_holds_and_runs_do_not_overlap_on_many_threads() {
    const MESSAGES: u64 = 2000;
    let (executor, seen) = executor(4);
    let runners: Vec<_> = (0..4).map(|id| executor.add(spec(id, GOOD.guest()))).collect();
    for tag in 0..MESSAGES {
        for runner in &runners {
            runner.post(owned("in", b"x"), 0, tag).unwrap();
        }
    }
    let mut next = [0_u64; 4];
    for _ in 0..4 * MESSAGES {
        let run = seen.recv_timeout(Duration::from_secs(30)).unwrap();
        let expected = &mut next[usize::try_from(run.definition.0).unwrap()];
        assert_eq!(run.tag, *expected);
        *expected += 1;
    }
}

#[test]
fn a_message_with_too_many_hops_triggers_nothing() {
    let (executor, seen) = executor(1);
    let runner = executor.add(spec(1, GOOD.guest()));
    assert_eq!(runner.post(owned("in", b"x"), HOPS_MAX, 1), Ok(Posted::Roomy));
    assert_eq!(
        runner.post(owned("in", b"x"), HOPS_MAX + 1, 2),
        Err(PostError::TooManyHops { hops: HOPS_MAX + 1 })
    );
    assert_eq!(seen.recv_timeout(Duration::from_secs(30)).unwrap().tag, 1);
}

#[test]
fn calls_nest_sixteen_deep() {
    const CALL: &str =
        "(call $call_action (i32.const 80) (i32.const 6) (i32.const 0) (i32.const 0) (i32.const 32))";
    let (executor, seen) = executor(1);
    let broker = Arc::new(Broker::default());
    let call = format!(
        "{CALL} {}",
        PUBLISH_PAYLOAD.replace("$payload_len", "$inputs_len").replace("$payload", "$inputs")
    );
    let text = Text { on_message: CALL, call: &call, ..Text::default() };
    let runner = executor.add(RunnerSpec { services: broker.clone(), ..spec(1, text.guest()) });
    broker.callees.lock().insert("callee".into(), runner.clone());
    runner.post(owned("in", b"x"), 0, 0).unwrap();
    let run = seen.recv_timeout(Duration::from_secs(30)).unwrap();
    assert_eq!(run.outcome, RunOutcome::Done(Vec::new()));
    assert_eq!(*broker.deepest.lock(), CALL_DEPTH_MAX);
    assert_eq!(run.published.len(), usize::from(CALL_DEPTH_MAX), "each callee's effects belong to the run");
    broker.callees.lock().clear();
}

#[test]
fn a_callee_has_only_the_time_that_its_caller_has_left() {
    const CALL: &str =
        "(call $call_action (i32.const 80) (i32.const 6) (i32.const 0) (i32.const 0) (i32.const 32))";
    let (executor, seen) = executor(1);
    let broker = Arc::new(Broker::default());
    let limits = GuestLimits { time: Duration::from_millis(100), ..GuestLimits::default() };
    let callee = executor.add(spec(2, Text { call: LOOP, ..Text::default() }.guest()));
    broker.callees.lock().insert("callee".into(), callee.clone());
    // The caller traps when the callee did not give it an error (discriminant 1 at 32).
    let on_message =
        format!("{CALL} (if (i32.ne (i32.load8_u (i32.const 32)) (i32.const 1)) (then unreachable))");
    let guest = Text { on_message: &on_message, ..Text::default() }.guest();
    let caller = executor.add(RunnerSpec { services: broker.clone(), limits, ..spec(1, guest) });
    caller.post(owned("in", b"x"), 0, 0).unwrap();
    let run = seen.recv_timeout(Duration::from_secs(30)).unwrap();
    assert!(
        matches!(&run.outcome, RunOutcome::Done(_))
            || matches!(&run.outcome, RunOutcome::Trapped(trap) if trap.kind == TrapKind::Time),
        "{:?}",
        run.outcome
    );
    assert_eq!(callee.metrics().traps, 1);
    broker.callees.lock().clear();
}
