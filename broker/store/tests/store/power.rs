//! Power cuts on a simulated disk: what was not synced is lost, kept or torn, in any order; what was reported is there.
//!
//! The seed of every cut is printed with a failure. More cuts than the tests make: `LOTMQ_POWER_CUTS=20000 cargo test --release
//! --package lotmq-store --test store power`.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use lotmq_store::*;
use parking_lot::Mutex;

use crate::rounds;
use crate::support::*;

/// What a disk writes whole.
const SECTOR: usize = 512;
/// Cuts of one disk, each recovered from before the next.
const CUTS_PER_DISK: u64 = 5;

#[derive(Debug)]
enum Change {
    Write(u64, Vec<u8>),
    SetLen(u64),
}

impl Change {
    fn apply(&self, image: &mut Vec<u8>) {
        match self {
            Self::SetLen(len) => image.resize(*len as usize, 0),
            Self::Write(offset, data) => {
                let start = *offset as usize;
                image.resize(image.len().max(start + data.len()), 0);
                image[start..start + data.len()].copy_from_slice(data);
            }
        }
    }

    /// Applies the sectors that the power lasted for.
    fn apply_torn(&self, image: &mut Vec<u8>, seed: &mut u64) {
        let Self::Write(offset, data) = self else { return self.apply(image) };
        for (at, sector) in data.chunks(SECTOR).enumerate() {
            if random(seed).is_multiple_of(2) {
                Self::Write(offset + (at * SECTOR) as u64, sector.to_vec()).apply(image);
            }
        }
    }
}

/// A disk with a cache that forgets.
#[derive(Debug, Default)]
struct Disk {
    /// What is safe.
    synced: Vec<u8>,
    /// What reads see.
    current: Vec<u8>,
    unsynced: Vec<Change>,
    /// Calls until the power goes; none are left when it is off.
    calls_left: u64,
    /// A disk that says it has synced and has not.
    lies: bool,
}

impl Disk {
    fn call(&mut self) -> io::Result<()> {
        self.calls_left = self.calls_left.checked_sub(1).ok_or_else(|| io::Error::other("no power"))?;
        Ok(())
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.current);
        self.unsynced.push(change);
    }

    fn sync(&mut self) {
        if !self.lies {
            self.unsynced.clear();
            self.synced.clone_from(&self.current);
        }
    }

    /// The power is back; after `calls` it goes again.
    fn power_on(&mut self, calls: u64, seed: &mut u64) {
        while !self.unsynced.is_empty() {
            let next = random(seed) as usize % self.unsynced.len();
            let change = self.unsynced.swap_remove(next);
            match random(seed) % 4 {
                0 => {}
                1 => change.apply_torn(&mut self.synced, seed),
                _ => change.apply(&mut self.synced),
            }
        }
        self.current.clone_from(&self.synced);
        self.calls_left = calls;
    }
}

#[derive(Debug, Clone)]
struct Backend(Arc<Mutex<Disk>>);

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().current.len() as u64)
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut disk = self.0.lock();
        disk.call()?;
        let start = offset as usize;
        let found = disk.current.get(start..start + out.len());
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut disk = self.0.lock();
        disk.call()?;
        disk.change(Change::SetLen(len));
        Ok(())
    }
    fn sync_data(&self) -> io::Result<()> {
        let mut disk = self.0.lock();
        disk.call()?;
        disk.sync();
        Ok(())
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut disk = self.0.lock();
        disk.call()?;
        disk.change(Change::Write(offset, data.to_vec()));
        Ok(())
    }
}

fn open_disk(disk: &Backend, on_commit: OnCommit) -> Result<(Store, Recovered), OpenError> {
    let disk = disk.clone();
    let factory: BackendFactory = Box::new(move || Ok(Box::new(disk.clone())));
    // Little slack and a small cache, so that cleaning and reads are cut too.
    let limits = Limits { log_slack_bytes: 16 * 1024, reopen_pause: Duration::ZERO, ..Limits::default() };
    Store::open_on(
        StoreOptions { cache_bytes: 64 * 1024, limits, ..options("unused".as_ref()) },
        factory,
        on_commit,
    )
}

/// A disk with the first round on it, made while nothing failed.
fn new_disk() -> Backend {
    let disk = Backend(Arc::new(Mutex::new(Disk { calls_left: u64::MAX, ..Disk::default() })));
    let (store, _) = open_disk(&disk, Box::new(|_| {})).unwrap();
    let mut batch = Batch::new();
    rounds::push(&mut batch, 1);
    store.commit(batch).unwrap();
    drop(store);
    disk
}

/// Works until the power goes. Returns the last round that was reported.
fn work(disk: &Backend, done: u64, in_flight: usize) -> u64 {
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
fn cut(mut seed: u64, lies: bool) -> Result<(), String> {
    let disk = new_disk();
    disk.0.lock().lies = lies;
    let mut reported = 1;
    for _ in 0..CUTS_PER_DISK {
        let calls = random(&mut seed) % if random(&mut seed).is_multiple_of(4) { 4_000 } else { 400 };
        disk.0.lock().power_on(calls, &mut seed);
        reported = work(&disk, reported, random(&mut seed) as usize % 8).max(reported);
        disk.0.lock().power_on(u64::MAX, &mut seed);
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
    let mut seed = u64::from(std::process::id()) << 32 | 0x9e37_79b9;
    for _ in 0..u64::div_ceil(wanted, CUTS_PER_DISK) {
        let this = random(&mut seed);
        if let Err(lost) = cut(this, false) {
            panic!("seed {this:#x}: {lost}");
        }
    }
}

/// The proof that the test above can fail.
#[test]
fn a_disk_that_lies_about_syncing_is_found_out() {
    let mut seed = 0x0dd_ba11;
    let found = (0..50 / CUTS_PER_DISK).any(|_| cut(random(&mut seed), true).is_err());
    assert!(found, "50 cuts of a lying disk lost nothing");
}
