//! Reading an open store while more is written: one moment, whatever happens meanwhile.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use lotmq_changes::table::BackupClass;
use lotmq_changes::table::BackupClass::{Audit, Configuration, Messages, Quarantine, Secret, Sessions};
use lotmq_changes::*;
use lotmq_store::*;
use redb::backends::FileBackend;

use crate::fixture::{describe, fill};
use crate::support::*;

const ALL: &[BackupClass] = &[Configuration, Messages, Sessions, Secret, Audit, Quarantine];

/// Opens what a stream says.
fn opened(stream: &[u8]) -> (tempfile::TempDir, Store, Recovered) {
    let target = tempfile::tempdir().unwrap();
    Store::import(target.path(), &mut &*stream).unwrap();
    let (store, recovered) = open(target.path());
    (target, store, recovered)
}

/// Commits one more message for the session, and its number as a setting, in one batch.
fn step(store: &Store, session: SessionId) -> Result<Ticket, StoreError> {
    let id = store.next_message_id();
    let payload = vec![id.0 as u8; if id.0.is_multiple_of(50) { 40_000 } else { 300 }];
    let mut batch = Batch::new();
    batch.push(Op::Enqueue { message: message(id, "t", &payload), deliveries: &[delivery(session)] });
    let row = SettingRow { tenant: TenantId::DEFAULT, name: "last".into(), value: id.0.to_string() };
    batch.push(Op::PutSetting(&row));
    store.append(batch)
}

/// Checks the state after any step: the setting names the newest message of the queue.
fn check(recovered: &Recovered, session: SessionId) -> u64 {
    let queue = queue(recovered, session);
    let last: u64 = recovered.settings[0].value.parse().unwrap();
    assert_eq!(queue.last(), Some(&last), "log and rows are of one moment");
    assert!(queue.windows(2).all(|pair| pair[0] + 1 == pair[1]), "no message is missing");
    last
}

#[test]
fn a_snapshot_is_the_store_that_an_export_of_it_closed_would_be() {
    for durability in [Durability::Fsync, Durability::Os, Durability::None] {
        let directory = tempfile::tempdir().unwrap();
        let options = StoreOptions { durability, ..options(directory.path()) };
        let (store, _) = Store::open(options, Box::new(|_| {})).unwrap();
        fill(&store);
        let mut stream = Vec::new();
        let sizes = store.snapshot().unwrap().export(ALL, &mut stream).unwrap();
        let contents = store.snapshot().unwrap().contents(RecoveredQueues::Whole).unwrap();
        drop(store);
        let (target, copy, recovered) = opened(&stream);
        drop(copy);
        assert_eq!(contents.next_message, recovered.next_message, "{durability:?}");
        assert_eq!(sizes, Store::stats(target.path()).unwrap().tables, "{durability:?}");
        if durability != Durability::None {
            let (_store, before) = open(directory.path());
            assert_eq!(describe(&recovered), describe(&before));
            // In memory the key of the secrets ends with the store.
            assert_eq!(describe(&contents), describe(&before));
        }
    }
}

#[test]
fn snapshots_under_load_are_of_one_moment_and_have_all_that_was_appended_before() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let session = put_session(&store, 0, "c");
    let is_over = AtomicBool::new(false);
    let appended = AtomicU64::new(0);
    let streams = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(SeqCst) {
                let ticket = step(&store, session).unwrap();
                appended.store(ticket.number(), SeqCst);
                if ticket.number().is_multiple_of(64) {
                    store.wait(ticket).unwrap();
                }
            }
        });
        let mut streams = Vec::new();
        while streams.len() < 8 {
            let before = appended.load(SeqCst);
            if before < 100 * (streams.len() as u64 + 1) {
                std::thread::yield_now();
                continue;
            }
            let mut stream = Vec::new();
            store.snapshot().unwrap().export(ALL, &mut stream).unwrap();
            streams.push((before, stream));
        }
        is_over.store(true, SeqCst);
        streams
    });
    for (before, stream) in streams {
        let (_target, _store, recovered) = opened(&stream);
        let last = check(&recovered, session);
        // The ticket of the session's own batch comes first.
        assert!(last + 1 >= before, "message {last}, although ticket {before} was appended");
    }
}

/// Stops in the middle of an export until it is told to go on.
struct Slow(mpsc::Sender<()>, mpsc::Receiver<()>, Vec<u8>);

impl Write for Slow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.2.is_empty() {
            self.0.send(()).unwrap();
            self.1.recv().unwrap();
        }
        self.2.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs `meanwhile` while an export has begun and has not written a byte.
fn export_during<T>(store: &Store, meanwhile: impl FnOnce() -> T) -> (Result<Vec<u8>, SnapshotError>, T) {
    let (begun, has_begun) = mpsc::channel();
    let (go_on, goes_on) = mpsc::channel();
    let mut out = Slow(begun, goes_on, Vec::new());
    let snapshot = store.snapshot().unwrap();
    std::thread::scope(|scope| {
        let export = scope.spawn(move || snapshot.export(ALL, &mut out).map(|_| out.2));
        has_begun.recv().unwrap();
        let done = meanwhile();
        go_on.send(()).unwrap();
        (export.join().unwrap(), done)
    })
}

#[test]
fn an_export_that_stands_still_holds_nobody_up_and_the_file_does_not_keep_growing() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let session = put_session(&store, 0, "c");
    store.wait(step(&store, session).unwrap()).unwrap();
    let churn = |rounds: usize| {
        for round in 0..rounds {
            let row = SettingRow {
                tenant: TenantId::DEFAULT,
                name: "churn".into(),
                value: round.to_string().repeat(10_000),
            };
            commit_with(&store, |batch| batch.push(Op::PutSetting(&row)));
        }
    };
    let (stream, ()) = export_during(&store, || churn(100));
    let (_target, _copy, recovered) = opened(&stream.unwrap());
    assert_eq!(recovered.settings.len(), 1, "nothing of what came later is in it");
    check(&recovered, session);
    let size = || std::fs::metadata(directory.path().join("lotmq.redb")).unwrap().blocks();
    churn(20);
    let after = size();
    churn(200);
    assert!(size() <= after * 5 / 4, "{after} blocks, then {}", size());
}

#[test]
fn a_closed_store_ends_its_snapshots() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    fill(&store);
    let (lost, ()) = export_during(&store, || store.close());
    assert!(matches!(lost, Err(SnapshotError::Lost)), "{lost:?}");
    assert!(matches!(store.snapshot(), Err(StoreError::Closed)));
    // The old handle holds no lock.
    let (_store, recovered) = open(directory.path());
    assert!(!recovered.is_new);
}

/// A store whose next sync fails when the flag is set, and which is opened again at once.
fn failing_store(directory: &Path) -> (Store, Arc<AtomicBool>) {
    let limits = Limits { reopen_pause: Duration::ZERO, ..Limits::default() };
    failing_store_with(directory, limits, |fails| fails.swap(false, SeqCst))
}

/// A store whose syncs fail when `fails` says so, which is asked with a flag of the test.
fn failing_store_with(
    directory: &Path,
    limits: Limits,
    is_failing: fn(&AtomicBool) -> bool,
) -> (Store, Arc<AtomicBool>) {
    let path = directory.join("lotmq.redb");
    let fails = Arc::new(AtomicBool::new(false));
    let failing = Arc::clone(&fails);
    let factory: BackendFactory = Box::new(move || {
        let file =
            std::fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
        let backend = FileBackend::new(file).map_err(|error| io::Error::other(error.to_string()))?;
        let failing = Arc::clone(&failing);
        let fail = move |call, _| {
            let fails = call == Call::Sync && is_failing(&failing);
            if fails { Err(io::Error::other("injected")) } else { Ok(()) }
        };
        Ok(Box::new(Watched::new(&Arc::new(backend), fail)))
    });
    let options = StoreOptions { limits, ..options(directory) };
    let (store, _) = Store::open_on(options, factory, Box::new(|_| {})).unwrap();
    (store, fails)
}

/// Has the store fail and be opened again.
fn fail(store: &Store, session: SessionId, fails: &AtomicBool) {
    fails.store(true, SeqCst);
    let failed = store.wait(step(store, session).unwrap());
    assert!(failed.is_err(), "the sync failed");
    store.wait(step(store, session).unwrap()).unwrap();
}

#[test]
fn a_failed_store_is_opened_again_in_spite_of_a_snapshot_and_the_snapshot_is_given_up() {
    let directory = tempfile::tempdir().unwrap();
    let (store, fails) = failing_store(directory.path());
    let session = put_session(&store, 0, "c");
    for _ in 0..100 {
        store.wait(step(&store, session).unwrap()).unwrap();
    }
    let (lost, reopened) = export_during(&store, || {
        fail(&store, session, &fails);
        for _ in 0..100 {
            store.wait(step(&store, session).unwrap()).unwrap();
        }
        store.metrics().reopens
    });
    assert!(matches!(lost, Err(SnapshotError::Lost)), "{lost:?}");
    assert_eq!(reopened, 1);
    let mut stream = Vec::new();
    store.snapshot().unwrap().export(ALL, &mut stream).unwrap();
    let (_target, _copy, recovered) = opened(&stream);
    assert!(queue(&recovered, session).len() >= 200);
}

#[test]
fn a_store_that_fails_on_is_not_opened_again_while_somebody_reads_what_it_has_left() {
    let directory = tempfile::tempdir().unwrap();
    let pause = Duration::from_millis(1);
    let limits = Limits { reopen_pause: pause, ..Limits::default() };
    let (store, fails) = failing_store_with(directory.path(), limits, |fails| fails.load(SeqCst));
    let session = put_session(&store, 0, "c");
    for _ in 0..100 {
        store.wait(step(&store, session).unwrap()).unwrap();
    }
    fails.store(true, SeqCst);
    for _ in 0..3 {
        assert!(store.wait(step(&store, session).unwrap()).is_err());
    }
    let (stream, ()) = export_during(&store, || {
        fails.store(false, SeqCst);
        for _ in 0..20 {
            std::thread::sleep(2 * pause);
            assert!(store.wait(step(&store, session).unwrap()).is_err(), "it waits for who reads");
        }
    });
    let (_target, _copy, recovered) = opened(&stream.unwrap());
    assert!(queue(&recovered, session).len() >= 100, "a group that failed may be there, too");
    while store.wait(step(&store, session).unwrap()).is_err() {
        std::thread::sleep(pause);
    }
}

#[test]
fn snapshot_of_a_hanging_store_returns_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let waited = Duration::from_millis(200);
    let limits = Limits { snapshot_wait: waited, ..Limits::default() };
    let hangs = |hangs: &AtomicBool| {
        while hangs.load(SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
        false
    };
    let (store, hangs) = failing_store_with(directory.path(), limits, hangs);
    let session = put_session(&store, 0, "c");
    hangs.store(true, SeqCst);
    let ticket = step(&store, session).unwrap();
    let refused = store.snapshot().unwrap_err();
    assert!(matches!(refused, StoreError::Hangs { .. }), "{refused}");
    hangs.store(false, SeqCst);
    store.wait(ticket).unwrap();
    store.snapshot().unwrap();
}

#[test]
fn reader_continues_in_a_new_snapshot_after_the_store_reopens() {
    let directory = tempfile::tempdir().unwrap();
    let (store, fails) = failing_store(directory.path());
    let session = put_session(&store, 0, "c");
    let record =
        |number| Op::PutAudit { tenant: TenantId::DEFAULT, number, at_ms: 0, digest: [0; 32], text: "r" };
    commit(&store, (1..=5).map(record));
    let mut read = Vec::new();
    let damaged = store.audit(TenantId::DEFAULT, 0..=u64::MAX, |record| {
        read.push(record.number);
        if record.number % 2 == 0 {
            fail(&store, session, &fails);
        }
        if record.number == 4 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!((damaged.unwrap(), read), (0, vec![1, 2, 3, 4]), "each once, and none behind the end");
    let mut snapshots = 0;
    let outcome = store.in_snapshot(SnapshotError::is_lost, |snapshot| {
        snapshots += 1;
        fail(&store, session, &fails);
        snapshot.export(ALL, &mut Vec::new())
    });
    assert!(matches!(outcome, Ok(Err(SnapshotError::Lost))), "{outcome:?}");
    assert_eq!(snapshots, 4, "it is given up");
}

/// Peak memory of this process in bytes.
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0 kB");
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1024
}

/// Run with `LOTMQ_SNAPSHOT_MESSAGES=1000000 cargo test --release -p lotmq-store --test store
/// export_during -- --nocapture` to print the cost.
#[test]
fn export_during_writes_is_complete() {
    let messages: u64 = std::env::var("LOTMQ_SNAPSHOT_MESSAGES").map_or(5_000, |text| text.parse().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let session = put_session(&store, 0, "c");
    let put = |count: u64| {
        let mut last = None;
        for _ in 0..count {
            while store.is_congested(0) {
                std::thread::yield_now();
            }
            last = Some(step(&store, session).unwrap());
        }
        store.wait(last.unwrap()).unwrap();
    };
    put(messages);
    let (is_over, appended) = (AtomicBool::new(false), AtomicU64::new(0));
    let start = std::time::Instant::now();
    let rounds = messages / 1000;
    for _ in 0..rounds {
        put(100);
    }
    let alone = (rounds * 100) as f64 / start.elapsed().as_secs_f64();
    let before = peak_bytes();
    let target = tempfile::tempdir().unwrap();
    let path = target.path().join("stream");
    let (took, rate, sizes) = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(SeqCst) {
                put(100);
                appended.fetch_add(100, SeqCst);
            }
        });
        let start = std::time::Instant::now();
        let mut file = io::BufWriter::new(std::fs::File::create(&path).unwrap());
        let sizes = store.snapshot().unwrap().export(ALL, &mut file).unwrap();
        let took = start.elapsed();
        let rate = appended.load(SeqCst) as f64 / took.as_secs_f64();
        is_over.store(true, SeqCst);
        (took, rate, sizes)
    });
    let bytes = std::fs::metadata(&path).unwrap().len();
    println!(
        "{messages} messages, {bytes} bytes in {took:?}; {alone:.0} messages/s written without, {rate:.0} beside it; \
         peak memory {} KiB more",
        (peak_bytes() - before) / 1024
    );
    assert!(sizes.iter().any(|size| size.name == "log" && size.bytes > messages * 300));
    if messages < 100_000 {
        let stream = std::fs::read(&path).unwrap();
        let (_target, _copy, recovered) = opened(&stream);
        assert!(check(&recovered, session) >= messages);
    }
}
