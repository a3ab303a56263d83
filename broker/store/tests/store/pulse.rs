//! Threads of the store that stand still are missed.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use lotmq_changes::*;
use lotmq_pulse::Heartbeats;
use lotmq_pulse::limits::{BEAT_PERIOD, WAKING_LATENESS_MAX};
use lotmq_store::*;

use crate::support::*;

/// Longer than any thread of the store is at one thing.
const LONG: Duration = Duration::from_secs(5);

/// Threads that stand still if nothing happens for long.
fn silent(pulses: &Heartbeats) -> Vec<String> {
    pulses.silent(Instant::now() + LONG).into_iter().map(|silence| silence.name).collect()
}

fn until_none_is_silent(pulses: &Heartbeats) {
    while !silent(pulses).is_empty() {
        std::thread::yield_now();
    }
}

#[test]
fn a_writer_that_stands_still_is_missed() {
    let directory = tempfile::tempdir().unwrap();
    let pulses = Heartbeats::default();
    let (begun, has_begun) = mpsc::channel();
    let (go, may_go) = mpsc::channel::<()>();
    let options = StoreOptions { pulses: pulses.clone(), ..options(directory.path()) };
    let on_commit = move |_| {
        begun.send(()).unwrap();
        let _ = may_go.recv();
    };
    let (store, _) = Store::open(options, Box::new(on_commit)).unwrap();
    until_none_is_silent(&pulses);
    let row = SettingRow { tenant: TenantId::DEFAULT, name: "a".into(), value: "b".into() };
    let mut batch = Batch::new();
    batch.push(Op::PutSetting(&row));
    store.append(batch).unwrap();
    has_begun.recv().unwrap();
    assert_eq!(silent(&pulses), ["the store's writer"]);
    assert_eq!(pulses.silent(Instant::now()), [], "it is not long");
    drop(go);
    until_none_is_silent(&pulses);
}

#[test]
fn a_reader_that_stands_still_is_missed() {
    let directory = tempfile::tempdir().unwrap();
    let pulses = Heartbeats::default();
    let options = StoreOptions { pulses: pulses.clone(), ..options(directory.path()) };
    let (store, _) = Store::open(options, Box::new(|_| {})).unwrap();
    let (begun, has_begun) = mpsc::channel();
    let (go, may_go) = mpsc::channel::<()>();
    let reply = move |_| {
        begun.send(()).unwrap();
        let _ = may_go.recv();
    };
    store.read_queue(SessionId(1), MessageId(0), SliceBounds::new(1, 1), Box::new(reply)).unwrap();
    has_begun.recv().unwrap();
    while silent(&pulses) != ["the store's reader"] {
        std::thread::yield_now();
    }
    go.send(()).unwrap();
    until_none_is_silent(&pulses);
}

/// A thread that waits says until when, so that one is missed which never wakes for what it is
/// asked.
#[test]
fn threads_that_nobody_asks_show_that_they_could_be_asked() {
    let directory = tempfile::tempdir().unwrap();
    let pulses = Heartbeats::default();
    let options = StoreOptions { pulses: pulses.clone(), ..options(directory.path()) };
    let (_store, _) = Store::open(options, Box::new(|_| {})).unwrap();
    // Beyond what a wait may take, and then the time of a piece of work.
    let at = Instant::now() + BEAT_PERIOD + WAKING_LATENESS_MAX + Duration::from_secs(1);
    let silent = || -> Vec<String> { pulses.silent(at).into_iter().map(|silence| silence.name).collect() };
    while silent() != ["the store's writer", "the store's reader"] {
        std::thread::yield_now();
    }
    while !silent().is_empty() {
        std::thread::sleep(Duration::from_millis(10));
    }
}
