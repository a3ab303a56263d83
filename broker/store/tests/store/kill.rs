//! `kill -9` at random moments: the parent compares what the child said with what is in the file.
//!
//! The child is this test binary again, running [`child`] with the data directory in an environment variable.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use bytes::Bytes;
use lotmq_store::*;

use crate::support::*;

const DIRECTORY: &str = "LOTMQ_STORE_KILL_DIRECTORY";
/// Set for mode `os`.
const MODE_OS: &str = "LOTMQ_STORE_KILL_OS";
/// Messages that stay in the queue.
const QUEUED: u64 = 10;

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
        push_round(&mut batch, round);
        tickets.push_back(store.append(batch).unwrap());
        if tickets.len() > 50 {
            store.wait(tickets.pop_front().unwrap()).unwrap();
        }
    }
}

/// Each round leaves the same picture, one number further.
fn push_round(batch: &mut Batch, round: u64) {
    let tenant = TenantId::DEFAULT;
    let id = SessionId(1);
    let pid = |round: u64| packet_id((round % 60_000) as u16 + 1);
    let value = round.to_string();
    batch.push(Op::PutSession(&session(0, id, "c")));
    let payload = vec![round as u8; (round % 7 * 800) as usize];
    let deliveries = [Delivery { packet_id: Some(pid(round)), ..delivery(id) }];
    batch.push(Op::Enqueue { message: message(MessageId(round), &value, &payload), deliveries: &deliveries });
    batch.push(Op::Qos2Received { session: id, packet_id: pid(round) });
    batch.push(Op::PutRetained(&RetainedRow {
        tenant,
        topic: "r".into(),
        version: MessageId(round),
        qos: 1,
        properties: Bytes::new(),
        payload: Bytes::from(value.clone()),
        published_at_ms: 0,
        expires_at_ms: None,
    }));
    batch.push(Op::PutSetting(&SettingRow { tenant, name: "round".into(), value }));
    if round > QUEUED {
        batch.push(Op::Dequeue { session: id, message: MessageId(round - QUEUED) });
        batch.push(Op::Qos2Released { session: id, packet_id: pid(round - QUEUED) });
    }
}

#[test]
fn what_was_reported_is_there_after_kill_9() {
    kill_at_random(Durability::Fsync);
}

#[test]
fn mode_os_survives_kill_9_too() {
    kill_at_random(Durability::Os);
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
        check(&recovered, reported);
    }
    assert!(reported > 100, "{reported} rounds prove little");
}

/// Runs a child until it has reported a round, kills it, and returns the last round that it reported.
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

fn check(recovered: &Recovered, reported: u64) {
    let round: u64 = recovered.settings[0].value.parse().unwrap();
    assert!(round >= reported, "round {reported} was reported, {round} is the last that is stored");
    assert_eq!(recovered.retained[0].payload, round.to_string());
    let session = &recovered.sessions[0];
    let first = (round + 1).saturating_sub(QUEUED).max(1);
    let queue: Vec<_> = session.queue.iter().map(|delivery| delivery.message.id.0).collect();
    assert_eq!(queue, (first..=round).collect::<Vec<_>>());
    for delivery in &session.queue {
        let id = delivery.message.id.0;
        assert_eq!(delivery.message.topic, id.to_string());
        assert_eq!(delivery.message.payload, vec![id as u8; (id % 7 * 800) as usize]);
        assert_eq!(delivery.packet_id, Some(packet_id((id % 60_000) as u16 + 1)));
    }
    assert_eq!(session.qos2_received.len() as u64, round - first + 1);
}
