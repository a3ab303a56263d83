//! A bounded number of seeds, and the proof that faults are found. The long run is a command in
//! `docs/fuzzing.md`.

#![allow(clippy::unwrap_used, reason = "test code; clippy knows only functions marked #[test] as such")]

use std::collections::BTreeMap;

use lotmq_simulation::{Failure, Fault, Settings, fuzz_hostile_clients, fuzz_two_clients, run};

/// Seeds of a test run.
const SEEDS: u64 = 200;

/// Seeds within which a fault must be found.
const SEEDS_TO_FIND: u64 = 1_000;

#[test]
fn seeds_pass_and_reach_everything() {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for seed in 0..SEEDS {
        let report = run(seed, &Settings::default()).unwrap_or_else(|(failure, _)| panic!("{failure}"));
        report.counts.into_iter().for_each(|(what, times)| *counts.entry(what).or_default() += times);
    }
    for what in [
        "QoS 0 delivered",
        "QoS 1 delivered",
        "QoS 2 delivered",
        "changes of owners",
        "connections refused",
        "disconnects",
        "disk failures",
        "dismissals",
        "effects of guests",
        "hop limits reached",
        "links broken",
        "links given up by one side",
        "long messages",
        "messages sent again",
        "messages sent again without need",
        "messages with RETAIN",
        "messages with a delay",
        "power cuts",
        "rare: packets wait",
        "rare: queue goes on",
        "rare: small group",
        "rare: store behind",
        "rare: store full",
        "rare: time over",
        "rare: turn relieved",
        "rare: written enough",
        "rude packets",
        "runs refused by full mailboxes",
        "sessions resumed",
        "sessions taken over",
        "starts",
        "threads that stand still",
        "values kept",
        "values on the disk",
    ] {
        assert!(counts.get(what).is_some_and(|times| *times >= 20), "{what}: {counts:#?}");
    }
    for what in ["disks that are full", "power cuts within commits"] {
        assert!(counts.get(what).is_some_and(|times| *times >= 10), "{what}: {counts:#?}");
    }
}

#[test]
fn equal_seeds_give_equal_runs() {
    let settings = Settings { trace: true, ..Settings::default() };
    for seed in 0..10 {
        assert_eq!(run(seed, &settings), run(seed, &settings));
    }
}

/// The first failure of a broken broker.
fn found(fault: Fault) -> Option<Failure> {
    let settings = Settings { fault: Some(fault), ..Settings::default() };
    (0..SEEDS_TO_FIND).find_map(|seed| run(seed, &settings).err()).map(|(failure, _)| failure)
}

/// Those of all faults whose place among them has this remainder: tests run side by side.
fn are_found(remainder: usize) {
    for (_, fault) in Fault::all().enumerate().filter(|(at, _)| at % 8 == remainder) {
        assert!(found(fault).is_some(), "{fault} is not found in {SEEDS_TO_FIND} seeds");
    }
}

#[test]
fn every_fault_is_found() {
    are_found(0);
}

#[test]
fn every_fault_is_found_among_the_second() {
    are_found(1);
}

#[test]
fn every_fault_is_found_among_the_third() {
    are_found(2);
}

#[test]
fn every_fault_is_found_among_the_fourth() {
    are_found(3);
}

#[test]
fn every_fault_is_found_among_the_fifth() {
    are_found(4);
}

#[test]
fn every_fault_is_found_among_the_sixth() {
    are_found(5);
}

#[test]
fn every_fault_is_found_among_the_seventh() {
    are_found(6);
}

#[test]
fn every_fault_is_found_among_the_eighth() {
    are_found(7);
}

/// A failure says how it can be seen again.
#[test]
fn a_failure_names_its_replay() {
    let failure = found(Fault::LyingDisk).unwrap();
    let replay =
        format!("cargo run -p lotmq-simulation -- --seed {} --steps {}", failure.seed, failure.steps);
    assert!(failure.to_string().ends_with(&replay), "{failure}");
}

fn replay(target: &str, fuzz: fn(&[u8])) {
    let folder = format!("{}/../fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
    let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 5, "the corpus is there");
    for file in files {
        let bytes = std::fs::read(file).unwrap();
        fuzz(&bytes);
        for at in (0..bytes.len()).step_by(1 + bytes.len() / 8) {
            fuzz(&bytes[..at]);
            let mut changed = bytes.clone();
            changed[at] ^= 0x15;
            fuzz(&changed);
        }
    }
}

#[test]
fn corpus_of_two_clients_replays() {
    replay("session", fuzz_two_clients);
}

#[test]
fn corpus_of_hostile_clients_replays() {
    replay("hostile", fuzz_hostile_clients);
}
