//! `kill -9` at random moments: the parent compares what the child said with what is in the file.
//!
//! The child is this test binary again, running [`child`] with the data directory in an environment
//! variable.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use lotmq_changes::*;
use lotmq_store::*;

use crate::rounds;
use crate::support::*;

const DIRECTORY: &str = "LOTMQ_STORE_KILL_DIRECTORY";
/// Set for mode `os`.
const MODE_OS: &str = "LOTMQ_STORE_KILL_OS";

/// Appends without end; prints the ticket's round after each report.
#[test]
fn child() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let limits = Limits { log_slack_bytes: 16 * 1024, ..Limits::default() };
    let is_os = std::env::var_os(MODE_OS).is_some();
    let durability = if is_os { Durability::Os } else { Durability::Fsync };
    let options = StoreOptions { limits, durability, ..options(directory.as_ref()) };
    let base = std::sync::Arc::new(std::sync::OnceLock::new());
    let told = std::sync::Arc::clone(&base);
    let on_commit: OnCommit = Box::new(move |report| match report {
        Committed::Through(ticket) => {
            let base: &u64 = told.wait();
            let mut out = std::io::stdout().lock();
            writeln!(out, "through {}", base + ticket.number()).unwrap();
            out.flush().unwrap();
        }
        Committed::Failed { error, .. } => panic!("{error}"),
    });
    let (store, recovered) = Store::open(options, on_commit).unwrap();
    let done = recovered.settings.first().map_or(0, |row| row.value.parse().unwrap());
    base.set(done).unwrap();
    let mut tickets = std::collections::VecDeque::new();
    for round in done + 1.. {
        let mut batch = Batch::new();
        rounds::push(&mut batch, round);
        tickets.push_back(store.append(batch).unwrap());
        if tickets.len() > 50 {
            store.wait(tickets.pop_front().unwrap()).unwrap();
        }
    }
}

#[test]
fn committed_data_survives_kill_9() {
    kill_at_random(Durability::Fsync);
}

#[test]
fn mode_os_survives_kill_9_too() {
    kill_at_random(Durability::Os);
}

#[test]
fn a_damaged_file_that_kill_9_has_left_is_made_whole() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let kept = KeepRow {
        tenant: TenantId::DEFAULT,
        topic: "counter".into(),
        payload: "a value that is nowhere else".into(),
        kept_at_ms: 1,
        user: None,
    };
    commit_with(&store, |batch| batch.push(Op::PutKeep(&kept)));
    drop(store);
    let reported = run_and_kill(directory.path(), Durability::Fsync, 200);
    let path = directory.path().join("lotmq.redb");
    let mut bytes = std::fs::read(&path).unwrap();
    for place in 0..bytes.len() - kept.payload.len() {
        if bytes[place..].starts_with(&kept.payload) {
            bytes[place] ^= 1;
        }
    }
    std::fs::write(&path, &bytes).unwrap();
    let found = Store::check(directory.path()).unwrap();
    assert!(found.iter().any(|found| matches!(found, Corruption::Row { table: "keeps", .. })), "{found:?}");
    assert!(std::fs::read(&path).unwrap() == bytes, "the check changes nothing");
    // A start does it by itself, and `lotmq store quarantine` as well.
    for by_command in [true, false] {
        std::fs::write(&path, &bytes).unwrap();
        if by_command {
            assert_eq!(Store::quarantine(directory.path()).unwrap().len(), 1);
            assert!(Store::check(directory.path()).unwrap().is_empty());
        }
        let (_store, recovered) = open(directory.path());
        assert_eq!((recovered.quarantined.len(), recovered.keeps.len()), (1, 0));
        rounds::check(&recovered, reported);
    }
}

fn kill_at_random(durability: Durability) {
    let directory = tempfile::tempdir().unwrap();
    let mut seed = std::process::id() as u64 * 2_654_435_761 + 1;
    println!("seed {seed}");
    let mut reported = 0;
    for _ in 0..12 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let after = reported + 1 + (seed >> 33) % 400;
        reported = run_and_kill(directory.path(), durability, after).max(reported);
        let (_store, recovered) = open(directory.path());
        rounds::check(&recovered, reported);
    }
    assert!(reported > 100, "{reported} rounds prove little");
}

/// Runs a child until it has reported a round, kills it, and returns the last round that it
/// reported.
fn run_and_kill(directory: &std::path::Path, durability: Durability, after: u64) -> u64 {
    let mut command = Command::new(std::env::current_exe().unwrap());
    if durability == Durability::Os {
        command.env(MODE_OS, "1");
    }
    let mut child = command
        .args(["--exact", "kill::child", "--nocapture"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut last = 0;
    let mut is_killed = false;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let Ok(line) = line else { break };
        // The last line may be cut; the test harness prints some of its own.
        let Some(round) = line.strip_prefix("through ").and_then(|round| round.parse().ok()) else {
            continue;
        };
        last = round;
        if last >= after && !is_killed {
            child.kill().unwrap();
            is_killed = true;
        }
    }
    assert!(is_killed, "the child ended by itself");
    child.wait().unwrap();
    last
}
