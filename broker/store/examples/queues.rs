//! Measures the cost of long queues: the time to open a store with them, its memory, the bytes that
//! it writes.
//!
//! ```text
//! P="cargo run --release -p lotmq-store --example queues --"
//! $P make DIR SESSIONS MESSAGES PAYLOAD_BYTES
//! $P open DIR
//! $P written FILE SESSIONS MESSAGES PAYLOAD_BYTES RECEIVERS
//! ```
//!
//! `written` fills queues in batches of 320 messages, each for so many sessions, drains them one
//! after the other, and says how many bytes went to the file for each byte of payload that was
//! delivered. `make` ends without closing the store, as `kill -9` does.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a program for people")]

#[path = "../tests/store/support/watched.rs"]
mod watched;

use std::fs::File;
use std::io;
use std::num::NonZeroU16;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use redb::backends::FileBackend;

use lotmq_changes::{
    Batch, Delivery, MessageId, MessageRef, Op, PeerRow, RecoveredQueues, SessionId, SessionRow,
    SubscriptionRow, TenantId,
};
use lotmq_store::{BackendFactory, Durability, KeySource, Store, StoreOptions};
use watched::{Call, Watched};

/// Messages of one batch.
const BATCH: u64 = 320;
/// Messages that are read at once, as the broker does for a Client that takes all that comes.
const SLICE: usize = 2048;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["make", directory, sessions, messages, bytes] => {
            make(directory, sessions.parse().unwrap(), messages.parse().unwrap(), bytes.parse().unwrap());
        }
        ["open", directory] => open(directory),
        ["written", file, sessions, messages, bytes, receivers] => {
            let [sessions, messages] = [sessions, messages].map(|text| text.parse().unwrap());
            written(file, sessions, messages, bytes.parse().unwrap(), receivers.parse().unwrap());
        }
        _ => println!(
            "make DIR SESSIONS MESSAGES BYTES | open DIR | written FILE SESSIONS MESSAGES BYTES RECEIVERS"
        ),
    }
}

fn options(directory: &str) -> StoreOptions {
    StoreOptions { secret_key: KeySource::Key([7; 32]), ..StoreOptions::new(directory) }
}

fn make(directory: &str, sessions: u64, messages: u64, payload_bytes: usize) {
    let options = StoreOptions { durability: Durability::Os, ..options(directory) };
    let (store, _) = Store::open(options, Box::new(|_| {})).unwrap();
    let ids: Vec<SessionId> = (0..sessions).map(|_| store.next_session_id()).collect();
    for ids in ids.chunks(1000) {
        let mut batch = Batch::new();
        ids.iter().for_each(|id| put_session(&mut batch, *id));
        store.commit(batch).unwrap();
    }
    let payload = vec![b'x'; payload_bytes];
    let mut ticket = None;
    // A step that has no divisor in common with most numbers of sessions, so that they are spread.
    let mut place = 0;
    for first in (0..messages).step_by(usize::try_from(BATCH).unwrap()) {
        let mut batch = Batch::new();
        for _ in first..(first + BATCH).min(messages) {
            place = (place + 7_919) % ids.len();
            enqueue(&store, &mut batch, &[ids[place]], &payload);
        }
        ticket.replace(store.append(batch).unwrap()).map_or(Ok(()), |before| store.wait(before)).unwrap();
    }
    store.wait(ticket.unwrap()).unwrap();
    println!("{:?}", store.metrics());
    // As a kill does: nothing is closed.
    std::process::exit(0);
}

fn put_session(batch: &mut Batch, id: SessionId) {
    // A broker that is started on the store ends no session.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    batch.push(Op::PutSession(&SessionRow {
        tenant: TenantId::DEFAULT,
        id,
        client_id: format!("device-{:08}", id.0),
        user: Some("devices".into()),
        protocol_level: 5,
        expiry_interval_s: Some(86_400),
        disconnected_at_ms: Some(u64::try_from(now.as_millis()).unwrap()),
        will: None,
        peer: PeerRow::Unknown,
        principal: None,
    }));
    for kind in ["command", "setting"] {
        batch.push(Op::PutSubscription(&SubscriptionRow {
            tenant: TenantId::DEFAULT,
            session: id,
            filter: format!("site/7/device-{:08}/{kind}/#", id.0),
            qos: 1,
            no_local: false,
            retain_as_published: false,
            retain_handling: 0,
            subscription_id: None,
            membership: None,
        }));
    }
}

fn enqueue(store: &Store, batch: &mut Batch, sessions: &[SessionId], payload: &[u8]) {
    let message = MessageRef {
        id: store.next_message_id(),
        tenant: TenantId::DEFAULT,
        topic: "site/7/device/command/set",
        properties: &[],
        payload,
        qos: 1,
        published_at_ms: 1_790_000_000_000,
        expires_at_ms: None,
    };
    let deliveries: Vec<_> = sessions
        .iter()
        .map(|session| Delivery {
            session: *session,
            qos: 1,
            retain: false,
            published_retain: false,
            packet_id: None,
            subscription_ids: &[],
            membership: None,
        })
        .collect();
    batch.push(Op::Enqueue { message, deliveries: &deliveries });
}

fn open(directory: &str) {
    let (before, cpu_before) = (resident_kib(), cpu_ms());
    let start = Instant::now();
    let options = StoreOptions { queues: RecoveredQueues::Sent, ..options(directory) };
    let (store, recovered) = Store::open(options, Box::new(|_| {})).unwrap();
    let (took, cpu) = (start.elapsed(), cpu_ms() - cpu_before);
    let waiting: u64 = recovered.sessions.iter().map(|session| u64::from(session.waiting.messages)).sum();
    let file = std::fs::metadata(Path::new(directory).join("lotmq.redb")).unwrap();
    println!(
        "opened in {took:.2?}, {cpu} ms of them on a processor: {} sessions, {waiting} messages wait, file of {:.0} MB; \
         {:.0} MiB of memory more, {} entries in it",
        recovered.sessions.len(),
        file.len() as f64 / 1e6,
        (resident_kib() - before) as f64 / 1024.0,
        store.metrics().entries_in_memory,
    );
    // Not closed: the next run finds the file as a kill leaves it.
    std::process::exit(0);
}

/// Time on a processor, which others' load does not stretch.
fn cpu_ms() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    // User and system time, in hundredths of a second.
    let fields = stat.rsplit(')').next().unwrap().split_whitespace();
    10 * fields.skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum::<u64>()
}

/// Bytes that were written to the file.
static WRITTEN: AtomicU64 = AtomicU64::new(0);

fn written(file: &str, sessions: u64, messages: u64, payload_bytes: usize, receivers: usize) {
    let path = file.to_owned();
    let factory: BackendFactory = Box::new(move || {
        let file = File::options().read(true).write(true).create(true).truncate(false).open(&path)?;
        let file = Arc::new(FileBackend::new(file).map_err(io::Error::other)?);
        let count = |call, bytes| {
            if call == Call::Write {
                WRITTEN.fetch_add(bytes as u64, Ordering::Relaxed);
            }
            Ok(())
        };
        Ok(Box::new(Watched::new(&file, count)))
    });
    let (store, _) = Store::open_on(options("unused"), factory, Box::new(|_| {})).unwrap();
    let ids: Vec<SessionId> = (0..sessions).map(|_| store.next_session_id()).collect();
    for ids in ids.chunks(1000) {
        let mut batch = Batch::new();
        ids.iter().for_each(|id| put_session(&mut batch, *id));
        store.commit(batch).unwrap();
    }
    let payload = vec![b'x'; payload_bytes];
    let start = WRITTEN.load(Ordering::Relaxed);
    let mut place = 0;
    for first in (0..messages).step_by(usize::try_from(BATCH).unwrap()) {
        let mut batch = Batch::new();
        for _ in first..(first + BATCH).min(messages) {
            place = (place + 7_919) % ids.len();
            let mut chosen: Vec<SessionId> = (0..receivers).map(|at| ids[(place + at) % ids.len()]).collect();
            // The receivers of a topic are listed in the same order for each of its messages.
            chosen.sort_unstable();
            enqueue(&store, &mut batch, &chosen, &payload);
        }
        store.commit(batch).unwrap();
    }
    let filled = WRITTEN.load(Ordering::Relaxed);
    for session in &ids {
        drain(&store, *session);
    }
    let drained = WRITTEN.load(Ordering::Relaxed);
    assert_eq!(store.metrics().deliveries, 0);
    let delivered = (messages * receivers as u64) as f64 * payload_bytes as f64;
    println!(
        "{:.2} bytes written per byte of payload to fill, {:.2} to drain, {:.2} in all; of each message once: {:.1}",
        (filled - start) as f64 / delivered,
        (drained - filled) as f64 / delivered,
        (drained - start) as f64 / delivered,
        (drained - start) as f64 / (messages as f64 * payload_bytes as f64),
    );
}

/// A Client that comes back and takes all, 100 at once.
fn drain(store: &Store, session: SessionId) {
    let mut after = MessageId(0);
    loop {
        let slice = store.queue_slice(session, after, SLICE, u64::MAX).unwrap();
        for deliveries in slice.deliveries.chunks(100) {
            let mut batch = Batch::new();
            for (delivery, number) in deliveries.iter().zip(1..) {
                let (message, packet_id) = (delivery.message.id, NonZeroU16::new(number).unwrap());
                batch.push(Op::Inflight { session, message, packet_id });
            }
            for delivery in deliveries {
                batch.push(Op::Dequeue { session, message: delivery.message.id });
            }
            store.append(batch).unwrap();
        }
        match slice.last {
            Some(last) => after = last,
            None => break,
        }
    }
    store.commit(Batch::new()).unwrap();
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse().unwrap()
}
