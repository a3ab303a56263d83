//! Power cuts on a simulated disk: what was not synced is lost, kept or torn, in any order; what was reported is there.
//!
//! The seed of every cut is printed with a failure. More cuts than the tests make: `LOTMQ_POWER_CUTS=20000 cargo test --release
//! --package lotmq-store --test store power`.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use lotmq_disk::{Disk, Random};
use lotmq_store::*;

use crate::rounds;
use crate::support::*;

/// Cuts of one disk, each recovered from before the next.
const CUTS_PER_DISK: u64 = 5;

fn open_disk(disk: &Disk, on_commit: OnCommit) -> Result<(Store, Recovered), OpenError> {
    // Little slack and a small cache, so that cleaning and reads are cut too.
    let limits = Limits { log_slack_bytes: 16 * 1024, reopen_pause: Duration::ZERO, ..Limits::default() };
    Store::open_on(
        StoreOptions { cache_bytes: 64 * 1024, limits, ..options("unused".as_ref()) },
        Box::new(disk.opener()),
        on_commit,
    )
}

/// A disk with the first round on it, made while nothing failed.
fn new_disk() -> Disk {
    let disk = Disk::new(0);
    let (store, _) = open_disk(&disk, Box::new(|_| {})).unwrap();
    let mut batch = Batch::new();
    rounds::push(&mut batch, 1);
    store.commit(batch).unwrap();
    drop(store);
    disk
}

/// Works until the power goes. Returns the last round that was reported.
fn work(disk: &Disk, done: u64, in_flight: usize) -> u64 {
    let reported = Arc::new(AtomicU64::new(0));
    let told = Arc::clone(&reported);
    let on_commit: OnCommit = Box::new(move |report| {
        if let Committed::Through(ticket) = report {
            told.store(ticket.number(), SeqCst);
        }
    });
    // The power may go while the file is opened.
    let Ok((store, _)) = open_disk(disk, on_commit) else { return done };
    let mut tickets = VecDeque::new();
    for round in done + 1.. {
        let mut batch = Batch::new();
        rounds::push(&mut batch, round);
        let Ok(ticket) = store.append(batch) else { break };
        tickets.push_back(ticket);
        if tickets.len() > in_flight && store.wait(tickets.pop_front().unwrap()).is_err() {
            break;
        }
    }
    drop(store);
    done + reported.load(SeqCst)
}

/// Cuts the power of one disk several times; `Err` says what was lost.
fn cut(seed: u64, lies: bool) -> Result<(), String> {
    let mut random = Random::new(seed);
    let mut disk = new_disk();
    disk.set_faults(|faults| faults.lies = lies);
    let mut reported = 1;
    for _ in 0..CUTS_PER_DISK {
        let calls_max = if random.is_one_of(1, 4) { 4_000 } else { 400 };
        disk.power_off_after(random.below(calls_max) as u64);
        reported = work(&disk, reported, random.below(8)).max(reported);
        disk = disk.power_cut(&mut random);
        let seen = catch_unwind(AssertUnwindSafe(|| {
            let (_store, recovered) = open_disk(&disk, Box::new(|_| {})).unwrap();
            rounds::check(&recovered, reported);
            recovered.settings[0].value.parse::<u64>().unwrap()
        }));
        // What was stored and not reported counts as well from now on: it has been seen.
        reported = seen.map_err(|panic| panic.downcast_ref::<String>().cloned().unwrap_or_default())?;
    }
    Ok(())
}

#[test]
fn nothing_that_was_reported_is_lost_when_the_power_goes() {
    let wanted = std::env::var("LOTMQ_POWER_CUTS").ok().map_or(500, |text| text.parse().unwrap());
    let mut seeds = Random::new(u64::from(std::process::id()));
    for _ in 0..u64::div_ceil(wanted, CUTS_PER_DISK) {
        let this = seeds.next_u64();
        if let Err(lost) = cut(this, false) {
            panic!("seed {this:#x}: {lost}");
        }
    }
}

/// The proof that the test above can fail.
#[test]
fn a_disk_that_lies_about_syncing_is_found_out() {
    let found = (0..50 / CUTS_PER_DISK).any(|seed| cut(seed, true).is_err());
    assert!(found, "50 cuts of a lying disk lost nothing");
}
