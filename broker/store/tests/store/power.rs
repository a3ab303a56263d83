//! Power cuts on a simulated disk: what was not synced is lost, kept or torn, in any order; what
//! was reported is there. Some of the disks fail calls as well, some have forgotten afterwards what
//! they should have synced.
//!
//! The store is stepped, so that a seed is a whole run. More cuts than the tests make:
//! `LOTMQ_POWER_CUTS=20000 cargo test --profile simulation --package lotmq-store --test store
//! power`; one that failed again: `LOTMQ_POWER_SEED=…`.

use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use lotmq_changes::*;
use lotmq_disk::{Disk, Faults, PerCall, Random};
use lotmq_store::*;

use crate::rounds;
use crate::support::*;

/// Cuts of one disk, each recovered from before the next.
const CUTS_PER_DISK: u64 = 5;

/// Opens the store on a disk, with a clock that shows so many milliseconds.
fn open_disk(
    disk: &Disk,
    now_ms: &Arc<AtomicU64>,
    on_commit: OnCommit,
) -> Result<(Store, Stepper, Recovered), OpenError> {
    // Little slack and a small cache, so that cleaning and reads are cut too.
    let limits = Limits { log_slack_bytes: 16 * 1024, ..Limits::default() };
    let options = StoreOptions { cache_bytes: 64 * 1024, limits, ..options("unused".as_ref()) };
    let now_ms = Arc::clone(now_ms);
    let now = Arc::new(move || Duration::from_millis(now_ms.load(SeqCst)));
    let surroundings = Surroundings { now, random: Box::new(|_| {}), note: Box::new(NoteOn(disk.clone())) };
    Store::open_stepped(options, Box::new(disk.opener()), on_commit, surroundings)
}

/// A disk with the first round on it, made while nothing failed.
fn new_disk() -> Disk {
    let disk = Disk::new(0);
    let (store, _stepper, _) = open_disk(&disk, &Arc::default(), Box::new(|_| {})).unwrap();
    let mut batch = Batch::new();
    rounds::push(&mut batch, 1);
    store.commit(batch).unwrap();
    store.close();
    disk
}

/// State of a store at the end of its process.
struct Life {
    /// The last round that was reported.
    reported: u64,
    /// Batches were given up, so that rounds are missing.
    has_lost: bool,
}

/// Works for so many rounds, or until the power goes or the process is killed.
fn live(disk: &Disk, reported: u64, rounds_max: usize, random: &mut Random) -> Life {
    let committed = Arc::new(AtomicU64::new(0));
    let (told, seen, now_ms) = (Arc::clone(&committed), disk.clone(), Arc::default());
    let on_commit: OnCommit = Box::new(move |report| {
        if let Committed::Through(ticket) = report
            && !seen.is_off()
        {
            told.store(ticket.number(), SeqCst);
        }
    });
    let (store, stepper, recovered) = match open_disk(disk, &now_ms, on_commit) {
        Ok(opened) => opened,
        Err(OpenError::Corrupted { detail, .. }) => panic!("{detail}"),
        // A call has failed, or the power has gone.
        Err(_) => return Life { reported, has_lost: false },
    };
    rounds::check(&recovered, reported);
    // Batches that were stored and not reported count as well from now on: they have been seen.
    let done = recovered.settings[0].value.parse::<u64>().unwrap();
    for round in (done + 1..).take(rounds_max) {
        let mut batch = Batch::new();
        rounds::push(&mut batch, round);
        store.append(batch).unwrap();
        if random.is_one_of(1, 3) {
            while stepper.step() && !disk.is_off() {}
        }
        if let Some(due) = stepper.next_due() {
            now_ms.store(due.as_millis() as u64 + 1, SeqCst);
        }
        if disk.is_off() || store.has_lost() {
            break;
        }
    }
    Life { reported: done + committed.load(SeqCst), has_lost: store.has_lost() }
}

/// Returns further faults of a disk.
fn faults(random: &mut Random) -> Faults {
    let none = Faults::default();
    match random.below(3) {
        0 => Faults { errors_per_million: PerCall::all(2_000), ..none },
        1 => {
            let errors_per_million = PerCall { sync: 50_000, ..PerCall::default() };
            Faults { errors_per_million, forgets: true, ..none }
        }
        _ => none,
    }
}

/// Cuts the power of one disk several times; `Err` says what was lost.
fn cut(seed: u64, lies: bool) -> Result<(), String> {
    let outcome = catch_unwind(|| {
        let mut random = Random::new(seed);
        let mut disk = new_disk();
        let mut reported = 1;
        for _ in 0..CUTS_PER_DISK {
            // The first processes are killed, the last one loses its power.
            for is_killed in (0..random.below(3)).map(|_| true).chain([false]) {
                let faults = if lies { Faults { lies, ..Faults::default() } } else { faults(&mut random) };
                disk.set_faults(|now| *now = faults);
                let calls_max = if random.is_one_of(1, 4) { 4_000 } else { 400 };
                disk.power_off_after(random.below(calls_max) as u64);
                let life = live(&disk, reported, usize::MAX, &mut random);
                if life.has_lost {
                    return;
                }
                reported = life.reported;
                disk = if is_killed { disk.after_kill() } else { disk.power_cut(&mut random) };
            }
            disk.set_faults(|now| *now = Faults::default());
            reported = live(&disk, reported, 0, &mut random).reported;
        }
    });
    outcome.map_err(|panic| panic.downcast_ref::<String>().cloned().unwrap_or_default())
}

#[test]
fn nothing_that_was_reported_is_lost_when_the_power_goes() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let disks = number("LOTMQ_POWER_CUTS").unwrap_or(500).div_ceil(CUTS_PER_DISK);
    let first = number("LOTMQ_POWER_SEED");
    for seed in first.unwrap_or(0)..first.map_or(disks, |first| first + 1) {
        if let Err(lost) = cut(seed, false) {
            panic!("LOTMQ_POWER_SEED={seed}: {lost}");
        }
    }
}

/// The proof that the test above can fail.
#[test]
fn a_disk_that_lies_about_syncing_is_found_out() {
    let found = (0..50 / CUTS_PER_DISK).any(|seed| cut(seed, true).is_err());
    assert!(found, "50 cuts of a lying disk lost nothing");
}
