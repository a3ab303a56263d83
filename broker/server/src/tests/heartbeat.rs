//! Threads of a broker that stand still, as `/health` names them.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use lotmq_auth::{LoginOrigin, Source};
use lotmq_pulse::limits::{BEAT_PERIOD, WAKING_LATENESS_MAX};

use crate::testing::{PATIENCE, Running, stall, until_silent};
use lotmq_operations::limits::COMMAND_SILENCE_MAX;
use lotmq_operations::logins::Check;
use lotmq_process::limits::ROUND_SILENCE_MAX;

/// Period at which threads that seem to stand still are looked at again.
const LOOK_PAUSE: Duration = Duration::from_millis(50);

fn health(running: &Running) -> String {
    let listeners = running.server.addresses();
    let address = listeners.iter().find(|(name, _)| *name == "health").unwrap().1.network().unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Work that says that it has begun, and ends when it is told to.
fn work_that_waits() -> (impl FnOnce() + Send + 'static, Receiver<()>, Sender<()>) {
    let (begun, has_begun) = mpsc::channel();
    let (go, may_go) = mpsc::channel();
    let work = move || {
        begun.send(()).unwrap();
        let _ = may_go.recv();
    };
    (work, has_begun, go)
}

#[test]
fn a_shard_that_stands_still_is_named_and_one_that_is_busy_is_not() {
    let running = Running::start_with(&[("LOTMQ_ADMIN_HEALTH_PORT", "0")]);
    assert!(health(&running).starts_with("HTTP/1.1 200"));
    let go = stall(&running.server.broker.net.shards[0]);
    let answer = health(&running);
    assert!(answer.starts_with("HTTP/1.1 200"), "it is not long: {answer}");
    until_silent(&running, "shard 0", Duration::ZERO, true);
    let answer = health(&running);
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("shard 0 has given no sign of life for "), "{answer}");
    go.send(()).unwrap();
    until_silent(&running, "shard 0", Duration::ZERO, false);
    let answer = health(&running);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    running.server.stop();
}

#[test]
fn the_thread_that_answers_for_all_is_missed() {
    const NAME: &str = "the thread of health and metrics";
    // Longer than one that gets round is without a beat.
    const LONG: Duration = Duration::from_secs(3);
    let running = Running::start_with(&[("LOTMQ_ADMIN_HEALTH_PORT", "0")]);
    until_silent(&running, NAME, ROUND_SILENCE_MAX - LONG, false);
    let looked_at = running.server.broker.net.not_opened.lock();
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| health(&running));
        until_silent(&running, NAME, ROUND_SILENCE_MAX - LONG, true);
        drop(looked_at);
        assert!(asking.join().unwrap().starts_with("HTTP/1.1 200"));
    });
    until_silent(&running, NAME, ROUND_SILENCE_MAX - LONG, false);
    running.server.stop();
}

#[test]
fn threads_without_clients_are_missed() {
    const WATCHED: [&str; 4] =
        ["password thread 0", "password thread 1", "housekeeping", "the thread of $SYS figures"];
    let running = Running::start("os");
    let broker = &running.server.broker;
    // One check for each of the threads, which take them in any order.
    let works = [work_that_waits(), work_that_waits()].map(|(work, has_begun, go)| {
        let check = Check { run: Box::new(work), give_up: Box::new(|_| ()), has_failed: Box::new(|| false) };
        let source = Source::of([192, 0, 2, 1].into());
        broker.logins.add(LoginOrigin { source, user: 1, is_known: true, is_familiar: false }, check);
        has_begun.recv().unwrap();
        go
    });
    let tenant = broker.hosting.tenants.default_tenant();
    let retained = tenant.retained.write();
    for name in WATCHED {
        until_silent(&running, name, ROUND_SILENCE_MAX, true);
    }
    for name in WATCHED {
        let silent = broker.hosting.watchdog.pulses.silent(Instant::now() + ROUND_SILENCE_MAX);
        assert!(silent.iter().any(|silence| silence.name == name && !silence.is_waiting), "{name} goes on");
    }
    drop(retained);
    works.into_iter().for_each(|go| go.send(()).unwrap());
    for name in WATCHED {
        until_silent(&running, name, ROUND_SILENCE_MAX, false);
    }
    running.server.stop();
}

/// A thread that was stopped while it waited, or that nobody wakes, looks like one that nobody
/// asks: each shows by itself that it lives.
#[test]
fn threads_that_nobody_asks_show_that_they_could_be_asked() {
    const KINDS: [&str; 11] = [
        "command thread",
        "executor thread",
        "housekeeping",
        "password thread",
        "shard",
        "the clock of running guests",
        "the store's reader",
        "the store's writer",
        "the thread of $SYS figures",
        "the thread of health and metrics",
        "thread of routes",
    ];
    let settings = [("LOTMQ_ADMIN_HEALTH_PORT", "0"), ("LOTMQ_STORE_DURABILITY", "os")];
    let running = Running::start_with(&settings);
    let kinds = |at: Instant| -> BTreeSet<String> {
        let silent = running.server.broker.hosting.watchdog.pulses.silent(at).into_iter();
        let numbers = |c: char| c.is_ascii_digit() || c == ' ';
        silent.map(|silence| silence.name.trim_end_matches(numbers).to_owned()).collect()
    };
    let deadline = Instant::now() + PATIENCE;
    while kinds(Instant::now() + COMMAND_SILENCE_MAX) != BTreeSet::from(KINDS.map(str::to_owned)) {
        assert!(Instant::now() < deadline, "{:?}", kinds(Instant::now() + COMMAND_SILENCE_MAX));
        std::thread::yield_now();
    }
    // Waits that threads announce now are over then, with all possible lateness.
    let at = Instant::now() + BEAT_PERIOD + WAKING_LATENESS_MAX + Duration::from_secs(1);
    while let left = kinds(at)
        && !left.is_empty()
    {
        assert!(Instant::now() < at, "{left:?}");
        std::thread::sleep(LOOK_PAUSE);
    }
    running.server.stop();
}
