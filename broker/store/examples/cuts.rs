//! How long a power cut takes on the simulated disk: opening a stepped store, some small batches,
//! the cut, and opening what is found.
//!
//! `cargo run --release -p lotmq-store --example cuts -- 1000 4`: so many cuts, and KiB of redb's
//! cache.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "an example")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use lotmq_changes::*;
use lotmq_disk::{Disk, Random};
use lotmq_store::*;

const BATCHES: u64 = 20;

fn open(disk: &Disk, cache_bytes: usize) -> (Store, Stepper, Recovered) {
    let key = KeySource::Key([7; 32]);
    // Little slack, so that the log stays short.
    let limits = Limits { log_slack_bytes: 16 * 1024, ..Limits::default() };
    let options = StoreOptions { cache_bytes, secret_key: key, limits, ..StoreOptions::new("unused") };
    let surroundings =
        Surroundings { now: Arc::new(|| Duration::ZERO), random: Box::new(|_| {}), note: Box::new(NoNote) };
    Store::open_stepped(options, Box::new(disk.opener()), Box::new(|_| {}), surroundings).unwrap()
}

/// A message for a session, and the acknowledgement of the one before.
fn batch(store: &Store) -> Batch {
    let (session, id) = (SessionId(1), store.next_message_id());
    let message = MessageRef {
        id,
        tenant: TenantId::DEFAULT,
        topic: "site/temperature",
        properties: &[],
        payload: &[1; 100],
        qos: 1,
        published_at_ms: 1,
        expires_at_ms: None,
    };
    let delivery = Delivery {
        session,
        qos: 1,
        retain: false,
        published_retain: false,
        packet_id: None,
        subscription_ids: &[],
        membership: None,
    };
    let mut batch = Batch::new();
    batch.push(Op::Enqueue { message, deliveries: &[delivery] });
    batch.push(Op::Dequeue { session, message: MessageId(id.0.saturating_sub(10)) });
    batch
}

/// Adds how long something takes to a sum.
fn timed<T>(sum: &mut Duration, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let done = work();
    *sum += start.elapsed();
    done
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u64>().unwrap());
    let cuts = arguments.next().unwrap_or(1_000);
    let cache_bytes = usize::try_from(arguments.next().unwrap_or(4) * 1024).unwrap();
    let [mut opening, mut stepping, mut dropping, mut cutting] = [Duration::ZERO; 4];
    let mut random = Random::new(1);
    let (mut disk, mut reported) = (Disk::new(1), 0);
    for _ in 0..cuts {
        let (store, stepper, recovered) = timed(&mut opening, || open(&disk, cache_bytes));
        let found = recovered.sessions.first().map_or(0, |session| session.queue.len());
        assert!(reported == 0 || found > 0, "what was reported is there");
        timed(&mut stepping, || {
            if recovered.sessions.is_empty() {
                let mut batch = Batch::new();
                batch.push(Op::PutSession(&row()));
                store.append(batch).unwrap();
            }
            for _ in 0..BATCHES {
                store.append(batch(&store)).unwrap();
                assert!(stepper.step());
            }
            // One that nobody is told of.
            store.append(batch(&store)).unwrap();
        });
        reported = BATCHES;
        let next = timed(&mut cutting, || disk.power_cut(&mut random));
        timed(&mut dropping, || drop((stepper, store)));
        disk = next;
    }
    let each = |sum: Duration| sum.as_micros() / u128::from(cuts.max(1));
    println!("{} KiB file, {} KiB cache; each, in us:", disk.bytes().len() / 1024, cache_bytes / 1024);
    println!("open {}, {BATCHES} batches {}", each(opening), each(stepping));
    println!("cut {}, drop {}", each(cutting), each(dropping));
}

fn row() -> SessionRow {
    SessionRow {
        expiry_interval_s: Some(3600),
        disconnected_at_ms: Some(1),
        ..SessionRow::new(TenantId::DEFAULT, SessionId(1), "c")
    }
}
